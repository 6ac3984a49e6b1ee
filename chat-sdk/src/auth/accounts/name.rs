//! What people may be called. Knows Unicode's rules and no accounts.

use std::fmt;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_security::{GeneralSecurityProfile as _, RestrictionLevel, RestrictionLevelDetection};

/// Longest user name in characters.
pub const NAME_CHARS_MAX: usize = 32;
/// Shortest user name in characters.
pub const NAME_CHARS_MIN: usize = 2;
/// Longest display name in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 64;

/// Longest key in characters: folding makes two of one at times (`ß`), and eighteen of a ligature.
const KEY_CHARS_MAX: usize = 2 * NAME_CHARS_MAX;

/// Marks on one letter of a name: Vietnamese and Arabic need two, a heap of them only hides text.
const NAME_MARKS_MAX: usize = 2;
/// Marks on one letter of a display name.
const DISPLAY_NAME_MARKS_MAX: usize = 4;

/// Why a user name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Fewer characters than this.
    #[error("is shorter than {0} characters")]
    TooShort(usize),
    /// More characters than this.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// Something else than letters, digits, `.`, `_` and `-`, or a letter that is not in use.
    #[error("may hold letters, digits, \".\", \"_\" and \"-\"")]
    Character,
    /// Begins with something else.
    #[error("must begin with a letter or a digit")]
    Start,
    /// Letters of alphabets that are not written together, as in a name that imitates another.
    #[error("mixes alphabets")]
    MixedScripts,
}

/// Why a display name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDisplayName {
    /// Nothing in it can be seen.
    #[error("is empty")]
    Empty,
    /// More characters than this.
    #[error("is longer than {0} characters")]
    TooLong(usize),
}

/// A user name: how its owner spells it, and the key that makes it unique.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) key: String,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

impl Name {
    /// Takes a name in NFC if it is one: letters and digits that UTS 39 allows in identifiers, of
    /// alphabets that are written together (its level "highly restrictive"), with `.`, `_`, `-`.
    ///
    /// Whole words of one alphabet that look like words of another stay possible: Cyrillic "сара"
    /// is somebody's name and looks like "capa". Refusing those would refuse people.
    pub(super) fn new(name: &str) -> Result<Self, InvalidName> {
        // Before anything that costs: a name is never longer in NFC than in any other form.
        if name.chars().take(4 * NAME_CHARS_MAX + 1).count() > 4 * NAME_CHARS_MAX {
            return Err(InvalidName::TooLong(NAME_CHARS_MAX));
        }
        let name: String = name.nfc().collect();
        let chars = name.chars().count();
        if chars < NAME_CHARS_MIN {
            return Err(InvalidName::TooShort(NAME_CHARS_MIN));
        }
        if chars > NAME_CHARS_MAX {
            return Err(InvalidName::TooLong(NAME_CHARS_MAX));
        }
        if !name.starts_with(char::is_alphanumeric) {
            return Err(match name.chars().next() {
                Some('.' | '_' | '-') => InvalidName::Start,
                _ => InvalidName::Character,
            });
        }
        let key = fold(&name);
        if !letters(&name) || !letters(&key) || marks_in_a_row(&name) > NAME_MARKS_MAX {
            return Err(InvalidName::Character);
        }
        if key.chars().count() > KEY_CHARS_MAX {
            return Err(InvalidName::TooLong(NAME_CHARS_MAX));
        }
        if !name.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive) {
            return Err(InvalidName::MixedScripts);
        }
        Ok(Self { name, key })
    }
}

/// Makes spellings of the same word equal: compatibility forms, upper and lower case.
///
/// It is what [`Account::name_key`](super::Account::name_key) is of a name, what a search is for,
/// and what a store applies to the words of display names to be found by it.
///
/// ```
/// use chat_sdk::auth::accounts::fold;
/// assert_eq!(fold("Straße"), fold("STRASSE"));
/// assert_eq!(fold("Ａlice"), "alice");
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    // By way of the upper case, because several small letters share one capital: ß and ss, ς and σ.
    let folded: String =
        text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    // Capitals can be letters with marks, and those may compose anew.
    folded.nfkc().collect()
}

/// Only what a name may hold.
fn letters(name: &str) -> bool {
    name.chars().all(|c| match c {
        '.' | '_' | '-' => true,
        _ => (c.is_alphanumeric() || is_combining_mark(c)) && c.identifier_allowed(),
    })
}

fn marks_in_a_row(text: &str) -> usize {
    text.nfd()
        .scan(0, |run, c| {
            *run = if is_combining_mark(c) { *run + 1 } else { 0 };
            Some(*run)
        })
        .max()
        .unwrap_or(0)
}

/// Takes a display name: one line in NFC, without controls, without what turns the direction of the
/// text around it, and without heaps of marks.
pub(super) fn display_name(text: &str) -> Result<String, InvalidDisplayName> {
    // Before anything that costs; white space and what is taken out may make up some of it.
    const RAW_CHARS_MAX: usize = 4 * DISPLAY_NAME_CHARS_MAX;
    if text.chars().take(RAW_CHARS_MAX + 1).count() > RAW_CHARS_MAX {
        return Err(InvalidDisplayName::TooLong(DISPLAY_NAME_CHARS_MAX));
    }
    let mut shown = String::new();
    let mut marks = 0;
    for c in text.nfc() {
        if c.is_whitespace() {
            // Also line breaks, which are controls: one space for any run of them.
            if !shown.is_empty() && !shown.ends_with(' ') {
                shown.push(' ');
            }
            continue;
        }
        if c.is_control() || directs(c) {
            continue;
        }
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        if marks <= DISPLAY_NAME_MARKS_MAX {
            shown.push(c);
        }
    }
    // Taking something out can bring two together that compose.
    let shown: String = shown.trim_end().nfc().collect();
    if shown.chars().all(|c| c.is_whitespace() || is_combining_mark(c) || unseen(c)) {
        return Err(InvalidDisplayName::Empty);
    }
    if shown.chars().count() > DISPLAY_NAME_CHARS_MAX {
        return Err(InvalidDisplayName::TooLong(DISPLAY_NAME_CHARS_MAX));
    }
    Ok(shown)
}

