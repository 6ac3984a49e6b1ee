//! Files that messages carry: what everybody in the conversation may know of one.
//!
//! The bytes are the blob store's, and how far an upload has come is the store's.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;
use uuid::Uuid;

use super::InvalidId;

/// 32 lower-case hexadecimal digits and nothing else: one id has one spelling.
fn digits(text: &str) -> Result<Uuid, InvalidId> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 32 || !text.bytes().all(digit) {
        return Err(InvalidId::NotUuid);
    }
    Uuid::try_parse(text).map_err(|_| InvalidId::NotUuid)
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
        #[schema(value_type = String, pattern = $pattern)]
        pub struct $name(Uuid);

        impl $name {
            /// The one with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Takes nothing but what [`Display`](fmt::Display) writes.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                digits(text.strip_prefix($prefix).ok_or(InvalidId::NotUuid)?).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let id = Cow::<'de, str>::deserialize(deserializer)?;
                id.parse().map_err(|_| {
                    D::Error::custom(concat!(stringify!($name), " is not one of ours"))
                })
            }
        }
    };
}

bytes_id! {
    /// A file that somebody uploads or uploaded: `f_` and 32 hexadecimal digits.
    FileId, "f_", "^f_[0-9a-f]{32}$"
}

bytes_id! {
    /// The name of a blob. Names are never given twice, so whatever is read under one is always the
    /// same. As text it is 32 lower-case hexadecimal digits, safe in every path.
    BlobId, "", "^[0-9a-f]{32}$"
}

/// What a file is called, for people: nothing is ever stored or found by it. Without what could end a
/// path, a line or a header, or make the end of a name look like something else, at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 255)]
pub struct FileName(Arc<str>);

impl FileName {
    /// What most file systems take.
    pub const BYTES_MAX: usize = 255;

    /// Out of whatever somebody called it: what is not allowed is taken away, and what is too long is
    /// cut before the ending.
    #[must_use]
    pub fn clean(name: &str) -> Self {
        // A path's last part is what people take for the name.
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let shown: String = name.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect();
        let shown = shown.replace([':', '<', '>', '"', '|', '?', '*'], "_");
        let mut shown = shown.trim().trim_start_matches('.').trim().to_owned();
        if shown.len() > Self::BYTES_MAX {
            let ending = shown.rfind('.').filter(|dot| shown.len() - dot <= 16);
            let ending = ending.map_or_else(String::new, |dot| shown[dot..].to_owned());
            let mut cut = Self::BYTES_MAX - ending.len();
            while !shown.is_char_boundary(cut) {
                cut -= 1;
            }
            shown.truncate(cut);
            shown.truncate(shown.trim_end().len());
            shown.push_str(&ending);
        }
        if shown.is_empty() {
            shown.push_str("file");
        }
        Self(shown.into())
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What changes the direction of text, or takes no room in it.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|name| Self::clean(&name))
    }
}

/// What the bytes of a file are, as we found by looking at them: `image/png`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 127)]
pub struct ContentType(Cow<'static, str>);

impl ContentType {
    /// Bytes of which nobody knows what they mean.
    pub const UNKNOWN: Self = Self::known("application/octet-stream");

    /// One out of a table.
    #[must_use]
    pub const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// As headers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        let part = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
            !part.is_empty() && part.chars().all(allowed)
        };
        let fine = name.len() <= 127
            && name.split_once('/').is_some_and(|(one, other)| part(one) && part(other));
        if !fine {
            return Err(D::Error::custom("type is no content type"));
        }
        Ok(Self(Cow::Owned(name.into_owned())))
    }
}

/// A file as everybody who sees its message knows it.
///
/// ```
/// let json = r#"{"id":"f_0197a3f252a07c4e9a513e3a1b2c4d5e","name":"boat.png","type":"image/png",
///     "size":48213,"width":640,"height":480,"thumbnail":true}"#;
/// let file: chat_sdk::File = serde_json::from_str(json).unwrap();
/// assert_eq!(file.name.as_str(), "boat.png");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// Which.
    pub id: FileId,
    /// What its uploader called it.
    pub name: FileName,
    /// What it is, by its bytes.
    #[serde(rename = "type")]
    pub content_type: ContentType,
    /// How many bytes it has.
    pub size: u64,
    /// Of a picture, in pixels, as it is to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Whether there is a small picture of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thumbnail: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_it_is_no_path() {
        let id = BlobId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        let file = FileId::from_bytes([0xab; 16]);
        assert_eq!(file.to_string(), format!("f_{}", "ab".repeat(16)));
        assert_eq!(file.to_string().parse(), Ok(file));
        let hyphens = "abababab-abab-abab-abab-abababababab";
        for odd in ["", "..", hyphens, &"AB".repeat(16), &"ab".repeat(15), &"/.".repeat(16)] {
            assert_eq!(odd.parse::<BlobId>(), Err(InvalidId::NotUuid), "{odd:?}");
            assert_eq!(format!("f_{odd}").parse::<FileId>(), Err(InvalidId::NotUuid), "{odd:?}");
        }
        assert_eq!("ab".repeat(16).parse::<FileId>(), Err(InvalidId::NotUuid));
    }

    #[test]
    fn a_name_is_a_line_of_text_and_nothing_else() {
        for (given, shown) in [
            ("boat.png", "boat.png"),
            ("../../etc/passwd", "passwd"),
            (r"C:\Users\bob\cv.pdf", "cv.pdf"),
            ("..", "file"),
            ("", "file"),
            (" \t", "file"),
            ("/", "file"),
            (".htaccess", "htaccess"),
            ("a\r\nSet-Cookie: x", "aSet-Cookie_ x"),
            ("photo\u{202e}gnp.exe", "photognp.exe"),
            ("a\0b", "ab"),
            ("con:aux\"<b>", "con_aux__b_"),
            ("Bücher 🚣.txt", "Bücher 🚣.txt"),
        ] {
            let name = FileName::clean(given);
            assert_eq!(name.as_str(), shown, "{given:?}");
            assert_eq!(FileName::clean(name.as_str()), name, "clean twice");
        }
        let long = FileName::clean(&format!("{}.jpeg", "ü".repeat(400)));
        assert!(long.as_str().len() <= 255 && long.as_str().ends_with("ü.jpeg"));
        assert_eq!(FileName::clean(long.as_str()), long);
    }

    #[test]
    fn a_content_type_cannot_break_a_header() {
        let read = |it: &str| serde_json::from_value::<ContentType>(it.into()).is_ok();
        assert!(read("image/svg+xml") && read("application/vnd.ms-excel"));
        for bad in ["", "image", "image/", "/png", "text/html; x=y", "a/b\r\nc: d", "a/b/c"] {
            assert!(!read(bad), "{bad:?}");
        }
    }
}
