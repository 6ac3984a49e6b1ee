//! Our stores keep the contract that we ship for everybody's.

// Also outside of the test functions themselves this is a test.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use chat_sdk::{
    Epoch, LocalBus, MemoryStore,
    conformance::{self, AccountStoreFactory, BusFactory, Restore, StoreFactory},
    store::{Durability, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore},
};

struct InMemory;

impl StoreFactory for InMemory {
    type Store = MemoryStore;

    async fn open(&self) -> MemoryStore {
        MemoryStore::new()
    }

    async fn backup(&self, store: &MemoryStore) -> Option<Restore<MemoryStore>> {
        let backup = store.backup();
        Some(Box::new(move |store| {
            Box::pin(async move {
                store.restore(&backup, Epoch::new("restored").unwrap());
                store
            })
        }))
    }
}

struct SqliteInMemory;

impl StoreFactory for SqliteInMemory {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        SqliteStore::in_memory().unwrap()
    }
}

/// Stores in files of a directory that is removed in the end.
struct SqliteFiles {
    directory: PathBuf,
    files: AtomicU64,
}

impl SqliteFiles {
    fn new(purpose: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{purpose}-{}", std::process::id()));
        Self { directory, files: AtomicU64::new(0) }
    }

    /// The contract does not depend on how often the disk is flushed, and the tests' disk is slow.
    async fn open_at(path: &Path) -> SqliteStore {
        let durability = Durability::UntilPowerFails;
        let options = SqliteOptions { durability, ..SqliteOptions::default() };
        SqliteStore::open_with(path, options).await.unwrap()
    }
}

impl Drop for SqliteFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl StoreFactory for SqliteFiles {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        let file = self.files.fetch_add(1, Ordering::Relaxed);
        Self::open_at(&self.directory.join(format!("{file}.db"))).await
    }

    async fn reopen(&self, store: SqliteStore) -> Option<SqliteStore> {
        store.close().await;
        Some(Self::open_at(store.path().unwrap()).await)
    }

    async fn backup(&self, store: &SqliteStore) -> Option<Restore<SqliteStore>> {
        let backup = store.path().unwrap().with_extension("backup");
        store.backup(&backup).await.unwrap();
        Some(Box::new(move |store| {
            Box::pin(async move {
                store.close().await;
                std::fs::copy(backup, store.path().unwrap()).unwrap();
                let store = Self::open_at(store.path().unwrap()).await;
                store.new_epoch().await.unwrap();
                store
            })
        }))
    }
}

/// Stores in schemas of one database, which are made faster than databases are.
struct Postgres;

static SERVER: LazyLock<testbed::Postgres> = LazyLock::new(testbed::Postgres::start);

impl Postgres {
    async fn open_at(schema: &str) -> PostgresStore {
        let options = PostgresOptions { schema: schema.to_owned(), ..PostgresOptions::default() };
        PostgresStore::connect_with(&SERVER.url("postgres"), options).await.unwrap()
    }
}

impl StoreFactory for Postgres {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        static SCHEMAS: AtomicU64 = AtomicU64::new(0);
        Self::open_at(&format!("store {}", SCHEMAS.fetch_add(1, Ordering::Relaxed))).await
    }

    async fn reopen(&self, store: PostgresStore) -> Option<PostgresStore> {
        store.close().await;
        Some(Self::open_at(store.schema()).await)
    }

    async fn backup(&self, store: &PostgresStore) -> Option<Restore<PostgresStore>> {
        let schema = store.schema().to_owned();
        let dump = Command::new("pg_dump")
            .args(["--schema", &format!("\"{schema}\""), &SERVER.url("postgres")])
            .output()
            .unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let dump = String::from_utf8(dump.stdout).unwrap();
        Some(Box::new(move |store| {
            Box::pin(async move {
                store.close().await;
                let schema = store.schema().to_owned();
                SERVER.sql("postgres", &format!("DROP SCHEMA \"{schema}\" CASCADE"));
                SERVER.script("postgres", &dump);
                // In the database that it was made of, which cannot be noticed.
                let store = Self::open_at(&schema).await;
                store.new_epoch().await.unwrap();
                store
            })
        }))
    }
}

impl AccountStoreFactory for Postgres {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        StoreFactory::open(self).await
    }

    async fn reopen(&self, store: PostgresStore) -> Option<PostgresStore> {
        StoreFactory::reopen(self, store).await
    }
}

impl AccountStoreFactory for InMemory {
    type Store = MemoryStore;

    async fn open(&self) -> MemoryStore {
        MemoryStore::new()
    }
}

impl AccountStoreFactory for SqliteInMemory {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        StoreFactory::open(self).await
    }
}

impl AccountStoreFactory for SqliteFiles {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        StoreFactory::open(self).await
    }

    async fn reopen(&self, store: SqliteStore) -> Option<SqliteStore> {
        StoreFactory::reopen(self, store).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_keeps_the_contract() {
    conformance::store(InMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_store_in_memory_keeps_the_contract() {
    conformance::store(SqliteInMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_store_in_a_file_keeps_the_contract() {
    conformance::store(SqliteFiles::new("conformance")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postgres_store_keeps_the_contract() {
    conformance::store(Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_in_postgres_keep_the_contract() {
    conformance::account_store(Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_in_memory_keep_the_contract() {
    conformance::account_store(InMemory).await;
    conformance::account_store(SqliteInMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_in_a_file_keep_the_contract() {
    conformance::account_store(SqliteFiles::new("accounts")).await;
}

struct Local;

impl BusFactory for Local {
    type Bus = LocalBus;

    async fn nodes(&self, count: usize) -> Vec<LocalBus> {
        let first = LocalBus::new();
        let others: Vec<_> = (1..count as u64).map(|node| first.join(node)).collect();
        std::iter::once(first).chain(others).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_bus_keeps_the_contract() {
    conformance::bus(Local).await;
}
