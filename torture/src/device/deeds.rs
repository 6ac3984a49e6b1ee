//! What a device asks for, and what becomes of it.

use std::{rc::Rc, time::Duration};

use chat_check::history::{Answer, Ask, Conversation, Op, What};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Desk, Device, Outgoing,
    stream::{Due, End, Line},
};
use crate::{
    book::Book,
    http::{self, Request},
    town::{self, digest_of_message},
    workload::{self, Action},
};

/// After this time a message is sent again on the same connection.
const LATE: Duration = Duration::from_secs(5);

/// Questions of a device under way at once, sends aside.
const ASKING_MAX: usize = 8;

/// Characters of a text that the server takes at most; as it stands in `welcome` by default.
const CHARACTERS_MAX: usize = 8_000;

/// A refusal of something other than a send.
pub(super) fn refused(book: &Book, op: Op, problem: &Value) {
    let code = problem["code"].as_str().unwrap_or("without a code").to_owned();
    if problem["retryable"] == true {
        book.unknown(op, &code);
    } else {
        book.note(What::Fail { op, code });
    }
}

impl Desk {
    /// A question other than a send begins.
    fn asks(&self, ask: Ask) -> Op {
        self.asking.set(self.asking.get() + 1);
        self.tell();
        self.town.book.ask(self.number, ask)
    }

    /// And ends.
    pub(super) fn answered(&self, op: Op, tell: impl FnOnce(&Book, Op)) {
        tell(&self.town.book, op);
        self.asking.set(self.asking.get().saturating_sub(1));
        self.tell();
    }

    pub(super) fn acknowledged(&self, op: Op, node: usize, event: &Value) {
        let conversation = event["conversation"].as_str().unwrap_or_default();
        let conversation = self.town.book.conversation(conversation);
        let seq = event["seq"].as_u64().unwrap_or_default();
        let duplicate = event["duplicate"] == true;
        self.town.book.ok(op, node, Answer::Ack { conversation, seq, duplicate });
        self.outbox.borrow_mut().remove(&op);
        self.tell();
    }

    pub(super) fn send_refused(&self, op: Op, problem: &Value) {
        let code = problem["code"].as_str().unwrap_or("without a code");
        if problem["retryable"] == true {
            let wait = problem["retry_after_ms"].as_u64().unwrap_or(0).clamp(50, 1_000);
            self.again(op, Duration::from_millis(wait));
            return;
        }
        // A second answer may come to a question that has one.
        let Some(outgoing) = self.outbox.borrow_mut().remove(&op) else { return };
        match outgoing.tries {
            1 => self.note(What::Fail { op, code: code.to_owned() }),
            _ => self.town.book.unknown(op, code),
        }
        self.tell();
    }

    /// To be sent again, not before this time.
    pub(super) fn again(&self, op: Op, wait: Duration) {
        if let Some(outgoing) = self.outbox.borrow_mut().get_mut(&op) {
            outgoing.tried = None;
            outgoing.not_before = Some(Instant::now() + wait);
        }
    }

    /// Ends the device's log-in; its connection is left to the server.
    pub(super) fn log_out(self: &Rc<Self>, node: usize) {
        if self.revoked.get() {
            return;
        }
        let op = self.asks(Ask::Open { how: "log out".to_owned() });
        let desk = self.clone();
        tokio::task::spawn_local(async move {
            let (token, credential) = (desk.token.borrow().clone(), desk.credential.get());
            let request = Request::post("/user/logout", &token, None);
            let reply = http::ask(desk.town.doors[node], request).await;
            let mine = desk.credential.get() == credential;
            match &reply {
                Ok(reply) if reply.status == 204 => {
                    desk.note(What::Revoked { credential });
                    if mine {
                        desk.revoked.set(true);
                    }
                }
                // It may have ended: whoever does not know takes another one next time.
                Ok(_) => {}
                Err(_) if mine => desk.token.borrow_mut().clear(),
                Err(_) => {}
            }
            desk.answered(op, |book, op| match reply {
                Ok(reply) if reply.status == 204 => book.ok(op, node, Answer::Done),
                Ok(reply) => refused(book, op, &reply.json()),
                Err(why) => book.unknown(op, &why.kind().to_string()),
            });
        });
    }
}

