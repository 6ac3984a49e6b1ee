//! STUB: stands for the reconcile core while it is being written elsewhere.

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{lease::Leadership, settings::Settings};

/// Looks after chats until `shutdown`.
///
/// # Errors
///
/// None yet.
pub async fn run(
    _client: Client,
    _settings: Settings,
    _leadership: Leadership,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    shutdown.cancelled().await;
    Ok(())
}
