//! Once in a while, and whenever the bus says that it lost something: are we where the store is?
//!
//! Not optional. The last message of a quiet conversation can be lost by any bus, and no number
//! would ever skip.

use std::sync::Arc;

use tracing::warn;

use super::{Node, Position, lock};
use crate::{
    bus::Topic,
    model::{ConversationId, Epoch},
    protocol::CloseCode,
    sabotage::{self, Defect},
    store::{Checkpoint, StoreError},
};

/// How many heads are asked for in one query.
const HEADS_MAX: usize = 1_000;

/// Compares until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    loop {
        if let Err(why) = check(&node).await {
            warn!(error = &why as &dyn std::error::Error, "position check failed");
        }
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.check_now.notified() => {}
            () = tokio::time::sleep(node.limits.position_check) => {}
        }
    }
}

async fn check(node: &Arc<Node>) -> Result<(), StoreError> {
    if sabotage::on(Defect::NoPositionCheck) {
        return Ok(());
    }
    let epoch = node.in_time(node.ports.store.epoch()).await?;
    if epoch != node.epoch() {
        node.begin_life(epoch);
    }
    let since = node.now();
    let followed = node.shards.conversations();
    if let Some(checkpoint) = compare(node, &followed).await? {
        *lock(&node.checkpoint) = Some(Position { checkpoint, since });
    }
    Ok(())
}

impl Node {
    /// The store was restored from a backup while this node was running: numbers mean something else
    /// now. Everybody comes again, and is told so by the epoch in their welcome.
    fn begin_life(&self, epoch: Epoch) {
        warn!(epoch = epoch.as_str(), "the store has begun a new life: all connections are closed");
        *lock(&self.epoch) = epoch;
        *lock(&self.checkpoint) = None;
        self.peers.forget();
        for conversation in self.shards.conversations() {
            let mut feeds = self.shards.of(conversation);
            feeds.end(conversation);
            self.topics.unfollow(Topic::Conversation(conversation));
        }
        let registry = lock(&self.registry);
        for mailbox in registry.all().iter().chain(registry.newcomers()) {
            mailbox.close(CloseCode::Restart);
        }
    }
}

/// Compares these conversations with the store and fills what is missing. The moment up to which
/// nothing is missing now; `None` if somebody else is still filling.
pub(super) async fn compare(
    node: &Arc<Node>,
    conversations: &[ConversationId],
) -> Result<Option<Checkpoint>, StoreError> {
    let mut checkpoint = None;
    let mut complete = true;
    let mut chunks = conversations.chunks(HEADS_MAX);
    // Also with nothing to compare: there is a moment to be learned.
    let mut chunk = chunks.next().unwrap_or_default();
    loop {
        let heads = node.in_time(node.ports.store.heads(chunk)).await?;
        // The first one counts: it is the earliest.
        checkpoint.get_or_insert(heads.checkpoint);
        for (conversation, head) in heads.heads {
            let hole = node.shards.of(conversation).observe(conversation, head);
            if let Some(hole) = hole {
                node.fill(conversation, hole).await;
            }
            let reached = node.shards.of(conversation).head(conversation);
            complete &= reached.is_none_or(|reached| reached >= head);
        }
        match chunks.next() {
            Some(next) => chunk = next,
            None => return Ok(checkpoint.filter(|_| complete)),
        }
    }
}
