//! A connection begins to follow what its user is a member of: the first time and every time.

use std::sync::Arc;

use super::{Node, lock};
use crate::{
    hub::{Followed, Mailbox},
    model::{ConversationId, Seq, UserId},
    protocol::{Encoded, Resume, ServerFrame},
    sabotage::{self, Defect},
    session::cursor::Cursor,
    store::{Checkpoint, StoreError},
};

/// What is left to do after joining.
#[derive(Debug)]
pub(super) struct Joined {
    /// Where the device is behind, from where, and how far the log goes at least.
    pub(super) behind: Vec<Cursor>,
    /// Conversations that changed: their markers are due.
    pub(super) changed: Vec<ConversationId>,
    /// The resume token that goes with having caught up.
    pub(super) token: Option<Checkpoint>,
}

impl Node {
    /// Subscribes first, then reads: whatever is committed meanwhile is in the one or the other.
    pub(super) async fn join(
        self: Arc<Self>,
        user: UserId,
        mailbox: Arc<Mailbox>,
        resume: Option<Resume>,
    ) -> Result<Joined, StoreError> {
        // Taken before anything is read, so that it lies before everything that is followed now.
        let token = self.last_checkpoint();
        let resume = resume.filter(|resume| resume.epoch == self.epoch());
        let (since, positions) = match resume {
            Some(resume) => (resume.token, resume.positions),
            None => (None, std::collections::BTreeMap::new()),
        };
        let memberships = self.in_time(self.ports.store.memberships(&user, since.as_ref())).await?;

        let (mut behind, mut changed) = (Vec::new(), Vec::new());
        let mut left = memberships.left;
        left.extend(positions.keys().filter(|named| {
            !memberships.current.iter().any(|current| current.conversation == **named)
        }));
        left.sort_unstable();
        left.dedup();

        mailbox.reserve_following(memberships.current.len());
        for membership in memberships.current {
            let (conversation, head) = (membership.conversation, membership.head);
            let named = positions.get(&conversation).copied();
            let mut at = named.or(membership.changed_since).unwrap_or(head);
            if sabotage::on(Defect::ResumeOffByOne) && at < head {
                at = at.next();
            }
            if membership.changed_since.is_some() || named.is_some() {
                changed.push(conversation);
            }
            if at > head {
                // Of a future that this store does not know.
                mailbox.put(Encoded::text(&ServerFrame::Reset { conversation, head }));
                at = head;
            }
            // The feed here may not have heard of the head yet: the store's word counts.
            let cursor = Cursor { conversation, delivered: at, known: head };
            match self.follow(conversation, &mailbox, head) {
                Followed::Live { .. } => {
                    if at < head {
                        if !sabotage::on(Defect::PushOvertakesResume) {
                            self.shards.of(conversation).set_behind(conversation, &mailbox);
                        }
                        behind.push(cursor);
                    }
                }
                Followed::Behind => behind.push(cursor),
                // Enrolled just now, from the first event on: what the feed has heard of may be less
                // than what the store says.
                Followed::Already => {
                    let delivered = named.map_or(Seq::ZERO, |_| at);
                    self.shards.of(conversation).set_behind(conversation, &mailbox);
                    behind.push(Cursor { delivered, ..cursor });
                }
            }
        }
        lock(&self.registry).note_joined(&user, &mailbox, self.now());
        for conversation in left {
            mailbox.put(Encoded::text(&ServerFrame::Left { conversation }));
        }
        Ok(Joined { behind, changed, token })
    }
}
