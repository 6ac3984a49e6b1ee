//! The documents as they are served. That everything else said here is in them is checked by
//! `support::described` in every other test.

use std::panic::AssertUnwindSafe;

use chat_sdk::Chat;
use serde_json::json;

use crate::support::{Ask, Reply, Server, TokenIsUser, described};

#[tokio::test]
async fn the_documents_are_kept_until_they_change() {
    let server = Server::new().await;
    for path in ["/openapi.json", "/asyncapi.json", "/api"] {
        let first = server.ask(Ask::get(path)).await;
        assert_eq!(first.status, 200);
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let tag = first.header("etag").unwrap();
        for held in [tag, &format!("\"other\", W/{tag}")] {
            let again = server.ask(Ask::get(path).header("if-none-match", held)).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
            assert_eq!(again.header("etag"), Some(tag));
        }
        let other = server.ask(Ask::get(path).header("if-none-match", "\"other\"")).await;
        assert_eq!(other.body, first.body);
    }
    let document = server.ask(Ask::get("/openapi.json")).await;
    assert_eq!(document.body, server.chat.openapi());
    assert_eq!(document.json()["servers"], json!([{"url": "."}]), "wherever it is mounted");
}

#[tokio::test]
async fn the_page_may_run_its_own_script_and_ask_its_own_server() {
    let server = Server::new().await;
    let page = server.ask(Ask::get("/api")).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.contains("connect-src 'self'") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn a_description_that_is_none_is_refused_at_the_start() {
    let chat = Chat::builder(TokenIsUser).described_beside("[]").start().await;
    assert_eq!(chat.unwrap_err().to_string(), "description refused");
}

/// What was answered, changed a little.
fn fails(server: &Server, ask: &Ask, reply: &Reply, change: impl FnOnce(&mut Reply)) -> bool {
    let mut changed =
        Reply { status: reply.status, headers: reply.headers.clone(), body: reply.body.clone() };
    change(&mut changed);
    let checked = || described::check_answer(&server.chat, ask, &changed);
    std::panic::catch_unwind(AssertUnwindSafe(checked)).is_err()
}

#[tokio::test]
async fn what_is_not_described_is_noticed() {
    let server = Server::new().await;
    let ask = Ask::new("POST", "/messages").by("alice").json(json!({"to": "bob", "content": "hi"}));
    let reply = server.ask(ask.clone()).await;
    let with =
        |body: serde_json::Value| move |reply: &mut Reply| reply.body = body.to_string().into();
    let mut more = reply.json();
    more["mood"] = json!("good");
    let mut less = reply.json();
    less.as_object_mut().unwrap().remove("seq");
    let mut other = reply.json();
    other["seq"] = json!("1");
    assert!(!fails(&server, &ask, &reply, |_| {}));
    assert!(fails(&server, &ask, &reply, with(more)), "a field too much");
    assert!(fails(&server, &ask, &reply, with(less)), "a field too little");
    assert!(fails(&server, &ask, &reply, with(other)), "a field of another type");
    assert!(fails(&server, &ask, &reply, |it| it.status = 202), "a status");
    assert!(fails(&server, &ask, &reply, |it| it.headers.push(("Link".into(), "<>".into()))));
    let typing = json!({"type": "typing", "user": "bob", "on": true,
        "conversation": "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e"});
    described::check_frame(&typing);
    for (name, value) in [("on", json!("yes")), ("mood", json!(1)), ("type", json!("shout"))] {
        let mut frame = typing.clone();
        frame[name] = value;
        let checked = || described::check_frame(&frame);
        assert!(std::panic::catch_unwind(checked).is_err(), "{frame}");
    }
}
