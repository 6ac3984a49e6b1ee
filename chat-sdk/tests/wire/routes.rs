//! Paths, methods, and writes that are repeated.

use serde_json::{Value, json};

use crate::support::{Ask, Server};

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused_with_those_that_it_does() {
    let server = Server::new().await;
    let id = server.group(&["alice", "bob"]).await;
    for (path, allow) in [
        ("/user".to_owned(), "GET"),
        ("/users?search=x".to_owned(), "GET"),
        ("/messages".to_owned(), "GET, POST"),
        ("/conversations".to_owned(), "GET, POST"),
        (format!("/conversations/{id}"), "GET, PATCH"),
        (format!("/conversations/{id}/events"), "GET"),
        (format!("/conversations/{id}/messages"), "GET, POST"),
        (format!("/conversations/{id}/messages/2"), "PATCH, DELETE"),
        (format!("/conversations/{id}/messages/2/edits"), "GET"),
        (format!("/conversations/{id}/messages/2/reactions/+1"), "PUT, DELETE"),
        (format!("/conversations/{id}/messages/2/pin"), "PUT, DELETE"),
        (format!("/conversations/{id}/marker"), "PUT"),
        (format!("/conversations/{id}/members"), "GET, POST"),
        (format!("/conversations/{id}/members/bob"), "PATCH, DELETE"),
        ("/ws".to_owned(), "GET"),
    ] {
        for method in ["HEAD", "OPTIONS", "TRACE", "BREW", "PUT", "DELETE", "get"] {
            if allow.split(", ").any(|it| it == method) {
                continue;
            }
            let reply = server.ask(Ask::new(method, &path).by("alice")).await;
            assert_eq!(
                (reply.status, reply.header("allow")),
                (405, Some(allow)),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_path_that_is_not_one_is_not_found_whoever_asks() {
    let server = Server::new().await;
    let id = server.group(&["alice", "bob"]).await;
    for path in [
        "/".to_owned(),
        "/wsx".to_owned(),
        "/ws/".to_owned(),
        "//ws".to_owned(),
        "/user/".to_owned(),
        "/messages/1".to_owned(),
        "/conversations/".to_owned(),
        "/conversations/nope".to_owned(),
        format!("/conversations/{id}/"),
        format!("/conversations/{{{id}}}"),
        format!("/conversations/{}", id.to_string().replace('-', "")),
        format!("/conversations/{id}/members/a/b"),
        format!("/conversations/{id}/members/%00"),
        format!("/conversations/{id}/members/%ff"),
        format!("/conversations/{id}/members/{}", "x".repeat(65)),
        "/%77s".to_owned(),
        "/../ws".to_owned(),
    ] {
        for ask in [Ask::get(&path), Ask::get(&path).by("alice"), Ask::new("DELETE", &path)] {
            let reply = server.ask(ask).await;
            assert_eq!((reply.status, reply.code()), (404, "not_found".to_owned()), "{path}");
        }
    }
}

#[tokio::test]
async fn a_server_without_accounts_has_no_account_routes() {
    let server = Server::new().await;
    for path in ["/user/login", "/user/register", "/user/setup", "/user/token", "/user/logout"] {
        let ask =
            Ask::new("POST", path).by("alice").json(json!({"identifier": "a", "password": "b"}));
        assert_eq!(server.ask(ask).await.code(), "not_found", "{path}");
        // Nor is it said which methods they would take.
        let other = server.ask(Ask::get(path).by("alice")).await;
        assert_eq!((other.status, other.header("allow")), (404, None), "{path}");
    }
}

#[tokio::test]
async fn the_original_routes_answer_as_they_always_did() {
    let server = Server::new().await;
    let post = Ask::new("POST", "/messages").by("alice").key("k-1");
    let sent = server.ask(post.json(json!({"to": "bob", "content": "hi"}))).await;
    assert_eq!((sent.status, sent.header("content-type")), (201, Some("application/json")));
    let sent = sent.json();
    for reader in [("alice", "bob"), ("bob", "alice")] {
        let history = Ask::get(&format!("/messages?with={}", reader.1)).by(reader.0);
        let history = server.ask(history).await;
        assert_eq!(history.status, 200);
        assert_eq!(history.json(), json!([sent]));
    }
    assert_eq!(
        (&sent["from"], &sent["to"], &sent["content"]),
        (&json!("alice"), &json!("bob"), &json!("hi"))
    );
    let id = format!("{}.{}", sent["conversation"].as_str().unwrap(), sent["seq"]);
    assert_eq!((&sent["id"], &sent["key"]), (&json!(id), &json!("k-1")));
    assert!(sent["timestamp"].as_str().unwrap().ends_with('Z'));
    // With somebody with whom nothing was said, and with oneself.
    for with in ["carol", "alice"] {
        let nothing = server.ask(Ask::get(&format!("/messages?with={with}")).by("alice")).await;
        assert_eq!((nothing.status, nothing.json()), (200, json!([])));
    }
    for with in ["", "?with=", "?with=a%00b", &format!("?with={}", "x".repeat(65))] {
        let reply = server.ask(Ask::get(&format!("/messages{with}")).by("alice")).await;
        assert_eq!(reply.code(), "invalid", "{with}");
    }
}

#[tokio::test]
async fn a_write_with_a_key_happens_once_and_is_answered_like_the_first_time() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob"]).await;
    let into = format!("/conversations/{group}/messages");
    for (path, body, other) in [
        ("/messages", json!({"to": "bob", "content": "hi"}), json!({"to": "bob", "content": "ho"})),
        (&into, json!({"text": "hi"}), json!({"text": "ho"})),
        (
            "/conversations",
            json!({"kind": "group", "title": "T", "members": ["bob", "carol"]}),
            json!({"kind": "group", "title": "U", "members": ["bob", "carol"]}),
        ),
    ] {
        let post = |key: &str, body: &Value| {
            Ask::new("POST", path).by("alice").key(key).json(body.clone())
        };
        let first = server.ask(post("k1", &body)).await;
        assert_eq!(first.status, 201, "{path}");
        let again = server.ask(post("k1", &body)).await;
        assert_eq!((again.status, again.json()), (200, first.json()), "{path}");
        let conflict = server.ask(post("k1", &other)).await;
        assert_eq!((conflict.status, conflict.code()), (409, "key_conflict".to_owned()), "{path}");
        assert_eq!(server.ask(post("k2", &body)).await.status, 201, "{path}");
        for bad in ["", &"k".repeat(65), "kl\u{e9}"] {
            assert_eq!(server.ask(post(bad, &body)).await.code(), "invalid", "{path} {bad}");
        }
    }
    // Somebody else's key of the same name is another one.
    let ask = Ask::new("POST", &into).by("bob").key("k1").json(json!({"text": "mine"}));
    assert_eq!(server.ask(ask).await.status, 201);
}

#[tokio::test]
async fn too_much_from_one_user_is_refused_with_when_to_come_back() {
    let limits = chat_sdk::Limits { sends_per_second: 1, sends_burst: 3, ..Default::default() };
    let server = Server::with(limits).await;
    let post =
        || Ask::new("POST", "/messages").by("alice").json(json!({"to": "bob", "content": "hi"}));
    let mut refused = 0;
    for _ in 0..8 {
        let reply = server.ask(post()).await;
        match reply.status {
            201 => {}
            _ => {
                assert_eq!(reply.code(), "rate_limited");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    let other =
        Ask::new("POST", "/messages").by("bob").json(json!({"to": "alice", "content": "hi"}));
    assert_eq!(server.ask(other).await.status, 201, "another user is not concerned");
}

#[tokio::test]
async fn members_are_listed_by_id_and_pages_lead_to_the_end() {
    let server = Server::new().await;
    let names: Vec<String> = (0..25).map(|n| format!("user &{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let group = server.group(&names).await;
    let mut path = format!("/conversations/{group}/members");
    let mut found = Vec::new();
    let mut query = Some("?limit=10".to_owned());
    while let Some(next) = query {
        path.truncate(path.find('?').unwrap_or(path.len()));
        path += &next;
        let page = server.ask(Ask::get(&path).by(names[3])).await;
        for member in page.json().as_array().unwrap() {
            found.push(member["user"].as_str().unwrap().to_owned());
        }
        query = page.link("next");
    }
    assert_eq!(found, names);
}

#[tokio::test]
async fn conversations_are_listed_last_active_first_and_each_once() {
    let server = Server::new().await;
    for n in 0..12 {
        server.say("alice", chat_sdk::To::User(format!("u{n:02}").parse().unwrap()), "hi").await;
    }
    server.group(&["bob", "carol"]).await;
    let (mut found, mut query) = (Vec::new(), Some("?limit=5".to_owned()));
    while let Some(next) = query {
        let page = server.ask(Ask::get(&format!("/conversations{next}")).by("alice")).await;
        found.extend(page.json().as_array().unwrap().clone());
        query = page.link("prev");
    }
    let mut others: Vec<_> =
        found.iter().map(|it| it["user"].as_str().unwrap().to_owned()).collect();
    assert!(
        found.windows(2).all(|two| two[0]["updated_at"].as_str() >= two[1]["updated_at"].as_str())
    );
    others.sort();
    assert_eq!(others, (0..12).map(|n| format!("u{n:02}")).collect::<Vec<_>>());
    for bad in ["?cursor=nonsense", "?cursor=1.2", "?limit=0", "?limit=-1", "?limit=x"] {
        let reply = server.ask(Ask::get(&format!("/conversations{bad}")).by("alice")).await;
        assert_eq!(reply.code(), "invalid", "{bad}");
    }
}
