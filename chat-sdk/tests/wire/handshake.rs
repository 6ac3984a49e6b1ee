//! From the upgrade to the welcome.

use std::time::Duration;

use chat_sdk::{Chat, Limits, Origins};
use serde_json::{Value, json};

use crate::support::{Ask, Client, Raw, Server, TokenIsUser, native};

fn upgrade() -> Ask {
    Ask::get("/ws").upgrade().header("sec-websocket-protocol", "chat.v1")
}

#[tokio::test]
async fn a_token_may_come_in_the_query_the_header_or_the_first_frame() {
    let server = Server::new().await;
    for (ask, hello) in [
        (Ask::get("/ws").by("alice"), json!({"type": "hello", "version": 1})),
        (Ask::get("/ws?token=token-alice"), json!({"type": "hello", "version": 1})),
        (Ask::get("/ws"), json!({"type": "hello", "version": 1, "token": "token-alice"})),
        // The header before the query; the frame, which is the newest, before both.
        (Ask::get("/ws?token=token-bob").by("alice"), json!({"type": "hello", "version": 1})),
        (
            Ask::get("/ws?token=token-bob"),
            json!({"type": "hello", "version": 1, "token": "token-alice"}),
        ),
        // What is not known is ignored.
        (
            Ask::get("/ws?x=y").by("alice"),
            json!({"type": "hello", "version": 1, "client": {"name": "x"}}),
        ),
    ] {
        let ask = ask.header("sec-websocket-protocol", "chat.v0, chat.v1");
        let mut raw = Raw::open(server.address, ask).await;
        raw.text(&hello.to_string()).await;
        let welcome = raw.json().await;
        assert_eq!((&welcome["type"], &welcome["user"]), (&json!("welcome"), &json!("alice")));
        assert_eq!((&welcome["version"], &welcome["resumed"]), (&json!(1), &json!(false)));
        assert_eq!(raw.json().await["type"], "synced");
    }
}

