//! Asks a running operator whether it is well, for images that have no `curl`.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, bail};

/// Time for each step; what takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are looked at: all of ours are shorter, but for the metrics'.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Fails with the reason if it is not.
pub(crate) fn run(url: &str) -> anyhow::Result<()> {
    let uri: http::Uri = url.parse().context("not a URL")?;
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.authority()) else {
        bail!("expected a URL like http://127.0.0.1:8080/readyz");
    };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let address = (name, host.port_u16().unwrap_or(80))
        .to_socket_addrs()
        .with_context(|| format!("cannot find {name}"))?
        .next()
        .with_context(|| format!("{name} has no address"))?;
    let path = uri.path();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("no answer from {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: `write!` would send each part of it in a packet of its own.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).context("no answer in time")?;
    let (status, body) = split(&answer).context("that is no HTTP server")?;
    if status == "200" {
        return Ok(());
    }
    bail!("{path} answered {status}: {}", body.trim_end())
}

fn split(answer: &[u8]) -> Option<(String, String)> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    Some((status.to_owned(), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn ask(answer: &'static str) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap();
            assert!(head[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let result = run(&format!("http://{address}/readyz"));
        server.join().unwrap();
        result
    }

    #[test]
    fn only_200_is_well() {
        ask("HTTP/1.1 200 OK\r\n\r\nready").unwrap();
        let why = ask("HTTP/1.1 503 No\r\n\r\nnot yet\n").unwrap_err().to_string();
        assert_eq!(why, "/readyz answered 503: not yet");
        assert!(ask("SSH-2.0\r\n").is_err());
        assert!(run("https://127.0.0.1").is_err());
    }
}
