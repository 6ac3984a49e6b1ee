//! Bodies of requests as nobody should send them.

use std::time::Duration;

use chat_sdk::Limits;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Ask, Server, read_reply};

fn post() -> Ask {
    Ask::new("POST", "/messages").by("alice")
}

fn typed() -> Ask {
    post().header("content-type", "application/json")
}

async fn stored(server: &Server) -> usize {
    let history = server.ask(Ask::get("/messages?with=bob").by("alice")).await;
    history.json().as_array().unwrap().len()
}

#[tokio::test]
async fn a_body_that_is_not_what_the_route_takes_is_refused_and_changes_nothing() {
    let server = Server::with(Limits { body_bytes_max: 256 * 1024, ..Limits::default() }).await;
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("malformed", b"".to_vec()),
        ("malformed", b"{".to_vec()),
        ("malformed", b"hi".to_vec()),
        ("malformed", b"{\"to\":\"bob\",\"content\":\"hi\"} x".to_vec()),
        ("malformed", b"\xef\xbb\xbf{\"to\":\"bob\",\"content\":\"hi\"}".to_vec()),
        ("malformed", b"{\"to\":\"bob\",\"content\":\"\xff\xfe\"}".to_vec()),
        ("malformed", b"{\"to\":\"bob\",\"content\":\"a\0b\"}".to_vec()),
        ("malformed", b"{\"to\":\"bob\",\"content\":\"\\ud800\"}".to_vec()),
        // Lists are no objects, although their items could be taken for the fields.
        ("malformed", b"[\"bob\",\"hi\"]".to_vec()),
        ("malformed", b"null".to_vec()),
        ("malformed", b"42".to_vec()),
        ("malformed", deep(10).into_bytes()),
        ("malformed", deep(100_000).into_bytes()),
        ("invalid", b"{}".to_vec()),
        ("invalid", b"{\"to\":\"bob\"}".to_vec()),
        ("invalid", b"{\"to\":\"bob\",\"content\":\"hi\",\"from\":\"carol\"}".to_vec()),
        ("invalid", b"{\"to\":\"bob\",\"to\":\"carol\",\"content\":\"hi\"}".to_vec()),
        ("invalid", b"{\"to\":\"bob\",\"content\":17}".to_vec()),
        ("invalid", b"{\"to\":\"bob\",\"content\":\"a\\u0000b\"}".to_vec()),
        ("invalid", b"{\"to\":\"b\\u0000b\",\"content\":\"hi\"}".to_vec()),
        ("invalid", b"{\"to\":\"bob\",\"content\":\" \\t\\n\"}".to_vec()),
        ("invalid", b"{\"to\":\"\",\"content\":\"hi\"}".to_vec()),
        ("invalid", b"{\"to\":\"alice\",\"content\":\"to myself\"}".to_vec()),
        ("invalid", format!("{{\"to\":\"bob\",\"content\":{}}}", deep(10)).into_bytes()),
        ("invalid", format!("{{\"to\":\"bob\",\"content\":{}}}", deep(100_000)).into_bytes()),
        ("invalid", format!("{{\"x\":{}}}", deep(100_000)).into_bytes()),
        (
            "too_large",
            json!({"to": "bob", "content": "x".repeat(16 * 1024 + 1)}).to_string().into(),
        ),
        ("too_large", json!({"to": "bob", "content": "x".repeat(8_001)}).to_string().into()),
        ("too_large", json!({"to": "bob", "content": "x".repeat(300 * 1024)}).to_string().into()),
    ];
    for (code, body) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(server.ask(typed().body(body)).await.code(), code, "{shown}");
    }
    assert_eq!(stored(&server).await, 0);
}

