//! The contract of the [`Store`]. The groups of cases follow its numbered rules.

mod concurrency;
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
mod text;
mod unread;
mod world;

use std::{any::Any, future::Future, ops::Deref, pin::Pin, sync::Arc};

use super::report::{self, Boxed, Case, Report};
use crate::{erased::DynStore, store::Store};

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
    let factory: Arc<dyn AnyFactory> = Arc::new(Factory(Arc::new(factory)));
    [
        numbering::cases(),
        once::cases(),
        opening::cases(),
        order::cases(),
        membership::cases(),
        privacy::cases(),
        markers::cases(),
        unread::cases(),
        pages::cases(),
        lists::cases(),
        memberships::cases(),
        text::cases(),
        concurrency::cases(),
        restart::cases(),
    ]
    .into_iter()
    .flat_map(|cases| Case::all(&factory, cases))
    .collect()
}

// The cases know no type of store, so that they are compiled once and not for each.

type Trial = report::Trial<dyn AnyFactory>;
type Cases = report::Cases<dyn AnyFactory>;

/// A [`Restore`] of a type that only its store knows.
type AnyBackup = Box<dyn Any + Send>;

trait AnyFactory: Send + Sync {
    fn open(&self) -> Boxed<Shelf>;
}

trait AnyStore: Send + Sync {
    fn store(&self) -> &(dyn DynStore + 'static);
    fn backup(&self) -> Pin<Box<dyn Future<Output = Option<AnyBackup>> + Send + '_>>;
    fn reopen(self: Box<Self>) -> Boxed<Option<Shelf>>;
    fn restore(self: Box<Self>, backup: AnyBackup) -> Boxed<Shelf>;
}

/// A store under test, whatever its type.
struct Shelf(Arc<Box<dyn AnyStore>>);

impl Shelf {
    fn new<F: StoreFactory>(factory: Arc<F>, store: F::Store) -> Self {
        Self(Arc::new(Box::new(Opened { factory, store })))
    }

    /// Another handle on the same store.
    fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    async fn backup(&self) -> Option<AnyBackup> {
        self.0.backup().await
    }

    async fn reopen(self) -> Option<Self> {
        self.alone().reopen().await
    }

    async fn restore(self, backup: AnyBackup) -> Self {
        self.alone().restore(backup).await
    }

    fn alone(self) -> Box<dyn AnyStore> {
        Arc::try_unwrap(self.0).unwrap_or_else(|_| panic!("no task has the store any more"))
    }
}

impl Deref for Shelf {
    type Target = dyn DynStore;

    fn deref(&self) -> &Self::Target {
        self.0.store()
    }
}

struct Factory<F>(Arc<F>);

impl<F: StoreFactory> AnyFactory for Factory<F> {
    fn open(&self) -> Boxed<Shelf> {
        let factory = Arc::clone(&self.0);
        Box::pin(async move {
            let store = factory.open().await;
            Shelf::new(factory, store)
        })
    }
}

struct Opened<F: StoreFactory> {
    factory: Arc<F>,
    store: F::Store,
}

impl<F: StoreFactory> AnyStore for Opened<F> {
    fn store(&self) -> &(dyn DynStore + 'static) {
        &self.store
    }

    fn backup(&self) -> Pin<Box<dyn Future<Output = Option<AnyBackup>> + Send + '_>> {
        Box::pin(async {
            let restore = self.factory.backup(&self.store).await?;
            Some(Box::new(restore) as AnyBackup)
        })
    }

    fn reopen(self: Box<Self>) -> Boxed<Option<Shelf>> {
        Box::pin(async move {
            let Self { factory, store } = *self;
            let store = factory.reopen(store).await?;
            Some(Shelf::new(factory, store))
        })
    }

    fn restore(self: Box<Self>, backup: AnyBackup) -> Boxed<Shelf> {
        Box::pin(async move {
            let Self { factory, store } = *self;
            let restore = backup.downcast::<Restore<F::Store>>();
            let restore = restore.expect("it was made by a store of the same type");
            Shelf::new(factory, restore(store).await)
        })
    }
}
