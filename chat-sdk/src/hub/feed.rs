//! The order of one conversation on one node, kept once for all who follow it here.
//!
//! A feed knows its head. The next number goes to every listener; an old one is dropped; a skipped
//! one makes the *feed* ask for the hole, not each listener. A listener whose mailbox is full is
//! marked behind and reads what it missed itself; it is live again when it has reached the head,
//! which is a comparison of two numbers under the feed's lock: that is the whole seam.

use std::{collections::HashMap, sync::Arc};

use super::mailbox::{Mailbox, Push};
use crate::{
    model::{ConversationId, Seq},
    protocol::Encoded,
};

/// The feeds of a part of the conversations: one lock's worth.
#[derive(Debug, Default)]
pub struct Feeds {
    feeds: HashMap<ConversationId, Feed>,
    aftermath: Aftermath,
}

/// What is left to do when something was offered.
#[derive(Debug, Default)]
pub struct Aftermath {
    /// Those who are not told of what they were offered: [`Mailbox::write_out`] of each is to be
    /// called, when no lock is held.
    pub due: Vec<Arc<Mailbox>>,
    /// How many were not offered it for want of room, and are behind.
    pub overflowed: u64,
}

#[derive(Debug)]
struct Feed {
    /// The last number that was published here.
    head: Seq,
    /// The highest number heard of; above `head` while a hole is being filled.
    known: Seq,
    /// Somebody was asked to fill the hole.
    filling: bool,
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    mailbox: Arc<Mailbox>,
    /// Live: takes every number above this one. Behind: [`BEHIND`].
    from: Seq,
    /// The place in the log that makes it a follower: what ended a membership before it is no
    /// concern of this one.
    since: Seq,
}

/// Above every number: a listener with this takes none.
const BEHIND: Seq = Seq::MAX;

/// Numbers after `after` up to and including `upto` that somebody has to read from the store and
/// publish, followed by [`Feeds::filled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The last one that is there.
    pub after: Seq,
    /// The last one that is known of.
    pub upto: Seq,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is the head now; this many listeners were offered it.
    Delivered(usize),
    /// It was published before.
    Old,
    /// Numbers before it are missing: fill the hole, it is part of it.
    Hole(Hole),
    /// Numbers before it are missing, and the hole is being filled already.
    Waiting,
    /// Nobody here follows this conversation.
    Nobody,
}

/// How somebody begins to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Live from the given place on. `new`: there was no feed, so what was published between
    /// reading that place and now went unheard: compare the head with the store.
    Live {
        /// The feed was made for this.
        new: bool,
    },
    /// Behind: the feed is further.
    Behind,
    /// It did so already.
    Already,
}

/// How somebody who became a member begins to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolled {
    /// Behind, from the first event on. `new`: there was no feed.
    Behind {
        /// The feed was made for this.
        new: bool,
    },
    /// It did so already.
    Already,
}

/// The answer to one who has caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoin {
    /// Live again.
    Live,
    /// The feed is further: this is its head.
    Behind(Seq),
    /// Does not follow (any more).
    Gone,
}

impl Feeds {
    /// Begins to follow a conversation of which everything up to `at` is already held, by a
    /// membership that the log told of there.
    pub fn follow(
        &mut self,
        conversation: ConversationId,
        mailbox: &Arc<Mailbox>,
        at: Seq,
    ) -> Followed {
        if !mailbox.note_following(conversation) {
            return Followed::Already;
        }
        let mut new = false;
        let feed = self.feeds.entry(conversation).or_insert_with(|| {
            new = true;
            Feed { head: at, known: at, filling: false, listeners: Vec::new() }
        });
        let live = at >= feed.head;
        let from = if live { at } else { BEHIND };
        feed.listeners.push(Listener { mailbox: mailbox.clone(), from, since: at });
        if live { Followed::Live { new } } else { Followed::Behind }
    }

