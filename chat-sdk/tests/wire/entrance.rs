//! Coming into a group by oneself, and what newcomers see, from outside.

use chat_sdk::{
    Access, Change, Chat, ConversationId, History, Limits, NewLink, Policy, Timestamp, To, UserId,
    Verdict,
};
use serde_json::{Value, json};

use crate::support::{Ask, Client, Server, TokenIsUser, user};

fn links(group: ConversationId) -> String {
    format!("/conversations/{group}/links")
}

/// Its token.
async fn link(server: &Server, group: ConversationId, body: Value) -> (String, Value) {
    let made = server.ask(Ask::new("POST", &links(group)).by("alice").json(body)).await;
    assert_eq!(made.status, 201);
    let mut made = made.json();
    let token = made.as_object_mut().unwrap().remove("token").unwrap();
    (format!("/join/{}", token.as_str().unwrap()), made)
}

async fn get(server: &Server, path: &str, who: &str) -> (u16, Value) {
    let reply = server.ask(Ask::new("GET", path).by(who)).await;
    (reply.status, reply.json())
}

async fn post(server: &Server, path: &str, who: &str) -> (u16, Value) {
    let reply = server.ask(Ask::new("POST", path).by(who)).await;
    (reply.status, reply.json())
}

async fn numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(client.next_of("event").await["seq"].as_u64().unwrap());
    }
    numbers
}

#[tokio::test]
async fn a_link_is_made_shown_looked_behind_used_and_revoked() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let (mut alice, mut eve) = (server.connect("alice").await, server.connect("eve").await);
    let (door, made) = link(&server, group, json!({})).await;
    assert_eq!(made["by"], "alice");
    assert_eq!(get(&server, &links(group), "alice").await, (200, json!([made])));

    let behind = json!({"id": group, "kind": "group", "title": "Boats", "access": "private", "member_count": 2});
    let with = |member: bool| {
        let mut behind = behind.clone();
        behind["member"] = json!(member);
        (200, behind)
    };
    assert_eq!(get(&server, &door, "eve").await, with(false));
    assert_eq!(get(&server, &door, "bob").await, with(true));
    let (status, conversation) = post(&server, &door, "eve").await;
    assert_eq!(
        (status, &conversation["id"], &conversation["role"]),
        (201, &json!(group), &json!("member"))
    );
    assert_eq!(post(&server, &door, "eve").await.0, 200, "twice is once");
    assert_eq!(get(&server, &links(group), "alice").await.1[0]["uses"], 1);

    // Everybody hears of it, and who came has all of it.
    assert_eq!(numbers(&mut alice, 1).await, [2]);
    let joined = alice.next_of("event").await;
    let body = json!({"type": "joined", "link": made["id"]});
    assert_eq!((&joined["from"], &joined["event"]), (&json!("eve"), &body));
    assert_eq!(numbers(&mut eve, 3).await, [1, 2, 3]);
    server.say("bob", To::Conversation(group), "welcome").await;
    assert_eq!(numbers(&mut eve, 1).await, [4]);

    let revoke = Ask::new("DELETE", &format!("{}/{}", links(group), made["id"].as_str().unwrap()));
    assert_eq!(server.ask(revoke.clone().by("alice")).await.status, 204);
    assert_eq!(server.ask(revoke.by("alice")).await.code(), "not_found");
    for path in [&*door, "/join/00112233445566778899aabbccddeeff"] {
        for answer in [get(&server, path, "gus").await, post(&server, path, "gus").await] {
            assert_eq!((answer.0, &answer.1["code"]), (404, &json!("not_found")));
            assert_eq!(answer.1["detail"], "this link does not hold, or not any more");
        }
    }
    assert_eq!(get(&server, &door, "eve").await.0, 404);
}

