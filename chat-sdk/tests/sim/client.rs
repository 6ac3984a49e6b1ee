//! A device: a client of the protocol, written from PROTOCOL.md and from nothing else.
//!
//! Keeps what it holds in memory, applies the one rule, and writes down what it sees.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};
use turmoil::net::TcpStream;

use super::{
    history::{Answer, Ask, Body, Folded, LogEvent, Recorder, Room, What, user_of},
    http,
    rng::Rng,
    workload::{self, Action, Habits},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Chaos,
    /// Nothing new is begun; what was begun is brought to an end.
    Settle,
    /// As settle, and nobody connects again.
    Quiet,
    Closing,
}

/// What all clients of a run share.
pub struct Town {
    pub recorder: Recorder,
    pub phase: Cell<Phase>,
    pub nodes: usize,
    pub users: Vec<String>,
    /// Every conversation that anybody ever heard of: outsiders guess well.
    pub rooms: RefCell<BTreeSet<Room>>,
    pub habits: Habits,
    ops: Cell<u64>,
}

impl Town {
    pub fn new(recorder: Recorder, nodes: usize, users: Vec<String>, habits: Habits) -> Rc<Self> {
        Rc::new(Self {
            recorder,
            phase: Cell::new(Phase::Chaos),
            nodes,
            users,
            rooms: RefCell::default(),
            habits,
            ops: Cell::new(0),
        })
    }

    fn asked(&self, device: &str, ask: Ask) -> u64 {
        let op = self.ops.get() + 1;
        self.ops.set(op);
        self.recorder.note(What::Asked { op, device: device.to_owned(), ask });
        op
    }

    fn answered(&self, op: u64, answer: Answer) {
        self.recorder.note(What::Answered { op, answer });
    }
}

/// What a device keeps between connections.
#[derive(Debug, Clone, Default)]
struct Memory {
    epoch: Option<String>,
    token: Option<String>,
    positions: BTreeMap<Room, u64>,
    /// Where something was reached since the last token, and between that and the one before.
    reached: BTreeSet<Room>,
    reached_before: BTreeSet<Room>,
}

impl Memory {
    fn reach(&mut self, room: &Room, seq: u64) {
        self.positions.insert(room.clone(), seq);
        self.reached.insert(room.clone());
    }

    fn leave(&mut self, room: &Room) {
        self.positions.remove(room);
        self.reached.remove(room);
        self.reached_before.remove(room);
    }

    fn first_token(&mut self, token: &Value) {
        if self.token.is_none() {
            self.token = token.as_str().map(ToOwned::to_owned);
        }
    }

    fn next_token(&mut self, token: &Value, careful: bool) {
        let Some(token) = token.as_str().filter(|it| self.token.as_deref() != Some(it)) else {
            return;
        };
        self.token = Some(token.to_owned());
        let reached = std::mem::take(&mut self.reached);
        self.reached_before = if careful { reached } else { BTreeSet::new() };
    }
}

#[derive(Debug, Clone)]
enum To {
    User(String),
    Room(Room),
}

#[derive(Debug, Clone)]
struct Outgoing {
    op: u64,
    to: To,
    text: String,
    tries: u32,
    tried: Option<Instant>,
}

/// Messages on their way, shared with the requests that a device has under way.
type Outbox = Rc<RefCell<BTreeMap<String, Outgoing>>>;

pub struct Device {
    name: String,
    town: Rc<Town>,
    rng: Rng,
    memory: Memory,
    /// A copy of some time ago, as of an app that was restored from a backup.
    copy: Option<Memory>,
    outbox: Outbox,
    /// The ops of all sends ever, by key.
    sends: Rc<RefCell<BTreeMap<String, u64>>>,
    keys: u64,
    /// The last change of a message that it asked for.
    amended: Option<(Room, String, Value)>,
    credential: Rc<Cell<u32>>,
    under_way: Rc<Semaphore>,
    /// Whether positions are kept for as long as PROTOCOL.md asks for. Who forgets them a token
    /// earlier may be sent an event again, and misses none.
    careful: bool,
    /// How many half heartbeats it lets pass between two pings; the server bears five.
    patience: u32,
    audited: bool,
}

