//! Who has to hear what: every message once by each of those it is for, and those of one sender in one
//! conversation in their order, however long somebody was away.

use std::{collections::VecDeque, rc::Rc, time::Instant};

use crate::stamp::Stamp;

/// Messages of one line that somebody has not heard; more, and the server does not keep up at all.
const BEHIND_MAX: usize = 10_000;

/// All of it.
pub(super) struct Ledger {
    answers: Answers,
    lines: Vec<Line>,
    /// Messages without an answer.
    unanswered: usize,
    /// Messages that somebody has not heard yet, or that were not answered.
    open: usize,
}

/// What the answers of the server to who sends are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// A message is complete when it was answered and all have heard it.
    Awaited,
    /// It is complete when all have heard it.
    Ignored,
}

/// That somebody heard a message.
pub(super) struct Delivery {
    /// When it was sent, or should have been.
    pub(super) sent: Instant,
    /// Messages of the line that are complete with it.
    pub(super) complete: u64,
}

/// No more can be sent.
#[derive(Debug, thiserror::Error)]
#[error("{BEHIND_MAX} messages behind: the server does not keep up")]
pub(super) struct Behind;

/// What one person says in one conversation.
struct Line {
    sender: usize,
    /// Everybody there, in order.
    members: Rc<[usize]>,
    /// What is not complete, the oldest first, and its number.
    on_their_way: VecDeque<Message>,
    oldest: u64,
    /// The next that each member has to hear; nothing before the first is sent.
    expected: Vec<u64>,
}

struct Message {
    sent: Instant,
    answered: bool,
    missing: usize,
}

impl Ledger {
    pub(super) fn new(answers: Answers) -> Self {
        Self { answers, lines: Vec::new(), unanswered: 0, open: 0 }
    }

    /// A new line; its number is the source in stamps. The members are in order, the sender among
    /// them.
    pub(super) fn line(&mut self, sender: usize, members: Rc<[usize]>) -> usize {
        let (on_their_way, expected) = (VecDeque::new(), Vec::new());
        self.lines.push(Line { sender, members, on_their_way, oldest: 0, expected });
        self.lines.len() - 1
    }

    pub(super) fn sender(&self, line: usize) -> usize {
        self.lines[line].sender
    }

    /// Messages of a line that are not complete.
    pub(super) fn on_their_way(&self, line: usize) -> usize {
        self.lines[line].on_their_way.len()
    }

    /// The next message of a line, which is or should have been sent now.
    pub(super) fn send(&mut self, line: usize, sent: Instant) -> Result<Stamp, Behind> {
        let this = &mut self.lines[line];
        if this.on_their_way.len() >= BEHIND_MAX {
            return Err(Behind);
        }
        if this.expected.is_empty() {
            this.expected = vec![0; this.members.len()];
        }
        let stamp = Stamp::new(line, this.oldest + this.on_their_way.len() as u64);
        let missing = this.members.len() - 1;
        let answered = match self.answers {
            Answers::Awaited => {
                self.unanswered += 1;
                false
            }
            Answers::Ignored => true,
        };
        this.on_their_way.push_back(Message { sent, answered, missing });
        self.open += 1;
        Ok(stamp)
    }

    /// Somebody heard a message. `None`: their own, which is the server's choice and does not count.
    pub(super) fn delivered(
        &mut self,
        who: usize,
        stamp: Stamp,
    ) -> Result<Option<Delivery>, String> {
        let (line, count) = (stamp.source(), stamp.count());
        let wrong = |why: &str| Err(format!("{who} got message {count} of line {line}: {why}"));
        let Some(this) = self.lines.get_mut(line) else { return wrong("there is no such line") };
        if who == this.sender {
            return Ok(None);
        }
        // Where everybody is a member, the place is the number.
        let place = match this.members.get(who) {
            Some(member) if *member == who => Ok(who),
            Some(_) | None => this.members.binary_search(&who),
        };
        let Ok(place) = place else { return wrong("it is for somebody else") };
        match this.expected.get_mut(place) {
            Some(expected) if *expected == count => *expected += 1,
            Some(expected) => return wrong(&format!("number {expected} should have come")),
            None => return wrong("it was never sent"),
        }
        let at = count.checked_sub(this.oldest);
        let Some(message) = at.and_then(|at| this.on_their_way.get_mut(at as usize)) else {
            return wrong("it was never sent");
        };
        message.missing -= 1;
        let sent = message.sent;
        Ok(Some(Delivery { sent, complete: self.forget(line) }))
    }

