//! The committed events that a host may listen to.

use tokio::sync::broadcast;

use crate::model::Event;

/// What a host's listener gets next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Heard {
    /// This event was committed.
    Event(Event),
    /// The listener was too slow: this many events went by. They are in the logs.
    Lagged(u64),
}

/// Every event that this node commits, whoever sent it, in the order of the commits.
///
/// Bounded ([`Limits::events_backlog`](crate::Limits::events_backlog)) and never in the way of
/// delivery: a host that is too slow is told how many events it missed, and reads them from the log
/// if it needs them. Events that another node committed are not here; with several nodes every one
/// of them hands out its own, so that a bot that listens on all of them sees each event once.
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Event>);

impl Events {
    /// The next one; `None` when the chat has shut down. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(event) => Some(Heard::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Lagged(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
