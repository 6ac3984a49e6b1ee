//! The protocol of NATS over TCP: lines, and payloads whose length their line says. A group is a
//! subject, and so is a person.
//!
//! What is acknowledged is that the server has passed a message on, as with all others here: behind
//! each message goes a PING, whose PONG says so. Clients call that a flush. A request that the
//! receiver answers through an inbox would say more, and would be a second message.

use std::{collections::VecDeque, io::Write};

use super::{
    Dialect, Heard, Person, Talk, Target,
    upgraded::{printable, refuse},
};
use crate::stamp::{STAMP_BYTES, Stamp};

const END_OF_LINE: &[u8] = b"\r\n";
const PING: &[u8] = b"PING\r\n";
/// More than any line of a server: its INFO has some 500 bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// More than any message of a measurement; a server's own limit is this by default.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// The number of a connection's subscription to its own messages; those to groups follow it.
const SELF: u32 = 1;

/// Speaks to it.
pub(crate) struct Nats {
    /// Of the server, for all its clients.
    token: String,
}

impl Nats {
    /// Everybody shows the server's own token: people's are unknown to it.
    pub(crate) fn new(token: impl Into<String>) -> Self {
        Self { token: token.into() }
    }
}

impl Dialect for Nats {
    fn open(&self, person: &Person, follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        let mut lines = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":false,\"lang\":\"chat-load\",\
             \"version\":\"1\",\"protocol\":1,\"auth_token\":\"{}\"}}\r\n",
            self.token
        );
        lines.push_str(&format!("SUB user.{} {SELF}\r\n", person.user));
        for (number, group) in (SELF + 1..).zip(follows) {
            lines.push_str(&format!("SUB group.{group} {number}\r\n"));
        }
        // Its answer says that everything before it has been done.
        out.extend_from_slice(lines.as_bytes());
        out.extend_from_slice(PING);
        Box::new(Connection { state: State::Coming })
    }
}

struct Connection {
    state: State,
}

enum State {
    Coming,
    /// Messages whose PONG has not come, the oldest first.
    Live {
        unanswered: VecDeque<Stamp>,
    },
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let Some(end) = memchr::memchr(b'\n', rest) else {
                if rest.len() <= LINE_BYTES_MAX {
                    return taken;
                }
                refuse(rest, heard);
                return bytes.len();
            };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            let after = &rest[end + 1..];
            let Some(message) = line.strip_prefix(b"MSG ") else {
                taken += end + 1;
                self.hear(line, out, heard);
                continue;
            };
            let Some(length) = length(message) else {
                refuse(line, heard);
                return bytes.len();
            };
            if after.len() < length + END_OF_LINE.len() {
                return taken;
            }
            taken += end + 1 + length + END_OF_LINE.len();
            let stamp = Stamp::find(&after[..length]).map(Heard::Delivered);
            heard.push(stamp.unwrap_or_else(|| Heard::Refused(printable(line))));
        }
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let (kind, name) = match to {
            Target::Group(group) => ("group", group),
            Target::Person(user) => ("user", user),
        };
        let size = size.max(STAMP_BYTES);
        write!(out, "PUB {kind}.{name} {size}\r\n").expect("memory takes every write");
        stamp.write_text(size, out);
        out.extend_from_slice(END_OF_LINE);
        out.extend_from_slice(PING);
        match &mut self.state {
            State::Coming => {}
            State::Live { unanswered } => unanswered.push_back(stamp),
        }
    }
}

/// The length of a message, from the line before it: `subject number [reply-to] bytes`.
fn length(line: &[u8]) -> Option<usize> {
    let mut spaces = memchr::memrchr_iter(b' ', line);
    let last = spaces.next()?;
    if !matches!(spaces.count(), 1 | 2) {
        return None;
    }
    let bytes = std::str::from_utf8(&line[last + 1..]).ok()?.parse().ok()?;
    (bytes <= PAYLOAD_BYTES_MAX).then_some(bytes)
}

