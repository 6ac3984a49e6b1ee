//! Text that people write, checked for what no store and no screen can bear.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidText {
    /// Empty, or nothing but white space.
    #[error("is empty")]
    Empty,
    /// Holds U+0000, which not every store can keep (PostgreSQL's `text` refuses it).
    #[error("holds a NUL character")]
    Nul,
    /// Longer than this many bytes of UTF-8.
    #[error("is longer than {0} bytes")]
    TooManyBytes(usize),
    /// Longer than this many characters (Unicode scalar values).
    #[error("is longer than {0} characters")]
    TooManyChars(usize),
    /// A title with a line break or another control character.
    #[error("holds a control character")]
    Control,
}

/// The text of a message: not blank, no U+0000. How long it may be is the node's limit and is
/// checked where it is sent, not here, so that a lower limit never makes an old message unreadable.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, pattern = r"^[^\x00]*$")]
pub struct Text(Arc<str>);

impl Text {
    /// Takes the text if it can be a message.
    ///
    /// # Errors
    /// [`InvalidText::Empty`] or [`InvalidText::Nul`].
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidText> {
        let text = text.as_ref();
        if text.contains('\0') {
            return Err(InvalidText::Nul);
        }
        if text.trim().is_empty() {
            return Err(InvalidText::Empty);
        }
        Ok(Self(Arc::from(text)))
    }

    /// No text: what a message says that is nothing but files. Nothing else takes it.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::from(""))
    }

    /// Whether it is [`none`](Self::none).
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    // What people write is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&*text).map_err(|why| serde::de::Error::custom(format_args!("text {why}")))
    }
}

/// The title of a group: one line, 1 to 128 characters, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 128)]
pub struct Title(Arc<str>);

impl Title {
    /// Longest title in characters: a line in a list, not a paragraph.
    pub const CHARS_MAX: usize = 128;

    /// Takes the title, trimmed, if it is one.
    ///
    /// # Errors
    /// Blank, too long, or with a control character.
    pub fn new(title: impl AsRef<str>) -> Result<Self, InvalidText> {
        let title = title.as_ref().trim();
        if title.is_empty() {
            return Err(InvalidText::Empty);
        }
        if title.chars().count() > Self::CHARS_MAX {
            return Err(InvalidText::TooManyChars(Self::CHARS_MAX));
        }
        if title.chars().any(char::is_control) {
            return Err(InvalidText::Control);
        }
        Ok(Self(Arc::from(title)))
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Title {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let title = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&*title).map_err(|why| serde::de::Error::custom(format_args!("title {why}")))
    }
}

/// What a group or channel is about: 1 to 1,000 characters, lines allowed, trimmed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 1000)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Longest topic in characters: a paragraph or two above the conversation, not a document.
    pub const CHARS_MAX: usize = 1_000;

    /// Takes the topic, trimmed, if it is one.
    ///
    /// # Errors
    /// Blank, too long, or with a control character that is no line break.
    pub fn new(topic: impl AsRef<str>) -> Result<Self, InvalidText> {
        let topic = topic.as_ref().trim();
        if topic.is_empty() {
            return Err(InvalidText::Empty);
        }
        if topic.chars().count() > Self::CHARS_MAX {
            return Err(InvalidText::TooManyChars(Self::CHARS_MAX));
        }
        if topic.chars().any(|it| it.is_control() && it != '\n') {
            return Err(InvalidText::Control);
        }
        Ok(Self(Arc::from(topic)))
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let topic = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&*topic).map_err(|why| serde::de::Error::custom(format_args!("topic {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_have_lines_and_nothing_else_that_is_invisible() {
        assert_eq!(Topic::new(" one\ntwo ").unwrap().as_str(), "one\ntwo");
        assert_eq!(Topic::new(" \n"), Err(InvalidText::Empty));
        assert_eq!(Topic::new("a\u{0}b"), Err(InvalidText::Control));
        assert_eq!(Topic::new("a\tb"), Err(InvalidText::Control));
        assert!(Topic::new("é".repeat(1_000)).is_ok());
        assert_eq!(Topic::new("é".repeat(1_001)), Err(InvalidText::TooManyChars(1_000)));
    }
}
