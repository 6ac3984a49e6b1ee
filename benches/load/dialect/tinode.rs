//! Tinode's JSON protocol over WebSocket: a packet of one kind in each frame, and a `ctrl` with its
//! number for whatever is asked. Everybody is on `me`, where the server speaks of what is theirs, and
//! hears a conversation only as long as they are on its topic: that of a group, or the one that each
//! of two people calls by the other's id.

use std::{collections::VecDeque, io::Write};

use super::{
    Dialect, Heard, Person, Talk, Target,
    unanswered::{Unanswered, split_number},
    upgraded::{Came, Upgraded, printable, refuse},
};
use crate::{stamp::Stamp, websocket};

/// The version of the protocol that is spoken here.
pub(crate) const VERSION: &str = "0.25";

/// The numbers of the first two packets, which are sent at once.
const HELLO: u32 = 1;
const LOGIN: u32 = 2;

/// What a topic answers to those who come while it is loaded or put away: 503.
const LOCKED: u16 = 503;
/// How often a topic that is locked is asked for at once: some milliseconds long, in which a small
/// one is loaded. Then the connection is refused, and whoever wants it comes again later.
const TRIES_MAX: u32 = 100;

/// Speaks to it.
pub(crate) struct Tinode {
    host: String,
    key: String,
}

impl Tinode {
    /// `host` is what stands in the requests, `key` what allows a program to connect at all.
    pub(crate) fn new(host: impl Into<String>, key: impl Into<String>) -> Self {
        Self { host: host.into(), key: key.into() }
    }
}

impl Dialect for Tinode {
    fn open(&self, person: &Person, follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        let path = format!("/v0/channels?apikey={}", self.key);
        let topics = std::iter::once("me".to_owned()).chain(follows.iter().cloned());
        Box::new(Connection {
            socket: Upgraded::ask(&self.host, &path, "", out),
            session: Session {
                token: person.token.clone(),
                topics: topics.collect(),
                stage: Stage::Coming,
                unanswered: Unanswered::from(HELLO),
            },
            text: Vec::new(),
        })
    }

    fn follows_people(&self) -> bool {
        true
    }
}

struct Connection {
    socket: Upgraded,
    session: Session,
    /// For the packet that is being written.
    text: Vec<u8>,
}

struct Session {
    token: String,
    /// Those that are not joined yet, the one that is asked for first.
    topics: VecDeque<String>,
    stage: Stage,
    unanswered: Unanswered,
}

/// How far somebody has come. Topics are joined one after another: the server queues few who join.
enum Stage {
    /// The server has not said yet that it knows this one.
    Coming,
    /// This packet asks for the first of the topics, which was locked so many times.
    Joining { number: u32, locked: u32 },
    /// On all of them.
    Live,
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let session = &mut self.session;
        self.socket.read(bytes, out, heard, |came, out, heard| match came {
            Came::Upgrade => session.introduce(out),
            Came::Message(packet) => session.hear(packet, out, heard),
        })
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let number = self.session.unanswered.begin(stamp);
        let (Target::Group(topic) | Target::Person(topic)) = to;
        let text = &mut self.text;
        text.clear();
        // Like its own clients, without a copy for the sender.
        let written = write!(
            text,
            r#"{{"pub":{{"id":"{number}","topic":"{topic}","noecho":true,"content":""#
        );
        written.expect("memory takes every write");
        stamp.write_text(size, text);
        text.extend_from_slice(br#""}}"#);
        websocket::write_client_text(text, out);
    }
}

