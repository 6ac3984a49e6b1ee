//! What the server has: by its own interface, and in its file behind its back.

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{recording::Stored, wire};

/// As members read it over HTTP. `readers`: a token of a member of each conversation.
pub(crate) fn over_http(
    server: SocketAddr,
    readers: &BTreeMap<String, String>,
) -> io::Result<Stored> {
    let mut stored = Stored::default();
    for (conversation, token) in readers {
        let log = wire::read_log(server, token, conversation)?;
        stored.logs.insert(conversation.clone(), log);
        let path = format!("/conversations/{conversation}/members?limit=100");
        let members = wire::request(server, "GET", &path, token, None, None)?.expect(200).json();
        for member in members.as_array().into_iter().flatten() {
            let user = member["user"].as_str().unwrap_or_default().to_owned();
            let [received, read] = ["received", "read"].map(|it| member[it].as_u64().unwrap_or(0));
            stored.markers.insert((conversation.clone(), user), (received, read));
        }
    }
    Ok(stored)
}

/// As it stands in the file, which nobody has open. Also asks SQLite whether the file is whole.
pub(crate) fn in_file(path: &Path) -> Stored {
    let database = Connection::open(path).unwrap();
    let whole: String = database.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let dangling = database.prepare("PRAGMA foreign_key_check").unwrap().exists(()).unwrap();
    assert!(!dangling, "a row refers to nothing");

    let mut stored = Stored::default();
    let mut rows = database
        .prepare("SELECT conversation, seq, at, author, key, body FROM events ORDER BY 1, 2")
        .unwrap();
    let mut rows = rows.query(()).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let conversation = uuid(&row.get::<_, [u8; 16]>(0).unwrap());
        let body: String = row.get(5).unwrap();
        let mut event = json!({
            "conversation": conversation,
            "seq": row.get::<_, i64>(1).unwrap(),
            "at": rfc3339(row.get(2).unwrap()),
            "event": serde_json::from_str::<Value>(&body).unwrap(),
        });
        let author: String = row.get(3).unwrap();
        if !author.is_empty() {
            event["from"] = author.into();
        }
        if let Some(key) = row.get::<_, Option<String>>(4).unwrap() {
            event["key"] = key.into();
        }
        stored.logs.entry(conversation).or_default().push(event);
    }
    let mut rows = database
        .prepare("SELECT conversation, user, received, read FROM members WHERE role IS NOT NULL")
        .unwrap();
    let mut rows = rows.query(()).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let conversation = uuid(&row.get::<_, [u8; 16]>(0).unwrap());
        let [received, read] =
            [2, 3].map(|it| u64::try_from(row.get::<_, i64>(it).unwrap()).unwrap());
        let marker = (received, read);
        stored.markers.insert((conversation, row.get(1).unwrap()), marker);
    }
    stored
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// UTC, with milliseconds.
fn rfc3339(millis: i64) -> String {
    let (mut days, in_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let mut year = 1970;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (second, minute, hour) = (in_day / 1000 % 60, in_day / 60_000 % 60, in_day / 3_600_000);
    let (day, milli) = (days + 1, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[test]
fn times_are_written_like_on_the_wire() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(951_782_400_123), "2000-02-29T00:00:00.123Z");
    assert_eq!(rfc3339(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
}
