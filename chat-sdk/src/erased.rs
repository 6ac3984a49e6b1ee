//! Private `dyn` twins of the ports, so that [`Chat`](crate::Chat) has no type parameters.
//!
//! Hosts implement the public traits with plain `async fn`; a blanket implementation boxes the
//! futures here. No port lies on the fan-out path, so the box costs one allocation per question.

use std::{
    future::Future,
    num::{NonZeroU16, NonZeroUsize},
    ops::Range,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    auth::{AuthError, Authenticator, Credentials},
    blob::{Blob, BlobError, BlobStore, BlobStream},
    bus::{Budget, Bus, BusError, Heard, Topic},
    directory::Directory,
    env::{Clock, Random},
    model::{
        BlobId, ConversationId, Epoch, Event, Identity, Link, LinkId, Listing, Member, Memberships,
        Profile, Receipts, Seq, Summary, Timestamp, Title, UserId,
    },
    policy::{Policy, Verdict},
    store::{
        Checkpoint, Events, FileChange, FileChanged, FileQuery, FileRecord, Heads, Only, Page,
        Reader, Store, StoreError, Write, Written,
    },
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Stored<'a, T> = Boxed<'a, Result<T, StoreError>>;

/// Everything a node was given by its host.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) authenticator: Arc<dyn DynAuthenticator>,
    pub(crate) store: Arc<dyn DynStore>,
    pub(crate) bus: Arc<dyn DynBus>,
    pub(crate) policy: Arc<dyn DynPolicy>,
    pub(crate) directory: Arc<dyn DynDirectory>,
    /// `None`: files are not taken.
    pub(crate) blobs: Option<Arc<dyn DynBlobStore>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

pub(crate) trait DynAuthenticator: Send + Sync {
    fn authenticate<'a>(&'a self, with: Credentials<'a>) -> Boxed<'a, Result<Identity, AuthError>>;
    fn still_valid<'a>(&'a self, identity: &'a Identity) -> Boxed<'a, bool>;
}

impl<T: Authenticator> DynAuthenticator for T {
    fn authenticate<'a>(&'a self, with: Credentials<'a>) -> Boxed<'a, Result<Identity, AuthError>> {
        Box::pin(Authenticator::authenticate(self, with))
    }
    fn still_valid<'a>(&'a self, identity: &'a Identity) -> Boxed<'a, bool> {
        Box::pin(Authenticator::still_valid(self, identity))
    }
}

pub(crate) trait DynStore: Send + Sync {
    fn lanes(&self) -> NonZeroUsize;
    fn epoch(&self) -> Stored<'_, Epoch>;
    fn write(&self, batch: Vec<Write>) -> Stored<'_, Vec<Written>>;
    fn memberships<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<&'a Checkpoint>,
    ) -> Stored<'a, Memberships>;
    fn moved<'a>(&'a self, users: &'a [UserId], since: &'a Checkpoint) -> Stored<'a, Vec<UserId>>;
    fn heads<'a>(&'a self, conversations: &'a [ConversationId]) -> Stored<'a, Heads>;
    fn read<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Stored<'a, Option<Vec<Event>>>;
    fn page<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Stored<'a, Option<Events>>;
    fn conversations<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Stored<'a, Vec<Summary>>;
    fn conversation<'a>(
        &'a self,
        user: &'a UserId,
        conversation: ConversationId,
    ) -> Stored<'a, Option<Summary>>;
    fn members<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Option<&'a UserId>,
        limit: NonZeroU16,
    ) -> Stored<'a, Option<Vec<Member>>>;
    fn receipts<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        place: Seq,
    ) -> Stored<'a, Option<Receipts>>;
    fn listing(&self, conversation: ConversationId) -> Stored<'_, Option<Listing>>;
    fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Stored<'_, Vec<Listing>>;
    fn link<'a>(&'a self, link: &'a LinkId) -> Stored<'a, Option<(ConversationId, Link)>>;
    fn links(&self, conversation: ConversationId) -> Stored<'_, Vec<Link>>;
    fn change_file(&self, change: FileChange) -> Stored<'_, FileChanged>;
    fn files(&self, query: FileQuery) -> Stored<'_, Vec<FileRecord>>;
    fn stray_blobs<'a>(&'a self, blobs: &'a [BlobId]) -> Stored<'a, Vec<BlobId>>;
}

