//! The composition root: [`Chat`] and its builder. The only file that knows every room.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use bytes::Bytes;
use tracing::warn;

use crate::{
    auth::Authenticator,
    blob::BlobStore,
    bus::{Bus, LocalBus},
    conversation::{AmendError, ChangeError, JoinError, OpenError, ReadError, SendError},
    directory::{Anybody, Directory},
    env::{Clock, Random, SystemClock, SystemRandom},
    erased::{DynDirectory, Ports},
    events::Events,
    http::{Beside, ChatService, Description, Origins, Shared},
    limits::{InvalidLimits, Limits},
    model::{ConversationId, CredentialId, Event, Link, LinkToken, Marker, Summary, UserId},
    node::Node,
    policy::{MembersOnly, Policy},
    store::{self, MemoryStore, Only, Page, Store, StoreError},
};
pub use crate::{
    conversation::{
        amend::Amend,
        entrance::{Door, NewLink},
        members::Change,
        open::NewGroup,
        send::{Draft, Sent, To},
    },
    node::ShutdownReport,
};

/// Time for the bus to say how it is. Below that of most probes, so that they hear of the store.
const BUS_PATIENCE: Duration = Duration::from_millis(500);

/// A running chat: the handle that a host keeps. A cheap clone, without type parameters.
///
/// Everything a connected client can do, a host can do with it, as any user or as the system, and
/// on the same way: the same policy is asked, the same log is written, the same people are told.
///
/// Dropping all handles does not end the chat; [`shutdown`](Chat::shutdown) does.
///
/// ```
/// use chat_sdk::{Chat, Draft, FromExtension, Text, To, UserId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = Chat::builder(FromExtension).start().await?;
/// let (alice, bob) = (UserId::new("alice")?, UserId::new("bob")?);
///
/// let sent = chat.send(Draft::new(alice, To::User(bob), Text::new("hi")?)).await?;
/// assert_eq!(sent.event.seq.get(), 2); // after the event that opens the conversation
/// # chat.shutdown(std::time::Duration::ZERO).await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Chat {
    service: ChatService,
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat")
            .field("connections", &self.node().connections())
            .finish_non_exhaustive()
    }
}

