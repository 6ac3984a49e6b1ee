//! What waits for one connection: bounded in bytes, filled by feeds, emptied by its connection or,
//! while that one sleeps, by whoever filled it.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};

use crate::{
    model::{ConversationId, Seq},
    protocol::{CloseCode, Encoded},
    sabotage::{self, Defect},
};

/// Frames that are given to one write.
pub const SLICES: usize = 32;

/// Frames for which an empty queue keeps its room, 128 bytes.
const QUEUE_KEPT: usize = 4;

/// The first frames, as one write takes them.
#[inline]
pub fn first<'a, 'b>(
    frames: &'a VecDeque<Bytes>,
    slices: &'b mut [IoSlice<'a>; SLICES],
) -> &'b [IoSlice<'a>] {
    for (slice, bytes) in slices.iter_mut().zip(frames) {
        *slice = IoSlice::new(bytes);
    }
    &slices[..frames.len().min(SLICES)]
}

/// What became of a frame offered to a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// It waits for the connection, which knows or will be told.
    Queued,
    /// It waits, and nobody was told: whoever offered it calls [`Mailbox::write_out`] soon.
    Due,
    /// There was no room; it was not taken.
    Full,
}

/// Where frames of a connection can be written by others than the connection: a socket that takes
/// bytes as they are.
pub trait Outlet: fmt::Debug + Send + Sync {
    /// Writes as much as there is room for, without waiting; `WouldBlock` if there is none.
    ///
    /// # Errors
    /// As [`io::Write`]. The connection finds out by its own next write.
    fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// Frames for one connection.
///
/// Two kinds go in. What others cause (events, receipts, signals) is refused when it would not
/// fit. What the connection itself asked for (replies, its own catch-up) always fits, because the
/// connection asks for no more while it is above [`half`](Mailbox::above_half).
///
/// To wake a connection costs about as much as a fifth of its write. So a connection that sleeps and
/// has an [`Outlet`] is not woken for what others cause: whoever filled the mailbox writes it out, for
/// many connections one after the other. What the outlet does not take at once is the connection's.
///
/// When empty, it owns no memory beyond itself and the list of what is followed.
#[derive(Debug)]
pub struct Mailbox {
    /// A std mutex: held for a push or a write that does not wait, never across an await, and
    /// contended only by publishers and the one connection.
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
    /// While the connection sleeps: what is pushed goes to the outlet, ahead of nothing.
    others_may_write: bool,
    /// Somebody was told to write out.
    due: bool,
    /// Whether the first in `queue` has been written in part.
    partly_written: bool,
    outlet: Option<Arc<dyn Outlet>>,
}

/// What a connection takes out at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Conversations in which it is behind from now on, with the last place delivered.
    pub behind: Vec<(ConversationId, Seq)>,
    /// It is to end.
    pub close: Option<CloseCode>,
    /// The first frame has been written in part, and only the rest of it is there.
    pub partly_written: bool,
}

