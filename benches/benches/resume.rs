//! A device comes back: upgrade, token, hello with a resume token, ten missed events in one of its
//! 20 or 200 conversations (or none), `synced`, good-bye. Through the whole product, over a pipe in
//! memory instead of a socket. Resumes a second, one after the other.

use benches::{
    append_with,
    host::{Host, hello},
    open_with,
    peer::{Frame, Peer},
    user,
};
use chat_sdk::{MemoryStore, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Builder;

/// `welcome`, and behind the events the markers of both members.
const OTHERS: u64 = 3;

async fn come_back(host: &Host, token: &str, hello: &Frame, missed: u64) {
    let mut peer = Peer::open(&host.chat, token).await;
    peer.send(hello).await;
    let before = peer.skip_to("synced").await as u64;
    assert_eq!(before, if missed == 0 { 1 } else { OTHERS + missed });
    peer.close().await;
}

/// The store is asked to write by itself: what it holds when the host starts was before the place
/// that the device has reached, and what it is given then has been missed.
fn resume<S: Store + Clone>(criterion: &mut Criterion, name: &str, open: impl AsyncFn() -> S) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut group = criterion.benchmark_group(format!("resume/{name}"));
    group.throughput(Throughput::Elements(1));
    for (conversations, missed) in [(20usize, 0u64), (20, 10), (200, 10)] {
        let id = BenchmarkId::new(format!("{missed}_missed"), conversations);
        group.bench_function(id, |bencher| {
            let (host, token, hello) = runtime.block_on(async {
                let store = open().await;
                let opened = (0..conversations).map(|n| open_with(&user(0), n)).collect();
                store.write(opened).await.expect("the store writes");
                let host = Host::start(store.clone()).await;
                let place = host.place(&user(0)).await;
                let appended = (0..missed).map(|k| append_with(&user(0), 0, k)).collect();
                store.write(appended).await.expect("the store writes");
                let token = host.token(&user(0));
                (host, token, hello(Some(place)))
            });
            bencher.iter(|| runtime.block_on(come_back(&host, &token, &hello, missed)));
        });
    }
    group.finish();
}

fn memory(criterion: &mut Criterion) {
    resume(criterion, "memory", async || MemoryStore::new());
}

#[cfg(feature = "sqlite")]
fn sqlite(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = std::cell::Cell::new(0);
    resume(criterion, "sqlite", async || {
        // A file for each case, empty.
        files.set(files.get() + 1);
        let path = folder.path().join(format!("{}.db", files.get()));
        chat_sdk::SqliteStore::open(&path).await.expect("a file")
    });
}

#[cfg(feature = "sqlite")]
criterion_group!(benches, memory, sqlite);
#[cfg(not(feature = "sqlite"))]
criterion_group!(benches, memory);
criterion_main!(benches);
