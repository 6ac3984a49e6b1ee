//! Files in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{BlobId, FileId},
    store::{DiscardWhen, FileChange, FileChanged, FileQuery, FileRecord, FileState},
};

type Files = BTreeMap<FileId, FileRecord>;

/// Whether it may still find its message.
const fn waits(record: &FileRecord) -> bool {
    matches!(record.state, FileState::Uploading | FileState::Complete)
}

pub(super) fn change(files: &mut Files, change: FileChange) -> FileChanged {
    match change {
        FileChange::Begin(record, quota) => {
            if files.contains_key(&record.file.id) {
                return FileChanged::Refused;
            }
            let owned = || {
                let kept = |it: &&FileRecord| it.state != FileState::Gone;
                files.values().filter(|it| it.owner == record.owner).filter(kept)
            };
            let bytes: u64 = owned().map(|it| it.file.size).sum();
            let waiting = owned().filter(|it| waits(it)).count() as u64;
            if bytes.saturating_add(record.file.size) > quota.bytes_max
                || waiting >= quota.waiting_max
            {
                return FileChanged::OverQuota;
            }
            files.insert(record.file.id, record);
        }
        FileChange::Advance(record) => {
            let there = files.get_mut(&record.file.id).filter(|it| {
                it.state == FileState::Uploading
                    && it.version == record.version
                    && it.owner == record.owner
            });
            let Some(there) = there else { return FileChanged::Refused };
            *there = record;
            there.version += 1;
        }
        FileChange::Discard(file, when) => {
            let there = files.get_mut(&file).filter(|it| {
                waits(it)
                    && match &when {
                        DiscardWhen::OwnedBy(owner) => it.owner == *owner,
                        DiscardWhen::ExpiredAt(at) => it.expires_at <= *at,
                    }
            });
            let Some(there) = there else { return FileChanged::Refused };
            there.state = FileState::Gone;
        }
        FileChange::Forget(file) => {
            if files.get(&file).is_none_or(|it| it.state != FileState::Gone) {
                return FileChanged::Refused;
            }
            files.remove(&file);
        }
    }
    FileChanged::Done
}

pub(super) fn find(files: &Files, query: FileQuery) -> Vec<FileRecord> {
    match query {
        FileQuery::Ids(ids) => {
            let ids: BTreeSet<_> = ids.into_iter().collect();
            ids.iter().filter_map(|id| files.get(id)).cloned().collect()
        }
        FileQuery::Over(at, limit) => {
            let over = |it: &&FileRecord| {
                it.state == FileState::Gone || (waits(it) && it.expires_at <= at)
            };
            files.values().filter(over).take(limit.get().into()).cloned().collect()
        }
    }
}

pub(super) fn strays(files: &Files, blobs: &[BlobId]) -> Vec<BlobId> {
    let known: BTreeSet<_> = files.values().flat_map(FileRecord::blobs).collect();
    blobs.iter().filter(|blob| !known.contains(blob)).copied().collect()
}
