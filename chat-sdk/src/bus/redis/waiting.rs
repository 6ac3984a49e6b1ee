//! What was heard and has not been asked for yet: bounded in bytes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::bus::{Heard, Topic};

/// How many bytes of messages may wait: some seconds of what a busy node hears. What comes when it
/// is full is dropped, and a loss is told in its place.
pub(super) const WAITING_BYTES_MAX: usize = 8 << 20;

/// What a message costs beside its bytes: its place in the queue, its allocations.
const OVERHEAD: usize = 160;

/// Places that are kept for the next messages when none waits.
const PLACES_KEPT: usize = 1024;

/// Filled by the connections, emptied by [`next`](Self::next).
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    heard: VecDeque<Heard>,
    bytes: usize,
}

impl Waiting {
    /// A message; false if there was no room for it.
    pub(super) fn message(&self, topic: Topic, message: Bytes) -> bool {
        let heard = Heard::Message(topic, message);
        let room = {
            let mut queue = self.queue();
            let cost = cost(&heard);
            let room = queue.bytes + cost <= WAITING_BYTES_MAX;
            if room {
                queue.bytes += cost;
                queue.heard.push_back(heard);
            } else {
                queue.lose();
            }
            room
        };
        self.filled.notify_one();
        room
    }

    /// Messages may have been lost up to here.
    pub(super) fn lost(&self) {
        self.queue().lose();
        self.filled.notify_one();
    }

    /// What was heard first. Dropping the future loses nothing.
    pub(super) async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.queue().take() {
                return heard;
            }
            // One who asks, and a permit is kept: nothing is missed between the two.
            self.filled.notified().await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// A loss is told between the messages before and after it, and needs no room: there is at
    /// most one behind each message.
    fn lose(&mut self) {
        if self.heard.back() != Some(&Heard::Lost) {
            self.heard.push_back(Heard::Lost);
        }
    }

    fn take(&mut self) -> Option<Heard> {
        let heard = self.heard.pop_front();
        self.bytes -= heard.as_ref().map_or(0, cost);
        if self.heard.is_empty() && self.heard.capacity() > PLACES_KEPT {
            self.heard.shrink_to(PLACES_KEPT);
        }
        heard
    }
}

fn cost(heard: &Heard) -> usize {
    match heard {
        Heard::Message(topic, message) => {
            let topic = match topic {
                Topic::Conversation(_) | Topic::Nodes => 0,
                Topic::User(user) => user.as_str().len(),
            };
            OVERHEAD + topic + message.len()
        }
        Heard::Lost => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(waiting: &Waiting, bytes: usize) -> usize {
        let message = Bytes::from(vec![0; bytes]);
        (0..).take_while(|_| waiting.message(Topic::Nodes, message.clone())).count()
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_told_in_its_place() {
        let waiting = Waiting::default();
        let taken = fill(&waiting, 100_000);
        assert!(!waiting.message(Topic::Nodes, Bytes::from(vec![0; 100_000])));
        assert_eq!(taken, WAITING_BYTES_MAX / (100_000 + OVERHEAD));
        // One goes, so one more fits: behind the loss.
        assert!(matches!(waiting.next().await, Heard::Message(..)));
        assert!(waiting.message(Topic::Nodes, Bytes::from_static(b"late")));
        for _ in 1..taken {
            assert!(matches!(waiting.next().await, Heard::Message(..)));
        }
        assert_eq!(waiting.next().await, Heard::Lost);
        assert_eq!(waiting.next().await, Heard::Message(Topic::Nodes, Bytes::from_static(b"late")));
        assert_eq!(waiting.queue().bytes, 0);
    }

    #[tokio::test]
    async fn empty_messages_are_bounded_too() {
        let waiting = Waiting::default();
        assert!(fill(&waiting, 0) <= WAITING_BYTES_MAX / OVERHEAD);
    }

    #[tokio::test]
    async fn losses_in_a_row_are_one() {
        let waiting = Waiting::default();
        for _ in 0..1000 {
            waiting.lost();
        }
        assert_eq!(waiting.next().await, Heard::Lost);
        assert!(waiting.queue().take().is_none());
    }
}
