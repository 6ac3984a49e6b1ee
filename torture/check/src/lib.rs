//! Judges a history. Knows what was promised and what was written down, and nothing of the code
//! that is judged: what is promised stands in the table, everything is judged in O(n log n), and a
//! time-out is "nobody knows", never "it did not happen".
//!
//! | rule | promise |
//! | --- | --- |
//! | V1 | an acknowledged message is in the log, at the place that was acknowledged |
//! | V2 | one key, one message, one answer |
//! | V3 | a log is numbered 1, 2, 3 … |
//! | V4 | acknowledged before the other was asked for: before it in the log |
//! | V5 | what comes over a connection is the log, in order, without a hole and without an overlap |
//! | V6 | `synced` means that everything is there that was known before the `hello` |
//! | V7 | markers only grow, and only by their owner's word |
//! | V8 | who is not a member gets nothing, neither a push nor an answer |
//! | V9 | unread counts equal a recount |
//! | V10 | nothing stands in a log that nobody asked for, or that was refused |
//! | V11 | after the quiet phase everybody is at the head |
//! | V12 | nothing is left over: every question answered, every gauge back to where it was |
//! | V13 | what a conversation is (title, members, owners) is what its log says |
//! | V14 | a revoked credential brings nothing more |
//! | limits | what breaks a stated limit is refused |
//! | replies | replies come in the order of the commands |
//! | wire | nothing is said that does not stand in the protocol |
//!
//! The simulation in `chat-sdk/tests/sim` has a judge of its own. It is another one on purpose: there
//! the store itself writes down each commit, so that every question has an exact answer, while here
//! nobody saw a commit, and every judgement rests on bounds (`Log::earliest`, `Log::latest`). One
//! judge for both would have to forget what the simulation knows.

mod answers;
mod devices;
pub mod history;
mod logs;
mod markers;
mod sends;
#[cfg(test)]
mod story;

use std::{collections::BTreeMap, fmt, fmt::Write as _};

use history::{Conversation, Entry, Time};
use logs::{Cast, Logs};

/// Times that are part of a promise.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long after a revocation a connection may go on while nothing is broken.
    pub revocation: Time,
}

/// What was promised; see the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The table says it.
pub enum Rule {
    V1,
    V2,
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    V11,
    V12,
    V13,
    V14,
    Limits,
    Replies,
    Wire,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits => f.write_str("limits"),
            Self::Replies => f.write_str("replies"),
            Self::Wire => f.write_str("wire"),
            rule => write!(f, "{rule:?}"),
        }
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub rule: Rule,
    /// In which conversation, if it is about one.
    pub conversation: Option<Conversation>,
    /// Where in the history it showed; `None`: only at the end.
    pub place: Option<usize>,
    /// The numbers.
    pub story: String,
}

/// Everything that is wrong with a history.
#[derive(Debug, Default)]
pub struct Found {
    counts: BTreeMap<Rule, u64>,
    violations: Vec<Violation>,
}

/// Violations of one rule that are told; the others are counted. One defect breaks a promise
/// thousands of times, and the first few tell what it is.
const TOLD_MAX: u64 = 20;

impl Found {
    fn add(
        &mut self,
        rule: Rule,
        conversation: Option<Conversation>,
        place: Option<usize>,
        story: String,
    ) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            self.violations.push(Violation { rule, conversation, place, story });
        }
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.counts.is_empty()
    }

    /// How often each rule was broken.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<Rule, u64> {
        &self.counts
    }

    /// The first ones of each rule, in the order of the history.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The first one of each rule with the lines of the history around it that are about the same
    /// device or conversation, for people.
    #[must_use]
    pub fn tell(&self, history: &[Entry]) -> String {
        let mut told = String::new();
        let mut rules = Vec::new();
        for violation in &self.violations {
            if rules.contains(&violation.rule) {
                continue;
            }
            rules.push(violation.rule);
            let count = self.counts.get(&violation.rule).copied().unwrap_or_default();
            let _ = writeln!(told, "{} ({count} times): {}", violation.rule, violation.story);
            if let Some(place) = violation.place {
                around(history, place, violation.conversation, &mut told);
            }
        }
        told
    }
}

/// Lines told before and after a violation.
const BEFORE: usize = 12;
const AFTER: usize = 4;

fn around(history: &[Entry], place: usize, conversation: Option<Conversation>, told: &mut String) {
    let device = history.get(place).and_then(|entry| entry.what.device());
    let related = |entry: &Entry| {
        let fault = matches!(
            entry.what,
            history::What::Fault { .. }
                | history::What::Healed { .. }
                | history::What::Phase { .. }
        );
        fault
            || device.is_some_and(|it| entry.what.device() == Some(it))
                && (conversation.is_none()
                    || entry.what.conversation().is_none()
                    || entry.what.conversation() == conversation)
            || device.is_none()
                && conversation.is_some_and(|it| entry.what.conversation() == Some(it))
    };
    let mut lines: Vec<usize> =
        (0..place).rev().filter(|it| related(&history[*it])).take(BEFORE).collect();
    lines.reverse();
    lines.push(place);
    lines.extend((place + 1..history.len()).filter(|it| related(&history[*it])).take(AFTER));
    for line in lines.into_iter().filter(|it| *it < history.len()) {
        let mark = if line == place { '>' } else { ' ' };
        let mut entry = serde_json::to_string(&history[line]).unwrap_or_default();
        if entry.len() > 400 {
            let end = (0..=400).rev().find(|it| entry.is_char_boundary(*it)).unwrap_or(0);
            entry.truncate(end);
            entry.push('…');
        }
        let _ = writeln!(told, "  {mark}{line:8} {entry}");
    }
}

/// Everything that is wrong with a history, whose lines must be in the order of their times.
#[must_use]
pub fn check(history: &[Entry], terms: Terms) -> Found {
    let mut found = Found::default();
    let cast = Cast::of(history);
    let logs = Logs::read(history, &cast, &mut found);
    sends::check(history, &cast, &logs, &mut found);
    devices::check(history, &cast, &logs, terms, &mut found);
    markers::check(history, &cast, &logs, &mut found);
    answers::check(history, &cast, &logs, &mut found);
    found.violations.sort_by_key(|violation| violation.place.unwrap_or(usize::MAX));
    found
}
