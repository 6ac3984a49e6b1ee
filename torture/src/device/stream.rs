//! One connection of a device, from hello to its end.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use chat_check::history::{Answer, Conversation, Op, Phase, What};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::Device;
use crate::town;

/// A connection.
pub(super) struct Line {
    socket: WebSocketStream<TcpStream>,
    commands: u64,
    replies: VecDeque<(String, Due)>,
    heartbeat: Duration,
    heard: Instant,
    pinged: Instant,
    act: Instant,
    pub(super) welcome: bool,
    pub(super) synced: bool,
    /// Asked to fill these holes, when.
    syncing: HashMap<Conversation, Instant>,
    move_at: Option<Instant>,
    /// What is said waits, so that it arrives at once.
    corked: bool,
}

/// What a reply is about.
pub(super) enum Due {
    Send(Op),
    Op(Op),
    /// Of a command whose answer is nobody's concern.
    Any,
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    Code(u16),
    Lost(#[expect(dead_code, reason = "for the history")] &'static str),
    Own,
}

/// How often a device looks after what does not come by itself.
const LOOK: Duration = Duration::from_millis(250);

/// Time for a connection to be made and for a frame to be written.
const PATIENCE: Duration = Duration::from_secs(4);

/// How much longer than a heartbeat a server may be silent. The protocol says 10 s; a device that
/// gives up earlier meets more faults in the same time.
const SILENCE: Duration = Duration::from_secs(4);

impl Device {
    /// A connection, as long as it lasts.
    pub(super) async fn connection(&mut self) {
        let Some(mut line) = self.connect().await else { return };
        let end = self.converse(&mut line).await;
        self.desk.note(What::Ended { device: self.desk.number, why: format!("{end:?}") });
        // Commands without an answer: nobody knows.
        for (_, due) in std::mem::take(&mut line.replies) {
            match due {
                Due::Op(op) => self.desk.answered(op, |book, op| book.unknown(op, "disconnected")),
                Due::Send(op) => self.desk.again(op, Duration::ZERO),
                Due::Any => {}
            }
        }
        match end {
            End::Code(4501 | 4502) => self.desk.token.borrow_mut().clear(),
            // What a device of good manners never hears.
            End::Code(code) if (1002..=1009).contains(&code) && code < 1005 || code >= 4500 => {
                self.unspoken(format!("closed with {code}"));
            }
            End::Code(_) | End::Lost(_) | End::Own => {}
        }
        self.desk.tell();
    }

    fn unspoken(&self, story: String) {
        self.desk.note(What::Unspoken { device: self.desk.number, story });
    }

    async fn connect(&mut self) -> Option<Line> {
        let door = self.desk.town.doors[self.node];
        let token = self.desk.token.borrow().clone();
        let attempt = async {
            let socket = TcpStream::connect(door).await.ok()?;
            socket.set_nodelay(true).ok()?;
            let mut request = format!("ws://{door}/ws").into_client_request().ok()?;
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", "chat.v1".parse().ok()?);
            headers.insert("authorization", format!("Bearer {token}").parse().ok()?);
            match tokio_tungstenite::client_async(request, socket).await {
                Ok((socket, _)) => Some(socket),
                Err(Error::Http(reply)) => {
                    if reply.status() == 401 {
                        self.desk.token.borrow_mut().clear();
                        self.desk.tell();
                    }
                    None
                }
                Err(_) => None,
            }
        };
        let socket = timeout(PATIENCE, attempt).await.ok().flatten()?;
        let now = Instant::now();
        let mut line = Line {
            socket,
            commands: 0,
            replies: VecDeque::new(),
            heartbeat: Duration::from_secs(2),
            heard: now,
            pinged: now,
            act: now + Duration::from_micros(self.dice.below(self.desk.town.pause)),
            welcome: false,
            synced: false,
            syncing: HashMap::new(),
            move_at: None,
            corked: false,
        };
        let hello = self.hello();
        if self.say(&mut line, &hello).await.is_err() {
            self.desk.note(What::Ended { device: self.desk.number, why: "no hello".to_owned() });
            return None;
        }
        Some(line)
    }

