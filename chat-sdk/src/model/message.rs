//! What somebody wrote, and what others put on it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{File, InvalidText, Seq, Text, Timestamp};

/// What somebody wrote.
///
/// ```
/// use chat_sdk::{Message, Seq, Text};
///
/// let message = Message::new(Text::new("me too").unwrap()).reply_to(Seq::new(12));
/// let json = serde_json::to_string(&message).unwrap();
/// assert_eq!(json, r#"{"text":"me too","reply_to":12}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Said)]
#[non_exhaustive]
pub struct Message {
    /// What; [`Text::none`] where there is nothing but files.
    #[schema(value_type = MaybeText)]
    pub text: Text,
    /// The message of the same conversation that it answers. It may have been deleted since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// What comes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            text: MaybeText,
            reply_to: Option<Seq>,
            #[serde(default)]
            files: Vec<File>,
        }

        let Fields { text: MaybeText(text), reply_to, files } = Fields::deserialize(deserializer)?;
        if text.is_none() && files.is_empty() {
            return Err(serde::de::Error::custom(format_args!("text {}", InvalidText::Empty)));
        }
        Ok(Self { text, reply_to, files })
    }
}

/// A text that need not be there where files are.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, pattern = r"^[^\x00]*$")]
pub(crate) struct MaybeText(pub(crate) Text);

impl Default for MaybeText {
    fn default() -> Self {
        Self(Text::none())
    }
}

impl<'de> Deserialize<'de> for MaybeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let text = Text::new(&*text);
        text.map(Self).map_err(|why| serde::de::Error::custom(format_args!("text {why}")))
    }
}

impl Message {
    /// Nothing but text.
    #[must_use]
    pub const fn new(text: Text) -> Self {
        Self { text, reply_to: None, files: Vec::new() }
    }

    /// In answer to this message.
    #[must_use]
    pub const fn reply_to(mut self, message: Seq) -> Self {
        self.reply_to = Some(message);
        self
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::new(text)
    }
}

/// What somebody puts on a message: an emoji, or a short name of one that only the host knows
/// (`:shipit:`). 1 to 64 bytes without white space and control characters; which of them are shown
/// is the business of whoever shows them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 64, pattern = r"^[^\s\x00-\x1f\x7f-\x9f]*$")]
pub struct Emoji(Arc<str>);

impl Emoji {
    /// The longest one that Unicode 16 recommends has 35 bytes.
    pub const BYTES_MAX: usize = 64;

    /// Takes it if it can be one.
    ///
    /// # Errors
    /// Empty, too long, or with white space or a control character.
    pub fn new(emoji: impl AsRef<str>) -> Result<Self, InvalidText> {
        let emoji = emoji.as_ref();
        if emoji.is_empty() {
            return Err(InvalidText::Empty);
        }
        if emoji.len() > Self::BYTES_MAX {
            return Err(InvalidText::TooManyBytes(Self::BYTES_MAX));
        }
        if emoji.chars().any(|it| it.is_control() || it.is_whitespace()) {
            return Err(InvalidText::Control);
        }
        Ok(Self(Arc::from(emoji)))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl<'de> Deserialize<'de> for Emoji {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let emoji = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&*emoji).map_err(|why| serde::de::Error::custom(format_args!("emoji {why}")))
    }
}

/// A change of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Amendment {
    /// It says this now. Its author alone may.
    Edit(Text),
    /// Its text is gone for everybody. Its author may, and admins.
    Delete,
    /// This emoji of the one who asks is on it (`true`) or not.
    React(Emoji, bool),
    /// It is kept at hand for everybody (`true`) or not. In a group or channel admins alone may.
    Pin(bool),
}

impl Amendment {
    /// The command's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Edit(_) => "edit",
            Self::Delete => "delete",
            Self::React(..) => "react",
            Self::Pin(_) => "pin",
        }
    }
}

/// What has become of a message, where anything has.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageState {
    /// Which message.
    pub message: Seq,
    /// The last edit.
    pub edit: Option<Edit>,
    /// The emojis on it, in the order of their bytes.
    pub reactions: Vec<Reaction>,
    /// Whether it is kept at hand.
    pub pinned: bool,
}

/// What a message says in place of what it said.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Edit {
    /// Where the edit stands in the log.
    pub seq: Seq,
    /// When it was made.
    pub at: Timestamp,
    /// What the message says now.
    pub text: Text,
}

/// An emoji on a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reaction {
    /// Which.
    pub emoji: Emoji,
    /// How many put it there.
    pub count: u64,
    /// Whether the reader is one of them.
    pub mine: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_something_or_brings_something() {
        let read = |json: &str| serde_json::from_str::<Message>(json);
        assert!(read(r#"{"text":""}"#).unwrap_err().to_string().starts_with("text is empty"));
        assert!(read(r#"{"text":" ","files":[]}"#).is_err());
        let id = "ab".repeat(16);
        let file = format!(r#"{{"id":"f_{id}","name":"a","type":"text/plain","size":1}}"#);
        let json = format!(r#"{{"text":"","files":[{file}]}}"#);
        let message = read(&json).unwrap();
        assert!(message.text.is_none());
        assert_eq!(serde_json::to_string(&message).unwrap(), json);
    }

    #[test]
    fn an_emoji_is_short_and_has_no_gaps() {
        for fine in ["👍", "👩🏽‍❤️‍💋‍👨🏿", ":shipit:", "+1"] {
            assert_eq!(Emoji::new(fine).unwrap().as_str(), fine);
        }
        assert_eq!(Emoji::new(""), Err(InvalidText::Empty));
        assert_eq!(Emoji::new("👍 👍"), Err(InvalidText::Control));
        assert_eq!(Emoji::new("a\u{7}"), Err(InvalidText::Control));
        assert_eq!(Emoji::new("👍".repeat(17)), Err(InvalidText::TooManyBytes(64)));
    }
}
