//! Which room may name which: the table of ARCHITECTURE.md, held against the `use` lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The table. A room that is missing here fails the test, as does a word too much.
const ROOMS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("sabotage", &[]),
    ("model", &[]),
    ("env", &["model"]),
    ("tls", &[]),
    // The stores of ours keep accounts too: that port is in `auth`.
    ("store", &["model", "env", "auth::accounts", "sabotage", "tls"]),
    ("events", &["model"]),
    ("policy", &["model"]),
    ("blob", &["model", "store", "env", "tls"]),
    ("bus", &["model", "store", "env", "tls"]),
    ("directory", &["model", "store"]),
    ("auth", &["model", "store", "env", "directory"]),
    ("protocol", &["model", "limits", "store"]),
    ("hub", &["model", "protocol", "sabotage"]),
    ("session", &["model", "limits", "protocol"]),
    ("erased", &["model", "store", "blob", "bus", "auth", "directory", "policy", "env"]),
    ("conversation", &["model", "limits", "store", "policy", "env", "erased", "sabotage"]),
    ("files", &["model", "limits", "store", "blob", "policy", "erased"]),
    (
        "node",
        &[
            "model",
            "limits",
            "store",
            "bus",
            "auth",
            "policy",
            "protocol",
            "hub",
            "session",
            "erased",
            "conversation",
            "files",
            "blob",
            "sabotage",
        ],
    ),
    (
        "http",
        &[
            "model",
            "limits",
            "store",
            "blob",
            "auth",
            "protocol",
            "erased",
            "conversation",
            "files",
            "node",
            // One word of the session: which frames the client speaks.
            "session::Dialect",
        ],
    ),
    // Of the store one word: the opaque token of a resume.
    ("client", &["model", "protocol", "tls", "env", "store::Checkpoint"]),
    ("conformance", &["model", "store", "blob", "bus", "auth", "erased"]),
    ("chat", &["*"]),
    ("lib", &["*"]),
];

/// Rooms that are values in, values out.
const PURE: &[&str] = &["limits", "model", "protocol", "hub", "session"];

/// The same of single files: the core of the client, beside its driver.
const PURE_FILES: &[&str] = &[
    "client/backoff.rs",
    "client/inbox.rs",
    "client/limits.rs",
    "client/link.rs",
    "client/machine.rs",
    "client/marks.rs",
    "client/news.rs",
    "client/outbox.rs",
    "client/places.rs",
    "client/resume.rs",
];

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn room(path: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let relative = path.strip_prefix(source).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every `crate::room` or `crate::room::Item` that is named, in `use` trees and in paths.
fn named(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(at) = rest.find("crate::") {
        rest = &rest[at + "crate::".len()..];
        if let Some(tree) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut item = String::new();
            for c in tree.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && c == ',') {
                    found.insert(std::mem::take(&mut item).split_whitespace().collect());
                } else {
                    item.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            let path: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, ':' | '_'))
                .collect();
            found.insert(path.trim_end_matches(':').to_owned());
        }
    }
    found.remove("");
    found
}

#[test]
fn every_room_names_only_those_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files(&source) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let room = room(&path);
        let allowed = table.get(&*room).unwrap_or_else(|| panic!("{room} has no row in the table"));
        seen.insert(room.clone());
        for name in named(&code(&path)) {
            let other = name.split("::").next().unwrap().to_owned();
            if other == room || allowed.contains(&"*") {
                continue;
            }
            // Names that lib.rs gives to hosts are not for our own rooms.
            let fits = allowed.iter().any(|allowed| *allowed == other || name.starts_with(allowed));
            if !fits {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let missing: Vec<_> = table.keys().filter(|room| !seen.contains(**room)).collect();
    assert!(missing.is_empty(), "rows without a room: {missing:?}");
}

#[test]
fn the_pure_rooms_touch_nothing_outside() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let forbidden = [
        "tokio",
        "hyper",
        "rusqlite",
        "std::net",
        "std::fs",
        "std::io",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "tracing::",
        ".await",
        "async fn",
    ];
    for path in files(&source) {
        let pure = PURE.contains(&&*room(&path)) || PURE_FILES.iter().any(|it| path.ends_with(it));
        if !pure || path.ends_with("tests.rs") {
            continue;
        }
        let code = code(&path);
        for word in forbidden {
            assert!(!code.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn only_one_file_a_side_knows_tungstenite() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut knowing: Vec<_> = files(&source)
        .into_iter()
        .filter(|path| code(path).contains("tungstenite::"))
        .map(|path| path.strip_prefix(&source).unwrap().display().to_string())
        .collect();
    knowing.sort();
    // The client's socket; and of the server the handshake's key in the one, the frames in the other.
    assert_eq!(knowing, ["client/socket.rs", "http/upgrade.rs", "http/websocket.rs"]);
}

#[test]
fn the_table_in_the_document_is_this_one() {
    let document = include_str!("../ARCHITECTURE.md");
    for (room, allowed) in ROOMS {
        if allowed.contains(&"*") {
            continue;
        }
        let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
        let row = format!("| {room} | {allowed} |");
        assert!(document.contains(&row), "missing in ARCHITECTURE.md: {row}");
    }
}
