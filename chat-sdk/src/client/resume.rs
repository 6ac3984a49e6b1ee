//! What the next connection has to say so that nothing is missed: the server's epoch, its last
//! token, and the positions reached since the token before. Knows nothing of connections.

use std::collections::BTreeMap;

use crate::{
    model::{ConversationId, Epoch, Seq},
    protocol::Resume,
    store::Checkpoint,
};

/// Positions by conversation.
pub(super) type Positions = BTreeMap<ConversationId, Seq>;

/// Where the device is.
#[derive(Debug, Default)]
pub(super) struct ResumePoint {
    epoch: Option<Epoch>,
    token: Option<Checkpoint>,
    /// Reached since the present token came.
    positions: Positions,
    /// Reached while the token before it was the present one: a token may be some seconds old.
    before: Positions,
}

impl ResumePoint {
    /// Where an earlier run stopped.
    pub(super) fn restored(resume: Resume) -> Self {
        let Resume { epoch, token, positions } = resume;
        Self { epoch: Some(epoch), token, positions, before: Positions::new() }
    }

    /// The life of the server's store; whether it is another one than before. Of another life
    /// nothing holds any more.
    pub(super) fn enter(&mut self, epoch: &Epoch) -> bool {
        if self.epoch.as_ref() == Some(epoch) {
            return false;
        }
        let another = self.epoch.is_some();
        *self = Self { epoch: Some(epoch.clone()), ..Self::default() };
        another
    }

    pub(super) fn reached(&mut self, conversation: ConversationId, seq: Seq) {
        self.positions.insert(conversation, seq);
    }

    pub(super) fn left(&mut self, conversation: ConversationId) {
        self.positions.remove(&conversation);
        self.before.remove(&conversation);
    }

    /// A connection begins with this token. Who has one keeps it: another node may have looked at the
    /// heads before that one was issued, and what it covers is forgotten.
    pub(super) fn begin(&mut self, token: Checkpoint) {
        self.token.get_or_insert(token);
    }

    /// The token stands for the head of every conversation at a moment after the one before was issued
    /// on the same connection: what was reached while the last one was current is kept once more, so
    /// that a resume is exact.
    pub(super) fn replace(&mut self, token: Checkpoint) {
        // Said again, it speaks of the same moment.
        if self.token.as_ref() == Some(&token) {
            return;
        }
        self.token = Some(token);
        self.before = std::mem::take(&mut self.positions);
    }

    /// Whether a resume would name this conversation.
    pub(super) fn names(&self, conversation: &ConversationId) -> bool {
        self.positions.contains_key(conversation) || self.before.contains_key(conversation)
    }

    /// Where to go on. `first` are positions that count more than what was reached, because something
    /// behind them is missing that the token would skip: they are named always. Any other one above
    /// `max` costs a repetition, never a loss, as long as there is a token.
    pub(super) fn resume(&self, first: Positions, max: usize) -> Option<Resume> {
        let epoch = self.epoch.clone()?;
        let mut positions = first;
        // A `hello` above the server's limit would be refused as a whole.
        while positions.len() > max {
            positions.pop_last();
        }
        let reached = self.positions.iter().chain(&self.before);
        for (conversation, seq) in reached {
            if positions.len() >= max {
                break;
            }
            // The newer one comes first and stays.
            positions.entry(*conversation).or_insert(*seq);
        }
        Some(Resume { epoch, token: self.token.clone(), positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(n: u8) -> ConversationId {
        ConversationId::from_bytes([n; 16])
    }

    fn token(n: u8) -> Checkpoint {
        Checkpoint(n.to_string())
    }

    fn named(point: &ResumePoint) -> Vec<(ConversationId, u64)> {
        let resume = point.resume(Positions::new(), 9).unwrap();
        resume.positions.into_iter().map(|(conversation, seq)| (conversation, seq.get())).collect()
    }

    #[test]
    fn a_position_is_kept_for_one_token_more() {
        let mut point = ResumePoint::default();
        assert_eq!(point.resume(Positions::new(), 9), None, "there is no epoch yet");
        point.enter(&Epoch::new("e").unwrap());
        point.reached(conversation(1), Seq::new(5));
        point.replace(token(1));
        assert_eq!(named(&point), [(conversation(1), 5)]);
        point.replace(token(1));
        assert_eq!(named(&point), [(conversation(1), 5)], "the same token again forgets nothing");
        point.reached(conversation(2), Seq::new(7));
        point.replace(token(2));
        assert_eq!(named(&point), [(conversation(2), 7)]);
    }

    #[test]
    fn who_has_a_token_keeps_it_when_a_connection_begins() {
        let mut point = ResumePoint::default();
        point.enter(&Epoch::new("e").unwrap());
        point.begin(token(1));
        point.reached(conversation(1), Seq::new(5));
        point.begin(token(2));
        point.replace(token(3));
        let resume = point.resume(Positions::new(), 9).unwrap();
        assert_eq!(resume.token, Some(token(3)));
        assert_eq!(named(&point), [(conversation(1), 5)], "token 3 may be older than it");
        point.enter(&Epoch::new("f").unwrap());
        point.begin(token(4));
        assert_eq!(point.resume(Positions::new(), 9).unwrap().token, Some(token(4)));
    }

    #[test]
    fn nothing_holds_in_another_epoch() {
        let mut point = ResumePoint::default();
        assert!(!point.enter(&Epoch::new("e").unwrap()), "the first is not another");
        point.reached(conversation(1), Seq::new(5));
        assert!(!point.enter(&Epoch::new("e").unwrap()));
        assert!(point.enter(&Epoch::new("f").unwrap()));
        assert_eq!(named(&point), []);
    }

    #[test]
    fn what_counts_more_is_named_first_and_the_rest_as_far_as_there_is_room() {
        let mut point = ResumePoint::default();
        point.enter(&Epoch::new("e").unwrap());
        for n in 1..=4 {
            point.reached(conversation(n), Seq::new(9));
        }
        let first = Positions::from([(conversation(4), Seq::new(3))]);
        let positions = point.resume(first, 2).unwrap().positions;
        assert_eq!(positions.len(), 2);
        assert_eq!(positions[&conversation(4)], Seq::new(3));
    }
}
