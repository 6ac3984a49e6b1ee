//! Several servers on one PostgreSQL and one Redis, and moving to there and back.

use std::{fs, path::Path, process::Output, thread, time::Duration};

use serde_json::{Value, json};
use testbed::{Postgres, Redis};

use crate::support::{PATIENCE, Server, Start, run, text};

/// One that keeps nothing on this machine.
fn on(folder: &Path, store: &str, bus: &str) -> Start {
    Start::new(folder).env("CHAT_SERVER__STORE", store).env("CHAT_SERVER__BUS", bus)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn history(server: &Server, token: &str, with: &str) -> Vec<String> {
    let headers = [("Authorization", &*bearer(token))];
    let page = server.get_with(&format!("/messages?with={with}&limit=100"), &headers);
    let page = page.expect(200).json();
    page.as_array().unwrap().iter().map(|it| it["content"].as_str().unwrap().to_owned()).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 50 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

#[test]
fn two_settings_make_two_servers_one_chat() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (store, folder) = (postgres.new_database(), tempfile::tempdir().unwrap());
    // Both at once on an empty database, with no secret set.
    let (one, other) = thread::scope(|scope| {
        let start = || on(folder.path(), &store, &redis.url()).up();
        let (one, other) = (scope.spawn(start), scope.spawn(start));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one.setup_code(), other.setup_code());
    assert_eq!(one.said("Data"), None);
    assert!(!folder.path().join("data").exists(), "nothing is kept on this machine");
    assert!(one.said("Store").unwrap().starts_with("PostgreSQL, postgres://"), "{}", one.banner);

    let (alice, alices) = one.register("alice", "correct horse");
    let (bob, bobs) = other.register("bob", "correct horse");
    // Whoever signed up here is known there, and so is their token.
    other.log_in("alice", "correct horse").expect(200);
    let mut at_one = one.connect(&alices);
    let mut at_other = other.connect(&bobs);
    at_other.say(&json!({ "type": "watch", "users": [alice] }));
    until("alice is online", || at_other.hear("presence")["online"] == true);
    at_one.say(&json!({ "type": "send", "id": "1", "key": "k", "to": bob, "text": "over there" }));
    at_one.hear("ack");
    let heard = loop {
        let event = at_other.hear("event");
        if event["event"]["type"] == "message" {
            break event;
        }
    };
    assert_eq!(heard["event"]["text"], "over there");
    assert_eq!(history(&other, &alices, &bob), ["over there"]);

    // Logged out at one, the connection at the other ends.
    let mut elsewhere = other.connect(&alices);
    one.post("/user/logout", &[("Authorization", &bearer(&alices))], &Value::Null).expect(204);
    assert_eq!(elsewhere.close_code(), Some(4502));
    until("alice is offline", || at_other.hear("presence")["online"] == false);
    one.stop();
    other.stop();
}

#[test]
fn without_redis_all_goes_on_and_without_postgres_everybody_is_told() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (store, folder) = (postgres.new_database(), tempfile::tempdir().unwrap());
    let one = on(folder.path(), &store, &redis.url()).up();
    let other = on(folder.path(), &store, &redis.url()).up();
    let (_, alices) = one.register("alice", "correct horse");
    let (bob, bobs) = one.register("bob", "correct horse");
    let mut at_other = other.connect(&bobs);
    let send = |key: &str| {
        let headers = [("Authorization", &*bearer(&alices)), ("Idempotency-Key", key)];
        one.post("/messages", &headers, &json!({ "to": bob, "content": key }))
    };
    send("first").expect(201);
    let mut hear = |expected: &str| loop {
        if at_other.hear("event")["event"]["text"] == expected {
            break;
        }
    };
    hear("first");

    redis.kill();
    until("the bus is known to be away", || {
        let ready = one.get("/readyz").expect(200).json();
        ready["checks"]["bus"] != "ok"
    });
    send("without a bus").expect(201);
    // By the comparison of heads.
    hear("without a bus");
    redis.start_again();
    until("the bus is back", || one.get("/readyz").expect(200).json()["checks"]["bus"] == "ok");
    until("it is at the other", || other.get("/readyz").json()["checks"]["bus"] == "ok");

    postgres.crash();
    let refused = send("lost and found");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.header("retry-after").is_some());
    until("it is not ready", || one.get("/readyz").status == 503);
    postgres.start_again();
    until("it goes on by itself", || send("lost and found").status == 201);
    hear("lost and found");
    until("it is ready", || one.get("/readyz").status == 200);
    assert_eq!(history(&one, &alices, &bob), ["first", "without a bus", "lost and found"]);
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let port = testbed::free_port();
    let store = format!("postgres://chat:hunter2@127.0.0.1:{port}/chat");
    let output = on(folder.path(), &store, "local").fails();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(said.contains(&format!("postgres://chat:***@127.0.0.1:{port}/chat")), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_server_waits_for_a_database_that_starts_a_moment_later() {
    let (postgres, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    let store = postgres.new_database();
    postgres.crash();
    let server = thread::scope(|scope| {
        let starting = scope.spawn(|| on(folder.path(), &store, "local").up());
        thread::sleep(Duration::from_secs(2));
        postgres.start_again();
        starting.join().unwrap()
    });
    assert!(server.log().contains("waiting for PostgreSQL"), "{}", server.log());
    server.register("alice", "correct horse");
}

fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_chat_moves_to_postgres_and_back_with_everything_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let (alice, alices) = server.register("alice", "correct horse");
    let (bob, bobs) = server.register("bob", "battery staple");
    let mut live = server.connect(&alices);
    let mut bobs_live = server.connect(&bobs);
    for n in 1..=5 {
        live.say(&json!({ "type": "send", "id": "s", "key": format!("k-{n}"), "to": bob, "text": format!("n° {n} 🙂") }));
        live.hear("ack");
    }
    let conversation = loop {
        let event = bobs_live.hear("event");
        if event["seq"] == 3 {
            break event["conversation"].clone();
        }
    };
    bobs_live.say(&json!({ "type": "mark", "id": "m", "conversation": conversation, "read": 3 }));
    bobs_live.hear("done");
    server.stop();

    let (here, there) = (folder.path(), tempfile::tempdir().unwrap());
    let exported = succeeds(run(here, ["export", "-"]));
    assert!(exported.lines().count() > 10);
    succeeds(run(here, ["export", "chat.jsonl"]));
    assert_eq!(fs::read_to_string(here.join("chat.jsonl")).unwrap(), exported);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(here.join("chat.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "password hashes are in it");
    let again = run(here, ["export", "chat.jsonl"]);
    assert!(!again.status.success(), "what is there is not written over");

    let postgres = Postgres::start();
    let store = format!("--store={}", postgres.new_database());
    let said = succeeds(run(here, [&*store, "import", "chat.jsonl"]));
    assert!(said.contains("2 accounts and 1 conversations with 6 events, 0 of them"), "{said}");
    let again = succeeds(run(here, [&*store, "import", "chat.jsonl"]));
    assert!(again.contains("6 of them there already"), "{again}");
    let in_postgres = succeeds(run(here, [&*store, "export", "-"]));
    // Into SQLite once more, by way of a pipe that is cut off once.
    fs::write(there.path().join("half.jsonl"), &in_postgres[..in_postgres.len() / 2]).unwrap();
    let cut = run(there.path(), ["import", "half.jsonl"]);
    assert!(!cut.status.success());
    fs::write(there.path().join("all.jsonl"), &in_postgres).unwrap();
    succeeds(run(there.path(), ["import", "all.jsonl"]));
    let back = succeeds(run(there.path(), ["export", "-"]));
    // But for the name of the life, which is the first line.
    let body = |export: &str| export.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(body(&exported), body(&in_postgres));
    assert_eq!(body(&exported), body(&back));

    // And it is the same chat: passwords hold, keys hold, the marker is where it was.
    let server = Start::new(there.path()).arg(&store).up();
    let (id, token) = server.log_in("alice", "correct horse").expect(200).user_and_token();
    assert_eq!(id, alice);
    let headers = [("Authorization", &*bearer(&token)), ("Idempotency-Key", "k-5")];
    let again = server.post("/messages", &headers, &json!({ "to": bob, "content": "n° 5 🙂" }));
    assert_eq!((again.status, &again.json()["seq"]), (200, &json!(6)));
    let (_, bobs) = server.log_in("bob", "battery staple").expect(200).user_and_token();
    let list = server.get_with("/conversations", &[("Authorization", &bearer(&bobs))]);
    let list = list.expect(200).json();
    assert_eq!(list[0]["read"], 3, "{list}");
    assert_eq!(list[0]["unread"], 3, "{list}");
}

#[test]
fn an_import_into_a_store_that_a_server_uses_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    server.register("alice", "correct horse");
    succeeds(run(folder.path(), ["export", "chat.jsonl"]));
    let refused = run(folder.path(), ["import", "chat.jsonl"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("another chat-server"), "{}", text(&refused.stderr));
}
