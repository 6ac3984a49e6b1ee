//! A chat on a real port, and clients that speak raw frames to it.
#![allow(dead_code)] // Every test binary uses another part of it.

pub mod described;

use std::{
    net::SocketAddr,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    AuthError, Authenticator, Change, Chat, ChatBuilder, ConversationId, Credentials, Draft,
    Entrance, Epoch, Event, Health, Identity, Limits, Link, LinkId, Listing, Member, Memberships,
    MemoryStore, NewGroup, RemoteAddr, Seq, Store, Summary, Text, Timestamp, Title, To, UserId,
    blob::BlobId,
    store::{
        self, Checkpoint, FileChange, FileChanged, FileQuery, FileRecord, Heads, Only, Page,
        Reader, StoreError, Write, Written,
    },
};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest},
};

/// How long a test waits for something that must come. Never a measure of speed: only how long a
/// broken build takes to say so.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a narrow socket's buffer.
const NARROW: u32 = 4 * 1024;

/// `token-<user>` is that user; everything else is refused.
#[derive(Debug, Clone, Copy)]
pub struct TokenIsUser;

impl Authenticator for TokenIsUser {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let token = credentials.token.ok_or(AuthError::Missing)?;
        let user = token.strip_prefix("token-").ok_or(AuthError::Refused("not of ours"))?;
        UserId::new(user).map(Identity::new).map_err(|_| AuthError::Refused("not a user"))
    }
}

pub fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub struct Server {
    pub chat: Chat,
    pub address: SocketAddr,
}

impl Server {
    pub async fn start(builder: ChatBuilder) -> Self {
        Self::listen(builder, TcpSocket::new_v4().unwrap()).await
    }

    /// With sockets that take little before they are full.
    pub async fn start_narrow(builder: ChatBuilder) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Inherited by what is accepted.
        socket.set_send_buffer_size(NARROW).unwrap();
        Self::listen(builder, socket).await
    }

    async fn listen(builder: ChatBuilder, socket: TcpSocket) -> Self {
        let chat = builder.start().await.unwrap();
        described::learn(&chat);
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, chat.clone()));
        Self { chat, address }
    }

    pub async fn new() -> Self {
        Self::start(Chat::builder(TokenIsUser)).await
    }

    pub async fn connect(&self, user: &str) -> Client {
        self.connect_by(&format!("token-{user}")).await
    }

    pub async fn connect_by(&self, token: &str) -> Client {
        let (client, before) = self.connect_with(token, Value::Null).await;
        assert_eq!(before.len(), 1, "nothing but a welcome: {before:?}");
        client
    }

    /// Comes back; everything from the welcome up to `synced`, which is left out.
    pub async fn resume(&self, user: &str, resume: Value) -> (Client, Vec<Value>) {
        self.connect_with(&format!("token-{user}"), resume).await
    }

    async fn connect_with(&self, token: &str, resume: Value) -> (Client, Vec<Value>) {
        let mut client =
            Client::open(self.address, &format!("/ws?token={token}"), true).await.unwrap();
        let mut hello = serde_json::json!({"type": "hello", "version": 1});
        if !resume.is_null() {
            hello["resume"] = resume;
        }
        client.command(hello).await;
        let (before, synced) = client.up_to("synced").await;
        assert_eq!(before[0]["type"], "welcome");
        client.welcome = before[0].clone();
        client.token = synced["token"].as_str().map(str::to_owned);
        (client, before)
    }
}

async fn serve(listener: TcpListener, chat: Chat) {
    loop {
        let (socket, address) = listener.accept().await.unwrap();
        let chat = chat.service();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
                request.extensions_mut().insert(RemoteAddr(address));
                hyper::service::Service::call(&chat, request)
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service)
                .with_upgrades()
                .await;
        });
    }
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Whether it speaks the frames that are described.
    native: bool,
    pub welcome: Value,
    /// The resume token of `synced`.
    pub token: Option<String>,
}

impl Client {
    pub async fn open(
        address: SocketAddr,
        path: &str,
        native: bool,
    ) -> Result<Self, Box<tungstenite::Error>> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if native {
            let subprotocol = "chat.v1".parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", subprotocol);
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self { socket, native, welcome: Value::Null, token: None })
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message, whatever it is.
    pub async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next());
        next.await.expect("something arrives in time").expect("the connection is open").unwrap()
    }

    /// The next text frame.
    pub async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).unwrap();
                    if self.native {
                        described::check_frame(&frame);
                    }
                    return frame;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("instead of a text: {other:?}"),
            }
        }
    }

    /// The next frame of this type; others are skipped.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Everything up to the first frame of this type, and that frame.
    pub async fn up_to(&mut self, kind: &str) -> (Vec<Value>, Value) {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return (before, frame);
            }
            before.push(frame);
        }
    }

    /// Everything that the server has sent up to now: what comes before the answer to a ping.
    pub async fn so_far(&mut self) -> Vec<Value> {
        self.send(r#"{"type":"ping"}"#).await;
        self.up_to("pong").await.0
    }

    pub async fn command(&mut self, command: Value) {
        self.send(&command.to_string()).await;
    }

    /// The code with which the server closes; text frames before it are skipped.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.message().await {
                return close.expect("a code").code.into();
            }
        }
    }
}