/// Changes how its surroundings are laid out, or marks nothing: bidirectional marks, embeddings,
/// overrides and isolates, line and paragraph separators, invisible operators, interlinear
/// annotation, tags, byte order mark, zero width space. Joiners stay: emoji and Persian need them.
const fn directs(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0001}'
    )
}

/// Takes room and shows nothing, or not even that.
const fn unseen(c: char) -> bool {
    matches!(
        c,
        '\u{115f}'
            | '\u{1160}'
            | '\u{200c}'
            | '\u{200d}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_people_have_are_taken() {
        for name in [
            "al",
            "alice",
            "Alice_7",
            "jean-luc.picard",
            "Zoë",
            "Łukasz",
            "Nguyễn",
            "иван",
            "Αθηνά",
            "محمد",
            "विद्या",
            "田中さん",
            "김철수",
            "สมชาย",
            "alice田中",
            "7of9",
            &"x".repeat(32),
        ] {
            assert!(Name::new(name).is_ok(), "{name}: {:?}", Name::new(name));
        }
    }

    #[test]
    fn names_that_deceive_or_break_are_refused() {
        use InvalidName::*;
        for (name, why) in [
            ("", TooShort(2)),
            ("a", TooShort(2)),
            ("e\u{301}", TooShort(2)),
            (&*"x".repeat(33), TooLong(32)),
            (&*"x".repeat(100_000), TooLong(32)),
            ("-rf", Start),
            (".hidden", Start),
            ("_x", Start),
            ("\u{301}xx", Character),
            ("a b", Character),
            ("a\u{a0}b", Character),
            ("a\0b", Character),
            ("a\nb", Character),
            ("a@b", Character),
            ("a/b", Character),
            ("<b>", Character),
            ("a%", Character),
            ("al\u{200b}ice", Character),
            ("al\u{200d}ice", Character),
            ("al\u{ad}ice", Character),
            ("al\u{34f}ice", Character),
            ("al\u{fe0f}ice", Character),
            ("ali\u{202e}ce", Character),
            ("\u{2066}alice", Character),
            ("\u{feff}alice", Character),
            ("alice\u{3164}", Character),
            ("alice\u{115f}", Character),
            ("alice😀", Character),
            ("x½", Character),
            ("x²", Character),
            ("ﷺﷺ", Character),
            ("𝐚𝐝𝐦𝐢𝐧", Character),
            ("ａｄｍｉｎ", Character),
            ("a\u{301}\u{302}\u{303}\u{304}b", Character),
            // Cyrillic а among Latin letters, Greek ο among Latin letters, Cherokee, Greek with Cyrillic.
            ("аdmin", MixedScripts),
            ("bοb", MixedScripts),
            ("ивαν", MixedScripts),
        ] {
            assert_eq!(Name::new(name).map(|n| n.name), Err(why), "{name:?}");
        }
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        for (one, other) in [
            ("alice", "ALICE"),
            ("Zoe\u{308}", "ZOË"),
            ("straße", "STRASSE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("σίσυφοσ", "σίσυφος"),
            ("I-ron", "i-RON"),
        ] {
            let (one, other) = (Name::new(one).unwrap(), Name::new(other).unwrap());
            assert_eq!(one.key, other.key);
            // Folding a key again gives the same key, so a search for it finds it.
            assert_eq!(fold(&one.key), one.key);
        }
        assert_ne!(Name::new("alice").unwrap().key, Name::new("alíce").unwrap().key);
    }

    #[test]
    fn display_names_keep_what_can_be_read() {
        for (given, shown) in [
            ("Bob Smith", "Bob Smith"),
            ("  Bob \t\n Smith ", "Bob Smith"),
            ("Bob\u{202e}Smith\u{2066}", "BobSmith"),
            ("Bob\u{7}\u{200b}", "Bob"),
            ("e\u{301}", "é"),
            ("e\u{200b}\u{301}", "é"),
            ("👩\u{200d}🚀 Ada", "👩\u{200d}🚀 Ada"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("q\u{323}\u{308}\u{302}\u{303}\u{304}\u{305}x", "q\u{323}\u{308}\u{302}\u{303}x"),
            (&*"é".repeat(64), &*"é".repeat(64)),
        ] {
            assert_eq!(display_name(given).as_deref(), Ok(shown));
        }
        for nothing in ["", " \n ", "\u{202e}", "\u{200d}", "\u{3164} \u{2800}", "\u{301}"] {
            assert_eq!(display_name(nothing), Err(InvalidDisplayName::Empty), "{nothing:?}");
        }
        for long in ["é".repeat(65), "x".repeat(100_000)] {
            assert_eq!(display_name(&long), Err(InvalidDisplayName::TooLong(64)));
        }
    }
}
