//! Who gets a file, and what of it.
//!
//! A file that a message carries is as private as the message: whoever can read that one in the log
//! can have it, asked each time. One that waits for its message is its owner's.

use std::{num::NonZeroU16, ops::Range};

use super::{Files, address::Part, error::FileError, sniff};
use crate::{
    blob::BlobStream,
    model::{Body, ContentType, File, FileId, Seq, Timestamp, UserId},
    policy::Verdict,
    store::{FilePart, FileQuery, FileRecord, FileState, Reader},
};

/// What somebody may have.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) file: File,
    /// How many bytes it has.
    pub(crate) size: u64,
    /// What they are.
    content_type: ContentType,
    parts: Vec<FilePart>,
}

impl Download {
    /// What the bytes are, where a browser may show them; else `None`.
    pub(crate) fn shown_as(&self) -> Option<&ContentType> {
        Some(&self.content_type).filter(|it| sniff::is_shown(it))
    }
}

/// A file with the addresses under which one user gets it for a while.
#[derive(Debug)]
pub(crate) struct Addressed {
    pub(crate) file: File,
    pub(crate) address: String,
    pub(crate) thumbnail: Option<String>,
    pub(crate) expires_at: Timestamp,
}

impl Files {
    /// Whether this user may have it.
    async fn may(&self, user: &UserId, record: &FileRecord) -> Result<bool, FileError> {
        let (conversation, message) = match record.state {
            FileState::Attached(conversation, message) => (conversation, message),
            FileState::Complete => return Ok(record.owner == *user),
            FileState::Uploading | FileState::Gone => return Ok(false),
        };
        let before = Seq::new(message.get().saturating_sub(1));
        let (reader, one) = (Reader::User(user), NonZeroU16::MIN);
        let read = self.ports.store.read(reader, conversation, before, message, one);
        let Some(events) = self.in_time(read).await? else { return Ok(false) };
        let carries = events.iter().any(|event| {
            let Body::Message(message) = &event.body else { return false };
            message.files.iter().any(|file| file.id == record.file.id)
        });
        if !carries {
            return Ok(false);
        }
        // Asked after membership: a stranger learns nothing from the host's rule either.
        match self.ports.policy.may_read(user, conversation).await {
            Verdict::Allow => Ok(true),
            Verdict::Deny(reason) => Err(FileError::Denied(reason)),
        }
    }

    /// A file for this user, or part of it.
    pub(crate) async fn open(
        &self,
        user: &UserId,
        file: FileId,
        part: Part,
    ) -> Result<Download, FileError> {
        self.blobs()?;
        let record = self.find(file).await?.ok_or(FileError::NotFound)?;
        if !self.may(user, &record).await? {
            return Err(FileError::NotFound);
        }
        let (parts, content_type) = match part {
            Part::Content => (record.parts, record.file.content_type.clone()),
            Part::Thumbnail => {
                let parts = vec![record.thumbnail.ok_or(FileError::NotFound)?];
                // Ours, JPEG or PNG.
                let head = self.collected(&parts, 0..16).await?;
                (parts, sniff::sniff(&head))
            }
        };
        let size = parts.iter().map(|part| part.bytes).sum();
        Ok(Download { file: record.file, size, content_type, parts })
    }

    /// These of its bytes.
    pub(crate) async fn read(
        &self,
        download: &Download,
        range: Range<u64>,
    ) -> Result<BlobStream, FileError> {
        self.bytes(&download.parts, range).await
    }

    /// Those of these files that the user may have, with their addresses, in the order in which they
    /// were asked for.
    pub(crate) async fn addressed(
        &self,
        user: &UserId,
        files: &[FileId],
    ) -> Result<Vec<Addressed>, FileError> {
        let found = self.in_time(self.ports.store.files(FileQuery::Ids(files.to_vec()))).await?;
        let expires_at = self.expiry();
        let mut addressed = Vec::with_capacity(found.len());
        for id in files {
            let Some(record) = found.iter().find(|it| it.file.id == *id) else { continue };
            match self.may(user, record).await {
                Ok(true) => {}
                Ok(false) | Err(FileError::Denied(_)) => continue,
                Err(why) => return Err(why),
            }
            let address = |part| self.address(*id, part, user, expires_at);
            addressed.push(Addressed {
                file: record.file.clone(),
                address: address(Part::Content),
                thumbnail: record.thumbnail.map(|_| address(Part::Thumbnail)),
                expires_at,
            });
        }
        Ok(addressed)
    }

    /// The end of the window after this one: whoever asks twice gets the same address, which browsers
    /// take for the same picture.
    fn expiry(&self) -> Timestamp {
        let window = i64::try_from(self.limits.file_address_valid.as_millis()).unwrap_or(i64::MAX);
        let now = self.ports.clock.now().as_millis();
        Timestamp::from_millis((now / window + 2).saturating_mul(window))
    }

    /// Below the mount.
    fn address(&self, file: FileId, part: Part, user: &UserId, expires_at: Timestamp) -> String {
        let signature = self.signer.sign(file, part, user, expires_at);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("user", user.as_str())
            .append_pair("expires", &expires_at.as_millis().to_string())
            .append_pair("signature", &signature)
            .finish();
        format!("files/{file}/{}?{query}", part.name())
    }
}