#[tokio::test]
async fn unknown_fields_are_refused_on_every_route_that_takes_a_body() {
    let server = Server::new().await;
    let id = server.group(&["alice", "bob"]).await;
    for (method, path, body) in [
        ("POST", "/messages".to_owned(), json!({"to": "bob", "content": "hi", "at": 1})),
        (
            "POST",
            "/conversations".to_owned(),
            json!({"kind": "direct", "user": "bob", "title": "x"}),
        ),
        (
            "POST",
            "/conversations".to_owned(),
            json!({"kind": "group", "title": "x", "members": [], "role": "owner"}),
        ),
        (
            "POST",
            "/conversations".to_owned(),
            json!({"kind": "party", "title": "x", "members": []}),
        ),
        ("PATCH", format!("/conversations/{id}"), json!({"title": "x", "head": 7})),
        ("PATCH", format!("/conversations/{id}"), json!({})),
        ("PATCH", format!("/conversations/{id}"), json!({"title": null})),
        ("PATCH", format!("/conversations/{id}"), json!({"topic": "a\u{7}"})),
        ("PATCH", format!("/conversations/{id}"), json!({"topic": " "})),
        ("POST", format!("/conversations/{id}/members"), json!({"users": [], "role": "god"})),
        ("POST", format!("/conversations/{id}/messages"), json!({"text": "hi", "from": "bob"})),
        ("PUT", format!("/conversations/{id}/marker"), json!({"read": 1, "user": "bob"})),
        ("PUT", format!("/conversations/{id}/marker"), json!({"read": -1})),
        ("PUT", format!("/conversations/{id}/marker"), json!({"read": "1"})),
        (
            "POST",
            format!("/conversations/{id}/members"),
            json!({"users": ["carol"], "role": "owner", "x": 1}),
        ),
        ("PATCH", format!("/conversations/{id}/members/bob"), json!({"role": "god"})),
        ("PATCH", format!("/conversations/{id}/members/bob"), json!({"role": "owner", "x": 1})),
    ] {
        let reply = server.ask(Ask::new(method, &path).by("alice").json(body.clone())).await;
        assert_eq!((reply.status, reply.code()), (422, "invalid".to_owned()), "{path} {body}");
    }
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    let server = Server::new().await;
    let body = json!({"to": "bob", "content": "hi"}).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]
    {
        let reply = server.ask(post().header("content-type", content_type).body(&*body)).await;
        assert_eq!(
            (reply.status, reply.code()),
            (415, "unsupported_media_type".to_owned()),
            "{content_type}"
        );
    }
    assert_eq!(server.ask(post().body(&*body)).await.status, 415);
    for encoding in ["gzip", "br", "identity, gzip"] {
        let reply = server.ask(typed().header("content-encoding", encoding).body(&*body)).await;
        assert_eq!(reply.code(), "unsupported_media_type", "{encoding}");
    }
    assert_eq!(stored(&server).await, 0);
    for content_type in ["application/json", "APPLICATION/JSON; charset=utf-8"] {
        let reply = server.ask(post().header("content-type", content_type).body(&*body)).await;
        assert_eq!(reply.status, 201, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whatever_its_length_is_said_to_be() {
    let server = Server::new().await;
    // Announced: refused before a byte of it is taken.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let announced = typed().header("content-length", "1000000000000");
    socket.write_all(&announced.body("{").head()).await.unwrap();
    assert_eq!(read_reply(&mut socket, false).await.unwrap().status, 413);

    // Not announced: refused when it is too much.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let chunked = typed().header("transfer-encoding", "chunked");
    socket.write_all(&chunked.body("").head()).await.unwrap();
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    for _ in 0..65 {
        // May find the door closed already.
        let _ = socket.write_all(chunk.as_bytes()).await;
    }
    assert_eq!(read_reply(&mut socket, false).await.unwrap().status, 413);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let limits = Limits { body_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = Server::with(limits).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let slow = typed().header("content-length", "100").body("");
    socket.write_all(&slow.head()).await.unwrap();
    socket.write_all(b"{\"to\":").await.unwrap();
    let reply = read_reply(&mut socket, false).await.unwrap();
    assert_eq!((reply.status, reply.code()), (408, "timeout".to_owned()));
}

#[tokio::test]
async fn a_body_that_breaks_off_does_nothing() {
    let server = Server::new().await;
    let body = json!({"to": "bob", "content": "hi"}).to_string();
    for length in [body.len() + 1, 60_000] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let broken = typed().header("content-length", &length.to_string()).body(&*body);
        socket.write_all(&[broken.head(), body.clone().into_bytes()].concat()).await.unwrap();
        socket.shutdown().await.unwrap();
        // Nobody is there to be told; if there is an answer, it is a refusal.
        if let Some(reply) = read_reply(&mut socket, false).await {
            assert_eq!(reply.code(), "malformed");
        }
    }
    assert_eq!(stored(&server).await, 0);
}