/// A chat that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The limits contradict each other.
    #[error("limits refused")]
    Limits(#[from] InvalidLimits),
    /// The store does not answer.
    #[error("store failed")]
    Store(#[from] StoreError),
    /// What [`ChatBuilder::described_beside`] was given is not a JSON object.
    #[error("description refused")]
    Description(#[from] serde_json::Error),
}

/// How a chat is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the store answers, or why not.
    pub store: Result<(), String>,
    /// Whether the bus works, or why not. Without it nodes hear of each other's messages late, but
    /// all goes on.
    pub bus: Result<(), String>,
    /// Whether the node takes no new connections because it is leaving.
    pub draining: bool,
    /// Live connections.
    pub connections: usize,
    /// Bytes that wait to be written to them. Of one connection never much more than
    /// [`Limits::mailbox_bytes_max`].
    pub waiting_bytes: usize,
}

impl Chat {
    /// A chat whose users are vouched for by this authenticator.
    pub fn builder(authenticator: impl Authenticator) -> ChatBuilder {
        ChatBuilder {
            ports: Ports {
                authenticator: Arc::new(authenticator),
                store: Arc::new(MemoryStore::new()),
                bus: Arc::new(LocalBus::new()),
                policy: Arc::new(MembersOnly),
                directory: Arc::new(Anybody),
                blobs: None,
                clock: Arc::new(SystemClock),
                random: Arc::new(SystemRandom::default()),
            },
            directory: None,
            #[cfg(feature = "accounts")]
            accounts: None,
            origins: Origins::default(),
            limits: Limits::default(),
            dev_user_ids: false,
            beside: None,
            file_key: None,
        }
    }

    fn node(&self) -> &Arc<Node> {
        &self.service.shared.node
    }

    /// The service to mount.
    #[must_use]
    pub fn service(&self) -> ChatService {
        self.service.clone()
    }

    /// The routes as OpenAPI 3.1, which the service answers at `/openapi.json`.
    ///
    /// It describes what this chat answers: the account routes are in it if it has them.
    #[must_use]
    pub fn openapi(&self) -> Bytes {
        self.service.shared.description.openapi()
    }

    /// The live connection as AsyncAPI 3, which the service answers at `/asyncapi.json`.
    #[must_use]
    pub fn asyncapi(&self) -> Bytes {
        self.service.shared.description.asyncapi()
    }

    /// Sends a message. Returns when it is committed, or was already: a draft with a key can be sent
    /// again after any error.
    ///
    /// Dropping the future does not take the message back.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, draft: Draft) -> Result<Sent, SendError> {
        self.node().send(draft).await
    }

    /// Sends a message in a transaction of the host's on the chat's own PostgreSQL: the host's rows
    /// and the message are committed together, or none of them is.
    ///
    /// Call it last in the transaction, because the conversation is locked until that ends, and
    /// everybody else's sends there wait for it; see
    /// [`PostgresStore::write_in`](store::PostgresStore::write_in). After the commit, call
    /// [`InTransaction::committed`], which tells everybody at once. If the process dies between the
    /// two, they hear of it all the same, within seconds: by the position check
    /// ([`Limits::position_check`]), and if the message opens the conversation by the membership
    /// check ([`Limits::membership_check`]).
    ///
    /// ```no_run
    /// # use chat_sdk::{Chat, Draft, PostgresStore, Text, To, UserId};
    /// # async fn order(
    /// #     chat: &Chat, store: &PostgresStore, client: &mut tokio_postgres::Client,
    /// #     shop: UserId, buyer: UserId,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let transaction = client.transaction().await?;
    /// transaction.execute("INSERT INTO orders (buyer) VALUES ($1)", &[&buyer.as_str()]).await?;
    /// let draft = Draft::new(shop, To::User(buyer), Text::new("Thank you for your order.")?);
    /// let message = chat.send_in(store, &transaction, draft).await?;
    /// transaction.commit().await?;
    /// message.committed();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`]. After [`SendError::Store`] the transaction can only be rolled back; after
    /// any other error nothing was written, and it can go on without the message.
    #[cfg(feature = "postgres")]
    pub async fn send_in(
        &self,
        store: &store::PostgresStore,
        transaction: &tokio_postgres::Transaction<'_>,
        draft: Draft,
    ) -> Result<InTransaction, SendError> {
        let writes = self.node().plan_send(draft).await?;
        let written = store.write_in(transaction, writes).await?;
        if let Some(store::Written::Refused(refusal)) = written.last() {
            return Err((*refusal).into());
        }
        Ok(InTransaction { node: self.node().clone(), written })
    }

    /// Opens the direct conversation of two users, or finds it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, by: &UserId, with: &UserId) -> Result<ConversationId, OpenError> {
        let (event, _) = self.node().open_direct(by, with).await?;
        Ok(event.conversation)
    }

    /// Makes a group; with a key, a repetition finds it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_group(&self, group: NewGroup) -> Result<ConversationId, OpenError> {
        let (event, _) = self.node().open_group(group).await?;
        Ok(event.conversation)
    }

    /// Changes a group, as a member or (`None`) as the system, which may always. The event that was
    /// written, if there was anything to change.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change(
        &self,
        by: Option<&UserId>,
        conversation: ConversationId,
        change: Change,
    ) -> Result<Option<Event>, ChangeError> {
        self.node().change(by, conversation, change).await
    }

    /// Makes a link by which people may come into a group or channel. Its token is told here and
    /// never again.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn make_link(&self, new: NewLink) -> Result<(LinkToken, Link), ChangeError> {
        self.node().make_link(new).await
    }

    /// Lets a user in by a link, or into a public conversation: where they are then. Who is in
    /// already stays.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub async fn come_in(&self, user: &UserId, door: Door) -> Result<ConversationId, JoinError> {
        self.node().come_in(user, door).await.map(|(conversation, _)| conversation)
    }

    /// Changes a message. The event that was written, now or the first time that it was asked for
    /// with this key; `None`: it was so already.
    ///
    /// # Errors
    /// See [`AmendError`].
    pub async fn amend(&self, amend: Amend) -> Result<Option<Event>, AmendError> {
        self.node().begin_amend(amend).await?.await
    }

    /// Moves a member's marker; what it is afterwards.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn mark(
        &self,
        user: &UserId,
        conversation: ConversationId,
        marker: Marker,
    ) -> Result<Marker, ChangeError> {
        self.node().begin_mark(user, conversation, marker)?.await
    }

    /// A page of a conversation's log, as this user may see it, with at most
    /// [`Limits::page_max`] events.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn history(
        &self,
        user: &UserId,
        conversation: ConversationId,
        page: Page,
        limit: u16,
    ) -> Result<store::Events, ReadError> {
        let limit = NonZeroU16::new(limit.min(self.node().limits.page_max));
        let limit = limit.unwrap_or(NonZeroU16::MIN);
        self.node().page(user, conversation, page, Only::Everything, limit).await
    }

    /// A conversation as this user sees it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Summary, ReadError> {
        self.node().conversation(user, conversation).await
    }

    /// The events that this node commits from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.node().events.subscribe())
    }

    /// Ends the live connections of a user on every node, all or those of one credential, and says
    /// how many there were on this one. To be called when a credential is revoked; that it is refused
    /// from then on is the authenticator's part. A node that the bus does not reach finds out when it
    /// asks the authenticator again ([`Limits::credential_check`]).
    pub fn disconnect(&self, user: &UserId, credential: Option<&CredentialId>) -> usize {
        self.node().disconnect(user, credential)
    }

    /// How the chat is now. Asks the store.
    pub async fn check(&self) -> Health {
        let node = self.node();
        let (store, bus) = tokio::join!(
            node.in_time(node.ports.store.epoch()),
            tokio::time::timeout(BUS_PATIENCE, node.ports.bus.check())
        );
        Health {
            store: store.map(|_| ()).map_err(|why| why.to_string()),
            bus: match bus {
                Ok(works) => works.map_err(|why| why.to_string()),
                Err(_) => Err("no answer".to_owned()),
            },
            draining: node.is_draining(),
            connections: node.connections(),
            waiting_bytes: node.waiting_bytes(),
        }
    }

    /// Takes no new connections from now on. The first half of a shutdown, for hosts that want to
    /// be found not ready by their balancer for a while before connections are moved.
    pub fn begin_drain(&self) {
        self.node().begin_drain();
    }

    /// Leaves: refuses new connections, tells clients when to move, closes what is left at the
    /// deadline, commits and answers everything in flight, and waits for every task. Takes as long
    /// as it takes the last client to move, at most the deadline and some seconds.
    ///
    /// The host keeps serving until this returns; afterwards the service answers `draining`.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        self.node().shutdown(deadline).await
    }
}

