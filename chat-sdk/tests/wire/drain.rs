//! A node that leaves.

use std::time::Duration;

use chat_sdk::{Chat, Limits, To};
use serde_json::json;

use crate::support::{Ask, Mood, Moody, PATIENCE, Raw, Server, TokenIsUser, native, user};

#[tokio::test]
async fn a_node_that_leaves_says_so_serves_who_is_there_and_lets_nobody_in() {
    let server = Server::new().await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let mut carol = server.connect("carol").await;
    let chat = server.chat.clone();
    let leaving = tokio::spawn(async move { chat.shutdown(PATIENCE).await });
    for client in [&mut alice, &mut bob, &mut carol] {
        let drain = client.next_of("drain").await;
        let deadline = drain["deadline_ms"].as_u64().unwrap();
        assert!(deadline <= PATIENCE.as_millis() as u64, "{deadline}");
        assert!(
            drain["after_ms"].as_u64().unwrap()
                <= Limits::default().drain_window.as_millis() as u64
        );
    }
    let refused = server.ask(native("dave").upgrade()).await;
    assert_eq!((refused.status, refused.code()), (503, "draining".to_owned()));
    assert!(server.chat.check().await.draining);

    alice.command(json!({"type": "send", "id": "1", "key": "k", "to": "bob", "text": "hi"})).await;
    alice.next_of("ack").await;
    bob.next_of("event").await;
    assert_eq!(bob.next_of("event").await["event"]["text"], "hi");
    assert_eq!(
        server
            .ask(Ask::get("/messages?with=bob").by("alice"))
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // They move, one after the other; then nothing keeps the node.
    alice.socket.close(None).await.unwrap();
    for client in [alice, bob, carol] {
        drop(client);
    }
    let report = leaving.await.unwrap();
    assert_eq!((report.connections, report.moved, report.closed, report.stuck), (3, 3, 0, 0));
    let after =
        Ask::new("POST", "/messages").by("alice").json(json!({"to": "bob", "content": "hi"}));
    assert_eq!(server.ask(after).await.code(), "draining");
}

#[tokio::test]
async fn who_does_not_move_is_closed_at_the_deadline() {
    let server = Server::new().await;
    let mut stays = [server.connect("alice").await, server.connect("bob").await];
    let moves = server.connect("carol").await;
    drop(moves);
    server.until("carol is gone", |health| health.connections == 2).await;
    let chat = server.chat.clone();
    let leaving = tokio::spawn(async move { chat.shutdown(Duration::from_millis(100)).await });
    for client in &mut stays {
        client.next_of("drain").await;
        assert_eq!(client.close_code().await, 1012);
    }
    drop(stays);
    let report = leaving.await.unwrap();
    assert_eq!((report.connections, report.moved, report.closed, report.stuck), (2, 0, 2, 0));
}

#[tokio::test]
async fn a_send_at_work_is_committed_and_answered_before_the_close() {
    let store = Moody::new();
    let server = Server::start(Chat::builder(TokenIsUser).store(store.clone())).await;
    let mut alice = server.connect("alice").await;
    server.say("alice", To::User(user("bob")), "first").await;
    alice.so_far().await;
    store.is(Mood::WritesHang);
    let asked = store.asked.load(std::sync::atomic::Ordering::SeqCst);
    alice
        .command(json!({"type": "send", "id": "1", "key": "k", "to": "bob", "text": "last"}))
        .await;
    store.asked(asked + 1).await;
    let chat = server.chat.clone();
    let leaving = tokio::spawn(async move { chat.shutdown(Duration::ZERO).await });
    alice.next_of("drain").await;
    // The deadline is over; the store is not yet well.
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.is(Mood::Well);
    assert_eq!(alice.next_of("ack").await["key"], "k");
    assert_eq!(alice.close_code().await, 1012);
    drop(alice);
    assert_eq!(leaving.await.unwrap().stuck, 0);
}

#[tokio::test]
async fn who_has_not_said_hello_does_not_hold_up_a_node_that_leaves() {
    let server = Server::with(Limits { hello_timeout: PATIENCE, ..Limits::default() }).await;
    let mut raw = Raw::native(server.address, "alice").await;
    server.until("the socket is counted", |health| health.connections == 1).await;
    let chat = server.chat.clone();
    let leaving = tokio::spawn(async move { chat.shutdown(PATIENCE).await });
    assert_eq!(raw.close_code().await, Some(1012));
    drop(raw);
    let report = leaving.await.unwrap();
    assert_eq!((report.connections, report.closed, report.stuck), (0, 0, 0));
}

#[tokio::test]
async fn a_drain_that_has_only_begun_closes_nobody() {
    let server = Server::new().await;
    let mut alice = server.connect("alice").await;
    let mut late = Raw::native(server.address, "bob").await;
    server.chat.begin_drain();
    assert_eq!(server.ask(native("dave").upgrade()).await.code(), "draining");
    assert!(alice.so_far().await.is_empty());
    // One that was upgraded just before is sent elsewhere.
    late.text(r#"{"type":"hello","version":1}"#).await;
    assert_eq!(late.close_code().await, Some(1012));
}
