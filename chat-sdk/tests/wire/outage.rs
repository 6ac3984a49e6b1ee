//! A store that is away: nothing is acknowledged, everybody is told, and it goes on by itself.

use std::time::Duration;

use chat_sdk::{Chat, Limits, To};
use serde_json::{Value, json};

use crate::support::{Ask, Client, Mood, Moody, PATIENCE, Raw, Server, TokenIsUser, native, user};

async fn start(limits: Limits) -> (Server, Moody) {
    let store = Moody::new();
    let limits = Limits {
        store_timeout: Duration::from_millis(200),
        position_check: Duration::from_millis(50),
        ..limits
    };
    (Server::start(Chat::builder(TokenIsUser).store(store.clone()).limits(limits)).await, store)
}

async fn send(client: &mut Client, key: &str, to: &str) -> Value {
    client.command(json!({"type": "send", "id": key, "key": key, "to": to, "text": "hi"})).await;
    loop {
        let frame = client.next().await;
        if frame["id"] == key {
            return frame;
        }
    }
}

fn code(frame: &Value) -> &str {
    frame["problem"]["code"].as_str().unwrap_or("none")
}

#[tokio::test]
async fn nothing_is_acknowledged_without_the_store_and_it_goes_on_by_itself() {
    for mood in [Mood::Down, Mood::Hanging] {
        let (server, store) = start(Limits::default()).await;
        let mut alice = server.connect("alice").await;
        let mut bob = server.connect("bob").await;
        assert_eq!(send(&mut alice, "k0", "bob").await["type"], "ack");
        store.is(mood);
        // To one who was written to before, and to one who was not.
        for to in ["bob", "carol"] {
            let error = send(&mut alice, "k1", to).await;
            assert_eq!(
                (code(&error), &error["key"], &error["problem"]["retryable"]),
                ("unavailable", &json!("k1"), &json!(true))
            );
            assert!(error["problem"]["retry_after_ms"].is_u64());
        }
        alice.command(json!({"type": "mark", "id": "m", "conversation": "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e", "read": 1})).await;
        assert_eq!(code(&alice.next_of("error").await), "unavailable");
        assert!(server.chat.check().await.store.is_err());
        store.is(Mood::Well);
        for to in ["bob", "carol"] {
            let ack = send(&mut alice, "k1", to).await;
            assert_eq!(
                (&ack["type"], &ack["duplicate"]),
                (&json!("ack"), &json!(false)),
                "{mood:?}"
            );
        }
        for seq in 1..=3 {
            assert_eq!(bob.next_of("event").await["seq"], seq);
        }
        assert!(server.chat.check().await.store.is_ok());
    }
}

