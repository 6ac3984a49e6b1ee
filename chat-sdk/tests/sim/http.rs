//! Requests over HTTP, written by hand: one connection each.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub struct Request<'a> {
    pub node: usize,
    pub token: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub key: Option<&'a str>,
    pub body: Option<Value>,
}

/// The status and what came with it. `None`: no whole answer, so nothing is known.
pub async fn ask(request: Request<'_>) -> Option<(u16, Value)> {
    tokio::time::timeout(PATIENCE, exchange(request)).await.ok()?
}

async fn exchange(request: Request<'_>) -> Option<(u16, Value)> {
    let Request { node, token, method, path, key, body } = request;
    let mut socket = TcpStream::connect((format!("node-{node}"), 80)).await.ok()?;
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: node-{node}\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    if let Some(key) = key {
        text.push_str(&format!("idempotency-key: {key}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&body);
    socket.write_all(text.as_bytes()).await.ok()?;

    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(answer) = whole(&bytes) {
            return Some(answer);
        }
        match socket.read(&mut buffer).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}

/// The answer, once all of it is there.
fn whole(bytes: &[u8]) -> Option<(u16, Value)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, length)| length.trim().parse().ok())?;
    if body.len() < length {
        return None;
    }
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
