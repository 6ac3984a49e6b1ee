//! The door with a certificate of its own.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tempfile::TempDir;
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

use crate::support::{PATIENCE, Reply, Server, Start, fresh, program, request, run, text};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A new certificate in a folder as Kubernetes mounts one: the files are links into a folder that is
/// a link itself, and that is swapped. What a client needs to trust it.
fn mount(folder: &Path) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.subject_alt_names.push(rcgen::SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    swap(folder, &cert.pem(), &key.serialize_pem());
    cert.pem().into_bytes()
}

fn swap(folder: &Path, cert: &str, key: &str) {
    let version = format!("..{}", fresh());
    fs::create_dir(folder.join(&version)).unwrap();
    fs::write(folder.join(&version).join("tls.crt"), cert).unwrap();
    fs::write(folder.join(&version).join("tls.key"), key).unwrap();
    symlink(&version, folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        if !folder.join(name).exists() {
            symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
        }
    }
}

/// A server with a certificate.
fn with_tls(folder: &TempDir) -> (Start, Vec<u8>) {
    let authority = mount(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let start = Start::new(folder.path())
        .env("CHAT_SERVER__TLS__CERT_FILE", &path("tls.crt"))
        .env("CHAT_SERVER__TLS__KEY_FILE", &path("tls.key"));
    (start, authority)
}

/// A connection that trusts this certificate and no other.
fn secure(server: &Server, authority: &[u8]) -> io::Result<Secure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As a browser offers it.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    tls.complete_io(&mut stream)?;
    assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
    Ok(StreamOwned::new(tls, stream))
}

fn ask(server: &Server, authority: &[u8], request: &str) -> io::Result<Reply> {
    let mut stream = secure(server, authority)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Reply::parse(&answer).ok_or_else(|| io::Error::other("no answer"))
}

fn register(server: &Server, authority: &[u8], name: &str) -> (String, String) {
    let body = json!({ "name": name, "password": "correct horse" }).to_string();
    let headers = [("Content-Type", "application/json")];
    let request = request("POST", "/user/register", &headers, &body);
    ask(server, authority, &request).unwrap().expect(201).user_and_token()
}

struct Live(WebSocket<Secure>);

impl Live {
    fn connect(server: &Server, authority: &[u8], token: &str) -> Self {
        let url = format!("wss://{}/ws?token={token}", server.address());
        let mut request = url.into_client_request().unwrap();
        let protocol = "chat.v1".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let stream = secure(server, authority).unwrap();
        let (socket, _) = tungstenite::client(request, stream).expect("upgraded");
        let mut live = Self(socket);
        live.say(&json!({ "type": "hello", "version": 1 }));
        live.hear("synced");
        live
    }

    fn say(&mut self, frame: &serde_json::Value) {
        self.0.send(Message::text(frame.to_string())).unwrap();
    }

    fn hear(&mut self, kind: &str) -> serde_json::Value {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
            }
        }
    }
}

