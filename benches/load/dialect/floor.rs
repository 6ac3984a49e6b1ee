//! The bare servers of this tool: WebSocket frames with neither a handshake nor JSON. The first byte
//! of a payload says what it is.

use super::{Dialect, Heard, Person, Talk, Target, upgraded::refuse};
use crate::{
    stamp::Stamp,
    websocket::{self, Kind},
};

/// The first byte of a payload, on both sides.
pub(crate) struct Marks {
    /// Of a client: who it is. Of a server: it is known.
    pub(crate) hello: u8,
    /// A message. Of a client with the number of whom it is for, four bytes; of a server without.
    pub(crate) message: u8,
    /// Of a server: a message was taken; its stamp's digits follow.
    pub(crate) ack: u8,
}

pub(crate) const MARKS: Marks = Marks { hello: b'h', message: b'm', ack: b'a' };

/// Speaks to them. People are numbers there.
pub(crate) struct Floor;

impl Dialect for Floor {
    fn open(&self, person: &Person, _follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk> {
        let mut hello = vec![MARKS.hello];
        hello.extend_from_slice(&number(&person.user).to_be_bytes());
        websocket::write_client_text(&hello, out);
        Box::new(Connection { frame: Vec::new() })
    }
}

fn number(user: &str) -> u32 {
    user.parse().expect("people of a floor are numbers")
}

struct Connection {
    frame: Vec<u8>,
}

impl Talk for Connection {
    fn read(&mut self, bytes: &[u8], _out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize {
        let mut taken = 0;
        loop {
            match websocket::frame(&bytes[taken..], false) {
                Ok(Some(frame)) => {
                    taken += frame.taken;
                    heard.push(read_message(frame.kind, frame.payload));
                }
                Ok(None) => return taken,
                Err(why) => {
                    refuse(why.to_string().as_bytes(), heard);
                    return bytes.len();
                }
            }
        }
    }

    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>) {
        let to = match to {
            Target::Group(_) => 0,
            Target::Person(user) => number(user),
        };
        self.frame.clear();
        self.frame.push(MARKS.message);
        self.frame.extend_from_slice(&to.to_be_bytes());
        stamp.write_text(size, &mut self.frame);
        websocket::write_client_text(&self.frame, out);
    }
}

fn read_message(kind: Kind, payload: &[u8]) -> Heard {
    let heard = match payload.split_first() {
        Some((mark, rest)) if kind == Kind::Message => match *mark {
            mark if mark == MARKS.message => Stamp::find(rest).map(Heard::Delivered),
            mark if mark == MARKS.ack => Stamp::read_digits(rest).map(Heard::Acked),
            mark if mark == MARKS.hello => Some(Heard::Ready),
            _ => None,
        },
        Some(_) | None => None,
    };
    heard.unwrap_or_else(|| Heard::Refused(format!("{:02x?}", &payload[..payload.len().min(32)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_floor_says_is_heard() {
        let person = Person { user: "7".to_owned(), token: String::new() };
        let mut out = Vec::new();
        let mut talk = Floor.open(&person, &[], &mut out);
        let hello = websocket::frame(&out, true).unwrap().unwrap();
        assert_eq!(hello.payload, [b'h', 0, 0, 0, 7]);
        let (mut bytes, stamp) = (Vec::new(), Stamp::new(1, 2));
        for mark in [&b"h"[..], b"m~~", b"a"] {
            let mut payload = mark.to_vec();
            stamp.write_digits(&mut payload);
            websocket::write_server_text(&payload, &mut bytes);
        }
        websocket::write_server_text(b"?", &mut bytes);
        let mut heard = Vec::new();
        assert_eq!(talk.read(&bytes, &mut out, &mut heard), bytes.len());
        assert_eq!(heard[..3], [Heard::Ready, Heard::Delivered(stamp), Heard::Acked(stamp)]);
        assert!(matches!(heard[3], Heard::Refused(_)));
    }

    #[test]
    fn a_message_says_whom_it_is_for() {
        let person = Person { user: "7".to_owned(), token: String::new() };
        let mut talk = Floor.open(&person, &[], &mut Vec::new());
        let mut out = Vec::new();
        talk.send(&Target::Person("258".to_owned()), Stamp::new(1, 2), 50, &mut out);
        let frame = websocket::frame(&out, true).unwrap().unwrap();
        assert_eq!(frame.payload[..5], [b'm', 0, 0, 1, 2]);
        assert_eq!(Stamp::find(frame.payload), Some(Stamp::new(1, 2)));
        assert_eq!(frame.payload.len(), 5 + 50);
    }
}
