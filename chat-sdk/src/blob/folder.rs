//! Blobs as files of a folder.
//!
//! A file is written under a temporary name, flushed, and renamed to its own: what has its own name is
//! whole. Files are spread over 256 folders, because some file systems are slow with very many in one.

use std::{
    fs, io,
    num::NonZeroU16,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::BytesMut;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::{Blob, BlobError, BlobId, BlobStore, BlobStream};
use crate::{
    env::{Random, SystemRandom},
    model::Timestamp,
};

/// What is read at once: few calls of the system, and little to hold for each reader.
const READ_BYTES: usize = 64 * 1024;
/// A temporary file that nobody has written to for so long belongs to a process that died: no
/// upload is allowed to be silent for so long.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Where files stand until they are whole.
const UNFINISHED: &str = "unfinished";

/// Blobs as files of a folder that belongs to this store alone. Several processes may share it if
/// they see one file system with renames that are atomic.
#[derive(Debug, Clone)]
pub struct FolderBlobStore {
    root: Arc<Path>,
}

impl FolderBlobStore {
    /// Opens the folder, and makes it if it is not there. Unfinished files of processes that died
    /// are removed once they are a day old.
    ///
    /// # Errors
    /// The folder cannot be made, read or written to.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let root: Arc<Path> = path.into().into();
        let store = Self { root: Arc::clone(&root) };
        blocking(move || {
            fs::create_dir_all(root.join(UNFINISHED))?;
            remove_abandoned(&root.join(UNFINISHED), SystemTime::now())
        })
        .await?;
        Ok(store)
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.root.join(shard(id)).join(id.to_string())
    }
}

impl BlobStore for FolderBlobStore {
    async fn put(&self, id: BlobId, mut bytes: BlobStream) -> Result<u64, BlobError> {
        let mut suffix = [0; 4];
        SystemRandom::default().fill(&mut suffix);
        let name = format!("{id}-{:08x}", u32::from_be_bytes(suffix));
        let unfinished = Unfinished(self.root.join(UNFINISHED).join(name));
        let mut file = tokio::fs::File::create_new(&unfinished.0).await.map_err(unavailable)?;
        let mut length = 0;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            file.write_all(&piece).await.map_err(unavailable)?;
            length += piece.len() as u64;
        }
        // What was handed to the runtime's threads has to have happened before the file is closed.
        file.flush().await.map_err(unavailable)?;
        file.sync_all().await.map_err(unavailable)?;
        drop(file);
        let (root, target) = (Arc::clone(&self.root), self.path(id));
        // The guard goes along: once the thread has begun, nobody can take the file away from it.
        blocking(move || {
            let folder = target.parent().expect("a blob is in a folder");
            if !folder.exists() {
                fs::create_dir_all(folder)?;
                sync_folder(&root)?;
            }
            fs::rename(&unfinished.0, &target)?;
            // The name is as durable as the bytes only after this.
            sync_folder(folder)
        })
        .await?;
        Ok(length)
    }

    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobStream>, BlobError> {
        let mut file = match tokio::fs::File::open(self.path(id)).await {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(unavailable(why)),
        };
        let length = file.metadata().await.map_err(unavailable)?.len();
        let end = range.end.min(length);
        let left = end.saturating_sub(range.start);
        file.seek(io::SeekFrom::Start(range.start.min(end))).await.map_err(unavailable)?;
        let pieces = stream::try_unfold((file, left), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let wanted = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            let mut piece = BytesMut::zeroed(wanted);
            let read = file.read(&mut piece).await.map_err(unavailable)?;
            if read == 0 {
                return Err(BlobError::Defect("the file became shorter".into()));
            }
            piece.truncate(read);
            Ok(Some((piece.freeze(), (file, left - read as u64))))
        });
        Ok(Some(BlobStream::new(pieces)))
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match tokio::fs::remove_file(self.path(id)).await {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(unavailable(why)),
            _ => Ok(()),
        }
    }

    async fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Result<Vec<Blob>, BlobError> {
        let root = Arc::clone(&self.root);
        blocking(move || {
            let from = after.map_or_else(|| "00".to_owned(), shard);
            let mut page = Vec::new();
            for folder in (0..=u8::MAX).map(|n| format!("{n:02x}")).filter(|it| *it >= from) {
                let after = after.filter(|_| folder == from);
                page.extend(read_shard(&root.join(&folder), after)?);
                if page.len() >= limit.get().into() {
                    page.truncate(limit.get().into());
                    break;
                }
            }
            Ok(page)
        })
        .await
    }
}

