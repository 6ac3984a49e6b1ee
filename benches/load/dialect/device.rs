//! What a device of ours keeps between its connections: how far it has every log, and the server's
//! word on the rest. Says hello with it, and checks that what comes has neither hole nor repetition.

use std::{collections::HashMap, fmt::Write as _};

/// One device of one user.
#[derive(Debug, Default)]
pub(super) struct Device {
    epoch: String,
    /// The last resume token.
    token: Option<String>,
    /// How many different tokens came.
    tokens: u32,
    positions: HashMap<String, Position>,
    /// Whether hello asked for a resume.
    resumes: bool,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    seq: u64,
    /// How many tokens had come when it last moved.
    tokens: u32,
}

/// What must not have come.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("there is a hole after {0}")]
    Hole(u64),
    #[error("it came already, up to {0}")]
    Repeated(u64),
    #[error("more was missed than is sent again")]
    Reset,
    #[error("the resume was not taken up")]
    NotResumed,
    #[error("not as the protocol has it")]
    Unreadable,
}

impl Device {
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// How far it has the log of a conversation.
    pub(super) fn position(&self, conversation: &str) -> Option<u64> {
        self.positions.get(conversation).map(|position| position.seq)
    }

    /// The first frame of a connection. Positions that are older than the token before the last need
    /// not be named.
    pub(super) fn hello(&mut self) -> String {
        self.resumes = self.token.is_some();
        let Some(token) = &self.token else {
            // Where it stands now is where it begins.
            self.positions.clear();
            return r#"{"type":"hello","version":1}"#.to_owned();
        };
        let mut hello = format!(
            r#"{{"type":"hello","version":1,"resume":{{"epoch":"{}","token":"{token}","positions":{{"#,
            self.epoch
        );
        let named = self.positions.iter().filter(|(_, at)| at.tokens + 1 >= self.tokens);
        for (n, (conversation, at)) in named.enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let _ = write!(hello, r#"{comma}"{conversation}":{}"#, at.seq);
        }
        hello.push_str("}}}");
        hello
    }

    /// Takes a frame of the server.
    pub(super) fn take(&mut self, frame: &[u8]) -> Result<(), Wrong> {
        match text_after(frame, br#"{"type":""#) {
            Some("event") => self.take_event(frame),
            Some("welcome") => {
                self.epoch = field(frame, br#""epoch":""#).ok_or(Wrong::Unreadable)?.to_owned();
                let resumed = memchr::memmem::find(frame, br#""resumed":true"#).is_some();
                if self.resumes && !resumed { Err(Wrong::NotResumed) } else { Ok(()) }
            }
            Some(kind @ ("synced" | "pong")) => {
                let token = field(frame, br#""token":""#);
                // Who has a token keeps it until a pong brings another.
                if let Some(token) = token
                    && (kind == "pong" || self.token.is_none())
                    && self.token.as_deref() != Some(token)
                {
                    self.token = Some(token.to_owned());
                    self.tokens += 1;
                }
                Ok(())
            }
            Some("reset") => Err(Wrong::Reset),
            // It moves no log.
            Some(_) => Ok(()),
            None => Err(Wrong::Unreadable),
        }
    }

    fn take_event(&mut self, frame: &[u8]) -> Result<(), Wrong> {
        let conversation = field(frame, br#""conversation":""#).ok_or(Wrong::Unreadable)?;
        let seq = number(frame, br#""seq":"#).ok_or(Wrong::Unreadable)?;
        let tokens = self.tokens;
        let Some(at) = self.positions.get_mut(conversation) else {
            self.positions.insert(conversation.to_owned(), Position { seq, tokens });
            return Ok(());
        };
        if seq <= at.seq {
            return Err(Wrong::Repeated(at.seq));
        }
        if seq > at.seq + 1 {
            return Err(Wrong::Hole(at.seq));
        }
        *at = Position { seq, tokens };
        Ok(())
    }
}

/// The text behind this in a frame. The server writes what it knows itself before what users say.
fn field<'a>(frame: &'a [u8], name: &[u8]) -> Option<&'a str> {
    text_after(&frame[memchr::memmem::find(frame, name)?..], name)
}

fn text_after<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let text = bytes.strip_prefix(name)?;
    std::str::from_utf8(&text[..memchr::memchr(b'"', text)?]).ok()
}

fn number(frame: &[u8], name: &[u8]) -> Option<u64> {
    let digits = &frame[memchr::memmem::find(frame, name)? + name.len()..];
    let end = digits.iter().position(|it| !it.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(conversation: &str, seq: u64) -> String {
        format!(
            r#"{{"type":"event","conversation":"{conversation}","seq":{seq},"at":"2026-01-02T03:00:01.000Z","from":"u_7","event":{{"type":"message","text":"hi"}}}}"#
        )
    }

    fn take(device: &mut Device, frames: &[&str]) {
        for frame in frames {
            assert_eq!(device.take(frame.as_bytes()), Ok(()), "{frame}");
        }
    }

    fn hello(device: &mut Device) -> Value {
        serde_json::from_str(&device.hello()).unwrap()
    }

    const WELCOME: &str = r#"{"type":"welcome","version":1,"session":"9f","user":"u_7","epoch":"5f0c","resumed":true}"#;

    #[test]
    fn a_device_comes_back_with_what_it_has() {
        let mut device = Device::default();
        assert_eq!(hello(&mut device), json!({ "type": "hello", "version": 1 }));
        take(&mut device, &[WELCOME, r#"{"type":"synced","token":"7"}"#, &event("a", 3)]);
        take(&mut device, &[&event("a", 4), r#"{"type":"pong"}"#]);
        let resume = json!({ "epoch": "5f0c", "token": "7", "positions": { "a": 4 } });
        assert_eq!(hello(&mut device)["resume"], resume);
        // One more token speaks of a moment before: it is still named, and after the next no longer.
        take(&mut device, &[r#"{"type":"pong","token":"8"}"#, r#"{"type":"pong","token":"8"}"#]);
        assert_eq!(hello(&mut device)["resume"]["positions"], json!({ "a": 4 }));
        take(&mut device, &[r#"{"type":"pong","token":"9"}"#, &event("b", 1)]);
        assert_eq!(hello(&mut device)["resume"]["positions"], json!({ "b": 1 }));
        assert_eq!(device.position("a"), Some(4));
    }

    #[test]
    fn what_is_not_exact_is_wrong() {
        let mut device = Device::default();
        take(&mut device, &[WELCOME, r#"{"type":"synced","token":"7"}"#, &event("a", 3)]);
        let wrong = |device: &mut Device, frame: &str| device.take(frame.as_bytes()).unwrap_err();
        assert_eq!(wrong(&mut device, &event("a", 3)), Wrong::Repeated(3));
        assert_eq!(wrong(&mut device, &event("a", 5)), Wrong::Hole(3));
        assert_eq!(wrong(&mut device, r#"{"type":"reset","head":9}"#), Wrong::Reset);
        assert_eq!(wrong(&mut device, "{}"), Wrong::Unreadable);
        device.hello();
        let refused = WELCOME.replace("true", "false");
        assert_eq!(wrong(&mut device, &refused), Wrong::NotResumed);
    }
}