#[tokio::test]
async fn the_welcome_names_the_limits_that_are_enforced() {
    let limits = Limits {
        text_chars_max: 77,
        sends_burst: 5,
        heartbeat: Duration::from_secs(7),
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let alice = server.connect("alice").await;
    let other = server.connect("alice").await;
    assert_eq!(alice.welcome["heartbeat_ms"], 7_000);
    let named = &alice.welcome["limits"];
    assert_eq!((&named["text_chars_max"], &named["sends_burst"]), (&json!(77), &json!(5)));
    assert_ne!(alice.welcome["session"], other.welcome["session"]);
    assert_eq!(alice.welcome["epoch"], other.welcome["epoch"]);
    assert_eq!(alice.welcome.get("expires_at"), None);
}

#[tokio::test]
async fn a_hello_that_does_not_do_closes_with_its_reason() {
    let server = Server::with(Limits { positions_max: 3, ..Limits::default() }).await;
    let position = |n: u8| format!("0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d{n:02x}");
    let positions: serde_json::Map<String, Value> =
        (0..4).map(|n| (position(n), json!(1))).collect();
    let cases = [
        (4501, json!({"type": "hello", "version": 1})),
        (4501, json!({"type": "hello", "version": 1, "token": "nobody"})),
        (4501, json!({"type": "hello", "version": 1, "token": ""})),
        (4503, json!({"type": "hello", "version": 2, "token": "token-alice"})),
        (4503, json!({"type": "hello", "version": 0, "token": "token-alice"})),
        (4500, json!({"type": "hello", "version": "1", "token": "token-alice"})),
        (4500, json!({"type": "hello", "token": "token-alice"})),
        (
            4500,
            json!({"type": "hello", "version": 1, "token": "token-alice", "resume": {"epoch": "e", "positions": positions}}),
        ),
        (
            4500,
            json!({"type": "hello", "version": 1, "token": "token-alice", "resume": {"epoch": "e", "positions": {"x": 1}}}),
        ),
        (4500, json!({"type": "ping"})),
        (4500, json!({"type": "send", "id": "1", "key": "k", "to": "bob", "text": "hi"})),
        (4500, json!({"type": "auth", "token": "token-alice"})),
        (4500, json!("hello")),
        (4500, json!(["hello", 1])),
    ];
    for (code, first) in cases {
        let mut raw =
            Raw::open(server.address, Ask::get("/ws").header("sec-websocket-protocol", "chat.v1"))
                .await;
        raw.text(&first.to_string()).await;
        assert_eq!(raw.close_code().await, Some(code), "{first}");
    }
    // Nothing of it was carried out.
    assert_eq!(server.ask(Ask::get("/messages?with=bob").by("alice")).await.json(), json!([]));
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let server =
        Server::with(Limits { hello_timeout: Duration::from_millis(100), ..Limits::default() })
            .await;
    for ask in [native("alice"), Ask::get("/ws").header("sec-websocket-protocol", "chat.v1")] {
        assert_eq!(Raw::open(server.address, ask).await.close_code().await, Some(4003));
    }
    // Pings are no hello.
    let mut raw = Raw::native(server.address, "alice").await;
    raw.write(&crate::support::frame(true, crate::support::PING, b"")).await;
    assert_eq!(raw.close_code().await, Some(4003));
}

#[tokio::test]
async fn an_upgrade_that_cannot_be_is_refused_before_it_happens() {
    let server = Server::new().await;
    let without = |name: &str| {
        let mut ask = upgrade().by("alice");
        ask.headers.retain(|(other, _)| other != name);
        ask
    };
    for (status, code, ask) in [
        (426, "upgrade_required", Ask::get("/ws").by("alice")),
        (426, "upgrade_required", without("connection")),
        (426, "upgrade_required", without("upgrade")),
        (426, "upgrade_required", without("sec-websocket-version")),
        (
            426,
            "upgrade_required",
            without("sec-websocket-version").header("sec-websocket-version", "8"),
        ),
        (400, "malformed", without("sec-websocket-key")),
        (400, "malformed", without("sec-websocket-key").header("sec-websocket-key", "short")),
        (401, "unauthenticated", upgrade().bearer("nobody")),
        (401, "unauthenticated", Ask { path: "/ws?token=nobody".to_owned(), ..upgrade() }),
        (403, "origin_refused", upgrade().by("alice").header("origin", "https://evil.example")),
        (403, "origin_refused", upgrade().by("alice").header("origin", "null")),
        (
            403,
            "origin_refused",
            upgrade().by("alice").header("origin", "http://chat.test.evil.example"),
        ),
    ] {
        let reply = server.ask(ask).await;
        assert_eq!((reply.status, &*reply.code()), (status, code));
        if status == 426 {
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            assert_eq!(reply.header("upgrade"), Some("websocket"));
            assert_eq!(reply.header("sec-websocket-version"), Some("13"));
        }
    }
    let same = upgrade().by("alice").header("origin", "http://chat.test");
    assert_eq!(server.ask(same).await.status, 101);
}

#[tokio::test]
async fn pages_of_a_listed_origin_may_connect() {
    let origins = Origins::Also(vec!["https://app.example".to_owned()]);
    let server = Server::start(Chat::builder(TokenIsUser).origins(origins)).await;
    for (origin, status) in
        [("https://app.example", 101), ("https://app.example.org", 403), ("http://chat.test", 101)]
    {
        let reply = server.ask(upgrade().by("alice").header("origin", origin)).await;
        assert_eq!(reply.status, status, "{origin}");
    }
}

#[tokio::test]
async fn the_subprotocol_is_answered_to_who_offers_it() {
    let server = Server::new().await;
    let reply = server.ask(upgrade().by("alice")).await;
    assert_eq!(reply.header("sec-websocket-protocol"), Some("chat.v1"));
    let reply = server.ask(Ask::get("/ws").by("alice").upgrade()).await;
    assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, None));
}

#[tokio::test]
async fn anybody_is_whom_they_say_only_with_the_development_switch() {
    let server = Server::new().await;
    let refused = Client::open(server.address, "/ws?user_id=alice", false).await;
    assert!(refused.is_err(), "not without the switch");
    let mut native = Client::open(server.address, "/ws?user_id=alice", true).await.unwrap();
    native.send(r#"{"type":"hello","version":1}"#).await;
    assert_eq!(native.close_code().await, 4501);
    let rest = server.ask(Ask::get("/conversations?user_id=alice")).await;
    assert_eq!(rest.status, 401);

    let server = Server::start(Chat::builder(TokenIsUser).dev_user_ids(true)).await;
    let mut alice = Client::open(server.address, "/ws?user_id=alice", true).await.unwrap();
    alice.send(r#"{"type":"hello","version":1}"#).await;
    assert_eq!(alice.next().await["user"], "alice");
    assert_eq!(server.ask(upgrade().header("x", "y")).await.status, 101);
    let bad = server.ask(Ask { path: "/ws?user_id=".to_owned(), ..upgrade() }).await;
    assert_eq!(bad.code(), "invalid");
    // It opens sockets, and nothing else.
    assert_eq!(server.ask(Ask::get("/conversations?user_id=alice")).await.status, 401);
}
