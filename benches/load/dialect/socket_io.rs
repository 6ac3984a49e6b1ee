//! Socket.IO, version 5 of its protocol on version 4 of Engine.IO, over WebSocket: packets are texts
//! that begin with digits. The events are those of `benches/peers/node/socket-io.js`.

use std::io::Write;

use super::{
    Dialect, Heard, Person, Talk, Target,
    unanswered::{Unanswered, split_number},
    upgraded::{Came, Upgraded, printable, refuse},
    way_in::WayIn,
};
use crate::{stamp::Stamp, websocket};

/// Speaks to it.
pub(crate) struct SocketIo {
    host: String,
}

impl SocketIo {
    /// `host` is what stands in the requests.
    pub(crate) fn new(host: impl Into<String>) -> Self {
        Self { host: host.into() }
    }
}

impl Dialect for SocketIo {
    fn open(&self, person: &Person, follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        let path = "/socket.io/?EIO=4&transport=websocket";
        Box::new(Connection {
            socket: Upgraded::ask(&self.host, path, "", out),
            session: Session {
                token: person.token.clone(),
                way_in: WayIn::Coming { follows: follows.to_vec() },
                unanswered: Unanswered::from(0),
            },
            text: Vec::new(),
        })
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
    way_in: WayIn,
    unanswered: Unanswered,
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let session = &mut self.session;
        self.socket.read(bytes, out, heard, |came, out, heard| match came {
            Came::Upgrade => {}
            Came::Message(packet) => session.hear(packet, out, heard),
        })
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let number = self.session.unanswered.begin(stamp);
        let (event, name) = match to {
            Target::Group(group) => ("group", group),
            Target::Person(user) => ("user", user),
        };
        let text = &mut self.text;
        text.clear();
        let written = write!(text, r#"42{number}["{event}","{name}",""#);
        written.expect("memory takes every write");
        stamp.write_text(size, text);
        text.extend_from_slice(br#""]"#);
        websocket::write_client_text(text, out);
    }
}

impl Session {
    /// The first digit is Engine.IO's, the second Socket.IO's.
    fn hear(&mut self, packet: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
        match (packet, &mut self.way_in) {
            ([b'0', ..], WayIn::Coming { .. }) => {
                let connect = format!(r#"40{{"token":"{}"}}"#, self.token);
                websocket::write_client_text(connect.as_bytes(), out);
            }
            ([b'2'], _) => websocket::write_client_text(b"3", out),
            ([b'4', b'0', ..], WayIn::Coming { follows, .. }) => {
                for group in &*follows {
                    let number = self.unanswered.number();
                    let join = format!(r#"42{number}["join","{group}"]"#);
                    websocket::write_client_text(join.as_bytes(), out);
                }
                let left = follows.len();
                self.way_in.wait_for(left, heard);
            }
            ([b'4', b'2', text @ ..], _) if let Some(stamp) = Stamp::find(text) => {
                heard.push(Heard::Delivered(stamp));
            }
            ([b'4', b'3', ..], WayIn::Joining { left }) => {
                let left = *left - 1;
                self.way_in.wait_for(left, heard);
            }
            ([b'4', b'3', answer @ ..], WayIn::Live)
                if let Some((number, b"[]")) = split_number(answer)
                    && let Some(stamp) = self.unanswered.end(number) =>
            {
                heard.push(Heard::Acked(stamp));
            }
            // The way in is refused, or the session or the transport ends.
            ([b'4', b'4' | b'1', ..] | [b'1', ..], _) => refuse(packet, heard),
            (_, WayIn::Coming { .. } | WayIn::Joining { .. } | WayIn::Live) => {
                heard.push(Heard::Refused(printable(packet)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::upgraded::tests::{SWITCHING, exchange, payloads};

    const OPEN: &str = r#"0{"sid":"g97TKLbhj1-gOiPbAAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    const CONNECTED: &str = r#"40{"sid":"r-C812lIZoM2WG3uAAAA"}"#;

    fn connection(follows: &[&str]) -> (Box<dyn Talk>, Vec<u8>) {
        let mut out = Vec::new();
        let person = Person { user: "7".to_owned(), token: "a.b.c".to_owned() };
        let follows: Vec<String> = follows.iter().map(ToString::to_string).collect();
        (SocketIo::new("peer.test").open(&person, &follows, &mut out), out)
    }

    #[test]
    fn the_upgrade_asks_for_engine_io_4() {
        let (_, out) = connection(&[]);
        assert!(out.starts_with(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"));
    }

    #[test]
    fn the_token_answers_the_open_packet() {
        let (mut talk, _) = connection(&[]);
        let (said, heard) = exchange(&mut *talk, SWITCHING, &[OPEN]);
        assert_eq!((said, heard), (vec![r#"40{"token":"a.b.c"}"#.to_owned()], vec![]));
        let (said, heard) = exchange(&mut *talk, b"", &[CONNECTED]);
        assert_eq!((said, heard), (vec![], vec![Heard::Ready]));
    }

    #[test]
    fn who_follows_groups_is_ready_when_in_all_of_them() {
        let (mut talk, _) = connection(&["g", "h"]);
        let (said, heard) = exchange(&mut *talk, SWITCHING, &[OPEN, CONNECTED, "430[]"]);
        assert_eq!(said[1..], [r#"420["join","g"]"#, r#"421["join","h"]"#]);
        assert_eq!(heard, []);
        assert_eq!(exchange(&mut *talk, b"", &["431[]"]).1, [Heard::Ready]);
    }

    #[test]
    fn a_message_goes_and_comes_with_its_stamp_and_is_acknowledged_by_number() {
        let (mut talk, _) = connection(&[]);
        exchange(&mut *talk, SWITCHING, &[OPEN, CONNECTED]);
        let (mut out, stamp) = (Vec::new(), Stamp::new(1, 2));
        talk.send(&Target::Person("8".to_owned()), stamp, 18, &mut out);
        talk.send(&Target::Group("g".to_owned()), Stamp::new(1, 3), 20, &mut out);
        assert_eq!(
            payloads(&out),
            [
                r#"420["user","8","~~0000010000000002"]"#,
                r#"421["group","g","~~0000010000000003xx"]"#
            ]
        );
        let event = r#"42["message","7","8","~~0000010000000002"]"#;
        let (_, heard) = exchange(&mut *talk, b"", &["431[]", event, "430[]"]);
        assert_eq!(
            heard,
            [Heard::Acked(Stamp::new(1, 3)), Heard::Delivered(stamp), Heard::Acked(stamp)]
        );
    }

    #[test]
    fn an_answer_to_nothing_is_no_acknowledgement() {
        let (mut talk, _) = connection(&[]);
        exchange(&mut *talk, SWITCHING, &[OPEN, CONNECTED]);
        let (_, heard) = exchange(&mut *talk, b"", &["430[]"]);
        assert_eq!(heard, [Heard::Refused("430[]".to_owned())]);
    }

    #[test]
    fn a_ping_is_answered() {
        let (mut talk, _) = connection(&[]);
        exchange(&mut *talk, SWITCHING, &[OPEN, CONNECTED]);
        assert_eq!(exchange(&mut *talk, b"", &["2"]), (vec!["3".to_owned()], vec![]));
    }

    #[test]
    fn a_refusal_ends_it() {
        let (mut talk, _) = connection(&[]);
        let refusal = r#"44{"message":"unauthorized"}"#;
        let (_, heard) = exchange(&mut *talk, SWITCHING, &[OPEN, refusal]);
        assert_eq!(heard, [Heard::Refused(refusal.to_owned()), Heard::Closed(0)]);
    }
}
