//! A store of the host's own: here, one that writes every committed event into an audit trail, and
//! keeps the conversations in another store.
//!
//! Every method of the port is there, so this is also where to begin with a store on a database of
//! your own. What has to hold is in the documentation of `Store`; that it does, the shipped suite
//! tells (`chat_sdk::conformance`, with the feature of that name).

use std::{
    num::NonZeroU16,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chat_sdk::{
    Chat, ConversationId, Draft, Epoch, Event, FromExtension, Member, Memberships, MemoryStore,
    Seq, Store, Summary, Text, Timestamp, To, UserId,
    store::{Checkpoint, Events, Heads, Only, Page, Reader, StoreError, Write, Written},
};

/// What happened, one line an event: who did what kind of thing where, and not what they wrote.
type Trail = Arc<Mutex<Vec<String>>>;

struct Audited<S> {
    inner: S,
    trail: Trail,
}

impl<S: Store> Store for Audited<S> {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        let written = self.inner.write(batch).await?;
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        for written in &written {
            // Only what is new: a repeated write is answered again and happens once.
            if let Written::Event { event, fresh: true } = written {
                let who = event.from.as_ref().map_or("system", UserId::as_str);
                trail.push(format!("{who} wrote #{} in {}", event.seq, event.conversation));
            }
        }
        Ok(written)
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.inner.epoch().await
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        self.inner.memberships(user, since).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        self.inner.heads(conversations).await
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        self.inner.read(reader, conversation, after, upto, limit).await
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<Events>, StoreError> {
        self.inner.page(reader, conversation, page, only, limit).await
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        self.inner.conversations(user, after, limit).await
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        self.inner.conversation(user, conversation).await
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        self.inner.members(reader, conversation, after, limit).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trail = Trail::default();
    let store = Audited { inner: MemoryStore::new(), trail: trail.clone() };
    let chat = Chat::builder(FromExtension).store(store).start().await?;

    let (ann, ben) = (UserId::new("ann")?, UserId::new("ben")?);
    chat.send(Draft::new(ann, To::User(ben), Text::new("between us")?)).await?;
    chat.shutdown(Duration::ZERO).await;

    for line in trail.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{line}");
    }
    Ok(())
}
