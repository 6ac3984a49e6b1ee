//! How far the device is in every log, and what is missing. The one rule of the protocol: the next
//! number is taken, a smaller one is dropped, a larger one shows a hole that is asked for.

use std::{collections::BTreeMap, ops::Bound, time::Duration};

use super::resume::{Positions, ResumePoint};
use crate::{
    model::{ConversationId, Epoch, Seq},
    protocol::Resume,
    store::Checkpoint,
};

/// Something behind the position is missing.
#[derive(Debug)]
struct Hole {
    /// The largest number that was seen beyond it.
    upto: Seq,
    /// When it was asked for, if it was.
    asked: Option<Duration>,
}

/// What a number means to this device.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The next one, after this one. Of a conversation of which nothing was known, the first one
    /// that comes is the next: the server sends without gaps from where it takes the device to be.
    Next(Seq),
    /// Held already.
    Known,
    /// There is something between.
    Beyond,
}

/// All positions.
#[derive(Debug)]
pub(super) struct Places {
    reached: Positions,
    holes: BTreeMap<ConversationId, Hole>,
    point: ResumePoint,
    conversations_max: usize,
    /// Where the last ping stopped naming conversations.
    pinged: Option<ConversationId>,
}

impl Places {
    pub(super) fn new(conversations_max: usize, resume: Option<Resume>) -> Self {
        let reached = resume.as_ref().map(|it| it.positions.clone()).unwrap_or_default();
        let point = resume.map(ResumePoint::restored).unwrap_or_default();
        Self { reached, holes: BTreeMap::new(), point, conversations_max, pinged: None }
    }

    pub(super) fn position(&self, conversation: &ConversationId) -> Option<Seq> {
        self.reached.get(conversation).copied()
    }

    /// Enters a life of the store; whether it is another one than before.
    pub(super) fn enter(&mut self, epoch: &Epoch) -> bool {
        let another = self.point.enter(epoch);
        if another {
            self.reached.clear();
            self.holes.clear();
        }
        another
    }

    pub(super) fn judge(&self, conversation: &ConversationId, seq: Seq) -> Judgement {
        match self.position(conversation) {
            None => Judgement::Next(seq.previous()),
            Some(position) if seq <= position => Judgement::Known,
            Some(position) if seq == position.next() => Judgement::Next(position),
            Some(_) => Judgement::Beyond,
        }
    }

    /// The device holds everything up to here.
    pub(super) fn reach(&mut self, conversation: ConversationId, seq: Seq) {
        self.reached.insert(conversation, seq);
        self.point.reached(conversation, seq);
        if self.holes.get(&conversation).is_some_and(|hole| hole.upto <= seq) {
            self.holes.remove(&conversation);
        }
        if self.reached.len() > self.conversations_max {
            let (point, holes) = (&self.point, &self.holes);
            self.reached.retain(|it, _| point.names(it) || holes.contains_key(it));
        }
    }

    /// What the device holds came once more: while it moves it has two connections, and the one that is
    /// behind may be the one whose tokens count. They do not cover what only the other one brought, so
    /// the position is kept for as long as if it had been reached here.
    pub(super) fn reach_again(&mut self, conversation: ConversationId) {
        if let Some(position) = self.position(&conversation) {
            self.point.reached(conversation, position);
        }
    }

    /// Everything after `position` up to `seq` is missing.
    pub(super) fn miss(&mut self, conversation: ConversationId, position: Seq, seq: Seq) {
        self.reached.entry(conversation).or_insert(position);
        let hole = self.holes.entry(conversation).or_insert(Hole { upto: seq, asked: None });
        hole.upto = hole.upto.max(seq);
    }

    /// The next one came and there was no room for it: what was asked for was asked for in vain.
    pub(super) fn pass_over(&mut self, conversation: ConversationId, position: Seq, seq: Seq) {
        self.miss(conversation, position, seq);
        if let Some(hole) = self.holes.get_mut(&conversation) {
            hole.asked = None;
        }
    }

    /// The server's word, instead of a replay.
    pub(super) fn reset(&mut self, conversation: ConversationId, head: Seq) {
        self.holes.remove(&conversation);
        self.reach(conversation, head);
    }

    pub(super) fn leave(&mut self, conversation: ConversationId) {
        self.reached.remove(&conversation);
        self.holes.remove(&conversation);
        self.point.left(conversation);
    }

    pub(super) fn token(&mut self, token: Checkpoint) {
        self.point.replace(token);
    }

    /// The one that a connection begins with.
    pub(super) fn first_token(&mut self, token: Checkpoint) {
        self.point.begin(token);
    }

    /// In how many conversations something is missing.
    pub(super) fn holes(&self) -> usize {
        self.holes.len()
    }

    /// The next hole to ask for, and after which number; it counts as asked.
    pub(super) fn next_hole(&mut self, now: Duration) -> Option<(ConversationId, Seq)> {
        let (conversation, hole) = self.holes.iter_mut().find(|(_, hole)| hole.asked.is_none())?;
        hole.asked = Some(now);
        let position = self.reached.get(conversation).copied().unwrap_or_default();
        Some((*conversation, position))
    }

