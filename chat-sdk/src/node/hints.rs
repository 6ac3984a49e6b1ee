//! What nodes tell each other that no client sees: who is where, who may no longer, and that they
//! live.
//!
//! Like everything on the bus it may be lost, and has its second way: presence is a lease,
//! credentials are asked about again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Node, lock};
use crate::{
    bus::Topic,
    hub::NodeId,
    model::{CredentialId, UserId},
    sabotage::{self, Defect},
};

/// How many users are asked about in one hint.
const USERS_MAX: usize = 200;
/// How long the others get to repeat what may have been lost.
const ANSWER: Duration = Duration::from_secs(5);

/// One word between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "peer", rename_all = "snake_case")]
pub(super) enum Hint {
    /// This node lives, for so long already.
    Alive {
        /// It.
        node: NodeId,
        /// Since it began.
        uptime_ms: u64,
    },
    /// This node ends.
    Ended {
        /// It.
        node: NodeId,
    },
    /// A user came to a node or left it.
    Present {
        /// The node.
        node: NodeId,
        /// The user.
        user: UserId,
        /// Is there.
        here: bool,
    },
    /// Whoever has one of these users, say so.
    WhoHas {
        /// Them.
        users: Vec<UserId>,
    },
    /// A credential of a user, or all, holds no longer.
    Revoked {
        /// Whose.
        user: UserId,
        /// Which one; `None`: all.
        credential: Option<CredentialId>,
    },
}

impl Hint {
    /// What every hint begins with, and no frame.
    const MARK: &'static [u8] = br#"{"peer":"#;

    /// `None`: not a hint. An error: one of a newer node, or damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<serde_json::Result<Self>> {
        bytes.starts_with(Self::MARK).then(|| serde_json::from_slice(bytes))
    }

    fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a hint is plain data").into()
    }
}

impl Node {
    pub(super) fn send_hint(&self, topic: Topic, hint: &Hint) {
        self.send_to_bus(topic, hint.encode());
    }

    /// So long another node is believed from now on.
    fn lease(&self) -> Duration {
        self.now() + self.limits.node_lease
    }

    pub(super) fn hear_hint(&self, hint: Hint) {
        match hint {
            Hint::Alive { node, uptime_ms } => {
                let uptime = Duration::from_millis(uptime_ms);
                let new = lock(&self.presence).alive(node, self.lease());
                // It was given up, and with it whom it has. A young one has said all there is.
                if new && node != self.id && uptime > self.limits.node_lease {
                    self.ask_again();
                }
            }
            Hint::Ended { node } => {
                let mut presence = lock(&self.presence);
                let gone = presence.ended(node);
                presence.tell_all(&gone, false);
            }
            Hint::Present { node, .. } if node == self.id => {}
            Hint::Present { node, user, here } => {
                let mut presence = lock(&self.presence);
                presence.alive(node, self.lease());
                if let Some(online) = presence.told(node, &user, here) {
                    presence.tell(&user, online);
                }
            }
            Hint::WhoHas { users } => {
                let presence = lock(&self.presence);
                let here: Vec<_> =
                    users.into_iter().filter(|user| presence.is_here(user)).collect();
                drop(presence);
                for user in here {
                    self.say_presence(&user, true);
                }
            }
            Hint::Revoked { user, credential } => {
                if !sabotage::on(Defect::LoseRevocation) {
                    self.disconnect_here(&user, credential.as_ref());
                }
            }
        }
    }

    /// Tells the other nodes whether a user is here.
    pub(super) fn say_presence(&self, user: &UserId, here: bool) {
        let hint = Hint::Present { node: self.id, user: user.clone(), here };
        self.send_hint(Topic::User(user.clone()), &hint);
    }

    /// The bus listens for these now: whoever is watched among them is asked about.
    pub(super) fn ask_for(&self, topics: &[Topic]) {
        for topic in topics {
            if let Topic::User(user) = topic
                && lock(&self.presence).is_watched(user)
            {
                self.send_hint(topic.clone(), &Hint::WhoHas { users: vec![user.clone()] });
            }
        }
    }

    /// Words of other nodes may have been lost: asks for them again.
    pub(super) fn ask_again(&self) {
        let mut users = lock(&self.presence).doubt(self.now() + ANSWER);
        // In an order that a simulation can repeat.
        users.sort_unstable();
        for users in users.chunks(USERS_MAX) {
            self.send_hint(Topic::Nodes, &Hint::WhoHas { users: users.to_vec() });
        }
    }
}

/// Says that this node lives, and forgets those that do not, until the node stops.
pub(super) async fn live(node: Arc<Node>) {
    loop {
        let uptime_ms = node.now().as_millis() as u64;
        node.send_hint(Topic::Nodes, &Hint::Alive { node: node.id, uptime_ms });
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            // Two may be lost before it counts as dead.
            () = tokio::time::sleep(node.limits.node_lease / 3) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_told_from_a_frame() {
        let hint = Hint::Present { node: NodeId(7), user: UserId::new("u").unwrap(), here: true };
        assert_eq!(Hint::decode(&hint.encode()).unwrap().unwrap(), hint);
        assert!(Hint::decode(br#"{"type":"event"}"#).is_none());
        assert!(Hint::decode(br#"{"peer":"of tomorrow"}"#).unwrap().is_err());
    }
}
