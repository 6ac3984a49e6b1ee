//! A store under test, whatever its type: the cases are compiled once, and not for each store.

use std::{any::Any, future::Future, num::NonZeroU16, ops::Deref, pin::Pin, sync::Arc};

use super::{super::report::Boxed, Restore, StoreFactory};
use crate::{
    model::{ConversationId, Epoch, Event, Member, Memberships, Seq, Summary, Timestamp, UserId},
    store::{Checkpoint, Events, Heads, Only, Page, Reader, Store, StoreError, Write, Written},
};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

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
    type Target = dyn AnyStore;

    fn deref(&self) -> &Self::Target {
        &**self.0
    }
}

/// The [`Store`] with its futures boxed, and what its factory can do with it.
pub(super) trait AnyStore: Send + Sync {
    fn epoch(&self) -> Answer<'_, Epoch>;
    fn write(&self, batch: Vec<Write>) -> Answer<'_, Vec<Written>>;
    fn memberships<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<&'a Checkpoint>,
    ) -> Answer<'a, Memberships>;
    fn heads<'a>(&'a self, conversations: &'a [ConversationId]) -> Answer<'a, Heads>;
    fn read<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Answer<'a, Option<Vec<Event>>>;
    fn page<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Answer<'a, Option<Events>>;
    fn conversations<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Answer<'a, Vec<Summary>>;
    fn conversation<'a>(
        &'a self,
        user: &'a UserId,
        conversation: ConversationId,
    ) -> Answer<'a, Option<Summary>>;
    fn members<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Option<&'a UserId>,
        limit: NonZeroU16,
    ) -> Answer<'a, Option<Vec<Member>>>;

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
    fn epoch(&self) -> Answer<'_, Epoch> {
        Box::pin(self.store.epoch())
    }

    fn write(&self, batch: Vec<Write>) -> Answer<'_, Vec<Written>> {
        Box::pin(self.store.write(batch))
    }

    fn memberships<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<&'a Checkpoint>,
    ) -> Answer<'a, Memberships> {
        Box::pin(self.store.memberships(user, since))
    }

    fn heads<'a>(&'a self, conversations: &'a [ConversationId]) -> Answer<'a, Heads> {
        Box::pin(self.store.heads(conversations))
    }

    fn read<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Answer<'a, Option<Vec<Event>>> {
        Box::pin(self.store.read(reader, conversation, after, upto, limit))
    }

    fn page<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Answer<'a, Option<Events>> {
        Box::pin(self.store.page(reader, conversation, page, only, limit))
    }

    fn conversations<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Answer<'a, Vec<Summary>> {
        Box::pin(self.store.conversations(user, after, limit))
    }

    fn conversation<'a>(
        &'a self,
        user: &'a UserId,
        conversation: ConversationId,
    ) -> Answer<'a, Option<Summary>> {
        Box::pin(self.store.conversation(user, conversation))
    }

    fn members<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Option<&'a UserId>,
        limit: NonZeroU16,
    ) -> Answer<'a, Option<Vec<Member>>> {
        Box::pin(self.store.members(reader, conversation, after, limit))
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
