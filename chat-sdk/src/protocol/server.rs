//! What the server sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CommandId, Problem};
use crate::{
    limits::Limits,
    model::{ClientKey, ConversationId, Epoch, Event, Marker, Seq, Timestamp, UserId},
    store::Checkpoint,
};

/// One frame from the server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome(Box<Welcome>),
    /// A message is committed.
    Ack {
        /// Of the command.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// Of the send.
        key: ClientKey,
        /// In this log.
        conversation: ConversationId,
        /// At this place.
        seq: Seq,
        /// At this time.
        at: Timestamp,
        /// Whether it stood there already.
        duplicate: bool,
    },
    /// A command without a result is carried out.
    Done {
        /// Of the command.
        id: CommandId,
    },
    /// A command failed, or something is wrong with the connection.
    Error {
        /// Of the command.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// Of the send.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<ClientKey>,
        /// What.
        #[schema(value_type = super::problem::Wire)]
        problem: Problem,
    },
    /// An entry of a log.
    Event(Event),
    /// A member's marker.
    Receipt {
        /// In this conversation.
        conversation: ConversationId,
        /// Of this user.
        user: UserId,
        /// Both places.
        #[serde(flatten)]
        marker: Marker,
    },
    /// A member types, or stopped.
    Typing {
        /// In this conversation.
        conversation: ConversationId,
        /// This one.
        user: UserId,
        /// Begins (or goes on) or ends.
        on: bool,
    },
    /// A watched user came or went.
    Presence {
        /// This one.
        user: UserId,
        /// Is here.
        online: bool,
    },
    /// The resume is complete: from here on, live.
    Synced {
        /// For the next resume.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Checkpoint>,
    },
    /// The tail is not replayed: the position is `head` now.
    Reset {
        /// Of this conversation.
        conversation: ConversationId,
        /// Its head.
        head: Seq,
    },
    /// The user is not a member (any more).
    Left {
        /// Of this conversation.
        conversation: ConversationId,
    },
    /// The heartbeat's echo.
    Pong {
        /// Of the conversations named in the ping.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        heads: BTreeMap<ConversationId, Seq>,
        /// For the next resume.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Checkpoint>,
    },
    /// The credential ends soon.
    Expiring {
        /// In this time.
        in_ms: u64,
    },
    /// The node leaves: move.
    Drain {
        /// After this time.
        after_ms: u64,
        /// Before this time.
        deadline_ms: u64,
    },
}

/// The answer to `hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Welcome {
    /// The protocol version that is spoken from here on.
    pub version: u32,
    /// This connection.
    pub session: String,
    /// Who the client is.
    pub user: UserId,
    /// The life of the store.
    pub epoch: Epoch,
    /// Whether the resume was taken up.
    pub resumed: bool,
    /// How often to ping.
    pub heartbeat_ms: u64,
    /// How often a typing signal may be repeated.
    pub typing_ms: u64,
    /// What this node enforces.
    pub limits: WireLimits,
    /// When the credential ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The limits that a client should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Limits)]
pub struct WireLimits {
    /// See [`Limits::frame_bytes_max`].
    pub frame_bytes_max: usize,
    /// See [`Limits::text_bytes_max`].
    pub text_bytes_max: usize,
    /// See [`Limits::text_chars_max`].
    pub text_chars_max: usize,
    /// See [`Limits::commands_in_flight_max`].
    pub commands_in_flight_max: usize,
    /// See [`Limits::sends_per_second`].
    pub sends_per_second: u32,
    /// See [`Limits::sends_burst`].
    pub sends_burst: u32,
    /// See [`Limits::positions_max`].
    pub positions_max: usize,
    /// See [`Limits::watch_max`].
    pub watch_max: usize,
    /// See [`Limits::file_bytes_max`]; 0: files are not taken.
    #[serde(default)]
    pub file_bytes_max: u64,
    /// See [`Limits::files_per_message_max`].
    #[serde(default)]
    pub files_per_message_max: usize,
}

impl From<&Limits> for WireLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            frame_bytes_max: limits.frame_bytes_max,
            text_bytes_max: limits.text_bytes_max,
            text_chars_max: limits.text_chars_max,
            commands_in_flight_max: limits.commands_in_flight_max,
            sends_per_second: limits.sends_per_second,
            sends_burst: limits.sends_burst,
            positions_max: limits.positions_max,
            watch_max: limits.watch_max,
            file_bytes_max: limits.file_bytes_max,
            files_per_message_max: limits.files_per_message_max,
        }
    }
}
