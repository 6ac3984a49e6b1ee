//! Centrifugo's JSON protocol over WebSocket: lines of JSON, one or more in a frame, commands and
//! replies matched by number. Groups are channels of the namespace `group`; a person's own channel
//! is of the namespace `user`, and the server subscribes them to it when they connect.

use std::io::Write;

use super::{
    Dialect, Heard, Person, Talk, Target,
    unanswered::{Unanswered, split_number},
    upgraded::{Came, Upgraded, printable, refuse},
    way_in::WayIn,
};
use crate::{stamp::Stamp, websocket};

/// The number of the first command.
const CONNECT: u32 = 1;

/// Speaks to it.
pub(crate) struct Centrifugo {
    host: String,
}

impl Centrifugo {
    /// `host` is what stands in the requests.
    pub(crate) fn new(host: impl Into<String>) -> Self {
        Self { host: host.into() }
    }
}

impl Dialect for Centrifugo {
    fn open(&self, person: &Person, follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        Box::new(Connection {
            socket: Upgraded::ask(&self.host, "/connection/websocket", "", out),
            session: Session {
                token: person.token.clone(),
                way_in: WayIn::Coming { follows: follows.to_vec() },
                unanswered: Unanswered::from(CONNECT),
            },
            text: Vec::new(),
        })
    }
}

struct Connection {
    socket: Upgraded,
    session: Session,
    /// For the command that is being written.
    text: Vec<u8>,
}

struct Session {
    token: String,
    way_in: WayIn,
    unanswered: Unanswered,
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let session = &mut self.session;
        self.socket.read(bytes, out, heard, |came, out, heard| match came {
            Came::Upgrade => session.connect(out),
            Came::Message(lines) => {
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    session.hear(line, out, heard);
                }
            }
        })
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let number = self.session.unanswered.begin(stamp);
        // The `#` allows nobody else to subscribe.
        let (namespace, name) = match to {
            Target::Group(group) => ("group:", group),
            Target::Person(user) => ("user:#", user),
        };
        let text = &mut self.text;
        text.clear();
        let written = write!(
            text,
            r#"{{"id":{number},"publish":{{"channel":"{namespace}{name}","data":{{"text":""#
        );
        written.expect("memory takes every write");
        stamp.write_text(size, text);
        text.extend_from_slice(br#""}}}"#);
        websocket::write_client_text(text, out);
    }
}