#[tokio::test]
async fn every_route_says_that_the_store_is_away() {
    for mood in [Mood::Down, Mood::Hanging] {
        let (server, store) = start(Limits::default()).await;
        let known = server.group(&["alice", "bob"]).await.to_string();
        store.is(mood);
        // Of the second one this node knows nothing yet.
        for id in [&*known, "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e"] {
            for ask in [
                Ask::get("/messages?with=bob"),
                Ask::new("POST", "/messages").json(json!({"to": "bob", "content": "hi"})),
                Ask::get("/conversations"),
                Ask::new("POST", "/conversations").json(json!({"kind": "direct", "user": "bob"})),
                Ask::new("POST", "/conversations")
                    .json(json!({"kind": "group", "title": "T", "members": []})),
                Ask::get(&format!("/conversations/{id}")),
                Ask::new("PATCH", &format!("/conversations/{id}")).json(json!({"title": "T"})),
                Ask::get(&format!("/conversations/{id}/events")),
                Ask::new("POST", &format!("/conversations/{id}/messages"))
                    .json(json!({"text": "hi"})),
                Ask::new("PUT", &format!("/conversations/{id}/marker")).json(json!({"read": 1})),
                Ask::get(&format!("/conversations/{id}/members")),
                Ask::new("POST", &format!("/conversations/{id}/members"))
                    .json(json!({"users": ["carol"]})),
                Ask::new("PATCH", &format!("/conversations/{id}/members/bob"))
                    .json(json!({"role": "owner"})),
                Ask::new("DELETE", &format!("/conversations/{id}/members/bob")),
            ] {
                let what = format!("{} {} {mood:?}", ask.method, ask.path);
                let reply = server.ask(ask.by("alice")).await;
                assert_eq!((reply.status, reply.code()), (503, "unavailable".to_owned()), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn who_connects_meanwhile_is_sent_away_to_come_back() {
    for mood in [Mood::Down, Mood::Hanging] {
        let (server, store) = start(Limits::default()).await;
        store.is(mood);
        let mut raw = Raw::native(server.address, "alice").await;
        raw.text(r#"{"type":"hello","version":1}"#).await;
        assert_eq!(raw.json().await["type"], "welcome");
        assert_eq!(raw.close_code().await, Some(4005));
        store.is(Mood::Well);
        server.connect("alice").await;
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_answered_by_a_retry_like_the_first_time() {
    let (server, store) = start(Limits::default()).await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    send(&mut alice, "k0", "bob").await;
    store.is(Mood::LosesAnswers);
    assert_eq!(code(&send(&mut alice, "k1", "bob").await), "unavailable");
    store.is(Mood::Well);
    let ack = send(&mut alice, "k1", "bob").await;
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(3), &json!(true)));
    // It stands in the log, so everybody gets it, in its place.
    send(&mut alice, "k2", "bob").await;
    for seq in 1..=4 {
        assert_eq!(bob.next_of("event").await["seq"], seq);
    }
}

#[tokio::test]
async fn a_first_message_whose_answer_was_lost_reaches_those_who_are_connected() {
    let (server, store) = start(Limits::default()).await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    store.is(Mood::LosesAnswers);
    assert_eq!(code(&send(&mut alice, "k1", "bob").await), "unavailable");
    store.is(Mood::Well);
    assert_eq!(send(&mut alice, "k1", "bob").await["duplicate"], true);
    send(&mut alice, "k2", "bob").await;
    for seq in 1..=3 {
        assert_eq!(bob.next_of("event").await["seq"], seq);
    }
}

#[tokio::test]
async fn a_commit_that_took_too_long_is_delivered_when_it_is_found() {
    let (server, store) = start(Limits::default()).await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    send(&mut alice, "k0", "bob").await;
    store.is(Mood::LosesAnswers);
    assert_eq!(code(&send(&mut alice, "k1", "bob").await), "unavailable");
    store.is(Mood::Well);
    // Nobody says anything more: the position check finds it.
    for seq in 1..=3 {
        assert_eq!(bob.next_of("event").await["seq"], seq);
    }
}

#[tokio::test]
async fn who_has_to_catch_up_while_the_store_is_away_is_sent_away_to_come_back() {
    let (server, store) = start(Limits::default()).await;
    let event = server.say("alice", To::User(user("bob")), "hi").await;
    let mut bob = server.connect("bob").await;
    store.is(Mood::Down);
    bob.command(json!({"type": "sync", "conversation": event.conversation, "after": 0})).await;
    assert_eq!(bob.close_code().await, 4005);
}

#[tokio::test]
async fn more_writes_than_may_wait_are_refused_as_overload() {
    let store = Moody::new();
    let limits = Limits {
        commit_queue_max: 2,
        commit_writes_max: 1,
        store_timeout: PATIENCE,
        ..Limits::default()
    };
    let server =
        Server::start(Chat::builder(TokenIsUser).store(store.clone()).limits(limits)).await;
    server.say("alice", To::User(user("bob")), "hi").await;
    let mut alice = server.connect("alice").await;
    store.is(Mood::WritesHang);
    let asked = store.asked.load(std::sync::atomic::Ordering::SeqCst);
    alice
        .command(json!({"type": "send", "id": "0", "key": "0", "to": "bob", "text": "at work"}))
        .await;
    store.asked(asked + 1).await;
    for n in 1..=2 {
        let id = n.to_string();
        alice
            .command(json!({"type": "send", "id": id, "key": id, "to": "bob", "text": "waits"}))
            .await;
    }
    alice.so_far().await;
    let rest =
        Ask::new("POST", "/messages").by("alice").json(json!({"to": "bob", "content": "hi"}));
    let refused = server.ask(rest).await;
    assert_eq!((refused.status, refused.code()), (503, "overloaded".to_owned()));
    store.is(Mood::Well);
    for n in 0..=2 {
        assert_eq!(alice.next_of("ack").await["id"], n.to_string());
    }
    assert_eq!(server.ask(native("alice").upgrade()).await.status, 101);
}
