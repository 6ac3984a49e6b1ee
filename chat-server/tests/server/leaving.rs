//! Leaving in good order, and in bad.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Reply, Server, Start};

/// Everything alice and bob have said to each other.
fn history(server: &Server, token: &str, with: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    let mut path = format!("/messages?with={with}&limit=100");
    loop {
        let page = server.get_with(&path, &[("Authorization", &format!("Bearer {token}"))]);
        let page = page.expect(200).json().as_array().unwrap().clone();
        let Some(oldest) = page.first() else {
            return all;
        };
        path = format!("/messages?with={with}&limit=100&before={}", oldest["seq"]);
        all.splice(0..0, page);
    }
}

#[test]
fn what_was_acknowledged_before_the_end_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Start::new(folder.path())
        .arg("--drain-clients=1s")
        .arg("--limits-sends-per-second=100000")
        .arg("--limits-sends-burst=100000")
        .up();
    let (_, alice) = server.register("alice", "correct horse");
    let (bob, _) = server.register("bob", "correct horse");
    let leaving = AtomicBool::new(false);
    let begun = AtomicBool::new(false);

    let acknowledged = thread::scope(|scope| {
        let over_http = scope.spawn(|| {
            let mut acknowledged = BTreeSet::new();
            for n in 0.. {
                let text = format!("http {n}");
                let headers = [
                    ("Content-Type", "application/json"),
                    ("Authorization", &*format!("Bearer {alice}")),
                    ("Idempotency-Key", &*format!("h-{n}")),
                ];
                let body = json!({ "to": bob, "content": text }).to_string();
                let request = crate::support::request("POST", "/messages", &headers, &body);
                match crate::support::ask(&server.address(), &request) {
                    Ok(reply) if reply.status == 201 => {
                        acknowledged.insert(text);
                    }
                    // A clear refusal while it leaves, and then nobody is there.
                    Ok(reply) => {
                        assert!(leaving.load(Ordering::SeqCst), "{reply:?}");
                        assert_eq!(reply.status, 503, "{reply:?}");
                    }
                    Err(_) => {
                        assert!(leaving.load(Ordering::SeqCst));
                        return acknowledged;
                    }
                }
            }
            acknowledged
        });
        let live: Vec<_> = (0..3)
            .map(|client| {
                let mut socket = server.connect(&alice);
                let (bob, begun) = (&bob, &begun);
                scope.spawn(move || {
                    let mut acknowledged = BTreeSet::new();
                    let mut drained = false;
                    for n in 0.. {
                        let text = format!("live {client} {n}");
                        let key = format!("l-{client}-{n}");
                        let send = json!({ "type": "send", "id": key, "key": key, "to": bob, "text": text });
                        if socket.try_say(&send).is_err() {
                            break;
                        }
                        begun.store(true, Ordering::SeqCst);
                        match answer(&mut socket, &key, &mut drained) {
                            Ok(true) => {
                                acknowledged.insert(text);
                            }
                            Ok(false) => {}
                            Err(code) => {
                                assert_eq!(code, Some(1012), "closed as restarting");
                                break;
                            }
                        }
                    }
                    assert!(drained, "told when to move");
                    acknowledged
                })
            })
            .collect();
        while !begun.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(200));
        leaving.store(true, Ordering::SeqCst);
        server.signal("TERM");
        let mut acknowledged = over_http.join().unwrap();
        for live in live {
            acknowledged.extend(live.join().unwrap());
        }
        acknowledged
    });
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("\"done\""), "{}", server.log());

    let server = Server::start(&folder);
    let history = history(&server, &alice, &bob);
    let kept: Vec<&str> = history.iter().filter_map(|it| it["content"].as_str()).collect();
    let once: BTreeSet<String> = kept.iter().map(|&text| text.to_owned()).collect();
    assert_eq!(once.len(), kept.len(), "nothing twice");
    let lost: Vec<_> = acknowledged.difference(&once).collect();
    assert!(lost.is_empty(), "{} acknowledged, lost {lost:?}", acknowledged.len());
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    server.stop();
}

/// Whether the send was taken; the close code when there is no answer.
fn answer(
    socket: &mut crate::support::Live,
    id: &str,
    drained: &mut bool,
) -> Result<bool, Option<u16>> {
    loop {
        let frame = socket.next()?;
        match frame["type"].as_str() {
            Some("drain") => *drained = true,
            Some("ack") if frame["id"] == id => return Ok(true),
            Some("error") if frame["id"] == id => return Ok(false),
            _ => {}
        }
    }
}

#[test]
fn while_it_leaves_it_is_alive_and_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Start::new(folder.path()).arg("--drain-notice=2s").up();
    let (_, token) = server.register("alice", "correct horse");
    server.signal("TERM");
    let not_ready = (0..1000).find_map(|_| {
        thread::sleep(Duration::from_millis(2));
        let reply = server.get("/readyz");
        (reply.status == 503).then_some(reply)
    });
    let report = not_ready.expect("it is not ready at some point").json();
    assert_eq!(report["checks"]["draining"], true);
    // Everything else goes on during the notice.
    server.get("/healthz").expect(200);
    server.get_with("/user", &[("Authorization", &format!("Bearer {token}"))]).expect(200);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn a_request_that_is_being_answered_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Start::new(folder.path()).arg("--drain-clients=0s").up();
    server.register("alice", "correct horse");
    // Half of a request is there when the end begins, and the rest comes after it.
    let body = json!({ "identifier": "alice", "password": "correct horse" }).to_string();
    let request = crate::support::request(
        "POST",
        "/user/login",
        &[("Content-Type", "application/json")],
        &body,
    );
    let (first, rest) = request.split_at(request.len() - 5);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    // It has the head: another request on another connection was answered behind it.
    server.get("/healthz").expect(200);
    thread::sleep(Duration::from_millis(100));
    server.signal("TERM");
    while !server.log().contains("leaving") {
        thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = Reply::parse(&answer).expect("an answer, and not a closed connection");
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn an_idle_connection_does_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Start::new(folder.path()).arg("--http-header-timeout=1h").up();
    let mut idle = TcpStream::connect(server.address()).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: chat.test\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("\"done\""), "{}", server.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Start::new(folder.path()).arg("--drain-notice=1h").arg("--drain-limit=2h").up();
    server.signal("TERM");
    while !server.log().contains("leaving") {
        thread::sleep(Duration::from_millis(5));
    }
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(130), "{}", server.log());
}

#[test]
fn the_limit_is_kept_whatever_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Start::new(folder.path())
        .arg("--drain-clients=0s")
        .arg("--drain-limit=2s")
        .arg("--http-header-timeout=1h")
        .up();
    // A request that never ends: its body does not come.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(
            b"POST /user/login HTTP/1.1\r\nHost: chat.test\r\nContent-Type: application/json\r\n\
              Content-Length: 100\r\n\r\n{",
        )
        .unwrap();
    server.get("/healthz").expect(200);
    server.signal("TERM");
    // The exit code says that something was left undone.
    assert_eq!(server.wait().code(), Some(1), "{}", server.log());
    assert!(server.log().contains("the limit came first"), "{}", server.log());
}
