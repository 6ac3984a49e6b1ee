//! The contract of the [`Store`]. The groups of cases follow its numbered rules.

mod concurrency;
mod entrance;
mod files;
mod lists;
mod markers;
mod membership;
mod memberships;
mod model;
mod numbering;
mod once;
mod opening;
mod order;
mod pages;
mod privacy;
mod restart;
mod roles;
mod shelf;
mod text;
mod unread;
mod world;

use std::future::Future;

use self::shelf::{AnyBackup, AnyFactory, Shelf};
use super::report::{self, Boxed, Case, Report};
use crate::store::Store;

/// Puts what a backup holds in the place of what the store (closed by then) held, in a new life.
pub type Restore<S> = Box<dyn FnOnce(S) -> Boxed<S> + Send>;

/// How the suite comes by stores. Problems are best reported by a panic.
pub trait StoreFactory: Send + Sync + 'static {
    /// The implementation.
    type Store: Store;

    /// A store without any data, that shares nothing with those before.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Ends the store and opens it again on the same data, as a restart does. `None`: its data
    /// ends with it; what survives a restart is not tested then.
    fn reopen(&self, store: Self::Store) -> impl Future<Output = Option<Self::Store>> + Send {
        drop(store);
        async { None }
    }

    /// Makes a backup, and says how it is restored. `None`: there is no such thing here; what is
    /// different after a restore is not tested then.
    fn backup(
        &self,
        store: &Self::Store,
    ) -> impl Future<Output = Option<Restore<Self::Store>>> + Send {
        let _ = store;
        async { None }
    }
}

/// Holds the contract against an implementation.
///
/// # Panics
/// If it is not kept: with the names of all cases that failed, and why.
pub async fn store<F: StoreFactory>(factory: F) {
    Report::of(store_cases(factory)).await.expect_conformance();
}

/// All cases, to run some of them, or to look at the [`Report`].
#[must_use]
pub fn store_cases<F: StoreFactory>(factory: F) -> Vec<Case> {
    let factory = shelf::erase(factory);
    [
        numbering::cases(),
        once::cases(),
        opening::cases(),
        order::cases(),
        membership::cases(),
        roles::cases(),
        entrance::cases(),
        privacy::cases(),
        markers::cases(),
        unread::cases(),
        pages::cases(),
        lists::cases(),
        memberships::cases(),
        files::cases(),
        text::cases(),
        concurrency::cases(),
        restart::cases(),
    ]
    .into_iter()
    .flat_map(|cases| Case::all(&factory, cases))
    .collect()
}

type Trial = report::Trial<dyn AnyFactory>;
type Cases = report::Cases<dyn AnyFactory>;
