//! HTTP and WebSocket as a client of any making speaks them: bytes and JSON, nothing of the
//! server's code.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

/// How long anything may take before a test gives it up: no promise, only an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How long a client waits for the answer to a request before it asks again.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a client looks for a frame before it looks after other things.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The query of the page that a `Link` header leads to.
    fn link(&self, rel: &str) -> Option<String> {
        let links = self.head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("link").then_some(value)
        });
        links.flat_map(|links| links.split(", ")).find_map(|link| {
            let (target, is) = link.split_once(">; ")?;
            (is == format!("rel=\"{rel}\"")).then(|| target.trim_start_matches('<').to_owned())
        })
    }
}

/// One request on a connection of its own. An error: nobody knows what became of it.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> io::Result<Answer> {
    let mut stream = connect(server, ANSWER_MAX)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let key = key.map(|key| format!("Idempotency-Key: {key}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n{}\
         Content-Length: {}\r\n\r\n{body}",
        key.unwrap_or_default(),
        body.len(),
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    // A body that was cut off is no answer.
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    });
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(cut());
    }
    Ok(Answer { status: status.ok_or_else(cut)?, head: head.to_owned(), body: body.to_owned() })
}

/// The whole log of a conversation, page by page from its end, as the member with this token
/// reads it.
pub(crate) fn read_log(
    server: SocketAddr,
    token: &str,
    conversation: &str,
) -> io::Result<Vec<Value>> {
    let path = format!("/conversations/{conversation}/events");
    let mut query = "?limit=37".to_owned();
    let mut log = Vec::new();
    loop {
        let answer = request(server, "GET", &format!("{path}{query}"), token, None, None)?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("{} {}", answer.status, answer.body)));
        }
        let Value::Array(page) = answer.json() else {
            return Err(io::Error::other("not a list"));
        };
        log.splice(0..0, page);
        match answer.link("prev") {
            Some(prev) => query = prev,
            None => return Ok(log),
        }
    }
}

fn connect(server: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A live connection.
pub(crate) struct Live(WebSocket<TcpStream>);

/// What came of looking for a frame.
pub(crate) enum Heard {
    Frame(Value),
    Nothing,
    Closed(Option<u16>),
}

impl Live {
    pub(crate) fn open(server: SocketAddr, token: &str) -> io::Result<Self> {
        let stream = connect(server, ANSWER_MAX)?;
        let request = format!("ws://{server}/ws?token={token}").into_client_request();
        let mut request = request.map_err(io::Error::other)?;
        let subprotocol = "chat.v1".parse().expect("a header value");
        request.headers_mut().insert("sec-websocket-protocol", subprotocol);
        let (socket, _) = tungstenite::client(request, stream)
            .map_err(|why| io::Error::other(why.to_string()))?;
        socket.get_ref().set_read_timeout(Some(LOOK))?;
        Ok(Self(socket))
    }

    pub(crate) fn say(&mut self, frame: &Value) -> io::Result<()> {
        self.0.send(Message::text(frame.to_string())).map_err(io::Error::other)
    }

    pub(crate) fn hear(&mut self) -> Heard {
        match self.0.read() {
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(frame) => Heard::Frame(frame),
                Err(why) => panic!("{why}: {text}"),
            },
            Ok(Message::Close(close)) => Heard::Closed(close.map(|close| close.code.into())),
            Ok(_) => Heard::Nothing,
            Err(tungstenite::Error::Io(why))
                if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Heard::Nothing
            }
            Err(_) => Heard::Closed(None),
        }
    }
}
