//! What comes in through the doors: pages, probes, scrapes, and what means no good.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{PATIENCE, Reply, Server, Start, ask, fresh, request, run, text};

#[test]
fn pages_come_with_the_headers_that_keep_browsers_careful() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    for path in ["/", "/login", "/c/0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e"] {
        let page = server.get_with(path, &[("Accept", "text/html")]).expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script-src"), "scripts fall under default-src: {policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        // The front end, or the page that says how to get it.
        assert!(page.body.contains("id=\"root\"") || page.body.contains("front end is missing"));
    }
    server.get("/assets/none-B4x.js").expect(404);
    server.post("/login", &[], &json!({})).expect(405);
    server.stop();
}

#[test]
fn answers_of_the_chat_are_data_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    for reply in [server.get("/user").expect(401), server.get("/messages/none").expect(404)] {
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
    server.stop();
}

#[test]
fn the_health_checks_tell_living_from_ready() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    assert_eq!(server.get("/healthz").expect(200).json()["status"], "ok");
    let ready = server.get("/readyz").expect(200).json();
    let checks = json!({ "store": "ok", "bus": "ok", "draining": false });
    assert_eq!(ready, json!({ "status": "ready", "checks": checks }));

    let url = format!("http://{}", server.address());
    for args in [&["healthcheck", "--url", &url][..], &["healthcheck", "--live", "--url", &url]] {
        let checked = run(folder.path(), args);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    }
    server.stop();
    let checked = run(folder.path(), ["healthcheck", "--url", &url]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
}

fn metric(server: &Server, line: &str) -> Option<f64> {
    let reply = ask(&server.metrics_address(), &request("GET", "/metrics", &[], "")).unwrap();
    let found = reply.body.lines().find_map(|it| it.strip_prefix(line).map(str::to_owned));
    found.map(|value| value.trim().parse().unwrap())
}

#[test]
fn metrics_have_a_door_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    server.get("/healthz").expect(200);
    let requests = "chat_server_requests_total{route=\"health\",status=\"2xx\"}";
    assert_eq!(metric(&server, requests), Some(1.0));
    assert!(metric(&server, "process_resident_memory_bytes").unwrap() > 1e6);
    assert!(metric(&server, "process_cpu_seconds_total").unwrap() >= 0.0);
    // Not on the public one, where the front end takes it for a place of its own.
    assert!(!server.get("/metrics").body.contains("chat_server_requests_total"));
    ask(&server.metrics_address(), &request("GET", "/", &[], "")).unwrap().expect(404);
    server.stop();

    let server = Start::new(folder.path()).env("CHAT_SERVER__METRICS__LISTEN", "off").up();
    assert_eq!(server.said("Metrics"), Some("off"));
    server.stop();
}

/// Sends as much of a request as the server takes, and answers what came back before the end.
fn pour(address: &str, head: &str, filler: &str, times: usize) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut sent = stream.write_all(head.as_bytes());
    for _ in 0..times {
        sent = sent.and_then(|()| stream.write_all(filler.as_bytes()));
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    // It may close before it has read everything, which resets the connection.
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..read]);
    }
    Reply::parse(&answer)
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let head = "GET / HTTP/1.1\r\nHost: chat.test\r\n";
    for (what, filler, times) in [
        ("many headers", "X-A: b\r\n".to_owned(), 100),
        ("a long header", format!("X-A: {}\r\n", "b".repeat(1024)), 64),
        ("a header without end", "X".repeat(1024), 64),
    ] {
        let reply = pour(&server.address(), head, &filler, times);
        assert!(reply.is_none_or(|reply| reply.status == 431 || reply.status == 400), "{what}");
    }
    // What browsers and proxies send passes.
    let headers: Vec<_> = (0..40).map(|n| format!("X-{n}")).collect();
    let headers: Vec<_> = headers.iter().map(|name| (name.as_str(), "a usual value")).collect();
    server.get_with("/healthz", &headers).expect(200);
    server.stop();
}

#[test]
fn bodies_that_are_too_large_are_refused_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let head = "POST /user/login HTTP/1.1\r\nHost: chat.test\r\nContent-Type: application/json\r\n";
    let megabyte = "a".repeat(1024 * 1024);
    let before = metric(&server, "process_resident_memory_bytes").unwrap();

    let said = format!("{head}Content-Length: {}\r\n\r\n", 64 * megabyte.len());
    let reply = pour(&server.address(), &said, &megabyte, 64);
    assert!(reply.is_none_or(|reply| reply.status == 413));

    let unsaid = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{megabyte}\r\n", megabyte.len());
    let reply = pour(&server.address(), &unsaid, &chunk, 64);
    assert!(reply.is_none_or(|reply| reply.status == 413));

    let grown = metric(&server, "process_resident_memory_bytes").unwrap() - before;
    assert!(grown < 32.0 * 1024.0 * 1024.0, "64 MB were sent twice, {grown} bytes stayed");
    server.get("/healthz").expect(200);
    server.stop();
}

