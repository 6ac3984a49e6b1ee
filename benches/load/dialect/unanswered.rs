//! Messages that wait for their answer, where a protocol numbers what it is asked: which message a
//! number stands for.

use std::collections::VecDeque;

use crate::stamp::Stamp;

/// As many as a scenario has in flight on one connection.
pub(super) struct Unanswered {
    next: u32,
    /// In the order they were sent.
    sent: VecDeque<(u32, Stamp)>,
}

impl Unanswered {
    /// The first number will be `next`.
    pub(super) fn from(next: u32) -> Self {
        Self { next, sent: VecDeque::new() }
    }

    /// A number for what is asked without a message.
    pub(super) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// The number of a message that is sent now.
    pub(super) fn begin(&mut self, stamp: Stamp) -> u32 {
        let number = self.number();
        self.sent.push_back((number, stamp));
        number
    }

    /// The message whose number this is; each once.
    pub(super) fn end(&mut self, number: u32) -> Option<Stamp> {
        // Servers answer in order, or nearly.
        let at = self.sent.iter().position(|(sent, _)| *sent == number)?;
        self.sent.remove(at).map(|(_, stamp)| stamp)
    }
}

/// The number at the beginning, and what follows it.
pub(super) fn split_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let digits = bytes.iter().take_while(|it| it.is_ascii_digit()).count();
    let number = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    Some((number, &bytes[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_answered_once_in_any_order() {
        let mut messages = Unanswered::from(7);
        assert_eq!(messages.number(), 7);
        let numbers: Vec<u32> = (0..3).map(|n| messages.begin(Stamp::new(0, n))).collect();
        assert_eq!(numbers, [8, 9, 10]);
        assert_eq!(messages.end(9), Some(Stamp::new(0, 1)));
        assert_eq!(messages.end(9), None);
        assert_eq!(messages.end(7), None);
        assert_eq!(messages.end(10), Some(Stamp::new(0, 2)));
        assert_eq!(messages.end(8), Some(Stamp::new(0, 0)));
    }

    #[test]
    fn a_number_ends_where_its_digits_do() {
        assert_eq!(split_number(b"12[]"), Some((12, &b"[]"[..])));
        assert_eq!(split_number(b"7"), Some((7, &b""[..])));
        for none in ["", "x7", "-1", "99999999999"] {
            assert_eq!(split_number(none.as_bytes()), None, "{none}");
        }
    }
}
