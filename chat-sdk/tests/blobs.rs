//! Our blob stores keep the contract that we ship for everybody's, that in S3 against a server.

// Also outside of the test functions themselves this is a test.
#![allow(clippy::unwrap_used)]

use std::{
    num::NonZeroU16,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use chat_sdk::{
    BlobStore, FolderBlobStore, MemoryBlobStore, S3BlobStore,
    blob::{Blob, BlobError, BlobId, BlobStream, S3Options},
    conformance::{self, BlobStoreFactory, Report},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tempfile::TempDir;

struct InMemory;

impl BlobStoreFactory for InMemory {
    type Blobs = MemoryBlobStore;

    async fn open(&self) -> MemoryBlobStore {
        MemoryBlobStore::new()
    }
}

/// Each in a folder of its own.
struct InFolders {
    root: TempDir,
    opened: AtomicU64,
}

impl InFolders {
    fn new() -> Self {
        Self { root: temporary(), opened: AtomicU64::new(0) }
    }

    fn last(&self) -> PathBuf {
        self.root.path().join(self.opened.load(Ordering::Relaxed).to_string())
    }
}

impl BlobStoreFactory for InFolders {
    type Blobs = FolderBlobStore;

    async fn open(&self) -> FolderBlobStore {
        self.opened.fetch_add(1, Ordering::Relaxed);
        FolderBlobStore::open(self.last()).await.unwrap()
    }

    async fn reopen(&self, _: &FolderBlobStore) -> Option<FolderBlobStore> {
        Some(FolderBlobStore::open(self.last()).await.unwrap())
    }
}

/// A server of S3, and each in a bucket of its own.
struct InS3 {
    root: TempDir,
    endpoint: String,
    opened: AtomicU64,
}

impl InS3 {
    async fn serve() -> Self {
        let root = temporary();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("name", "secret"));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { root, endpoint, opened: AtomicU64::new(0) }
    }

    fn last(&self) -> S3BlobStore {
        self.with_secret("secret")
    }

    fn with_secret(&self, secret: &str) -> S3BlobStore {
        let bucket = format!("bucket-{}", self.opened.load(Ordering::Relaxed));
        let mut options = S3Options::new(bucket, "name", secret);
        options.endpoint = Some(self.endpoint.clone());
        options.prefix = "some/chat".to_owned();
        options.allow_http = true;
        S3BlobStore::new(options).unwrap()
    }

    fn new_bucket(&self) -> PathBuf {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let bucket = self.root.path().join(format!("bucket-{number}"));
        std::fs::create_dir(&bucket).unwrap();
        bucket
    }
}

impl BlobStoreFactory for InS3 {
    type Blobs = S3BlobStore;

    async fn open(&self) -> S3BlobStore {
        self.new_bucket();
        self.last()
    }

    async fn reopen(&self, _: &S3BlobStore) -> Option<S3BlobStore> {
        Some(self.last())
    }
}

fn temporary() -> TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    conformance::blob_store(InMemory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_contract() {
    conformance::blob_store(InFolders::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    conformance::blob_store(InS3::serve().await).await;
}

#[tokio::test]
async fn a_wrong_key_is_an_error_and_not_an_absence() {
    let s3 = InS3::serve().await;
    let right = s3.open().await;
    let id = BlobId::from_bytes([1; 16]);
    right.put(id, BlobStream::of(Bytes::from_static(b"hi"))).await.unwrap();
    let wrong = s3.with_secret("guessed");
    assert!(wrong.get(id, 0..9).await.is_err());
    assert!(wrong.put(id, BlobStream::of(Bytes::from_static(b"ho"))).await.is_err());
    assert!(wrong.list(None, NonZeroU16::MIN).await.is_err());
    assert!(wrong.delete(id).await.is_err());
    let bytes = right.get(id, 0..9).await.unwrap().unwrap().collect(9).await.unwrap();
    assert_eq!(bytes, "hi");
}

#[tokio::test]
async fn what_else_is_in_the_bucket_is_left_alone() {
    let s3 = InS3::serve().await;
    let bucket = s3.new_bucket();
    let blobs = s3.last();
    let id = BlobId::from_bytes([1; 16]);
    std::fs::create_dir_all(bucket.join("some/chat/deeper")).unwrap();
    std::fs::write(bucket.join("some/chat/README"), b"mine").unwrap();
    std::fs::write(bucket.join("some/chat/deeper").join(id.to_string()), b"mine").unwrap();
    std::fs::write(bucket.join(id.to_string()), b"mine").unwrap();
    assert_eq!(blobs.list(None, NonZeroU16::MAX).await.unwrap(), []);
    blobs.put(id, BlobStream::of(Bytes::from_static(b"hi"))).await.unwrap();
    let listed = blobs.list(None, NonZeroU16::MAX).await.unwrap();
    assert_eq!(listed.iter().map(|blob| (blob.id, blob.bytes)).collect::<Vec<_>>(), [(id, 2)]);
}

/// What can be wrong with an implementation, and the case that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    KeepsHalves,
    HidesTheSourcesError,
    LosesTheLastByte,
    EndsOneEarly,
    NothingIsSomething,
    DeletesNothing,
    MissingDeleteIsAnError,
    ListHoldsThePlace,
    ListForgets,
    ListsWithoutLimit,
}

struct Broken {
    defect: Defect,
    blobs: MemoryBlobStore,
}

impl BlobStore for Broken {
    async fn put(&self, id: BlobId, mut bytes: BlobStream) -> Result<u64, BlobError> {
        let mut all = Vec::new();
        loop {
            match bytes.next().await {
                None => break,
                Some(Ok(piece)) => all.extend_from_slice(&piece),
                Some(Err(_)) if self.defect == Defect::KeepsHalves => break,
                Some(Err(why)) if self.defect == Defect::HidesTheSourcesError => {
                    return Err(BlobError::Unavailable(why.into()));
                }
                Some(Err(why)) => return Err(why),
            }
        }
        let length = all.len() as u64;
        if self.defect == Defect::LosesTheLastByte && length > 8_000_000 {
            all.pop();
        }
        self.blobs.put(id, BlobStream::of(all.into())).await?;
        Ok(length)
    }

    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobStream>, BlobError> {
        let end = match self.defect {
            Defect::EndsOneEarly if range.end < u64::MAX => range.end.saturating_sub(1),
            _ => range.end,
        };
        match self.blobs.get(id, range.start..end).await? {
            None if self.defect == Defect::NothingIsSomething => {
                Ok(Some(BlobStream::of(Bytes::new())))
            }
            found => Ok(found),
        }
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        let there = self.blobs.get(id, 0..0).await?.is_some();
        match self.defect {
            Defect::DeletesNothing => Ok(()),
            Defect::MissingDeleteIsAnError if !there => Err(BlobError::Defect("nothing".into())),
            _ => self.blobs.delete(id).await,
        }
    }

    async fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Result<Vec<Blob>, BlobError> {
        let limit = if self.defect == Defect::ListsWithoutLimit { NonZeroU16::MAX } else { limit };
        let mut page = self.blobs.list(after, limit).await?;
        match self.defect {
            Defect::ListForgets if limit.get() > 1 && page.len() == usize::from(limit.get()) => {
                page.remove(0);
            }
            Defect::ListHoldsThePlace if !page.is_empty() => {
                if let Some(id) = after {
                    page.insert(0, Blob { id, ..page[0] });
                    page.truncate(limit.get().into());
                }
            }
            _ => {}
        }
        Ok(page)
    }
}

struct Breaking(Defect);

impl BlobStoreFactory for Breaking {
    type Blobs = Broken;

    async fn open(&self) -> Broken {
        Broken { defect: self.0, blobs: MemoryBlobStore::new() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_finds_what_is_wrong() {
    use Defect::*;

    let of = |defect| Report::of(conformance::blob_store_cases(Breaking(defect)));
    assert_eq!(of(None).await.failed, []);
    for (defect, case) in [
        (KeepsHalves, "blobs::what_breaks_off_is_not_there"),
        (HidesTheSourcesError, "blobs::what_breaks_off_is_not_there"),
        (LosesTheLastByte, "blobs::a_long_blob_comes_back_in_its_order"),
        (EndsOneEarly, "blobs::a_part_is_what_was_asked_for"),
        (NothingIsSomething, "blobs::what_is_not_there_is_none"),
        (DeletesNothing, "blobs::deleting_is_deleting_and_twice_is_no_error"),
        (MissingDeleteIsAnError, "blobs::deleting_is_deleting_and_twice_is_no_error"),
        (ListHoldsThePlace, "blobs::a_list_has_each_once"),
        (ListForgets, "blobs::a_list_has_each_once"),
        (ListsWithoutLimit, "blobs::a_list_has_each_once"),
    ] {
        let report = of(defect).await;
        let found = report.failed.iter().any(|(name, _)| *name == case);
        assert!(found, "{defect:?} is not found by {case}:\n{report}");
    }
}
