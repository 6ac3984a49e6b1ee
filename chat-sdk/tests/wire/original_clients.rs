//! The clients of the original product (PROTOCOL.md, section 8).

use std::time::Duration;

use chat_sdk::{Limits, To};
use serde_json::{Value, json};

use crate::support::{Ask, Client, PING, PONG, Raw, Server, TEXT, frame, user};

async fn connect(server: &Server, user: &str) -> Client {
    Client::open(server.address, &format!("/ws?token=token-{user}"), false).await.unwrap()
}

/// Whether the connection follows what its user is in: it says so by nothing, so it is asked.
async fn ready(client: &mut Client) {
    client.send(r#"{"type":"ping"}"#).await;
    assert_eq!(client.next_of("pong").await, json!({"type": "pong"}));
}

#[tokio::test]
async fn whatever_has_a_recipient_and_a_text_is_sent_and_acknowledged() {
    let server = Server::new().await;
    let mut alice = connect(&server, "alice").await;
    let mut bob = connect(&server, "bob").await;
    ready(&mut bob).await;
    for (n, (sent, id)) in [
        (json!({"to": "bob", "content": "hi"}), None),
        (json!({"to": "bob", "content": "hi"}), None),
        (json!({"receiver_id": "bob", "text": "hi", "client_id": "c1"}), Some("c1")),
        (json!({"recipient_id": "bob", "message": "hi", "tempId": 17}), Some("17")),
        (json!({"type": "message", "to": "bob", "content": "hi", "client_msg_id": "x"}), Some("x")),
        (json!({"type": "chat", "to": "bob", "content": "hi", "temp_id": "t"}), Some("t")),
    ]
    .into_iter()
    .enumerate()
    {
        alice.command(sent.clone()).await;
        let ack = alice.next_of("ack").await;
        assert_eq!(
            (&ack["from"], &ack["to"], &ack["content"]),
            (&json!("alice"), &json!("bob"), &json!("hi")),
            "{sent}"
        );
        if let Some(id) = id {
            assert_eq!(ack["id"], id);
        }
        let message = bob.next_of("message").await;
        assert_eq!(message["id"], ack["message_id"]);
        assert!(message["id"].as_str().unwrap().ends_with(&format!(".{}", n + 2)));
        let shown = json!({
            "type": "message", "id": message["id"], "from": "alice", "to": "bob", "content": "hi",
            "timestamp": ack["timestamp"],
        });
        assert_eq!(message, shown);
        // Bob's client cannot say that it received it; it did.
        let delivered = alice.next_of("delivered").await;
        assert_eq!((&delivered["id"], &delivered["from"]), (&message["id"], &json!("bob")));
    }
    // The same client id again is the same message.
    alice.command(json!({"to": "bob", "content": "hi", "client_id": "c1"})).await;
    assert!(alice.next_of("ack").await["message_id"].as_str().unwrap().ends_with(".4"));
}

#[tokio::test]
async fn reading_and_typing_reach_the_other_side() {
    let server = Server::new().await;
    let mut alice = connect(&server, "alice").await;
    let mut bob = connect(&server, "bob").await;
    ready(&mut bob).await;
    alice.command(json!({"to": "bob", "content": "hi"})).await;
    let id = bob.next_of("message").await["id"].clone();
    assert_eq!(alice.next_of("delivered").await["id"], id);
    bob.command(json!({"type": "read", "message_id": id})).await;
    assert_eq!(alice.next_of("read").await["id"], id);
    bob.command(json!({"type": "typing", "to": "alice"})).await;
    let typing = alice.next_of("typing").await;
    assert_eq!((&typing["from"], &typing["to"]), (&json!("bob"), &json!("alice")));
}

#[tokio::test]
async fn what_cannot_be_sent_is_answered_in_the_same_shape() {
    let server = Server::with(Limits { malformed_max: 4, ..Limits::default() }).await;
    let mut alice = connect(&server, "alice").await;
    for (sent, id) in [
        (json!({"to": "alice", "content": "hi", "temp_id": "t1"}), "t1"),
        (json!({"to": "bob", "content": "x".repeat(9_000), "temp_id": "t2"}), "t2"),
        (json!({"to": "bob"}), ""),
        (json!({"type": "hello", "version": 1}), ""),
        (json!(["hi"]), ""),
    ] {
        alice.command(sent.clone()).await;
        let error = alice.next_of("error").await;
        assert_eq!(error["id"], id, "{sent}");
        for field in ["from", "to", "content", "timestamp"] {
            assert!(error[field].is_string(), "{error}");
        }
    }
    alice.send("}").await;
    assert_eq!(alice.close_code().await, 4500);
}

#[tokio::test]
async fn only_direct_messages_of_others_are_shown() {
    let server = Server::new().await;
    let group = server.group(&["bob", "alice"]).await;
    let mut bob = connect(&server, "bob").await;
    ready(&mut bob).await;
    server.say("alice", To::Conversation(group), "in the group").await;
    server.say("bob", To::User(user("alice")), "from another device").await;
    server.say("carol", To::User(user("bob")), "seen").await;
    let (before, message) = bob.up_to("message").await;
    assert_eq!((before, &message["content"]), (Vec::<Value>::new(), &json!("seen")));
}

#[tokio::test]
async fn original_and_native_clients_talk_to_each_other() {
    let server = Server::new().await;
    let mut alice = connect(&server, "alice").await;
    let mut bob = server.connect("bob").await;
    alice.command(json!({"to": "bob", "content": "old to new", "temp_id": "t"})).await;
    bob.next_of("event").await;
    let event = bob.next_of("event").await;
    assert_eq!((&event["event"]["text"], &event["key"]), (&json!("old to new"), &json!("t")));
    bob.command(json!({"type": "mark", "conversation": event["conversation"], "read": 2})).await;
    alice.next_of("read").await;
    bob.command(json!({"type": "send", "key": "k", "to": "alice", "text": "new to old"})).await;
    assert_eq!(alice.next_of("message").await["content"], "new to old");
    let history = server.ask(Ask::get("/messages?with=bob").by("alice")).await.json();
    assert_eq!(history.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn they_are_pinged_and_live_as_long_as_they_answer() {
    let server =
        Server::with(Limits { heartbeat: Duration::from_millis(200), ..Limits::default() }).await;
    let mut raw = Raw::open(server.address, Ask::get("/ws?token=token-alice")).await;
    // More pings than a silent one would live to see.
    for _ in 0..4 {
        assert_eq!(raw.frame().await, Some((PING, vec![])));
        raw.write(&frame(true, PONG, b"")).await;
    }
    raw.write(&frame(true, TEXT, br#"{"type":"ping"}"#)).await;
    loop {
        match raw.frame().await.unwrap() {
            (TEXT, text) => break assert_eq!(text, br#"{"type":"pong"}"#),
            (opcode, _) => assert_eq!(opcode, PING),
        }
    }
    assert_eq!(raw.close_code().await, Some(4001));
}

#[tokio::test]
async fn without_a_token_there_is_no_upgrade() {
    let server = Server::new().await;
    for path in ["/ws", "/ws?token=", "/ws?token=nobody", "/ws?user_id=alice"] {
        let ask = Ask::get(path).upgrade();
        assert_eq!(server.ask(ask).await.status, 401, "{path}");
    }
}
