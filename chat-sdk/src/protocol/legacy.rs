//! The frames of the original product's clients.
//!
//! **An assumption.** Its frames were documented nowhere; this takes whatever has a recipient and a
//! text for a send, and answers in one shape. Nothing else knows of these clients: what they send
//! becomes our commands here, what they receive is translated from our frames here.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::{ClientFrame, Command, CommandId, MalformedFrame, SendTo, ServerFrame};
use crate::model::{Body, ClientKey, ConversationId, Message, Seq, Text, Timestamp, UserId};

/// Sends whose answer is still out: more than may be in flight on one connection. The oldest is
/// forgotten first, and then its answer lacks `to` and `content`.
const PENDING_MAX: usize = 64;
/// Direct conversations whose other user is remembered.
const OTHERS_MAX: usize = 256;

/// One connection of an original client.
#[derive(Debug)]
pub struct Legacy {
    me: UserId,
    /// What was sent, by key, until it is answered.
    pending: VecDeque<(ClientKey, UserId, Text)>,
    /// Whom this user talks to, as far as it has been seen here.
    others: BTreeMap<ConversationId, UserId>,
    /// Makes up keys for sends that come without one.
    unnamed: u64,
    /// Unpredictable part of made-up keys, so that two connections never make up the same.
    salt: u64,
}

impl Legacy {
    /// For this user; `salt` must differ from connection to connection.
    #[must_use]
    pub const fn new(me: UserId, salt: u64) -> Self {
        Self { me, pending: VecDeque::new(), others: BTreeMap::new(), unnamed: 0, salt }
    }

    /// What the client means by a frame.
    ///
    /// # Errors
    /// When it is neither a send nor a read notice nor a typing signal.
    pub fn decode(&mut self, text: &str) -> Result<ClientFrame, MalformedFrame> {
        let malformed = |detail: &str| MalformedFrame::new(None, detail);
        let frame: Map<String, Value> =
            serde_json::from_str(text).map_err(|why| malformed(&why.to_string()))?;
        let string = |names: &[&str]| {
            names.iter().find_map(|name| match frame.get(*name) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            })
        };
        let kind = string(&["type"]).unwrap_or_default();

        if kind == "ping" {
            return Ok(ClientFrame::Ping { positions: BTreeMap::new() });
        }
        if kind == "read" || kind == "delivered" {
            let id = string(&["message_id", "id"]).unwrap_or_default();
            let (conversation, seq) = split_message_id(&id)
                .ok_or_else(|| malformed("message_id is not the id of a message"))?;
            let (received, read) =
                if kind == "read" { (None, Some(seq)) } else { (Some(seq), None) };
            return Ok(ClientFrame::Command(None, Command::Mark { conversation, received, read }));
        }

        let to = string(&["to", "receiver_id", "recipient_id"])
            .ok_or_else(|| malformed("no recipient"))?;
        let to = UserId::new(to).map_err(|why| malformed(&format!("the recipient {why}")))?;
        if kind == "typing" {
            let conversation = ConversationId::direct(&self.me, &to);
            let on = !matches!(frame.get("typing").or(frame.get("on")), Some(Value::Bool(false)));
            return Ok(ClientFrame::Command(None, Command::Typing { conversation, on }));
        }