    async fn converse(&mut self, line: &mut Line) -> End {
        loop {
            if self.desk.town.phase.get() == Phase::Gone {
                let _ = timeout(PATIENCE, line.socket.close(None)).await;
                return End::Own;
            }
            let wake = line.act.min(Instant::now() + LOOK);
            let frame = tokio::select! {
                biased;
                frame = line.socket.next() => Some(frame),
                () = sleep_until(wake) => None,
            };
            let done = match frame {
                Some(Some(Ok(Message::Text(text)))) => {
                    line.heard = Instant::now();
                    match serde_json::from_str(&text) {
                        Ok(frame) => self.take(line, &frame).await,
                        Err(why) => {
                            self.unspoken(format!("{why}"));
                            Ok(())
                        }
                    }
                }
                Some(Some(Ok(Message::Close(close)))) => {
                    Err(End::Code(close.map_or(1005, |close| close.code.into())))
                }
                Some(Some(Ok(_))) => Ok(()),
                Some(Some(Err(_)) | None) => Err(End::Lost("reset")),
                None => Ok(()),
            };
            if let Err(end) = done {
                return end;
            }
            // Also under a stream that never pauses.
            if Instant::now() >= wake
                && let Err(end) = self.tick(line).await
            {
                return end;
            }
        }
    }

