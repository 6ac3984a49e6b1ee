//! Coming into a group and leaving it while connected.

use chat_sdk::{Change, Limits, To};
use serde_json::{Value, json};

use crate::support::{Ask, Client, Server, user};

async fn seqs(client: &mut Client, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        seqs.push(client.next_of("event").await["seq"].as_u64().unwrap());
    }
    seqs
}

fn of(frames: &[Value], kind: &str) -> usize {
    frames.iter().filter(|it| it["type"] == kind).count()
}

#[tokio::test]
async fn a_new_group_reaches_its_members_live_with_its_first_event() {
    let server = Server::new().await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let mut dave = server.connect("dave").await;
    let make = Ask::new("POST", "/conversations").by("alice");
    let group =
        server
            .ask(make.json(
                json!({"kind": "group", "title": " Boats ", "members": ["bob", "carol", "bob"]}),
            ))
            .await;
    let id = group.json()["id"].clone();
    for client in [&mut alice, &mut bob] {
        let created = client.next_of("event").await;
        let body = json!({"type": "created", "kind": "group", "title": "Boats", "members": ["alice", "bob", "carol"]});
        assert_eq!(
            (&created["conversation"], &created["seq"], &created["event"]),
            (&id, &json!(1), &body)
        );
    }
    bob.command(json!({"type": "send", "key": "k", "conversation": id, "text": "hi"})).await;
    assert_eq!(seqs(&mut alice, 1).await, [2]);
    assert!(dave.so_far().await.is_empty());
}

#[tokio::test]
async fn who_is_added_gets_the_log_from_its_beginning_and_then_what_comes() {
    let server = Server::new().await;
    let group = server.group(&["alice", "carol"]).await;
    for n in 0..5 {
        server.say("alice", To::Conversation(group), &n.to_string()).await;
    }
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let add = Ask::new("POST", &format!("/conversations/{group}/members")).by("alice");
    assert_eq!(server.ask(add.json(json!({"users": ["bob"]}))).await.status, 204);
    server.say("alice", To::Conversation(group), "welcome").await;
    assert_eq!(seqs(&mut bob, 8).await, (1..=8).collect::<Vec<_>>());
    assert_eq!(seqs(&mut alice, 2).await, [7, 8]);
    assert_eq!(of(&bob.so_far().await, "event"), 0);
}

#[tokio::test]
async fn who_is_added_to_a_long_log_begins_at_its_head() {
    let server = Server::with(Limits { replay_max: 3, ..Limits::default() }).await;
    let group = server.group(&["alice", "carol"]).await;
    for n in 0..5 {
        server.say("alice", To::Conversation(group), &n.to_string()).await;
    }
    let mut bob = server.connect("bob").await;
    server.change(group, Change::Add(vec![user("bob")], None)).await;
    let reset = bob.next_of("reset").await;
    assert_eq!((&reset["conversation"], &reset["head"]), (&json!(group), &json!(7)));
    server.say("alice", To::Conversation(group), "welcome").await;
    assert_eq!(seqs(&mut bob, 1).await, [8]);
}

#[tokio::test]
async fn who_is_removed_is_told_so_and_hears_nothing_more_until_they_are_back() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let mut bob = server.connect("bob").await;
    let mut alice = server.connect("alice").await;
    let path = format!("/conversations/{group}/members");
    assert_eq!(
        server.ask(Ask::new("DELETE", &format!("{path}/bob")).by("alice")).await.status,
        204
    );
    assert_eq!(alice.next_of("event").await["event"], json!({"type": "removed", "user": "bob"}));
    let (before, left) = bob.up_to("left").await;
    assert_eq!((before.len(), &left["conversation"]), (0, &json!(group)));

    server.say("alice", To::Conversation(group), "secret").await;
    alice.command(json!({"type": "typing", "conversation": group, "on": true})).await;
    alice.command(json!({"type": "mark", "id": "m", "conversation": group, "read": 3})).await;
    alice.next_of("done").await;
    for command in [
        json!({"type": "send", "id": "1", "key": "k", "conversation": group, "text": "still here?"}),
        json!({"type": "mark", "id": "2", "conversation": group, "read": 3}),
        json!({"type": "sync", "id": "3", "conversation": group, "after": 1}),
        json!({"type": "typing", "id": "4", "conversation": group, "on": true}),
    ] {
        bob.command(command).await;
        let (before, error) = bob.up_to("error").await;
        assert_eq!((before.len(), &error["problem"]["code"]), (0, &json!("not_found")));
    }
    bob.command(json!({"type": "ping", "positions": {group.to_string(): 1}})).await;
    assert_eq!(bob.next_of("pong").await.get("heads"), None);

    assert_eq!(
        server
            .ask(Ask::new("POST", &path).by("alice").json(json!({"users": ["bob"]})))
            .await
            .status,
        204
    );
    assert_eq!(seqs(&mut bob, 4).await, [1, 2, 3, 4]);
    server.say("alice", To::Conversation(group), "good to see you").await;
    assert_eq!(seqs(&mut bob, 1).await, [5]);
}

