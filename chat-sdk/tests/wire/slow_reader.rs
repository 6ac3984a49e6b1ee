//! A reader that stops: bounded, in nobody's way, and complete afterwards.

use std::time::Duration;

use chat_sdk::{Chat, Limits, To};
use serde_json::{Value, json};

use crate::support::{PATIENCE, PING, Raw, Server, TokenIsUser, frame, native};

const MAILBOX: usize = 32 * 1024;
/// What one event, escaped and framed, takes at most here.
const EVENT: usize = 8 * 1024;

fn limits() -> Limits {
    Limits {
        text_bytes_max: 1_024,
        text_chars_max: 1_024,
        mailbox_bytes_max: MAILBOX,
        sends_per_second: 1_000_000,
        sends_burst: 1_000_000,
        stall_timeout: PATIENCE,
        heartbeat: PATIENCE,
        ..Limits::default()
    }
}

async fn narrow(server: &Server, user: &str) -> Raw {
    let mut raw = Raw::open_narrow(server.address, native(user)).await;
    raw.hello().await;
    raw
}

/// The next event's place, checked against the one before.
async fn take_up_to(raw: &mut Raw, held: &mut u64, head: u64) {
    while *held < head {
        let frame: Value = raw.json().await;
        if frame["type"] == "event" {
            assert_eq!(frame["seq"], *held + 1, "no hole and no repetition");
            *held += 1;
        }
    }
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_costs_no_more_than_stated_and_misses_nothing() {
    let server = Server::start_narrow(Chat::builder(TokenIsUser).limits(limits())).await;
    let group = server.group(&["alice", "slow", "quick"]).await;
    let mut slow = narrow(&server, "slow").await;
    let mut quick = server.connect("quick").await;
    let text = "\u{1}".repeat(1_000);
    let (mut quick_held, mut slow_held) = (1, 1);
    let mut largest = 0;
    for round in 0..3 {
        for _ in 0..150 {
            let event = server.say("alice", To::Conversation(group), &text).await;
            largest = largest.max(server.chat.check().await.waiting_bytes);
            while quick_held < event.seq.get() {
                let frame = quick.next_of("event").await;
                quick_held += 1;
                assert_eq!(frame["seq"], quick_held, "the others get everything");
            }
        }
        assert!(server.chat.check().await.waiting_bytes > 0, "the slow one has stopped");
        // Reads on: some, then, in the last round, all.
        let upto = if round < 2 { slow_held + 60 } else { quick_held };
        let mut upto_now = slow_held;
        while upto_now < upto {
            upto_now += 10;
            take_up_to(&mut slow, &mut slow_held, upto_now.min(upto)).await;
            largest = largest.max(server.chat.check().await.waiting_bytes);
        }
    }
    // The quick one is read at once, so what waits is the slow one's.
    assert!(largest <= MAILBOX + EVENT, "{largest} bytes waited");
    assert_eq!(slow_held, quick_held);
    // Live again.
    server.say("alice", To::Conversation(group), "live").await;
    take_up_to(&mut slow, &mut slow_held, quick_held + 1).await;
    server.until("nothing waits", |health| health.waiting_bytes == 0).await;
}

#[tokio::test]
async fn who_only_pings_and_never_reads_costs_no_more_than_stated() {
    let limits = Limits { frames_per_second: 1_000_000, ..limits() };
    let server = Server::start_narrow(Chat::builder(TokenIsUser).limits(limits)).await;
    let mut raw = narrow(&server, "slow").await;
    let pings = frame(true, PING, &[b'x'; 125]).repeat(64);
    // Until the node reads no more.
    let mut largest = 0;
    let mut sent = 0;
    while sent < 40_000_000 {
        let writing = tokio::io::AsyncWriteExt::write_all(&mut raw.socket, &pings);
        let written = tokio::time::timeout(Duration::from_millis(300), writing).await;
        largest = largest.max(server.chat.check().await.waiting_bytes);
        if written.is_err() {
            break;
        }
        sent += pings.len();
    }
    assert!(sent < 40_000_000, "the node takes no more");
    assert!(largest <= MAILBOX + EVENT, "{largest} bytes waited");
    assert!(largest > 0, "pongs count");
}

#[tokio::test]
async fn who_does_not_read_at_all_is_closed_as_slow_and_gets_the_rest_when_back() {
    // When the close frame is written the reader must take it within the linger time: a machine
    // that is too busy to do so gets another try.
    for _ in 0..5 {
        let stall = Duration::from_secs(1);
        let limits = Limits { stall_timeout: stall, ..limits() };
        let server = Server::start_narrow(Chat::builder(TokenIsUser).limits(limits)).await;
        let group = server.group(&["alice", "slow"]).await;
        let mut slow = narrow(&server, "slow").await;
        let epoch = server.connect("x").await.welcome["epoch"].clone();
        let text = "x".repeat(1_000);
        for _ in 0..400 {
            server.say("alice", To::Conversation(group), &text).await;
        }
        tokio::time::sleep(stall * 2).await;
        let mut held = 1;
        let mut code = None;
        loop {
            match slow.frame_or_end().await {
                Some((crate::support::TEXT, text)) => {
                    let frame: Value = serde_json::from_slice(&text).unwrap();
                    if frame["type"] == "event" {
                        assert_eq!(frame["seq"], held + 1, "what arrives is whole");
                        held += 1;
                    }
                }
                Some((crate::support::CLOSE, payload)) => {
                    code = Some(u16::from_be_bytes([payload[0], payload[1]]));
                }
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
        assert!(held < 401, "it was cut off");
        let resume = json!({"epoch": epoch, "positions": {group.to_string(): held}});
        let (_slow, before) = server.resume("slow", resume).await;
        let missed =
            before.iter().filter(|it| it["type"] == "event").map(|it| it["seq"].as_u64().unwrap());
        assert_eq!(missed.collect::<Vec<_>>(), (held + 1..=401).collect::<Vec<_>>());
        if code == Some(4000) {
            return;
        }
        assert_eq!(code, None, "slow, or cut off without a word");
    }
    panic!("never closed as slow");
}

#[tokio::test]
async fn commands_of_who_does_not_read_wait_and_are_all_answered_when_they_do() {
    let limits = Limits { frames_per_second: 1_000_000, ..limits() };
    let server = Server::start_narrow(Chat::builder(TokenIsUser).limits(limits)).await;
    let slow = narrow(&server, "slow").await;
    let Raw { socket, .. } = slow;
    let (read, mut write) = socket.into_split();
    const COMMANDS: u64 = 3_000;
    let writing = tokio::spawn(async move {
        for n in 0..COMMANDS {
            let command = json!({"type": "send", "id": n.to_string(), "key": n.to_string(), "to": "bob", "text": "x".repeat(200)});
            let bytes = frame(true, crate::support::TEXT, command.to_string().as_bytes());
            tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await.unwrap();
        }
        write
    });
    // Both directions fill up; nothing is lost when one of them moves again.
    server.until("replies wait", |health| health.waiting_bytes > MAILBOX / 2).await;
    assert!(server.chat.check().await.waiting_bytes <= MAILBOX + EVENT * 5);
    let mut reader = crate::support::Frames::new(read);
    let (mut acks, mut events) = (0, 0);
    while acks < COMMANDS || events < COMMANDS + 1 {
        let frame = reader.json().await;
        match frame["type"].as_str().unwrap() {
            "ack" => {
                assert_eq!(frame["id"], acks.to_string());
                acks += 1;
            }
            "event" => {
                events += 1;
                assert_eq!(frame["seq"], events);
            }
            _ => {}
        }
    }
    writing.await.unwrap();
}
