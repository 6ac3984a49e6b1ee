//! The tasks that files need: uploads that outlive their connection, and the collection of what nobody
//! gets any more.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::Node;
use crate::{
    files::{
        error::FileError,
        upload::{Incoming, Progress},
    },
    model::{FileId, UserId},
};

impl Node {
    /// Takes bytes of an upload. The connection that brings them may end, and with it who waits here:
    /// what came is kept all the same.
    pub(crate) async fn take_upload(
        &self,
        owner: &UserId,
        file: FileId,
        offset: u64,
        announced: u64,
        bytes: Incoming,
    ) -> Result<Progress, FileError> {
        if self.stop.is_cancelled() {
            return Err(FileError::ShuttingDown);
        }
        let (files, owner, stop) = (self.files.clone(), owner.clone(), self.stop.clone());
        let taking = self
            .tasks
            .spawn(async move { files.take(&owner, file, offset, announced, bytes, stop).await });
        taking.await.unwrap_or(Err(FileError::ShuttingDown))
    }
}

/// Clears away, once in a while, until the node stops.
pub(super) async fn collect(node: Arc<Node>) {
    if !node.files.are_taken() {
        return;
    }
    let mut sweep_at = Instant::now();
    loop {
        // Nodes that start together do not look all at once.
        let wait = node.limits.file_collection / 2 + node.random_below(node.limits.file_collection);
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let round = async {
            let mut collected = node.files.collect().await?;
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + node.limits.file_sweep;
                collected.blobs = node.files.sweep().await?.blobs;
            }
            Ok::<_, FileError>(collected)
        };
        // What is begun can be left at any place.
        let round = tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            round = round => round,
        };
        match round {
            Ok(it) if it.files + it.blobs > 0 => {
                metrics::counter!("chat_files_collected_total").increment(it.files);
                info!(files = it.files, stray_blobs = it.blobs, "collected");
            }
            Ok(_) => {}
            Err(why) => warn!(error = &why as &dyn std::error::Error, "not collected"),
        }
    }
}
