//! `demo`: something to look at, and nothing left of it.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Server, Start};

fn log_ins(server: &Server) -> Vec<(String, String)> {
    let lines = server.banner.lines().filter_map(|line| line.trim().strip_prefix("Log in"));
    lines
        .map(|line| {
            let (name, password) = line.trim().split_once(' ').unwrap();
            (name.to_owned(), password.trim().to_owned())
        })
        .collect()
}

#[test]
fn the_log_ins_work_and_there_is_something_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Start::new(folder.path()).arg("demo").up();
    let data = server.said("Data").unwrap().to_owned();
    assert!(Path::new(&data).exists());
    assert!(!folder.path().join("data").exists(), "not in the present folder");

    let log_ins = log_ins(&server);
    let names: Vec<&str> = log_ins.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
    let tokens: Vec<String> = log_ins
        .iter()
        .map(|(name, password)| server.log_in(name, password).expect(200).user_and_token().1)
        .collect();
    let get = |token: &str, path: &str| {
        server.get_with(path, &[("Authorization", &format!("Bearer {token}"))]).expect(200).json()
    };

    let conversations = get(&tokens[0], "/conversations");
    let conversations = conversations.as_array().unwrap();
    assert_eq!(conversations.len(), 2);
    assert!(conversations.iter().all(|it| it["unread"] == 3), "{conversations:?}");
    let group = conversations.iter().find(|it| it["kind"] == "group").unwrap();
    assert!(group["head"].as_u64().unwrap() > 500, "{group}");
    assert_eq!(group["member_count"], 3);

    let id = group["id"].as_str().unwrap();
    let page = get(&tokens[2], &format!("/conversations/{id}/events?limit=100"));
    let times: Vec<&str> =
        page.as_array().unwrap().iter().filter_map(|event| event["at"].as_str()).collect();
    assert_eq!(times.len(), 100);
    assert!(times.is_sorted());
    assert_eq!(get(&tokens[2], "/conversations").as_array().map(Vec::len), Some(1));

    // And it is a chat.
    let mut alice = server.connect(&tokens[0]);
    let mut carol = server.connect(&tokens[2]);
    carol.hear("synced");
    alice.say(&serde_json::json!({ "type": "send", "id": "1", "key": "k", "conversation": id, "text": "hello" }));
    alice.hear("ack");
    let heard: Value = carol.hear("event");
    assert_eq!(heard["event"]["text"], "hello");

    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(!Path::new(&data).exists(), "it is gone");
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/precious"), "x").unwrap();
    let refused = Start::new(folder.path()).arg("demo").arg("--data-dir=data").fails();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not empty"), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1);

    // An empty one is taken, and stays.
    let server = Start::new(folder.path()).arg("demo").arg("--data-dir=kept").up();
    server.stop();
    assert!(folder.path().join("kept/chat.db").exists());
}
