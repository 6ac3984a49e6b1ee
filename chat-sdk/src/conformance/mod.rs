//! The contracts of the ports as tests, for anybody's implementation.
//!
//! Whoever writes a [`Store`](crate::Store) of their own runs [`store`] on it, and knows that it keeps
//! what the rest of this crate builds on. Each case is named after the behaviour it holds, gets a
//! fresh store, and says in its failure what it expected. The cases need a tokio runtime with time;
//! one with several threads finds more.
//!
//! ```
//! use chat_sdk::{MemoryStore, conformance::{self, StoreFactory}};
//!
//! struct Memory;
//!
//! impl StoreFactory for Memory {
//!     type Store = MemoryStore;
//!     async fn open(&self) -> MemoryStore {
//!         MemoryStore::new()
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! conformance::store(Memory).await;
//! # });
//! ```

#[cfg(feature = "accounts")]
mod accounts;
mod blobs;
mod bus;
mod random;
mod report;
mod store;

#[cfg(feature = "accounts")]
pub use self::accounts::{AccountStoreFactory, account_store, account_store_cases};
pub use self::{
    blobs::{BlobStoreFactory, blob_store, blob_store_cases},
    bus::{BusFactory, bus, bus_cases},
    report::{Case, Report},
    store::{Restore, StoreFactory, store, store_cases},
};
