//! Files come in, a piece after the other; what was interrupted goes on where it was.
//!
//! Each piece is a blob of its own. A piece that breaks off is kept as far as it came, so that who loses
//! the connection every minute gets on all the same.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Files, error::FileError, sniff};
#[cfg(feature = "images")]
use crate::blob::BlobStream as Blobbed;
use crate::{
    blob::BlobStream,
    model::{ContentType, File, FileId, FileName, Timestamp, UserId},
    policy::Verdict,
    store::{
        BoxError, DiscardWhen, FileChange, FileChanged, FilePart, FileQuota, FileRecord, FileState,
    },
};

/// Pieces that a file may come in: each is a blob, and a line in its record.
pub(crate) const PIECES_MAX: usize = 1_000;

/// Bytes as they come from somewhere.
pub(crate) type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) file: FileId,
    pub(crate) received: u64,
    pub(crate) size: u64,
    /// `None`: a message carries it.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Progress {
    fn of(record: &FileRecord) -> Self {
        let attached = matches!(record.state, FileState::Attached(..));
        Self {
            file: record.file.id,
            received: record.received(),
            size: record.file.size,
            expires_at: (!attached).then_some(record.expires_at),
        }
    }
}

impl Files {
    /// An upload begins: whatever can be refused is refused here, before a byte of it is taken.
    pub(crate) async fn begin(
        &self,
        owner: &UserId,
        name: &str,
        size: u64,
    ) -> Result<Progress, FileError> {
        self.blobs()?;
        if size == 0 {
            return Err(FileError::Empty);
        }
        if size > self.limits.file_bytes_max {
            return Err(FileError::TooLarge(self.limits.file_bytes_max));
        }
        let name = FileName::clean(name);
        let asked = self.ports.policy.may_upload(owner, name.as_str(), size);
        if let Verdict::Deny(reason) = asked.await {
            return Err(FileError::Denied(reason));
        }
        let mut id = [0; 16];
        self.ports.random.fill(&mut id);
        let now = self.ports.clock.now();
        let file = File {
            id: FileId::from_bytes(id),
            name,
            content_type: ContentType::UNKNOWN,
            size,
            width: None,
            height: None,
            thumbnail: false,
        };
        let record = FileRecord {
            file,
            owner: owner.clone(),
            state: FileState::Uploading,
            created_at: now,
            expires_at: self.kept_until(now),
            version: 0,
            parts: Vec::new(),
            thumbnail: None,
        };
        let progress = Progress::of(&record);
        let quota = FileQuota {
            bytes_max: self.limits.file_bytes_per_user_max,
            waiting_max: self.limits.files_waiting_max,
        };
        let begins = self.ports.store.change_file(FileChange::Begin(record, quota));
        match self.in_time(begins).await? {
            FileChanged::Done => Ok(progress),
            FileChanged::OverQuota => Err(FileError::OverQuota),
            // 16 random bytes that were there already: they are not random.
            FileChanged::Refused => {
                Err(crate::store::StoreError::Defect("a file twice".into()).into())
            }
        }
    }

    fn kept_until(&self, now: Timestamp) -> Timestamp {
        let kept = i64::try_from(self.limits.file_kept.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_add(kept))
    }

    /// A file of this user's that is not gone.
    async fn own(&self, owner: &UserId, file: FileId) -> Result<FileRecord, FileError> {
        let found = self.find(file).await?;
        let own = found.filter(|it| it.owner == *owner && it.state != FileState::Gone);
        own.ok_or(FileError::NotFound)
    }

    /// How far an upload of this user's is.
    pub(crate) async fn progress(
        &self,
        owner: &UserId,
        file: FileId,
    ) -> Result<Progress, FileError> {
        Ok(Progress::of(&self.own(owner, file).await?))
    }

    /// Takes bytes that go on from `offset`; how far the upload is afterwards. Whether these may come
    /// is decided before the first is asked for. `announced`: how many are said to come.
    ///
    /// Not to be dropped: what came until the connection ended is kept by going on. It ends with its
    /// bytes, when none come for a while, or when `stop` says so.
    pub(crate) async fn take(
        self: &Arc<Self>,
        owner: &UserId,
        file: FileId,
        offset: u64,
        announced: u64,
        bytes: Incoming,
        stop: CancellationToken,
    ) -> Result<Progress, FileError> {
        let blobs = self.blobs()?;
        let mut record = self.own(owner, file).await?;
        let received = record.received();
        if offset != received {
            return Err(FileError::WrongOffset(received));
        }
        let left = record.file.size - received;
        if announced > left {
            return Err(FileError::TooLarge(record.file.size));
        }
        if record.state != FileState::Uploading {
            return Ok(Progress::of(&record));
        }
        if record.parts.len() >= PIECES_MAX {
            return Err(FileError::TooManyPieces(PIECES_MAX));
        }
        let _place = self.comes(owner)?;
        let blob = self.new_blob();
        let too_many = Arc::new(AtomicBool::new(false));
        let kept = self.as_far_as_it_comes(bytes, left, Arc::clone(&too_many), stop);
        let bytes = blobs.put(blob, kept).await?;
        if too_many.load(Ordering::Relaxed) {
            self.drop_blob(blob).await;
            return Err(FileError::TooLarge(record.file.size));
        }
        if bytes == 0 {
            self.drop_blob(blob).await;
            return Ok(Progress::of(&record));
        }
        record.parts.push(FilePart { blob, bytes });
        record.expires_at = self.kept_until(self.ports.clock.now());
        if record.received() == record.file.size {
            self.finish(&mut record).await?;
        }
        // Where nobody knows whether it was written, the blob stays, and is collected if it was not.
        let advance = self.ports.store.change_file(FileChange::Advance(record.clone()));
        if self.in_time(advance).await? == FileChanged::Done {
            return Ok(Progress::of(&record));
        }
        // Somebody else went on from the same place, or gave the file up.
        for part in [Some(FilePart { blob, bytes }), record.thumbnail].into_iter().flatten() {
            self.drop_blob(part.blob).await;
        }
        Err(FileError::WrongOffset(self.own(owner, file).await?.received()))
    }