        let text = string(&["content", "text", "message"]).ok_or_else(|| malformed("no text"))?;
        let text = Text::new(text).map_err(|why| malformed(&format!("the text {why}")))?;
        let named = string(&["id", "client_id", "temp_id", "tempId", "client_msg_id"]);
        let key = match named {
            Some(name) => {
                ClientKey::new(name).map_err(|why| malformed(&format!("the client id {why}")))?
            }
            None => {
                self.unnamed += 1;
                ClientKey::new(format!("unnamed-{:016x}-{}", self.salt, self.unnamed))
                    .expect("short and ASCII")
            }
        };
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back((key.clone(), to.clone(), text.clone()));
        self.remember(ConversationId::direct(&self.me, &to), &to);
        Ok(ClientFrame::Command(
            CommandId::new(key.as_str()),
            Command::Send { key, to: SendTo::User(to), message: text.into(), files: Vec::new() },
        ))
    }

    /// What of our frame such a client is told; `None`: nothing.
    pub fn encode(&mut self, frame: &ServerFrame, now: Timestamp) -> Option<String> {
        let notice = |kind: &str,
                      id: String,
                      from: &str,
                      to: &str,
                      content: &str,
                      at: Timestamp| {
            json!({
                "type": kind, "id": id, "from": from, "to": to, "content": content, "timestamp": at,
            })
        };
        let me = self.me.as_str().to_owned();
        let value = match frame {
            ServerFrame::Ack { key, conversation, seq, at, .. } => {
                let (to, text) = self.answered(key);
                let mut value = notice("ack", key.to_string(), &me, &to, &text, *at);
                value["message_id"] = json!(format!("{conversation}.{seq}"));
                value
            }
            ServerFrame::Error { key, problem, .. } => {
                let (to, _) = key.as_ref().map(|key| self.answered(key)).unwrap_or_default();
                let content =
                    if problem.detail.is_empty() { problem.code.title() } else { &problem.detail };
                let id = key.as_ref().map(ToString::to_string).unwrap_or_default();
                let from = if key.is_some() { &*me } else { "" };
                notice("error", id, from, &to, content, now)
            }
            ServerFrame::Event(event) => {
                let from = event.from.as_ref()?;
                let Body::Message(Message { text, .. }) = &event.body else { return None };
                // Only what others say in the direct conversation with them.
                if *from == self.me || event.conversation != ConversationId::direct(from, &self.me)
                {
                    return None;
                }
                self.remember(event.conversation, from);
                let id = format!("{}.{}", event.conversation, event.seq);
                notice("message", id, from.as_str(), &me, text.as_str(), event.at)
            }
            ServerFrame::Receipt { conversation, user, marker } => {
                if *user == self.me || !self.others.contains_key(conversation) {
                    return None;
                }
                let (kind, seq) = if marker.read == marker.received {
                    ("read", marker.read)
                } else {
                    ("delivered", marker.received)
                };
                let id = format!("{conversation}.{seq}");
                notice(kind, id, user.as_str(), &me, "", now)
            }
            ServerFrame::Typing { conversation, user, on: true } => {
                self.others.get(conversation)?;
                notice("typing", String::new(), user.as_str(), &me, "", now)
            }
            ServerFrame::Pong { .. } => json!({"type": "pong"}),
            _ => return None,
        };
        Some(value.to_string())
    }

    fn remember(&mut self, conversation: ConversationId, other: &UserId) {
        if self.others.len() == OTHERS_MAX {
            self.others.pop_first();
        }
        self.others.insert(conversation, other.clone());
    }

    fn answered(&mut self, key: &ClientKey) -> (String, String) {
        let found = self.pending.iter().position(|(sent, ..)| sent == key);
        found
            .and_then(|index| self.pending.remove(index))
            .map(|(_, to, text)| (to.to_string(), text.as_str().to_owned()))
            .unwrap_or_default()
    }
}

/// A message's id as REST and these frames spell it: `<conversation>.<seq>`.
#[must_use]
pub fn split_message_id(id: &str) -> Option<(ConversationId, Seq)> {
    let (conversation, seq) = id.split_once('.')?;
    Some((conversation.parse().ok()?, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legacy() -> Legacy {
        Legacy::new(UserId::new("u_7").unwrap(), 1)
    }

    #[test]
    fn whatever_has_a_recipient_and_a_text_is_a_send() {
        for frame in [
            r#"{"to":"u_42","content":"hi"}"#,
            r#"{"receiver_id":"u_42","text":"hi","client_id":"c1"}"#,
            r#"{"recipient_id":"u_42","message":"hi","tempId":17}"#,
            r#"{"type":"message","to":"u_42","content":"hi","client_msg_id":"x"}"#,
        ] {
            match legacy().decode(frame).unwrap() {
                ClientFrame::Command(
                    Some(_),
                    Command::Send { to, message: Message { text, .. }, .. },
                ) => {
                    assert_eq!(to, SendTo::User(UserId::new("u_42").unwrap()));
                    assert_eq!(text.as_str(), "hi");
                }
                other => panic!("{frame} became {other:?}"),
            }
        }
        for nothing in [r#"{"to":"u_42"}"#, r#"{"content":"hi"}"#, "[]", "hi"] {
            assert!(legacy().decode(nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn made_up_keys_differ() {
        let mut legacy = legacy();
        let frame = r#"{"to":"u_42","content":"hi"}"#;
        assert_ne!(legacy.decode(frame).unwrap(), legacy.decode(frame).unwrap());
    }
}
