//! The stores: one append a commit, and sixty-four. SQLite on disk with `synchronous=FULL`, so a
//! commit is a flush; the figure is appends a second, and depends on the disk most of all.

use benches::{append, open};
use chat_sdk::{MemoryStore, SqliteStore, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

/// Different conversations that a batch is spread over.
const CONVERSATIONS: usize = 16;

fn appends(criterion: &mut Criterion, name: &str, runtime: &Runtime, store: &impl Store) {
    let openings = (0..CONVERSATIONS).map(open).collect();
    runtime.block_on(store.write(openings)).expect("the store writes");
    let mut group = criterion.benchmark_group(format!("store/{name}"));
    // A sample is many flushes: few of them tell enough.
    group.sample_size(20);
    let mut next = 0;
    for batch in [1u64, 64] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::new("append", batch), |bencher| {
            bencher.iter(|| {
                let writes = (next..next + batch)
                    .map(|k| append(usize::try_from(k).expect("small") % CONVERSATIONS, k))
                    .collect();
                next += batch;
                runtime.block_on(store.write(writes)).expect("the store writes")
            });
        });
    }
    group.finish();
}

fn stores(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    appends(criterion, "memory", &runtime, &MemoryStore::new());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat.db");
    let store = runtime.block_on(SqliteStore::open(&path)).expect("a file");
    appends(criterion, "sqlite", &runtime, &store);
    runtime.block_on(store.close());
}

criterion_group!(benches, stores);
criterion_main!(benches);
