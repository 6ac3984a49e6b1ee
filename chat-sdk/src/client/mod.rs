//! A client for bots, tests and other programs (feature `client`): a connection that lasts.
//!
//! [`Client`] sends, and edits, deletes, reacts and pins; [`ClientEvents`] is what comes, per conversation in order, without a hole and
//! without a repetition, over any number of connections and nodes. What it does by itself: resume
//! where it was, come back with back-off, move when a node drains, renew the credential, repeat what
//! has no answer with the same key, ask for what is missing.
//!
//! ```no_run
//! use chat_sdk::{
//!     Body,
//!     client::{Client, ClientEvent, LogIn},
//!     protocol::SendTo,
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "https://chat.example.org";
//! let (client, mut events) = Client::builder(url, LogIn::new(url, "echo", "a password")?).start()?;
//! while let Some(event) = events.next().await {
//!     let ClientEvent::Event(event) = event else { continue };
//!     let (Some(from), Body::Message(message)) = (event.from, event.body) else { continue };
//!     client.mark_read(event.conversation, event.seq)?;
//!     if Some(&from) != client.me().as_ref() {
//!         let place = client.send(SendTo::Conversation(event.conversation), message.text)?.await?;
//!         println!("answered {from} at {}", place.seq);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Bounds
//!
//! Nothing here grows: see [`ClientLimits`]. A host that takes no events is in the end a slow reader
//! for the server, and gets what it missed afterwards; a full outbox refuses.
//!
//! # Stopping and going on
//!
//! [`Client::resume`] says where the host is, [`ClientBuilder::resume`] goes on from there: what
//! [`ClientEvents::next`] has given counts as reached, what still waited does not. So a bot that
//! stores it after each event that it has dealt with sees every event once; one that stores it now
//! and then sees some twice, and none never.

mod limits;
mod news;
mod token;
mod resume;
mod places;
mod inbox;
mod outbox;
mod marks;
mod link;
mod backoff;
mod machine;
mod dial;
mod socket;
mod driver;
mod handle;
mod http;
mod files;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::{
    handle::{Amending, Client, ClientBuilder, ClientEvents, Sending},
    http::{History, Http, HttpError, InvalidUrl, LogIn, LoggedIn},
    limits::ClientLimits,
    news::{ClientEvent, Closed, Ending},
    token::{TokenError, TokenSource},
};
use crate::{
    model::{ClientKey, ConversationId, Seq, Timestamp},
    protocol::Problem,
};

/// Names a connection of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinkId(u64);

/// A connection that is about to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counts all of this client, from 1.
    pub number: u64,
    /// How many failed before it, since the last good one.
    pub failures: u32,
    /// Whether the node of the present connection is about to leave: another one is wanted.
    pub moving: bool,
}

/// How a client stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// A connection is being opened.
    Connecting {
        /// After so many failures.
        failures: u32,
    },
    /// There is one.
    Open {
        /// Everything that was missed has arrived.
        live: bool,
        /// The node leaves, and the client with it.
        moving: bool,
    },
    /// Waits before the next try.
    Waiting {
        /// After so many failures.
        failures: u32,
        /// For so long.
        retry_in: Duration,
        /// Because of this.
        because: Ending,
    },
    /// Over.
    Closed(Closed),
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPlace {
    /// Under this key.
    pub key: ClientKey,
    /// In this log.
    pub conversation: ConversationId,
    /// At this place.
    pub seq: Seq,
    /// Since this time.
    pub at: Timestamp,
    /// Whether the server had it already when it was (last) asked.
    pub duplicate: bool,
}

/// Why a message has no place, or is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The outbox has no room; nothing was taken. Wait for the place of another message.
    #[error("the outbox is full")]
    Full {
        /// The one that the message would have had.
        key: ClientKey,
    },
    /// The server will not have it, and nothing was written.
    #[error("refused: {}", problem.code.title())]
    Refused {
        /// Of the message.
        key: ClientKey,
        /// Why.
        problem: Problem,
    },
    /// The server will not have it, but an earlier try had no answer, and the user may have been a
    /// member then: it may or may not have been written.
    #[error("refused, and an earlier try had no answer: {}", problem.code.title())]
    Unsure {
        /// Of the message.
        key: ClientKey,
        /// Why it is refused now.
        problem: Problem,
    },
    /// The client ended before there was an answer: it may or may not have been written. Send it
    /// again with this key, and it is written once.
    #[error("the client is closed: {because}")]
    Closed {
        /// Of the message.
        key: ClientKey,
        /// Why.
        because: Closed,
    },
}

/// Why a marker is not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarkError {
    /// Markers of too many conversations wait already.
    #[error("too many markers wait")]
    Full,
    /// The client has ended.
    #[error("the client is closed: {0}")]
    Closed(Closed),
}

/// Why users are not watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The server does not allow so many.
    #[error("more than {max} users")]
    TooMany {
        /// So many it does.
        max: usize,
    },
    /// The client has ended.
    #[error("the client is closed: {0}")]
    Closed(Closed),
}
