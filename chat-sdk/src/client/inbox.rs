//! What waits for the host: bounded, in order, and with the places that the device had before it,
//! because what nobody took has not been reached.

use std::collections::VecDeque;

use super::{ClientEvent, resume::Positions};
use crate::model::{ConversationId, Marker, Seq, UserId};

#[derive(Debug)]
struct Waiting {
    event: ClientEvent,
    /// The position before it, where it moves one; none in another life of the store.
    before: Option<(ConversationId, Seq)>,
}

/// The queue between the connection and the host.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: VecDeque<Waiting>,
    max: usize,
    /// Nobody listens: everything counts as taken.
    unheard: bool,
}

impl Inbox {
    pub(super) const fn new(max: usize) -> Self {
        Self { queue: VecDeque::new(), max, unheard: false }
    }

    /// Nobody takes anything any more.
    pub(super) fn unheard(&mut self) {
        self.unheard = true;
        self.queue = VecDeque::new();
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.max
    }

    /// So much room that it is worth asking for what was passed over.
    pub(super) fn is_half_empty(&self) -> bool {
        self.queue.len() <= self.max / 2
    }

    /// Full of what cannot be asked for again.
    pub(super) fn is_crammed(&self) -> bool {
        self.queue.len() >= self.max * 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// News that moves a position from `before`. The caller has looked for room, or cannot do
    /// without.
    pub(super) fn put(&mut self, event: ClientEvent, conversation: ConversationId, before: Seq) {
        self.push(event, Some((conversation, before)));
    }

    /// News of the connection or of the client itself; left out when it is crammed, because the
    /// state can be asked for.
    pub(super) fn note(&mut self, event: ClientEvent) {
        if !self.is_crammed() {
            self.push(event, None);
        }
    }

    /// The very last news, whatever waits.
    pub(super) fn end(&mut self, event: ClientEvent) {
        self.push(event, None);
    }

    /// A signal: of no use to one who is behind.
    pub(super) fn signal(&mut self, event: ClientEvent) {
        if self.has_room() {
            self.push(event, None);
        }
    }

    /// A marker: merged into the one that waits, if one does and room is scarce. When it is crammed
    /// with other things it is left out.
    pub(super) fn receipt(&mut self, conversation: ConversationId, user: UserId, marker: Marker) {
        if !self.is_half_empty() {
            for waiting in &mut self.queue {
                let ClientEvent::Receipt { conversation: in_, user: of, marker: held } =
                    &mut waiting.event
                else {
                    continue;
                };
                if *in_ == conversation && *of == user {
                    *held = held.merge(marker, Seq::MAX);
                    return;
                }
            }
        }
        self.note(ClientEvent::Receipt { conversation, user, marker });
    }

    pub(super) fn take(&mut self) -> Option<ClientEvent> {
        let taken = self.queue.pop_front();
        if self.queue.is_empty() {
            // An idle client owns no buffer.
            self.queue = VecDeque::new();
        }
        taken.map(|waiting| waiting.event)
    }

    /// Where the host is in the conversations of which something waits.
    pub(super) fn untaken(&self) -> Positions {
        let mut positions = Positions::new();
        for (conversation, before) in self.queue.iter().filter_map(|waiting| waiting.before) {
            // The first one that waits says where the host is.
            positions.entry(conversation).or_insert(before);
        }
        positions
    }

    /// What waits is of another life of the store.
    pub(super) fn forget_positions(&mut self) {
        for waiting in &mut self.queue {
            waiting.before = None;
        }
    }

    fn push(&mut self, event: ClientEvent, before: Option<(ConversationId, Seq)>) {
        if !self.unheard {
            self.queue.push_back(Waiting { event, before });
        }
    }
}