    pub(super) async fn say(&self, line: &mut Line, frame: &Value) -> Result<(), End> {
        let frame = Message::text(frame.to_string());
        let corked = line.corked;
        let saying = async {
            match corked {
                true => line.socket.feed(frame).await,
                false => line.socket.send(frame).await,
            }
        };
        match timeout(PATIENCE, saying).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost("reset")),
            Err(_) => Err(End::Lost("stuck")),
        }
    }

    /// From here on what is said waits.
    pub(super) fn cork(line: &mut Line) {
        line.corked = true;
    }

    /// Says everything that waits, at once.
    pub(super) async fn uncork(&self, line: &mut Line) -> Result<(), End> {
        line.corked = false;
        match timeout(PATIENCE, line.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost("reset")),
            Err(_) => Err(End::Lost("stuck")),
        }
    }

    /// Sends a command, whose one reply is due after those before it.
    pub(super) async fn command(
        &self,
        line: &mut Line,
        mut frame: Value,
        due: Due,
    ) -> Result<(), End> {
        line.commands += 1;
        let id = line.commands.to_string();
        frame["id"] = json!(id);
        line.replies.push_back((id, due));
        self.say(line, &frame).await
    }

    // --- what comes ---

    async fn take(&mut self, line: &mut Line, frame: &Value) -> Result<(), End> {
        let device = self.desk.number;
        let book = self.desk.town.book.clone();
        let room = || book.conversation(frame["conversation"].as_str().unwrap_or_default());
        let number = |name: &str| frame[name].as_u64().unwrap_or_default();
        match frame["type"].as_str().unwrap_or_default() {
            "event" => return self.apply(line, frame).await,
            "welcome" => {
                self.desk.note(What::Welcome { device });
                line.welcome = true;
                line.heartbeat = Duration::from_millis(number("heartbeat_ms"));
                let epoch = frame["epoch"].as_str().map(ToOwned::to_owned);
                if self.memory.epoch.is_some() && self.memory.epoch != epoch {
                    self.unspoken("the epoch is another one".to_owned());
                }
                self.memory.epoch = epoch;
            }
            "synced" => {
                self.memory.take_token(&frame["token"]);
                line.synced = true;
                self.desk.note(What::Synced { device });
                let (now, held) = (book.now(), self.memory.held.clone());
                self.desk.town.stand(device, |it| {
                    it.synced = Some(now);
                    it.held = held;
                });
                self.desk.tell();
            }
            "reset" => {
                let (conversation, head) = (room(), number("head"));
                self.memory.reach(conversation, head);
                line.syncing.remove(&conversation);
                self.desk.note(What::Reset { device, conversation, head });
                self.desk.town.stand(device, |it| {
                    it.held.insert(conversation, head);
                });
            }
            "left" => {
                let conversation = room();
                self.memory.leave(conversation);
                self.desk.note(What::Left { device, conversation });
                self.desk.town.stand(device, |it| {
                    it.held.remove(&conversation);
                });
            }
            "pong" => {
                self.memory.take_token(&frame["token"]);
                for (id, head) in frame["heads"].as_object().into_iter().flatten() {
                    let conversation = book.conversation(id);
                    let held = self.memory.held.get(&conversation).copied();
                    if let Some(held) = held
                        && head.as_u64() > Some(held)
                    {
                        self.fill(line, conversation, held).await?;
                    }
                }
            }
            "receipt" => {
                let user = book.user(frame["user"].as_str().unwrap_or_default());
                let (received, read) = (number("received"), number("read"));
                let conversation = room();
                self.desk.note(What::Receipt { device, conversation, user, received, read });
            }
            "ack" | "done" | "error" => self.reply(line, frame),
            "drain" => {
                line.move_at = Some(Instant::now() + Duration::from_millis(number("after_ms")));
            }
            "typing" | "presence" | "expiring" => {}
            other => self.unspoken(format!("a frame {other:?}")),
        }
        Ok(())
    }

    async fn apply(&mut self, line: &mut Line, frame: &Value) -> Result<(), End> {
        let device = self.desk.number;
        let Some(seq) = frame["seq"].as_u64() else {
            self.unspoken(format!("an event without a number: {frame}"));
            return Ok(());
        };
        let conversation =
            self.desk.town.book.conversation(frame["conversation"].as_str().unwrap_or_default());
        let content = town::digest(frame);
        self.desk.note(What::Event { device, conversation, seq, content });
        match self.memory.held.get(&conversation).copied() {
            Some(held) if seq <= held => return Ok(()),
            Some(held) if seq > held + 1 => return self.fill(line, conversation, held).await,
            Some(_) | None => {}
        }
        line.syncing.remove(&conversation);
        self.memory.reach(conversation, seq);
        self.desk.town.stand(device, |it| {
            it.held.insert(conversation, seq);
        });
        Ok(())
    }

    /// Asks for a hole, unless that was done just now.
    async fn fill(&mut self, line: &mut Line, room: Conversation, after: u64) -> Result<(), End> {
        let now = Instant::now();
        if line.syncing.get(&room).is_some_and(|at| now < *at + Duration::from_secs(2)) {
            return Ok(());
        }
        line.syncing.insert(room, now);
        self.sync(line, room, after, Due::Any).await
    }

    pub(super) async fn sync(
        &self,
        line: &mut Line,
        conversation: Conversation,
        after: u64,
        due: Due,
    ) -> Result<(), End> {
        self.desk.note(What::Sync { device: self.desk.number, conversation, after });
        let id = self.desk.town.book.id(conversation);
        let frame = json!({"type": "sync", "conversation": id, "after": after});
        self.command(line, frame, due).await
    }

    fn reply(&self, line: &mut Line, frame: &Value) {
        let Some(id) = frame["id"].as_str() else {
            self.unspoken(format!("about the connection: {frame}"));
            return;
        };
        let Some((due, what)) = line.replies.pop_front() else {
            self.unspoken(format!("a reply to nothing: {frame}"));
            return;
        };
        if due != id {
            let ids = format!("{due} was due, {id} came");
            self.desk.note(What::OutOfTurn { device: self.desk.number, ids });
            line.replies.push_front((due, what));
            let place = line.replies.iter().position(|(other, _)| other == id);
            if let Some((_, what)) = place.and_then(|place| line.replies.remove(place)) {
                self.answer(what, frame);
            }
            return;
        }
        self.answer(what, frame);
    }

    fn answer(&self, what: Due, frame: &Value) {
        let node = self.node;
        match what {
            Due::Any => {}
            Due::Op(op) if frame["type"] == "done" => {
                self.desk.answered(op, |book, op| book.ok(op, node, Answer::Done));
            }
            Due::Op(op) => {
                let problem = frame["problem"].clone();
                self.desk.answered(op, |book, op| super::deeds::refused(book, op, &problem));
            }
            Due::Send(op) if frame["type"] == "ack" => self.desk.acknowledged(op, node, frame),
            Due::Send(op) => self.desk.send_refused(op, &frame["problem"]),
        }
    }

    // --- what is to be done ---

    async fn tick(&mut self, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        let phase = self.desk.town.phase.get();
        if now > line.heard + line.heartbeat + SILENCE {
            return Err(End::Lost("silent"));
        }
        if line.move_at.is_some_and(|at| now >= at) && phase < Phase::Quiet {
            return Err(End::Own);
        }
        if line.welcome && now >= line.pinged + line.heartbeat / 2 {
            line.pinged = now;
            let mut frame = json!({"type": "ping"});
            // In the quiet phase the server has to find by itself what is missing.
            if self.careful && phase < Phase::Quiet {
                let book = &self.desk.town.book;
                let held = self.memory.held.iter().take(100);
                let held: serde_json::Map<String, Value> =
                    held.map(|(room, seq)| (book.id(*room), json!(seq))).collect();
                frame["positions"] = json!(held);
            }
            self.say(line, &frame).await?;
        }
        if !line.synced {
            if now >= line.act {
                line.act = now + LOOK;
            }
            return Ok(());
        }
        self.push_outbox(line).await?;
        if now < line.act {
            return Ok(());
        }
        if phase > Phase::Chaos {
            line.act = now + LOOK;
            return Ok(());
        }
        let pause = self.desk.town.pause;
        // Who could not act for a while does not make up for it.
        line.act = now + Duration::from_micros(self.dice.between(pause / 2, pause * 3 / 2));
        self.act(line).await
    }
}