impl<T: Store> DynStore for T {
    fn lanes(&self) -> NonZeroUsize {
        Store::lanes(self)
    }
    fn epoch(&self) -> Stored<'_, Epoch> {
        Box::pin(Store::epoch(self))
    }
    fn write(&self, batch: Vec<Write>) -> Stored<'_, Vec<Written>> {
        Box::pin(Store::write(self, batch))
    }
    fn memberships<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<&'a Checkpoint>,
    ) -> Stored<'a, Memberships> {
        Box::pin(Store::memberships(self, user, since))
    }
    fn moved<'a>(&'a self, users: &'a [UserId], since: &'a Checkpoint) -> Stored<'a, Vec<UserId>> {
        Box::pin(Store::moved(self, users, since))
    }
    fn heads<'a>(&'a self, conversations: &'a [ConversationId]) -> Stored<'a, Heads> {
        Box::pin(Store::heads(self, conversations))
    }
    fn read<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Stored<'a, Option<Vec<Event>>> {
        Box::pin(Store::read(self, reader, conversation, after, upto, limit))
    }
    fn page<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Stored<'a, Option<Events>> {
        Box::pin(Store::page(self, reader, conversation, page, only, limit))
    }
    fn conversations<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Stored<'a, Vec<Summary>> {
        Box::pin(Store::conversations(self, user, after, limit))
    }
    fn conversation<'a>(
        &'a self,
        user: &'a UserId,
        conversation: ConversationId,
    ) -> Stored<'a, Option<Summary>> {
        Box::pin(Store::conversation(self, user, conversation))
    }
    fn members<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        after: Option<&'a UserId>,
        limit: NonZeroU16,
    ) -> Stored<'a, Option<Vec<Member>>> {
        Box::pin(Store::members(self, reader, conversation, after, limit))
    }
    fn receipts<'a>(
        &'a self,
        reader: Reader<'a>,
        conversation: ConversationId,
        place: Seq,
    ) -> Stored<'a, Option<Receipts>> {
        Box::pin(Store::receipts(self, reader, conversation, place))
    }
    fn listing(&self, conversation: ConversationId) -> Stored<'_, Option<Listing>> {
        Box::pin(Store::listing(self, conversation))
    }
    fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Stored<'_, Vec<Listing>> {
        Box::pin(Store::public(self, after, limit))
    }
    fn link<'a>(&'a self, link: &'a LinkId) -> Stored<'a, Option<(ConversationId, Link)>> {
        Box::pin(Store::link(self, link))
    }
    fn links(&self, conversation: ConversationId) -> Stored<'_, Vec<Link>> {
        Box::pin(Store::links(self, conversation))
    }

    fn change_file(&self, change: FileChange) -> Stored<'_, FileChanged> {
        Box::pin(Store::change_file(self, change))
    }
    fn files(&self, query: FileQuery) -> Stored<'_, Vec<FileRecord>> {
        Box::pin(Store::files(self, query))
    }
    fn stray_blobs<'a>(&'a self, blobs: &'a [BlobId]) -> Stored<'a, Vec<BlobId>> {
        Box::pin(Store::stray_blobs(self, blobs))
    }
}

type Blobbed<'a, T> = Boxed<'a, Result<T, BlobError>>;

pub(crate) trait DynBlobStore: Send + Sync {
    fn put(&self, id: BlobId, bytes: BlobStream) -> Blobbed<'_, u64>;
    fn get(&self, id: BlobId, range: Range<u64>) -> Blobbed<'_, Option<BlobStream>>;
    fn delete(&self, id: BlobId) -> Blobbed<'_, ()>;
    fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Blobbed<'_, Vec<Blob>>;
}

impl<T: BlobStore> DynBlobStore for T {
    fn put(&self, id: BlobId, bytes: BlobStream) -> Blobbed<'_, u64> {
        Box::pin(BlobStore::put(self, id, bytes))
    }
    fn get(&self, id: BlobId, range: Range<u64>) -> Blobbed<'_, Option<BlobStream>> {
        Box::pin(BlobStore::get(self, id, range))
    }
    fn delete(&self, id: BlobId) -> Blobbed<'_, ()> {
        Box::pin(BlobStore::delete(self, id))
    }
    fn list(&self, after: Option<BlobId>, limit: NonZeroU16) -> Blobbed<'_, Vec<Blob>> {
        Box::pin(BlobStore::list(self, after, limit))
    }
}