#[tokio::test]
async fn a_link_ends_and_says_so_beforehand() {
    let server = Server::with(Limits { links_max: 2, ..Limits::default() }).await;
    let group = server.group(&["alice"]).await;
    let (once, made) = link(&server, group, json!({"uses_max": 1})).await;
    assert_eq!((&made["uses_max"], &made["uses"]), (&json!(1), &json!(0)));
    assert_eq!(post(&server, &once, "bob").await.0, 201);
    assert_eq!(post(&server, &once, "eve").await.0, 404);
    assert_eq!(get(&server, &once, "eve").await.0, 404);
    assert_eq!(post(&server, &once, "bob").await.0, 200, "who is in is told so");

    for ended in [
        json!({"uses_max": 0}),
        json!({"expires_at": "2001-02-03T04:05:06Z"}),
        json!({"uses_max": -1}),
        json!({"expires_at": "soon"}),
        json!({"expires": 3}),
    ] {
        let refused = server.ask(Ask::new("POST", &links(group)).by("alice").json(ended)).await;
        assert_eq!(refused.status / 100, 4);
    }
    link(&server, group, json!({"expires_at": "2100-02-03T04:05:06Z"})).await;
    let third = server.ask(Ask::new("POST", &links(group)).by("alice").json(json!({}))).await;
    assert_eq!((third.status, third.code()), (422, "invalid".to_owned()));
}