/// A message in a transaction that is not committed yet.
#[cfg(feature = "postgres")]
#[must_use = "after the commit, say so: else it is delivered seconds late"]
pub struct InTransaction {
    node: Arc<Node>,
    written: Vec<store::Written>,
}

#[cfg(feature = "postgres")]
impl std::fmt::Debug for InTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InTransaction").field("written", &self.written).finish_non_exhaustive()
    }
}

#[cfg(feature = "postgres")]
impl InTransaction {
    /// The transaction is committed: everybody is told. Never call this before, or after a rollback:
    /// clients would be shown a message that is not there. Drop it then.
    pub fn committed(self) -> Sent {
        self.node.conclude_send(self.written).expect("what was refused is an error before")
    }
}

/// Puts a chat together. Nothing happens before [`start`](ChatBuilder::start).
#[must_use]
pub struct ChatBuilder {
    ports: Ports,
    directory: Option<Arc<dyn DynDirectory>>,
    #[cfg(feature = "accounts")]
    accounts: Option<crate::auth::Accounts>,
    origins: Origins,
    limits: Limits,
    dev_user_ids: bool,
    beside: Option<String>,
    file_key: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for ChatBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatBuilder").finish_non_exhaustive()
    }
}

impl ChatBuilder {
    /// Where conversations are kept. In memory by default.
    pub fn store(mut self, store: impl Store) -> Self {
        self.ports.store = Arc::new(store);
        self
    }

