//! Whose credential holds no longer: here and on the other nodes, and again once in a while.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt, stream};
use tokio::{sync::Notify, time::Instant};
use tracing::{debug, info};

use super::{Node, hints::Hint, lock};
use crate::{
    bus::Topic,
    hub::Mailbox,
    model::{CredentialId, Identity, UserId},
    protocol::CloseCode,
    sabotage::{self, Defect},
};

/// How many are asked about at a time: one after the other, a hundred thousand would take longer than
/// the time between two rounds; all at once, nobody else would get an answer from the store.
const ASKED_AT_ONCE: usize = 4;

/// Of whom it is not certain that their credentials hold.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    users: Mutex<BTreeSet<UserId>>,
    everybody: AtomicBool,
    rung: Notify,
}

impl Suspects {
    /// This one.
    pub(super) fn add(&self, user: UserId) {
        lock(&self.users).insert(user);
        self.rung.notify_one();
    }

    /// All.
    pub(super) fn add_everybody(&self) {
        self.everybody.store(true, Ordering::Relaxed);
        self.rung.notify_one();
    }
}

impl Node {
    /// Ends the live connections of a user on every node: all, or those of one credential. How many
    /// there were here.
    pub(crate) fn disconnect(&self, user: &UserId, credential: Option<&CredentialId>) -> usize {
        let hint = Hint::Revoked { user: user.clone(), credential: credential.cloned() };
        self.send_hint(Topic::User(user.clone()), &hint);
        self.disconnect_here(user, credential)
    }

    pub(super) fn disconnect_here(
        &self,
        user: &UserId,
        credential: Option<&CredentialId>,
    ) -> usize {
        if sabotage::on(Defect::IgnoreRevocation) {
            return 0;
        }
        let mut registry = lock(&self.registry);
        // Authenticating and saying hello take their time, each at most what the host's answer or
        // the client may take.
        let way_in = self.limits.store_timeout + self.limits.hello_timeout * 2;
        registry.note_revoked(user, credential, self.now(), way_in);
        let mailboxes = registry.mailboxes_by(user, credential);
        for mailbox in mailboxes.iter().chain(registry.newcomers_by(user, credential)) {
            mailbox.close(CloseCode::Revoked);
        }
        drop(registry);
        debug!(%user, connections = mailboxes.len(), "disconnected");
        mailboxes.len()
    }
}

/// Asks about every credential once in a while, and when the news of one may have been lost, until
/// the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut look_again = Instant::now() + node.limits.credential_check;
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.suspects.rung.notified() => {}
            () = tokio::time::sleep_until(look_again) => node.suspects.add_everybody(),
        }
        let users = std::mem::take(&mut *lock(&node.suspects.users));
        let identities = if node.suspects.everybody.swap(false, Ordering::Relaxed) {
            look_again = Instant::now() + node.limits.credential_check;
            lock(&node.registry).identities()
        } else {
            let registry = lock(&node.registry);
            users.iter().flat_map(|user| registry.identities_of(user)).collect()
        };
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = look_at(&node, identities) => {}
        }
    }
}

/// A revocation that this node was not told of ends the connection now.
async fn look_at(node: &Arc<Node>, identities: Vec<(Identity, Arc<Mailbox>)>) {
    let looking =
        stream::iter(identities).for_each_concurrent(ASKED_AT_ONCE, async |(identity, mailbox)| {
            if identity.by_switch {
                return;
            }
            // Who cannot be asked about stays: an authenticator that hangs is no revocation.
            let asking = node.ports.authenticator.still_valid(&identity);
            let valid =
                tokio::time::timeout(node.limits.store_timeout, asking).await.unwrap_or(true);
            if !valid
                && !sabotage::on(Defect::IgnoreRevocation)
                && !sabotage::on(Defect::LoseRevocation)
            {
                info!(user = %identity.user, "credential no longer valid");
                mailbox.close(CloseCode::Revoked);
            }
        });
    looking.await;
}
