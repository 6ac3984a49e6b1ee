//! Frames to JSON and back, and the WebSocket framing of what the server sends.
//!
//! A frame for many is encoded once, WebSocket header included (a server's frames are not masked,
//! so the bytes are the same for everybody), and shared as [`Encoded`].

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use super::{ClientFrame, Command, CommandId, Hello, SendTo, ServerFrame, Welcome};
use crate::{
    model::{
        Amendment, ClientKey, ConversationId, Emoji, Event, FileId, InvalidText, Marker, Message,
        Seq, Text, Timestamp, UserId, message::MaybeText,
    },
    protocol::Problem,
    store::Checkpoint,
};

/// A text that is not a frame.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct MalformedFrame {
    /// The command's id, if that much could be read, so that the error can name it.
    pub id: Option<CommandId>,
    /// The key of a send, likewise.
    pub key: Option<ClientKey>,
    /// What is wrong.
    pub detail: String,
}

impl MalformedFrame {
    /// A frame that is wrong in this way.
    pub fn new(id: Option<CommandId>, detail: impl Into<String>) -> Self {
        Self { id, key: None, detail: detail.into() }
    }
}

/// One whole WebSocket frame, ready to be written to any number of sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// The JSON of a frame, in a WebSocket text frame.
    #[must_use]
    pub fn text(frame: &ServerFrame) -> Self {
        let json = serde_json::to_vec(frame).expect("our own frames are JSON");
        Self::frame(0x1, &json)
    }

    /// Any JSON text in a WebSocket text frame.
    #[must_use]
    pub fn text_raw(json: &str) -> Self {
        Self::frame(0x1, json.as_bytes())
    }

    /// An empty WebSocket ping.
    #[must_use]
    pub fn ping() -> Self {
        Self::frame(0x9, &[])
    }

    /// A WebSocket close.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self::frame(0x8, &payload)
    }

    /// Bytes that are a frame already.
    #[must_use]
    pub const fn ready(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// RFC 6455, section 5.2: FIN, the opcode, no mask, the length in one, three or nine bytes.
    fn frame(opcode: u8, payload: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(payload.len() + 10);
        bytes.put_u8(0x80 | opcode);
        match payload.len() {
            short @ 0..=125 => bytes.put_u8(short as u8),
            medium @ 126..=0xffff => {
                bytes.put_u8(126);
                bytes.put_u16(medium as u16);
            }
            long => {
                bytes.put_u8(127);
                bytes.put_u64(long as u64);
            }
        }
        bytes.put_slice(payload);
        Self(bytes.freeze())
    }

    /// The JSON inside, for the one adapter that must look at it again.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let header = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        self.0.get(header..).unwrap_or_default()
    }

    /// The same as bytes of their own, shared with the frame: what the bus carries.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.0.slice_ref(self.payload())
    }

    /// How many bytes it takes on the socket.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // No frame is empty.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes to write.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    id: Option<CommandId>,
}

/// The object's `type`, and its fields by way of `T`.
fn fields<'a, T: Deserialize<'a>>(
    text: &'a str,
    id: &Option<CommandId>,
) -> Result<T, MalformedFrame> {
    serde_json::from_str(text).map_err(|why| MalformedFrame::new(id.clone(), why.to_string()))
}

/// Reads what a client sent.
///
/// # Errors
/// When it is not JSON, of an unknown `type`, or a field is missing or not allowed.
pub fn decode_client(text: &str) -> Result<ClientFrame, MalformedFrame> {
    // A list could be taken for the fields of an object, in the order in which we happen to name them.
    if !text.trim_start().starts_with('{') {
        return Err(MalformedFrame::new(None, "not a JSON object"));
    }
    decode_object(text).map_err(|malformed| {
        // A send is named by its key in every answer, if that much can be read.
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            key: ClientKey,
        }
        let named = serde_json::from_str::<Named<'_>>(text).ok();
        let key = named.filter(|named| named.kind == "send").map(|named| named.key);
        MalformedFrame { key, ..malformed }
    })
}

