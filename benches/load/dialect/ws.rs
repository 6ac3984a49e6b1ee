//! The server on `ws` in `benches/peers/node/ws.js`: small JSON texts, whose forms stand there. The
//! token is part of the address of the upgrade, as browsers can do it.

use std::io::Write;

use super::{
    Dialect, Heard, Person, Talk, Target,
    upgraded::{Came, Upgraded, printable},
    way_in::WayIn,
};
use crate::{stamp::Stamp, websocket};

/// Speaks to it.
pub(crate) struct Ws {
    host: String,
}

impl Ws {
    /// `host` is what stands in the requests.
    pub(crate) fn new(host: impl Into<String>) -> Self {
        Self { host: host.into() }
    }
}

impl Dialect for Ws {
    fn open(&self, person: &Person, follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        let socket = Upgraded::ask(&self.host, &format!("/?token={}", person.token), "", out);
        let way_in = WayIn::Coming { follows: follows.to_vec() };
        Box::new(Connection { socket, way_in, text: Vec::new() })
    }
}

struct Connection {
    socket: Upgraded,
    way_in: WayIn,
    /// For the text that is being written.
    text: Vec<u8>,
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let way_in = &mut self.way_in;
        self.socket.read(bytes, out, heard, |came, out, heard| match came {
            Came::Upgrade => {}
            Came::Message(text) => hear(way_in, text, out, heard),
        })
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(br#"{"id":""#);
        stamp.write_digits(text);
        let (kind, name) = match to {
            Target::Group(group) => ("group", group),
            Target::Person(user) => ("user", user),
        };
        let written = write!(text, r#"","op":"send","to":"{kind}:{name}","body":""#);
        written.expect("memory takes every write");
        stamp.write_text(size, text);
        text.extend_from_slice(br#""}"#);
        websocket::write_client_text(text, out);
    }
}

fn hear(way_in: &mut WayIn, text: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
    const MESSAGE: &[u8] = br#"{"to":"#;
    const OK: &[u8] = br#"{"ok":""#;
    if text.starts_with(MESSAGE)
        && let Some(stamp) = Stamp::find(text)
    {
        return heard.push(Heard::Delivered(stamp));
    }
    match way_in {
        WayIn::Coming { follows } if text == br#"{"ready":true}"# => {
            for group in &*follows {
                let join = format!(r#"{{"id":"join","op":"join","to":"group:{group}"}}"#);
                websocket::write_client_text(join.as_bytes(), out);
            }
            let left = follows.len();
            way_in.wait_for(left, heard);
        }
        WayIn::Joining { left } if text == br#"{"ok":"join"}"# => {
            let left = *left - 1;
            way_in.wait_for(left, heard);
        }
        WayIn::Live if let Some(stamp) = text.strip_prefix(OK).and_then(Stamp::read_digits) => {
            heard.push(Heard::Acked(stamp));
        }
        WayIn::Coming { .. } | WayIn::Joining { .. } | WayIn::Live => {
            heard.push(Heard::Refused(printable(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::upgraded::tests::{SWITCHING, exchange, payloads};

    fn connection(follows: &[&str]) -> (Box<dyn Talk>, Vec<u8>) {
        let mut out = Vec::new();
        let person = Person { user: "7".to_owned(), token: "a.b.c".to_owned() };
        let follows: Vec<String> = follows.iter().map(ToString::to_string).collect();
        (Ws::new("peer.test").open(&person, &follows, &mut out), out)
    }

    #[test]
    fn the_token_stands_in_the_address() {
        let (_, out) = connection(&[]);
        assert!(out.starts_with(b"GET /?token=a.b.c HTTP/1.1\r\nHost: peer.test\r\n"));
    }

    #[test]
    fn who_follows_nothing_is_ready_when_known() {
        let (mut talk, _) = connection(&[]);
        let (said, heard) = exchange(&mut *talk, SWITCHING, &[]);
        assert_eq!((said, heard), (vec![], vec![]));
        let (said, heard) = exchange(&mut *talk, b"", &[r#"{"ready":true}"#]);
        assert_eq!((said, heard), (vec![], vec![Heard::Ready]));
    }

    #[test]
    fn who_follows_groups_is_ready_when_in_all_of_them() {
        let (mut talk, _) = connection(&["g", "h"]);
        let (said, heard) =
            exchange(&mut *talk, SWITCHING, &[r#"{"ready":true}"#, r#"{"ok":"join"}"#]);
        assert_eq!(
            said,
            [
                r#"{"id":"join","op":"join","to":"group:g"}"#,
                r#"{"id":"join","op":"join","to":"group:h"}"#
            ]
        );
        assert_eq!(heard, []);
        let (_, heard) = exchange(&mut *talk, b"", &[r#"{"ok":"join"}"#]);
        assert_eq!(heard, [Heard::Ready]);
    }

    #[test]
    fn a_message_goes_and_comes_with_its_stamp() {
        let (mut talk, _) = connection(&[]);
        exchange(&mut *talk, SWITCHING, &[r#"{"ready":true}"#]);
        let mut out = Vec::new();
        let stamp = Stamp::new(1, 2);
        talk.send(&Target::Group("g".to_owned()), stamp, 20, &mut out);
        talk.send(&Target::Person("8".to_owned()), stamp, 18, &mut out);
        assert_eq!(
            payloads(&out),
            [
                r#"{"id":"0000010000000002","op":"send","to":"group:g","body":"~~0000010000000002xx"}"#,
                r#"{"id":"0000010000000002","op":"send","to":"user:8","body":"~~0000010000000002"}"#,
            ]
        );
        let (said, heard) = exchange(
            &mut *talk,
            b"",
            &[
                r#"{"to":"user:7","from":"8","body":"~~0000010000000002"}"#,
                r#"{"ok":"0000010000000002"}"#,
                r#"{"what":"is this"}"#,
            ],
        );
        assert_eq!(said, [""; 0]);
        assert_eq!(heard[..2], [Heard::Delivered(stamp), Heard::Acked(stamp)]);
        assert_eq!(heard[2..], [Heard::Refused(r#"{"what":"is this"}"#.to_owned())]);
    }
}
