//! The bus of nodes in one process: most often of a single node, which has nobody to talk to.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, broadcast};

use super::{Bus, BusError, Heard, Topic};

/// How many messages a node may lag behind before it is told of a loss: a second of lively traffic.
const BACKLOG: usize = 4096;

/// Connects nodes of one process. A node by itself takes [`LocalBus::new`]; further ones
/// [`join`](LocalBus::join) it, which is how tests and embedders run several nodes side by side.
#[derive(Debug)]
pub struct LocalBus {
    node: u64,
    sender: broadcast::Sender<(u64, Topic, Bytes)>,
    // Held across an await by `next` alone, which one task calls.
    receiver: Arc<Mutex<broadcast::Receiver<(u64, Topic, Bytes)>>>,
}

impl LocalBus {
    /// A bus with one node.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = broadcast::channel(BACKLOG);
        Self { node: 0, sender, receiver: Arc::new(Mutex::new(receiver)) }
    }

    /// The bus of one more node, which hears the others and is heard by them. `node` must differ
    /// from node to node.
    #[must_use]
    pub fn join(&self, node: u64) -> Self {
        let receiver = self.sender.subscribe();
        Self { node, sender: self.sender.clone(), receiver: Arc::new(Mutex::new(receiver)) }
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus for LocalBus {
    async fn publish(&self, messages: Vec<(Topic, Bytes)>) -> Result<(), BusError> {
        // Alone on the bus (our own receiver is always there), nobody would listen.
        if self.sender.receiver_count() > 1 {
            for (topic, bytes) in messages {
                // Fails only without receivers: then nobody missed it.
                let _ = self.sender.send((self.node, topic, bytes));
            }
        }
        Ok(())
    }

    async fn follow(&self, _topics: Vec<Topic>) -> Result<(), BusError> {
        Ok(())
    }

    async fn unfollow(&self, _topics: Vec<Topic>) -> Result<(), BusError> {
        Ok(())
    }

    async fn next(&self) -> Heard {
        let mut receiver = self.receiver.lock().await;
        loop {
            match receiver.recv().await {
                Ok((node, topic, bytes)) if node != self.node => {
                    return Heard::Message(topic, bytes);
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Heard::Lost,
                // We hold a sender ourselves.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