#[test]
fn whoever_takes_too_long_over_a_head_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Start::new(folder.path()).arg("--http-header-timeout=300ms").up();
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: chat.test\r\n").unwrap();
    let mut silent = TcpStream::connect(server.address()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    for stream in [&mut slow, &mut silent] {
        let mut answer = Vec::new();
        // Closed, possibly with a word why; a time-out of ours would be an error.
        stream.read_to_end(&mut answer).unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    server.get("/healthz").expect(200);
    server.stop();
}

#[test]
fn above_the_limit_connections_are_refused_and_below_it_they_work_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Start::new(folder.path()).arg("--http-connections-max=3").up();
    let address = server.address();
    let mut kept: Vec<TcpStream> = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&address).unwrap();
        // An answer proves that it was taken in; it stays open behind it.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: chat.test\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        kept.push(stream);
    }
    let mut fourth = TcpStream::connect(&address).unwrap();
    fourth.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    fourth.read_to_end(&mut answer).unwrap();
    let answer = Reply::parse(&answer).unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));

    drop(kept);
    let back = (0..1000).find(|_| {
        thread::sleep(Duration::from_millis(10));
        ask(&address, &request("GET", "/healthz", &[], "")).is_ok_and(|it| it.status == 200)
    });
    assert!(back.is_some(), "{}", server.log());
    server.stop();
}

#[test]
fn live_connections_do_not_count_against_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = Start::new(folder.path()).arg("--http-connections-max=2").up();
    let (_, token) = server.register("alice", "correct horse");
    let live: Vec<_> = (0..4).map(|_| server.connect(&token)).collect();
    server.get("/healthz").expect(200);
    drop(live);
    server.stop();
}

#[test]
fn without_file_descriptors_it_waits_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let limited =
        Command::new("prlimit").args([&format!("--pid={}", server.id()), "--nofile=64"]).status();
    if !limited.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: there is no prlimit here");
        return;
    }
    let address = server.address();
    let many: Vec<_> = (0..200).filter_map(|_| TcpStream::connect(&address).ok()).collect();
    // Until it has noticed.
    let noticed = (0..1000).find(|_| {
        thread::sleep(Duration::from_millis(10));
        server.log().contains("cannot accept connections")
    });
    assert!(noticed.is_some(), "{}", server.log());
    drop(many);
    let back = (0..1000).find(|_| {
        thread::sleep(Duration::from_millis(10));
        ask(&address, &request("GET", "/healthz", &[], "")).is_ok_and(|it| it.status == 200)
    });
    assert!(back.is_some(), "{}", server.log());
    let complaints = server.log().matches("cannot accept connections").count();
    assert!(complaints < 20, "{complaints} lines about the same thing");
    server.stop();
}

#[test]
fn an_address_is_believed_from_trusted_proxies_only() {
    // Ten wrong passwords in a row for one name are more than one address would need; what is
    // looked at here is the address in the log.
    let folder = tempfile::tempdir().unwrap();
    for (trusted, expected) in [("", "127.0.0.1"), ("127.0.0.0/8", "198.51.100.7")] {
        let server =
            Start::new(folder.path()).env("CHAT_SERVER__HTTP__TRUSTED_PROXIES", trusted).up();
        let path = format!("/login-{}", fresh());
        server.get_with(&path, &[("X-Forwarded-For", "6.6.6.6, 198.51.100.7")]).expect(200);
        let log = server.log();
        let line = log.lines().find(|line| line.contains(&path)).unwrap();
        assert!(line.contains(&format!("\"client\":\"{expected}\"")), "{line}");
        server.stop();
    }
}

#[test]
fn foreign_pages_may_not_connect_unless_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let upgrade = |server: &Server, origin: &str| {
        let (_, token) = server.log_in("alice", "correct horse").expect(200).user_and_token();
        let head = request(
            "GET",
            &format!("/ws?token={token}"),
            &[
                ("Origin", origin),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Protocol", "chat.v1"),
            ],
            "",
        );
        let head = head.replace("Connection: close", "Connection: Upgrade");
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        text(&status[9..])
    };
    let server = Server::start(&folder);
    server.register("alice", "correct horse");
    assert_eq!(upgrade(&server, "http://chat.test"), "101");
    assert_eq!(upgrade(&server, "https://app.example.org"), "403");
    server.stop();
    let server = Start::new(folder.path()).arg("--http-origins=https://app.example.org").up();
    assert_eq!(upgrade(&server, "https://app.example.org"), "101");
    assert_eq!(upgrade(&server, "https://evil.example.org"), "403");
    server.stop();
}

#[test]
fn the_switch_for_development_is_loud() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let mut anybody = server.upgrade("/ws?user_id=anybody").unwrap();
    anybody.say(&json!({ "type": "hello", "version": 1 }));
    assert_eq!(anybody.close_code(), Some(4501), "nobody, without a credential");
    server.stop();
    let server = Start::new(folder.path()).arg("--auth-dev-user-ids").up();
    assert!(server.said("WARNING").unwrap().contains("anybody"), "{}", server.banner);
    let mut anybody = server.upgrade("/ws?user_id=anybody").unwrap();
    anybody.say(&json!({ "type": "hello", "version": 1 }));
    assert_eq!(anybody.hear("welcome")["user"], "anybody");
    assert!(server.log().contains("DEVELOPMENT SWITCH"));
    server.stop();
}
