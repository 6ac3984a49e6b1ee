//! V7 and V9: how far everybody has read.

use std::collections::HashMap;

use crate::{
    Found, Rule,
    history::{Answer, Ask, Conversation, Entry, Time, User, What},
    logs::{Asked, Cast, Logs},
};

#[derive(Default, Clone, Copy)]
struct Marker {
    received: u64,
    read: u64,
}

impl Marker {
    fn max(self, other: Self) -> Self {
        Self { received: self.received.max(other.received), read: self.read.max(other.read) }
    }
}

/// What is known of one user's marker.
#[derive(Default)]
struct Known {
    /// What they ever asked for.
    wanted: Marker,
    /// What was promised, and when. Neither ever falls.
    promised: Vec<(Time, Marker)>,
}

impl Known {
    /// What was promised before this time.
    fn floor(&self, t: Time) -> Marker {
        let before = self.promised.partition_point(|(at, _)| *at < t);
        before.checked_sub(1).map_or_else(Marker::default, |last| self.promised[last].1)
    }

    fn promise(&mut self, t: Time, marker: Marker) {
        let last = self.promised.last().map_or_else(Marker::default, |(_, last)| *last);
        self.promised.push((t, last.max(marker)));
    }
}

pub(crate) fn check(history: &[Entry], cast: &Cast<'_>, logs: &Logs<'_>, found: &mut Found) {
    let mut markers: HashMap<(User, Conversation), Known> = HashMap::new();
    for (place, entry) in history.iter().enumerate() {
        let mut wrong = |rule, conversation, story| {
            found.add(rule, Some(conversation), Some(place), story);
        };
        match &entry.what {
            What::Invoke { device, ask, .. } => {
                if let Ask::Mark { conversation, received, read } = &**ask {
                    let known = markers.entry((cast.user(*device), *conversation)).or_default();
                    let wanted = Marker { received: (*received).max(*read), read: *read };
                    known.wanted = known.wanted.max(wanted);
                }
            }
            What::Receipt { conversation, user, received, read, .. } => {
                let head = logs.get(*conversation).map_or(0, |log| log.head_at_most(entry.t));
                let known = markers.get(&(*user, *conversation));
                let wanted = known.map_or_else(Marker::default, |known| known.wanted);
                if *read > wanted.read.min(head) || *received > wanted.received.min(head) {
                    let who = cast.name(*user);
                    let story = format!("{who} at {received}/{read}, and never said so");
                    wrong(Rule::V7, *conversation, story);
                }
            }
            What::Ok { op, answer, .. } => {
                let Some(Asked { t: asked, user, ask, .. }) = cast.asked(*op) else { continue };
                let Some(conversation) = ask.conversation() else { continue };
                let who = cast.name(user);
                let told = match (ask, &**answer) {
                    (Ask::Mark { received, read, .. }, Answer::Done) => {
                        // Beyond the head is taken as the head, and that was at least this.
                        let head = logs.get(conversation).map_or(0, |log| log.head_at_least(asked));
                        let read = (*read).min(head);
                        let promised = Marker { received: (*received).min(head).max(read), read };
                        markers.entry((user, conversation)).or_default().promise(entry.t, promised);
                        continue;
                    }
                    (Ask::Mark { .. }, Answer::Marker { received, read })
                    | (Ask::Summary { .. }, Answer::Summary { received, read, .. }) => {
                        Marker { received: *received, read: *read }
                    }
                    _ => continue,
                };
                let known = markers.entry((user, conversation)).or_default();
                let floor = known.floor(asked);
                if told.read < floor.read || told.received < floor.received {
                    let story = format!(
                        "{who} at {}/{}, was at {}/{} before",
                        told.received, told.read, floor.received, floor.read
                    );
                    wrong(Rule::V7, conversation, story);
                }
                let wanted = known.wanted;
                if told.read > wanted.read || told.received > wanted.received {
                    let story =
                        format!("{who} at {}/{}, and never said so", told.received, told.read);
                    wrong(Rule::V7, conversation, story);
                }
                known.promise(entry.t, told);
                if let Answer::Summary { head, read, unread, .. } = &**answer
                    && let Some(log) = logs.get(conversation)
                {
                    let least = log.head_at_least(asked);
                    if *head < least || *head > log.head() {
                        let story = format!(
                            "{who} reads head {head}; {least} was there, {} in the end",
                            log.head()
                        );
                        wrong(Rule::V9, conversation, story);
                    }
                    let counted = log.unread(user, *read, *head);
                    if counted != *unread {
                        let story = format!(
                            "{who} reads {unread} unread in {read}..{head}, counted {counted}"
                        );
                        wrong(Rule::V9, conversation, story);
                    }
                }
            }
            _ => {}
        }
    }
}