impl Mailbox {
    /// An empty one that holds at most this many bytes of what others cause.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max }
    }

    /// The same, for a connection whose frames others may write while it sleeps.
    #[must_use]
    pub fn with_outlet(bytes_max: usize, outlet: Option<Arc<dyn Outlet>>) -> Self {
        Self { state: Mutex::new(State { outlet, ..State::default() }), bytes_max }
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
        state.push_from_others(frame.clone())
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
    /// nothing; the connection is woken by the next push. It need not be woken for what others cause
    /// if `others_may_write`: everything that was taken has been written, and nothing is about to be
    /// put in.
    pub fn poll_take(
        &self,
        cx: &mut Context<'_>,
        frames: &mut VecDeque<Bytes>,
        others_may_write: bool,
    ) -> Poll<Taken> {
        let mut state = self.state();
        let nothing = state.queue.is_empty() && state.behind.is_empty() && state.close.is_none();
        // What is taken has to be written before anything else.
        state.others_may_write = others_may_write && nothing && state.outlet.is_some();
        if nothing {
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
        Poll::Ready(Taken {
            behind: std::mem::take(&mut state.behind),
            close: state.close.take(),
            partly_written: std::mem::take(&mut state.partly_written),
        })
    }

    /// Takes what waits, because the connection itself is about to write: nobody else does until it
    /// sleeps again. Whether the first has been written in part.
    pub fn take_over(&self, frames: &mut VecDeque<Bytes>) -> bool {
        let mut state = self.state();
        state.others_may_write = false;
        frames.append(&mut std::mem::take(&mut state.queue));
        std::mem::take(&mut state.partly_written)
    }

    /// Writes what waits for a connection that sleeps, without waiting; wakes it for the rest.
    pub fn write_out(&self) {
        let mut state = self.state();
        let state = &mut *state;
        // Whoever woke the connection meanwhile has left it to it.
        if !std::mem::take(&mut state.due) || !state.others_may_write || state.waker.is_none() {
            return;
        }
        let Some(outlet) = &state.outlet else { return };
        while !state.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            match outlet.try_write(first(&state.queue, &mut slices)) {
                Ok(written) if written > 0 => {
                    state.bytes -= written;
                    state.partly_written = advance(&mut state.queue, written);
                }
                // No room, or an error that the connection will find by itself.
                Ok(_) | Err(_) => return state.wake(),
            }
        }
        // Room for a few stays: it is used again at the next message.
        if state.queue.capacity() > QUEUE_KEPT {
            state.queue = VecDeque::new();
        }
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

    /// So many conversations will be followed soon.
    pub fn reserve_following(&self, conversations: usize) {
        let mut state = self.state();
        if !state.ended {
            state.following.reserve_exact(conversations);
        }
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

/// Removes so many bytes from the front. Whether that ended in the middle of a frame.
pub fn advance(frames: &mut VecDeque<Bytes>, mut written: usize) -> bool {
    while let Some(first) = frames.front_mut() {
        if written < first.len() {
            first.advance(written);
            return written > 0;
        }
        written -= first.len();
        frames.pop_front();
    }
    false
}

impl State {
    fn push(&mut self, frame: Encoded) {
        self.bytes += frame.len();
        self.queue.push_back(frame.into_bytes());
        self.wake();
    }

    fn push_from_others(&mut self, frame: Encoded) -> Push {
        if !self.others_may_write || self.waker.is_none() {
            self.push(frame);
            return Push::Queued;
        }
        self.bytes += frame.len();
        self.queue.push_back(frame.into_bytes());
        if std::mem::replace(&mut self.due, true) { Push::Queued } else { Push::Due }
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
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        task::Waker,
    };

    use proptest::prelude::*;

    use super::*;

    fn frame(bytes: usize) -> Encoded {
        let frame = Encoded::text_raw(&"x".repeat(bytes - 2));
        assert_eq!(frame.len(), bytes);
        frame
    }

    fn take(mailbox: &Mailbox, frames: &mut VecDeque<Bytes>) -> Poll<Taken> {
        mailbox.poll_take(&mut Context::from_waker(Waker::noop()), frames, false)
    }

    /// A socket that takes so many bytes and no more until it is read.
    #[derive(Debug, Default)]
    struct Socket {
        room: AtomicUsize,
        written: Mutex<Vec<u8>>,
    }

    impl Socket {
        fn write(&self, bytes: &[u8]) -> usize {
            let taken = bytes.len().min(self.room.load(Ordering::Relaxed));
            self.room.fetch_sub(taken, Ordering::Relaxed);
            self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
            taken
        }
    }

    impl Outlet for Socket {
        fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
            match bytes.iter().map(|slice| self.write(slice)).sum() {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                taken => Ok(taken),
            }
        }
    }

    #[derive(Debug, Default)]
    struct Woken(AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A connection as its driver goes about it.
    struct Connection {
        mailbox: Mailbox,
        socket: Arc<Socket>,
        woken: Arc<Woken>,
        outbox: VecDeque<Bytes>,
    }

    impl Connection {
        fn new(room: usize) -> Self {
            let socket = Arc::new(Socket { room: room.into(), ..Socket::default() });
            let mailbox = Mailbox::with_outlet(1_000, Some(socket.clone()));
            let mut connection =
                Self { mailbox, socket, woken: Arc::default(), outbox: VecDeque::new() };
            connection.poll();
            connection
        }

        /// Takes and writes until it sleeps.
        fn poll(&mut self) {
            while self.take() || self.write() {}
        }

        fn take(&mut self) -> bool {
            self.woken.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(self.woken.clone());
            let mut cx = Context::from_waker(&waker);
            let idle = self.outbox.is_empty();
            let ready = self.mailbox.poll_take(&mut cx, &mut self.outbox, idle).is_ready();
            // It sleeps only when there was nothing.
            self.woken.0.fetch_or(ready, Ordering::Relaxed);
            ready
        }

        fn write(&mut self) -> bool {
            let written = self.outbox.iter().map(|frame| self.socket.write(frame)).sum();
            self.mailbox.written(written);
            advance(&mut self.outbox, written);
            written > 0
        }

        fn is_woken(&self) -> bool {
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn who_sleeps_is_written_to_and_not_woken() {
        let connection = Connection::new(100);
        assert_eq!(connection.mailbox.offer(&frame(10)), Push::Due);
        assert_eq!(connection.mailbox.offer(&frame(10)), Push::Queued);
        connection.mailbox.write_out();
        assert_eq!(connection.socket.written.lock().unwrap().len(), 20);
        assert_eq!(connection.mailbox.bytes(), 0);
        assert!(!connection.is_woken());
        // And again.
        assert_eq!(connection.mailbox.offer(&frame(10)), Push::Due);
    }

    #[test]
    fn what_the_outlet_does_not_take_is_the_connections() {
        let mut connection = Connection::new(15);
        let _ = connection.mailbox.offer(&frame(10));
        let _ = connection.mailbox.offer(&frame(10));
        connection.mailbox.write_out();
        assert!(connection.is_woken());
        assert_eq!(connection.mailbox.bytes(), 5);
        let mut frames = VecDeque::new();
        let Poll::Ready(taken) = take(&connection.mailbox, &mut frames) else { panic!("pending") };
        assert!(taken.partly_written);
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), [5]);
        // While it has something to write, it is woken.
        connection.outbox = frames;
        connection.poll();
        assert_eq!(connection.mailbox.offer(&frame(10)), Push::Queued);
        assert!(connection.is_woken());
    }

    #[test]
    fn nobody_else_writes_once_the_connection_takes_over() {
        let connection = Connection::new(100);
        assert_eq!(connection.mailbox.offer(&frame(10)), Push::Due);
        let mut frames = VecDeque::new();
        assert!(!connection.mailbox.take_over(&mut frames));
        assert_eq!(frames.len(), 1);
        assert_eq!(connection.mailbox.offer(&frame(10)), Push::Queued);
        connection.mailbox.write_out();
        assert_eq!(connection.socket.written.lock().unwrap().len(), 0);
    }

    proptest! {
        /// Whoever writes when, and however little the socket takes: the bytes come out once, in
        /// order, and nothing stays when there is room.
        #[test]
        fn two_writers_are_one_stream(
            steps in proptest::collection::vec((0u8..7, 0usize..40), 1..300),
        ) {
            let mut connection = Connection::new(0);
            let mut expected = Vec::new();
            let mut next = 0_u8;
            let mut due = false;
            for (step, amount) in steps {
                match step {
                    0 | 1 => {
                        next = next.wrapping_add(1);
                        let frame = Encoded::text_raw(&char::from(next % 128).to_string().repeat(amount));
                        let bytes = frame.clone().into_bytes();
                        match connection.mailbox.offer(&frame) {
                            Push::Queued => expected.extend_from_slice(&bytes),
                            Push::Due => {
                                expected.extend_from_slice(&bytes);
                                due = true;
                            }
                            Push::Full => {}
                        }
                    }
                    2 => {
                        let room = connection.socket.room.load(Ordering::Relaxed);
                        connection.socket.room.store(room + amount, Ordering::Relaxed);
                    }
                    3 => {
                        connection.mailbox.write_out();
                        due = false;
                    }
                    4 => connection.poll(),
                    // Others have their turn in the middle of it.
                    5 => drop(connection.take()),
                    _ => drop(connection.write()),
                }
            }
            connection.socket.room.store(usize::MAX / 2, Ordering::Relaxed);
            if due {
                connection.mailbox.write_out();
            }
            if connection.is_woken() || !connection.outbox.is_empty() {
                connection.poll();
            }
            prop_assert_eq!(&*connection.socket.written.lock().unwrap(), &expected);
            prop_assert_eq!(connection.mailbox.bytes(), 0);
        }
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