    /// Begins to follow a conversation of which nothing is held, by a membership that the log tells
    /// of at `since`: behind, so that what it gets is read for it, by whoever may read.
    pub fn enrol(
        &mut self,
        conversation: ConversationId,
        mailbox: &Arc<Mailbox>,
        since: Seq,
    ) -> Enrolled {
        if !mailbox.note_following(conversation) {
            return Enrolled::Already;
        }
        let mut new = false;
        let feed = self.feeds.entry(conversation).or_insert_with(|| {
            new = true;
            Feed { head: since, known: since, filling: false, listeners: Vec::new() }
        });
        feed.listeners.push(Listener { mailbox: mailbox.clone(), from: BEHIND, since });
        Enrolled::Behind { new }
    }

    /// A membership ended at this place of the log: no longer follows, unless by a later one. True
    /// if it did; then also whether the feed ended with it.
    pub fn expel(
        &mut self,
        conversation: ConversationId,
        mailbox: &Arc<Mailbox>,
        ended: Seq,
    ) -> Option<bool> {
        let feed = self.feeds.get(&conversation)?;
        let listener = &feed.listeners[feed.place(mailbox)?];
        (listener.since < ended).then(|| self.unfollow(conversation, mailbox))
    }

    /// No longer follows. True if the feed ended with it.
    pub fn unfollow(&mut self, conversation: ConversationId, mailbox: &Arc<Mailbox>) -> bool {
        mailbox.note_left(conversation);
        self.forget(conversation, mailbox)
    }

    /// Like [`unfollow`](Feeds::unfollow), for a mailbox that has ended.
    pub fn forget(&mut self, conversation: ConversationId, mailbox: &Arc<Mailbox>) -> bool {
        let Some(feed) = self.feeds.get_mut(&conversation) else { return false };
        if let Some(place) = feed.place(mailbox) {
            feed.listeners.swap_remove(place);
        }
        let ended = feed.listeners.is_empty();
        if ended {
            self.feeds.remove(&conversation);
        }
        ended
    }

    /// Nobody follows any longer, whatever they think: their mailboxes are about to end.
    pub fn end(&mut self, conversation: ConversationId) {
        self.feeds.remove(&conversation);
    }

    /// Publishes one number of a conversation.
    pub fn publish(
        &mut self,
        conversation: ConversationId,
        seq: Seq,
        frame: &Encoded,
    ) -> Published {
        let Some(feed) = self.feeds.get_mut(&conversation) else { return Published::Nobody };
        if seq <= feed.head {
            return Published::Old;
        }
        if seq > feed.head.next() {
            return match feed.hear_of(seq) {
                Some(hole) => Published::Hole(hole),
                None => Published::Waiting,
            };
        }
        let before = feed.head;
        feed.head = seq;
        feed.known = feed.known.max(seq);
        for listener in &mut feed.listeners {
            if seq > listener.from {
                listener.offer(conversation, frame, before, &mut self.aftermath);
            }
        }
        Published::Delivered(feed.listeners.len())
    }

    /// The store has this head: asks for what is missing, if anything is.
    pub fn observe(&mut self, conversation: ConversationId, head: Seq) -> Option<Hole> {
        let feed = self.feeds.get_mut(&conversation)?;
        if head > feed.head { feed.hear_of(head) } else { None }
    }

    /// Whoever was asked to fill a hole is through (or gave up: `tried` false). Names what is
    /// missing still.
    pub fn filled(&mut self, conversation: ConversationId, tried: bool) -> Option<Hole> {
        let feed = self.feeds.get_mut(&conversation)?;
        feed.filling = false;
        if tried && feed.known > feed.head { feed.hear_of(feed.known) } else { None }
    }

    /// The defect: what was skipped is taken for published.
    pub(crate) fn sabotage_skip(&mut self, conversation: ConversationId, head: Seq) {
        if let Some(feed) = self.feeds.get_mut(&conversation) {
            feed.head = feed.head.max(head);
        }
    }