impl Connection {
    fn hear(&mut self, line: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
        match (line, &mut self.state) {
            (b"PING", _) => out.extend_from_slice(b"PONG\r\n"),
            (b"PONG", State::Coming) => {
                self.state = State::Live { unanswered: VecDeque::new() };
                heard.push(Heard::Ready);
            }
            (b"PONG", State::Live { unanswered }) => match unanswered.pop_front() {
                Some(stamp) => heard.push(Heard::Acked(stamp)),
                None => heard.push(Heard::Refused(printable(line))),
            },
            // Said at first, and again when the cluster changes.
            ([b'I', b'N', b'F', b'O', b' ', ..], _) => {}
            // What is wrong on the way in ends the connection.
            (_, State::Coming) => refuse(line, heard),
            (_, State::Live { .. }) => heard.push(Heard::Refused(printable(line))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str =
        "INFO {\"server_id\":\"NA4B\",\"version\":\"2.15.2\",\"max_payload\":1048576}\r\n";

    fn connection(follows: &[&str]) -> (Box<dyn Talk>, String) {
        let mut out = Vec::new();
        let person = Person { user: "7".to_owned(), token: String::new() };
        let follows: Vec<String> = follows.iter().map(ToString::to_string).collect();
        let talk = Nats::new("secret").open(&person, &follows, &mut out);
        (talk, String::from_utf8(out).unwrap())
    }

    /// What a connection answers and hears, one byte more at a time, as a network may.
    fn exchange(talk: &mut dyn Talk, said: &str) -> (String, Vec<Heard>) {
        let (mut out, mut heard, mut start) = (Vec::new(), Vec::new(), 0);
        for end in 0..=said.len() {
            start += talk.read(&said.as_bytes()[start..end], &mut out, &mut heard);
        }
        assert_eq!(start, said.len());
        (String::from_utf8(out).unwrap(), heard)
    }

    fn live() -> Box<dyn Talk> {
        let (mut talk, _) = connection(&[]);
        let (said, heard) = exchange(&mut *talk, &format!("{INFO}PONG\r\n"));
        assert_eq!((said, heard), (String::new(), vec![Heard::Ready]));
        talk
    }

    #[test]
    fn everything_is_subscribed_to_before_the_ping_whose_answer_makes_it_ready() {
        let (_, said) = connection(&["g", "h"]);
        let lines: Vec<_> = said.split("\r\n").collect();
        let connect: serde_json::Value =
            serde_json::from_str(lines[0].strip_prefix("CONNECT ").unwrap()).unwrap();
        assert_eq!(connect["auth_token"], "secret");
        assert_eq!(connect["verbose"], false);
        assert_eq!(lines[1..], ["SUB user.7 1", "SUB group.g 2", "SUB group.h 3", "PING", ""]);
        live();
    }

    #[test]
    fn a_wrong_token_ends_it() {
        let (mut talk, _) = connection(&[]);
        let (_, heard) = exchange(&mut *talk, &format!("{INFO}-ERR 'Authorization Violation'\r\n"));
        assert_eq!(
            heard,
            [Heard::Refused("-ERR 'Authorization Violation'".to_owned()), Heard::Closed(0)]
        );
    }

    #[test]
    fn behind_each_message_goes_a_ping() {
        let (mut talk, mut out) = (live(), Vec::new());
        talk.send(&Target::Group("g".to_owned()), Stamp::new(1, 2), 20, &mut out);
        talk.send(&Target::Person("8".to_owned()), Stamp::new(1, 3), 0, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PUB group.g 20\r\n~~0000010000000002xx\r\nPING\r\n\
             PUB user.8 18\r\n~~0000010000000003\r\nPING\r\n"
        );
    }

    #[test]
    fn the_pongs_answer_for_messages_in_their_order() {
        let mut talk = live();
        for count in 0..2 {
            let to = Target::Group("g".to_owned());
            talk.send(&to, Stamp::new(1, count), 18, &mut Vec::new());
        }
        let (_, heard) = exchange(&mut *talk, "PONG\r\nPONG\r\nPONG\r\n");
        assert_eq!(
            heard,
            [
                Heard::Acked(Stamp::new(1, 0)),
                Heard::Acked(Stamp::new(1, 1)),
                Heard::Refused("PONG".to_owned())
            ]
        );
    }

    #[test]
    fn messages_are_as_long_as_their_line_says() {
        let (said, heard) = exchange(
            &mut *live(),
            "MSG user.7 1 18\r\n~~0000010000000003\r\n\
             MSG group.g 2 reply.to 22\r\n~~0000010000000002\r\n\r\n\r\n\
             MSG group.g 2 5\r\nhello\r\n",
        );
        assert_eq!(said, "");
        assert_eq!(
            heard,
            [
                Heard::Delivered(Stamp::new(1, 3)),
                Heard::Delivered(Stamp::new(1, 2)),
                Heard::Refused("MSG group.g 2 5".to_owned())
            ]
        );
    }

    #[test]
    fn a_ping_is_answered_and_an_error_is_heard() {
        let (said, heard) =
            exchange(&mut *live(), &format!("PING\r\n{INFO}-ERR 'Slow Consumer'\r\n"));
        assert_eq!(said, "PONG\r\n");
        assert_eq!(heard, [Heard::Refused("-ERR 'Slow Consumer'".to_owned())]);
    }

    #[test]
    fn a_line_without_an_end_or_sense_is_refused_at_last() {
        let mut heard = Vec::new();
        let long = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(live().read(&long, &mut Vec::new(), &mut heard), 0);
        for line in [
            vec![b'x'; LINE_BYTES_MAX + 1],
            b"MSG user.7 2 18 19 20\r\n".to_vec(),
            b"MSG a 2 9999999\r\n".to_vec(),
        ] {
            heard.clear();
            assert_eq!(live().read(&line, &mut Vec::new(), &mut heard), line.len());
            assert!(matches!(&heard[..], [Heard::Refused(_), Heard::Closed(0)]), "{heard:?}");
        }
    }
}
