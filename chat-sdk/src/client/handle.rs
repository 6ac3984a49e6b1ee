//! What a host holds: the handle that sends, and the stream of what comes.

use std::{
    collections::hash_map::Entry,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::oneshot;

use super::{
    Attempt, ClientEvent, ClientLimits, Closed, MarkError, SendError, SentPlace, State,
    TokenSource, WatchError,
    dial::Dialler,
    driver::{Driver, Route, Shared},
    machine::{Machine, Settled},
    outbox::Deed,
    token::DynTokenSource,
};
use crate::{
    env::{Random, SystemRandom},
    model::{Amendment, ClientKey, ConversationId, Marker, Message, Seq, UserId},
    protocol::{Resume, SendTo},
    tls::{TlsError, TlsRoots},
};

/// How a client is made; from [`Client::builder`].
pub struct ClientBuilder {
    route: Route,
    source: Arc<dyn DynTokenSource>,
    roots: TlsRoots,
    limits: ClientLimits,
    resume: Option<Resume>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Several addresses of the same chat, in turn: each attempt takes the next one.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn urls(self, urls: Vec<String>) -> Self {
        assert!(!urls.is_empty(), "a client needs an address");
        self.route(move |attempt| {
            let turn = (attempt.number - 1) % urls.len() as u64;
            urls[turn as usize].clone()
        })
    }

    /// The address of each connection, chosen when it is opened. Called on the client's task, so it
    /// must not block.
    #[must_use]
    pub fn route(mut self, route: impl FnMut(Attempt) -> String + Send + 'static) -> Self {
        self.route = Box::new(route);
        self
    }

    /// Whose certificates are trusted; the machine's authorities if this is not called.
    #[must_use]
    pub fn tls(mut self, roots: TlsRoots) -> Self {
        self.roots = roots;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Goes on where an earlier client of this user stopped ([`Client::resume`]).
    #[must_use]
    pub fn resume(mut self, resume: Resume) -> Self {
        self.resume = Some(resume);
        self
    }

    /// Begins: opens the first connection and keeps one open until the client ends.
    ///
    /// # Errors
    /// When certificates that were given are none.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O.
    pub fn start(self) -> Result<(Client, ClientEvents), TlsError> {
        let dialler = Arc::new(Dialler::new(self.roots)?);
        let mut random = [0; 16];
        SystemRandom::default().fill(&mut random);
        let (seed, name) = random.split_at(8);
        let seed = u64::from_le_bytes(*seed.first_chunk().expect("half of 16 bytes is 8"));
        let name = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let machine = Machine::new(self.limits.clone(), seed, self.resume);
        let shared = Arc::new(Shared::new(machine));
        let driver = Driver::new(shared.clone(), self.source, self.route, dialler, self.limits);
        tokio::spawn(driver);
        let owner = Arc::new(Owner { shared, name, keys: AtomicU64::new(0) });
        Ok((Client(owner.clone()), ClientEvents(owner)))
    }
}

/// Ends the task when the last handle is gone.
struct Owner {
    shared: Arc<Shared>,
    /// Makes this client's keys differ from those of all others of the user.
    name: String,
    keys: AtomicU64,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.with(|_, core| core.machine.close());
    }
}

/// A connection that lasts, to be cloned as one likes. See the [module](super).
///
/// It ends when it is [closed](Client::close), when the server says something that coming back would
/// not mend, or when all clones and the [`ClientEvents`] are gone.
#[derive(Clone)]
pub struct Client(Arc<Owner>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.state()).finish()
    }
}

impl Client {
    /// A client of the chat that is mounted at this address (`https://chat.example.org`, or with a
    /// path; `ws` and `wss` mean the same), by a user whose token comes from `source`.
    pub fn builder(url: impl Into<String>, source: impl TokenSource) -> ClientBuilder {
        let url = url.into();
        ClientBuilder {
            route: Box::new(move |_| url.clone()),
            source: Arc::new(source),
            roots: TlsRoots::default(),
            limits: ClientLimits::default(),
            resume: None,
        }
    }

    /// Sends a message, under a key of its own. It is in the outbox when this returns, whether there
    /// is a connection or not, and stays there until the server has said yes or no: dropping the
    /// [`Sending`] takes nothing back. Messages of one conversation are written in the order in
    /// which they were sent.
    ///
    /// # Errors
    /// [`SendError::Full`] or [`SendError::Closed`] at once; the others come later.
    pub fn send(&self, to: SendTo, message: impl Into<Message>) -> Result<Sending, SendError> {
        self.send_with_key(self.next_key(), to, message)
    }

    /// The same under a key of the host's, so that it is written once although the host may send it
    /// again in another run.
    ///
    /// # Errors
    /// As [`send`](Client::send).
    pub fn send_with_key(
        &self,
        key: ClientKey,
        to: SendTo,
        message: impl Into<Message>,
    ) -> Result<Sending, SendError> {
        self.write(key, Deed::Send { to, message: message.into() }).map(Sending)
    }

    /// Changes a message, under a key of its own: kept and repeated as a message is, and made in the
    /// order in which messages and changes of this conversation were given.
    ///
    /// # Errors
    /// As [`send`](Client::send).
    pub fn amend(
        &self,
        conversation: ConversationId,
        message: Seq,
        amendment: Amendment,
    ) -> Result<Amending, SendError> {
        let deed = Deed::Amend { conversation, message, amendment };
        self.write(self.next_key(), deed).map(Amending)
    }