pub(crate) trait DynBus: Send + Sync {
    fn publish(&self, messages: Vec<(Topic, Bytes)>) -> Boxed<'_, Result<(), BusError>>;
    fn follow(&self, topics: Vec<Topic>) -> Boxed<'_, Result<(), BusError>>;
    fn unfollow(&self, topics: Vec<Topic>) -> Boxed<'_, Result<(), BusError>>;
    fn take(&self, budget: Budget, wanted: u32) -> Boxed<'_, Result<u32, BusError>>;
    fn check(&self) -> Boxed<'_, Result<(), BusError>>;
    fn next(&self) -> Boxed<'_, Heard>;
}

impl<T: Bus> DynBus for T {
    fn publish(&self, messages: Vec<(Topic, Bytes)>) -> Boxed<'_, Result<(), BusError>> {
        Box::pin(Bus::publish(self, messages))
    }
    fn follow(&self, topics: Vec<Topic>) -> Boxed<'_, Result<(), BusError>> {
        Box::pin(Bus::follow(self, topics))
    }
    fn unfollow(&self, topics: Vec<Topic>) -> Boxed<'_, Result<(), BusError>> {
        Box::pin(Bus::unfollow(self, topics))
    }
    fn take(&self, budget: Budget, wanted: u32) -> Boxed<'_, Result<u32, BusError>> {
        Box::pin(Bus::take(self, budget, wanted))
    }
    fn check(&self) -> Boxed<'_, Result<(), BusError>> {
        Box::pin(Bus::check(self))
    }
    fn next(&self) -> Boxed<'_, Heard> {
        Box::pin(Bus::next(self))
    }
}

pub(crate) trait DynPolicy: Send + Sync {
    fn may_message<'a>(&'a self, from: &'a UserId, to: &'a UserId) -> Boxed<'a, Verdict>;
    fn may_send<'a>(
        &'a self,
        from: &'a UserId,
        conversation: ConversationId,
        text: &'a str,
    ) -> Boxed<'a, Verdict>;
    fn may_gather<'a>(&'a self, by: &'a UserId, members: &'a [UserId]) -> Boxed<'a, Verdict>;
    fn may_join<'a>(&'a self, user: &'a UserId, conversation: ConversationId)
    -> Boxed<'a, Verdict>;
    fn may_read<'a>(&'a self, user: &'a UserId, conversation: ConversationId)
    -> Boxed<'a, Verdict>;
    fn may_see_presence<'a>(&'a self, viewer: &'a UserId, user: &'a UserId) -> Boxed<'a, Verdict>;
    fn may_upload<'a>(&'a self, user: &'a UserId, name: &'a str, bytes: u64) -> Boxed<'a, Verdict>;
}

impl<T: Policy> DynPolicy for T {
    fn may_message<'a>(&'a self, from: &'a UserId, to: &'a UserId) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_message(self, from, to))
    }
    fn may_send<'a>(
        &'a self,
        from: &'a UserId,
        conversation: ConversationId,
        text: &'a str,
    ) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_send(self, from, conversation, text))
    }
    fn may_gather<'a>(&'a self, by: &'a UserId, members: &'a [UserId]) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_gather(self, by, members))
    }
    fn may_read<'a>(
        &'a self,
        user: &'a UserId,
        conversation: ConversationId,
    ) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_read(self, user, conversation))
    }
    fn may_join<'a>(
        &'a self,
        user: &'a UserId,
        conversation: ConversationId,
    ) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_join(self, user, conversation))
    }
    fn may_see_presence<'a>(&'a self, viewer: &'a UserId, user: &'a UserId) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_see_presence(self, viewer, user))
    }
    fn may_upload<'a>(&'a self, user: &'a UserId, name: &'a str, bytes: u64) -> Boxed<'a, Verdict> {
        Box::pin(Policy::may_upload(self, user, name, bytes))
    }
}

pub(crate) trait DynDirectory: Send + Sync {
    fn profiles<'a>(&'a self, users: &'a [UserId]) -> Stored<'a, Vec<Profile>>;
    fn search<'a>(
        &'a self,
        searcher: &'a UserId,
        query: &'a str,
        limit: usize,
    ) -> Stored<'a, Vec<Profile>>;
}

impl<T: Directory> DynDirectory for T {
    fn profiles<'a>(&'a self, users: &'a [UserId]) -> Stored<'a, Vec<Profile>> {
        Box::pin(Directory::profiles(self, users))
    }
    fn search<'a>(
        &'a self,
        searcher: &'a UserId,
        query: &'a str,
        limit: usize,
    ) -> Stored<'a, Vec<Profile>> {
        Box::pin(Directory::search(self, searcher, query, limit))
    }
}
