//! What can go wrong with a file.

use crate::{blob::BlobError, store::StoreError};

/// A file was not taken or not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// This chat has no place for files.
    #[error("files are not taken here")]
    NotTaken,
    /// There is no such file for this user.
    #[error("no such file")]
    NotFound,
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// A file has at least one byte.
    #[error("a file has at least one byte")]
    Empty,
    /// More bytes than a file may have, or than were announced.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The user has as many bytes, or as many files that wait for their message, as they may.
    #[error("no room for another file: delete some, or send those that wait")]
    OverQuota,
    /// It came in too many pieces.
    #[error("more than {0} pieces")]
    TooManyPieces(usize),
    /// The upload is at another place than this.
    #[error("the upload is at {0}")]
    WrongOffset(u64),
    /// A message carries it: it goes with that one.
    #[error("a message carries this file")]
    Attached,
    /// So many uploads bring bytes now that there is no room for another.
    #[error("too many uploads at once")]
    Busy,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed.
    #[error("store failed")]
    Store(#[from] StoreError),
    /// The blob store failed.
    #[error("blob store failed")]
    Blobs(#[from] BlobError),
}
