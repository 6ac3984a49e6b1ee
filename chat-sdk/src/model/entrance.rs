//! How people come into a group or channel by themselves, and what they then see of what was before.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{ConversationId, InvalidId, Kind, Timestamp, Title, Topic, UserId};

/// Who may come in by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// Who is added, or holds a link.
    #[default]
    Private,
    /// Every user: it stands in the list of public conversations.
    Public,
}

impl Access {
    pub(crate) fn is_private(&self) -> bool {
        *self == Self::Private
    }
}

/// What newcomers see of what was there before them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum History {
    /// All of it.
    #[default]
    All,
    /// Nothing: they see the log from the event on by which they came. Who comes back has lost sight
    /// of what they saw before.
    SinceJoining,
}

impl History {
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// Who may come in, and what newcomers see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Entrance {
    /// Who may come in by themselves.
    pub access: Access,
    /// What newcomers see of what was before. Who is in already is not concerned by a change.
    pub history: History,
}

/// What a link carries: who knows it may come in. 128 random bits as 32 hexadecimal digits.
///
/// It is shown once, to whoever makes the link; stores and logs only know its [`LinkId`], so that
/// nobody comes in by what they read there.
#[derive(Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, min_length = 32, max_length = 32, pattern = "^[0-9a-f]*$")]
pub struct LinkToken(String);

impl LinkToken {
    /// From randomness.
    #[must_use]
    pub fn fresh(random: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(random).simple().to_string())
    }

    /// As it stands in an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its link.
    #[must_use]
    pub fn link(&self) -> LinkId {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes());
        let bytes = digest.as_ref().first_chunk::<16>().expect("SHA-256 has 32 bytes");
        LinkId(uuid::Uuid::from_bytes(*bytes).simple().to_string())
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

impl FromStr for LinkToken {
    type Err = InvalidId;
    fn from_str(token: &str) -> Result<Self, InvalidId> {
        digits(token).map(Self)
    }
}

/// Names a link: the first half of its token's SHA-256, as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 32, max_length = 32, pattern = "^[0-9a-f]*$")]
pub struct LinkId(String);

impl LinkId {
    /// As it stands in a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LinkId {
    type Err = InvalidId;
    fn from_str(id: &str) -> Result<Self, InvalidId> {
        digits(id).map(Self)
    }
}

impl<'de> Deserialize<'de> for LinkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        id.parse().map_err(|why| serde::de::Error::custom(format_args!("LinkId {why}")))
    }
}

/// One spelling only: 32 digits, the letters small.
fn digits(text: &str) -> Result<String, InvalidId> {
    match text.len() {
        0 => Err(InvalidId::Empty),
        33.. => Err(InvalidId::TooLong(32)),
        32 if text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')) => Ok(text.to_owned()),
        _ => Err(InvalidId::Character),
    }
}

/// A link by which people may come into a conversation, until it is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// Its name.
    #[serde(rename = "id")]
    pub link: LinkId,
    /// Who made it; `None`: the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// From this moment on nobody comes in by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How many may come in by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<u32>,
    /// How many came in by it.
    pub uses: u32,
}

impl Link {
    /// Whether somebody could come in by it at this moment.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
            && self.uses_max.is_none_or(|max| self.uses < max)
    }
}

/// A conversation as those see it who are not in it, but may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Listing {
    /// Which.
    #[serde(rename = "id")]
    pub conversation: ConversationId,
    /// Of which sort.
    pub kind: Kind,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// Who may come in by themselves.
    pub access: Access,
    /// How many are in it.
    pub member_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_link_and_is_not_told_by_it() {
        let token = LinkToken::fresh([0xab; 16]);
        assert_eq!(token.as_str(), "ab".repeat(16));
        // sha256sum of those 32 letters.
        assert_eq!(token.link().as_str(), "d2f9fa9d99bb30b2b67fc6b0ea2694f3");
        assert!(!format!("{token:?}").contains("abab"));
    }

    #[test]
    fn there_is_one_spelling() {
        let token = "00112233445566778899aabbccddeeff";
        assert_eq!(token.parse::<LinkToken>().unwrap().as_str(), token);
        for other in [
            "",
            "00",
            &token.to_uppercase(),
            &format!("{token}0"),
            "0011223344556677 899aabbccddeef",
        ] {
            assert!(other.parse::<LinkToken>().is_err(), "{other}");
            assert!(other.parse::<LinkId>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_link_ends_with_its_time_and_its_uses() {
        let at = Timestamp::from_millis;
        let token = LinkToken::fresh([1; 16]);
        let link = |expires_at, uses_max, uses| Link {
            link: token.link(),
            by: None,
            at: at(0),
            expires_at,
            uses_max,
            uses,
        };
        assert!(link(None, None, 1_000_000).is_open(at(i64::MAX)));
        assert!(link(Some(at(10)), None, 0).is_open(at(9)));
        assert!(!link(Some(at(10)), None, 0).is_open(at(10)));
        assert!(link(None, Some(2), 1).is_open(at(0)));
        assert!(!link(None, Some(2), 2).is_open(at(0)));
    }
}