#[tokio::test]
async fn who_leaves_on_one_device_has_left_on_all() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let (mut phone, mut laptop) = (server.connect("bob").await, server.connect("bob").await);
    let mut alice = server.connect("alice").await;
    let leave = Ask::new("DELETE", &format!("/conversations/{group}/members/bob")).by("bob");
    assert_eq!(server.ask(leave).await.status, 204);
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.next_of("left").await["conversation"], json!(group));
    }
    let event = alice.next_of("event").await;
    assert_eq!((&event["from"], &event["event"]), (&json!("bob"), &json!({"type": "left"})));
    assert!(phone.so_far().await.is_empty());
}

#[tokio::test]
async fn changes_of_a_group_are_events_in_its_log() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let mut bob = server.connect("bob").await;
    let path = format!("/conversations/{group}");
    for ask in [
        Ask::new("PATCH", &path).by("alice").json(json!({"title": "Ships"})),
        Ask::new("PATCH", &format!("{path}/members/bob"))
            .by("alice")
            .json(json!({"role": "owner"})),
        Ask::new("POST", &format!("{path}/members"))
            .by("bob")
            .json(json!({"users": ["carol", "alice"]})),
        // All of them are members: nothing happens, and that is no mistake.
        Ask::new("POST", &format!("{path}/members")).by("bob").json(json!({"users": ["carol"]})),
    ] {
        assert_eq!(server.ask(ask).await.status, 204);
    }
    for expected in [
        json!({"type": "title", "title": "Ships"}),
        json!({"type": "role", "user": "bob", "role": "owner"}),
        json!({"type": "added", "users": ["carol"]}),
    ] {
        assert_eq!(bob.next_of("event").await["event"], expected);
    }
    assert_eq!(of(&bob.so_far().await, "event"), 0);
    let shown = server.ask(Ask::get(&path).by("bob")).await.json();
    assert_eq!(
        (&shown["title"], &shown["role"], &shown["member_count"]),
        (&json!("Ships"), &json!("owner"), &json!(3))
    );
}