    /// One who was behind holds everything up to `delivered` now.
    pub fn rejoin(
        &mut self,
        conversation: ConversationId,
        mailbox: &Arc<Mailbox>,
        delivered: Seq,
    ) -> Rejoin {
        let Some(feed) = self.feeds.get_mut(&conversation) else { return Rejoin::Gone };
        let Some(place) = feed.place(mailbox) else { return Rejoin::Gone };
        if delivered < feed.head {
            return Rejoin::Behind(feed.head);
        }
        feed.listeners[place].from = delivered;
        Rejoin::Live
    }

    /// Stops delivering to a listener, who wants to read from an earlier place. False if it does
    /// not follow.
    pub fn set_behind(&mut self, conversation: ConversationId, mailbox: &Arc<Mailbox>) -> bool {
        let Some(feed) = self.feeds.get_mut(&conversation) else { return false };
        let Some(place) = feed.place(mailbox) else { return false };
        feed.listeners[place].from = BEHIND;
        true
    }

    /// Offers a receipt to everybody who is live; whoever has no room falls behind, and gets all
    /// receipts when it has caught up.
    pub fn receipt(&mut self, conversation: ConversationId, frame: &Encoded) {
        let Some(feed) = self.feeds.get_mut(&conversation) else { return };
        for listener in &mut feed.listeners {
            if listener.from != BEHIND {
                // It holds everything up to the head, or up to where it joined above it.
                let delivered = feed.head.max(listener.from);
                listener.offer(conversation, frame, delivered, &mut self.aftermath);
            }
        }
    }

    /// Of all that was offered since this was last asked.
    pub fn take_aftermath(&mut self) -> Aftermath {
        std::mem::take(&mut self.aftermath)
    }

    /// Offers a signal to everybody but `except`; it is lost where there is no room.
    pub fn signal(
        &self,
        conversation: ConversationId,
        frame: &Encoded,
        except: Option<&Arc<Mailbox>>,
    ) {
        let Some(feed) = self.feeds.get(&conversation) else { return };
        for listener in &feed.listeners {
            if !except.is_some_and(|except| Arc::ptr_eq(&listener.mailbox, except)) {
                let _ = listener.mailbox.offer_signal(frame);
            }
        }
    }

    /// The last number published here, if anybody follows.
    #[must_use]
    pub fn head(&self, conversation: ConversationId) -> Option<Seq> {
        self.feeds.get(&conversation).map(|feed| feed.head)
    }

    /// Every conversation that is followed here.
    pub fn conversations(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.feeds.keys().copied()
    }

    /// How many conversations are followed here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.feeds.len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }
}

impl Listener {
    /// Offers a frame to one who is live and holds everything up to `delivered`: behind from there on
    /// if there is no room.
    fn offer(
        &mut self,
        conversation: ConversationId,
        frame: &Encoded,
        delivered: Seq,
        aftermath: &mut Aftermath,
    ) {
        match self.mailbox.offer(frame) {
            Push::Queued => {}
            Push::Due => aftermath.due.push(self.mailbox.clone()),
            Push::Full => {
                self.from = BEHIND;
                self.mailbox.fell_behind(conversation, delivered);
                aftermath.overflowed += 1;
            }
        }
    }
}

impl Feed {
    fn place(&self, mailbox: &Arc<Mailbox>) -> Option<usize> {
        self.listeners.iter().position(|listener| Arc::ptr_eq(&listener.mailbox, mailbox))
    }