    fn next_key(&self) -> ClientKey {
        let number = self.0.keys.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}-{number}", self.0.name);
        ClientKey::new(key).expect("16 digits and a number are a key")
    }

    fn write(&self, key: ClientKey, deed: Deed) -> Result<Waiting, SendError> {
        let (waiter, settled) = oneshot::channel();
        let of = key.clone();
        self.0.shared.with(|now, core| {
            let id = core.machine.write(now, key, deed)?;
            match core.waiters.entry(id) {
                Entry::Vacant(vacant) => vacant.insert(waiter),
                Entry::Occupied(_) => unreachable!("every deed has an id of its own"),
            };
            Ok(())
        })?;
        Ok(Waiting { key: of, settled })
    }

    /// Moves the user's own marker: everything up to here was received. Kept until the server has
    /// it; many calls become one command.
    ///
    /// # Errors
    /// When markers of too many conversations wait, or the client has ended.
    pub fn mark_received(&self, conversation: ConversationId, seq: Seq) -> Result<(), MarkError> {
        self.mark(conversation, Marker { received: seq, read: Seq::ZERO })
    }

    /// The same for what was read, which counts as received.
    ///
    /// # Errors
    /// As [`mark_received`](Client::mark_received).
    pub fn mark_read(&self, conversation: ConversationId, seq: Seq) -> Result<(), MarkError> {
        self.mark(conversation, Marker { received: Seq::ZERO, read: seq })
    }

    fn mark(&self, conversation: ConversationId, marker: Marker) -> Result<(), MarkError> {
        self.0.shared.with(|now, core| core.machine.mark(now, conversation, marker))
    }

    /// Tells the others that the user types, or stopped; repeated more often than the server wants
    /// to hear it, it is said once. `false`: there is no connection, and it is not said later.
    pub fn typing(&self, conversation: ConversationId, on: bool) -> bool {
        self.0.shared.with(|now, core| core.machine.typing(now, conversation, on))
    }

    /// The users whose [presence](ClientEvent::Presence) is told from now on, on every connection.
    /// Replaces those before.
    ///
    /// # Errors
    /// When they are too many, or the client has ended.
    pub fn watch(&self, users: Vec<UserId>) -> Result<(), WatchError> {
        self.0.shared.with(|now, core| core.machine.watch(now, users))
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.shared.look(|now, core| core.machine.state(now))
    }

    /// Who the client is, once a server has said it.
    #[must_use]
    pub fn me(&self) -> Option<UserId> {
        self.0.shared.look(|_, core| core.machine.me().cloned())
    }

    /// Where the host is, to be given to a later client: what [`ClientEvents::next`] has not given
    /// yet does not count as reached. `None` before the first connection.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.0.shared.look(|_, core| core.machine.resume())
    }

    /// Tries again now, if it waits: the host knows that the network is back.
    pub fn retry_now(&self) {
        self.0.shared.with(|_, core| core.machine.retry_now());
    }

    /// Ends it, for all clones, and waits until its task is gone. Messages without a place are given
    /// back as [`SendError::Closed`]; events that wait can still be taken. Dropping the future
    /// changes nothing about the end.
    pub async fn close(&self) {
        self.0.shared.with(|_, core| core.machine.close());
        let mut ended = self.0.shared.ended.subscribe();
        // The sender lives as long as this handle.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// Something on its way.
#[derive(Debug)]
struct Waiting {
    key: ClientKey,
    settled: oneshot::Receiver<Result<Settled, SendError>>,
}

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Settled, SendError>> {
        let settled = ready!(Pin::new(&mut self.settled).poll(cx));
        // The runtime may end before the client does.
        Poll::Ready(settled.unwrap_or_else(|_| {
            Err(SendError::Closed { key: self.key.clone(), because: Closed::ByHost })
        }))
    }
}

/// A message on its way: resolves to its place in the log. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "whether it was written is known when this resolves"]
pub struct Sending(Waiting);

impl Sending {
    /// The key under which it is sent.
    #[must_use]
    pub const fn key(&self) -> &ClientKey {
        &self.0.key
    }
}

impl Future for Sending {
    type Output = Result<SentPlace, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.0.poll(cx)).map(|settled| match settled {
            Settled::Placed(place) => place,
            Settled::Amended => unreachable!("a message is answered with its place"),
        }))
    }
}

/// A change of a message on its way: resolves when it is made, or was so already. Dropping it takes
/// nothing back.
#[derive(Debug)]
#[must_use = "whether it was made is known when this resolves"]
pub struct Amending(Waiting);

impl Amending {
    /// The key under which it is asked for.
    #[must_use]
    pub const fn key(&self) -> &ClientKey {
        &self.0.key
    }
}

impl Future for Amending {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(drop)
    }
}

/// What comes, in order; also a [`Stream`]. While nobody takes from it the server is not read, so a
/// host that wants none of it drops it.
pub struct ClientEvents(Arc<Owner>);

impl fmt::Debug for ClientEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEvents").finish_non_exhaustive()
    }
}

impl ClientEvents {
    /// The next one; `None` after [`ClientEvent::Closed`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        std::future::poll_fn(|cx| self.0.shared.poll_event(cx)).await
    }
}

impl Stream for ClientEvents {
    type Item = ClientEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        self.0.shared.poll_event(cx)
    }
}

impl Drop for ClientEvents {
    fn drop(&mut self) {
        self.0.shared.with(|now, core| core.machine.unheard(now));
    }
}
