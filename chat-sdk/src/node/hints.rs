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
        /// The live connections it holds. `None`: it leaves, or is of a version that does not say;
        /// one that does not know the word passes over it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connections: Option<u64>,
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

    /// How often this node says that it lives: two may be lost before it counts as dead.
    pub(super) fn between_words(&self) -> Duration {
        self.limits.node_lease / 3
    }

    pub(super) fn hear_hint(&self, hint: Hint) {
        match hint {
            Hint::Alive { node, uptime_ms, connections } => {
                if node != self.id {
                    lock(&self.balance).told(node, connections, self.lease());
                }
                let uptime = Duration::from_millis(uptime_ms);
                let new = lock(&self.presence).alive(node, self.lease());
                // It was given up, and with it whom it has. A young one has said all there is.
                if new && node != self.id && uptime > self.limits.node_lease {
                    self.ask_again();
                }
            }
            Hint::Ended { node } => {
                lock(&self.balance).ended(node);
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

    /// Tells the other nodes that this one lives, and what it holds.
    pub(super) fn say_alive(&self) {
        let alive = Hint::Alive {
            node: self.id,
            uptime_ms: self.now().as_millis() as u64,
            connections: (!self.is_draining()).then(|| self.connections() as u64),
        };
        self.send_hint(Topic::Nodes, &alive);
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
        node.say_alive();
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(node.between_words()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_another_version_live_too() {
        let older = br#"{"peer":"alive","node":7,"uptime_ms":5}"#;
        let alive = Hint::Alive { node: NodeId(7), uptime_ms: 5, connections: None };
        assert_eq!(Hint::decode(older).unwrap().unwrap(), alive);
        assert_eq!(&alive.encode()[..], older);
        // As this version passes over what a newer one adds, an older one passes over what this adds.
        let newer = br#"{"peer":"alive","node":7,"uptime_ms":5,"weather":"fine"}"#;
        assert_eq!(Hint::decode(newer).unwrap().unwrap(), alive);
    }

    #[test]
    fn a_hint_is_told_from_a_frame() {
        let hint = Hint::Present { node: NodeId(7), user: UserId::new("u").unwrap(), here: true };
        assert_eq!(Hint::decode(&hint.encode()).unwrap().unwrap(), hint);
        let alive = Hint::Alive { node: NodeId(7), uptime_ms: 5, connections: Some(3) };
        assert_eq!(Hint::decode(&alive.encode()).unwrap().unwrap(), alive);
        assert!(Hint::decode(br#"{"type":"event"}"#).is_none());
        assert!(Hint::decode(br#"{"peer":"of tomorrow"}"#).unwrap().is_err());
    }
}