fn is_well(server: &Server, authority: &[u8]) -> bool {
    ask(server, authority, &request("GET", "/readyz", &[], "")).is_ok_and(|it| it.status == 200)
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
fn with_a_certificate_everything_is_encrypted_but_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let (start, authority) = with_tls(&folder);
    let server = start.up();
    let url = server.said("Open").unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    assert!(server.said("First admin").unwrap().starts_with("https://"), "{}", server.banner);

    let (_, alices) = register(&server, &authority, "alice");
    let (bob, bobs) = register(&server, &authority, "bob");
    let (mut alice, mut at_bob) =
        (Live::connect(&server, &authority, &alices), Live::connect(&server, &authority, &bobs));
    // More than a record holds, both ways.
    let long = "x".repeat(7_000);
    for n in 0..20 {
        let key = format!("k{n}");
        alice.say(&json!({ "type": "send", "id": key, "key": key, "to": bob, "text": long }));
    }
    for _ in 0..20 {
        alice.hear("ack");
    }
    let mut messages = 0;
    while messages < 20 {
        if at_bob.hear("event")["event"]["text"] == *long {
            messages += 1;
        }
    }

    // The health check asks as the server speaks, and so does an orchestrator by its own means.
    for arguments in [&["healthcheck", "--url", url][..], &["healthcheck", "--live", "--url", url]]
    {
        let asked = run(folder.path(), arguments);
        assert!(asked.status.success(), "{}", text(&asked.stderr));
    }
    // Without a URL it asks where the configuration says, and as it says.
    let mut check = program(folder.path());
    check.env("CHAT_SERVER__LISTEN", server.address()).arg("healthcheck");
    assert!(!check.output().unwrap().status.success(), "no TLS is configured");
    let path = |name: &str| folder.path().join(name);
    check.env("CHAT_SERVER__TLS__CERT_FILE", path("tls.crt"));
    check.env("CHAT_SERVER__TLS__KEY_FILE", path("tls.key"));
    let asked = check.output().unwrap();
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    let plain = run(folder.path(), ["healthcheck", "--url", &url.replace("https", "http")]);
    assert!(!plain.status.success());
    let metrics =
        crate::support::ask(&server.metrics_address(), &request("GET", "/metrics", &[], ""));
    assert_eq!(metrics.unwrap().status, 200);
    server.stop();
}

#[test]
fn a_new_certificate_holds_for_new_connections_and_a_bad_one_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let (start, first) = with_tls(&folder);
    let server = start.up();
    let (_, alices) = register(&server, &first, "alice");
    let mut alice = Live::connect(&server, &first, &alices);
    let second = mount(folder.path());
    server.signal("HUP");
    until("the new one holds", || is_well(&server, &second));
    assert!(secure(&server, &first).is_err(), "the old one does not");
    alice.say(&json!({ "type": "ping" }));
    alice.hear("pong");

    swap(folder.path(), "no certificate", "no key");
    server.signal("HUP");
    until("it is complained of", || server.log().contains("a new certificate is not used"));
    assert!(is_well(&server, &second), "the one before goes on");

    let third = mount(folder.path());
    server.signal("HUP");
    until("it is mended", || is_well(&server, &third));
    alice.say(&json!({ "type": "ping" }));
    alice.hear("pong");
    server.stop();
}

#[test]
fn whoever_does_not_speak_tls_costs_a_place_for_a_while_and_nobody_else_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (start, authority) = with_tls(&folder);
    let server = start
        .env("CHAT_SERVER__HTTP__CONNECTIONS_MAX", "2")
        .env("CHAT_SERVER__HTTP__HEADER_TIMEOUT", "8s")
        .up();
    let connect = || {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let ends = |mut stream: TcpStream| {
        let mut answer = Vec::new();
        // Cut off or closed, but not kept; an alert may come before it, and nothing else.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        assert!(answer.len() < 10 && !answer.starts_with(b"HTTP"), "{answer:?}");
    };
    for garbage in [&b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n"[..], &[0xff; 5_000], &[0x16, 3]] {
        let mut stream = connect();
        let _ = stream.write_all(garbage);
        ends(stream);
        until("others come in", || is_well(&server, &authority));
    }
    // The beginning of a handshake, and then silence: both places are taken, until it took too long.
    let silent = [connect(), connect()];
    for mut stream in &silent {
        stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
    }
    until("there is no room", || !is_well(&server, &authority));
    silent.into_iter().for_each(ends);
    until("there is room again", || is_well(&server, &authority));
    let metrics =
        crate::support::ask(&server.metrics_address(), &request("GET", "/metrics", &[], ""));
    let metrics = metrics.unwrap().body;
    let failed =
        metrics.lines().find(|line| line.starts_with("chat_server_tls_handshakes_failed_total{"));
    let failed: u64 = failed.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(failed >= 4, "{failed}");
    server.stop();
}
