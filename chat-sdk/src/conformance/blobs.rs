//! The contract of the [`BlobStore`].

use std::{
    collections::BTreeMap,
    future::{Future, pending},
    num::NonZeroU16,
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};
use tokio::sync::oneshot;

use super::report::{self, Case, Report, cases};
use crate::blob::{Blob, BlobError, BlobId, BlobStore, BlobStream};

/// How the suite comes by blob stores. Problems are best reported by a panic.
pub trait BlobStoreFactory: Send + Sync + 'static {
    /// The implementation.
    type Blobs: BlobStore;

    /// An empty one that nobody else uses.
    fn open(&self) -> impl Future<Output = Self::Blobs> + Send;

    /// The same one as another process would open it, after the first one's died. `None`: what it
    /// keeps ends with its process.
    fn reopen(&self, blobs: &Self::Blobs) -> impl Future<Output = Option<Self::Blobs>> + Send {
        let _ = blobs;
        async { None }
    }
}

/// Holds the contract against an implementation.
///
/// # Panics
/// If it is not kept: with the names of all cases that failed, and why.
pub async fn blob_store<F: BlobStoreFactory>(factory: F) {
    Report::of(blob_store_cases(factory)).await.expect_conformance();
}

/// All cases, to run some of them, or to look at the [`Report`].
#[must_use]
pub fn blob_store_cases<F: BlobStoreFactory>(factory: F) -> Vec<Case> {
    Case::all(&Arc::new(factory), all())
}

type Trial<F> = report::Trial<F>;

fn all<F: BlobStoreFactory>() -> report::Cases<F> {
    cases!["blobs":
        what_was_stored_comes_back,
        a_long_blob_comes_back_in_its_order,
        a_part_is_what_was_asked_for,
        what_is_not_there_is_none,
        what_breaks_off_is_not_there,
        a_put_that_is_given_up_is_not_there,
        what_is_not_finished_is_not_there,
        a_reader_who_stops_is_given_no_more,
        deleting_is_deleting_and_twice_is_no_error,
        a_list_has_each_once,
        a_list_goes_on_after_what_was_deleted,
        many_at_once_do_not_mix,
        it_survives_its_process,
    ]
}

/// Above the size of what is sent to an object store at once, and no multiple of anything.
const LONG: usize = 20_000_003;
const ALL: Range<u64> = 0..u64::MAX;

fn id(n: u8) -> BlobId {
    // Neither end of the name alone tells them apart.
    BlobId::from_bytes([n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, n.wrapping_mul(37)])
}

/// Bytes that are wrong at every other place.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

fn pieces(bytes: &Bytes, size: usize) -> BlobStream {
    let pieces: Vec<_> = bytes.chunks(size).map(|it| Ok(bytes.slice_ref(it))).collect();
    BlobStream::new(stream::iter(pieces))
}

async fn put<B: BlobStore>(blobs: &B, id: BlobId, bytes: &Bytes) {
    let length = blobs.put(id, BlobStream::of(bytes.clone())).await.expect("it works");
    assert_eq!(length, bytes.len() as u64, "the length is told");
}

async fn get<B: BlobStore>(blobs: &B, id: BlobId, range: Range<u64>) -> Option<Bytes> {
    let stream = blobs.get(id, range).await.expect("it works")?;
    Some(stream.collect(LONG).await.expect("it can be read"))
}

async fn list<B: BlobStore>(blobs: &B, limit: u16) -> Vec<Blob> {
    let limit = NonZeroU16::new(limit).expect("a limit");
    let mut all: Vec<Blob> = Vec::new();
    loop {
        let after = all.last().map(|blob| blob.id);
        let page = blobs.list(after, limit).await.expect("it works");
        assert!(page.len() <= limit.get().into(), "a page has at most its limit");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
        assert!(all.len() < 10_000, "the list does not end");
    }
}

async fn is_not_there<B: BlobStore>(blobs: &B, id: BlobId) {
    assert_eq!(get(blobs, id, ALL).await, None, "{id} is not there");
    assert_eq!(list(blobs, 100).await, [], "and in no list");
}

async fn what_was_stored_comes_back<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    let every_byte: Bytes = (0..=255).collect();
    for (n, bytes) in [Bytes::new(), Bytes::from_static(b"\0"), every_byte].into_iter().enumerate()
    {
        let id = id(n as u8);
        put(&blobs, id, &bytes).await;
        assert_eq!(get(&blobs, id, ALL).await, Some(bytes));
    }
}

