//! What waits for one connection: bounded in bytes, filled by feeds, emptied by its connection.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{
    model::{ConversationId, Seq},
    protocol::{CloseCode, Encoded},
    sabotage::{self, Defect},
};

/// What became of a frame offered to a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// It waits for the connection.
    Queued,
    /// There was no room; it was not taken.
    Full,
}

/// Frames for one connection.
///
/// Two kinds go in. What others cause (events, receipts, signals) is refused when it would not
/// fit. What the connection itself asked for (replies, its own catch-up) always fits, because the
/// connection asks for no more while it is above [`half`](Mailbox::above_half).
///
/// When empty, it owns no memory beyond itself and the list of what is followed.
#[derive(Debug)]
pub struct Mailbox {
    /// A std mutex: held for a push, never across an await, and contended only by a publisher
    /// and the one connection.
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    /// Bytes in `queue` and those taken but not yet written.
    bytes: usize,
    /// Where feeds could not deliver, and the last place that was delivered before.
    behind: Vec<(ConversationId, Seq)>,
    /// What is followed, sorted.
    following: Vec<ConversationId>,
    /// The connection is asked to end.
    close: Option<CloseCode>,
    /// The connection has ended; nothing goes in any more.
    ended: bool,
    waker: Option<Waker>,
}

/// What a connection takes out at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Conversations in which it is behind from now on, with the last place delivered.
    pub behind: Vec<(ConversationId, Seq)>,
    /// It is to end.
    pub close: Option<CloseCode>,
}

impl Mailbox {
    /// An empty one that holds at most this many bytes of what others cause.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Offers what others cause.
    pub fn offer(&self, frame: &Encoded) -> Push {
        let mut state = self.state();
        if state.ended {
            return Push::Queued;
        }
        if state.bytes + frame.len() > self.bytes_max && !sabotage::on(Defect::Unbounded) {
            return Push::Full;
        }
        state.push(frame.clone());
        Push::Queued
    }

    /// Offers a signal: refused already when half of the room is taken, so that it can never
    /// crowd out an event.
    pub fn offer_signal(&self, frame: &Encoded) -> Push {
        let mut state = self.state();
        if state.ended {
            return Push::Queued;
        }
        if state.bytes + frame.len() > self.bytes_max / 2 {
            return Push::Full;
        }
        state.push(frame.clone());
        Push::Queued
    }

    /// Puts in what the connection itself asked for.
    pub fn put(&self, frame: Encoded) {
        let mut state = self.state();
        if !state.ended {
            state.push(frame);
        }
    }

    /// Puts in an event that was read for the connection, unless the conversation is not followed
    /// any more: nothing of it comes after `left`.
    pub fn put_followed(&self, conversation: ConversationId, frame: Encoded) {
        let mut state = self.state();
        if state.following.binary_search(&conversation).is_ok() {
            state.push(frame);
        }
    }

    /// Notes that this conversation could not be delivered from after `delivered` on.
    pub fn fell_behind(&self, conversation: ConversationId, delivered: Seq) {
        let mut state = self.state();
        if !state.ended {
            state.behind.push((conversation, delivered));
            state.wake();
        }
    }

