//! PROTOCOL.md is read by machines: every example in it is a frame that this version speaks.

use chat_sdk::{
    Event,
    protocol::{ClientFrame, CloseCode, Code, ServerFrame, codec, legacy::Legacy},
};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../PROTOCOL.md");

/// The lines of all fenced blocks with this info string.
fn examples(info: &str) -> Vec<&'static str> {
    let fence = format!("```json {info}");
    let mut lines = Vec::new();
    let mut inside = false;
    for line in DOCUMENT.lines() {
        if line.starts_with("```") {
            inside = line == fence;
        } else if inside {
            lines.push(line);
        }
    }
    assert!(!lines.is_empty(), "no examples marked {info}");
    lines
}

fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"))
}

#[test]
fn what_a_client_sends_is_understood_and_written_the_same() {
    for line in examples("client") {
        let frame = codec::decode_client(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(value(&codec::encode_client(&frame)), value(line));
    }
}

#[test]
fn what_the_server_sends_is_written_as_the_document_says() {
    for line in examples("server") {
        let frame = codec::decode_server(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        let frame = frame.unwrap_or_else(|| panic!("{line}: of no known type"));
        assert_eq!(serde_json::to_value(&frame).unwrap(), value(line));
    }
}

#[test]
fn every_frame_type_has_an_example() {
    let types = |info: &str| -> Vec<String> {
        let mut types: Vec<_> = examples(info)
            .iter()
            .map(|line| value(line)["type"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types.dedup();
        types
    };
    assert_eq!(
        types("client"),
        [
            "auth", "delete", "edit", "hello", "mark", "pin", "ping", "react", "send", "sync",
            "typing", "watch"
        ]
    );
    assert_eq!(
        types("server"),
        [
            "ack", "done", "drain", "error", "event", "expiring", "left", "pong", "presence",
            "receipt", "reset", "synced", "typing", "welcome"
        ]
    );
}

#[test]
fn the_shapes_of_rest_contain_events_that_are_events() {
    let mut events = 0;
    for line in examples("rest") {
        let shape = value(line);
        for event in [&shape, &shape["last"], &shape["messages"][0]] {
            if event.get("event").is_some() {
                let read: Event = serde_json::from_value(event.clone()).unwrap();
                let mut event = event.clone();
                for more in ["edit", "reactions", "pinned"] {
                    event.as_object_mut().unwrap().remove(more);
                }
                assert_eq!(serde_json::to_value(&read).unwrap(), event);
                events += 1;
            }
        }
    }
    assert_eq!(events, 3);
}

#[test]
fn the_frames_of_the_original_clients_are_taken_and_written() {
    let mut legacy = Legacy::new("u_7".parse().unwrap(), 0);
    for line in examples("legacy-client") {
        let frame = legacy.decode(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert!(matches!(frame, ClientFrame::Command(..)), "{line}");
    }
    // The acknowledgement of the second of them, as the document shows it.
    let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let ack = r#"{"type":"ack","key":"t1","conversation":"0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e","seq":13,"at":"2026-01-02T03:04:05.678Z","duplicate":false}"#;
    let ack: ServerFrame = codec::decode_server(ack).unwrap().unwrap();
    let written = legacy.encode(&ack, now).unwrap();
    assert_eq!(value(&written), value(examples("legacy-server")[0]));
    // All of one shape.
    for line in examples("legacy-server") {
        for field in ["type", "id", "from", "to", "content", "timestamp"] {
            assert!(value(line)[field].is_string(), "{field} in {line}");
        }
    }
}

#[test]
fn the_table_of_problems_is_the_one_in_the_code() {
    for code in Code::ALL {
        let retryable = if code.retryable() { "yes" } else { "no" };
        let row = format!("| {} | {} | {retryable} |", code.name(), code.status());
        assert!(DOCUMENT.contains(&row), "{row}");
    }
    let rows = DOCUMENT.lines().filter(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        cells.len() == 6 && cells[2].parse::<u16>().is_ok() && ["yes", "no"].contains(&cells[3])
    });
    assert_eq!(rows.count(), Code::ALL.len());
}

#[test]
fn every_private_close_code_is_in_the_document_with_its_name() {
    use CloseCode::{
        Flooding, HelloTimeout, Malformed, Revoked, Silent, Slow, TokenExpired, Unauthenticated,
        Unavailable, Version,
    };
    for code in [
        Slow,
        Silent,
        TokenExpired,
        HelloTimeout,
        Flooding,
        Unavailable,
        Malformed,
        Unauthenticated,
        Revoked,
        Version,
    ] {
        let row = format!("| {} | {} |", code.code(), code.name());
        assert!(DOCUMENT.contains(&row), "{row}");
        let comes_back = code.code() < 4500;
        let stays_away = matches!(code, Malformed | Unauthenticated | Revoked | Version);
        assert_eq!(comes_back, !stays_away, "the range says what to do: {code:?}");
    }
}
