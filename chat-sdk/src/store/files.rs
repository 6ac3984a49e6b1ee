//! What a store keeps of files: whose they are, how far an upload has come, which message carries one,
//! and which blobs hold the bytes.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::model::{BlobId, ConversationId, File, FileId, Seq, Timestamp, UserId};

/// A file as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// What others get to know of it. Until it is complete its type is not known, and its size is what
    /// was announced.
    pub file: File,
    /// Who uploads it.
    pub owner: UserId,
    /// How far it is.
    pub state: FileState,
    /// When the upload began.
    pub created_at: Timestamp,
    /// Until when it is kept if no message carries it.
    pub expires_at: Timestamp,
    /// Counts the changes.
    pub version: u64,
    /// Where its bytes are, in their order.
    pub parts: Vec<FilePart>,
    /// Where its small picture is.
    pub thumbnail: Option<FilePart>,
}

impl FileRecord {
    /// How many bytes have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// All its blobs.
    pub fn blobs(&self) -> impl Iterator<Item = BlobId> + '_ {
        self.parts.iter().chain(&self.thumbnail).map(|part| part.blob)
    }
}

/// Some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePart {
    /// In this blob.
    pub blob: BlobId,
    /// How many it holds.
    pub bytes: u64,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Bytes are missing.
    Uploading,
    /// All bytes are there; its owner may send it.
    Complete,
    /// A message carries it.
    Attached(ConversationId, Seq),
    /// Nobody gets it any more: its message was deleted, it expired, or its owner gave it up. What is
    /// left is to delete its blobs.
    Gone,
}

/// How much somebody may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileQuota {
    /// Bytes of all files of one owner together, those that are announced included.
    pub bytes_max: u64,
    /// How many of them may be waiting for their message.
    pub waiting_max: u64,
}

/// A change of one file. A message takes files by being appended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FileChange {
    /// An upload begins. Refused if its owner would have more than the quota allows.
    Begin(FileRecord, FileQuota),
    /// The record takes the place of the one with its id, its owner and its version, and has the next
    /// version then. Refused unless that one is [`FileState::Uploading`].
    Advance(FileRecord),
    /// It is [`FileState::Gone`], unless a message carries it or it is so already.
    Discard(FileId, DiscardWhen),
    /// Nothing is left of it. Refused unless it is [`FileState::Gone`].
    Forget(FileId),
}

/// On what condition a file is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscardWhen {
    /// This one owns it.
    OwnedBy(UserId),
    /// It was kept no longer than to this moment.
    ExpiredAt(Timestamp),
}

/// What became of a [`FileChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChanged {
    /// It is so now.
    Done,
    /// The owner has too much already.
    OverQuota,
    /// There is no such file, or it is not as the change wants it.
    Refused,
}

/// Which files are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileQuery {
    /// These, whatever their state.
    Ids(Vec<FileId>),
    /// Those that are gone, and those that no message carries and that were kept up to this moment; so
    /// many at most.
    Over(Timestamp, NonZeroU16),
}

/// What the stores in SQL databases keep in one column, because nothing is looked for in it.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) file: File,
    pub(super) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<FilePart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thumbnail: Option<FilePart>,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Document {
    pub(super) fn of(record: &FileRecord) -> serde_json::Result<String> {
        serde_json::to_string(&Self {
            file: record.file.clone(),
            created_at: record.created_at,
            parts: record.parts.clone(),
            thumbnail: record.thumbnail,
        })
    }

    /// With what stands beside it.
    pub(super) fn into_record(
        self,
        owner: UserId,
        state: FileState,
        expires_at: Timestamp,
        version: u64,
    ) -> FileRecord {
        let Self { file, created_at, parts, thumbnail } = self;
        FileRecord { file, owner, state, created_at, expires_at, version, parts, thumbnail }
    }
}
