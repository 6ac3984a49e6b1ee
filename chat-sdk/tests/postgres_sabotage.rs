//! The suite finds the PostgreSQL store's own defect. In a process of its own, because a defect is
//! switched on for a whole process.

// Also outside of the test functions themselves this is a test.
#![allow(clippy::unwrap_used)]

use chat_sdk::{
    conformance::{Report, StoreFactory, store_cases},
    sabotage::{Defect, commit},
    store::PostgresStore,
};

struct Databases(testbed::Postgres);

impl StoreFactory for Databases {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        PostgresStore::connect(&self.0.new_database()).await.unwrap()
    }
}

async fn concurrency() -> Report {
    let cases = store_cases(Databases(testbed::Postgres::start()));
    Report::of(cases.into_iter().filter(|case| case.name.contains("many_writers_leave_no_gap")))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_are_taken_outside_the_lock_are_found() {
    commit(Some(Defect::SeqOutsideLock));
    let report = concurrency().await;
    assert_eq!((report.passed, report.failed.len()), (0, 2), "{report}");
    commit(None);
    let report = concurrency().await;
    assert_eq!((report.passed, report.failed.len()), (2, 0), "{report}");
}
