//! The program of the test's images: a little HTTP, for looking around where it runs.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::ExitCode,
    sync::Arc,
    thread,
};

use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer,
};

/// How it is called.
pub const CALL: &str = "lab-program";

/// Serves `/env/NAME` and `/file/PATH` on 8080 until it is ended, and on 9090 a gauge whose value is
/// in `/load/connections`. On 8443 everything is found, with a certificate of its own.
pub fn serve() -> ExitCode {
    let metrics = TcpListener::bind("0.0.0.0:9090").expect("the port is free in a new network");
    thread::spawn(move || metrics.incoming().flatten().filter_map(answer).count());
    let tls = TcpListener::bind("0.0.0.0:8443").expect("the port is free in a new network");
    let config = Arc::new(certificate());
    thread::spawn(move || tls.incoming().flatten().filter_map(|it| greet(it, &config)).count());
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the port is free in a new network");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
    ExitCode::SUCCESS
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let found = if path == "/" {
        Some(b"up".to_vec())
    } else if path == "/metrics" {
        let load = fs::read_to_string("/load/connections").ok();
        load.map(|load| format!("# TYPE chat_connections gauge\nchat_connections {load}\n").into())
    } else if let Some(name) = path.strip_prefix("/env/") {
        std::env::var(name).ok().map(String::into_bytes)
    } else {
        path.strip_prefix("/file").and_then(|path| fs::read(path).ok())
    };
    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
    let body = found.unwrap_or_default();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()?;
    // The rest of the question is read, so that closing does not reset the connection.
    stream.shutdown(Shutdown::Write).ok()?;
    io::copy(&mut reader, &mut io::sink()).ok().map(drop)
}

fn certificate() -> ServerConfig {
    let made = rcgen::generate_simple_self_signed(["program".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("they are known")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together")
}

fn greet(stream: TcpStream, config: &Arc<ServerConfig>) -> Option<()> {
    let connection = ServerConnection::new(config.clone()).ok()?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = BufReader::new(&mut stream).lines();
    while !head.next()?.ok()?.is_empty() {}
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}
