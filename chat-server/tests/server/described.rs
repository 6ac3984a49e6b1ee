//! What this server says of itself: that it is all, and that it is so, whatever is asked.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::{Value, json};
use testbed::Postgres;

use crate::support::{Reply, Server, Start, ask, request};

const ROUTER: &str = include_str!("../../src/router.rs");

/// The first segments that are no page, read from the source.
fn answered() -> BTreeSet<String> {
    let arms = ROUTER.lines().filter_map(|line| {
        let (names, _) = line.trim().strip_prefix("Some(\"")?.split_once("\") => Route::")?;
        Some(names.split("\" | \"").map(str::to_owned))
    });
    arms.flatten().collect()
}

/// One segment of each path, and of the only route of another door.
fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let elsewhere = |path: &str| paths[path].get("servers").is_some();
    let here = paths.keys().filter(|path| !elsewhere(path));
    here.map(|path| path.split('/').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn every_route_of_this_server_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let document = server.get("/openapi.json").expect(200).json();
    assert_eq!(described(&document), answered());
    assert!(document["paths"]["/user/login"]["post"].is_object());

    let as_described = |path: &str, reply: &Reply| {
        let response = &document["paths"][path]["get"]["responses"][reply.status.to_string()];
        let content = response["content"].as_object().unwrap();
        let kind = reply.header("content-type").unwrap().split(';').next().unwrap();
        let mut schema = content.get(kind).unwrap_or_else(|| panic!("{kind}"))["schema"].clone();
        schema["components"] = document["components"].clone();
        if kind == "application/json" {
            jsonschema::validate(&schema, &reply.json()).unwrap();
        }
    };
    for path in ["/healthz", "/readyz"] {
        as_described(path, &server.get(path).expect(200));
        let head = ask(&server.address(), &request("HEAD", path, &[], "")).unwrap();
        assert_eq!((head.status, &*head.body), (200, ""));
        for method in ["POST", "DELETE", "TRACE"] {
            let reply = ask(&server.address(), &request(method, path, &[], "")).unwrap();
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
        }
    }
    let metrics = ask(&server.metrics_address(), &request("GET", "/metrics", &[], "")).unwrap();
    as_described("/metrics", &metrics.expect(200));
    let page = server.get("/api").expect(200);
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    server.stop();
}

/// Somebody's token, three users, and conversations of theirs in which something was said.
fn town(server: &Server) -> (String, Vec<String>, Vec<String>) {
    let people = ["alice", "bob", "carol"].map(|name| server.register(name, "correct horse"));
    let users: Vec<_> = people.iter().map(|(user, _)| user.clone()).collect();
    let token = people[0].1.clone();
    let bearer = format!("Bearer {token}");
    let post = |path: &str, body: &Value, status: u16| {
        server.post(path, &[("Authorization", &bearer)], body).expect(status).json()
    };
    let group = |kind: &str| json!({"kind": kind, "title": "Boats", "members": users});
    let conversations = [
        post("/conversations", &group("group"), 201),
        post("/conversations", &group("channel"), 201),
        post("/conversations", &json!({"kind": "direct", "user": users[2]}), 200),
    ];
    let ids: Vec<String> =
        conversations.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    for id in &ids {
        for n in 0..25 {
            let path = format!("/conversations/{id}/messages");
            post(&path, &json!({"text": format!("number {n}")}), 201);
        }
    }
    (token, users, ids)
}

/// Asks for everything in every way that the document allows, and in many that it does not.
fn fuzz(start: Start) {
    let program =
        std::env::var("SCHEMATHESIS").expect("`make fuzz-api` says where schemathesis is");
    let server = start
        .env("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "1000")
        .env("CHAT_SERVER__LIMITS__SENDS_BURST", "10000")
        .env("CHAT_SERVER__LOG__LEVEL", "warn")
        .up();
    let (token, users, conversations) = town(&server);
    let url = format!("http://{}", server.address());
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/fuzz/hooks.py");
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "missing_required_header",
        "unsupported_method",
        "allow_header_conformance",
        "ignored_auth",
    ];
    let folder = tempfile::tempdir().unwrap();
    let ended = Command::new(program)
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", hooks)
        .env("FUZZ_CONVERSATIONS", conversations.join(","))
        .env("FUZZ_USERS", users.join(","))
        .args(["--no-color", "run", &format!("{url}/openapi.json"), "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--seed", "1", "--max-examples", "40", "--continue-on-failure"])
        // In other orders than the stateful phase has there is no more to find, and it takes minutes.
        .args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"])
        .args(["--warnings", "off", "--checks", &checks.join(",")])
        // The token is that of everything else; another door; not HTTP.
        .args(["--exclude-path", "/user/logout", "--exclude-path", "/metrics"])
        .args(["--exclude-path", "/ws"])
        // Uploads refuse another version of tus with 412, as tus wants it, which it takes for "accepted".
        .args(["--exclude-operation-id", "beginUpload", "--exclude-operation-id", "upload"])
        .args(["--exclude-operation-id", "goOn", "--exclude-operation-id", "giveUp"])
        .status()
        .unwrap();
    let log = server.log();
    assert!(ended.success(), "see above; the server said:\n{log}");
    assert!(!log.contains("ERROR"), "{log}");
    server.stop();
}

#[test]
#[ignore = "make fuzz-api: wants schemathesis, and half a minute"]
fn whatever_is_asked_is_answered_as_described_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    fuzz(Start::new(folder.path()));
}

#[test]
#[ignore = "make fuzz-api: wants schemathesis, and half a minute"]
fn whatever_is_asked_is_answered_as_described_on_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start();
    fuzz(Start::new(folder.path()).env("CHAT_SERVER__STORE", &postgres.new_database()));
}