async fn a_long_blob_comes_back_in_its_order<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    let bytes = pattern(LONG);
    for (n, size) in [(1, 61_007), (2, LONG)] {
        let length = blobs.put(id(n), pieces(&bytes, size)).await.expect("it works");
        assert_eq!(length, LONG as u64);
        let same = get(&blobs, id(n), ALL).await.expect("it is there") == bytes;
        assert!(same, "in pieces of {size}, other bytes come back");
    }
}

async fn a_part_is_what_was_asked_for<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    let bytes = pattern(100_000);
    put(&blobs, id(1), &bytes).await;
    for range in [0..1, 0..100_000, 99_999..100_000, 1_000..77_777, 65_535..65_537, 99_990..200_000]
    {
        let end = (range.end as usize).min(bytes.len());
        let expected = bytes.slice(range.start as usize..end);
        let part = get(&blobs, id(1), range.clone()).await.expect("it is there");
        assert!(part == expected, "{range:?} gives {} bytes that are others", part.len());
    }
    for range in [0..0, 5..5, 100_000..100_001, 200_000..u64::MAX, u64::MAX..u64::MAX] {
        assert_eq!(get(&blobs, id(1), range.clone()).await, Some(Bytes::new()), "{range:?}");
    }
    put(&blobs, id(2), &Bytes::new()).await;
    assert_eq!(get(&blobs, id(2), 0..10).await, Some(Bytes::new()));
}

async fn what_is_not_there_is_none<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    is_not_there(&blobs, id(1)).await;
    assert_eq!(get(&blobs, id(1), 5..5).await, None, "an empty part of nothing is nothing");
    put(&blobs, id(1), &Bytes::from_static(b"one")).await;
    assert_eq!(get(&blobs, id(2), ALL).await, None);
}

async fn what_breaks_off_is_not_there<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    for length in [0, 5, LONG] {
        let broken = stream::iter([
            Ok(pattern(length)),
            Err(BlobError::Source("the connection is gone".into())),
        ]);
        let error = blobs.put(id(1), BlobStream::new(broken)).await.expect_err("it broke off");
        assert!(matches!(error, BlobError::Source(_)), "the source's own error: {error:?}");
        is_not_there(&blobs, id(1)).await;
    }
    // The name is still free.
    put(&blobs, id(1), &Bytes::from_static(b"again")).await;
    assert_eq!(get(&blobs, id(1), ALL).await, Some(Bytes::from_static(b"again")));
}

/// These bytes, then a word to the other end, then silence.
fn falls_silent(bytes: Bytes) -> (BlobStream, oneshot::Receiver<()>) {
    let (told, silent) = oneshot::channel();
    let rest = stream::once(async move {
        let _ = told.send(());
        pending().await
    });
    (BlobStream::new(stream::iter([Ok(bytes)]).chain(rest)), silent)
}

async fn a_put_that_is_given_up_is_not_there<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    for length in [5, LONG] {
        let (bytes, silent) = falls_silent(pattern(length));
        tokio::select! {
            _ = blobs.put(id(1), bytes) => panic!("there is more to come"),
            told = silent => told.expect("the stream is read to where it is silent"),
        }
        is_not_there(&blobs, id(1)).await;
    }
}

async fn what_is_not_finished_is_not_there<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    let (told, silent) = oneshot::channel();
    let (go_on, end) = oneshot::channel();
    let rest = stream::once(async move {
        let _ = told.send(());
        let _ = end.await;
        Ok(Bytes::from_static(b"the end"))
    });
    let bytes = BlobStream::new(stream::iter([Ok(pattern(100_000))]).chain(rest));
    let looks = async {
        silent.await.expect("the stream is read");
        is_not_there(&blobs, id(1)).await;
        go_on.send(()).expect("it is waited for");
    };
    let (length, ()) = tokio::join!(blobs.put(id(1), bytes), looks);
    assert_eq!(length.expect("it works"), 100_007);
    assert_eq!(get(&blobs, id(1), 99_999..100_007).await.map(|it| it.len()), Some(8));
}

