//! One step of a connection that is behind.

use std::{num::NonZeroU16, sync::Arc};

use super::Node;
use crate::{
    hub::{Mailbox, Rejoin},
    model::{ConversationId, Seq, Summary, UserId},
    policy::Verdict,
    protocol::{Encoded, ServerFrame},
    sabotage::{self, Defect},
    session::cursor::{Cursor, Step},
    store::{Reader, StoreError},
};

/// How far a step got.
#[derive(Debug)]
pub(super) enum Stepped {
    /// Up to here; there may be more.
    To(Seq),
    /// Live again.
    Live,
    /// Not followed any more.
    Gone,
    /// All markers of this conversation have been sent.
    Receipts,
}

impl Node {
    /// Reads a page for one that is behind, or lets it go live.
    pub(super) async fn catch_up(
        self: Arc<Self>,
        user: UserId,
        mailbox: Arc<Mailbox>,
        cursor: Cursor,
    ) -> Result<Stepped, StoreError> {
        let conversation = cursor.conversation;
        let Some(head) = self.shards.of(conversation).head(conversation) else {
            return Ok(Stepped::Gone);
        };
        let (after, upto, page) = match cursor.step(head, self.limits.replay_max) {
            Step::Rejoin => return Ok(self.rejoin(conversation, &mailbox, cursor.delivered)),
            // One event is read all the same: whether it may be, is the question.
            Step::Reset(head) => (head.previous(), head, NonZeroU16::MIN),
            Step::Read(after, upto) => (after, upto, self.replay_page()),
        };
        if sabotage::on(Defect::RejoinBlindly) {
            return Ok(self.rejoin(conversation, &mailbox, head));
        }
        if let Verdict::Deny(_) = self.ports.policy.may_read(&user, conversation).await {
            self.leave(conversation, &mailbox);
            return Ok(Stepped::Gone);
        }
        let reader = Reader::User(&user);
        let read = self.ports.store.read(reader, conversation, after, upto, page);
        let Some(events) = self.in_time(read).await? else {
            // Membership ended: the read says so before the removal has reached us.
            self.leave(conversation, &mailbox);
            return Ok(Stepped::Gone);
        };
        if events.is_empty() {
            return Err(StoreError::Defect("a head above the last event".into()));
        }
        if after > cursor.delivered {
            let reset = ServerFrame::Reset { conversation, head: upto };
            mailbox.put_followed(conversation, Encoded::text(&reset));
            return Ok(Stepped::To(upto));
        }
        let mut last = after;
        for event in events {
            last = event.seq;
            let frame = Encoded::text(&ServerFrame::Event(event));
            mailbox.put_followed(conversation, frame);
            // A page of long messages is more than a mailbox may hold: the rest of it is read
            // again when there is room.
            if mailbox.above_half() {
                break;
            }
        }
        metrics::counter!("chat_replayed_pages_total").increment(1);
        if last < cursor.known {
            // The feed may be nearer than the log goes: it is not the measure then.
            return Ok(Stepped::To(last));
        }
        Ok(match self.rejoin(conversation, &mailbox, last) {
            Stepped::To(_) => Stepped::To(last),
            stepped => stepped,
        })
    }

    fn rejoin(&self, conversation: ConversationId, mailbox: &Arc<Mailbox>, at: Seq) -> Stepped {
        match self.shards.of(conversation).rejoin(conversation, mailbox, at) {
            Rejoin::Live => Stepped::Live,
            Rejoin::Behind(_) => Stepped::To(at),
            Rejoin::Gone => Stepped::Gone,
        }
    }

    fn leave(&self, conversation: ConversationId, mailbox: &Arc<Mailbox>) {
        self.unfollow(conversation, mailbox);
        mailbox.put(Encoded::text(&ServerFrame::Left { conversation }));
    }

    /// Sends the markers of all members or, where there are too many, that of the reader.
    pub(super) async fn receipts(
        self: Arc<Self>,
        user: UserId,
        mailbox: Arc<Mailbox>,
        conversation: ConversationId,
    ) -> Result<Stepped, StoreError> {
        let limit = NonZeroU16::new(Summary::MARKERS_MAX as u16 + 1).unwrap_or(NonZeroU16::MIN);
        let reader = Reader::User(&user);
        let members = self.ports.store.members(reader, conversation, None, limit);
        let members = self.in_time(members).await?.unwrap_or_default();
        if members.len() <= Summary::MARKERS_MAX {
            for member in members {
                let (user, marker) = (member.user, member.marker);
                let receipt = ServerFrame::Receipt { conversation, user, marker };
                mailbox.put(Encoded::text(&receipt));
            }
        } else {
            let own = self.ports.store.conversation(&user, conversation);
            if let Some(Summary { marker, .. }) = self.in_time(own).await? {
                let receipt = ServerFrame::Receipt { conversation, user, marker };
                mailbox.put(Encoded::text(&receipt));
            }
        }
        Ok(Stepped::Receipts)
    }
}
