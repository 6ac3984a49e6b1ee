//! WebSocket as RFC 6455 has it, and as it does not.

use std::time::Duration;

use chat_sdk::Limits;
use serde_json::{Value, json};

use crate::support::{BINARY, CLOSE, PING, PONG, Raw, Server, TEXT, frame};

async fn live() -> (Server, Raw) {
    let server = Server::new().await;
    let raw = Raw::live(server.address, "alice").await;
    (server, raw)
}

#[tokio::test]
async fn what_breaks_the_rules_closes_with_the_code_for_it() {
    let unmasked = [vec![0x81, 2], b"{}".to_vec()].concat();
    let mut longest = frame(true, TEXT, &vec![b' '; 70_000]);
    longest[2..10].copy_from_slice(&(1u64 << 62).to_be_bytes());
    for (code, what, bytes) in [
        (1003, "binary", frame(true, BINARY, b"{}")),
        (1007, "not UTF-8", frame(true, TEXT, b"\"\xff\"")),
        (1007, "a surrogate", frame(true, TEXT, b"\"\xed\xa0\x80\"")),
        (1007, "an overlong slash", frame(true, TEXT, b"\"\xc0\xaf\"")),
        (1007, "half a character", frame(true, TEXT, b"\"\xf0\x9f\"")),
        (1002, "not masked", unmasked),
        (1002, "a reserved bit", [vec![0xC1], frame(true, TEXT, b"{}")[1..].to_vec()].concat()),
        (1002, "an unknown opcode", frame(true, 3, b"")),
        (1002, "a continuation of nothing", frame(true, 0, b"{}")),
        (
            1002,
            "a message inside a message",
            [frame(false, TEXT, b"{"), frame(true, TEXT, b"{}")].concat(),
        ),
        (1002, "a ping in fragments", frame(false, PING, b"")),
        (1002, "a ping too long", frame(true, PING, &[b'x'; 126])),
        (1009, "a frame too big", frame(true, TEXT, &vec![b' '; 65_537])),
        (1009, "a frame far too big", frame(true, TEXT, &vec![b' '; 3_000_000])),
        (
            1009,
            "fragments too big together",
            [frame(false, TEXT, &vec![b' '; 40_000]), frame(true, 0, &vec![b' '; 40_000])].concat(),
        ),
        (1009, "a length beyond everything", longest),
    ] {
        let (_server, mut raw) = live().await;
        // Goes on writing after the server has seen enough, as a real client would.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.socket, &bytes).await;
        assert_eq!(raw.close_code().await, Some(code), "{what}");
    }
}

