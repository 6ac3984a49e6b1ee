//! A store under test, whatever its type: the cases are compiled once, and not for each store.

use std::{any::Any, future::Future, ops::Deref, pin::Pin, sync::Arc};

use super::{super::report::Boxed, Restore, StoreFactory};
use crate::erased::DynStore;

/// A [`Restore`] of a type that only its store knows.
pub(super) type AnyBackup = Box<dyn Any + Send>;

pub(super) trait AnyFactory: Send + Sync {
    fn open(&self) -> Boxed<Shelf>;
}

pub(super) fn erase<F: StoreFactory>(factory: F) -> Arc<dyn AnyFactory> {
    Arc::new(Factory(Arc::new(factory)))
}

/// A handle on one store.
pub(super) struct Shelf(Arc<Box<dyn AnyStore>>);

impl Shelf {
    fn new<F: StoreFactory>(factory: Arc<F>, store: F::Store) -> Self {
        Self(Arc::new(Box::new(Opened { factory, store })))
    }

    /// Another handle on the same store.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) async fn backup(&self) -> Option<AnyBackup> {
        self.0.backup().await
    }

    pub(super) async fn reopen(self) -> Option<Self> {
        self.alone().reopen().await
    }

    pub(super) async fn restore(self, backup: AnyBackup) -> Self {
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

/// A store, and what its factory can do with it.
trait AnyStore: Send + Sync {
    fn store(&self) -> &(dyn DynStore + 'static);
    fn backup(&self) -> Pin<Box<dyn Future<Output = Option<AnyBackup>> + Send + '_>>;
    fn reopen(self: Box<Self>) -> Boxed<Option<Shelf>>;
    fn restore(self: Box<Self>, backup: AnyBackup) -> Boxed<Shelf>;
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
