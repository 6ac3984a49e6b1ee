//! What a device does next, and what it says.

use crate::random::Random;

/// What a device does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A message.
    Send,
    /// Several messages at once, and something short behind them: nothing may overtake.
    Burst,
    /// A message that breaks a limit.
    SendBad,
    /// Moves the own marker, most often to an old value: that is what breaks monotony.
    Mark,
    /// Head, marker, unread count.
    Summary,
    /// A page of the log.
    Page,
    /// Who is a member.
    Members,
    /// A part of the log again, on the live stream.
    Sync,
    /// Shows that something is being written.
    Typing,
    /// Goes away without a word, and comes back somewhere else.
    Disconnect,
    /// Opens a group.
    Open,
    /// Edits, deletes, reacts to or pins a message.
    Amend,
    /// Adds somebody, removes somebody, leaves, renames, gives a role, says what it is about.
    Change,
    /// Logs out; what comes over the connection afterwards is counted.
    LogOut,
}

/// What a member does: 60 % writing, and everything else often enough to meet a fault.
pub fn next(dice: &mut Random) -> Action {
    match dice.below(1000) {
        0..510 => Action::Send,
        510..560 => Action::Amend,
        560..600 => Action::Burst,
        600..605 => Action::SendBad,
        605..765 => Action::Mark,
        765..880 => Action::Summary,
        880..920 => Action::Page,
        920..930 => Action::Members,
        930..945 => Action::Sync,
        945..970 => Action::Typing,
        970..978 => Action::Disconnect,
        978..980 => Action::Open,
        980..996 => Action::Change,
        _ => Action::LogOut,
    }
}

/// What somebody does who is a member of nothing.
pub fn next_of_stranger(dice: &mut Random) -> Action {
    let asks = [
        Action::Send,
        Action::Mark,
        Action::Summary,
        Action::Page,
        Action::Members,
        Action::Sync,
        Action::Amend,
        Action::Change,
        Action::Disconnect,
    ];
    dice.pick(&asks).copied().unwrap_or(Action::Page)
}

/// How a device comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// With what it holds.
    Proper,
    /// With an older copy, as of an app that was restored from a backup.
    Older,
    /// From the first event on.
    Zero,
    /// With a position that is not there.
    Beyond,
    /// With nothing.
    Empty,
}

/// Draws how a device comes back.
pub fn next_return(dice: &mut Random) -> Return {
    match dice.below(100) {
        0..5 => Return::Older,
        5 => Return::Zero,
        6 => Return::Beyond,
        7..9 => Return::Empty,
        _ => Return::Proper,
    }
}

/// Bytes that every server takes, whatever they look like.
const ODD: &[&str] =
    &["👩‍👩‍👧‍👦", "\u{202e}txet\u{202c}", "ﷺ", "e\u{301}", "\u{1f}", "日本語", "\\u0000 \"", "\t\n"];

/// The text of a message; `long` ones are what fills a mailbox.
pub fn text(dice: &mut Random, long: bool) -> String {
    let mut text = String::from("m");
    let length = match dice.below(100) {
        _ if long => dice.between(6_000, 7_900),
        0..2 => dice.between(1_000, 7_900),
        2..4 => {
            for _ in 0..dice.between(1, 20) {
                text.push_str(dice.pick(ODD).copied().unwrap_or_default());
            }
            return text + ".";
        }
        4..8 => return text,
        _ => dice.between(1, 160),
    };
    let letters = ["lorem ", "ipsum ", "dolor ", "größe ", "x"];
    let letters = dice.pick(&letters).copied().unwrap_or("x");
    let times = usize::try_from(length).unwrap_or(0) / letters.chars().count();
    text.push_str(&letters.repeat(times));
    text + "."
}

/// The text of a message that has to be refused: `characters` is the most that the server takes.
pub fn bad_text(dice: &mut Random, characters: usize) -> String {
    match dice.below(5) {
        0 => "a\u{0}b".to_owned(),
        1 => "x".repeat(characters + 1),
        2 => "👍".repeat(characters + 1),
        3 => String::new(),
        _ => " \n\t ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_within_the_limits_and_bad_ones_do_not() {
        let mut dice = Random::new(1, "texts");
        for round in 0..5_000 {
            let text = text(&mut dice, round % 9 == 0);
            assert!(text.chars().count() <= 8_000 && text.len() <= 16_384, "{}", text.len());
            assert!(!text.contains('\u{0}') && !text.trim().is_empty());
            let bad = bad_text(&mut dice, 8_000);
            assert!(bad.trim().is_empty() || bad.contains('\u{0}') || bad.chars().count() > 8_000);
        }
    }
}
