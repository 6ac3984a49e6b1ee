//! The hub in parts, each under its own lock, so that conversations do not wait for each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{hub::Feeds, model::ConversationId};

/// A power of two well above the cores of a machine: two busy conversations seldom share a lock.
const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Shards(Box<[Mutex<Feeds>]>);

impl Default for Shards {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Shards {
    /// The part that a conversation belongs to.
    pub(super) fn of(&self, conversation: ConversationId) -> MutexGuard<'_, Feeds> {
        // Ids are hashes or end in randomness: the last byte is spread evenly.
        let shard = usize::from(conversation.as_bytes()[15]) % SHARDS;
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every conversation that is followed here.
    pub(super) fn conversations(&self) -> Vec<ConversationId> {
        let mut all = Vec::new();
        for shard in &self.0 {
            all.extend(shard.lock().unwrap_or_else(PoisonError::into_inner).conversations());
        }
        // In an order of its own, whatever the hash map's: a simulation repeats by its seed.
        all.sort_unstable();
        all
    }
}
