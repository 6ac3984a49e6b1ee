//! Leaving: tell everybody when to move, let them, then end what is left.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use tracing::info;

use super::{Node, lock};
use crate::protocol::{CloseCode, Encoded, ServerFrame};

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

impl Node {
    /// From now on no new connection is taken.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Tells every client when to move, closes what is left at the deadline, commits and answers
    /// what is in flight, and ends every task.
    pub(crate) async fn shutdown(self: &Arc<Self>, deadline: Duration) -> ShutdownReport {
        self.begin_drain();
        let mailboxes = lock(&self.registry).all();
        let connections = mailboxes.len();
        info!(connections, "draining");

        let window = self.limits.drain_window.min(deadline / 2);
        for mailbox in &mailboxes {
            let frame = ServerFrame::Drain {
                after_ms: self.random_below(window).as_millis() as u64,
                deadline_ms: deadline.as_millis() as u64,
            };
            mailbox.put(Encoded::text(&frame));
        }
        drop(mailboxes);
        // Who is not let in yet has nothing here to wait for.
        for mailbox in lock(&self.registry).newcomers() {
            mailbox.close(CloseCode::Restart);
        }
        self.sockets.close();
        let _ = tokio::time::timeout(deadline, self.sockets.wait()).await;

        let left = lock(&self.registry).all();
        for mailbox in &left {
            mailbox.close(CloseCode::Restart);
        }
        let closed = left.len();
        drop(left);
        let _ = tokio::time::timeout(LINGER, self.sockets.wait()).await;

        // The writer finishes its queue; the others stop where they are.
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(LINGER + self.limits.store_timeout, self.tasks.wait()).await;
        let stuck = self.sockets.len() + self.tasks.len();
        let moved = connections.saturating_sub(closed);
        info!(connections, moved, closed, stuck, "drained");
        ShutdownReport { connections, moved, closed, stuck }
    }

    fn random_below(&self, window: Duration) -> Duration {
        let mut random = [0; 4];
        self.ports.random.fill(&mut random);
        window.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
    }
}
