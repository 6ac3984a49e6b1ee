//! Once in a while, and whenever the bus says that it lost something: are we where the store is?
//!
//! Not optional. The last message of a quiet conversation can be lost by any bus, and no number
//! would ever skip.

use std::sync::Arc;

use tracing::warn;

use super::{Node, Position, lock};
use crate::{
    sabotage::{self, Defect},
    store::StoreError,
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
    let since = node.now();
    let followed = node.shards.conversations();
    let mut checkpoint = None;
    let mut complete = true;
    let mut chunks = followed.chunks(HEADS_MAX);
    // Also with nothing followed: there is a checkpoint to be learned.
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
            None => break,
        }
    }
    if complete && let Some(checkpoint) = checkpoint {
        *lock(&node.checkpoint) = Some(Position { checkpoint, since });
    }
    Ok(())
}

/// Compares a few conversations at once: those whose feed is new.
pub(super) async fn verify(
    node: &Arc<Node>,
    conversations: &[crate::model::ConversationId],
) -> Result<(), StoreError> {
    for chunk in conversations.chunks(HEADS_MAX) {
        let heads = node.in_time(node.ports.store.heads(chunk)).await?;
        for (conversation, head) in heads.heads {
            let hole = node.shards.of(conversation).observe(conversation, head);
            if let Some(hole) = hole {
                node.fill(conversation, hole).await;
            }
        }
    }
    Ok(())
}
