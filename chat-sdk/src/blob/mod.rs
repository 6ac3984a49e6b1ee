//! Where the bytes of files are kept: the [`BlobStore`] port and its contract.
//!
//! Knows nothing of whose bytes they are, what they mean and who may have them; that is the store's.

mod folder;
mod memory;
#[cfg(feature = "object-store")]
mod s3;

use std::{
    fmt,
    future::Future,
    num::NonZeroU16,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;

#[cfg(feature = "object-store")]
pub use self::s3::{S3BlobStore, S3Error, S3Options};
pub use self::{folder::FolderBlobStore, memory::MemoryBlobStore};
pub use crate::model::BlobId;
use crate::{model::Timestamp, store::BoxError};

/// A blob store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// It cannot be reached, is full or too busy. Whether something happened is unknown; repeating
    /// it is safe.
    #[error("blob store unavailable")]
    Unavailable(#[source] BoxError),
    /// It answered with something that should not be there: somebody should look.
    #[error("blob store defect")]
    Defect(#[source] BoxError),
    /// The bytes to be stored broke off, says whoever gave them.
    #[error("the bytes broke off")]
    Source(#[source] BoxError),
}

/// Long bytes are given away in pieces of this: what takes them may look at the whole piece.
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes that come one piece after the other. Dropping it ends what brings them.
pub struct BlobStream(Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>);

impl BlobStream {
    /// Out of pieces of any size. After an error nothing more is asked for.
    pub fn new(pieces: impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static) -> Self {
        Self(Box::pin(pieces))
    }

    /// These bytes.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        Self::new(futures_util::stream::unfold(bytes, |mut left| async move {
            let piece = left.split_to(left.len().min(PIECE_BYTES));
            (!piece.is_empty()).then_some((Ok(piece), left))
        }))
    }

    /// The next piece, which may be empty; `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, BlobError>> {
        self.0.next().await
    }

    /// The same, for whoever is polled.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BlobError>>> {
        self.0.as_mut().poll_next(cx)
    }

    /// All of it.
    ///
    /// # Errors
    /// Those of the stream, and [`BlobError::Defect`] if it has more than `bytes_max`.
    pub async fn collect(mut self, bytes_max: usize) -> Result<Bytes, BlobError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if all.len() + piece.len() > bytes_max {
                return Err(BlobError::Defect("more bytes than there can be".into()));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream").finish_non_exhaustive()
    }
}

/// A blob as a list has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub id: BlobId,
    /// How long it is.
    pub bytes: u64,
    /// When it was stored, by the store's clock. For telling what is old; to the second is enough.
    pub at: Timestamp,
}

/// Where the bytes of files are kept.
///
/// # What an implementation must keep
///
/// 1. **Wholly or not at all.** A blob is there when [`put`](BlobStore::put) has returned `Ok`, with
///    all bytes in their order, for every node. When `put` returns an error, when its bytes break off
///    or when its future is dropped, [`get`](BlobStore::get) and [`list`](BlobStore::list) know of no
///    blob, or, if the answer alone was lost, of the whole one. What a `put` that came to nothing
///    leaves behind must not grow for ever.
/// 2. **Durable.** What `put` has returned `Ok` for survives the death of any process.
/// 3. **Never changed.** Callers give a name once; what happens with a second `put` under one is not
///    said, but that whoever reads gets one of the two and no mixture.
/// 4. **Bounded.** Neither `put` nor `get` holds more than some MiB, however long the blob is and
///    however slowly the other side gives or takes.
/// 5. **Parts.** `get` gives the bytes of the range that the blob has; none if it begins behind the
///    end. `None`: there is no such blob. If the blob is deleted meanwhile, the stream may end with an
///    error, but not as if it had come to its end, and never with other bytes.
/// 6. **Deleting** what is not there is no error. When [`delete`](BlobStore::delete) has returned,
///    the blob is not there.
/// 7. **Lists** have each blob once that was there from before the first page until after the last,
///    and none that was not there at any time meanwhile. The order is the store's own; `after` is the
///    last one of the page before, and may have been deleted since. A page that is empty is the end.
///
/// Methods may be called from many tasks at once. Nothing here may block the calling thread.
///
/// `chat_sdk::conformance::blob_store` holds all of this against any implementation.
pub trait BlobStore: Send + Sync + 'static {
    /// Stores what comes out of the stream under this name; how long it is.
    fn put(
        &self,
        id: BlobId,
        bytes: BlobStream,
    ) -> impl Future<Output = Result<u64, BlobError>> + Send;

    /// These bytes of a blob. `None`: there is none.
    fn get(
        &self,
        id: BlobId,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Option<BlobStream>, BlobError>> + Send;

    /// Removes the blob.
    fn delete(&self, id: BlobId) -> impl Future<Output = Result<(), BlobError>> + Send;

    /// What is there, at most `limit`: for finding what nothing refers to any more.
    fn list(
        &self,
        after: Option<BlobId>,
        limit: NonZeroU16,
    ) -> impl Future<Output = Result<Vec<Blob>, BlobError>> + Send;
}