/// What is due on a connection.
struct Line {
    socket: WebSocketStream<TcpStream>,
    commands: u64,
    replies: VecDeque<(String, Due)>,
    heartbeat: Duration,
    heard: Instant,
    pinged: Instant,
    act: Instant,
    synced: bool,
    /// What the hello said, by name or by token, that the device holds.
    told: BTreeMap<Room, u64>,
    /// Asked to fill these holes, when.
    syncing: BTreeMap<Room, Instant>,
    move_at: Option<Instant>,
}

enum Due {
    Send(String),
    Op(u64),
    /// Of a command whose answer is nobody's concern.
    Any,
}

/// Why a connection is over.
#[derive(Debug)]
enum End {
    Code(u16),
    Lost(#[expect(dead_code, reason = "for the history")] &'static str),
    Own,
}

/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Device {
    pub fn new(name: &str, town: Rc<Town>, seed: u64) -> Self {
        let mut rng = Rng::new(seed, name);
        let careful = rng.chance(500);
        let patience = *rng.pick(&[1, 2, 2, 3]);
        Self {
            name: name.to_owned(),
            town,
            rng,
            memory: Memory::default(),
            copy: None,
            outbox: Rc::default(),
            sends: Rc::default(),
            keys: 0,
            amended: None,
            credential: Rc::default(),
            under_way: Rc::new(Semaphore::new(3)),
            careful,
            patience,
            audited: false,
        }
    }

    fn user(&self) -> &str {
        user_of(&self.name)
    }

    fn note(&self, what: What) {
        self.town.recorder.note(what);
    }

    fn credential(&self) -> String {
        format!("{}-{}", self.name, self.credential.get())
    }

    pub async fn live(mut self) {
        let mut failures = 0u32;
        while self.town.phase.get() < Phase::Quiet {
            let began = Instant::now();
            if let Some(line) = self.connect().await {
                let end = self.converse(line).await;
                let why = format!("{end:?}");
                self.note(What::Ended { device: self.name.clone(), why });
                match end {
                    End::Code(4501 | 4502) => self.credential.set(self.credential.get() + 1),
                    End::Code(code) if code == 1002 || code >= 4500 => {
                        panic!("{} was closed with {code}", self.name)
                    }
                    End::Code(_) | End::Lost(_) | End::Own => {}
                }
            }
            failures = if began.elapsed() > Duration::from_secs(2) { 0 } else { failures + 1 };
            let wait = 100 << failures.min(3);
            sleep(Duration::from_millis(self.rng.below(wait))).await;
        }
        for key in self.outbox.borrow().keys() {
            self.note(What::Unanswered { device: self.name.clone(), key: key.clone() });
        }
    }

    // --- a connection ---

    async fn connect(&mut self) -> Option<Line> {
        let node = self.rng.below(self.town.nodes as u64) as usize;
        let attempt = async {
            let socket = TcpStream::connect((format!("node-{node}"), 80)).await.ok()?;
            let uri = format!("ws://node-{node}/ws?token=token-{}", self.credential());
            let mut request = uri.into_client_request().unwrap();
            let subprotocol = "chat.v1".parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", subprotocol);
            match tokio_tungstenite::client_async(request, socket).await {
                Ok((socket, _)) => Some(socket),
                Err(tokio_tungstenite::tungstenite::Error::Http(reply)) => {
                    if reply.status() == 401 {
                        self.credential.set(self.credential.get() + 1);
                    }
                    None
                }
                Err(_) => None,
            }
        };
        let socket = timeout(Duration::from_secs(2), attempt).await.ok().flatten()?;
        let now = Instant::now();
        let mut line = Line {
            socket,
            commands: 0,
            replies: VecDeque::new(),
            heartbeat: Duration::from_secs(2),
            heard: now,
            pinged: now,
            act: now + Duration::from_millis(self.rng.between(50, 500)),
            synced: false,
            told: BTreeMap::new(),
            syncing: BTreeMap::new(),
            move_at: None,
        };
        let hello = self.hello(node);
        if self.careful {
            line.told.clone_from(&self.memory.positions);
        }
        if line.socket.send(Message::text(hello.to_string())).await.is_err() {
            self.note(What::Ended { device: self.name.clone(), why: "no hello".to_owned() });
            return None;
        }
        Some(line)
    }

    /// The first frame: most often the proper one, now and then that of an odd client.
    fn hello(&mut self, node: usize) -> Value {
        let (device, chaos) = (self.name.clone(), self.town.phase.get() == Phase::Chaos);
        let dice = if chaos { self.rng.below(100) } else { 99 };
        let mut beyond = None;
        let mut without_token = false;
        match dice {
            0..3 => {
                self.memory = Memory::default();
                self.note(What::Forgot { device });
            }
            3..8 if self.copy.is_some() => {
                self.memory = self.copy.clone().unwrap_or_default();
                let positions = self.memory.positions.clone();
                self.note(What::Rewound { device, positions });
            }
            8..11 => {
                let rooms: Vec<_> = self.memory.positions.keys().cloned().collect();
                if !rooms.is_empty() {
                    beyond = Some(self.rng.pick(&rooms).clone());
                }
            }
            11..17 => without_token = true,
            _ => {}
        }
        if self.rng.chance(300) {
            self.copy = Some(self.memory.clone());
        }
        let memory = &self.memory;
        let token = memory.token.clone().filter(|_| !without_token);
        let mut hello = json!({"type": "hello", "version": 1});
        if let Some(epoch) = &memory.epoch {
            let named = |room: &Room| {
                token.is_none()
                    || memory.reached.contains(room)
                    || memory.reached_before.contains(room)
            };
            let mut positions: BTreeMap<_, _> =
                memory.positions.iter().filter(|(room, _)| named(room)).collect();
            let far = 1_000_000;
            if let Some(room) = &beyond {
                positions.insert(room, &far);
            }
            hello["resume"] = json!({"epoch": epoch, "positions": positions});
            if let Some(token) = &token {
                hello["resume"]["token"] = json!(token);
            }
        }
        let credential = self.credential();
        let token = token.is_some() && memory.epoch.is_some();
        let resume = format!("node {node} {}", hello["resume"]);
        self.note(What::Hello { device: self.name.clone(), credential, token, resume });
        hello
    }

    async fn converse(&mut self, mut line: Line) -> End {
        loop {
            if self.town.phase.get() == Phase::Closing {
                let _ = timeout(Duration::from_millis(200), line.socket.close(None)).await;
                return End::Own;
            }
            let wake = (Instant::now() + LOOK).min(line.act);
            let frame = tokio::select! {
                biased;
                frame = line.socket.next() => Some(frame),
                () = sleep_until(wake) => None,
            };
            let done = match frame {
                Some(Some(Ok(Message::Text(text)))) => {
                    line.heard = Instant::now();
                    let frame = serde_json::from_str(&text).expect("JSON from the server");
                    self.take(&mut line, &frame).await
                }
                Some(Some(Ok(Message::Close(close)))) => {
                    Err(End::Code(close.map_or(1005, |close| close.code.into())))
                }
                Some(Some(Ok(_))) => Ok(()),
                Some(Some(Err(_)) | None) => Err(End::Lost("reset")),
                None => self.tick(&mut line).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn send(&self, line: &mut Line, frame: &Value) -> Result<(), End> {
        let sending = line.socket.send(Message::text(frame.to_string()));
        match timeout(Duration::from_secs(1), sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost("reset")),
            Err(_) => Err(End::Lost("stuck")),
        }
    }

    /// Sends a command, whose one reply is due after those before it.
    async fn command(&self, line: &mut Line, mut frame: Value, due: Due) -> Result<(), End> {
        line.commands += 1;
        let id = line.commands.to_string();
        frame["id"] = json!(id);
        line.replies.push_back((id, due));
        self.send(line, &frame).await
    }

    // --- what comes ---

    async fn take(&mut self, line: &mut Line, frame: &Value) -> Result<(), End> {
        let room = || frame["conversation"].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| frame[name].as_u64().unwrap_or_default();
        let device = self.name.clone();
        match frame["type"].as_str().unwrap_or_default() {
            "welcome" => {
                self.memory.epoch = frame["epoch"].as_str().map(ToOwned::to_owned);
                if frame["resumed"] == false {
                    line.told.clear();
                }
                line.heartbeat = Duration::from_millis(number("heartbeat_ms"));
            }
            "synced" => {
                self.memory.first_token(&frame["token"]);
                line.synced = true;
                let token = frame["token"].to_string();
                self.note(What::Synced { device, token });
            }
            "event" => return self.apply(line, room(), frame).await,
            "reset" => {
                let (room, head) = (room(), number("head"));
                self.memory.reach(&room, head);
                line.syncing.remove(&room);
                self.note(What::Began { device, room: room.clone(), head });
                let path = format!("/conversations/{room}/events?before={}&limit=30", head + 1);
                self.read(Ask::Page { room }, path);
            }
            "left" => {
                let room = room();
                self.memory.leave(&room);
                self.note(What::Left { device, room });
            }
            "pong" => {
                if let Some(token) = frame["token"].as_str() {
                    self.note(What::Token { device, token: token.to_owned() });
                }
                self.memory.next_token(&frame["token"], self.careful);
                for (room, head) in frame["heads"].as_object().into_iter().flatten() {
                    let held = self.memory.positions.get(room).copied();
                    if let Some(held) = held
                        && head.as_u64() > Some(held)
                    {
                        self.fill(line, room.clone(), held).await?;
                    }
                }
            }
            "receipt" => self.note(What::Receipt {
                device,
                room: room(),
                user: frame["user"].as_str().unwrap_or_default().to_owned(),
                received: number("received"),
                read: number("read"),
            }),
            "typing" => self.note(What::Typing { device, room: room() }),
            "ack" | "done" | "error" => self.reply(line, frame),
            "drain" => {
                line.move_at = Some(Instant::now() + Duration::from_millis(number("after_ms")));
            }
            "presence" | "expiring" => {}
            other => panic!("{device}: an unknown frame {other:?}"),
        }
        Ok(())
    }

    /// The one rule.
    async fn apply(&mut self, line: &mut Line, room: Room, frame: &Value) -> Result<(), End> {
        let event = event_of(frame).expect("an event of version 1");
        let device = self.name.clone();
        self.town.rooms.borrow_mut().insert(room.clone());
        match self.memory.positions.get(&room).copied() {
            Some(held) if event.seq <= held => {
                let seq = event.seq;
                let told = line.told.get(&room).is_some_and(|told| seq <= *told);
                if told && !line.synced && !line.syncing.contains_key(&room) {
                    self.note(What::Again { device, room, seq });
                }
                return Ok(());
            }
            Some(held) if event.seq > held + 1 => {
                let got = event.seq;
                self.note(What::Hole { device, room: room.clone(), held, got });
                return self.fill(line, room, held).await;
            }
            Some(_) | None => {}
        }
        line.syncing.remove(&room);
        self.memory.reach(&room, event.seq);
        self.note(What::Applied { device, room, event });
        Ok(())
    }

    /// Asks for a hole, unless that was done just now.
    async fn fill(&mut self, line: &mut Line, room: Room, after: u64) -> Result<(), End> {
        let now = Instant::now();
        if line.syncing.get(&room).is_some_and(|at| now < *at + Duration::from_secs(1)) {
            return Ok(());
        }
        line.syncing.insert(room.clone(), now);
        let frame = json!({"type": "sync", "conversation": room, "after": after});
        self.command(line, frame, Due::Any).await
    }

    fn reply(&mut self, line: &mut Line, frame: &Value) {
        let Some(id) = frame["id"].as_str() else {
            panic!("{}: an error of the connection: {frame}", self.name);
        };
        let (due, what) = line.replies.pop_front().unwrap_or(("nothing".to_owned(), Due::Any));
        if due != id {
            let (device, got) = (self.name.clone(), id.to_owned());
            self.note(What::OutOfTurn { device, due, got });
            line.replies.retain(|(other, _)| other != id);
            return;
        }
        let problem = &frame["problem"];
        let code = problem["code"].as_str().unwrap_or_default();
        match what {
            Due::Any => {}
            Due::Op(op) if frame["type"] == "done" => self.town.answered(op, Answer::Done),
            Due::Op(op) => self.town.answered(op, Answer::Refused(code.to_owned())),
            Due::Send(key) if frame["type"] == "ack" => {
                let room = frame["conversation"].as_str().unwrap_or_default().to_owned();
                let seq = frame["seq"].as_u64().unwrap_or_default();
                acked(&self.town, &self.outbox, &self.sends, &key, room, seq);
            }
            Due::Send(key) => {
                let retry = problem["retryable"] == true;
                refused(&self.town, &self.outbox, &key, code, retry);
            }
        }
    }

    // --- what is to be done ---

    async fn tick(&mut self, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        if now > line.heard + line.heartbeat + Duration::from_secs(2) {
            return Err(End::Lost("silent"));
        }
        if line.move_at.is_some_and(|at| now >= at) && self.town.phase.get() < Phase::Quiet {
            return Err(End::Own);
        }
        if now >= line.pinged + line.heartbeat * self.patience / 2 {
            line.pinged = now;
            let frame = json!({"type": "ping", "positions": self.memory.positions});
            self.send(line, &frame).await?;
        }
        if !line.synced {
            if now >= line.act {
                line.act = now + LOOK;
            }
            return Ok(());
        }
        self.push_outbox(line).await?;
        if self.town.phase.get() == Phase::Quiet && !self.audited {
            self.audited = true;
            self.audit();
        }
        if now < line.act {
            return Ok(());
        }
        if self.town.phase.get() != Phase::Chaos {
            line.act = now + LOOK;
            return Ok(());
        }
        line.act = now + Duration::from_millis(self.rng.below(self.town.habits.pause) + 1);
        let habits = self.town.habits;
        let stranger = self.user() == workload::STRANGER;
        let action = workload::next(&mut self.rng, &habits, stranger);
        self.act(line, action).await
    }

    /// Sends again what has no answer yet: on a new connection at once, and else when it is time.
    async fn push_outbox(&mut self, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        let patience = Duration::from_secs(2);
        let late = |it: &Outgoing| it.tried.is_none_or(|tried| now > tried + patience);
        let keys: Vec<_> = {
            let outbox = self.outbox.borrow();
            outbox.iter().filter(|(_, it)| late(it)).map(|(key, _)| key.clone()).take(25).collect()
        };
        for key in keys {
            let Some(outgoing) = self.outbox.borrow().get(&key).cloned() else { continue };
            if let To::Room(room) = &outgoing.to
                && outgoing.tries > 0
                && self.rng.chance(300)
            {
                self.post(key, room.clone());
                continue;
            }
            self.try_send(line, &key).await?;
        }
        Ok(())
    }

    async fn try_send(&mut self, line: &mut Line, key: &str) -> Result<(), End> {
        let frame = {
            let mut outbox = self.outbox.borrow_mut();
            let Some(outgoing) = outbox.get_mut(key) else { return Ok(()) };
            outgoing.tries += 1;
            outgoing.tried = Some(Instant::now());
            let mut frame = json!({"type": "send", "key": key, "text": outgoing.text});
            match &outgoing.to {
                To::User(user) => frame["to"] = json!(user),
                To::Room(room) => frame["conversation"] = json!(room),
            }
            frame
        };
        self.command(line, frame, Due::Send(key.to_owned())).await
    }

    /// The same by HTTP.
    fn post(&mut self, key: String, room: Room) {
        let Some(text) = self.outbox.borrow_mut().get_mut(&key).map(|outgoing| {
            outgoing.tries += 1;
            outgoing.tried = Some(Instant::now());
            outgoing.text.clone()
        }) else {
            return;
        };
        let (town, outbox, sends) = (self.town.clone(), self.outbox.clone(), self.sends.clone());
        let path = format!("/conversations/{room}/messages");
        let body = Some(json!({"text": text}));
        let request = self.request("POST", path, Some(key.clone()), body);
        tokio::task::spawn_local(async move {
            match request.await {
                Some((200 | 201, event)) => {
                    let seq = event["seq"].as_u64().unwrap_or_default();
                    acked(&town, &outbox, &sends, &key, room, seq);
                }
                Some((401, _)) | None => {}
                Some((_, problem)) => {
                    let retry = problem["retryable"] == true;
                    let code = problem["code"].as_str().unwrap_or_default();
                    refused(&town, &outbox, &key, code, retry);
                }
            }
        });
    }

    fn request(
        &mut self,
        method: &'static str,
        path: String,
        key: Option<String>,
        body: Option<Value>,
    ) -> impl Future<Output = Option<(u16, Value)>> + use<> {
        let node = self.rng.below(self.town.nodes as u64) as usize;
        let token = format!("token-{}", self.credential());
        let under_way = self.under_way.clone();
        async move {
            // A few at a time, as a browser does: the simulated listener has a short queue.
            let _turn = under_way.acquire().await.ok()?;
            let (key, token, path) = (key.as_deref(), &*token, &*path);
            http::ask(http::Request { node, token, method, path, key, body }).await
        }
    }

    /// Reads something by HTTP.
    fn read(&mut self, ask: Ask, path: String) {
        let op = self.town.asked(&self.name, ask);
        self.ask_http(op, "GET", path, None);
    }

    fn ask_http(&mut self, op: u64, method: &'static str, path: String, body: Option<Value>) {
        self.ask_http_with(op, method, path, None, body);
    }

    fn ask_http_with(
        &mut self,
        op: u64,
        method: &'static str,
        path: String,
        key: Option<String>,
        body: Option<Value>,
    ) {
        let town = self.town.clone();
        let request = self.request(method, path, key, body);
        tokio::task::spawn_local(async move {
            let number = |value: &Value, name: &str| value[name].as_u64().unwrap_or_default();
            let answer = match request.await {
                None => return,
                Some((status, it)) if status >= 300 => {
                    Answer::Refused(it["code"].as_str().unwrap_or("?").to_owned())
                }
                Some((_, Value::Array(list))) if list.iter().all(|it| it["seq"].is_u64()) => {
                    Answer::Page(list.iter().filter_map(event_of).collect())
                }
                Some((_, it)) if it["messages"].is_array() => {
                    let messages = it["messages"].as_array().into_iter().flatten();
                    Answer::Messages(number(&it, "head"), messages.filter_map(folded_of).collect())
                }
                Some((_, it)) if it["unread"].is_u64() => Answer::Summary {
                    head: number(&it, "head"),
                    received: number(&it, "received"),
                    read: number(&it, "read"),
                    unread: number(&it, "unread"),
                },
                Some((_, it)) if it["read"].is_u64() => {
                    Answer::Marker { received: number(&it, "received"), read: number(&it, "read") }
                }
                Some(_) => Answer::Done,
            };
            town.answered(op, answer);
        });
    }

    /// In the quiet phase: how does the server count?
    fn audit(&mut self) {
        let rooms: Vec<_> = self.memory.positions.keys().cloned().collect();
        for room in rooms {
            let path = format!("/conversations/{room}");
            self.read(Ask::Summary { room }, path);
        }
    }

    async fn act(&mut self, line: &mut Line, action: Action) -> Result<(), End> {
        let mine: Vec<Room> = self.memory.positions.keys().cloned().collect();
        let all: Vec<Room> = self.town.rooms.borrow().iter().cloned().collect();
        let any = if !mine.is_empty() && !self.rng.chance(80) { &mine } else { &all };
        let room = if any.is_empty() { None } else { Some(self.rng.pick(any).clone()) };
        let users = self.town.users.clone();
        let other = self.rng.pick(&users).clone();
        match (action, room) {
            (Action::Send(count), room) => {
                let direct = self.rng.chance(250) && other != self.user();
                let to = match room {
                    Some(room) if !direct => To::Room(room),
                    _ if other != self.user() && self.user() != workload::STRANGER => {
                        To::User(other)
                    }
                    _ => return Ok(()),
                };
                for _ in 0..count {
                    self.write(line, to.clone()).await?;
                }
            }
            (Action::Pause(millis), _) => {
                self.note(What::Paused { device: self.name.clone(), millis });
                sleep(Duration::from_millis(millis)).await;
                // Whoever slept must not take the pause for silence of the other side.
                line.heard = Instant::now();
            }
            (Action::Disconnect, _) => return Err(End::Own),
            (Action::Group, _) => {
                self.keys += 1;
                let key = format!("{}-g{}", self.name, self.keys);
                let mut members = vec![other];
                members.push(self.rng.pick(&users).clone());
                let what = format!("{key} {members:?}");
                let op = self.town.asked(&self.name, Ask::Open { what });
                let body = json!({"kind": "group", "title": key, "members": members});
                let path = "/conversations".to_owned();
                let request = self.request("POST", path, Some(key), Some(body));
                let town = self.town.clone();
                tokio::task::spawn_local(async move {
                    if let Some((status, it)) = request.await {
                        let refused = || it["code"].as_str().unwrap_or("?").to_owned();
                        town.answered(
                            op,
                            match status {
                                ..300 => Answer::Done,
                                _ => Answer::Refused(refused()),
                            },
                        );
                    }
                });
            }
            (_, None) => {}
            (Action::Mark, Some(room)) => {
                let held = self.memory.positions.get(&room).copied().unwrap_or(3);
                // Old values, and now and then one beyond.
                let read = self.rng.below(held + 2);
                let received = self.rng.below(held + 2);
                let ask = Ask::Mark { room: room.clone(), received, read };
                let op = self.town.asked(&self.name, ask);
                if self.rng.chance(300) {
                    let body = json!({"received": received, "read": read});
                    self.ask_http(op, "PUT", format!("/conversations/{room}/marker"), Some(body));
                } else {
                    let frame = json!({"type": "mark", "conversation": room, "received": received,
                        "read": read});
                    self.command(line, frame, Due::Op(op)).await?;
                }
            }
            (Action::Summary, Some(room)) => {
                let path = format!("/conversations/{room}");
                self.read(Ask::Summary { room }, path);
            }
            (Action::Page, Some(room)) => {
                let place = self.rng.below(60);
                let limit = self.rng.between(1, 30);
                let name = *self.rng.pick(&["before", "after", "around"]);
                let path = format!("/conversations/{room}/events?{name}={place}&limit={limit}");
                self.read(Ask::Page { room }, path);
            }
            (Action::Messages, Some(room)) => {
                let place = self.rng.below(60);
                let limit = self.rng.between(1, 30);
                let which = *self.rng.pick(&["before", "after", "around"]);
                let pinned = if self.rng.chance(200) { "&pinned=true" } else { "" };
                let path =
                    format!("/conversations/{room}/messages?{which}={place}&limit={limit}{pinned}");
                self.read(Ask::Messages { room }, path);
            }
            (Action::Amend, Some(room)) => self.amend(line, room).await?,
            (Action::Members, Some(room)) => {
                let path = format!("/conversations/{room}/members");
                self.read(Ask::Members { room }, path);
            }
            (Action::Sync, Some(room)) => {
                let held = self.memory.positions.get(&room).copied().unwrap_or(0);
                let after = self.rng.below(held + 1);
                let op = self.town.asked(&self.name, Ask::Sync { room: room.clone() });
                let frame = json!({"type": "sync", "conversation": room, "after": after});
                self.command(line, frame, Due::Op(op)).await?;
            }
            (Action::Typing, Some(room)) => {
                let op = self.town.asked(&self.name, Ask::Typing { room: room.clone() });
                let frame = json!({"type": "typing", "conversation": room, "on": true});
                self.command(line, frame, Due::Op(op)).await?;
            }
            (Action::Change, Some(room)) => {
                let who = format!("/conversations/{room}/members/{other}");
                let (method, path, body) = match self.rng.below(10) {
                    0..4 => {
                        let users = json!({"users": [other]});
                        ("POST", format!("/conversations/{room}/members"), Some(users))
                    }
                    4..7 => ("DELETE", who, None),
                    7..8 => {
                        let own = format!("/conversations/{room}/members/{}", self.user());
                        ("DELETE", own, None)
                    }
                    8 => {
                        let about = json!({"topic": self.rng.chance(700).then_some("sails")});
                        ("PATCH", format!("/conversations/{room}"), Some(about))
                    }
                    _ => {
                        let roles = ["owner", "owner", "admin", "member", "reader"];
                        ("PATCH", who, Some(json!({"role": self.rng.pick(&roles)})))
                    }
                };
                let what = format!("{method} {path}");
                let op = self.town.asked(&self.name, Ask::Change { room, what });
                self.ask_http(op, method, path, body);
            }
        }
        Ok(())
    }

    /// Changes some message, which may be nobody's, somebody else's, or gone; now and then what was
    /// asked for before is asked for again, by the same key.
    async fn amend(&mut self, line: &mut Line, room: Room) -> Result<(), End> {
        let again = self.amended.clone().filter(|_| self.rng.chance(200));
        let (room, key, frame) = again.unwrap_or_else(|| {
            self.keys += 1;
            let key = format!("{}-a{}", self.name, self.keys);
            let held = self.memory.positions.get(&room).copied().unwrap_or(9);
            // Mostly something recent.
            let message = held.saturating_sub(self.rng.below(8)) + self.rng.below(2);
            let emoji = *self.rng.pick(&["👍", "🎉"]);
            let mut frame = match self.rng.below(10) {
                0..3 => json!({"type": "edit", "text": format!("{key} anew")}),
                3..5 => json!({"type": "delete"}),
                5..8 => json!({"type": "react", "emoji": emoji, "on": self.rng.chance(700)}),
                _ => json!({"type": "pin", "on": self.rng.chance(700)}),
            };
            frame["conversation"] = json!(room);
            frame["message"] = json!(message);
            frame["key"] = json!(key);
            (room, key, frame)
        });
        self.amended = Some((room.clone(), key.clone(), frame.clone()));
        let what = frame.to_string();
        let ask = Ask::Amend { room: room.clone(), key: key.clone(), what };
        let op = self.town.asked(&self.name, ask);
        if self.rng.chance(700) {
            return self.command(line, frame, Due::Op(op)).await;
        }
        let path = format!("/conversations/{room}/messages/{}", frame["message"]);
        let put = if frame["on"] == true { "PUT" } else { "DELETE" };
        let (method, path, body) = match frame["type"].as_str().unwrap_or_default() {
            "edit" => ("PATCH", path, Some(json!({"text": frame["text"]}))),
            "delete" => ("DELETE", path, None),
            "pin" => (put, path + "/pin", None),
            _ => {
                let emoji = match frame["emoji"].as_str() {
                    Some("👍") => "%F0%9F%91%8D",
                    _ => "%F0%9F%8E%89",
                };
                (put, format!("{path}/reactions/{emoji}"), None)
            }
        };
        self.ask_http_with(op, method, path, Some(key), body);
        Ok(())
    }

    async fn write(&mut self, line: &mut Line, to: To) -> Result<(), End> {
        self.keys += 1;
        let key = format!("{}-{}", self.name, self.keys);
        let size = match self.rng.below(4) {
            0 => 180,
            _ => self.rng.between(1, 40) as usize,
        };
        let text = format!("{key} {}", "x".repeat(size.saturating_sub(key.len())));
        let text = text.trim().to_owned();
        let ask = Ask::Send { key: key.clone(), text: text.clone() };
        let op = self.town.asked(&self.name, ask);
        self.sends.borrow_mut().insert(key.clone(), op);
        let outgoing = Outgoing { op, to, text, tries: 0, tried: None };
        self.outbox.borrow_mut().insert(key.clone(), outgoing);
        self.try_send(line, &key).await
    }
}

fn acked(
    town: &Town,
    outbox: &Outbox,
    sends: &RefCell<BTreeMap<String, u64>>,
    key: &str,
    room: Room,
    seq: u64,
) {
    outbox.borrow_mut().remove(key);
    town.rooms.borrow_mut().insert(room.clone());
    // Also a second answer has to be right.
    if let Some(op) = sends.borrow().get(key) {
        town.answered(*op, Answer::Ack { room, seq });
    }
}

fn refused(town: &Town, outbox: &Outbox, key: &str, code: &str, retry: bool) {
    let mut outbox = outbox.borrow_mut();
    let Some(outgoing) = outbox.get(key) else { return };
    if retry {
        return;
    }
    let code = code.to_owned();
    let answer = match outgoing.tries {
        1 => Answer::Refused(code),
        _ => Answer::RefusedLate(code),
    };
    town.answered(outgoing.op, answer);
    outbox.remove(key);
}

/// A message of a page with what has become of it.
fn folded_of(it: &Value) -> Option<Folded> {
    let edit = &it["edit"];
    let reactions = it["reactions"].as_array().into_iter().flatten();
    Some(Folded {
        event: event_of(it)?,
        edit: edit["seq"].as_u64().zip(edit["text"].as_str().map(ToOwned::to_owned)),
        reactions: reactions
            .map(|it| Some((it["emoji"].as_str()?.to_owned(), it["count"].as_u64()?)))
            .collect::<Option<_>>()?,
        pinned: it["pinned"] == true,
    })
}

/// An event as it stands on the wire, in words of our own.
fn event_of(frame: &Value) -> Option<LogEvent> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let list = |value: &Value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
    let event = &frame["event"];
    Some(LogEvent {
        seq: frame["seq"].as_u64()?,
        from: text(&frame["from"]),
        key: text(&frame["key"]),
        body: match event["type"].as_str()? {
            "created" => Body::Created(list(&event["members"])?),
            "message" => Body::Message(text(&event["text"])?),
            "erased" => Body::Erased,
            kind @ ("edited" | "deleted" | "reacted" | "unreacted" | "pinned" | "unpinned") => {
                let with = text(&event["text"]).or(text(&event["emoji"])).unwrap_or_default();
                Body::Amended { kind: kind.to_owned(), message: event["message"].as_u64()?, with }
            }
            "added" => Body::Added(list(&event["users"])?),
            "removed" => Body::Removed(text(&event["user"])?),
            "left" => Body::Left,
            other => Body::Other(other.to_owned()),
        },
    })
}
