//! What accounts are found by: the words of their display names, folded like their names.

use crate::auth::accounts::fold;

/// Longest word that is kept for the search, in characters. Nobody types more of a prefix.
const WORD_CHARS_MAX: usize = 64;

/// The words of a display name, folded like names, without repetition.
pub(super) fn words(display_name: &str) -> Vec<String> {
    let mut words: Vec<String> = fold(display_name)
        .split_whitespace()
        .map(|word| word.chars().take(WORD_CHARS_MAX).collect())
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_come_once() {
        assert_eq!(words("  Ada ADA  Lovelace "), ["ada", "lovelace"]);
        // Composed and decomposed, wide and narrow, are the same word.
        assert_eq!(words("E\u{301}lise"), words("\u{c9}LISE"));
        assert_eq!(words("\u{ff21}da"), ["ada"]);
    }
}
