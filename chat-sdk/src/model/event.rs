//! The entries of a log.
//!
//! Everything durable in a conversation is one of these, in one order. The hub and the session
//! never look inside a [`Body`], so a new kind of event needs neither of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    ClientKey, ConversationId, Edit, Emoji, Kind, Message, Role, Seq, Text, Timestamp, Title,
    Topic, UserId,
};

/// One entry of a conversation's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whose log.
    pub conversation: ConversationId,
    /// Its place in the log.
    pub seq: Seq,
    /// When the server accepted it. For people; order is `seq` alone.
    pub at: Timestamp,
    /// Who did it; `None`: the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// The author's name for the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ClientKey>,
    /// What happened.
    #[serde(rename = "event")]
    pub body: Body,
}

impl Event {
    /// Who is a member no more from here on.
    #[must_use]
    pub const fn departure(&self) -> Option<&UserId> {
        match &self.body {
            Body::Removed { user } => Some(user),
            Body::Left => self.from.as_ref(),
            _ => None,
        }
    }
}

/// What happened, by `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", remote = "Self")]
#[non_exhaustive]
pub enum Body {
    /// The conversation begins: always event 1.
    Created {
        /// Of which sort.
        kind: Kind,
        /// All but direct ones have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<Title>,
        /// The first members, the creator among them (who is the owner, unless it is direct). The
        /// others come in as [`Kind::newcomer`] says.
        members: Vec<UserId>,
    },
    /// Somebody wrote.
    Message(Message),
    /// The author of a message wrote something else in its place. What the message says is what was
    /// said last.
    Edited {
        /// Which message.
        message: Seq,
        /// What it says now.
        text: Text,
    },
    /// A message was deleted, by its author or an admin. Its text and those of its edits are gone
    /// from the store: what is read there from now on is [`Body::Erased`].
    Deleted {
        /// Which message.
        message: Seq,
    },
    /// Here stood a message, or an edit of one, that was deleted later.
    Erased,
    /// Somebody put an emoji on a message.
    Reacted {
        /// Which message.
        message: Seq,
        /// What.
        emoji: Emoji,
    },
    /// Somebody took their emoji back.
    Unreacted {
        /// Which message.
        message: Seq,
        /// What.
        emoji: Emoji,
    },
    /// A message is kept at hand for everybody.
    Pinned {
        /// Which message.
        message: Seq,
    },
    /// A message no longer is kept at hand.
    Unpinned {
        /// Which message.
        message: Seq,
    },
    /// These users are members now.
    Added {
        /// Who.
        users: Vec<UserId>,
        /// As what; who was one already keeps their role.
        #[serde(default, skip_serializing_if = "Role::is_member")]
        role: Role,
    },
    /// This user is no longer a member.
    Removed {
        /// Who.
        user: UserId,
    },
    /// The author is no longer a member.
    Left,
    /// A member has another role now.
    Role {
        /// Who.
        user: UserId,
        /// Which.
        role: Role,
    },
    /// It has another title now.
    Title {
        /// Which.
        title: Title,
    },
    /// It has another topic now.
    Topic {
        /// Which; `None`: it has none any more.
        topic: Option<Topic>,
    },
    /// An event of a kind that this version does not know, written by a newer one: passed on as
    /// it is.
    #[serde(skip)]
    Other(Box<RawValueEq>),
}

impl Body {
    /// Whether it counts as unread for those who did not write it.
    #[must_use]
    pub const fn counts_as_unread(&self) -> bool {
        matches!(self, Self::Message(_))
    }

    /// Who is a member from here on, if not before.
    #[must_use]
    pub fn arrivals(&self) -> &[UserId] {
        match self {
            Self::Created { members: users, .. } | Self::Added { users, .. } => users,
            _ => &[],
        }
    }

    /// Of an edit: the message that says something else now.
    #[must_use]
    pub const fn edits(&self) -> Option<Seq> {
        match self {
            Self::Edited { message, .. } => Some(*message),
            _ => None,
        }
    }

    /// Of an edit that stands at this place: what it makes the message say.
    pub(crate) fn into_edit(self, seq: Seq, at: Timestamp) -> Option<Edit> {
        match self {
            Self::Edited { message: _, text } => Some(Edit { seq, at, text }),
            _ => None,
        }
    }

    /// The message of the same log that it changes.
    #[must_use]
    pub const fn target(&self) -> Option<Seq> {
        match self {
            Self::Edited { message, .. }
            | Self::Deleted { message }
            | Self::Reacted { message, .. }
            | Self::Unreacted { message, .. }
            | Self::Pinned { message }
            | Self::Unpinned { message } => Some(*message),
            Self::Created { .. }
            | Self::Message(_)
            | Self::Erased
            | Self::Added { .. }
            | Self::Removed { .. }
            | Self::Left
            | Self::Role { .. }
            | Self::Title { .. }
            | Self::Topic { .. }
            | Self::Other(_) => None,
        }
    }
}

/// The kinds this version knows, as they stand on the wire and in stores.
const KNOWN: [&str; 15] = [
    "created",
    "message",
    "edited",
    "deleted",
    "erased",
    "reacted",
    "unreacted",
    "pinned",
    "unpinned",
    "added",
    "removed",
    "left",
    "role",
    "title",
    "topic",
];

// What is derived are functions of these names, of the kinds that are known.
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Other(raw) => raw.0.serialize(serializer),
            known => Self::serialize(known, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }

        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let tag: Tag<'_> = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
        if !KNOWN.contains(&&*tag.kind) {
            return Ok(Self::Other(Box::new(RawValueEq(raw))));
        }
        let known = &mut serde_json::Deserializer::from_str(raw.get());
        Self::deserialize(known).map_err(serde::de::Error::custom)
    }
}

/// JSON of a kind that is not known here, compared by its text.
#[derive(Debug, Clone)]
pub struct RawValueEq(Box<RawValue>);

impl RawValueEq {
    /// The JSON as it was written.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for RawValueEq {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_version_is_passed_on_as_it_is() {
        let line = r#"{"type":"reaction","to":3,"emoji":"👍"}"#;
        let body: Body = serde_json::from_str(line).unwrap();
        assert!(matches!(body, Body::Other(_)));
        assert_eq!(serde_json::to_string(&body).unwrap(), line);
    }

    #[test]
    fn the_list_of_known_kinds_is_that_of_the_enum() {
        let nonsense = &mut serde_json::Deserializer::from_str(r#"{"type":"nonsense"}"#);
        let expected = Body::deserialize(nonsense).unwrap_err().to_string();
        let names: Vec<_> = expected.split('`').skip(3).step_by(2).collect();
        assert_eq!(names, KNOWN, "{expected}");
    }

    #[test]
    fn a_known_kind_with_a_bad_field_is_an_error_and_not_unknown() {
        assert!(serde_json::from_str::<Body>(r#"{"type":"message","text":""}"#).is_err());
        assert!(serde_json::from_str::<Body>(r#"{"type":"message"}"#).is_err());
        assert!(serde_json::from_str::<Body>(r#"{"text":"hi"}"#).is_err());
    }
}
