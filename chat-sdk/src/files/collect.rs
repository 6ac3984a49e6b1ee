//! What nobody gets any more goes: first the bytes, then what is known of them.

use std::num::NonZeroU16;

use super::{Files, error::FileError};
use crate::{
    model::{BlobId, Timestamp},
    store::{DiscardWhen, FileChange, FileChanged, FileQuery, FileRecord, FileState},
};

/// How many are looked at together.
const PAGE: NonZeroU16 = NonZeroU16::new(200).expect("not zero");

/// What became of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) files: u64,
    pub(crate) blobs: u64,
}

impl Files {
    /// Clears away what is gone or expired. Several nodes may do it at once: every step can be
    /// repeated.
    pub(crate) async fn collect(&self) -> Result<Collected, FileError> {
        let mut collected = Collected::default();
        if !self.are_taken() {
            return Ok(collected);
        }
        let now = self.ports.clock.now();
        loop {
            let over = self.in_time(self.ports.store.files(FileQuery::Over(now, PAGE))).await?;
            let mut cleared = 0;
            for record in &over {
                if record.state != FileState::Gone {
                    // It may have found its message just now.
                    let expired = DiscardWhen::ExpiredAt(now);
                    let discard = FileChange::Discard(record.file.id, expired);
                    let discard = self.ports.store.change_file(discard);
                    if self.in_time(discard).await? != FileChanged::Done {
                        continue;
                    }
                }
                self.clear(record).await?;
                cleared += 1;
            }
            collected.files += cleared;
            if over.len() < PAGE.get().into() || cleared == 0 {
                return Ok(collected);
            }
        }
    }

    /// Deletes the bytes of a file that is gone, and forgets it. Nothing was added to it since it is
    /// gone, and it is read again, because something may have been before.
    pub(super) async fn clear(&self, record: &FileRecord) -> Result<(), FileError> {
        let Some(record) = self.find(record.file.id).await? else { return Ok(()) };
        let blobs = self.blobs()?;
        for blob in record.blobs() {
            blobs.delete(blob).await?;
        }
        self.in_time(self.ports.store.change_file(FileChange::Forget(record.file.id))).await?;
        Ok(())
    }

    /// Deletes blobs that belong to no file: those of uploads whose process died between the bytes and
    /// the record, and of files that a restored database does not know. Young ones are left alone:
    /// their record may be about to be written.
    pub(crate) async fn sweep(&self) -> Result<Collected, FileError> {
        let mut collected = Collected::default();
        let Ok(blobs) = self.blobs() else { return Ok(collected) };
        let kept = i64::try_from(self.limits.file_kept.as_millis()).unwrap_or(i64::MAX);
        let before =
            Timestamp::from_millis(self.ports.clock.now().as_millis().saturating_sub(kept));
        let mut after = None;
        loop {
            let page = blobs.list(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(collected) };
            after = Some(last.id);
            let old = page.iter().filter(|blob| blob.at < before);
            let old: Vec<BlobId> = old.map(|blob| blob.id).collect();
            if old.is_empty() {
                continue;
            }
            for stray in self.in_time(self.ports.store.stray_blobs(&old)).await? {
                blobs.delete(stray).await?;
                collected.blobs += 1;
            }
        }
    }
}