// --- HTTP by hand ---

/// An answer to a request, read from the socket by hand.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {text}"))
    }

    /// The code of the problem that this is.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().expect("a problem").to_owned()
    }

    /// The query of the `Link` with this relation.
    pub fn link(&self, rel: &str) -> Option<String> {
        let links = self.header("link")?.split(", ").map(|link| {
            let (target, rel) = link.split_once("; ").expect("a link with a relation");
            (rel.to_owned(), target.trim_matches(['<', '>']).to_owned())
        });
        let mut found = links.filter(|(other, _)| *other == format!("rel=\"{rel}\""));
        found.next().map(|(_, target)| target)
    }

    /// Whatever is refused is refused in one shape (RFC 9457), with what section 6 promises.
    fn check_shape(&self, head: bool) {
        if self.status < 400 || head {
            return;
        }
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(problem["status"], self.status);
        let code = problem["code"].as_str().expect("a code");
        assert_eq!(problem["type"], format!("urn:chat:problem:{code}"));
        assert!(problem["title"].is_string() && problem["retryable"].is_boolean(), "{problem}");
        let comes_back = matches!(self.status, 429 | 503);
        assert_eq!(problem["retry_after_ms"].is_u64(), comes_back, "{problem}");
        let seconds = self.header("retry-after").map(|it| it.parse::<u64>().unwrap());
        assert_eq!(seconds.is_some(), comes_back, "{self:?}");
        if let Some(seconds) = seconds {
            assert!(seconds >= 1 && seconds * 1000 >= problem["retry_after_ms"].as_u64().unwrap());
        }
        assert_eq!(self.header("cache-control"), Some("no-store"));
        match self.status {
            401 => assert_eq!(self.header("www-authenticate"), Some("Bearer")),
            405 => assert!(self.header("allow").is_some()),
            _ => {}
        }
    }
}

/// A request to be written by hand.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Ask {
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), ..Self::default() }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn by(self, user: &str) -> Self {
        self.bearer(&format!("token-{user}"))
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The headers of a WebSocket upgrade.
    pub fn upgrade(self) -> Self {
        self.header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// The bytes up to the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let given =
            |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !given("host") {
            head += "host: chat.test\r\n";
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body
            && !given("content-length")
            && !given("transfer-encoding")
        {
            head += &format!("content-length: {}\r\n", body.len());
        }
        (head + "\r\n").into_bytes()
    }
}

impl Server {
    pub async fn with(limits: Limits) -> Self {
        Self::start(Chat::builder(TokenIsUser).limits(limits)).await
    }

    pub async fn ask(&self, ask: Ask) -> Reply {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let mut bytes = ask.head();
        bytes.extend(ask.body.as_deref().unwrap_or_default());
        // Whoever is refused early may find the door closed: what was answered counts.
        let _ = socket.write_all(&bytes).await;
        let reply = read_reply(&mut socket, ask.method == "HEAD").await.expect("an answer");
        reply.check_shape(ask.method == "HEAD");
        described::check_answer(&self.chat, &ask, &reply);
        reply
    }

    /// A group with these members, the first of whom makes it.
    pub async fn group(&self, members: &[&str]) -> ConversationId {
        let members: Vec<_> = members.iter().map(|it| user(it)).collect();
        let by = members[0].clone();
        let group = NewGroup {
            by,
            title: Title::new("Boats").unwrap(),
            members,
            key: None,
            channel: false,
            entrance: Entrance::default(),
        };
        self.chat.open_group(group).await.unwrap()
    }

    pub async fn change(&self, conversation: ConversationId, change: Change) {
        self.chat.change(None, conversation, change).await.unwrap();
    }

    /// A message by way of the host.
    pub async fn say(&self, from: &str, to: To, text: &str) -> Event {
        let draft = Draft::new(user(from), to, Text::new(text).unwrap());
        self.chat.send(draft).await.unwrap().event
    }

    /// Waits until this holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Health) -> bool) {
        let waiting = async {
            while !holds(&self.chat.check().await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}

pub async fn read_reply(socket: &mut TcpStream, head_only: bool) -> Option<Reply> {
    let reading = async {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                break end;
            }
            if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_owned(), value.to_owned())
        });
        let mut reply =
            Reply { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() };
        let length = reply.header("content-length").map_or(0, |it| it.parse().unwrap());
        while reply.body.len() < length && !head_only {
            if socket.read_buf(&mut reply.body).await.unwrap_or(0) == 0 {
                break;
            }
        }
        Some(reply)
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time")
}

