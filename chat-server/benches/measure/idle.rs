//! Connections that said hello and then nothing.

use serde_json::json;

use crate::{
    server::{Server, allow_files, user_name},
    wire::{self, Heard, Live},
};

/// Members of the groups that are followed.
const GROUP: usize = 100;

/// Opens them and prints what each costs beyond the empty server.
pub(crate) fn run(connections: usize, conversations: usize, one_user: bool) {
    allow_files(connections);
    let server = Server::start(connections);
    let (_, token) = server.register("owner");
    // Everybody is in as many groups, each time with others.
    for round in 0..conversations {
        for first in (0..connections).step_by(GROUP) {
            let members: Vec<String> = (first..(first + GROUP - 1).min(connections))
                .map(|user| user_name((user * (round + 1) + round) % connections))
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect();
            let body = json!({ "kind": "group", "title": "idle", "members": members });
            wire::request(server.address, "POST", "/conversations", &token, &body).unwrap();
        }
    }
    // What the first ones cost is the server's: threads, statements, tables.
    let warm: Vec<Live> = (0..20).map(|user| live(&server, user, one_user, &token)).collect();
    drop(warm);
    let empty = server.resident_at_rest();
    let mut open = Vec::with_capacity(connections);
    let mut followed = 0;
    for user in 0..connections {
        open.push(live(&server, user, one_user, &token));
    }
    let full = server.resident_at_rest();
    followed += conversations;
    let each = (full.saturating_sub(empty)) / connections as u64;
    drop(open);
    let after = server.resident_at_rest();
    println!(
        "idle: {connections} connections of {}, each following about {followed}: \
         {each} bytes each beyond the empty server ({} KiB empty, {} KiB with them, {} KiB after)",
        if one_user { "one user with a token" } else { "as many users" },
        empty / 1024,
        full / 1024,
        after / 1024,
    );
}

fn live(server: &Server, user: usize, one_user: bool, token: &str) -> Live {
    let who = if one_user {
        format!("token={token}")
    } else {
        format!("user_id={}", user_name(user))
    };
    let mut live = Live::open(server.address, &who, None).unwrap();
    live.hello(None).unwrap();
    loop {
        match live.hear().unwrap() {
            Heard::Text(frame) if frame["type"] == "synced" => return live,
            Heard::Text(_) => {}
            Heard::Closed(code) => panic!("closed with {code}"),
            Heard::Nothing => panic!("not live in time"),
        }
    }
}