#[tokio::test]
async fn the_tenth_malformed_frame_closes_and_those_before_are_answered() {
    let (_server, mut raw) = live().await;
    let malformed = [
        "",
        "{",
        "hi",
        "[]",
        "null",
        "{}",
        r#"{"type":"nonsense"}"#,
        r#"{"type":"send","id":"7","key":"k","text":"hi"}"#,
        r#"["ping"]"#,
    ];
    for text in malformed {
        raw.text(text).await;
        let error = raw.json().await;
        assert_eq!(
            (&error["type"], &error["problem"]["code"]),
            (&json!("error"), &json!("malformed")),
            "{text}"
        );
        let id = if text.contains("\"7\"") { json!("7") } else { Value::Null };
        assert_eq!(error["id"], id, "{text}");
    }
    // What is well-formed in between counts for nothing.
    raw.text(r#"{"type":"ping"}"#).await;
    assert_eq!(raw.json().await["type"], "pong");
    raw.text(&"[".repeat(60_000)).await;
    assert_eq!(raw.close_code().await, Some(4500));
}

#[tokio::test]
async fn a_message_in_thousands_of_fragments_is_one_message() {
    let (_server, mut raw) = live().await;
    let text = format!(
        r#"{{"type":"send","id":"1","key":"k","to":"bob","text":"{}"}}"#,
        "\u{1F600}".repeat(3_000)
    );
    // One byte each, in the middle of characters, with pings in between and empty ones.
    let (last, first) = text.as_bytes().split_last().unwrap();
    let mut bytes = Vec::new();
    for (n, byte) in first.iter().enumerate() {
        bytes.extend(frame(false, if n == 0 { TEXT } else { 0 }, &[*byte]));
        if n % 1_000 == 500 {
            bytes.extend(frame(true, PING, b"still here"));
            bytes.extend(frame(false, 0, b""));
        }
    }
    bytes.extend(frame(true, 0, &[*last]));
    raw.write(&bytes).await;
    loop {
        let frame = raw.json().await;
        if frame["type"] == "ack" {
            assert_eq!(frame["id"], "1");
            break;
        }
    }
}

#[tokio::test]
async fn frames_in_one_packet_or_byte_by_byte_are_the_same_frames() {
    let (_server, mut raw) = live().await;
    let ping = frame(true, TEXT, br#"{"type":"ping"}"#);
    raw.write(&ping.repeat(300)).await;
    for _ in 0..300 {
        assert_eq!(raw.json().await["type"], "pong");
    }
    raw.socket.set_nodelay(true).unwrap();
    for byte in ping.repeat(3) {
        raw.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(raw.json().await["type"], "pong");
    }
}

#[tokio::test]
async fn a_ping_frame_is_answered_with_what_it_said() {
    let (_server, mut raw) = live().await;
    for payload in [&b""[..], b"are you there", &[0xff; 125]] {
        raw.write(&frame(true, PING, payload)).await;
        assert_eq!(raw.frame().await, Some((PONG, payload.to_vec())));
    }
    // A pong that nobody asked for is nothing.
    raw.write(&frame(true, PONG, b"?")).await;
    raw.text(r#"{"type":"ping"}"#).await;
    assert_eq!(raw.json().await["type"], "pong");
}

#[tokio::test]
async fn a_close_is_answered_with_its_code_and_ends_the_connection() {
    for payload in [&b"\x03\xe8bye"[..], b"\x0f\xa0", b""] {
        let (server, mut raw) = live().await;
        raw.write(&frame(true, CLOSE, payload)).await;
        let (opcode, answer) = raw.frame().await.expect("an answer");
        assert_eq!(
            (opcode, &answer[..payload.len().min(2)]),
            (CLOSE, &payload[..payload.len().min(2)])
        );
        assert_eq!(raw.frame().await, None);
        drop(raw);
        server.until("the connection is gone", |health| health.connections == 0).await;
    }
}

#[tokio::test]
async fn who_just_goes_is_gone() {
    let (server, raw) = live().await;
    raw.socket.set_zero_linger().unwrap();
    drop(raw);
    server.until("the connection is gone", |health| health.connections == 0).await;
}

#[tokio::test]
async fn who_is_silent_is_closed_and_who_only_pongs_is_not() {
    let limits = Limits { heartbeat: Duration::from_millis(400), ..Limits::default() };
    let server = Server::with(limits).await;
    let mut silent = Raw::live(server.address, "alice").await;
    let mut alive = Raw::live(server.address, "bob").await;
    let closing = silent.close_code();
    tokio::pin!(closing);
    let code = loop {
        tokio::select! {
            code = &mut closing => break code,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                alive.write(&frame(true, PONG, b"")).await;
            }
        }
    };
    assert_eq!(code, Some(4001));
    alive.text(r#"{"type":"ping"}"#).await;
    assert_eq!(alive.json().await["type"], "pong");
}

#[tokio::test]
async fn far_too_many_frames_of_any_kind_are_flooding() {
    let limits = Limits { frames_per_second: 10, ..Limits::default() };
    for bytes in
        [frame(true, TEXT, br#"{"type":"ping"}"#), frame(true, PING, b""), frame(true, PONG, b"")]
    {
        let server = Server::with(limits.clone()).await;
        let mut raw = Raw::live(server.address, "alice").await;
        let flood = bytes.repeat(5_000);
        let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.socket, &flood).await;
        assert_eq!(raw.close_code().await, Some(4004));
    }
}
