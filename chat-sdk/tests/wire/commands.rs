//! Commands and their replies.

use chat_sdk::{Chat, Limits, Policy, To, UserId, Verdict};
use serde_json::{Value, json};

use crate::support::{Ask, Mood, Moody, Raw, Server, TokenIsUser, user};

/// Replies alone.
async fn replies(raw: &mut Raw, count: usize) -> Vec<Value> {
    let mut replies = Vec::new();
    while replies.len() < count {
        let frame = raw.json().await;
        if matches!(frame["type"].as_str(), Some("ack" | "done" | "error")) {
            replies.push(frame);
        }
    }
    replies
}

#[tokio::test]
async fn each_command_gets_exactly_one_reply_in_the_order_of_the_commands() {
    let limits = Limits {
        sends_burst: 10_000,
        frames_per_second: 10_000,
        malformed_max: 1_000,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let foreign = server.group(&["bob", "carol"]).await;
    let mut raw = Raw::live(server.address, "alice").await;
    let mut expected = Vec::new();
    let mut bytes = Vec::new();
    for n in 0..400 {
        let id = n.to_string();
        let (command, reply) = match n % 10 {
            0 | 5 => (json!({"type": "send", "key": id, "to": "bob", "text": "hi"}), "ack"),
            1 => (json!({"type": "send", "key": id, "to": "alice", "text": "hi"}), "invalid"),
            2 => (
                json!({"type": "send", "key": id, "conversation": foreign, "text": "hi"}),
                "not_found",
            ),
            3 => (json!({"type": "watch", "users": ["bob"]}), "done"),
            4 => (json!({"type": "mark", "conversation": foreign, "read": 1}), "not_found"),
            6 => (json!({"type": "send", "key": id, "to": "bob"}), "malformed"),
            7 => (json!({"type": "sync", "conversation": foreign, "after": 0}), "not_found"),
            8 => (json!({"type": "typing", "conversation": foreign, "on": true}), "not_found"),
            _ => (json!({"type": "auth", "token": "token-alice"}), "done"),
        };
        let mut command = command;
        command["id"] = json!(id);
        bytes.extend(crate::support::frame(
            true,
            crate::support::TEXT,
            command.to_string().as_bytes(),
        ));
        expected.push((id, reply.to_owned()));
    }
    raw.write(&bytes).await;
    let replies: Vec<_> = replies(&mut raw, expected.len())
        .await
        .into_iter()
        .map(|reply| {
            let what = match reply["type"].as_str().unwrap() {
                "error" => &reply["problem"]["code"],
                _ => &reply["type"],
            };
            (reply["id"].as_str().unwrap().to_owned(), what.as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(replies, expected);
    // And nothing more.
    raw.text(r#"{"type":"ping"}"#).await;
    loop {
        let frame = raw.json().await;
        assert!(frame["id"].is_null(), "{frame}");
        if frame["type"] == "pong" {
            break;
        }
    }
}

#[tokio::test]
async fn a_send_is_answered_with_its_key_whether_it_has_an_id_or_not() {
    let server = Server::new().await;
    let mut raw = Raw::live(server.address, "alice").await;
    for (command, kind) in [
        (json!({"key": "k1", "to": "bob", "text": "hi"}), "ack"),
        (json!({"key": "k2", "to": "alice", "text": "hi"}), "error"),
        (json!({"key": "k3", "to": "bob", "text": " "}), "error"),
        (json!({"key": "k4", "to": "bob", "text": "a\u{0}b"}), "error"),
        (json!({"key": "k5", "text": "hi"}), "error"),
        (json!({"key": "k6", "to": "bob", "conversation": "x", "text": "hi"}), "error"),
    ] {
        let mut command = command;
        command["type"] = json!("send");
        raw.text(&command.to_string()).await;
        let reply = replies(&mut raw, 1).await.remove(0);
        assert_eq!((&reply["type"], &reply["key"]), (&json!(kind), &command["key"]), "{command}");
        assert_eq!(reply.get("id"), None);
    }
    // A command that is not a send and has no id fails without a word of its own.
    raw.text(r#"{"type":"watch","users":["bob"]}"#).await;
    assert_eq!(raw.json().await["type"], "presence");
}

#[tokio::test]
async fn texts_are_counted_in_bytes_and_in_characters() {
    let limits = Limits { text_bytes_max: 400, text_chars_max: 100, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut alice = server.connect("alice").await;
    // Four bytes a character: exactly both limits.
    let family = "\u{1F469}";
    for (n, (text, fits)) in [
        (family.repeat(100), true),
        (format!("{}aaaa", family.repeat(99)), false),
        (family.repeat(101), false),
        ("x".repeat(100), true),
        ("x".repeat(101), false),
        ("\n".to_owned() + &"x".repeat(98) + "\n", true),
    ]
    .into_iter()
    .enumerate()
    {
        alice.command(json!({"type": "send", "id": n.to_string(), "key": format!("k{n}"), "to": "bob", "text": text})).await;
        let (_, reply) = alice.up_to(if fits { "ack" } else { "error" }).await;
        assert_eq!(reply["id"], n.to_string());
        if !fits {
            assert_eq!(reply["problem"]["code"], "too_large");
        }
    }
    let limits = Limits { text_bytes_max: 400, text_chars_max: 400, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut alice = server.connect("alice").await;
    for (text, fits) in [(family.repeat(100), true), (family.repeat(100) + "x", false)] {
        alice
            .command(
                json!({"type": "send", "key": text.len().to_string(), "to": "bob", "text": text}),
            )
            .await;
        alice.up_to(if fits { "ack" } else { "error" }).await;
    }
}

#[tokio::test]
async fn the_longest_text_travels_whole_also_when_every_byte_is_escaped() {
    let server = Server::new().await;
    let mut bob = server.connect("bob").await;
    let text = "\u{1}".repeat(8_000);
    let sent = server
        .ask(Ask::new("POST", "/messages").by("alice").json(json!({"to": "bob", "content": text})))
        .await;
    assert_eq!(sent.status, 201);
    bob.next_of("event").await;
    assert_eq!(bob.next_of("event").await["event"]["text"], text);
}

#[tokio::test]
async fn sends_above_the_rate_are_refused_with_when_to_come_back_and_the_rest_goes_on() {
    let limits = Limits { sends_per_second: 2, sends_burst: 5, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut alice = server.connect("alice").await;
    // Another device of the same user has no allowance of its own.
    let mut other = server.connect("alice").await;
    let mut refused = None;
    for n in 0..20 {
        let device = if n % 2 == 0 { &mut alice } else { &mut other };
        device.command(json!({"type": "send", "id": "x", "key": format!("k{n}"), "to": "bob", "text": "hi"})).await;
        let reply = loop {
            let frame = device.next().await;
            if frame["id"] == "x" {
                break frame;
            }
        };
        if reply["type"] == "error" {
            assert_eq!(
                (&reply["problem"]["code"], &reply["key"]),
                (&json!("rate_limited"), &json!(format!("k{n}")))
            );
            assert_eq!(reply["problem"]["retryable"], true);
            let wait = reply["problem"]["retry_after_ms"].as_u64().unwrap();
            assert!((1..=500).contains(&wait), "{wait}");
            refused = Some(n);
        }
    }
    let refused = refused.expect("twenty at once are too many");
    // A time after which there is room: the same key, the same message.
    loop {
        alice.command(json!({"type": "send", "id": "x", "key": format!("k{refused}"), "to": "bob", "text": "hi"})).await;
        let reply = loop {
            let frame = alice.next().await;
            if frame["id"] == "x" {
                break frame;
            }
        };
        if reply["type"] == "ack" {
            assert_eq!(reply["duplicate"], false);
            break;
        }
        let wait = reply["problem"]["retry_after_ms"].as_u64().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    }
}

#[tokio::test]
async fn no_more_commands_are_read_than_may_be_at_work() {
    let limits = Limits { commands_in_flight_max: 4, commit_writes_max: 1, ..Limits::default() };
    let store = Moody::new();
    let server =
        Server::start(Chat::builder(TokenIsUser).store(store.clone()).limits(limits)).await;
    let group = server.group(&["alice", "bob"]).await;
    let mut raw = Raw::live(server.address, "alice").await;
    let mut bob = server.connect("bob").await;
    store.is(Mood::WritesHang);
    let typing = json!({"type": "typing", "conversation": group, "on": true}).to_string();
    for n in 0..4 {
        raw.text(&json!({"type": "send", "id": n.to_string(), "key": n.to_string(), "conversation": group, "text": "hi"}).to_string()).await;
        raw.text(&typing).await;
    }
    // The fifth command is the third typing signal; it is not read while four are at work. Two
    // signals stand behind the first two sends.
    for _ in 0..2 {
        bob.next_of("typing").await;
    }
    assert!(bob.so_far().await.iter().all(|it| it["type"] != "typing"));
    store.is(Mood::Well);
    assert_eq!(
        replies(&mut raw, 4).await.iter().map(|it| it["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
    for _ in 0..2 {
        bob.next_of("typing").await;
    }
}

struct NoSpam;

impl Policy for NoSpam {
    async fn may_message(&self, _: &UserId, to: &UserId) -> Verdict {
        if to.as_str() == "vip" { Verdict::deny("not in your contacts") } else { Verdict::Allow }
    }
}

#[tokio::test]
async fn the_hosts_rules_hold_on_both_doors() {
    let server = Server::start(Chat::builder(TokenIsUser).policy(NoSpam)).await;
    let mut alice = server.connect("alice").await;
    alice.command(json!({"type": "send", "id": "1", "key": "k", "to": "vip", "text": "hi"})).await;
    let error = alice.next_of("error").await;
    assert_eq!(
        (&error["problem"]["code"], &error["problem"]["detail"]),
        (&json!("forbidden"), &json!("not in your contacts"))
    );
    let rest = server
        .ask(Ask::new("POST", "/messages").by("alice").json(json!({"to": "vip", "content": "hi"})))
        .await;
    assert_eq!((rest.status, rest.code()), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn a_sync_runs_into_the_live_stream_without_a_seam() {
    let server = Server::new().await;
    let mut bob = server.connect("bob").await;
    let mut conversation = Value::Null;
    for n in 0..30 {
        conversation =
            json!(server.say("alice", To::User(user("bob")), &n.to_string()).await.conversation);
    }
    bob.so_far().await;
    bob.command(json!({"type": "sync", "id": "s", "conversation": conversation, "after": 12}))
        .await;
    for n in 30..60 {
        server.say("alice", To::User(user("bob")), &n.to_string()).await;
    }
    bob.next_of("done").await;
    // Live events may come before the sync began; from its first event on there is one order.
    let mut seqs = Vec::new();
    while seqs.last() != Some(&61) || !seqs.contains(&13) {
        seqs.push(bob.next_of("event").await["seq"].as_u64().unwrap());
    }
    let begin = seqs.iter().position(|seq| *seq == 13).unwrap();
    assert_eq!(seqs[begin..], (13..=61).collect::<Vec<_>>());
    assert!(bob.so_far().await.iter().all(|it| it["type"] != "event"));
}

#[tokio::test]
async fn a_sync_beyond_the_head_is_a_reset_and_of_a_foreign_log_not_found() {
    let server = Server::new().await;
    let event = server.say("alice", To::User(user("bob")), "hi").await;
    let mut bob = server.connect("bob").await;
    bob.command(json!({"type": "sync", "id": "1", "conversation": event.conversation, "after": 9}))
        .await;
    let (before, _) = bob.up_to("done").await;
    assert_eq!(before, [json!({"type": "reset", "conversation": event.conversation, "head": 2})]);
    server.say("alice", To::User(user("bob")), "more").await;
    assert_eq!(bob.next_of("event").await["seq"], 3);
    bob.command(json!({"type": "sync", "id": "2", "conversation": event.conversation, "after": 3}))
        .await;
    assert_eq!(bob.next_of("done").await["id"], "2");
    let foreign = server.group(&["alice", "carol"]).await;
    for id in [foreign.to_string(), "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e".to_owned()] {
        bob.command(json!({"type": "sync", "id": "3", "conversation": id, "after": 0})).await;
        assert_eq!(bob.next_of("error").await["problem"]["code"], "not_found");
    }
}

#[tokio::test]
async fn a_ping_shows_the_heads_of_what_is_followed_and_of_nothing_else() {
    let server = Server::with(Limits { ping_positions_max: 3, ..Limits::default() }).await;
    let event = server.say("alice", To::User(user("bob")), "hi").await;
    let foreign = server.group(&["alice", "carol"]).await;
    let mut bob = server.connect("bob").await;
    let id = event.conversation.to_string();
    bob.command(json!({"type": "ping", "positions": {&id: 1, foreign.to_string(): 1}})).await;
    assert_eq!(bob.next_of("pong").await["heads"], json!({&id: 2}));
    bob.send(r#"{"type":"ping"}"#).await;
    assert_eq!(bob.next_of("pong").await.get("heads"), None);
    let position = |n: u8| format!("0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d{n:02x}");
    let many: serde_json::Map<String, Value> = (0..4).map(|n| (position(n), json!(1))).collect();
    bob.command(json!({"type": "ping", "positions": many})).await;
    assert_eq!(bob.next_of("error").await["problem"]["code"], "malformed");
}