// --- WebSocket by hand ---

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A WebSocket whose every bit is the test's.
pub struct Raw {
    pub socket: TcpStream,
    buffer: Vec<u8>,
    native: bool,
}

/// The reading half of one.
pub struct Frames<R> {
    socket: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(socket: R) -> Self {
        Self { socket, buffer: Vec::new() }
    }

    /// The next text frame.
    pub async fn json(&mut self) -> Value {
        match next_frame(&mut self.socket, &mut self.buffer).await {
            Ok(Some((TEXT, text))) => {
                let frame = serde_json::from_slice(&text).unwrap();
                described::check_frame(&frame);
                frame
            }
            other => panic!("instead of a text: {other:?}"),
        }
    }
}

/// The next frame: opcode and payload. `None`: the connection ended without one; an error: inside
/// one.
async fn next_frame(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<Option<(u8, Vec<u8>)>, &'static str> {
    loop {
        if let Some(frame) = take_frame(buffer) {
            return Ok(Some(frame));
        }
        let read = tokio::time::timeout(PATIENCE, socket.read_buf(buffer));
        if read.await.expect("something arrives in time").unwrap_or(0) == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err("ended inside a frame") };
        }
    }
}

fn take_frame(buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (first, short) = (*buffer.first()?, *buffer.get(1)?);
    assert_eq!(short & 0x80, 0, "a server does not mask");
    assert_eq!(first & 0xf0, 0x80, "the server's frames are whole and have no extensions");
    let (header, length) = match short {
        126 => (4, u64::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap())),
        short => (2, u64::from(short)),
    };
    let end = header + length as usize;
    let payload = buffer.get(header..end)?.to_vec();
    buffer.drain(..end);
    Some((first & 0x0f, payload))
}

impl Raw {
    /// Upgraded, and nothing said.
    pub async fn open(address: SocketAddr, ask: Ask) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self::upgrade(socket, ask).await
    }

    /// The same, on a socket that takes little.
    pub async fn open_narrow(address: SocketAddr, ask: Ask) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(NARROW).unwrap();
        Self::upgrade(socket.connect(address).await.unwrap(), ask).await
    }

    async fn upgrade(mut socket: TcpStream, ask: Ask) -> Self {
        socket.write_all(&ask.upgrade().head()).await.unwrap();
        let reply = read_reply(&mut socket, true).await.expect("an answer");
        assert_eq!(reply.status, 101, "{reply:?}");
        assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(reply.header("sec-websocket-extensions"), None);
        let native = reply.header("sec-websocket-protocol") == Some("chat.v1");
        Self { socket, buffer: reply.body, native }
    }

    pub async fn native(address: SocketAddr, user: &str) -> Self {
        Self::open(address, native(user)).await
    }

    /// Welcomed and synced.
    pub async fn live(address: SocketAddr, user: &str) -> Self {
        let mut raw = Self::native(address, user).await;
        raw.hello().await;
        raw
    }

    pub async fn hello(&mut self) {
        self.text(r#"{"type":"hello","version":1}"#).await;
        while self.json().await["type"] != "synced" {}
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    pub async fn text(&mut self, text: &str) {
        self.write(&frame(true, TEXT, text.as_bytes())).await;
    }

    /// The next frame: opcode and payload. `None`: the connection ended without one.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        next_frame(&mut self.socket, &mut self.buffer).await.unwrap()
    }

    /// The same, where the connection may be cut off anywhere.
    pub async fn frame_or_end(&mut self) -> Option<(u8, Vec<u8>)> {
        next_frame(&mut self.socket, &mut self.buffer).await.ok().flatten()
    }

    /// The next text frame; pings and pongs before it are skipped.
    pub async fn json(&mut self) -> Value {
        loop {
            match self.frame().await.expect("the connection is open") {
                (TEXT, text) => {
                    let frame = serde_json::from_slice(&text).unwrap();
                    if self.native {
                        described::check_frame(&frame);
                    }
                    return frame;
                }
                (PING | PONG, _) => {}
                (CLOSE, payload) => panic!("closed: {:?}", String::from_utf8_lossy(&payload[2..])),
                other => panic!("instead of a text: {other:?}"),
            }
        }
    }

    /// The code with which the server closes, and that it hangs up after it. What comes before is
    /// skipped.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.frame().await {
                Some((CLOSE, payload)) => {
                    assert_eq!(self.frame().await, None, "nothing comes after a close");
                    return Some(u16::from_be_bytes([payload[0], payload[1]]));
                }
                Some(_) => {}
                None => return None,
            }
        }
    }
}

