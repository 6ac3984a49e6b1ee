//! What a client sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    model::{Amendment, ClientKey, ConversationId, Epoch, FileId, Message, Seq, UserId},
    store::Checkpoint,
};

/// The client's name for a command, given back in its reply: 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 64)]
pub struct CommandId(Box<str>);

impl CommandId {
    /// Takes the id if it is well-formed.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        (1..=64).contains(&id.len()).then(|| Self(id.into()))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CommandId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::new(&id).ok_or_else(|| serde::de::Error::custom("id must have 1 to 64 bytes"))
    }
}

/// One frame from a client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientFrame {
    /// The first frame.
    Hello(Hello),
    /// The heartbeat, with positions to be checked.
    Ping {
        /// By conversation.
        positions: BTreeMap<ConversationId, Seq>,
    },
    /// Something to be done, and the id to answer it with.
    Command(Option<CommandId>, Command),
}

/// Who comes, and where they were.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Hello {
    /// The protocol version that the client speaks.
    pub version: u32,
    /// A bearer token, if the upgrade had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where the device was.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::codec::object"
    )]
    pub resume: Option<Resume>,
}

/// Where a device was when it was last connected.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Resume {
    /// In which life of the store.
    pub epoch: Epoch,
    /// The last resume token it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Checkpoint>,
    /// The positions it reached since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<ConversationId, Seq>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendTo {
    /// To a user, in the direct conversation.
    User(UserId),
    /// Into this conversation.
    Conversation(ConversationId),
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Write a message.
    Send {
        /// The client's name for it.
        key: ClientKey,
        /// Where to.
        to: SendTo,
        /// What.
        message: Message,
        /// What comes with it.
        files: Vec<FileId>,
    },
    /// Change a message: `edit`, `delete`, `react`, `pin`.
    Amend {
        /// The client's name for it.
        key: Option<ClientKey>,
        /// In this conversation.
        conversation: ConversationId,
        /// Which message.
        message: Seq,
        /// How.
        amendment: Amendment,
    },
    /// Move one's own marker.
    Mark {
        /// In this conversation.
        conversation: ConversationId,
        /// To here, or not at all.
        received: Option<Seq>,
        /// To here, or not at all.
        read: Option<Seq>,
    },
    /// Tell the others that one types.
    Typing {
        /// In this conversation.
        conversation: ConversationId,
        /// Begins (or goes on) or ends.
        on: bool,
    },
    /// Know of these users whether they are online.
    Watch {
        /// All of them; replaces those before.
        users: Vec<UserId>,
    },
    /// Send the log again.
    Sync {
        /// Of this conversation.
        conversation: ConversationId,
        /// From after here.
        after: Seq,
    },
    /// Renew the credential.
    Auth {
        /// With this token.
        token: String,
    },
}

impl Command {
    /// For a log or a metric.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Amend { amendment, .. } => amendment.name(),
            Self::Mark { .. } => "mark",
            Self::Typing { .. } => "typing",
            Self::Watch { .. } => "watch",
            Self::Sync { .. } => "sync",
            Self::Auth { .. } => "auth",
        }
    }
}