async fn a_reader_who_stops_is_given_no_more<F: BlobStoreFactory>(trial: Trial<F>) {
    const PIECE: usize = 1024 * 1024;
    let blobs = trial.factory.open().await;
    let bytes = pattern(64 * PIECE);
    blobs.put(id(1), pieces(&bytes, PIECE)).await.expect("it works");
    // Whoever reads one piece and stops has not caused the rest to be held: the stream can be
    // dropped, and the blob is as it was.
    let mut stream = blobs.get(id(1), ALL).await.expect("it works").expect("it is there");
    let first = stream.next().await.expect("it has bytes").expect("it can be read");
    assert!(first.len() < 32 * PIECE && bytes.starts_with(&first), "a piece is some MiB at most");
    drop(stream);
    assert_eq!(get(&blobs, id(1), 5..9).await, Some(bytes.slice(5..9)));
}

async fn deleting_is_deleting_and_twice_is_no_error<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    blobs.delete(id(1)).await.expect("what is not there can be deleted");
    put(&blobs, id(1), &Bytes::from_static(b"one")).await;
    put(&blobs, id(2), &Bytes::from_static(b"two")).await;
    for _ in 0..2 {
        blobs.delete(id(1)).await.expect("it works");
        assert_eq!(get(&blobs, id(1), ALL).await, None);
    }
    assert_eq!(get(&blobs, id(2), ALL).await, Some(Bytes::from_static(b"two")));
    let left: Vec<_> = list(&blobs, 100).await.iter().map(|it| it.id).collect();
    assert_eq!(left, [id(2)]);
}

async fn a_list_has_each_once<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    let mut expected = BTreeMap::new();
    for n in 0..25 {
        put(&blobs, id(n), &pattern(n.into())).await;
        expected.insert(id(n), u64::from(n));
    }
    for limit in [1, 7, 25, 1_000] {
        let all = list(&blobs, limit).await;
        assert_eq!(all.len(), 25, "in pages of {limit}");
        let all: BTreeMap<_, _> = all.iter().map(|blob| (blob.id, blob.bytes)).collect();
        assert_eq!(all, expected, "in pages of {limit}");
    }
    let all = list(&blobs, 1_000).await;
    let times = all.iter().map(|blob| blob.at.as_millis());
    let (first, last) = (times.clone().min(), times.max());
    assert!(first > Some(0), "they have a time");
    assert!(last.zip(first).is_some_and(|(last, first)| last - first < 600_000), "of just now");
}

async fn a_list_goes_on_after_what_was_deleted<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    for n in 0..10 {
        put(&blobs, id(n), &Bytes::from_static(b"x")).await;
    }
    // As the collector does it.
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = blobs.list(after, NonZeroU16::new(3).expect("a limit")).await.expect("it works");
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for blob in page {
            blobs.delete(blob.id).await.expect("it works");
            seen.push(blob.id);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).map(id).collect::<Vec<_>>());
    assert_eq!(list(&blobs, 3).await, []);
}

async fn many_at_once_do_not_mix<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    let contents: Vec<_> = (0..16_u8).map(|n| Bytes::from(vec![n; 100_000])).collect();
    join_all(contents.iter().enumerate().map(|(n, bytes)| {
        let blobs = &blobs;
        async move {
            let slowly = pieces(bytes, 10_000).then_yielding();
            blobs.put(id(n as u8), slowly).await.expect("it works");
        }
    }))
    .await;
    for (n, bytes) in contents.iter().enumerate() {
        assert_eq!(get(&blobs, id(n as u8), ALL).await.as_ref(), Some(bytes));
    }
    // Two under one name: one of them, whole.
    let both = [&contents[1], &contents[2]];
    join_all(both.map(|bytes| blobs.put(id(99), pieces(bytes, 1_000).then_yielding()))).await;
    let one = get(&blobs, id(99), ALL).await.expect("it is there");
    assert!(both.contains(&&one), "one of the two, not a mixture of {} bytes", one.len());
}

impl BlobStream {
    /// Lets others go first before each piece.
    fn then_yielding(self) -> Self {
        Self::new(stream::unfold(self, |mut bytes| async move {
            tokio::task::yield_now().await;
            bytes.next().await.map(|piece| (piece, bytes))
        }))
    }
}

async fn it_survives_its_process<F: BlobStoreFactory>(trial: Trial<F>) {
    let blobs = trial.factory.open().await;
    put(&blobs, id(1), &Bytes::from_static(b"one")).await;
    put(&blobs, id(2), &Bytes::from_static(b"two")).await;
    blobs.delete(id(2)).await.expect("it works");
    let Some(again) = trial.factory.reopen(&blobs).await else { return trial.skip() };
    drop(blobs);
    assert_eq!(get(&again, id(1), ALL).await, Some(Bytes::from_static(b"one")));
    assert_eq!(get(&again, id(2), ALL).await, None);
}