#[tokio::test]
async fn in_a_channel_few_write_and_nobody_is_told_who_types() {
    let server = Server::new().await;
    let channel = json!({"kind": "channel", "title": "News", "members": ["bob", "carol"]});
    let open = Ask::new("POST", "/conversations").by("alice").key("k").json(channel.clone());
    let opened = server.ask(open).await.json();
    assert_eq!((&opened["kind"], &opened["role"]), (&json!("channel"), &json!("owner")));
    let path = format!("/conversations/{}", opened["id"].as_str().unwrap());
    // The key stands for the channel, and for no group.
    let again = Ask::new("POST", "/conversations").by("alice").key("k");
    let mut group = channel;
    group["kind"] = json!("group");
    assert_eq!(server.ask(again.json(group)).await.code(), "key_conflict");

    let (mut alice, mut bob) = (server.connect("alice").await, server.connect("bob").await);
    assert_eq!(server.ask(Ask::get(&path).by("bob")).await.json()["role"], json!("reader"));
    let send = json!({
        "type": "send", "id": "1", "key": "k", "conversation": opened["id"], "text": "me too",
    });
    bob.command(send.clone()).await;
    assert_eq!(bob.next_of("error").await["problem"]["code"], json!("forbidden"));
    for (user, typing) in [("bob", &mut bob), ("alice", &mut alice)] {
        let signal =
            json!({"type": "typing", "id": user, "conversation": opened["id"], "on": true});
        typing.command(signal).await;
        typing.next_of("done").await;
    }
    let write = Ask::new("PATCH", &format!("{path}/members/bob")).by("alice");
    assert_eq!(server.ask(write.json(json!({"role": "member"}))).await.status, 204);
    bob.command(send).await;
    assert_eq!(bob.next_of("ack").await["duplicate"], json!(false));
    for device in [&mut alice, &mut bob] {
        let frames = device.so_far().await;
        assert!(frames.iter().all(|frame| frame["type"] != "typing"), "{frames:?}");
    }
    // Who comes later comes as a reader, unless it is said otherwise.
    let members = format!("{path}/members");
    for (user, role) in [("dan", None), ("eve", Some("member"))] {
        let mut body = json!({"users": [user]});
        if let Some(role) = role {
            body["role"] = json!(role);
        }
        let add = Ask::new("POST", &members).by("alice").json(body);
        assert_eq!(server.ask(add).await.status, 204);
    }
    let listed = server.ask(Ask::get(&members).by("dan")).await.json();
    let roles: Vec<_> = listed.as_array().unwrap().iter().map(|it| it["role"].clone()).collect();
    assert_eq!(roles, ["owner", "member", "reader", "reader", "member"]);
}

#[tokio::test]
async fn title_and_topic_are_changed_in_one_request_and_a_topic_is_taken_away() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let mut bob = server.connect("bob").await;
    let path = format!("/conversations/{group}");
    let change = async |body| {
        let ask = Ask::new("PATCH", &path).by("alice").json(body);
        assert_eq!(server.ask(ask).await.status, 204);
        let shown = server.ask(Ask::get(&path).by("bob")).await.json();
        (shown["title"].clone(), shown.get("topic").cloned())
    };
    let shown = change(json!({"title": "Ships", "topic": "Sails\nand oars"})).await;
    assert_eq!(shown, (json!("Ships"), Some(json!("Sails\nand oars"))));
    assert_eq!(change(json!({"topic": null})).await, (json!("Ships"), None));
    for expected in [
        json!({"type": "title", "title": "Ships"}),
        json!({"type": "topic", "topic": "Sails\nand oars"}),
        json!({"type": "topic", "topic": null}),
    ] {
        assert_eq!(bob.next_of("event").await["event"], expected);
    }
}

#[tokio::test]
async fn in_a_crowd_a_marker_is_told_to_ones_own_devices_alone() {
    let server = Server::new().await;
    let many: Vec<String> = (0..99).map(|n| format!("u{n:02}")).collect();
    let mut members = vec!["alice", "bob"];
    members.extend(many[..98].iter().map(String::as_str));
    let group = server.group(&members).await;
    server.say("bob", To::Conversation(group), "hi").await;
    let (mut phone, mut laptop) = (server.connect("alice").await, server.connect("alice").await);
    let mut bob = server.connect("bob").await;
    let mark = json!({"type": "mark", "id": "m", "conversation": group, "read": 2});

    // A hundred: everybody is told.
    phone.command(mark.clone()).await;
    assert_eq!(bob.next_of("receipt").await["user"], json!("alice"));
    assert_eq!(laptop.next_of("receipt").await["read"], json!(2));

    server.change(group, Change::Add(vec![user(&many[98])], None)).await;
    for read in 3..5 {
        let mut mark = mark.clone();
        mark["read"] = json!(read);
        server.say("bob", To::Conversation(group), "more").await;
        phone.up_to("done").await;
        phone.command(mark).await;
        let receipt = laptop.next_of("receipt").await;
        assert_eq!((&receipt["user"], &receipt["read"]), (&json!("alice"), &json!(read)));
    }
    assert_eq!(of(&bob.so_far().await, "receipt"), 0);
}
