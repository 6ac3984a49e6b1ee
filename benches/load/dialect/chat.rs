//! Our own server: `chat.v1` as PROTOCOL.md has it, without reading any JSON. Frames are told apart by
//! how they begin, since the server writes `type` first.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use super::{
    Dialect, Heard, Person, Sign, Talk, Target,
    device::Device,
    upgraded::{Came, Upgraded, printable},
};
use crate::{stamp::Stamp, websocket};

/// Below the 25 s that a server asks for unless it is configured otherwise.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Speaks to servers of ours.
pub(crate) struct Chat {
    host: String,
    /// Names what is sent in this life of the generator: a server remembers keys for ever.
    life: u32,
    connections: Cell<u32>,
    /// Whether hello is said; without, a connection is ready when it is upgraded.
    greets: bool,
    /// What each user's device keeps between its connections, where they are to resume.
    devices: Option<RefCell<HashMap<String, Rc<RefCell<Device>>>>>,
}

impl Chat {
    /// `host` is what stands in the requests; `life` has to be another each time the generator runs
    /// against the same server.
    pub(crate) fn new(host: impl Into<String>, life: u32) -> Self {
        Self { host: host.into(), life, connections: Cell::new(0), greets: true, devices: None }
    }

    /// The same with one device of each user, which resumes when it connects again, and takes a hole
    /// or a repetition in what it is sent for a refusal.
    pub(crate) fn resuming(host: impl Into<String>, life: u32) -> Self {
        Self { devices: Some(RefCell::default()), ..Self::new(host, life) }
    }

    /// How many of these users' devices could resume.
    pub(crate) fn can_resume<'a>(&self, users: impl Iterator<Item = &'a str>) -> usize {
        let Some(devices) = &self.devices else { return 0 };
        let devices = devices.borrow();
        users.filter_map(|user| devices.get(user)).filter(|it| it.borrow().has_token()).count()
    }

    /// Speaks to a server that upgrades and says nothing.
    pub(crate) fn upgrade_only(host: impl Into<String>) -> Self {
        Self { greets: false, ..Self::new(host, 0) }
    }
}

impl Dialect for Chat {
    fn open(&self, person: &Person, _follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        let fields = format!(
            "Sec-WebSocket-Protocol: chat.v1\r\nAuthorization: Bearer {}\r\n",
            person.token
        );
        self.connections.set(self.connections.get() + 1);
        let keys = format!("{:08x}{:08x}", self.life, self.connections.get());
        let device = self
            .devices
            .as_ref()
            .map(|devices| Rc::clone(devices.borrow_mut().entry(person.user.clone()).or_default()));
        Box::new(Connection {
            socket: Upgraded::ask(&self.host, "/ws", &fields, out),
            greets: self.greets,
            keys,
            frame: Vec::new(),
            device,
        })
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.greets.then_some(HEARTBEAT)
    }
}

