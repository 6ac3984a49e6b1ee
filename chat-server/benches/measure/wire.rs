//! As little of HTTP and WebSocket as it takes: the client must not be what is measured.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(60);

/// A request on a connection of its own; the answer's JSON.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> io::Result<Value> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 2") {
        return Err(io::Error::other(answer));
    }
    Ok(serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A live connection; blocking.
pub(crate) struct Live {
    stream: TcpStream,
    /// Read and not yet understood.
    left: Vec<u8>,
}

/// What is heard.
pub(crate) enum Heard {
    Text(Value),
    Closed(u16),
    Nothing,
}

impl Live {
    /// `who`: the query that says who it is.
    pub(crate) fn open(
        server: SocketAddr,
        who: &str,
        receive_bytes: Option<usize>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(&server.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET /ws?{who} HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: chat.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        Ok(Self { stream, left: Vec::new() })
    }

    /// Says hello and waits until it is live.
    pub(crate) fn hello(&mut self, resume: Option<&Value>) -> io::Result<Value> {
        let mut hello = serde_json::json!({ "type": "hello", "version": 1 });
        if let Some(resume) = resume {
            hello["resume"] = resume.clone();
        }
        self.say(&hello)?;
        match self.hear()? {
            Heard::Text(welcome) if welcome["type"] == "welcome" => Ok(welcome),
            _ => Err(io::Error::other("no welcome")),
        }
    }

    pub(crate) fn look_for(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    pub(crate) fn say(&mut self, frame: &Value) -> io::Result<()> {
        let text = frame.to_string();
        // Masked with zeros, as a client must mask.
        let mut bytes = vec![0x81];
        match text.len() {
            short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(text.as_bytes());
        self.stream.write_all(&bytes)
    }

    pub(crate) fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some((kind, payload)) = self.frame() {
                match kind {
                    1 => return Ok(Heard::Text(serde_json::from_slice(&payload)?)),
                    8 => {
                        let code = payload.first_chunk().map_or(1005, |it| u16::from_be_bytes(*it));
                        return Ok(Heard::Closed(code));
                    }
                    _ => continue,
                }
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(Heard::Closed(1006)),
                Ok(count) => self.left.extend(&bytes[..count]),
                Err(why)
                    if matches!(
                        why.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Ok(Heard::Nothing);
                }
                Err(why) if why.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Heard::Closed(1006));
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// A whole frame out of what is left.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second] = *self.left.first_chunk()?;
        let (start, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*self.left.get(2..)?.first_chunk()?))),
            127 => {
                let length = u64::from_be_bytes(*self.left.get(2..)?.first_chunk()?);
                (10, usize::try_from(length).ok()?)
            }
            short => (2, usize::from(short)),
        };
        if self.left.len() < start + length {
            return None;
        }
        let payload = self.left[start..start + length].to_vec();
        self.left.drain(..start + length);
        if self.left.is_empty() {
            self.left = Vec::new();
        }
        Some((first & 0x0f, payload))
    }
}