    /// The server answered for a message: how many of its line are complete with that.
    pub(super) fn answered(&mut self, who: usize, stamp: Stamp) -> Result<u64, String> {
        let (line, count) = (stamp.source(), stamp.count());
        let wrong =
            |why: &str| Err(format!("{who} got an answer for {count} of line {line}: {why}"));
        match self.lines.get_mut(line) {
            // The message may be complete already.
            Some(this) if this.sender == who && self.answers == Answers::Ignored => Ok(0),
            Some(this) if this.sender == who => {
                let at = count.checked_sub(this.oldest);
                match at.and_then(|at| this.on_their_way.get_mut(at as usize)) {
                    Some(message) if !message.answered => message.answered = true,
                    Some(_) | None => return wrong("nothing waits for it"),
                }
                self.unanswered -= 1;
                Ok(self.forget(line))
            }
            Some(_) | None => wrong("it is another's"),
        }
    }

    /// What is complete; how many that are.
    fn forget(&mut self, line: usize) -> u64 {
        let this = &mut self.lines[line];
        let before = this.oldest;
        while this.on_their_way.front().is_some_and(|it| it.answered && it.missing == 0) {
            this.on_their_way.pop_front();
            this.oldest += 1;
            self.open -= 1;
        }
        this.oldest - before
    }

    /// Messages that the server has not answered for.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Messages that are not complete.
    pub(super) fn open(&self) -> usize {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        with_two_messages(Answers::Awaited)
    }

    fn with_two_messages(answers: Answers) -> Ledger {
        let mut ledger = Ledger::new(answers);
        assert_eq!(ledger.line(2, Rc::from([2, 5, 9])), 0);
        for _ in 0..2 {
            ledger.send(0, Instant::now()).unwrap();
        }
        ledger
    }

    #[test]
    fn a_message_is_complete_when_all_have_it_and_it_was_answered() {
        let mut ledger = ledger();
        for count in 0..2 {
            let stamp = Stamp::new(0, count);
            assert!(ledger.delivered(5, stamp).unwrap().is_some());
            assert!(ledger.delivered(2, stamp).unwrap().is_none());
            ledger.answered(2, stamp).unwrap();
        }
        // One was away.
        assert_eq!((ledger.open(), ledger.unanswered()), (2, 0));
        ledger.delivered(9, Stamp::new(0, 0)).unwrap();
        assert_eq!(ledger.open(), 1);
        ledger.delivered(9, Stamp::new(0, 1)).unwrap();
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn where_no_answer_is_awaited_one_changes_nothing() {
        let mut ledger = with_two_messages(Answers::Ignored);
        let stamp = Stamp::new(0, 0);
        assert_eq!(ledger.answered(2, stamp), Ok(0));
        let complete = [9, 5].map(|who| ledger.delivered(who, stamp).unwrap().unwrap().complete);
        assert_eq!((complete, ledger.open(), ledger.unanswered()), ([0, 1], 1, 0));
        // Late, and never another's.
        assert_eq!(ledger.answered(2, stamp), Ok(0));
        assert!(ledger.answered(5, stamp).is_err());
    }

    #[test]
    fn who_is_too_far_behind_is_sent_no_more() {
        let mut ledger = ledger();
        while ledger.on_their_way(0) < BEHIND_MAX {
            ledger.send(0, Instant::now()).unwrap();
        }
        assert!(ledger.send(0, Instant::now()).is_err());
        assert_eq!(ledger.open(), BEHIND_MAX);
    }

    #[test]
    fn what_must_not_be_heard_is_wrong() {
        let heard: &[(usize, usize, u64)] =
            &[(5, 0, 1), (5, 0, 2), (1, 0, 0), (7, 0, 0), (5, 1, 0)];
        for (who, line, count) in heard {
            assert!(ledger().delivered(*who, Stamp::new(*line, *count)).is_err(), "{who} {count}");
        }
        let mut twice = ledger();
        twice.delivered(5, Stamp::new(0, 0)).unwrap();
        assert!(twice.delivered(5, Stamp::new(0, 0)).is_err());
        twice.answered(2, Stamp::new(0, 0)).unwrap();
        assert!(twice.answered(2, Stamp::new(0, 0)).is_err());
        assert!(twice.answered(5, Stamp::new(0, 1)).is_err());
    }
}
