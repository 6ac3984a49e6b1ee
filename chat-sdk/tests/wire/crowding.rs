//! As many as there is room for.

use std::time::Duration;

use chat_sdk::{Chat, Limits};

use crate::support::{Ask, CLOSE, Mood, Moody, PATIENCE, Raw, Server, TokenIsUser, native};

const TOKENLESS: fn() -> Ask = || Ask::get("/ws").header("sec-websocket-protocol", "chat.v1");

#[tokio::test]
async fn a_user_has_so_many_connections_and_a_place_that_is_left_is_free() {
    let server = Server::with(Limits { connections_per_user_max: 2, ..Limits::default() }).await;
    let first = server.connect("alice").await;
    let _second = server.connect("alice").await;
    let refused = server.ask(native("alice").upgrade()).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited".to_owned()));
    // Who tells only in the first frame is told only then.
    let mut late = Raw::open(server.address, TOKENLESS()).await;
    late.text(r#"{"type":"hello","version":1,"token":"token-alice"}"#).await;
    assert_eq!(late.close_code().await, Some(1013));
    server.connect("bob").await;
    drop(first);
    drop(late);
    server.until("there is room", |health| health.connections == 1).await;
    server.connect("alice").await;
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let server = Server::with(Limits { connections_per_address_max: 2, ..Limits::default() }).await;
    let _alice = server.connect("alice").await;
    let silent = Raw::open(server.address, TOKENLESS()).await;
    assert_eq!(server.ask(native("carol").upgrade()).await.code(), "rate_limited");
    drop(silent);
    server.until("there is room", |health| health.connections == 1).await;
    server.connect("carol").await;
}

#[tokio::test]
async fn a_node_has_so_many_connections() {
    let server = Server::with(Limits { connections_max: 2, ..Limits::default() }).await;
    let _alice = server.connect("alice").await;
    let bob = server.connect("bob").await;
    for _ in 0..5 {
        let refused = server.ask(native("carol").upgrade()).await;
        assert_eq!((refused.status, refused.code()), (503, "overloaded".to_owned()));
    }
    drop(bob);
    server.until("there is room", |health| health.connections == 1).await;
    server.connect("carol").await;
}

#[tokio::test]
async fn so_many_come_in_a_second_and_the_others_are_told_when_to_come_back() {
    let limits = Limits { admissions_per_second: 2, ..Limits::default() };
    let server = Server::with(limits).await;
    let _in = [server.connect("alice").await, server.connect("alice").await];
    let mut times = std::collections::BTreeSet::new();
    let mut refused = 0;
    for _ in 0..12 {
        let answer = server.ask(native("bob").upgrade()).await;
        if answer.status == 503 {
            assert_eq!(answer.code(), "overloaded");
            times.insert(answer.json()["retry_after_ms"].as_u64().unwrap());
            refused += 1;
        }
    }
    // However slow this machine is, not all of them came in.
    assert!(refused > 0);
    assert!(times.iter().all(|after| (1_000..=3_000).contains(after)), "{times:?}");
    assert!(refused < 4 || times.len() > 1, "a herd sent away together comes back together");
    server.until("there is room again", |health| health.connections < 32).await;
    let back = async {
        while server.ask(native("bob").upgrade()).await.status != 101 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("let in after a while");
}

#[tokio::test]
async fn strangers_take_no_users_place_among_those_who_come_in() {
    let limits = Limits { admissions_per_second: 2, ..Limits::default() };
    let server = Server::with(limits).await;
    for _ in 0..100 {
        // With a token that nobody knows, and with one in the first frame.
        let refused = server.ask(TOKENLESS().bearer("nobody").upgrade()).await;
        assert_eq!(refused.status, 401);
        let mut raw = Raw::open(server.address, TOKENLESS()).await;
        raw.text(r#"{"type":"hello","version":1,"token":"nobody"}"#).await;
        assert_eq!(raw.close_code().await, Some(4501));
    }
    let _in = [server.connect("alice").await, server.connect("bob").await];
}

#[tokio::test]
async fn whoever_says_who_they_are_in_the_first_frame_counts_then() {
    // However slow this machine is, the second one comes before there is room again.
    let limits = Limits { admissions_per_second: 1, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut early = Raw::open(server.address, TOKENLESS()).await;
    let mut late = Vec::new();
    for _ in 0..20 {
        late.push(Raw::open(server.address, TOKENLESS()).await);
    }
    early.text(r#"{"type":"hello","version":1,"token":"token-alice"}"#).await;
    assert_eq!(early.json().await["type"], "welcome");
    for raw in &mut late {
        raw.text(r#"{"type":"hello","version":1,"token":"token-bob"}"#).await;
    }
    let mut closed = 0;
    for mut raw in late {
        match raw.frame().await {
            Some((CLOSE, payload)) => {
                assert_eq!(payload[..2], 1013_u16.to_be_bytes());
                closed += 1;
            }
            Some((_, welcome)) => assert!(welcome.starts_with(br#"{"type":"welcome""#)),
            None => panic!("cut off without a word"),
        }
    }
    assert!(closed > 0, "all of them came in at once");
}

#[tokio::test]
async fn strangers_of_one_address_leave_room_for_others_to_come_in() {
    let limits = Limits {
        handshakes_max: 3,
        handshakes_per_address_max: 2,
        hello_timeout: PATIENCE,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let mut silent = vec![Raw::open(server.address, TOKENLESS()).await];
    silent.push(Raw::open(server.address, TOKENLESS()).await);
    assert_eq!(server.ask(TOKENLESS().upgrade()).await.code(), "overloaded");
    // Who is known does not count among them, but comes through the same door.
    assert_eq!(server.ask(native("alice").upgrade()).await.code(), "overloaded");
    silent[0].text(r#"{"type":"hello","version":1,"token":"token-alice"}"#).await;
    assert_eq!(silent[0].json().await["type"], "welcome");
    assert_eq!(silent[0].json().await["type"], "synced");
    server.connect("bob").await;
    drop(silent);
    server.until("there is room", |health| health.connections == 0).await;
    let again = Raw::open(server.address, TOKENLESS()).await;
    let and_again = Raw::open(server.address, TOKENLESS()).await;
    drop((again, and_again));
}

#[tokio::test]
async fn so_many_connections_may_be_on_their_way_in() {
    let limits = Limits {
        handshakes_max: 2,
        hello_timeout: PATIENCE,
        store_timeout: Duration::from_secs(30),
        ..Limits::default()
    };
    let store = Moody::new();
    let server =
        Server::start(Chat::builder(TokenIsUser).store(store.clone()).limits(limits)).await;
    let mut alice = Raw::native(server.address, "alice").await;
    let bob = Raw::native(server.address, "bob").await;
    assert_eq!(server.ask(native("carol").upgrade()).await.code(), "overloaded");
    // A welcome is not enough: the way in ends when everything is loaded.
    store.is(Mood::Hanging);
    alice.text(r#"{"type":"hello","version":1}"#).await;
    assert_eq!(alice.json().await["type"], "welcome");
    assert_eq!(server.ask(native("carol").upgrade()).await.code(), "overloaded");
    store.is(Mood::Well);
    assert_eq!(alice.json().await["type"], "synced");
    server.connect("carol").await;
    // Who is turned away gives back what was taken for them.
    for _ in 0..5 {
        assert_eq!(
            server
                .ask(native("carol").upgrade().header("origin", "http://evil.example"))
                .await
                .status,
            403
        );
        assert_eq!(server.ask(Ask::get("/ws").upgrade().bearer("nobody")).await.status, 401);
    }
    drop(bob);
    server.until("bob is gone", |health| health.connections == 1).await;
    server.connect("dave").await;
}

#[tokio::test]
async fn a_hundred_that_come_and_go_leave_nothing() {
    let server = Server::with(Limits { handshakes_max: 200, ..Limits::default() }).await;
    let coming = (0..100).map(|n| {
        let address = server.address;
        tokio::spawn(async move {
            let mut raw = Raw::native(address, &format!("u{n}")).await;
            match n % 4 {
                0 => {}
                1 => raw.text("{").await,
                2 => raw.text(r#"{"type":"hello","version":1}"#).await,
                _ => raw.hello().await,
            }
        })
    });
    for one in coming.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    server.until("all are gone", |health| health.connections == 0).await;
    server.connect("alice").await;
}