    /// Where the bytes of files are kept, for this chat alone. By default files are not taken.
    pub fn blobs(mut self, blobs: impl BlobStore) -> Self {
        self.ports.blobs = Some(Arc::new(blobs));
        self
    }

    /// What the addresses of files are signed with, the same for all nodes of a chat. By default a
    /// random one, with which a node knows its own addresses and those since its start alone.
    ///
    /// It should have at least 32 bytes that nobody can guess, and may be one that is used for something
    /// else: a key for this one use is derived from it.
    pub fn file_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.file_key = Some(key.as_ref().into());
        self
    }

    /// How nodes talk to each other. By default there is one node.
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.ports.bus = Arc::new(bus);
        self
    }

    /// The host's rules. Members only by default.
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.ports.policy = Arc::new(policy);
        self
    }

    /// Who exists and what they are called. By default the accounts, if there are some, and else
    /// everybody, by their id.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Serves the account routes (`/user/login` and the like).
    #[cfg(feature = "accounts")]
    pub fn accounts(mut self, accounts: crate::auth::Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// Whose web pages may connect. Those of the same host by default.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// The limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The time of day. The machine's by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.ports.clock = Arc::new(clock);
        self
    }

    /// Randomness. The machine's by default.
    pub fn random(mut self, random: impl Random) -> Self {
        self.ports.random = Arc::new(random);
        self
    }

    /// Believes whoever says `/ws?user_id=`. **For development only**: anybody can be anybody. Every
    /// such connection is logged as a warning.
    pub const fn dev_user_ids(mut self, on: bool) -> Self {
        self.dev_user_ids = on;
        self
    }

    /// What the app answers beside the chat, as an OpenAPI document: its paths and schemas are shown
    /// in ours, so that whoever uses both has one description.
    pub fn described_beside(mut self, openapi: impl Into<String>) -> Self {
        self.beside = Some(openapi.into());
        self
    }

    /// Starts the chat: the first thing that does I/O or spawns. Must be called inside a tokio
    /// runtime, which then carries the chat's tasks.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running then.
    pub async fn start(self) -> Result<Chat, StartError> {
        let Self { mut ports, directory, origins, limits, dev_user_ids, beside, file_key, .. } =
            self;
        limits.check()?;
        let beside = beside.map(|it| Beside::parse(&it)).transpose()?.unwrap_or_default();
        #[cfg(feature = "accounts")]
        let accounts = self.accounts;
        #[cfg(feature = "accounts")]
        let directory = directory.or_else(|| {
            accounts.clone().map(|accounts| Arc::new(accounts) as Arc<dyn DynDirectory>)
        });
        if let Some(directory) = directory {
            ports.directory = directory;
        }
        if dev_user_ids {
            warn!("DEVELOPMENT SWITCH: /ws?user_id= lets anybody be anybody");
        }
        let node = Node::start(ports, limits, file_key).await?;
        #[cfg(feature = "accounts")]
        let has_accounts = accounts.is_some();
        #[cfg(not(feature = "accounts"))]
        let has_accounts = false;
        let shared = Shared {
            node,
            origins,
            description: Description::new(has_accounts, beside),
            #[cfg(feature = "accounts")]
            accounts,
            dev_user_ids,
        };
        Ok(Chat { service: ChatService { shared: Arc::new(shared) } })
    }
}