/// The request of a native client for a socket.
pub fn native(user: &str) -> Ask {
    Ask::get("/ws").by(user).header("sec-websocket-protocol", "chat.v1")
}

/// A frame as clients mask it (with a mask of zeros but one byte).
pub fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0, 0x20, 0, 0];
    let mut bytes = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ MASK[n % 4]));
    bytes
}

// --- A store that has bad days ---

/// How a [`Moody`] store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Answers everything with an error.
    Down,
    /// Answers nothing, until it is in another mood.
    Hanging,
    /// The same, for writes alone.
    WritesHang,
    /// Commits, and says that it could not.
    LosesAnswers,
    /// Reads heads, and keeps each answer until it is [released](Moody::release_heads).
    HeadsHeld,
}

/// A memory store with moods.
#[derive(Clone)]
pub struct Moody {
    memory: Arc<MemoryStore>,
    mood: Arc<tokio::sync::watch::Sender<Mood>>,
    /// Writes that were asked for, answered or not.
    pub asked: Arc<AtomicUsize>,
    /// How many writes the last batch held.
    pub written: Arc<AtomicUsize>,
    /// Everything else that was asked for, but heads and memberships, which are looked at by the clock.
    pub read: Arc<AtomicUsize>,
    /// Answers about heads that were kept so far.
    held: Arc<tokio::sync::watch::Sender<usize>>,
    released: Arc<tokio::sync::Semaphore>,
}

impl Moody {
    pub fn new() -> Self {
        Self {
            memory: Arc::new(MemoryStore::new()),
            mood: Arc::new(tokio::sync::watch::Sender::new(Mood::Well)),
            asked: Arc::default(),
            written: Arc::default(),
            read: Arc::default(),
            held: Arc::new(tokio::sync::watch::Sender::new(0)),
            released: Arc::new(tokio::sync::Semaphore::new(0)),
        }
    }

    /// Waits until so many answers about heads were kept.
    pub async fn heads_held(&self, times: usize) {
        let mut held = self.held.subscribe();
        let waiting = held.wait_for(|held| *held >= times);
        tokio::time::timeout(PATIENCE, waiting).await.expect("heads are asked for").unwrap();
    }

    /// Lets one of them go.
    pub fn release_heads(&self) {
        self.released.add_permits(1);
    }

    pub fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Waits until so many writes have been asked for.
    pub async fn asked(&self, times: usize) {
        let waiting = async {
            while self.asked.load(Ordering::SeqCst) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the store is asked");
    }

    async fn well(&self, write: bool) -> Result<(), StoreError> {
        let mut mood = self.mood.subscribe();
        let hangs = |mood: &Mood| *mood == Mood::Hanging || (write && *mood == Mood::WritesHang);
        let mood = *mood.wait_for(|mood| !hangs(mood)).await.unwrap();
        if mood == Mood::Down { Err(StoreError::Unavailable("a bad day".into())) } else { Ok(()) }
    }
}

impl Store for Moody {
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.well(false).await?;
        self.memory.epoch().await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.written.store(batch.len(), Ordering::SeqCst);
        self.well(true).await?;
        let written = self.memory.write(batch).await;
        if *self.mood.borrow() == Mood::LosesAnswers {
            return Err(StoreError::Unavailable("the answer was lost".into()));
        }
        written
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        self.well(false).await?;
        self.memory.memberships(user, since).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        self.well(false).await?;
        let heads = self.memory.heads(conversations).await;
        if *self.mood.borrow() == Mood::HeadsHeld {
            self.held.send_modify(|held| *held += 1);
            self.released.acquire().await.unwrap().forget();
        }
        heads
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.read(reader, conversation, after, upto, limit).await
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<store::Events>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.page(reader, conversation, page, only, limit).await
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.conversations(user, after, limit).await
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.conversation(user, conversation).await
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.members(reader, conversation, after, limit).await
    }

    async fn listing(&self, conversation: ConversationId) -> Result<Option<Listing>, StoreError> {
        self.well(false).await?;
        self.memory.listing(conversation).await
    }

    async fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Listing>, StoreError> {
        self.well(false).await?;
        self.memory.public(after, limit).await
    }

    async fn link(&self, link: &LinkId) -> Result<Option<(ConversationId, Link)>, StoreError> {
        self.well(false).await?;
        self.memory.link(link).await
    }

    async fn links(&self, conversation: ConversationId) -> Result<Vec<Link>, StoreError> {
        self.well(false).await?;
        self.memory.links(conversation).await
    }

    async fn change_file(&self, change: FileChange) -> Result<FileChanged, StoreError> {
        self.well(true).await?;
        self.memory.change_file(change).await
    }

    async fn files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.files(query).await
    }

    async fn stray_blobs(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.well(false).await?;
        self.memory.stray_blobs(blobs).await
    }
}
