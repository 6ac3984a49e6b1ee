//! Files: how they come in, who gets them, and what becomes of what nobody wants.
//!
//! Between the two ports that know of them, the store (whose, how far, in which message) and the blob
//! store (bytes), and the doors. Knows no HTTP and runs no task of its own.

pub(crate) mod address;
mod collect;
pub(crate) mod download;
pub(crate) mod error;
#[cfg(feature = "images")]
mod picture;
pub(crate) mod sniff;
pub(crate) mod upload;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::sync::Semaphore;

use self::{address::Signer, error::FileError};
use crate::{
    blob::{BlobError, BlobStream},
    erased::{DynBlobStore, Ports},
    limits::Limits,
    model::{BlobId, FileId, UserId},
    store::{FilePart, FileQuery, FileRecord, StoreError},
};

/// What a node does with files.
pub(crate) struct Files {
    ports: Ports,
    limits: Arc<Limits>,
    pub(crate) signer: Signer,
    /// Uploads that bring bytes now, by user.
    coming: Mutex<BTreeMap<UserId, usize>>,
    /// One picture at a time: each may take hundreds of megabytes and a core.
    #[cfg_attr(not(feature = "images"), expect(dead_code, reason = "pictures are not looked at"))]
    workshop: Semaphore,
}

impl Files {
    pub(crate) fn new(ports: Ports, limits: Arc<Limits>, key: Option<Arc<[u8]>>) -> Self {
        let key = key.unwrap_or_else(|| {
            let mut key = [0; 32];
            ports.random.fill(&mut key);
            key.into()
        });
        Self {
            ports,
            limits,
            signer: Signer::new(&key),
            coming: Mutex::default(),
            workshop: Semaphore::new(1),
        }
    }

    /// Whether files are taken here at all.
    pub(crate) const fn are_taken(&self) -> bool {
        self.ports.blobs.is_some()
    }

    fn blobs(&self) -> Result<&Arc<dyn DynBlobStore>, FileError> {
        self.ports.blobs.as_ref().ok_or(FileError::NotTaken)
    }

    /// What the store may take for one question.
    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.limits.store_timeout, asking).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
        }
    }

    async fn find(&self, file: FileId) -> Result<Option<FileRecord>, StoreError> {
        let found = self.in_time(self.ports.store.files(FileQuery::Ids(vec![file]))).await?;
        Ok(found.into_iter().next())
    }

    fn new_blob(&self) -> BlobId {
        let mut id = [0; 16];
        self.ports.random.fill(&mut id);
        BlobId::from_bytes(id)
    }

    /// The bytes of some parts that lie in this range of all of them. The first part is asked for now,
    /// so that its absence is an error and not a stream that breaks off.
    async fn bytes(&self, parts: &[FilePart], range: Range<u64>) -> Result<BlobStream, FileError> {
        let blobs = Arc::clone(self.blobs()?);
        let mut wanted = Vec::new();
        let mut begin = 0;
        for part in parts {
            let end = begin + part.bytes;
            let within = range.start.max(begin)..range.end.min(end);
            if within.start < within.end {
                wanted.push((part.blob, within.start - begin..within.end - begin));
            }
            begin = end;
        }
        let mut wanted = wanted.into_iter();
        let Some((blob, within)) = wanted.next() else { return Ok(BlobStream::of(Bytes::new())) };
        let first = get(&*blobs, blob, within).await?;
        Ok(BlobStream::new(stream::try_unfold(
            (first, wanted, blobs),
            |(mut now, mut wanted, blobs)| async move {
                loop {
                    if let Some(piece) = now.next().await {
                        return Ok(Some((piece?, (now, wanted, blobs))));
                    }
                    let Some((blob, within)) = wanted.next() else { return Ok(None) };
                    now = get(&*blobs, blob, within).await?;
                }
            },
        )))
    }

    /// The same, whole; for few bytes.
    async fn collected(&self, parts: &[FilePart], range: Range<u64>) -> Result<Bytes, FileError> {
        let mut bytes = self.bytes(parts, range).await?;
        let mut all = BytesMut::new();
        while let Some(piece) = bytes.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }

    /// A place among the uploads that bring bytes now, until it is dropped.
    fn comes(self: &Arc<Self>, user: &UserId) -> Result<Coming, FileError> {
        let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        let own = coming.get(user).copied().unwrap_or_default();
        if own >= self.limits.uploads_at_once_per_user_max
            || coming.values().sum::<usize>() >= self.limits.uploads_at_once_max
        {
            return Err(FileError::Busy);
        }
        coming.insert(user.clone(), own + 1);
        Ok(Coming { files: Arc::clone(self), user: user.clone() })
    }
}

struct Coming {
    files: Arc<Files>,
    user: UserId,
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut coming = self.files.coming.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = coming.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                coming.remove(&self.user);
            }
        }
    }
}

async fn get(
    blobs: &dyn DynBlobStore,
    blob: BlobId,
    range: Range<u64>,
) -> Result<BlobStream, BlobError> {
    let there = blobs.get(blob, range).await?;
    there.ok_or_else(|| BlobError::Defect(format!("blob {blob} is missing").into()))
}