/// Which folder: by the last byte, because the first ones of an id may be the time.
fn shard(id: BlobId) -> String {
    format!("{:02x}", id.as_bytes()[15])
}

/// What a folder holds after this one, in the order of the names.
fn read_shard(folder: &Path, after: Option<BlobId>) -> io::Result<Vec<Blob>> {
    let entries = match fs::read_dir(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut blobs = Vec::new();
    for entry in entries {
        let entry = entry?;
        // What somebody else put here is left alone.
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if after.is_some_and(|after| id <= after) {
            continue;
        }
        match entry.metadata() {
            Ok(it) => blobs.push(Blob { id, bytes: it.len(), at: timestamp(it.modified()?) }),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    blobs.sort_unstable_by_key(|blob| blob.id);
    Ok(blobs)
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn remove_abandoned(folder: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        let age = now.duration_since(metadata.modified()?).unwrap_or_default();
        if metadata.is_file() && age > ABANDONED_AFTER {
            ignore_missing(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// A file that is removed unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // One call of the system, and if it fails the file is removed when it is a day old.
        let _ = fs::remove_file(&self.0);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|why| BlobError::Defect(why.into()))?.map_err(unavailable)
}

fn unavailable(why: io::Error) -> BlobError {
    BlobError::Unavailable(why.into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |it: io::Result<fs::DirEntry>| it.unwrap().file_name().into_string().unwrap();
        entries.map(name).collect()
    }

    #[tokio::test]
    async fn what_breaks_off_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderBlobStore::open(folder.path()).await.unwrap();
        let broken =
            stream::iter([Ok(Bytes::from_static(b"half")), Err(BlobError::Source("gone".into()))]);
        let id = BlobId::from_bytes([1; 16]);
        store.put(id, BlobStream::new(broken)).await.unwrap_err();
        assert!(names(&folder.path().join(UNFINISHED)).is_empty());
        // A wait that is given up is no different.
        let (asked, begun) = tokio::sync::oneshot::channel();
        let silent = stream::once(async move {
            asked.send(()).unwrap();
            std::future::pending().await
        });
        tokio::select! {
            _ = store.put(id, BlobStream::new(silent)) => panic!("there is no end"),
            begun = begun => begun.unwrap(),
        }
        assert!(names(&folder.path().join(UNFINISHED)).is_empty());
    }

    #[tokio::test]
    async fn unfinished_files_go_when_they_are_old_and_other_peoples_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        FolderBlobStore::open(folder.path()).await.unwrap();
        let unfinished = folder.path().join(UNFINISHED);
        fs::write(unfinished.join("left"), b"half").unwrap();
        FolderBlobStore::open(folder.path()).await.unwrap();
        assert_eq!(names(&unfinished), ["left"]);
        remove_abandoned(&unfinished, SystemTime::now() + ABANDONED_AFTER * 2).unwrap();
        assert!(names(&unfinished).is_empty());

        let store = FolderBlobStore::open(folder.path()).await.unwrap();
        fs::create_dir_all(folder.path().join("00")).unwrap();
        fs::write(folder.path().join("00").join("README"), b"mine").unwrap();
        assert_eq!(store.list(None, NonZeroU16::MAX).await.unwrap(), []);
    }
}
