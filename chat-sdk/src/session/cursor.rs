//! Where a connection is behind, and what it reads next.
//!
//! A conversation stands here from the moment its feed stops delivering to this connection until
//! the connection has reached the feed's head again. A first connection, a resume, a `sync` and a
//! mailbox that was full are all the same: a place, and a head to be reached.

use std::collections::VecDeque;

use crate::model::{ConversationId, Seq};

/// All conversations in which a connection is behind, oldest first.
#[derive(Debug, Default)]
pub struct Cursors {
    behind: VecDeque<Cursor>,
}

/// A place in one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which.
    pub conversation: ConversationId,
    /// The device holds everything up to here.
    pub delivered: Seq,
    /// The log is known to go at least this far, whatever the feed has heard of.
    pub known: Seq,
}

/// What a cursor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The head is reached: go live.
    Rejoin,
    /// Too far away to replay: the client starts again at this head.
    Reset(Seq),
    /// Read after the first place up to the second.
    Read(Seq, Seq),
}

impl Cursor {
    /// What to do, given the feed's head.
    #[must_use]
    pub fn step(self, head: Seq, replay_max: u64) -> Step {
        let head = head.max(self.known);
        match head.since(self.delivered) {
            0 => Step::Rejoin,
            missed if missed > replay_max => Step::Reset(head),
            _ => Step::Read(self.delivered, head),
        }
    }
}

impl Cursors {
    /// Behind in this conversation, holding everything up to `delivered`. A conversation that is
    /// here already starts again from there.
    pub fn add(&mut self, conversation: ConversationId, delivered: Seq) {
        self.add_knowing(conversation, delivered, Seq::ZERO);
    }

    /// The same, with a log that is known to go at least as far as `known`.
    pub fn add_knowing(&mut self, conversation: ConversationId, delivered: Seq, known: Seq) {
        let cursor = Cursor { conversation, delivered, known };
        match self.behind.iter_mut().find(|other| other.conversation == conversation) {
            Some(other) => *other = Cursor { known: known.max(other.known), ..cursor },
            None => self.behind.push_back(cursor),
        }
    }

    /// The one to work on.
    #[must_use]
    pub fn first(&self) -> Option<Cursor> {
        self.behind.front().copied()
    }

    /// The first one got as far as this.
    pub fn advance(&mut self, delivered: Seq) {
        if let Some(cursor) = self.behind.front_mut() {
            cursor.delivered = delivered;
        }
    }

    /// This conversation is no longer behind, or no longer followed.
    pub fn remove(&mut self, conversation: ConversationId) {
        self.behind.retain(|cursor| cursor.conversation != conversation);
        if self.behind.is_empty() {
            self.behind = VecDeque::new();
        }
    }

    /// Whether it is behind in this conversation.
    #[must_use]
    pub fn contains(&self, conversation: ConversationId) -> bool {
        self.behind.iter().any(|cursor| cursor.conversation == conversation)
    }

    /// Whether it is behind nowhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a log that grows while it is read: what a cursor reads is exactly the tail.
        #[test]
        fn a_cursor_reads_exactly_the_tail(
            start in 0u64..50,
            head in 0u64..60,
            growth in proptest::collection::vec(0u64..4, 0..40),
            page in 1u64..8,
        ) {
            let mut head = head.max(start);
            let mut growth = growth.into_iter();
            let mut cursors = Cursors::default();
            let conversation = ConversationId::from_bytes([1; 16]);
            cursors.add(conversation, Seq::new(start));
            let mut read = Vec::new();
            while let Some(cursor) = cursors.first() {
                match cursor.step(Seq::new(head), 1000) {
                    Step::Rejoin => cursors.remove(conversation),
                    Step::Reset(_) => unreachable!("never that far"),
                    Step::Read(after, upto) => {
                        let last = upto.get().min(after.get() + page);
                        read.extend(after.get() + 1..=last);
                        cursors.advance(Seq::new(last));
                    }
                }
                head += growth.next().unwrap_or(0);
            }
            let end = read.last().copied().unwrap_or(start);
            prop_assert_eq!(read, (start + 1..=end).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_the_store_said_counts_where_the_feed_has_not_heard_of_it() {
        let conversation = ConversationId::from_bytes([1; 16]);
        let mut cursors = Cursors::default();
        cursors.add_knowing(conversation, Seq::new(5), Seq::new(7));
        cursors.add(conversation, Seq::new(4));
        let cursor = cursors.first().unwrap();
        assert_eq!(cursor.step(Seq::new(5), 1000), Step::Read(Seq::new(4), Seq::new(7)));
        assert_eq!(cursor.step(Seq::new(9), 1000), Step::Read(Seq::new(4), Seq::new(9)));
    }

    #[test]
    fn too_long_a_tail_is_a_reset_and_one_less_is_not() {
        let at = Cursor {
            conversation: ConversationId::from_bytes([1; 16]),
            delivered: Seq::new(5),
            known: Seq::ZERO,
        };
        assert_eq!(at.step(Seq::new(1005), 1000), Step::Read(Seq::new(5), Seq::new(1005)));
        assert_eq!(at.step(Seq::new(1006), 1000), Step::Reset(Seq::new(1006)));
    }
}