    /// When the first hole that was asked for has waited long enough.
    pub(super) fn ask_again_at(&self, patience: Duration) -> Option<Duration> {
        self.holes.values().filter_map(|hole| hole.asked).min().map(|asked| asked + patience)
    }

    /// What was asked for and did not come is asked for again.
    pub(super) fn ask_again(&mut self, now: Duration, patience: Duration) {
        for hole in self.holes.values_mut() {
            hole.asked = hole.asked.filter(|asked| now < *asked + patience);
        }
    }

    /// What was asked on another connection is not coming.
    pub(super) fn unasked(&mut self) {
        for hole in self.holes.values_mut() {
            hole.asked = None;
        }
    }

    /// Up to so many positions for a ping; the next call goes on where this one stopped.
    pub(super) fn next_to_check(&mut self, max: usize) -> Positions {
        let after = self.pinged.map_or(Bound::Unbounded, Bound::Excluded);
        let named: Positions = self
            .reached
            .range((after, Bound::Unbounded))
            .filter(|(it, _)| !self.holes.contains_key(it))
            .take(max)
            .map(|(conversation, seq)| (*conversation, *seq))
            .collect();
        self.pinged = named.keys().next_back().copied().filter(|_| named.len() == max);
        named
    }

    /// Where to go on; `untaken` are the places of what the host has not taken yet.
    pub(super) fn resume(&self, untaken: Positions, max: usize) -> Option<Resume> {
        let mut first = untaken;
        for conversation in self.holes.keys() {
            // The token would skip it.
            let position = self.position(conversation).unwrap_or_default();
            first.entry(*conversation).or_insert(position);
        }
        self.point.resume(first, max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONVERSATION: ConversationId = ConversationId::from_bytes([1; 16]);

    fn places(position: u64) -> Places {
        let mut places = Places::new(9, None);
        places.enter(&Epoch::new("e").unwrap());
        places.reach(CONVERSATION, Seq::new(position));
        places
    }

    #[test]
    fn a_hole_is_named_in_the_resume_although_the_token_is_newer() {
        let mut places = places(5);
        for token in ["1", "2", "3"] {
            places.token(Checkpoint(token.to_owned()));
        }
        assert!(places.resume(Positions::new(), 9).unwrap().positions.is_empty());
        places.miss(CONVERSATION, Seq::new(5), Seq::new(7));
        let named = places.resume(Positions::new(), 9).unwrap().positions;
        assert_eq!(named[&CONVERSATION], Seq::new(5));
        places.reach(CONVERSATION, Seq::new(6));
        assert!(places.next_hole(Duration::ZERO).is_some(), "half a hole is a hole");
        places.reach(CONVERSATION, Seq::new(7));
        places.ask_again(Duration::MAX, Duration::ZERO);
        assert_eq!(places.next_hole(Duration::ZERO), None);
    }

    #[test]
    fn what_came_on_the_old_connection_first_is_kept_as_long_as_what_the_new_one_brought() {
        let mut places = places(5);
        places.token(Checkpoint("1".to_owned()));
        assert_eq!(places.judge(&CONVERSATION, Seq::new(5)), Judgement::Known);
        places.reach_again(CONVERSATION);
        places.token(Checkpoint("2".to_owned()));
        let named = places.resume(Positions::new(), 9).unwrap().positions;
        assert_eq!(named.get(&CONVERSATION), Some(&Seq::new(5)), "token 2 may be older than it");
    }

    #[test]
    fn a_hole_is_asked_for_once_and_again_after_a_while() {
        let (patience, at) = (Duration::from_secs(10), Duration::from_secs);
        let mut places = places(5);
        places.miss(CONVERSATION, Seq::new(5), Seq::new(7));
        assert_eq!(places.next_hole(at(1)), Some((CONVERSATION, Seq::new(5))));
        places.ask_again(at(10), patience);
        assert_eq!(places.next_hole(at(10)), None);
        assert_eq!(places.ask_again_at(patience), Some(at(11)));
        places.ask_again(at(11), patience);
        assert_eq!(places.next_hole(at(11)), Some((CONVERSATION, Seq::new(5))));
    }

    #[test]
    fn pings_name_every_conversation_in_turn() {
        let mut places = Places::new(99, None);
        for n in 0..5 {
            places.reach(ConversationId::from_bytes([n; 16]), Seq::new(1));
        }
        let turns: Vec<_> = (0..4).map(|_| places.next_to_check(2).len()).collect();
        assert_eq!(turns, [2, 2, 1, 2]);
    }

    proptest! {
        /// Whatever comes in whatever order: what is taken is n+1, n+2, n+3 …
        #[test]
        fn numbers_are_taken_without_a_gap_or_a_repetition(
            first in 0u64..5,
            numbers in proptest::collection::vec(1u64..20, 0..60),
        ) {
            let mut places = places(first);
            let mut taken = first;
            for number in numbers {
                match places.judge(&CONVERSATION, Seq::new(number)) {
                    Judgement::Next(before) => {
                        prop_assert_eq!((before.get(), number), (taken, taken + 1));
                        taken = number;
                        places.reach(CONVERSATION, Seq::new(number));
                    }
                    Judgement::Known => prop_assert!(number <= taken),
                    Judgement::Beyond => prop_assert!(number > taken + 1),
                }
            }
        }
    }
}
