//! To and from the bus.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{Node, lock};
use crate::{
    bus::{Heard, Topic},
    protocol::{Encoded, ServerFrame, codec::decode_server},
};

/// How many messages go to the bus in one call.
const BATCH_MAX: usize = 256;

/// Publishes what waits, in order, until the node stops.
pub(super) async fn publish(node: Arc<Node>, mut queue: mpsc::Receiver<(Topic, Bytes)>) {
    let mut batch = Vec::new();
    loop {
        let count = tokio::select! {
            biased;
            count = queue.recv_many(&mut batch, BATCH_MAX) => count,
            () = node.stop.cancelled() => return,
        };
        if count == 0 {
            return;
        }
        if let Err(why) = node.ports.bus.publish(std::mem::take(&mut batch)).await {
            warn!(error = &why as &dyn std::error::Error, "not published");
        }
    }
}

/// Takes what other nodes published, until the node stops.
pub(super) async fn listen(node: Arc<Node>) {
    loop {
        let heard = tokio::select! {
            biased;
            heard = node.ports.bus.next() => heard,
            () = node.stop.cancelled() => return,
        };
        match heard {
            Heard::Message(topic, bytes) => hear(&node, &topic, &bytes),
            Heard::Lost => {
                metrics::counter!("chat_bus_losses_total").increment(1);
                node.check_now.notify_one();
            }
        }
    }
}

fn hear(node: &Arc<Node>, topic: &Topic, bytes: &Bytes) {
    let frame = std::str::from_utf8(bytes).ok().and_then(|text| decode_server(text).ok());
    match frame.flatten() {
        Some(ServerFrame::Event(event)) => {
            node.deliver(&event);
        }
        Some(ServerFrame::Receipt { conversation, user, marker }) => {
            node.deliver_receipt(conversation, &user, marker);
        }
        Some(frame @ ServerFrame::Typing { conversation, .. }) => {
            node.signal(conversation, &Encoded::text(&frame), None);
        }
        Some(frame @ ServerFrame::Presence { .. }) => {
            if let ServerFrame::Presence { user, .. } = &frame {
                lock(&node.presence).tell(user, &Encoded::text(&frame));
            }
        }
        // Of a newer node, or damaged: the position check knows better.
        _ => debug!(?topic, "unknown message on the bus"),
    }
}
