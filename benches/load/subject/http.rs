//! Requests to the public API of a server of ours, one connection each. Blocking: nothing is measured
//! while accounts and groups are made.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server that is busy may be waited for in all.
const RETRIES_MAX: usize = 200;
/// What is waited when the server does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// Posts this, again when the server asks for that, and answers what it says.
pub(super) fn post(
    server: SocketAddr,
    path: &str,
    token: Option<&str>,
    key: Option<&str>,
    body: &Value,
) -> anyhow::Result<Value> {
    let body = body.to_string();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    if let Some(token) = token {
        request.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(key) = key {
        request.push_str(&format!("Idempotency-Key: {key}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(&body);
    for _ in 0..RETRIES_MAX {
        let answer = ask(server, &request).with_context(|| format!("POST {path} of {server}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer in HTTP")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        match status {
            "200" | "201" | "204" => return Ok(serde_json::from_str(body).unwrap_or(Value::Null)),
            "429" | "503" => std::thread::sleep(retry_after(head).unwrap_or(PAUSE)),
            _ => bail!("POST {path}: {status} {body}"),
        }
    }
    bail!("POST {path}: the server has no room, however often it is asked");
}

/// Gets this, and answers its text.
pub(super) fn get(server: SocketAddr, path: &str) -> anyhow::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    let answer = ask(server, &request).with_context(|| format!("GET {path} of {server}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer in HTTP")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        status => bail!("GET {path}: {}", status.unwrap_or_default()),
    }
}

fn ask(server: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn retry_after(head: &str) -> Option<Duration> {
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("retry-after").then_some(value)
    })?;
    Some(Duration::from_secs(line.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_read_from_the_head() {
        let head = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 2";
        assert_eq!(retry_after(head), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("HTTP/1.1 503 x\r\nx-retry-after: 1"), None);
    }
}