    /// A number beyond the next is known of: the hole, if nobody is filling it yet.
    fn hear_of(&mut self, seq: Seq) -> Option<Hole> {
        self.known = self.known.max(seq);
        if std::mem::replace(&mut self.filling, true) {
            return None;
        }
        Some(Hole { after: self.head, upto: self.known })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll, Waker},
    };

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn conversation() -> ConversationId {
        ConversationId::from_bytes([7; 16])
    }

    fn frame(seq: u64) -> Encoded {
        Encoded::text_raw(&seq.to_string())
    }

    fn publish(feeds: &mut Feeds, seq: u64) -> Published {
        feeds.publish(conversation(), Seq::new(seq), &frame(seq))
    }

    /// A connection that holds what it was given, and catches up from a log of 1, 2, 3 ….
    struct Device {
        mailbox: Arc<Mailbox>,
        held: Vec<u64>,
        behind: Option<Seq>,
    }

    impl Device {
        fn new(bytes_max: usize) -> Self {
            Self { mailbox: Arc::new(Mailbox::new(bytes_max)), held: Vec::new(), behind: None }
        }

        fn drain(&mut self) {
            let mut frames = VecDeque::<Bytes>::new();
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(taken) = self.mailbox.poll_take(&mut cx, &mut frames, false) {
                for frame in frames {
                    self.mailbox.written(frame.len());
                    let text = Encoded::ready(frame);
                    self.held.push(std::str::from_utf8(text.payload()).unwrap().parse().unwrap());
                }
                if let Some((_, delivered)) = taken.behind.first() {
                    assert_eq!(self.behind, None, "fell behind twice without catching up");
                    self.behind = Some(*delivered);
                }
            }
        }

        fn catch_up(&mut self, feeds: &mut Feeds, log: u64) {
            self.drain();
            let Some(delivered) = self.behind else { return };
            assert_eq!(delivered.get(), self.held.last().copied().unwrap_or(0), "the seam");
            // Reads as far as the store happens to be: not beyond what the feed knows.
            let head = feeds.head(conversation()).unwrap().get().min(log);
            for seq in delivered.get() + 1..=head {
                self.held.push(seq);
            }
            let now = Seq::new(head.max(delivered.get()));
            match feeds.rejoin(conversation(), &self.mailbox, now) {
                Rejoin::Live => self.behind = None,
                Rejoin::Behind(_) => self.behind = Some(now),
                Rejoin::Gone => panic!("gone"),
            }
        }
    }

    #[test]
    fn an_old_number_is_dropped_and_a_skipped_one_asks_for_the_hole_once() {
        let mut feeds = Feeds::default();
        let mut device = Device::new(1000);
        let followed = feeds.follow(conversation(), &device.mailbox, Seq::new(3));
        assert_eq!(followed, Followed::Live { new: true });
        assert_eq!(publish(&mut feeds, 3), Published::Old);
        assert_eq!(publish(&mut feeds, 4), Published::Delivered(1));
        let hole = Hole { after: Seq::new(4), upto: Seq::new(6) };
        assert_eq!(publish(&mut feeds, 6), Published::Hole(hole));
        assert_eq!(publish(&mut feeds, 8), Published::Waiting);
        publish(&mut feeds, 5);
        publish(&mut feeds, 6);
        let rest = Hole { after: Seq::new(6), upto: Seq::new(8) };
        assert_eq!(feeds.filled(conversation(), true), Some(rest));
        publish(&mut feeds, 7);
        publish(&mut feeds, 8);
        assert_eq!(feeds.filled(conversation(), true), None);
        device.drain();
        assert_eq!(device.held, [4, 5, 6, 7, 8]);
    }

    #[test]
    fn who_joins_above_the_head_gets_nothing_twice() {
        // The store is ahead of this node: events 4 and 5 are committed, not published here yet.
        let mut feeds = Feeds::default();
        let early = Device::new(1000);
        feeds.follow(conversation(), &early.mailbox, Seq::new(3));
        let mut late = Device::new(1000);
        let followed = feeds.follow(conversation(), &late.mailbox, Seq::new(5));
        assert_eq!(followed, Followed::Live { new: false });
        for seq in 4..=6 {
            publish(&mut feeds, seq);
        }
        late.drain();
        assert_eq!(late.held, [6]);
    }

    #[test]
    fn the_end_of_an_earlier_membership_does_not_end_a_later_one() {
        let mut feeds = Feeds::default();
        let device = Device::new(1000);
        let enrolled = feeds.enrol(conversation(), &device.mailbox, Seq::new(7));
        assert_eq!(enrolled, Enrolled::Behind { new: true });
        assert_eq!(feeds.expel(conversation(), &device.mailbox, Seq::new(5)), None);
        assert!(device.mailbox.follows(conversation()));
        assert_eq!(feeds.expel(conversation(), &device.mailbox, Seq::new(9)), Some(true));
        assert!(!device.mailbox.follows(conversation()));
    }

    #[test]
    fn nobody_hears_of_a_conversation_that_nobody_follows() {
        let mut feeds = Feeds::default();
        let device = Device::new(1000);
        feeds.follow(conversation(), &device.mailbox, Seq::ZERO);
        assert!(feeds.unfollow(conversation(), &device.mailbox));
        assert_eq!(publish(&mut feeds, 1), Published::Nobody);
        assert!(feeds.is_empty());
        assert_eq!(feeds.observe(conversation(), Seq::new(4)), None);
    }

    #[test]
    fn a_slow_listener_does_not_hold_up_the_others() {
        let mut feeds = Feeds::default();
        let (slow, mut quick) = (Device::new(8), Device::new(1000));
        feeds.follow(conversation(), &slow.mailbox, Seq::ZERO);
        feeds.follow(conversation(), &quick.mailbox, Seq::ZERO);
        for seq in 1..=9 {
            publish(&mut feeds, seq);
        }
        quick.drain();
        assert_eq!(quick.held, (1..=9).collect::<Vec<_>>());
        assert!(slow.mailbox.bytes() <= 8);
    }

    proptest! {
        /// Any order and repetition of publications, draining and catching up whenever: each
        /// device holds the log from where it joined, once, in order.
        #[test]
        fn whatever_the_timing_every_device_ends_with_the_log(
            steps in proptest::collection::vec((0u8..6, 0usize..3, 1u64..6), 1..200),
            room in 6usize..40,
        ) {
            let mut feeds = Feeds::default();
            let mut log = 0u64;
            let mut devices: Vec<Device> = (0..3).map(|_| Device::new(room)).collect();
            for device in &devices {
                feeds.follow(conversation(), &device.mailbox, Seq::ZERO);
            }
            let mut holes: Vec<Hole> = Vec::new();
            for (step, who, amount) in steps {
                match step {
                    // Committed and published.
                    0 | 1 => {
                        log += 1;
                        if let Published::Hole(hole) = publish(&mut feeds, log) {
                            holes.push(hole);
                        }
                    }
                    // Committed, publication lost; a later one or a check will show it.
                    2 => log += amount,
                    // An old one again, if there is one.
                    3 => {
                        let old = log.saturating_sub(amount);
                        if old > 0 && let Published::Hole(hole) = publish(&mut feeds, old) {
                            holes.push(hole);
                        }
                    }
                    4 => devices[who].catch_up(&mut feeds, log),
                    _ => {
                        while let Some(hole) = holes.pop() {
                            for seq in hole.after.get() + 1..=hole.upto.get().min(log) {
                                publish(&mut feeds, seq);
                            }
                            holes.extend(feeds.filled(conversation(), true));
                        }
                    }
                }
            }
            // Quiet: the position check finds what is missing, everybody drains.
            holes.extend(feeds.observe(conversation(), Seq::new(log)));
            while let Some(hole) = holes.pop() {
                for seq in hole.after.get() + 1..=hole.upto.get().min(log) {
                    publish(&mut feeds, seq);
                }
                holes.extend(feeds.filled(conversation(), true));
            }
            for device in &mut devices {
                device.catch_up(&mut feeds, log);
                device.catch_up(&mut feeds, log);
                device.drain();
                prop_assert_eq!(&device.held, &(1..=log).collect::<Vec<_>>());
            }
        }
    }
}
