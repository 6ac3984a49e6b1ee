//! Giving up what is more than this node's share, after nodes were added: the surplus is told to move
//! as if this node left. What is too much is decided in `hub`.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    Node,
    drain::{MOVE_WITHIN, Moving, TICK},
    lock,
};

/// Looks once in a while whether this node has too many, until the node stops or leaves.
pub(super) async fn run(node: Arc<Node>) {
    if node.limits.balance_above_percent == 0 {
        return;
    }
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            // As often as there is news.
            () = sleep(node.between_words()) => {}
        }
        // Whoever leaves tells everybody, and is counted by nobody.
        if node.is_draining() {
            return;
        }
        let before = node.connections() as u64;
        let (surplus, settled) = {
            let mut balance = lock(&node.balance);
            (balance.decide(node.now(), before), balance.settled(node.now()))
        };
        let (1.., Some(settled)) = (surplus, settled) else { continue };
        let told = tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            told = node.shed(usize::try_from(surplus).unwrap_or(usize::MAX), settled) => told,
        };
        lock(&node.balance).moved(told as u64, before, node.connections() as u64);
    }
}

impl Node {
    /// Tells so many to move, and waits until they have, or have had their time. How many were told.
    /// Whoever does not move stays: a client that cannot is better off here than nowhere.
    async fn shed(&self, surplus: usize, settled: Duration) -> usize {
        let mut moving = lock(&self.registry).oldest_to_move(surplus, settled);
        let told = moving.len();
        if told > 0 {
            info!(connections = told, "telling the surplus to move to nodes that have fewer");
        }
        self.tell_to_move(moving.clone(), Moving::Balancing).await;
        let until = Instant::now() + MOVE_WITHIN;
        loop {
            moving.retain(|mailbox| !mailbox.is_ended());
            if moving.is_empty() || Instant::now() >= until || self.is_draining() {
                return told;
            }
            sleep(TICK).await;
        }
    }
}