impl Device {
    pub(super) async fn act(&mut self, line: &mut Line) -> Result<(), End> {
        let action = match (self.desk.stranger, self.desk.town.loud.get()) {
            (true, _) => workload::next_of_stranger(&mut self.dice),
            (false, true) => Action::Burst,
            (false, false) => workload::next(&mut self.dice),
        };
        match action {
            Action::Disconnect => return Err(End::Own),
            Action::Open => {
                self.open_group();
                return Ok(());
            }
            Action::LogOut => {
                let node = self.any_node();
                self.desk.log_out(node);
                return Ok(());
            }
            Action::Send
            | Action::Burst
            | Action::SendBad
            | Action::Mark
            | Action::Summary
            | Action::Page
            | Action::Members
            | Action::Sync
            | Action::Typing
            | Action::Amend
            | Action::Change => {}
        }
        // Who waits for many answers asks for nothing more but to send.
        let sends = matches!(action, Action::Send | Action::Burst);
        if !sends && self.desk.asking.get() >= ASKING_MAX {
            return Ok(());
        }
        let Some((room, to)) = self.room() else { return Ok(()) };
        let id = self.desk.town.book.id(room);
        let held = self.memory.held.get(&room).copied().unwrap_or(3);
        match action {
            Action::Send | Action::SendBad => {
                return self.write(line, room, to, action == Action::SendBad).await;
            }
            Action::Burst => {
                Self::cork(line);
                for _ in 0..self.dice.between(3, 6) {
                    self.write(line, room, to.clone(), false).await?;
                }
                let frame = json!({"type": "typing", "conversation": id, "on": true});
                self.command(line, frame, Due::Any).await?;
                self.uncork(line).await?;
            }
            Action::Mark => {
                let read = self.dice.below(held + 2);
                let received = self.dice.below(held + 2);
                let op = self.desk.asks(Ask::Mark { conversation: room, received, read });
                if self.dice.chance(300) {
                    let body = json!({"received": received, "read": read});
                    let path = format!("/conversations/{id}/marker");
                    self.ask_http(op, "PUT", path, Some(body), None);
                } else {
                    let frame = json!({"type": "mark", "conversation": id, "received": received,
                        "read": read});
                    self.command(line, frame, Due::Op(op)).await?;
                }
            }
            Action::Summary => {
                let op = self.desk.asks(Ask::Summary { conversation: room });
                self.ask_http(op, "GET", format!("/conversations/{id}"), None, None);
            }
            Action::Page => {
                let op = self.desk.asks(Ask::Page { conversation: room });
                let place = self.dice.below(held + 40);
                let limit = self.dice.between(1, 40);
                let name = ["before", "after", "around"];
                let name = self.dice.pick(&name).copied().unwrap_or_default();
                let path = format!("/conversations/{id}/events?{name}={place}&limit={limit}");
                self.ask_http(op, "GET", path, None, None);
            }
            Action::Members => {
                let op = self.desk.asks(Ask::Members { conversation: room });
                self.ask_http(op, "GET", format!("/conversations/{id}/members"), None, None);
            }
            Action::Sync => {
                if self.desk.stranger {
                    let op = self.desk.asks(Ask::Follow { conversation: room });
                    let frame = json!({"type": "sync", "conversation": id, "after": 0});
                    self.command(line, frame, Due::Op(op)).await?;
                } else if let Some(held) = self.memory.held.get(&room).copied() {
                    let after = held.saturating_sub(self.dice.below(30));
                    self.sync(line, room, after, Due::Any).await?;
                }
            }
            Action::Typing => {
                let frame = json!({"type": "typing", "conversation": id, "on": true});
                self.command(line, frame, Due::Any).await?;
            }
            Action::Amend => self.amend(line, room, &id, held).await?,
            Action::Change => self.change(room, &id),
            Action::Disconnect | Action::Open | Action::LogOut => {}
        }
        Ok(())
    }

    /// Some conversation: one's own, or for a stranger one of the others.
    fn room(&mut self) -> Option<(Conversation, Option<String>)> {
        if self.desk.stranger {
            let rooms = u64::from(self.desk.town.book.conversations());
            return Some((u32::try_from(self.dice.below(rooms)).ok()?, None));
        }
        if self.memory.held.is_empty() || self.dice.chance(600) {
            return self.dice.pick(&self.desk.me.rooms).cloned();
        }
        let rooms: Vec<_> = self.memory.held.keys().copied().collect();
        Some((*self.dice.pick(&rooms)?, None))
    }

    // --- messages ---