#[tokio::test]
async fn public_ones_are_listed_and_open_and_private_ones_are_neither() {
    let server = Server::new().await;
    let mut ids = Vec::new();
    for title in ["Ships", "Boats", "Canoes"] {
        let make = Ask::new("POST", "/conversations").by("alice");
        let new =
            json!({"kind": "channel", "title": title, "members": ["bob"], "access": "public"});
        let made = server.ask(make.json(new)).await;
        assert_eq!((made.status, &made.json()["access"]), (201, &json!("public")));
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let private = server.group(&["alice"]).await;

    let mut titles = Vec::new();
    let mut path = "/directory?limit=2".to_owned();
    loop {
        let page = server.ask(Ask::new("GET", &path).by("eve")).await;
        let listed = page.json();
        titles.extend(listed.as_array().unwrap().iter().map(|it| it["title"].clone()));
        let Some(next) = page.header("link") else { break };
        path = format!("/directory{}", next.split(['<', '>']).nth(1).unwrap());
    }
    assert_eq!(titles, ["Boats", "Canoes", "Ships"]);
    assert_eq!(get(&server, "/directory?cursor=x", "eve").await.0, 422);

    let join = |id: &str| format!("/conversations/{id}/join");
    let (status, joined) = post(&server, &join(&ids[0]), "eve").await;
    assert_eq!(
        (status, &joined["role"], &joined["member_count"]),
        (201, &json!("reader"), &json!(3))
    );
    assert_eq!(post(&server, &join(&ids[0]), "eve").await.0, 200);
    assert_eq!(post(&server, &join(&private.to_string()), "eve").await.0, 404);
    assert_eq!(post(&server, &join(&private.to_string()), "alice").await.0, 200);

    // Who was thrown out stays out, until somebody adds them.
    let id: ConversationId = ids[0].parse().unwrap();
    server.change(id, Change::Remove(user("eve"))).await;
    let (status, why) = post(&server, &join(&ids[0]), "eve").await;
    assert_eq!((status, &why["code"]), (403, &json!("forbidden")));
    server.change(id, Change::Add(vec![user("eve")], None)).await;
    assert_eq!(post(&server, &join(&ids[0]), "eve").await.0, 200);
    server.change(id, Change::SetAccess(Access::Private)).await;
    assert_eq!(post(&server, &join(&ids[0]), "gus").await.0, 404);
}

struct ByInvitation;

impl Policy for ByInvitation {
    async fn may_join(&self, user: &UserId, _: ConversationId) -> Verdict {
        if user.as_str() == "guest" { Verdict::deny("guests are added") } else { Verdict::Allow }
    }
}

#[tokio::test]
async fn the_host_and_its_limits_are_asked() {
    let limits = Limits { members_max: 3, ..Limits::default() };
    let server =
        Server::start(Chat::builder(TokenIsUser).policy(ByInvitation).limits(limits)).await;
    let group = server.group(&["alice"]).await;
    let direct = server.chat.open(&user("alice"), &user("bob")).await.unwrap();
    let new = |conversation, by: Option<&str>| NewLink {
        by: by.map(user),
        conversation,
        expires_at: Some(Timestamp::from_millis(i64::from(u32::MAX) * 1_000)),
        uses_max: None,
    };
    assert!(server.chat.make_link(new(direct, Some("alice"))).await.is_err());
    assert!(server.chat.make_link(new(direct, None)).await.is_err());
    let (token, _) = server.chat.make_link(new(group, None)).await.unwrap();
    let door = format!("/join/{}", token.as_str());
    let (status, why) = post(&server, &door, "guest").await;
    assert_eq!((status, &why["detail"]), (403, &json!("guests are added")));
    for (who, expected) in [("bob", 201), ("eve", 201), ("fay", 422)] {
        assert_eq!(post(&server, &door, who).await.0, expected, "{who}");
    }
}

/// A group of alice and carol in which newcomers see nothing of 1 to 5.
async fn secretive(server: &Server) -> ConversationId {
    let group = server.group(&["alice", "carol"]).await;
    server.say("alice", To::Conversation(group), "the old secret").await;
    server.change(group, Change::SetHistory(History::SinceJoining)).await;
    for n in 4..=5 {
        server.say("alice", To::Conversation(group), &format!("secret {n}")).await;
    }
    group
}

#[tokio::test]
async fn who_comes_later_sees_what_comes_later() {
    let server = Server::new().await;
    let group = secretive(&server).await;
    let mut bob = server.connect("bob").await;
    server.change(group, Change::Add(vec![user("bob")], None)).await;
    let (before, event) = bob.up_to("event").await;
    let reset = json!({"type": "reset", "conversation": group, "head": 5});
    assert!(before.contains(&reset), "{before:?}");
    assert_eq!(event["seq"], 6);
    server.say("alice", To::Conversation(group), "hello").await;
    assert_eq!(numbers(&mut bob, 1).await, [7]);

    // Whatever bob asks for.
    bob.command(json!({"type": "sync", "id": "s", "conversation": group, "after": 0})).await;
    let (before, event) = bob.up_to("event").await;
    assert!(before.contains(&reset), "{before:?}");
    assert_eq!(event["seq"], 6);
    let path = format!("/conversations/{group}");
    let (_, seen) = get(&server, &path, "bob").await;
    assert_eq!(
        (&seen["visible_from"], &seen["unread"], &seen["head"]),
        (&json!(6), &json!(1), &json!(7))
    );
    assert_eq!((&seen["history"], &seen["last"]["seq"]), (&json!("since_joining"), &json!(7)));
    for query in ["", "?before=7", "?after=0", "?around=3", "?after=2&limit=1"] {
        for what in ["events", "messages"] {
            let (status, page) = get(&server, &format!("{path}/{what}{query}"), "bob").await;
            assert_eq!(status, 200);
            assert!(!page.to_string().contains("secret"), "{what}{query}: {page}");
        }
    }
    let edits = format!("{path}/messages/2/edits");
    assert_eq!(get(&server, &edits, "bob").await.1, json!([]));
    let reply = json!({"type": "send", "id": "r", "key": "k", "conversation": group, "text": "?", "reply_to": 2});
    bob.command(reply).await;
    assert_eq!(bob.next_of("error").await["problem"]["code"], "not_found");
    // Who was there has it all.
    let (_, all) = get(&server, &format!("{path}/events"), "carol").await;
    assert_eq!(all.as_array().unwrap().len(), 7);
    assert_eq!(get(&server, &path, "carol").await.1.get("visible_from"), None);
}

#[tokio::test]
async fn a_device_that_was_away_while_its_user_was_out_gets_a_reset() {
    let server = Server::new().await;
    let group = secretive(&server).await;
    let (mut carol, welcome) = server.resume("carol", Value::Null).await;
    let epoch = welcome[0]["epoch"].clone();
    server.say("alice", To::Conversation(group), "before").await;
    assert_eq!(numbers(&mut carol, 1).await, [6]);
    drop(carol);
    server.change(group, Change::Remove(user("carol"))).await;
    server.say("alice", To::Conversation(group), "not for carol").await;
    server.change(group, Change::Add(vec![user("carol")], None)).await;
    let resume = json!({"epoch": epoch, "positions": {group.to_string(): 6}});
    let (mut carol, before) = server.resume("carol", resume).await;
    let mut before = before;
    if !before.iter().any(|frame| frame["type"] == "event") {
        let (more, event) = carol.up_to("event").await;
        before.extend(more);
        before.push(event);
    }
    let reset = json!({"type": "reset", "conversation": group, "head": 8});
    let place = before.iter().position(|frame| *frame == reset);
    assert!(place.is_some(), "{before:?}");
    let first = before.iter().position(|frame| frame["type"] == "event").unwrap();
    assert_eq!((before[first]["seq"].as_u64(), place < Some(first)), (Some(9), true));
}
