//! Writes out what was published to connections that sleep: one task for some dozens of them,
//! instead of a wake-up for each.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::{Node, lock};
use crate::hub::Mailbox;

/// Connections that are written to without a pause. A write takes some microseconds, so other tasks
/// of the thread wait for a fraction of a millisecond, and idle threads find something to steal.
const AT_ONCE: usize = 32;

/// Mailboxes that nobody was woken for. Each is in it once at most, so it is as long as there are
/// connections at most.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    due: Mutex<Vec<Arc<Mailbox>>>,
    some: Notify,
}

impl Outgoing {
    pub(super) fn add(&self, mut due: Vec<Arc<Mailbox>>) {
        if !due.is_empty() {
            lock(&self.due).append(&mut due);
            self.some.notify_one();
        }
    }
}

/// Writes them out, until the node stops: then connections take what waits for them themselves.
pub(super) async fn run(node: Arc<Node>) {
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.outgoing.some.notified() => {}
        }
        let mut due = std::mem::take(&mut *lock(&node.outgoing.due)).into_iter();
        while due.len() > AT_ONCE {
            let some: Vec<_> = due.by_ref().take(AT_ONCE).collect();
            node.tasks.spawn(async move { some.iter().for_each(|mailbox| mailbox.write_out()) });
        }
        due.for_each(|mailbox| mailbox.write_out());
    }
}
