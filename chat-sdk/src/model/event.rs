//! The entries of a log.
//!
//! Everything durable in a conversation is one of these, in one order. The hub and the session
//! never look inside a [`Body`], so a new kind of event needs neither of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{ClientKey, ConversationId, Kind, Role, Seq, Text, Timestamp, Title, UserId};

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

/// What happened, by `type`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// The conversation begins: always event 1.
    Created {
        /// Direct or group.
        kind: Kind,
        /// Groups have one.
        title: Option<Title>,
        /// The first members, the creator among them (who is the owner of a group).
        members: Vec<UserId>,
    },
    /// Somebody wrote.
    Message {
        /// What.
        text: Text,
    },
    /// These users are members now.
    Added {
        /// Who.
        users: Vec<UserId>,
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
    /// The group has another title now.
    Title {
        /// Which.
        title: Title,
    },
    /// An event of a kind that this version does not know, written by a newer one: passed on as
    /// it is.
    Other(Box<RawValueEq>),
}

impl Body {
    /// Whether it counts as unread for those who did not write it.
    #[must_use]
    pub const fn counts_as_unread(&self) -> bool {
        matches!(self, Self::Message { .. })
    }
}

/// The kinds this version knows, as they stand on the wire and in stores.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Known {
    Created {
        kind: Kind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<Title>,
        members: Vec<UserId>,
    },
    Message {
        text: Text,
    },
    Added {
        users: Vec<UserId>,
    },
    Removed {
        user: UserId,
    },
    Left,
    Role {
        user: UserId,
        role: Role,
    },
    Title {
        title: Title,
    },
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Clones are reference counts and short lists; the text itself is shared.
        let known = match self.clone() {
            Self::Created { kind, title, members } => Known::Created { kind, title, members },
            Self::Message { text } => Known::Message { text },
            Self::Added { users } => Known::Added { users },
            Self::Removed { user } => Known::Removed { user },
            Self::Left => Known::Left,
            Self::Role { user, role } => Known::Role { user, role },
            Self::Title { title } => Known::Title { title },
            Self::Other(raw) => return raw.0.serialize(serializer),
        };
        known.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }
        const KNOWN: [&str; 7] =
            ["created", "message", "added", "removed", "left", "role", "title"];

        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let tag: Tag<'_> = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
        if !KNOWN.contains(&&*tag.kind) {
            return Ok(Self::Other(Box::new(RawValueEq(raw))));
        }
        let known: Known = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
        Ok(match known {
            Known::Created { kind, title, members } => Self::Created { kind, title, members },
            Known::Message { text } => Self::Message { text },
            Known::Added { users } => Self::Added { users },
            Known::Removed { user } => Self::Removed { user },
            Known::Left => Self::Left,
            Known::Role { user, role } => Self::Role { user, role },
            Known::Title { title } => Self::Title { title },
        })
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
    fn a_known_kind_with_a_bad_field_is_an_error_and_not_unknown() {
        assert!(serde_json::from_str::<Body>(r#"{"type":"message","text":""}"#).is_err());
        assert!(serde_json::from_str::<Body>(r#"{"type":"message"}"#).is_err());
        assert!(serde_json::from_str::<Body>(r#"{"text":"hi"}"#).is_err());
    }
}
