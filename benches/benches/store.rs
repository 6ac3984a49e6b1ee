//! The stores: appends by the size of the commit, pages, and what a device that comes back asks.
//! SQLite on disk with `synchronous=FULL`, so a commit is a flush, and how many appends a second it
//! makes depends on the disk most of all.

use std::num::NonZeroU16;

use benches::{append, append_with, conversation, open, open_with, user};
use chat_sdk::{
    Membership, MemoryStore, Seq, SqliteStore, Store, UserId,
    store::{Checkpoint, Only, Page, Reader},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

/// Different conversations that a batch is spread over.
const CONVERSATIONS: usize = 16;
/// Messages of the one that pages are read from: many pages.
const LOGGED: u64 = 2_000;
const PAGE: NonZeroU16 = NonZeroU16::new(50).expect("not zero");
/// In one conversation of the device that comes back.
const MISSED: u64 = 10;
/// How much of one conversation is read at once then: what a node does by default.
const RESUMED: NonZeroU16 = NonZeroU16::new(100).expect("not zero");

/// One of the stores, and what carries its tasks.
struct Bench<'a, S> {
    name: &'a str,
    runtime: &'a Runtime,
    store: &'a S,
}

impl<S: Store> Bench<'_, S> {
    fn appends(&self, criterion: &mut Criterion) {
        let openings = (0..CONVERSATIONS).map(open).collect();
        self.runtime.block_on(self.store.write(openings)).expect("the store writes");
        let mut group = criterion.benchmark_group(format!("store/{}/append", self.name));
        // A sample is many flushes: few of them tell enough.
        group.sample_size(20);
        let mut next = 0;
        for batch in [1u64, 16, 64, 256] {
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
                bencher.iter(|| {
                    let writes = (next..next + batch)
                        .map(|k| append(usize::try_from(k).expect("small") % CONVERSATIONS, k))
                        .collect();
                    next += batch;
                    self.runtime.block_on(self.store.write(writes)).expect("the store writes")
                });
            });
        }
        group.finish();
    }

    /// Events a second.
    fn pages(&self, criterion: &mut Criterion) {
        let place = CONVERSATIONS;
        let writes = std::iter::once(open(place)).chain((0..LOGGED).map(|k| append(place, k)));
        self.runtime.block_on(self.store.write(writes.collect())).expect("the store writes");
        let reader = user(2 * place);
        let mut group = criterion.benchmark_group(format!("store/{}/page", self.name));
        group.throughput(Throughput::Elements(u64::from(PAGE.get())));
        let pages = [
            ("newest", Page::Newest),
            ("before", Page::Before(Seq::new(LOGGED / 2))),
            ("around", Page::Around(Seq::new(LOGGED / 2))),
        ];
        for (name, page) in pages {
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let reader = Reader::User(&reader);
                    let asked = conversation(place);
                    let read = self.store.page(reader, asked, page, Only::Everything, PAGE);
                    let read = self.runtime.block_on(read).expect("the store reads");
                    assert_eq!(read.expect("a member reads").events.len(), usize::from(PAGE.get()));
                });
            });
        }
        group.finish();
    }

    /// What a device asks for that comes back after ten messages in one of so many conversations:
    /// once what changed, then for each that did the events and the markers. Resumes a second.
    fn resumes(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(format!("store/{}/resume", self.name));
        group.throughput(Throughput::Elements(1));
        for conversations in [20usize, 200] {
            // Another user for each: what one has does not count for the other.
            let device = user(10_000 + conversations);
            let since = self.missing(&device, conversations);
            let changed = self.runtime.block_on(self.changed(&device, &since));
            let [changed] = &changed[..] else { panic!("all was missed in one: {changed:?}") };
            group.bench_function(BenchmarkId::new("memberships", conversations), |bencher| {
                bencher.iter(|| self.runtime.block_on(self.changed(&device, &since)));
            });
            group.bench_function(BenchmarkId::new("events", conversations), |bencher| {
                bencher.iter(|| self.runtime.block_on(self.events(&device, changed)));
            });
            group.bench_function(BenchmarkId::new("markers", conversations), |bencher| {
                bencher.iter(|| self.runtime.block_on(self.markers(&device, changed)));
            });
            group.bench_function(BenchmarkId::new("all", conversations), |bencher| {
                bencher.iter(|| {
                    self.runtime.block_on(async {
                        for changed in &self.changed(&device, &since).await {
                            self.events(&device, changed).await;
                            self.markers(&device, changed).await;
                        }
                    });
                });
            });
        }
        group.finish();
    }

    /// A checkpoint after which the user missed some in one of so many conversations.
    fn missing(&self, device: &UserId, conversations: usize) -> Checkpoint {
        self.runtime.block_on(async {
            let opened = (0..conversations).map(|n| open_with(device, n)).collect();
            self.store.write(opened).await.expect("the store writes");
            let heads = self.store.heads(&[]).await.expect("the store reads");
            let missed = (0..MISSED).map(|k| append_with(device, 0, k)).collect();
            self.store.write(missed).await.expect("the store writes");
            heads.checkpoint
        })
    }

    async fn changed(&self, device: &UserId, since: &Checkpoint) -> Vec<Membership> {
        let memberships = self.store.memberships(device, Some(since)).await;
        let mut current = memberships.expect("the store reads").current;
        current.retain(|membership| membership.changed_since.is_some());
        current
    }

    async fn events(&self, device: &UserId, changed: &Membership) {
        let Membership { conversation, head, changed_since } = *changed;
        let (reader, after) = (Reader::User(device), changed_since.expect("it changed"));
        let read = self.store.read(reader, conversation, after, head, RESUMED).await;
        assert_eq!(read.expect("the store reads").expect("a member reads").len(), MISSED as usize);
    }

    async fn markers(&self, device: &UserId, changed: &Membership) {
        let reader = Reader::User(device);
        let markers = self.store.members(reader, changed.conversation, None, RESUMED).await;
        assert_eq!(markers.expect("the store reads").expect("a member reads").len(), 2);
    }

    fn all(&self, criterion: &mut Criterion) {
        self.pages(criterion);
        self.resumes(criterion);
        // Last, because it alone makes the store grow with every sample.
        self.appends(criterion);
    }
}

fn stores(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let store = MemoryStore::new();
    Bench { name: "memory", runtime: &runtime, store: &store }.all(criterion);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat.db");
    let store = runtime.block_on(SqliteStore::open(&path)).expect("a file");
    Bench { name: "sqlite", runtime: &runtime, store: &store }.all(criterion);
    runtime.block_on(store.close());
}

criterion_group!(benches, stores);
criterion_main!(benches);
