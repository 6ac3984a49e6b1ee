//! Whose credential holds no longer: here and on the other nodes, and again once in a while.

use std::sync::Arc;

use tracing::{debug, info};

use super::{Node, hints::Hint, lock};
use crate::{
    bus::Topic,
    model::{CredentialId, UserId},
    protocol::CloseCode,
    sabotage::{self, Defect},
};

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
        let registry = lock(&self.registry);
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
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.credentials_in_doubt.notified() => {}
            () = tokio::time::sleep(node.limits.credential_check) => {}
        }
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = check(&node) => {}
        }
    }
}

/// A revocation that this node was not told of ends the connection at the next look.
async fn check(node: &Arc<Node>) {
    let identities = lock(&node.registry).identities();
    for (identity, mailbox) in identities {
        if identity.by_switch {
            continue;
        }
        // Who cannot be asked about stays: an authenticator that hangs is no revocation.
        let asking = node.ports.authenticator.still_valid(&identity);
        let valid = tokio::time::timeout(node.limits.store_timeout, asking).await.unwrap_or(true);
        if !valid
            && !sabotage::on(Defect::IgnoreRevocation)
            && !sabotage::on(Defect::LoseRevocation)
        {
            info!(user = %identity.user, "credential no longer valid");
            mailbox.close(CloseCode::Revoked);
        }
    }
}
