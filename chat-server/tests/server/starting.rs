//! The first minute: what is printed is true, and what must not be shared is not.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::support::{Server, Start, ask, request, run, text};

#[test]
fn without_arguments_it_starts_and_says_where_everything_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let path = folder.path().canonicalize().unwrap();
    let path = path.display();

    assert!(server.banner.starts_with(&format!("chat-server {}", env!("CARGO_PKG_VERSION"))));
    assert_eq!(server.said("Data"), Some(&*format!("{path}/data")));
    assert!(server.said("Store").unwrap().starts_with("SQLite, "), "{}", server.banner);
    assert!(folder.path().join("data/chat.db").exists());
    server.get("/healthz").expect(200);
    ask(&server.metrics_address(), &request("GET", "/metrics", &[], "")).unwrap().expect(200);
    assert!(server.said("First admin").unwrap().contains("/setup?code="));
    server.stop();
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let folder = tempfile::tempdir().unwrap();
    let printed = text(&run(folder.path(), ["config", "print"]).stdout);
    for line in [
        "listen = \"127.0.0.1:8080\"",
        "data_dir = \"./data\"",
        "store = \"sqlite\"",
        "listen = \"127.0.0.1:9090\"",
        "dev_user_ids = false",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in\n{printed}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "printing makes nothing");
}

#[test]
fn the_set_up_link_makes_one_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let code = server.setup_code();
    let set_up = |name: &str, code: &str| {
        let body = json!({ "code": code, "name": name, "password": "correct horse" });
        server.post("/user/setup", &[], &body)
    };
    assert_eq!(set_up("mallory", "aaaaa-aaaaa-aaaaa-aaaaa").status, 401);
    let (_, token) = set_up("alice", &code).expect(201).user_and_token();
    server.get_with("/user", &[("Authorization", &format!("Bearer {token}"))]).expect(200);
    assert!(set_up("mallory", &code).status >= 400);
    server.stop();

    let listed = text(&run(folder.path(), ["user", "list"]).stdout);
    let alice = listed.lines().find(|line| line.starts_with("alice")).unwrap();
    assert!(alice.contains("admin"), "{listed}");
    assert!(!listed.contains("mallory"), "{listed}");

    // Not offered again.
    let server = Server::start(&folder);
    assert_eq!(server.said("First admin"), None, "{}", server.banner);
    server.stop();
}

#[test]
fn what_is_kept_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(&folder).stop();
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/secret.key"), 0o600);
    assert_eq!(mode("data/chat.db") & 0o007, 0);

    let secret = folder.path().join("data/secret.key");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Start::new(folder.path()).fails();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("can be read by everybody"), "{refused:?}");
}

#[test]
fn tokens_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let (_, token) = server.register("alice", "correct horse");
    server.stop();
    let server = Server::start(&folder);
    server.get_with("/user", &[("Authorization", &format!("Bearer {token}"))]).expect(200);
    server.stop();
}

#[test]
fn one_data_folder_is_one_servers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let second = Start::new(folder.path()).fails();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another chat-server"), "{second:?}");
    server.get("/healthz").expect(200);
    server.stop();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for variable in ["CHAT_SERVER__LISTEN", "CHAT_SERVER__METRICS__LISTEN"] {
        let folder = tempfile::tempdir().unwrap();
        let occupied = std::net::TcpListener::bind(&taken);
        let refused = Start::new(folder.path()).env(variable, &taken).fails();
        drop(occupied);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(&taken), "{refused:?}");
    }
}

#[test]
fn an_address_to_be_reached_at_is_the_one_in_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let server = Start::new(folder.path()).arg("--public-url=https://chat.example.org/").up();
    assert_eq!(server.said("Open"), Some("https://chat.example.org"));
    let link = server.said("First admin").unwrap();
    assert!(link.starts_with("https://chat.example.org/setup?code="), "{link}");
}
