//! Who has to hear what, where people come and go: every message once by each of those it is for, and
//! those of one sender in one conversation in their order, however long somebody was away.

use std::{collections::VecDeque, rc::Rc, time::Instant};

use crate::stamp::Stamp;

/// Messages of one line that somebody has not heard; more, and the server does not keep up at all.
const BEHIND_MAX: usize = 10_000;

/// All of it.
#[derive(Default)]
pub(super) struct Ledger {
    lines: Vec<Line>,
    /// Messages without an answer.
    unanswered: usize,
    /// Messages that somebody has not heard yet, or that were not answered.
    open: usize,
}

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
    at: Instant,
    answered: bool,
    missing: usize,
}

impl Ledger {
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

    /// The next message of a line, which is or should have been sent now. `None`: too many of it are
    /// not heard.
    pub(super) fn send(&mut self, line: usize, at: Instant) -> Option<Stamp> {
        let this = &mut self.lines[line];
        if this.on_their_way.len() >= BEHIND_MAX {
            return None;
        }
        if this.expected.is_empty() {
            this.expected = vec![0; this.members.len()];
        }
        let stamp = Stamp::new(line, this.oldest + this.on_their_way.len() as u64);
        let missing = this.members.len() - 1;
        this.on_their_way.push_back(Message { at, answered: false, missing });
        self.unanswered += 1;
        self.open += 1;
        Some(stamp)
    }

    /// Somebody heard a message: when it should have been sent. `None`: their own, which does not
    /// count.
    pub(super) fn delivered(
        &mut self,
        who: usize,
        stamp: Stamp,
    ) -> Result<Option<Instant>, String> {
        let (line, count) = (stamp.source(), stamp.count());
        let wrong = |why: &str| Err(format!("{who} got message {count} of line {line}: {why}"));
        let Some(this) = self.lines.get_mut(line) else { return wrong("there is no such line") };
        if who == this.sender {
            return Ok(None);
        }
        let Ok(place) = this.members.binary_search(&who) else {
            return wrong("it is for somebody else");
        };
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
        let at = message.at;
        self.forget(line);
        Ok(Some(at))
    }

    /// The server answered for a message.
    pub(super) fn answered(&mut self, who: usize, stamp: Stamp) -> Result<(), String> {
        let (line, count) = (stamp.source(), stamp.count());
        let wrong =
            |why: &str| Err(format!("{who} got an answer for {count} of line {line}: {why}"));
        match self.lines.get_mut(line) {
            Some(this) if this.sender == who => {
                let at = count.checked_sub(this.oldest);
                match at.and_then(|at| this.on_their_way.get_mut(at as usize)) {
                    Some(message) if !message.answered => message.answered = true,
                    Some(_) | None => return wrong("nothing waits for it"),
                }
                self.unanswered -= 1;
                self.forget(line);
                Ok(())
            }
            Some(_) | None => wrong("it is another's"),
        }
    }

    /// What is complete.
    fn forget(&mut self, line: usize) {
        let this = &mut self.lines[line];
        while this.on_their_way.front().is_some_and(|it| it.answered && it.missing == 0) {
            this.on_their_way.pop_front();
            this.oldest += 1;
            self.open -= 1;
        }
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
        let mut ledger = Ledger::default();
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
    fn what_must_not_be_heard_is_wrong() {
        let heard: &[(usize, usize, u64)] = &[(5, 0, 1), (5, 0, 2), (7, 0, 0), (5, 1, 0)];
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
