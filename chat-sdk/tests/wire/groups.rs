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
    server.change(group, Change::Add(vec![user("bob")])).await;
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