impl Session {
    fn introduce(&mut self, out: &mut Vec<u8>) {
        let (hello, login) = (self.unanswered.number(), self.unanswered.number());
        let hello = format!(r#"{{"hi":{{"id":"{hello}","ver":"{VERSION}","ua":"chat-load"}}}}"#);
        websocket::write_client_text(hello.as_bytes(), out);
        let token = &self.token;
        let login =
            format!(r#"{{"login":{{"id":"{login}","scheme":"token","secret":"{token}"}}}}"#);
        websocket::write_client_text(login.as_bytes(), out);
    }

    fn hear(&mut self, packet: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
        if packet.starts_with(br#"{"data":"#) {
            return heard.extend(Stamp::find(packet).map(Heard::Delivered));
        }
        // Who is there, who types and what topics are called is nobody's business here.
        if [&br#"{"pres":"#[..], br#"{"info":"#, br#"{"meta":"#]
            .iter()
            .any(|kind| packet.starts_with(kind))
        {
            return;
        }
        let (number, code) = answer(packet).unwrap_or_default();
        let fine = (200..300).contains(&code);
        match self.stage {
            Stage::Coming if fine && number == HELLO => {}
            Stage::Coming if fine && number == LOGIN => self.join(0, out, heard),
            Stage::Joining { number: asked, .. } if fine && number == asked => {
                self.topics.pop_front();
                self.join(0, out, heard);
            }
            Stage::Joining { number: asked, locked }
                if code == LOCKED && number == asked && locked < TRIES_MAX =>
            {
                self.join(locked + 1, out, heard);
            }
            Stage::Coming | Stage::Joining { .. } => refuse(packet, heard),
            Stage::Live => match self.unanswered.end(number) {
                Some(stamp) if fine => heard.push(Heard::Acked(stamp)),
                Some(_) | None => heard.push(Heard::Refused(printable(packet))),
            },
        }
    }

    /// Asks for the next topic; without one, the connection is ready.
    fn join(&mut self, locked: u32, out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
        let Some(topic) = self.topics.front() else {
            self.stage = Stage::Live;
            return heard.push(Heard::Ready);
        };
        let number = self.unanswered.number();
        let sub = format!(r#"{{"sub":{{"id":"{number}","topic":"{topic}"}}}}"#);
        websocket::write_client_text(sub.as_bytes(), out);
        self.stage = Stage::Joining { number, locked };
    }
}

/// The number and the code of a `ctrl`; `None`: of one that answers nothing, or of no such packet.
fn answer(packet: &[u8]) -> Option<(u32, u16)> {
    const CODE: &[u8] = br#""code":"#;
    let (number, rest) = split_number(packet.strip_prefix(br#"{"ctrl":{"id":""#)?)?;
    let code = &rest[memchr::memmem::find(rest, CODE)? + CODE.len()..];
    let (code, _) = split_number(code)?;
    Some((number, u16::try_from(code).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::upgraded::tests::{SWITCHING, exchange, payloads};

    const HELLO_ANSWER: &str = r#"{"ctrl":{"id":"1","params":{"build":"postgres:undef","maxMessageSize":262144,"ver":"0.25"},"code":201,"text":"created","ts":"2026-01-02T03:00:01.001Z"}}"#;
    const LOGIN_ANSWER: &str = r#"{"ctrl":{"id":"2","params":{"authlvl":"anon","token":"bmV3","user":"usr7"},"code":200,"text":"ok","ts":"2026-01-02T03:00:01.002Z"}}"#;

    fn ctrl(number: u32, code: u16) -> String {
        format!(
            r#"{{"ctrl":{{"id":"{number}","topic":"grpG","params":{{"seq":7}},"code":{code},"text":"so it is","ts":"2026-01-02T03:00:01.003Z"}}}}"#
        )
    }

    fn connection(follows: &[&str]) -> (Box<dyn Talk>, Vec<u8>) {
        let mut out = Vec::new();
        let person = Person { user: "usr7".to_owned(), token: "dG9rZW4=".to_owned() };
        let follows: Vec<String> = follows.iter().map(ToString::to_string).collect();
        (Tinode::new("peer.test", "k_e-y").open(&person, &follows, &mut out), out)
    }

    /// One that is known, and asks for `me`.
    fn known(follows: &[&str]) -> Box<dyn Talk> {
        let (mut talk, _) = connection(follows);
        let (said, heard) = exchange(&mut *talk, SWITCHING, &[HELLO_ANSWER, LOGIN_ANSWER]);
        assert_eq!(
            said,
            [
                r#"{"hi":{"id":"1","ver":"0.25","ua":"chat-load"}}"#,
                r#"{"login":{"id":"2","scheme":"token","secret":"dG9rZW4="}}"#,
                r#"{"sub":{"id":"3","topic":"me"}}"#,
            ]
        );
        assert_eq!(heard, []);
        talk
    }

    fn live() -> Box<dyn Talk> {
        let mut talk = known(&[]);
        assert_eq!(exchange(&mut *talk, b"", &[&ctrl(3, 200)]), (vec![], vec![Heard::Ready]));
        talk
    }

    #[test]
    fn the_upgrade_shows_the_key() {
        let (_, out) = connection(&[]);
        assert!(out.starts_with(b"GET /v0/channels?apikey=k_e-y HTTP/1.1\r\n"));
    }

    #[test]
    fn topics_are_joined_one_after_another() {
        let mut talk = known(&["grpG", "usr8"]);
        let (said, heard) = exchange(&mut *talk, b"", &[&ctrl(3, 200)]);
        assert_eq!(
            (said, heard),
            (vec![r#"{"sub":{"id":"4","topic":"grpG"}}"#.to_owned()], vec![])
        );
        let (said, heard) = exchange(&mut *talk, b"", &[&ctrl(4, 200)]);
        assert_eq!(
            (said, heard),
            (vec![r#"{"sub":{"id":"5","topic":"usr8"}}"#.to_owned()], vec![])
        );
        assert_eq!(exchange(&mut *talk, b"", &[&ctrl(5, 200)]), (vec![], vec![Heard::Ready]));
    }

    #[test]
    fn a_locked_topic_is_asked_for_again_and_not_for_ever() {
        let mut talk = known(&["grpG"]);
        exchange(&mut *talk, b"", &[&ctrl(3, 200)]);
        for number in 4..4 + TRIES_MAX {
            let (said, heard) = exchange(&mut *talk, b"", &[&ctrl(number, LOCKED)]);
            assert_eq!(said, [format!(r#"{{"sub":{{"id":"{}","topic":"grpG"}}}}"#, number + 1)]);
            assert_eq!(heard, []);
        }
        let (said, heard) = exchange(&mut *talk, b"", &[&ctrl(4 + TRIES_MAX, LOCKED)]);
        assert_eq!(said, [""; 0]);
        assert!(matches!(&heard[..], [Heard::Refused(_), Heard::Closed(0)]), "{heard:?}");
    }

    #[test]
    fn a_refusal_on_the_way_in_ends_it() {
        let refused = |talk: &mut dyn Talk, before: &[u8], answer: &str| {
            let (_, heard) = exchange(talk, before, &[answer]);
            assert_eq!(heard, [Heard::Refused(answer.to_owned()), Heard::Closed(0)]);
        };
        refused(&mut *connection(&[]).0, SWITCHING, &ctrl(2, 401));
        refused(&mut *connection(&[]).0, SWITCHING, &ctrl(1, 505));
        refused(&mut *known(&[]), b"", &ctrl(3, 404));
        // The answer to something else, or none at all.
        refused(&mut *known(&[]), b"", &ctrl(2, 200));
        refused(&mut *known(&[]), b"", "{}");
    }

    #[test]
    fn messages_go_to_topics() {
        let (mut talk, mut out) = (live(), Vec::new());
        talk.send(&Target::Group("grpG".to_owned()), Stamp::new(1, 2), 20, &mut out);
        talk.send(&Target::Person("usr8".to_owned()), Stamp::new(1, 3), 18, &mut out);
        assert_eq!(
            payloads(&out),
            [
                r#"{"pub":{"id":"4","topic":"grpG","noecho":true,"content":"~~0000010000000002xx"}}"#,
                r#"{"pub":{"id":"5","topic":"usr8","noecho":true,"content":"~~0000010000000003"}}"#,
            ]
        );
        let (_, heard) = exchange(&mut *talk, b"", &[&ctrl(4, 202), &ctrl(5, 503)]);
        assert_eq!(heard[0], Heard::Acked(Stamp::new(1, 2)));
        assert_eq!(heard[1..], [Heard::Refused(ctrl(5, 503))]);
    }

    #[test]
    fn only_what_people_say_is_delivered() {
        let data = r#"{"data":{"topic":"usr8","from":"usr8","ts":"2026-01-02T03:00:01.004Z","seq":7,"content":"~~0000010000000002xx"}}"#;
        let pres = r#"{"pres":{"topic":"me","src":"usr8","what":"on"}}"#;
        let info = r#"{"info":{"topic":"usr8","from":"usr8","what":"read","seq":7}}"#;
        let (said, heard) = exchange(&mut *live(), b"", &[pres, data, info]);
        assert_eq!((said, heard), (vec![], vec![Heard::Delivered(Stamp::new(1, 2))]));
    }

    #[test]
    fn to_be_put_out_of_a_topic_is_a_refusal() {
        let evicted = r#"{"ctrl":{"topic":"grpG","params":{"unsub":true},"code":205,"text":"evicted","ts":"2026-01-02T03:00:01.005Z"}}"#;
        let (_, heard) = exchange(&mut *live(), b"", &[evicted]);
        assert_eq!(heard, [Heard::Refused(evicted.to_owned())]);
    }
}
