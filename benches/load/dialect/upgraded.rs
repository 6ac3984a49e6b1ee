//! A client's WebSocket: the upgrade over HTTP, then frames, of which only the
//! messages are handed on. Knows nothing of what they say.

use std::time::Duration;

use super::Heard;
use crate::websocket::{self, Kind};

/// Of an answer to the upgrade; more is no such answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// No reason to print more of what a server refused.
const REFUSAL_CHARS_MAX: usize = 300;

/// What a server says first.
const SWITCHED: &[u8] = b"HTTP/1.1 101 ";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Where it stands.
pub(super) enum Upgraded {
    /// The request is under way.
    NotYet,
    /// Frames come.
    Yes,
}

/// What came, for the protocol above.
pub(super) enum Came<'a> {
    /// The way is free.
    Upgrade,
    Message(&'a [u8]),
}

impl Upgraded {
    /// Asks for it; `fields` are whole lines of the request.
    pub(super) fn ask(host: &str, path: &str, fields: &str, out: &mut Vec<u8>) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZCBnZW5lcmF0b3IhIQ==\r\n\
             {fields}\r\n"
        );
        out.extend_from_slice(request.as_bytes());
        Self::NotYet
    }

    /// Takes what is whole off the front of `bytes`, as [`Talk::read`](super::Talk::read) does, and
    /// hands the messages on.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Vec<Heard>,
        mut hear: impl FnMut(Came<'_>, &mut Vec<u8>, &mut Vec<Heard>),
    ) -> usize {
        let mut taken = 0;
        if let Self::NotYet = self {
            match memchr::memmem::find(bytes, END_OF_HEAD) {
                Some(end) if bytes.starts_with(SWITCHED) => taken = end + END_OF_HEAD.len(),
                None if bytes.len() <= HEAD_BYTES_MAX => return 0,
                Some(_) | None => {
                    heard.extend(retry_after(bytes).map(Heard::Later));
                    refuse(bytes, heard);
                    return bytes.len();
                }
            }
            *self = Self::Yes;
            hear(Came::Upgrade, out, heard);
        }
        loop {
            let frame = match websocket::frame(&bytes[taken..], false) {
                Ok(Some(frame)) => frame,
                Ok(None) => return taken,
                Err(why) => {
                    refuse(why.to_string().as_bytes(), heard);
                    return bytes.len();
                }
            };
            taken += frame.taken;
            match frame.kind {
                Kind::Message => hear(Came::Message(frame.payload), out, heard),
                Kind::Ping => websocket::write_client_pong(frame.payload, out),
                Kind::Pong => {}
                Kind::Close => {
                    // 1005 is what the standard has for a close without a code.
                    let code =
                        frame.payload.first_chunk().map_or(1005, |it| u16::from_be_bytes(*it));
                    heard.push(Heard::Closed(code));
                }
            }
        }
    }
}

/// What the head of an answer says about when to come back, in seconds as our server writes it.
fn retry_after(answer: &[u8]) -> Option<Duration> {
    let end = memchr::memmem::find(answer, END_OF_HEAD)?;
    let mut fields =
        str::from_utf8(&answer[..end]).ok()?.lines().filter_map(|it| it.split_once(':'));
    let (_, seconds) = fields.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Says that the connection is refused with these words, which ends it.
pub(super) fn refuse(words: &[u8], heard: &mut Vec<Heard>) {
    heard.push(Heard::Refused(printable(words)));
    heard.push(Heard::Closed(0));
}

/// As much of it as fits a line.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(REFUSAL_CHARS_MAX).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dialect::Talk;

    /// What a server says to the upgrade.
    pub(in crate::dialect) const SWITCHING: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

    /// What a connection answers and hears when it is sent these texts, after the upgrade if there is
    /// one among `before`.
    pub(in crate::dialect) fn exchange(
        talk: &mut dyn Talk,
        before: &[u8],
        texts: &[&str],
    ) -> (Vec<String>, Vec<Heard>) {
        let (mut bytes, mut out, mut heard) = (before.to_vec(), Vec::new(), Vec::new());
        for text in texts {
            websocket::write_server_text(text.as_bytes(), &mut bytes);
        }
        // One byte more at a time, as a network may.
        let mut start = 0;
        for end in 0..=bytes.len() {
            start += talk.read(&bytes[start..end], &mut out, &mut heard);
        }
        assert_eq!(start, bytes.len());
        (payloads(&out), heard)
    }

    /// What a client's frames say.
    pub(in crate::dialect) fn payloads(out: &[u8]) -> Vec<String> {
        let (mut texts, mut start) = (Vec::new(), 0);
        while start < out.len() {
            let frame = websocket::frame(&out[start..], true).unwrap().unwrap();
            texts.push(String::from_utf8(frame.payload.to_vec()).unwrap());
            start += frame.taken;
        }
        texts
    }

    fn read(bytes: &[u8]) -> (usize, Vec<u8>, Vec<Heard>, usize) {
        let (mut out, mut heard, mut came) = (Vec::new(), Vec::new(), 0);
        let mut socket = Upgraded::ask("peer.test", "/", "", &mut Vec::new());
        let taken = socket.read(bytes, &mut out, &mut heard, |_, _, _| came += 1);
        (taken, out, heard, came)
    }

    #[test]
    fn the_request_is_that_of_the_standard() {
        let mut out = Vec::new();
        Upgraded::ask("peer.test", "/chat?x=1", "Origin: none\r\n", &mut out);
        let request = String::from_utf8(out).unwrap();
        assert_eq!(
            request.split("\r\n").collect::<Vec<_>>(),
            [
                "GET /chat?x=1 HTTP/1.1",
                "Host: peer.test",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: bG9hZCBnZW5lcmF0b3IhIQ==",
                "Origin: none",
                "",
                ""
            ]
        );
    }

    #[test]
    fn a_refused_upgrade_ends_it() {
        let answer = b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n";
        let (taken, _, heard, came) = read(answer);
        assert_eq!((taken, came), (answer.len(), 0));
        assert!(
            matches!(&heard[..], [Heard::Refused(why), Heard::Closed(0)] if why.contains("401"))
        );
    }

    #[test]
    fn an_answer_without_an_end_is_refused_at_last() {
        let (taken, _, heard, _) = read(&[b'x'; HEAD_BYTES_MAX]);
        assert_eq!((taken, heard), (0, Vec::new()));
        let (taken, _, heard, _) = read(&[b'x'; HEAD_BYTES_MAX + 1]);
        assert_eq!((taken, heard.len()), (HEAD_BYTES_MAX + 1, 2));
    }

    #[test]
    fn pings_and_closes_are_the_business_of_nobody_above() {
        let mut bytes = SWITCHING.to_vec();
        bytes.extend([0x89, 2, b'h', b'i', 0x8a, 0, 0x88, 2, 0x0d, 0xac, 0x88, 0]);
        let (taken, out, heard, came) = read(&bytes);
        assert_eq!((taken, came), (bytes.len(), 1), "only the upgrade");
        assert_eq!(out, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(heard, [Heard::Closed(3500), Heard::Closed(1005)]);
    }
}
