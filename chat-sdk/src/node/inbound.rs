//! To and from the bus.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tracing::{debug, info, warn};

use super::{Node, hints::Hint, lock, position_check};
use crate::{
    bus::{Heard, Topic},
    protocol::{Encoded, ServerFrame, codec::decode_server},
};

/// After which time a bus that could not be told of topics is told again.
const TELL_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
/// How many messages go to the bus in one call.
const BATCH_MAX: usize = 256;

/// Publishes what waits, in order, until the node stops.
pub(super) async fn publish(node: Arc<Node>, mut queue: mpsc::Receiver<(Topic, Bytes)>) {
    let mut batch = Vec::new();
    // An outage is told when it begins and when it ends, not with every message between.
    let mut works = true;
    loop {
        let count = tokio::select! {
            biased;
            count = queue.recv_many(&mut batch, BATCH_MAX) => count,
            () = node.stop.cancelled() => return,
        };
        if count == 0 {
            return;
        }
        let published = node.ports.bus.publish(std::mem::take(&mut batch)).await;
        match &published {
            Ok(()) if works => {}
            Ok(()) => info!("published again"),
            Err(why) if works => {
                warn!(error = why as &dyn std::error::Error, "not published, nor what follows");
            }
            Err(why) => debug!(error = why as &dyn std::error::Error, "not published"),
        }
        works = published.is_ok();
    }
}

/// Topics that this node begins or ceases to want, until the bus has been told: the last word
/// counts, so there are never more than topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    changes: Mutex<BTreeMap<Topic, bool>>,
    changed: Notify,
}

impl Topics {
    pub(super) fn follow(&self, topic: Topic) {
        self.change(topic, true);
    }

    pub(super) fn unfollow(&self, topic: Topic) {
        self.change(topic, false);
    }

    /// The bus could not be told: to be told again, unless there is a newer word.
    fn put_back(&self, wanted: Vec<Topic>, unwanted: Vec<Topic>) {
        let mut changes = lock(&self.changes);
        let old = wanted.into_iter().map(|topic| (topic, true));
        for (topic, wanted) in old.chain(unwanted.into_iter().map(|topic| (topic, false))) {
            changes.entry(topic).or_insert(wanted);
        }
        self.changed.notify_one();
    }

    fn change(&self, topic: Topic, wanted: bool) {
        lock(&self.changes).insert(topic, wanted);
        self.changed.notify_one();
    }
}

/// Tells the bus which topics are wanted, until the node stops.
pub(super) async fn subscribe(node: Arc<Node>) {
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.topics.changed.notified() => {}
        }
        let changes = std::mem::take(&mut *lock(&node.topics.changes));
        let (wanted, unwanted): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, on)| *on);
        let [wanted, unwanted] =
            [wanted, unwanted].map(|it| it.into_iter().map(|(topic, _)| topic).collect::<Vec<_>>());
        // A feed is new: what was published before it was there went unheard, here and on the bus.
        let new: Vec<_> = wanted
            .iter()
            .filter_map(|topic| match topic {
                Topic::Conversation(conversation) => Some(*conversation),
                Topic::User(_) | Topic::Nodes => None,
            })
            .collect();
        let bus = &node.ports.bus;
        let told = match bus.unfollow(unwanted.clone()).await {
            Ok(()) => bus.follow(wanted.clone()).await,
            Err(why) => Err(why),
        };
        if let Err(why) = told {
            warn!(error = &why as &dyn std::error::Error, "bus not told of topics");
            node.topics.put_back(wanted, unwanted);
            tokio::select! {
                biased;
                () = node.stop.cancelled() => return,
                () = tokio::time::sleep(TELL_AGAIN) => {}
            }
            continue;
        }
        node.ask_for(&wanted);
        for topic in &wanted {
            if let Topic::User(user) = topic {
                // A revocation before went unheard.
                node.suspects.add(user.clone());
            }
        }
        if !new.is_empty()
            && let Err(why) = position_check::compare(&node, &new).await
        {
            warn!(error = &why as &dyn std::error::Error, "new feeds not compared with the store");
            node.check_now.notify_one();
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
                node.doubts.raise_all();
                node.suspects.add_everybody();
                node.ask_again();
            }
        }
    }
}

fn hear(node: &Arc<Node>, topic: &Topic, bytes: &Bytes) {
    match Hint::decode(bytes) {
        None => {}
        Some(Ok(hint)) => return node.hear_hint(hint),
        Some(Err(why)) => return debug!(?topic, %why, "unknown hint on the bus"),
    }
    let frame = std::str::from_utf8(bytes).ok().and_then(|text| decode_server(text).ok());
    match frame.flatten() {
        Some(ServerFrame::Event(event)) => {
            node.deliver(&event);
        }
        Some(ServerFrame::Receipt { conversation, user, marker }) => match topic {
            Topic::User(_) => {
                node.deliver_own_receipt(conversation, &user, marker);
            }
            _ => {
                node.deliver_receipt(conversation, &user, marker);
            }
        },
        Some(frame @ ServerFrame::Typing { conversation, .. }) => {
            node.signal(conversation, &Encoded::text(&frame), None);
        }
        // Of a newer node, or damaged: the position check knows better.
        _ => debug!(?topic, "unknown message on the bus"),
    }
}