    /// These bytes without an error: where they break off is their end. More than `left` are marked,
    /// and not passed on.
    fn as_far_as_it_comes(
        &self,
        bytes: Incoming,
        left: u64,
        too_many: Arc<AtomicBool>,
        stop: CancellationToken,
    ) -> BlobStream {
        let silence_max = self.limits.body_timeout;
        BlobStream::new(stream::unfold((bytes, left), move |(mut bytes, left)| {
            let (too_many, stop) = (Arc::clone(&too_many), stop.clone());
            async move {
                let next = tokio::time::timeout(silence_max, bytes.next());
                let piece = tokio::select! {
                    biased;
                    () = stop.cancelled() => return None,
                    next = next => next,
                };
                match piece {
                    Ok(Some(Ok(piece))) => match left.checked_sub(piece.len() as u64) {
                        Some(left) => Some((Ok(piece), (bytes, left))),
                        None => {
                            too_many.store(true, Ordering::Relaxed);
                            None
                        }
                    },
                    Ok(Some(Err(why))) => {
                        debug!(error = &*why as &dyn std::error::Error, "an upload broke off");
                        None
                    }
                    Ok(None) => None,
                    Err(_) => {
                        debug!("an upload fell silent");
                        None
                    }
                }
            }
        }))
    }

    /// All bytes are there: what are they?
    async fn finish(&self, record: &mut FileRecord) -> Result<(), FileError> {
        let head = self.collected(&record.parts, 0..sniff::HEAD_BYTES as u64).await?;
        record.file.content_type = sniff::sniff(&head);
        record.state = FileState::Complete;
        #[cfg(feature = "images")]
        if sniff::is_picture(&record.file.content_type)
            && record.file.size <= self.limits.picture_bytes_max
        {
            self.look_at(record).await?;
        }
        Ok(())
    }

    #[cfg(feature = "images")]
    async fn look_at(&self, record: &mut FileRecord) -> Result<(), FileError> {
        let _turn = self.workshop.acquire().await.expect("the workshop is never closed");
        let bytes = self.collected(&record.parts, 0..record.file.size).await?;
        let pixels_max = self.limits.picture_pixels_max;
        let looking =
            tokio::task::spawn_blocking(move || super::picture::look(&bytes, pixels_max)).await;
        // A decoder that panics is no reason to lose the file.
        let Ok(Some(picture)) = looking else { return Ok(()) };
        record.file.width = Some(picture.width);
        record.file.height = Some(picture.height);
        if let Some(small) = picture.small {
            let blob = self.new_blob();
            let bytes = self.blobs()?.put(blob, Blobbed::of(small)).await?;
            record.thumbnail = Some(FilePart { blob, bytes });
            record.file.thumbnail = true;
        }
        Ok(())
    }

    async fn drop_blob(&self, blob: crate::model::BlobId) {
        let Ok(blobs) = self.blobs() else { return };
        if let Err(why) = blobs.delete(blob).await {
            // The collector finds it.
            warn!(error = &why as &dyn std::error::Error, "a blob was not deleted");
        }
    }

    /// The user does not want it any more. What a message carries goes with the message.
    pub(crate) async fn give_up(&self, owner: &UserId, file: FileId) -> Result<(), FileError> {
        let record = self.own(owner, file).await?;
        let discard = FileChange::Discard(file, DiscardWhen::OwnedBy(owner.clone()));
        if self.in_time(self.ports.store.change_file(discard)).await? != FileChanged::Done {
            return match self.own(owner, file).await?.state {
                FileState::Attached(..) => Err(FileError::Attached),
                _ => Err(FileError::NotFound),
            };
        }
        // Now if it can be; otherwise the collector does it.
        if let Err(why) = self.clear(&record).await {
            warn!(error = &why as &dyn std::error::Error, "a file is collected later");
        }
        Ok(())
    }
}
