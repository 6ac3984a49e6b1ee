//! The ids of the model, each a type of its own, checked where it is made.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The empty string.
    #[error("is empty")]
    Empty,
    /// Longer than this many bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// Holds a character that ids may not have.
    #[error("holds a character that is not allowed")]
    Character,
    /// Not a UUID.
    #[error("is not a UUID")]
    NotUuid,
}

/// Longest [`UserId`], [`ClientKey`] and [`CredentialId`] in bytes: room for a UUID, an e-mail-like
/// handle or a hex SHA-256, and small enough to stand in every index.
pub const ID_BYTES_MAX: usize = 64;

fn checked(id: &str, allowed: impl Fn(char) -> bool) -> Result<Arc<str>, InvalidId> {
    if id.is_empty() {
        return Err(InvalidId::Empty);
    }
    if id.len() > ID_BYTES_MAX {
        return Err(InvalidId::TooLong(ID_BYTES_MAX));
    }
    if !id.chars().all(allowed) {
        return Err(InvalidId::Character);
    }
    Ok(Arc::from(id))
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $allowed:expr, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, min_length = 1, max_length = 64, pattern = $pattern)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the id if it is well-formed.
            ///
            /// # Errors
            /// Says what is wrong with it: empty, longer than 64 bytes, or a character that is
            /// not allowed.
            pub fn new(id: impl AsRef<str>) -> Result<Self, InvalidId> {
                checked(id.as_ref(), $allowed).map(Self)
            }

            /// The id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(id: &str) -> Result<Self, InvalidId> {
                Self::new(id)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let id = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&*id).map_err(|why| {
                    serde::de::Error::custom(format_args!(concat!(stringify!($name), " {}"), why))
                })
            }
        }
    };
}

string_id! {
    /// A user, by the id that the host (or our accounts) gave them: opaque, 1 to 64 bytes, no
    /// control characters, compared byte by byte.
    ///
    /// ```
    /// use chat_sdk::UserId;
    /// assert!(UserId::new("alice@example.org").is_ok());
    /// assert!(UserId::new("a\0b").is_err());
    /// ```
    UserId, |c: char| !c.is_control(), r"^[^\x00-\x1f\x7f-\x9f]*$"
}

string_id! {
    /// The name a client gives to one write, so that a repetition can be told from a new one:
    /// 1 to 64 printable ASCII characters. Its scope is one author in one conversation, and it is
    /// remembered as long as the event itself.
    ClientKey, |c: char| c.is_ascii_graphic() || c == ' ', r"^[ -~]*$"
}

string_id! {
    /// Names one credential (a token, a host's session), so that this one can be revoked while
    /// the user's others go on.
    CredentialId, |c: char| !c.is_control(), r"^[^\x00-\x1f\x7f-\x9f]*$"
}

string_id! {
    /// Names one life of a store. A store that was restored from a backup gets a new one, because
    /// positions that clients hold may then lie beyond what it knows.
    Epoch, |c: char| c.is_ascii_alphanumeric() || c == '-', "^[0-9A-Za-z-]*$"
}

/// A conversation: a UUID.
///
/// That of a direct conversation follows from its two users ([`ConversationId::direct`]), so that
/// opening it is idempotent on every node without asking anybody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Uuid)]
pub struct ConversationId(Uuid);

