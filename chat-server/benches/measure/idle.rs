//! Connections that said hello and then nothing.

use serde_json::json;

use crate::{
    server::{Server, allow_files, user_name},
    wire::{self, Heard, Live},
};

/// Members of the groups that are followed, beside their owner.
const GROUP: usize = 99;

/// Opens them and prints what each costs beyond the empty server.
pub(crate) fn run(connections: usize, conversations: usize, one_user: bool) {
    allow_files(connections);
    let (server, token) =
        Server::start(connections, |server| prepare(server, connections, conversations));
    // What the first ones cost is the server's: threads, statements, tables.
    let warm: Vec<Live> = (0..20).map(|user| live(&server, user, one_user, &token)).collect();
    drop(warm);
    let empty = server.resident_at_rest();
    let mut open = Vec::with_capacity(connections);
    let mut seen = Vec::new();
    for user in 0..connections {
        open.push(live(&server, user, one_user, &token));
        if (user + 1) % connections.div_ceil(4) == 0 || user + 1 == connections {
            seen.push((open.len() as u64, server.resident_at_rest()));
        }
    }
    println!(
        "idle: {connections} connections of {}, each following {conversations} conversations; {} KiB empty",
        if one_user { "one user with a token" } else { "as many users" },
        empty / 1024,
    );
    let mut before = (0, empty);
    for (open, resident) in seen {
        println!(
            "  {open} open: {} KiB, {} bytes each; the last {} cost {} each",
            resident / 1024,
            resident.saturating_sub(empty) / open,
            open - before.0,
            resident.saturating_sub(before.1) / (open - before.0),
        );
        before = (open, resident);
    }
    // They are still there, and each is answered.
    for live in &mut open {
        live.say(&json!({ "type": "ping" })).unwrap();
        wait_for(live, "pong");
    }
    println!("  all answered: {} KiB", server.resident_at_rest() / 1024);
    drop(open);
    println!("  none open: {} KiB", server.resident_at_rest() / 1024);
}

/// Everybody is in as many groups, each time with others. A token of somebody who connects to none
/// of them.
fn prepare(server: &Server, connections: usize, conversations: usize) -> String {
    let (_, token) = server.register("owner");
    for round in 0..conversations {
        for first in (0..connections).step_by(GROUP) {
            let shift = round * (GROUP / 2 - 1);
            let members: Vec<String> = (first..(first + GROUP).min(connections))
                .map(|user| user_name((user + shift) % connections))
                .collect();
            let body = json!({ "kind": "group", "title": "idle", "members": members });
            wire::request(server.address, "POST", "/conversations", &token, &body).unwrap();
        }
    }
    token
}

fn live(server: &Server, user: usize, one_user: bool, token: &str) -> Live {
    let who =
        if one_user { format!("token={token}") } else { format!("user_id={}", user_name(user)) };
    let mut live = Live::open(server.address, &who, None).unwrap();
    live.hello(None).unwrap();
    wait_for(&mut live, "synced");
    live
}

fn wait_for(live: &mut Live, kind: &str) {
    loop {
        match live.hear().unwrap() {
            Heard::Text(frame) if frame["type"] == kind => return,
            Heard::Text(_) => {}
            Heard::Closed(code) => panic!("closed with {code}"),
            Heard::Nothing => panic!("no {kind} in time"),
        }
    }
}