    /// Whether there is a conversation that could not be delivered and of which the connection has
    /// not taken notice yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.state().behind.is_empty()
    }

    /// Asks the connection to end. The first reason counts.
    pub fn close(&self, code: CloseCode) {
        let mut state = self.state();
        if state.close.is_none() && !state.ended {
            state.close = Some(code);
            state.wake();
        }
    }

    /// Takes everything that waits, in order, for the connection's writer. Pending when there is
    /// nothing; the connection is woken by the next push.
    pub fn poll_take(&self, cx: &mut Context<'_>, frames: &mut VecDeque<Bytes>) -> Poll<Taken> {
        let mut state = self.state();
        if state.queue.is_empty() && state.behind.is_empty() && state.close.is_none() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        if frames.is_empty() {
            // The whole buffer changes hands: an idle mailbox keeps none.
            *frames = std::mem::take(&mut state.queue);
        } else {
            frames.append(&mut std::mem::take(&mut state.queue));
        }
        Poll::Ready(Taken { behind: std::mem::take(&mut state.behind), close: state.close.take() })
    }

    /// These bytes have been written to the socket.
    pub fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// A frame that was taken is written in another form.
    pub fn exchanged(&self, taken: usize, instead: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(taken) + instead;
    }

    /// Bytes that wait, those being written included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Whether more than half of the room is taken: then the connection neither reads commands nor
    /// catches up.
    #[must_use]
    pub fn above_half(&self) -> bool {
        self.bytes() > self.bytes_max / 2
    }

    /// Notes that this conversation is followed; false if it was already, or the connection ended.
    pub fn note_following(&self, conversation: ConversationId) -> bool {
        let mut state = self.state();
        if state.ended {
            return false;
        }
        match state.following.binary_search(&conversation) {
            Ok(_) => false,
            Err(place) => {
                state.following.insert(place, conversation);
                true
            }
        }
    }

    /// Notes that it is no longer; false if it was not.
    pub fn note_left(&self, conversation: ConversationId) -> bool {
        let mut state = self.state();
        match state.following.binary_search(&conversation) {
            Ok(place) => {
                state.following.remove(place);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether this conversation is followed.
    #[must_use]
    pub fn follows(&self, conversation: ConversationId) -> bool {
        self.state().following.binary_search(&conversation).is_ok()
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// The connection has ended: drops everything, takes nothing more, and says what was followed.
    pub fn end(&self) -> Vec<ConversationId> {
        let mut state = self.state();
        let following = std::mem::take(&mut state.following);
        *state = State { ended: true, ..State::default() };
        following
    }
}

impl State {
    fn push(&mut self, frame: Encoded) {
        self.bytes += frame.len();
        self.queue.push_back(frame.into_bytes());
        self.wake();
    }

    /// One wake-up for whatever is queued until the connection looks.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn frame(bytes: usize) -> Encoded {
        let frame = Encoded::text_raw(&"x".repeat(bytes - 2));
        assert_eq!(frame.len(), bytes);
        frame
    }

    fn take(mailbox: &Mailbox, frames: &mut VecDeque<Bytes>) -> Poll<Taken> {
        mailbox.poll_take(&mut Context::from_waker(Waker::noop()), frames)
    }

    #[test]
    fn what_is_being_written_still_counts() {
        let mailbox = Mailbox::new(100);
        assert_eq!(mailbox.offer(&frame(60)), Push::Queued);
        let mut frames = VecDeque::new();
        assert!(take(&mailbox, &mut frames).is_ready());
        assert_eq!(mailbox.offer(&frame(60)), Push::Full);
        mailbox.written(60);
        assert_eq!(mailbox.offer(&frame(60)), Push::Queued);
    }

    #[test]
    fn a_signal_never_takes_the_room_of_an_event() {
        let mailbox = Mailbox::new(100);
        assert_eq!(mailbox.offer_signal(&frame(50)), Push::Queued);
        assert_eq!(mailbox.offer_signal(&frame(10)), Push::Full);
        assert_eq!(mailbox.offer(&frame(50)), Push::Queued);
    }

    #[test]
    fn an_ended_mailbox_keeps_nothing() {
        let mailbox = Mailbox::new(100);
        let conversation = ConversationId::from_bytes([1; 16]);
        assert!(mailbox.note_following(conversation));
        mailbox.put(frame(10));
        assert_eq!(mailbox.end(), [conversation]);
        mailbox.put(frame(10));
        mailbox.fell_behind(conversation, Seq::ZERO);
        assert!(take(&mailbox, &mut VecDeque::new()).is_pending());
        assert!(!mailbox.note_following(conversation));
    }

    #[test]
    fn the_first_reason_to_close_counts() {
        let mailbox = Mailbox::new(100);
        mailbox.close(CloseCode::Revoked);
        mailbox.close(CloseCode::Restart);
        let Poll::Ready(taken) = take(&mailbox, &mut VecDeque::new()) else { panic!("pending") };
        assert_eq!(taken.close, Some(CloseCode::Revoked));
    }
}