impl ConversationId {
    /// The direct conversation of two users, whichever is named first.
    #[must_use]
    pub fn direct(one: &UserId, other: &UserId) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self::derived("direct", low.as_str(), high.as_str())
    }

    /// The group that `creator` makes with the client key `key`: a repetition names the same one.
    #[must_use]
    pub fn group(creator: &UserId, key: &ClientKey) -> Self {
        Self::derived("group", creator.as_str(), key.as_str())
    }

    /// A new id from a time and randomness, ordered by time (UUID version 7, RFC 9562).
    #[must_use]
    pub fn fresh(at: super::Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// UUID version 8 (RFC 9562): 122 bits of SHA-256 over length-prefixed parts, so that no two
    /// different pairs can be spelled alike.
    fn derived(purpose: &str, first: &str, second: &str) -> Self {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for part in ["chat-sdk", purpose, first, second] {
            let length = u8::try_from(part.len()).expect("ids are at most 64 bytes");
            hash.update(&[length]);
            hash.update(part.as_bytes());
        }
        let digest = hash.finish();
        let bytes = digest.as_ref().first_chunk::<16>().expect("SHA-256 has 32 bytes");
        Self(Uuid::new_v8(*bytes))
    }

    /// From its 16 bytes, as a store keeps them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for ConversationId {
    type Err = InvalidId;
    fn from_str(id: &str) -> Result<Self, InvalidId> {
        // Only the hyphenated form: one id, one spelling.
        if id.len() != 36 {
            return Err(InvalidId::NotUuid);
        }
        Uuid::try_parse(id).map(Self).map_err(|_| InvalidId::NotUuid)
    }
}

impl<'de> Deserialize<'de> for ConversationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        id.parse().map_err(|why| serde::de::Error::custom(format_args!("ConversationId {why}")))
    }
}

/// A place in a conversation's log: 1, 2, 3 … without gaps; 0 stands before the first event.
///
/// At most 2⁵³ − 1, so that JavaScript can hold it exactly.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema,
)]
#[serde(transparent)]
#[schema(value_type = u64)]
pub struct Seq(u64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);
    /// The largest place there is.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The place `n`; larger ones than [`Seq::MAX`] become it.
    #[must_use]
    pub const fn new(n: u64) -> Self {
        if n > Self::MAX.0 { Self::MAX } else { Self(n) }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0 + 1)
    }

    /// The place before this one; zero stays zero.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many places this one lies after `other`; zero if it does not.
    #[must_use]
    pub const fn since(self, other: Self) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seq {
    type Err = std::num::ParseIntError;
    fn from_str(n: &str) -> Result<Self, Self::Err> {
        n.parse().map(Self::new)
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    #[test]
    fn a_direct_conversation_has_one_id_whoever_opens_it() {
        let (a, b, c) = (user("a"), user("b"), user("c"));
        assert_eq!(ConversationId::direct(&a, &b), ConversationId::direct(&b, &a));
        assert_ne!(ConversationId::direct(&a, &b), ConversationId::direct(&a, &c));
        // The parts are length-prefixed: moving a letter between them gives another id.
        assert_ne!(
            ConversationId::direct(&user("ab"), &user("c")),
            ConversationId::direct(&user("a"), &user("bc"))
        );
    }

    #[test]
    fn an_id_that_is_not_one_is_refused_with_the_reason() {
        assert_eq!(UserId::new(""), Err(InvalidId::Empty));
        assert_eq!(UserId::new("x".repeat(65)), Err(InvalidId::TooLong(64)));
        assert_eq!(UserId::new("a\nb"), Err(InvalidId::Character));
        assert_eq!(ClientKey::new("ключ"), Err(InvalidId::Character));
        assert_eq!("nope".parse::<ConversationId>(), Err(InvalidId::NotUuid));
        // No second spelling: neither braces nor the simple form.
        assert_eq!(
            "0197a3f252a07c4e9a513e3a1b2c4d5e".parse::<ConversationId>(),
            Err(InvalidId::NotUuid)
        );
    }

    #[test]
    fn a_seq_stays_within_what_javascript_holds() {
        assert_eq!(Seq::new(u64::MAX), Seq::MAX);
        assert_eq!(Seq::MAX.next(), Seq::MAX);
        assert_eq!(Seq::ZERO.previous(), Seq::ZERO);
        assert_eq!(serde_json::from_str::<Seq>("18446744073709551615").unwrap(), Seq::MAX);
        assert!(serde_json::from_str::<Seq>("-1").is_err());
        assert!(serde_json::from_str::<Seq>("1.5").is_err());
    }
}