impl Session {
    fn connect(&mut self, out: &mut Vec<u8>) {
        let (number, token) = (self.unanswered.number(), &self.token);
        let connect = format!(r#"{{"id":{number},"connect":{{"token":"{token}"}}}}"#);
        websocket::write_client_text(connect.as_bytes(), out);
    }

    fn hear(&mut self, line: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
        const PUSH: &[u8] = br#"{"push":"#;
        const REPLY: &[u8] = br#"{"id":"#;
        // The server's ping, and the answer to it.
        if line == b"{}" {
            return websocket::write_client_text(line, out);
        }
        if line.starts_with(PUSH) {
            // Other pushes than publications of ours have none.
            return heard.extend(Stamp::find(line).map(Heard::Delivered));
        }
        let reply = line.strip_prefix(REPLY).and_then(split_number);
        match (reply, &mut self.way_in) {
            (Some((_, reply)), WayIn::Coming { follows, .. })
                if reply.starts_with(br#","connect":"#) =>
            {
                let left = follows.len();
                let mut lines = Vec::new();
                for group in &*follows {
                    let number = self.unanswered.number();
                    let written = writeln!(
                        lines,
                        r#"{{"id":{number},"subscribe":{{"channel":"group:{group}"}}}}"#
                    );
                    written.expect("memory takes every write");
                }
                if left > 0 {
                    websocket::write_client_text(lines.trim_ascii_end(), out);
                }
                self.way_in.wait_for(left, heard);
            }
            (Some((_, reply)), WayIn::Joining { left })
                if reply.starts_with(br#","subscribe":"#) =>
            {
                let left = *left - 1;
                self.way_in.wait_for(left, heard);
            }
            (Some((number, reply)), WayIn::Live)
                if reply.starts_with(br#","publish":"#)
                    && let Some(stamp) = self.unanswered.end(number) =>
            {
                heard.push(Heard::Acked(stamp));
            }
            (_, WayIn::Coming { .. } | WayIn::Joining { .. }) => refuse(line, heard),
            (_, WayIn::Live) => heard.push(Heard::Refused(printable(line))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::upgraded::tests::{SWITCHING, exchange, payloads};

    const CONNECTED: &str = r##"{"id":1,"connect":{"client":"5e7c007c-e788-45ce-aba3-f9bfba0446e8","version":"0.0.0 OSS","expires":true,"ttl":31536000,"subs":{"user:#7":{}},"ping":25,"pong":true}}"##;

    fn connection(follows: &[&str]) -> (Box<dyn Talk>, Vec<u8>) {
        let mut out = Vec::new();
        let person = Person { user: "7".to_owned(), token: "a.b.c".to_owned() };
        let follows: Vec<String> = follows.iter().map(ToString::to_string).collect();
        (Centrifugo::new("peer.test").open(&person, &follows, &mut out), out)
    }

    fn live() -> Box<dyn Talk> {
        let (mut talk, _) = connection(&[]);
        let (said, heard) = exchange(&mut *talk, SWITCHING, &[CONNECTED]);
        assert_eq!(said, [r#"{"id":1,"connect":{"token":"a.b.c"}}"#]);
        assert_eq!(heard, [Heard::Ready]);
        talk
    }

    #[test]
    fn the_upgrade_asks_for_the_endpoint_of_the_json_protocol() {
        let (_, out) = connection(&[]);
        assert!(out.starts_with(b"GET /connection/websocket HTTP/1.1\r\n"));
    }

    #[test]
    fn all_groups_are_asked_for_in_one_frame_and_waited_for() {
        let (mut talk, _) = connection(&["g", "h"]);
        let (said, heard) =
            exchange(&mut *talk, SWITCHING, &[CONNECTED, r#"{"id":2,"subscribe":{}}"#]);
        assert_eq!(
            said[1..],
            [
                "{\"id\":2,\"subscribe\":{\"channel\":\"group:g\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"group:h\"}}"
            ]
        );
        assert_eq!(heard, []);
        let (_, heard) = exchange(&mut *talk, b"", &[r#"{"id":3,"subscribe":{}}"#]);
        assert_eq!(heard, [Heard::Ready]);
    }

    #[test]
    fn a_refusal_on_the_way_in_ends_it() {
        let (mut talk, _) = connection(&["g"]);
        let refusal = r#"{"id":2,"error":{"code":102,"message":"unknown channel"}}"#;
        let (_, heard) = exchange(&mut *talk, SWITCHING, &[CONNECTED, refusal]);
        assert_eq!(heard, [Heard::Refused(refusal.to_owned()), Heard::Closed(0)]);
    }

    #[test]
    fn messages_go_to_channels() {
        let (mut talk, mut out) = (live(), Vec::new());
        talk.send(&Target::Group("g".to_owned()), Stamp::new(1, 2), 20, &mut out);
        talk.send(&Target::Person("8".to_owned()), Stamp::new(1, 3), 18, &mut out);
        assert_eq!(
            payloads(&out),
            [
                r#"{"id":2,"publish":{"channel":"group:g","data":{"text":"~~0000010000000002xx"}}}"#,
                r##"{"id":3,"publish":{"channel":"user:#8","data":{"text":"~~0000010000000003"}}}"##,
            ]
        );
        let (_, heard) = exchange(
            &mut *talk,
            b"",
            &[
                "{\"id\":2,\"publish\":{}}\n{\"id\":3,\"error\":{\"code\":103,\"message\":\"permission denied\"}}",
            ],
        );
        assert_eq!(heard[0], Heard::Acked(Stamp::new(1, 2)));
        assert!(matches!(&heard[1..], [Heard::Refused(why)] if why.contains("denied")));
    }

    #[test]
    fn every_line_of_a_frame_is_heard() {
        let mut lines = Vec::new();
        for count in 0..3 {
            lines.push(format!(
                r##"{{"push":{{"channel":"user:#7","pub":{{"data":{{"text":"~~000001000000000{count}"}},"info":{{"user":"8","client":"5e7c007c-e788-45ce-aba3-f9bfba0446e8"}}}}}}}}"##
            ));
        }
        lines.insert(1, r#"{"push":{"channel":"group:g","join":{}}}"#.to_owned());
        let (said, heard) = exchange(&mut *live(), b"", &[&lines.join("\n")]);
        assert_eq!(said, [""; 0]);
        assert_eq!(heard, (0..3).map(|n| Heard::Delivered(Stamp::new(1, n))).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_object_is_a_ping_and_its_answer() {
        let (said, heard) = exchange(&mut *live(), b"", &["{}"]);
        assert_eq!((said, heard), (vec!["{}".to_owned()], vec![]));
    }
}