/// An object in a frame, and nothing that could be taken for its fields in some order.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_none<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, inside: D) -> Result<Option<T>, D::Error> {
            inside.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_option(Object(PhantomData))
}

/// What the frames hold beside `type` and `id`: what is read, and what is described.
pub(crate) mod content {
    use super::{
        BTreeMap, ClientKey, ConversationId, Deserialize, Emoji, FileId, MaybeText, Seq, Text,
        ToSchema, UserId,
    };

    #[derive(Deserialize, ToSchema)]
    pub(crate) struct SendFields {
        pub(super) key: ClientKey,
        pub(super) to: Option<UserId>,
        pub(super) conversation: Option<ConversationId>,
        #[serde(default)]
        pub(super) text: MaybeText,
        pub(super) reply_to: Option<Seq>,
        #[serde(default)]
        pub(super) files: Vec<FileId>,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct MarkFields {
        pub(super) conversation: ConversationId,
        pub(super) received: Option<Seq>,
        pub(super) read: Option<Seq>,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct AmendFields {
        pub(super) key: Option<ClientKey>,
        pub(super) conversation: ConversationId,
        pub(super) message: Seq,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct EditFields {
        pub(super) text: Text,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct ReactFields {
        pub(super) emoji: Emoji,
        pub(super) on: bool,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct PinFields {
        pub(super) on: bool,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct TypingFields {
        pub(super) conversation: ConversationId,
        pub(super) on: bool,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct WatchFields {
        pub(super) users: Vec<UserId>,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct SyncFields {
        pub(super) conversation: ConversationId,
        pub(super) after: Seq,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct AuthFields {
        pub(super) token: String,
    }
    #[derive(Deserialize, ToSchema)]
    pub(crate) struct PingFields {
        #[serde(default)]
        pub(super) positions: BTreeMap<ConversationId, Seq>,
    }
}

fn decode_object(text: &str) -> Result<ClientFrame, MalformedFrame> {
    use content::{
        AmendFields, AuthFields, EditFields, MarkFields, PinFields, PingFields, ReactFields,
        SendFields, SyncFields, TypingFields, WatchFields,
    };

    let Tag { kind, id } = fields(text, &None)?;
    let command = match &*kind {
        "hello" => return Ok(ClientFrame::Hello(fields::<Hello>(text, &id)?)),
        "ping" => {
            let PingFields { positions } = fields(text, &id)?;
            return Ok(ClientFrame::Ping { positions });
        }
        "send" => {
            let SendFields { key, to, conversation, text: MaybeText(text), reply_to, files } =
                fields(text, &id)?;
            if text.is_none() && files.is_empty() {
                return Err(MalformedFrame::new(id, format!("text {}", InvalidText::Empty)));
            }
            let to = match (to, conversation) {
                (Some(user), None) => SendTo::User(user),
                (None, Some(conversation)) => SendTo::Conversation(conversation),
                _ => {
                    let detail = "either to or conversation must be given";
                    return Err(MalformedFrame::new(id, detail));
                }
            };
            let mut message = Message::new(text);
            message.reply_to = reply_to;
            Command::Send { key, to, message, files }
        }
        "edit" | "delete" | "react" | "pin" => {
            let AmendFields { key, conversation, message } = fields(text, &id)?;
            let amendment = match &*kind {
                "edit" => {
                    let EditFields { text } = fields(text, &id)?;
                    Amendment::Edit(text)
                }
                "react" => {
                    let ReactFields { emoji, on } = fields(text, &id)?;
                    Amendment::React(emoji, on)
                }
                "pin" => {
                    let PinFields { on } = fields(text, &id)?;
                    Amendment::Pin(on)
                }
                _ => Amendment::Delete,
            };
            Command::Amend { key, conversation, message, amendment }
        }
        "mark" => {
            let MarkFields { conversation, received, read } = fields(text, &id)?;
            Command::Mark { conversation, received, read }
        }
        "typing" => {
            let TypingFields { conversation, on } = fields(text, &id)?;
            Command::Typing { conversation, on }
        }
        "watch" => {
            let WatchFields { users } = fields(text, &id)?;
            Command::Watch { users }
        }
        "sync" => {
            let SyncFields { conversation, after } = fields(text, &id)?;
            Command::Sync { conversation, after }
        }
        "auth" => {
            let AuthFields { token } = fields(text, &id)?;
            Command::Auth { token }
        }
        _ => return Err(MalformedFrame::new(id, "unknown type")),
    };
    Ok(ClientFrame::Command(id, command))
}

/// Reads what a server sent: for clients, tests, and the adapter of the original clients. `None` is
/// a frame of a type that this version does not know, to be skipped.
///
/// # Errors
/// When it is not JSON, or a known frame lacks a field.
pub fn decode_server(text: &str) -> Result<Option<ServerFrame>, MalformedFrame> {
    #[derive(Deserialize)]
    struct Ack {
        key: ClientKey,
        conversation: ConversationId,
        seq: Seq,
        at: Timestamp,
        duplicate: bool,
    }
    #[derive(Deserialize)]
    struct ErrorFields {
        key: Option<ClientKey>,
        problem: Problem,
    }
    #[derive(Deserialize)]
    struct Receipt {
        conversation: ConversationId,
        user: UserId,
        received: Seq,
        read: Seq,
    }
    #[derive(Deserialize)]
    struct Typing {
        conversation: ConversationId,
        user: UserId,
        on: bool,
    }
    #[derive(Deserialize)]
    struct Presence {
        user: UserId,
        online: bool,
    }
    #[derive(Deserialize)]
    struct Synced {
        token: Option<Checkpoint>,
    }
    #[derive(Deserialize)]
    struct Reset {
        conversation: ConversationId,
        head: Seq,
    }
    #[derive(Deserialize)]
    struct Left {
        conversation: ConversationId,
    }
    #[derive(Deserialize)]
    struct Pong {
        #[serde(default)]
        heads: BTreeMap<ConversationId, Seq>,
        token: Option<Checkpoint>,
    }
    #[derive(Deserialize)]
    struct Expiring {
        in_ms: u64,
    }
    #[derive(Deserialize)]
    struct Drain {
        after_ms: u64,
        deadline_ms: u64,
    }

    let Tag { kind, id } = fields(text, &None)?;
    Ok(Some(match &*kind {
        "welcome" => ServerFrame::Welcome(Box::new(fields::<Welcome>(text, &id)?)),
        "ack" => {
            let Ack { key, conversation, seq, at, duplicate } = fields(text, &id)?;
            ServerFrame::Ack { id, key, conversation, seq, at, duplicate }
        }
        "done" => match id {
            Some(id) => ServerFrame::Done { id },
            None => return Err(MalformedFrame::new(id, "done without id")),
        },
        "error" => {
            let ErrorFields { key, problem } = fields(text, &id)?;
            ServerFrame::Error { id, key, problem }
        }
        "event" => ServerFrame::Event(fields::<Event>(text, &id)?),
        "receipt" => {
            let Receipt { conversation, user, received, read } = fields(text, &id)?;
            ServerFrame::Receipt { conversation, user, marker: Marker { received, read } }
        }
        "typing" => {
            let Typing { conversation, user, on } = fields(text, &id)?;
            ServerFrame::Typing { conversation, user, on }
        }
        "presence" => {
            let Presence { user, online } = fields(text, &id)?;
            ServerFrame::Presence { user, online }
        }
        "synced" => {
            let Synced { token } = fields(text, &id)?;
            ServerFrame::Synced { token }
        }
        "reset" => {
            let Reset { conversation, head } = fields(text, &id)?;
            ServerFrame::Reset { conversation, head }
        }
        "left" => {
            let Left { conversation } = fields(text, &id)?;
            ServerFrame::Left { conversation }
        }
        "pong" => {
            let Pong { heads, token } = fields(text, &id)?;
            ServerFrame::Pong { heads, token }
        }
        "expiring" => {
            let Expiring { in_ms } = fields(text, &id)?;
            ServerFrame::Expiring { in_ms }
        }
        "drain" => {
            let Drain { after_ms, deadline_ms } = fields(text, &id)?;
            ServerFrame::Drain { after_ms, deadline_ms }
        }
        _ => return Ok(None),
    }))
}

/// Writes what a client sends: for clients and tests.
#[must_use]
pub fn encode_client(frame: &ClientFrame) -> String {
    use serde_json::json;
    let mut value = match frame {
        ClientFrame::Hello(hello) => {
            let mut value = serde_json::to_value(hello).expect("a hello is JSON");
            value["type"] = json!("hello");
            value
        }
        ClientFrame::Ping { positions } if positions.is_empty() => json!({"type": "ping"}),
        ClientFrame::Ping { positions } => json!({"type": "ping", "positions": positions}),
        ClientFrame::Command(_, command) => match command {
            Command::Send { key, to, message, files } => {
                let mut value = json!(message);
                if !files.is_empty() {
                    value["files"] = json!(files);
                }
                value["type"] = json!("send");
                value["key"] = json!(key);
                match to {
                    SendTo::User(user) => value["to"] = json!(user),
                    SendTo::Conversation(id) => value["conversation"] = json!(id),
                }
                value
            }
            Command::Amend { key, conversation, message, amendment } => {
                let mut value = json!({
                    "type": amendment.name(),
                    "conversation": conversation,
                    "message": message,
                });
                if let Some(key) = key {
                    value["key"] = json!(key);
                }
                match amendment {
                    Amendment::Edit(text) => value["text"] = json!(text),
                    Amendment::Delete => {}
                    Amendment::React(emoji, on) => {
                        value["emoji"] = json!(emoji);
                        value["on"] = json!(on);
                    }
                    Amendment::Pin(on) => value["on"] = json!(on),
                }
                value
            }
            Command::Mark { conversation, received, read } => {
                let mut value = json!({"type": "mark", "conversation": conversation});
                if let Some(received) = received {
                    value["received"] = json!(received);
                }
                if let Some(read) = read {
                    value["read"] = json!(read);
                }
                value
            }
            Command::Typing { conversation, on } => {
                json!({"type": "typing", "conversation": conversation, "on": on})
            }
            Command::Watch { users } => json!({"type": "watch", "users": users}),
            Command::Sync { conversation, after } => {
                json!({"type": "sync", "conversation": conversation, "after": after})
            }
            Command::Auth { token } => json!({"type": "auth", "token": token}),
        },
    };
    if let ClientFrame::Command(Some(id), _) = frame {
        value["id"] = json!(id);
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_lengths_of_a_frame_are_those_of_the_rfc() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (0xffff, vec![0x81, 126, 0xff, 0xff]),
            (0x1_0000, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = "x".repeat(length);
            let encoded = Encoded::text_raw(&text);
            assert_eq!(encoded.payload(), text.as_bytes());
            assert_eq!(encoded.into_bytes()[..header.len()], header);
        }
    }

    #[test]
    fn a_malformed_command_is_named_by_its_id_if_it_can_be_read() {
        let why = decode_client(r#"{"type":"send","id":"7","text":"hi"}"#).unwrap_err();
        assert_eq!(why.id, CommandId::new("7"));
        assert!(why.detail.contains("key"), "{}", why.detail);
        for hopeless in ["", "{", "[]", "null", "42", r#"{"type":5}"#, r#"{"id":"1"}"#] {
            assert!(decode_client(hopeless).is_err(), "{hopeless}");
        }
        assert!(decode_client(&"[".repeat(100_000)).is_err(), "depth is bounded");
    }

    #[test]
    fn a_send_goes_to_a_user_or_into_a_conversation_and_not_to_both() {
        let neither = r#"{"type":"send","key":"k","text":"hi"}"#;
        let both = r#"{"type":"send","key":"k","text":"hi","to":"u","conversation":"0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e"}"#;
        assert!(decode_client(neither).is_err() && decode_client(both).is_err());
    }

    #[test]
    fn nul_is_refused_at_the_edge() {
        assert!(decode_client(r#"{"type":"send","key":"k","to":"u","text":"a\u0000b"}"#).is_err());
    }
}
