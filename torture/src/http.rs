//! HTTP as any client speaks it: one request on a connection of its own.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// GET, POST …
    pub method: &'a str,
    /// With the query.
    pub path: &'a str,
    /// The bearer's; empty: nobody's.
    pub token: &'a str,
    /// The client's key, of a write.
    pub key: Option<&'a str>,
    /// JSON.
    pub body: Option<&'a Value>,
}

impl<'a> Request<'a> {
    /// Reads something.
    #[must_use]
    pub const fn get(path: &'a str, token: &'a str) -> Self {
        Self { method: "GET", path, token, key: None, body: None }
    }

    /// Writes something.
    #[must_use]
    pub const fn post(path: &'a str, token: &'a str, body: Option<&'a Value>) -> Self {
        Self { method: "POST", path, token, key: None, body }
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body, as it came.
    pub body: String,
    head: String,
}

impl Reply {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The query of the page that a `Link` header leads to.
    #[must_use]
    pub fn link(&self, rel: &str) -> Option<String> {
        self.header("link")?.split(", ").find_map(|link| {
            let (target, is) = link.split_once(">; ")?;
            (is == format!("rel=\"{rel}\"")).then(|| target.trim_start_matches('<').to_owned())
        })
    }
}

/// Time for everything.
const PATIENCE: Duration = Duration::from_secs(8);

/// Bytes of an answer: far more than any answer has.
const ANSWER_MAX: u64 = 16 << 20;

/// Asks.
///
/// # Errors
/// Nobody knows what became of it.
pub async fn ask(server: SocketAddr, request: Request<'_>) -> io::Result<Reply> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    timeout(PATIENCE, exchange(server, request)).await.map_err(late)?
}

async fn exchange(server: SocketAddr, request: Request<'_>) -> io::Result<Reply> {
    let Request { method, path, token, key, body } = request;
    let mut stream = TcpStream::connect(server).await?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\
         Content-Length: {}\r\n",
        body.len()
    );
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    if !token.is_empty() {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(key) = key {
        head.push_str(&format!("Idempotency-Key: {key}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let answer = String::from_utf8(answer).map_err(io::Error::other)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or_else(cut)?;
    let reply = Reply { status, body: body.to_owned(), head: head.to_owned() };
    // A body that was cut off is no answer.
    let length = reply.header("content-length").and_then(|it| it.parse::<usize>().ok());
    if length.is_some_and(|length| length != body.len()) {
        return Err(cut());
    }
    Ok(reply)
}
