//! What nodes tell each other: the [`Bus`] port and its contract.
//!
//! A hint and never the truth: whatever it loses is found again by comparing numbers with the store.

mod local;
#[cfg(feature = "redis")]
mod redis;

use std::future::Future;

use bytes::Bytes;

pub use self::local::LocalBus;
#[cfg(feature = "redis")]
pub use self::redis::{RedisBus, RedisOptions, RedisOptionsError};
use crate::{
    model::{ConversationId, UserId},
    store::BoxError,
};

/// What a message is about, and so who wants it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Topic {
    /// For nodes on which somebody follows this conversation.
    Conversation(ConversationId),
    /// For nodes on which this user has a session or is watched.
    User(UserId),
    /// For every node; always followed.
    Nodes,
}

/// Something that all nodes of a chat share out among themselves: so many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Budgets of different names have nothing to do with each other. Letters, digits and `-`.
    pub name: &'static str,
    /// How many may be taken a second, over time.
    pub per_second: u32,
    /// How many may be taken at once after a pause.
    pub burst: u32,
}

/// What a node hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Another node published this.
    Message(Topic, Bytes),
    /// Messages of any topic may have been lost up to here: a reconnect, an overflow.
    Lost,
}

/// The bus cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("bus unavailable")]
pub struct BusError(#[source] pub BoxError);

/// The connection between the nodes of one chat.
///
/// # What an implementation must keep
///
/// Little: delivery is at most once, in any order, and repeats are allowed. A node may or may not
/// hear its own messages. Only that it **says when it knows of a loss** ([`Heard::Lost`], after every
/// reconnect at the least), that a message arrives as it was published or not at all, and that
/// memory stays bounded when [`next`](Bus::next) is not called: drop, and report a loss.
///
/// Each node has a bus of its own (a handle with its own subscriptions). Topics that are not
/// followed may be heard too; they are ignored.
pub trait Bus: Send + Sync + 'static {
    /// Publishes. Fire and forget: an error is logged, and the position check makes up for it.
    fn publish(
        &self,
        messages: Vec<(Topic, Bytes)>,
    ) -> impl Future<Output = Result<(), BusError>> + Send;

    /// From now on this node wants these topics.
    fn follow(&self, topics: Vec<Topic>) -> impl Future<Output = Result<(), BusError>> + Send;

    /// It no longer does.
    fn unfollow(&self, topics: Vec<Topic>) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Takes at most `wanted` out of a budget that all nodes share; how many it may be. By default
    /// all: a bus that cannot count for all nodes leaves each to its own measure, as does an error.
    fn take(
        &self,
        budget: Budget,
        wanted: u32,
    ) -> impl Future<Output = Result<u32, BusError>> + Send {
        let _ = budget;
        async move { Ok(wanted) }
    }

    /// Whether it works at the moment: for people who look. Nothing is decided by it.
    fn check(&self) -> impl Future<Output = Result<(), BusError>> + Send {
        async { Ok(()) }
    }

    /// What comes next. Called by one task of the node at a time; waits when there is nothing.
    /// Dropping the future loses nothing.
    fn next(&self) -> impl Future<Output = Heard> + Send;
}
