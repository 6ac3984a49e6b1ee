//! Starts the binary in a folder of its own and talks to it. A server is ended by its process id,
//! when the test is done with it or has failed.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

/// How long anything may take before a test gives it up: no promise, only an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, with nothing of this process's environment that could configure it.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHAT_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself.
pub(crate) fn run<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Output {
    program(folder).args(args).output().unwrap()
}

/// Like [`run`], with something on standard input.
pub(crate) fn run_with_input(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = program(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// How to start a server.
pub(crate) struct Start {
    command: Command,
    folder: PathBuf,
}

impl Start {
    /// In this folder, on free ports, with everything logged.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut command = program(folder);
        command
            .env("CHAT_SERVER__LISTEN", "127.0.0.1:0")
            .env("CHAT_SERVER__METRICS__LISTEN", "127.0.0.1:0")
            .env("CHAT_SERVER__LOG__LEVEL", "trace")
            // What a test that fails leaves behind goes with its folder.
            .env("TMPDIR", folder);
        Self { command, folder: folder.to_owned() }
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts what is expected to end by itself.
    pub(crate) fn fails(mut self) -> Output {
        self.command.output().unwrap()
    }

    /// Starts and waits until it says where everything is.
    pub(crate) fn up(mut self) -> Server {
        let log = self.folder.join(format!("stderr-{}.log", fresh()));
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (said, hear) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let mut server = Server { child, banner: String::new(), log };
        loop {
            match hear.recv_timeout(PATIENCE) {
                Ok(line) => {
                    server.banner.push_str(&line);
                    server.banner.push('\n');
                    if line.trim_start().starts_with("Settings") {
                        return server;
                    }
                }
                Err(_) => panic!("not up: {}\n{}", server.banner, server.log()),
            }
        }
    }
}

/// A number that no other call in this process has.
pub(crate) fn fresh() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) banner: String,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(folder: &TempDir) -> Self {
        Start::new(folder.path()).up()
    }

    /// What stands behind a word of the banner.
    pub(crate) fn said(&self, word: &str) -> Option<&str> {
        let line = self.banner.lines().map(str::trim).find(|line| line.starts_with(word))?;
        Some(line[word.len()..].trim())
    }

    /// Host and port of the API.
    pub(crate) fn address(&self) -> String {
        let url = self.said("Open").unwrap();
        url.strip_prefix("http://").or(url.strip_prefix("https://")).unwrap().to_owned()
    }

    /// Host and port of the metrics.
    pub(crate) fn metrics_address(&self) -> String {
        let url = self.said("Metrics").unwrap();
        url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap().to_owned()
    }

    pub(crate) fn setup_code(&self) -> String {
        self.said("First admin").unwrap().split_once("/setup?code=").unwrap().1.to_owned()
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&request("GET", path, &[], ""))
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(&request("GET", path, headers, ""))
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        self.send(&request("POST", path, &headers, &body.to_string()))
    }

    fn send(&self, request: &str) -> Reply {
        ask(&self.address(), request).unwrap()
    }

    /// Makes an account and answers its user and token.
    pub(crate) fn register(&self, name: &str, password: &str) -> (String, String) {
        let body = serde_json::json!({ "name": name, "password": password });
        self.post("/user/register", &[], &body).expect(201).user_and_token()
    }

    pub(crate) fn log_in(&self, name: &str, password: &str) -> Reply {
        let body = serde_json::json!({ "identifier": name, "password": password });
        self.post("/user/login", &[], &body)
    }

    /// Opens a live connection and says hello.
    pub(crate) fn connect(&self, token: &str) -> Live {
        let mut live = self.upgrade(&format!("/ws?token={token}")).unwrap();
        live.say(&serde_json::json!({ "type": "hello", "version": 1 }));
        live.hear("welcome");
        live
    }

    pub(crate) fn upgrade(&self, path: &str) -> Result<Live, Box<tungstenite::Error>> {
        let address = self.address();
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        let protocol = "chat.v1".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Live { socket }),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
            Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no answer to an upgrade"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("still there:\n{}", self.log());
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        self.signal("INT");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

/// The bytes of a request that wants the connection closed behind it.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Sends bytes and reads until the server closes.
pub(crate) fn ask(address: &str, request: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Reply::parse(&answer).ok_or_else(|| io::Error::other("no answer"))
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(answer: &[u8]) -> Option<Self> {
        let answer = String::from_utf8_lossy(answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Some(Self { status, headers, body: body.to_owned() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn user_and_token(&self) -> (String, String) {
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        (text("user_id"), text("token"))
    }
}

/// A live connection.
pub(crate) struct Live {
    socket: WebSocket<TcpStream>,
}

impl Live {
    pub(crate) fn say(&mut self, frame: &Value) {
        self.try_say(frame).unwrap();
    }

    pub(crate) fn try_say(&mut self, frame: &Value) -> Result<(), Box<tungstenite::Error>> {
        self.socket.send(Message::text(frame.to_string())).map_err(Box::new)
    }

    /// The next frame; the close code when there is none.
    pub(crate) fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(close)) => return Err(close.map(|close| close.code.into())),
                Ok(_) => {}
                Err(_) => return Err(None),
            }
        }
    }

    /// The next frame of this type; others are skipped.
    pub(crate) fn hear(&mut self, kind: &str) -> Value {
        loop {
            match self.next() {
                Ok(frame) if frame["type"] == kind => return frame,
                Ok(_) => {}
                Err(code) => panic!("closed with {code:?} before a {kind}"),
            }
        }
    }

    /// The code the connection is closed with; frames before it are skipped.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next() {
                return code;
            }
        }
    }
}