struct Connection {
    socket: Upgraded,
    greets: bool,
    /// What all keys of this connection begin with.
    keys: String,
    /// For the payload that is being written.
    frame: Vec<u8>,
    /// Whose connection it is, if that has to remember.
    device: Option<Rc<RefCell<Device>>>,
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let (greets, device) = (self.greets, self.device.as_deref());
        self.socket.read(bytes, out, heard, |came, out, heard| match came {
            Came::Upgrade if greets => {
                let hello = match device {
                    Some(device) => device.borrow_mut().hello(),
                    None => r#"{"type":"hello","version":1}"#.to_owned(),
                };
                websocket::write_client_text(hello.as_bytes(), out);
            }
            Came::Upgrade => heard.push(Heard::Ready),
            Came::Message(frame) => {
                if let Some(device) = device
                    && let Err(why) = device.borrow_mut().take(frame)
                {
                    heard.push(Heard::Wrong(format!("{why}: {}", printable(frame))));
                }
                read_text(frame, heard);
            }
        })
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let frame = &mut self.frame;
        frame.clear();
        frame.extend_from_slice(br#"{"type":"send","key":""#);
        frame.extend_from_slice(self.keys.as_bytes());
        stamp.write_digits(frame);
        let (field, name) = match to {
            Target::Group(group) => (&br#"","conversation":""#[..], group),
            Target::Person(user) => (&br#"","to":""#[..], user),
        };
        frame.extend_from_slice(field);
        frame.extend_from_slice(name.as_bytes());
        frame.extend_from_slice(br#"","text":""#);
        stamp.write_text(size, frame);
        frame.extend_from_slice(br#""}"#);
        websocket::write_client_text(frame, out);
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        websocket::write_client_text(br#"{"type":"ping"}"#, out);
    }

    fn sign(&mut self, conversation: &str, sign: Sign, out: &mut Vec<u8>) {
        let frame = match sign {
            Sign::Typing => {
                format!(r#"{{"type":"typing","conversation":"{conversation}","on":true}}"#)
            }
            Sign::Read => {
                // Where nothing has arrived there is nothing to be read.
                let device = self.device.as_ref().map(|device| device.borrow());
                let Some(read) = device.and_then(|device| device.position(conversation)) else {
                    return;
                };
                format!(r#"{{"type":"mark","conversation":"{conversation}","read":{read}}}"#)
            }
        };
        websocket::write_client_text(frame.as_bytes(), out);
    }

    fn say_goodbye(&mut self, out: &mut Vec<u8>) {
        websocket::write_client_close(1000, out);
    }
}

fn read_text(payload: &[u8], heard: &mut Vec<Heard>) {
    const EVENT: &[u8] = br#"{"type":"event","#;
    const ACK: &[u8] = br#"{"type":"ack","#;
    const ERROR: &[u8] = br#"{"type":"error","#;
    const SYNCED: &[u8] = br#"{"type":"synced""#;
    if payload.starts_with(EVENT) {
        // Other events than messages of ours have none.
        heard.extend(Stamp::find(payload).map(Heard::Delivered));
    } else if payload.starts_with(ACK) {
        match acked(payload) {
            Some(stamp) => heard.push(Heard::Acked(stamp)),
            None => heard.push(Heard::Refused(printable(payload))),
        }
    } else if payload.starts_with(SYNCED) {
        heard.push(Heard::Ready);
    } else if payload.starts_with(ERROR) {
        heard.push(Heard::Refused(printable(payload)));
    }
}

/// The stamp at the end of an ack's key.
fn acked(payload: &[u8]) -> Option<Stamp> {
    const KEY: &[u8] = br#""key":""#;
    let key = &payload[memchr::memmem::find(payload, KEY)? + KEY.len()..];
    let key = &key[..memchr::memchr(b'"', key)?];
    Stamp::read_digits(key.get(16..)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialect::upgraded::tests::SWITCHING, websocket::Kind};

    fn connection() -> (Box<dyn Talk>, Vec<u8>) {
        let mut out = Vec::new();
        let person = Person { user: "u_7".to_owned(), token: "secret".to_owned() };
        (Chat::new("chat.test", 0xabc).open(&person, &[], &mut out), out)
    }

    fn live() -> Box<dyn Talk> {
        let (mut talk, _) = connection();
        assert_eq!(talk.read(SWITCHING, &mut Vec::new(), &mut Vec::new()), SWITCHING.len());
        talk
    }

    /// What a live connection makes of one frame with this payload.
    fn heard(payload: &str) -> Vec<Heard> {
        let (mut bytes, mut heard) = (Vec::new(), Vec::new());
        websocket::write_server_text(payload.as_bytes(), &mut bytes);
        assert_eq!(live().read(&bytes, &mut Vec::new(), &mut heard), bytes.len());
        heard
    }

    fn said(out: &[u8]) -> serde_json::Value {
        let frame = websocket::frame(out, true).unwrap().unwrap();
        assert_eq!(frame.taken, out.len());
        serde_json::from_slice(frame.payload).unwrap()
    }

    #[test]
    fn hello_follows_the_upgrade_and_synced_makes_it_ready() {
        let (mut talk, request) = connection();
        let request = String::from_utf8(request).unwrap();
        assert!(request.starts_with("GET /ws HTTP/1.1\r\nHost: chat.test\r\n"));
        assert!(request.ends_with("\r\nAuthorization: Bearer secret\r\n\r\n"));
        let (mut out, mut heard) = (Vec::new(), Vec::new());
        assert_eq!(talk.read(&SWITCHING[..20], &mut out, &mut heard), 0);
        let mut bytes = SWITCHING.to_vec();
        websocket::write_server_text(br#"{"type":"welcome","version":1}"#, &mut bytes);
        assert_eq!(talk.read(&bytes, &mut out, &mut heard), bytes.len());
        assert_eq!(said(&out), serde_json::json!({ "type": "hello", "version": 1 }));
        assert_eq!(heard, []);
        let mut bytes = Vec::new();
        websocket::write_server_text(br#"{"type":"synced","token":"1734"}"#, &mut bytes);
        talk.read(&bytes, &mut out, &mut heard);
        assert_eq!(heard, [Heard::Ready]);
    }

    #[test]
    fn a_refused_upgrade_is_said_and_ends_it() {
        let (mut talk, _) = connection();
        let mut heard = Vec::new();
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\n{}";
        assert_eq!(talk.read(answer, &mut Vec::new(), &mut heard), answer.len());
        assert!(
            matches!(
                &heard[..],
                [Heard::Later(after), Heard::Refused(why), Heard::Closed(0)]
                    if *after == Duration::from_secs(1) && why.contains("503")
            ),
            "{heard:?}"
        );
    }

    #[test]
    fn an_answered_send_and_a_delivered_one_carry_their_stamp() {
        let stamp = Stamp::new(3, 99);
        let mut out = Vec::new();
        live().send(&Target::Person("u_42".to_owned()), stamp, 64, &mut out);
        let send = said(&out);
        let (key, text) = (send["key"].as_str().unwrap(), send["text"].as_str().unwrap());
        assert_eq!((&send["type"], &send["to"]), (&"send".into(), &"u_42".into()));
        assert_eq!((key.len(), text.len()), (32, 64));
        let ack = format!(
            r#"{{"type":"ack","id":"1","key":"{key}","conversation":"0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e","seq":13,"at":"2026-01-02T03:04:05.678Z","duplicate":false}}"#
        );
        assert_eq!(heard(&ack), [Heard::Acked(stamp)]);
        let event = format!(
            r#"{{"type":"event","conversation":"0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e","seq":2,"at":"2026-01-02T03:00:01.000Z","from":"u_7","key":"{key}","event":{{"type":"message","text":"{text}"}}}}"#
        );
        assert_eq!(heard(&event), [Heard::Delivered(stamp)]);
    }

    #[test]
    fn every_connection_has_keys_of_its_own() {
        let chat = Chat::new("chat.test", 1);
        let person = Person { user: "u_7".to_owned(), token: String::new() };
        let mut keys = Vec::new();
        for _ in 0..2 {
            let mut out = Vec::new();
            let mut talk = chat.open(&person, &[], &mut out);
            out.clear();
            talk.send(&Target::Group("g".to_owned()), Stamp::new(0, 0), 20, &mut out);
            let send = said(&out);
            assert_eq!(send["conversation"], "g");
            keys.push(send["key"].clone());
        }
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn what_the_server_says_by_itself_is_passed_over() {
        for frame in [
            r#"{"type":"event","conversation":"0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e","seq":3,"at":"2026-01-02T03:00:02.000Z","from":"u_7","event":{"type":"added","users":["u_43"]}}"#,
            r#"{"type":"receipt","conversation":"0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e","user":"u_42","received":13,"read":12}"#,
            r#"{"type":"drain","after_ms":1830,"deadline_ms":15000}"#,
            r#"{"type":"pong"}"#,
        ] {
            assert_eq!(heard(frame), [], "{frame}");
        }
    }

    #[test]
    fn an_error_is_heard_as_it_is() {
        let error = r#"{"type":"error","id":"7","problem":{"code":"rate_limited"}}"#;
        assert_eq!(heard(error), [Heard::Refused(error.to_owned())]);
    }

    #[test]
    fn a_ping_is_answered_and_a_close_is_heard() {
        let (mut out, mut heard) = (Vec::new(), Vec::new());
        let bytes = [0x89, 2, b'h', b'i', 0x88, 2, 0x0f, 0xa0];
        assert_eq!(live().read(&bytes, &mut out, &mut heard), bytes.len());
        assert_eq!(heard, [Heard::Closed(4000)]);
        let pong = websocket::frame(&out, true).unwrap().unwrap();
        assert_eq!((pong.kind, pong.payload), (Kind::Pong, &b"hi"[..]));
    }

    #[test]
    fn frames_in_pieces_are_heard_once_each() {
        let mut bytes = Vec::new();
        for count in 0..3 {
            let mut text = br#"{"type":"event","event":{"text":""#.to_vec();
            Stamp::new(0, count).write_text(200, &mut text);
            websocket::write_server_text(&text, &mut bytes);
        }
        let (mut talk, mut heard, mut start) = (live(), Vec::new(), 0);
        for end in 0..=bytes.len() {
            start += talk.read(&bytes[start..end], &mut Vec::new(), &mut heard);
        }
        assert_eq!(start, bytes.len());
        assert_eq!(heard, (0..3).map(|n| Heard::Delivered(Stamp::new(0, n))).collect::<Vec<_>>());
    }
}