    async fn write(
        &mut self,
        line: &mut Line,
        conversation: Conversation,
        to: Option<String>,
        bad: bool,
    ) -> Result<(), End> {
        if self.desk.outbox.borrow().len() >= self.desk.town.waiting_max {
            return Ok(());
        }
        let long = self.desk.town.loud.get();
        let text = match bad {
            true => workload::bad_text(&mut self.dice, CHARACTERS_MAX),
            false => workload::text(&mut self.dice, long),
        };
        self.keys += 1;
        let key = format!("{}-{}", self.desk.number, self.keys);
        let content = digest_of_message(&self.desk.me.id, &key, &text);
        let ask = Ask::Send { conversation, key: key.clone(), content, bad };
        let op = self.desk.town.book.ask(self.desk.number, ask);
        let to = to.filter(|_| self.dice.chance(500));
        let outgoing =
            Outgoing { conversation, to, key, text, tries: 0, tried: None, not_before: None };
        self.desk.outbox.borrow_mut().insert(op, outgoing);
        self.desk.tell();
        self.try_send(line, op).await
    }

    /// Sends again what has no answer yet: on a new connection at once, and else when it is time.
    pub(super) async fn push_outbox(&mut self, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        let due: Vec<Op> = {
            let outbox = self.desk.outbox.borrow();
            let late = |it: &Outgoing| {
                it.tried.is_none_or(|tried| now > tried + LATE)
                    && it.not_before.is_none_or(|time| now >= time)
            };
            outbox.iter().filter(|(_, it)| late(it)).map(|(op, _)| *op).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        // At once: what a node has to ask the store for must not be overtaken by what it knows.
        Self::cork(line);
        for op in due {
            self.try_send(line, op).await?;
        }
        self.uncork(line).await
    }

    async fn try_send(&mut self, line: &mut Line, op: Op) -> Result<(), End> {
        let outgoing = {
            let mut outbox = self.desk.outbox.borrow_mut();
            let Some(outgoing) = outbox.get_mut(&op) else { return Ok(()) };
            outgoing.tries += 1;
            outgoing.tried = Some(Instant::now());
            outgoing.clone()
        };
        if outgoing.tries > 1 {
            self.desk.note(What::Retry { op });
        }
        if self.dice.chance(if outgoing.tries > 1 { 200 } else { 30 }) {
            self.post(op, outgoing);
            return Ok(());
        }
        let mut frame = json!({"type": "send", "key": outgoing.key, "text": outgoing.text});
        match &outgoing.to {
            Some(user) => frame["to"] = json!(user),
            None => {
                frame["conversation"] = json!(self.desk.town.book.id(outgoing.conversation));
            }
        }
        self.command(line, frame, Due::Send(op)).await
    }

    /// The same by HTTP, at any node.
    fn post(&mut self, op: Op, outgoing: Outgoing) {
        let (desk, node) = (self.desk.clone(), self.any_node());
        tokio::task::spawn_local(async move {
            let id = desk.town.book.id(outgoing.conversation);
            let (path, body) = match &outgoing.to {
                Some(user) => {
                    ("/messages".to_owned(), json!({"to": user, "content": outgoing.text}))
                }
                None => (format!("/conversations/{id}/messages"), json!({"text": outgoing.text})),
            };
            let token = desk.token.borrow().clone();
            let request = Request {
                method: "POST",
                path: &path,
                token: &token,
                key: Some(&outgoing.key),
                body: Some(&body),
            };
            match http::ask(desk.town.doors[node], request).await {
                Ok(reply) if matches!(reply.status, 200 | 201) => {
                    let mut event = reply.json();
                    event["duplicate"] = json!(reply.status == 200);
                    desk.acknowledged(op, node, &event);
                }
                // The log-in ended meanwhile: the next one sends it again.
                Ok(reply) if reply.status == 401 => desk.again(op, Duration::from_millis(200)),
                Ok(reply) => desk.send_refused(op, &reply.json()),
                Err(_) => desk.again(op, Duration::from_millis(50)),
            }
        });
    }

    // --- the rest of what goes by HTTP ---

    fn any_node(&mut self) -> usize {
        let nodes = self.desk.town.doors.len() as u64;
        usize::try_from(self.dice.below(nodes)).unwrap_or(0)
    }

    fn ask_http(
        &mut self,
        op: Op,
        method: &'static str,
        path: String,
        body: Option<Value>,
        key: Option<String>,
    ) {
        let (desk, node) = (self.desk.clone(), self.any_node());
        tokio::task::spawn_local(async move {
            let token = desk.token.borrow().clone();
            let (key, body) = (key.as_deref(), body.as_ref());
            let request = Request { method, path: &path, token: &token, key, body };
            let reply = http::ask(desk.town.doors[node], request).await;
            desk.answered(op, |book, op| match reply {
                Ok(reply) if reply.status < 300 => {
                    book.ok(op, node, answer(&reply.json(), method, &path));
                }
                Ok(reply) => refused(book, op, &reply.json()),
                Err(why) => book.unknown(op, &why.kind().to_string()),
            });
        });
    }

    fn open_group(&mut self) {
        let citizens = &self.desk.town.citizens[..self.desk.town.people];
        let some: Vec<_> = (0..3).filter_map(|_| self.dice.pick(citizens)).collect();
        let members: Vec<_> =
            some.iter().map(|it| &it.id).filter(|id| **id != self.desk.me.id).collect();
        self.keys += 1;
        let key = format!("{}-{}", self.desk.number, self.keys);
        let body = json!({"kind": "group", "title": key, "members": members});
        let op = self.desk.asks(Ask::Open { how: format!("{body}") });
        self.ask_http(op, "POST", "/conversations".to_owned(), Some(body), Some(key));
    }

    /// Changes something recent, which may be no message, somebody else's, or gone.
    async fn amend(
        &mut self,
        line: &mut Line,
        room: Conversation,
        id: &str,
        held: u64,
    ) -> Result<(), End> {
        let message = held.saturating_sub(self.dice.below(12)).max(1);
        self.keys += 1;
        let key = format!("{}-a{}", self.desk.number, self.keys);
        let on = self.dice.chance(700);
        let mut frame = match self.dice.below(10) {
            0..3 => json!({"type": "edit", "text": workload::text(&mut self.dice, false)}),
            3..5 => json!({"type": "delete"}),
            5..8 => json!({"type": "react", "emoji": "+1", "on": on}),
            _ => json!({"type": "pin", "on": on}),
        };
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        let how = format!("{kind} {message}");
        let op = self.desk.asks(Ask::Change { conversation: room, how });
        if self.dice.chance(700) {
            frame["conversation"] = json!(id);
            frame["message"] = json!(message);
            frame["key"] = json!(key);
            return self.command(line, frame, Due::Op(op)).await;
        }
        let path = format!("/conversations/{id}/messages/{message}");
        let put = if on { "PUT" } else { "DELETE" };
        let (method, path, body) = match &*kind {
            "edit" => ("PATCH", path, Some(json!({"text": frame["text"]}))),
            "delete" => ("DELETE", path, None),
            "react" => (put, path + "/reactions/+1", None),
            _ => (put, path + "/pin", None),
        };
        self.ask_http(op, method, path, body, Some(key));
        Ok(())
    }

    fn change(&mut self, room: Conversation, id: &str) {
        let citizens = &self.desk.town.citizens[..self.desk.town.people];
        let Some(other) = self.dice.pick(citizens).map(|it| it.id.clone()) else { return };
        let members = format!("/conversations/{id}/members");
        let one = format!("{members}/{other}");
        let (method, path, body) = match self.dice.below(12) {
            0..5 => ("POST", members, Some(json!({"users": [other]}))),
            5..8 => ("DELETE", one, None),
            8 => ("DELETE", format!("{members}/{}", self.desk.me.id), None),
            9 => {
                let roles = ["owner", "owner", "admin", "member", "reader"];
                ("PATCH", one, Some(json!({"role": self.dice.pick(&roles)})))
            }
            10 => {
                let topic = self.dice.chance(700).then_some("sails");
                ("PATCH", format!("/conversations/{id}"), Some(json!({"topic": topic})))
            }
            _ => {
                let title = format!("title {}", self.dice.below(1000));
                ("PATCH", format!("/conversations/{id}"), Some(json!({"title": title})))
            }
        };
        let how = format!("{method} {path}");
        let op = self.desk.asks(Ask::Change { conversation: room, how });
        self.ask_http(op, method, path, body, None);
    }
}

/// A good answer, by what it was asked for.
fn answer(told: &Value, method: &str, path: &str) -> Answer {
    let number = |name: &str| told[name].as_u64().unwrap_or_default();
    let (received, read) = (number("received"), number("read"));
    match method {
        "PUT" if path.ends_with("/marker") => Answer::Marker { received, read },
        "GET" if path.contains("/events") => {
            let events = told.as_array().map_or(&[][..], Vec::as_slice);
            let page = events
                .iter()
                .map(|event| (event["seq"].as_u64().unwrap_or_default(), town::digest(event)));
            Answer::Page(page.collect())
        }
        "GET" if path.ends_with("/members") => Answer::Members,
        "GET" => Answer::Summary { head: number("head"), received, read, unread: number("unread") },
        _ => Answer::Done,
    }
}
