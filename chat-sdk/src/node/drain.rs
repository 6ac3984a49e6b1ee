//! Leaving: tell everybody when to move, let them, then end what is left. A node that has too many
//! tells some of them in the same way (`balance`).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use tracing::info;

use super::{Node, hints::Hint, lock};
use crate::{
    bus::{Budget, Topic},
    hub::Mailbox,
    protocol::{CloseCode, Encoded, ServerFrame},
};

/// How often some more clients are told to move; they spread over this time by themselves.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// So many are told at once in any case: a handful is no herd.
const AT_ONCE_MIN: usize = 5;

/// How long whoever is told to move from a node that stays is waited for: as long as a client needs
/// that is refused at the first try.
pub(super) const MOVE_WITHIN: Duration = Duration::from_secs(30);

/// How long the last connections get to take their close frame.
const LINGER: Duration = Duration::from_secs(3);

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were open when it began.
    pub connections: usize,
    /// Those that moved by themselves.
    pub moved: usize,
    /// Those that were closed at the deadline.
    pub closed: usize,
    /// Tasks that had to be left behind; zero unless a port of the host hangs.
    pub stuck: usize,
}

/// Why clients are told to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moving {
    /// This node ends then, and closes whoever is left.
    Leaving {
        /// When.
        ends: Instant,
    },
    /// It has more than its share, goes on, and closes nobody.
    Balancing,
}

impl Moving {
    /// How long who is told now has.
    fn left(self) -> Duration {
        match self {
            Self::Leaving { ends } => ends.saturating_duration_since(Instant::now()),
            Self::Balancing => MOVE_WITHIN,
        }
    }

    /// As metrics call it.
    const fn why(self) -> &'static str {
        match self {
            Self::Leaving { .. } => "drain",
            Self::Balancing => "balance",
        }
    }
}

impl Node {
    /// From now on no new connection is taken.
    pub(crate) fn begin_drain(&self) {
        if !self.draining.swap(true, Ordering::Relaxed) {
            // Who leaves is out of the balance: at once, or the others would count on it.
            self.say_alive();
        }
    }

    /// Tells every client when to move, closes what is left at the deadline, commits and answers
    /// what is in flight, and ends every task.
    pub(crate) async fn shutdown(self: &Arc<Self>, deadline: Duration) -> ShutdownReport {
        self.begin_drain();
        let mailboxes = lock(&self.registry).all();
        let connections = mailboxes.len();
        info!(connections, "draining");

        // Who is not let in yet has nothing here to wait for.
        for mailbox in lock(&self.registry).newcomers() {
            mailbox.close(CloseCode::Restart);
        }
        self.sockets.close();
        let ends = Instant::now() + deadline;
        let moving = async {
            self.tell_to_move(mailboxes, Moving::Leaving { ends }).await;
            self.sockets.wait().await;
        };
        let _ = tokio::time::timeout_at(ends, moving).await;

        let left = lock(&self.registry).all();
        for mailbox in &left {
            mailbox.close(CloseCode::Restart);
        }
        let closed = left.len();
        drop(left);
        let _ = tokio::time::timeout(LINGER, self.sockets.wait()).await;

        // Those that are still here are on no node from now on, until they say otherwise.
        self.send_hint(Topic::Nodes, &Hint::Ended { node: self.id });
        // The writers and the way to the bus finish their queues; the others stop where they are.
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(LINGER + self.limits.store_timeout, self.tasks.wait()).await;
        let stuck = self.sockets.len() + self.tasks.len();
        let moved = connections.saturating_sub(closed);
        info!(connections, moved, closed, stuck, "drained");
        ShutdownReport { connections, moved, closed, stuck }
    }

    /// Tells one after the other, over the window, and no more of them than the other nodes can
    /// take in: what all nodes tell together comes out of one budget.
    pub(super) async fn tell_to_move(&self, mailboxes: Vec<Arc<Mailbox>>, moving: Moving) {
        let window = self.limits.drain_window.min(moving.left() / 2);
        let ticks = window.as_millis().div_ceil(TICK.as_millis()).max(1);
        let at_once = mailboxes.len().div_ceil(ticks as usize).max(AT_ONCE_MIN);
        let per_second = self.limits.moves_per_second;
        let budget = Budget { name: "moves", per_second, burst: per_second.div_ceil(10) };
        let mut mailboxes = mailboxes.into_iter();
        while !mailboxes.as_slice().is_empty() {
            if moving == Moving::Balancing && self.is_draining() {
                return;
            }
            let wanted = at_once.min(mailboxes.len());
            let take = self.ports.bus.take(budget, wanted as u32);
            let granted = match tokio::time::timeout(TICK, take).await {
                Ok(Ok(granted)) => wanted.min(granted as usize),
                // Nobody counts for all: one's own measure, then.
                Ok(Err(_)) | Err(_) => wanted,
            };
            for mailbox in mailboxes.by_ref().take(granted) {
                let left = moving.left();
                let frame = ServerFrame::Drain {
                    after_ms: self.random_below(TICK.min(left / 2)).as_millis() as u64,
                    deadline_ms: left.as_millis() as u64,
                };
                mailbox.put(Encoded::text(&frame));
                metrics::counter!("chat_moves_total", "why" => moving.why()).increment(1);
            }
            if !mailboxes.as_slice().is_empty() {
                tokio::time::sleep(TICK).await;
            }
        }
    }

    pub(super) fn random_below(&self, window: Duration) -> Duration {
        let mut random = [0; 4];
        self.ports.random.fill(&mut random);
        window.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
    }
}
