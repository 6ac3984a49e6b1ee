//! Blobs in memory: for tests and for trying things out.

use std::{collections::BTreeMap, num::NonZeroU16, ops::Range, sync::Mutex};

use bytes::{Bytes, BytesMut};

use super::{Blob, BlobError, BlobId, BlobStore, BlobStream};
use crate::{
    env::{Clock, SystemClock},
    model::Timestamp,
};

/// Blobs that end with the process. Each is held in one piece: not for long ones.
#[derive(Debug, Default)]
pub struct MemoryBlobStore {
    blobs: Mutex<BTreeMap<BlobId, (Bytes, Timestamp)>>,
}

impl MemoryBlobStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn blobs(&self) -> std::sync::MutexGuard<'_, BTreeMap<BlobId, (Bytes, Timestamp)>> {
        self.blobs.lock().expect("nothing panics under this lock")
    }
}

impl BlobStore for MemoryBlobStore {
    async fn put(&self, id: BlobId, mut bytes: BlobStream) -> Result<u64, BlobError> {
        let mut all = BytesMut::new();
        while let Some(piece) = bytes.next().await {
            all.extend_from_slice(&piece?);
        }
        let length = all.len() as u64;
        self.blobs().insert(id, (all.freeze(), SystemClock.now()));
        Ok(length)
    }

    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobStream>, BlobError> {
        let Some((bytes, _)) = self.blobs().get(&id).cloned() else { return Ok(None) };
        let within =
            |place: u64| usize::try_from(place).map_or(bytes.len(), |it| it.min(bytes.len()));
        let (start, end) = (within(range.start), within(range.end));
        Ok(Some(BlobStream::of(bytes.slice(start..end.max(start)))))
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        self.blobs().remove(&id);
        Ok(())
    }

    async fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Result<Vec<Blob>, BlobError> {
        use std::ops::Bound::{Excluded, Unbounded};

        let blobs = self.blobs();
        let page = blobs.range((after.map_or(Unbounded, Excluded), Unbounded));
        let blob = |(&id, (bytes, at)): (&BlobId, &(Bytes, Timestamp))| Blob {
            id,
            bytes: bytes.len() as u64,
            at: *at,
        };
        Ok(page.take(limit.get().into()).map(blob).collect())
    }
}
