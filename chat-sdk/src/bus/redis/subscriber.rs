//! Listening to one server: a connection of its own that subscribes to what is wanted there, and
//! says that something may have been lost whenever it had to be made anew.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Pipeline, PushInfo, PushKind, RedisError, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Kind, Shared,
    backoff::Backoff,
    channel,
    publisher::Publisher,
    server::{ConnectError, Connection, Ear},
};
use crate::bus::Topic;

/// How long an answer may take: longer than a publisher's, because it comes behind the messages that
/// are under way on the same connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// So often the server is asked for a sign of life, if there was no message since. With [`PATIENCE`] a
/// dead connection is noticed after 13 s at the latest: it may die just after a message.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How many channels are subscribed to in one go: some 40 kB, which no server's buffers mind.
const CHANNELS_AT_ONCE: usize = 500;

/// What this node wants to hear from one server.
pub(super) struct Subscriber {
    parts: Vec<usize>,
    publisher: Arc<Publisher>,
    desk: Mutex<Desk>,
    changed: Notify,
    /// Up to which version the server has confirmed; nothing while there is no connection.
    confirmed: watch::Sender<Option<u64>>,
    pub(super) stop: CancellationToken,
}

/// Changes that the server has not been told of.
#[derive(Default)]
struct Desk {
    /// Whether each is wanted or not is looked up when its turn comes: the last word counts.
    topics: HashSet<Topic>,
    version: u64,
}

/// Why a connection came to an end.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("cannot connect")]
    Connect(#[source] ConnectError),
    #[error("the connection ended")]
    Gone,
    #[error("the connection broke")]
    Broken(#[source] RedisError),
    #[error("the server refused a subscription")]
    Refused(#[source] RedisError),
    #[error("the server took a subscription back")]
    TakenBack,
}

impl Subscriber {
    pub(super) fn new(
        parts: Vec<usize>,
        publisher: Arc<Publisher>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            parts,
            publisher,
            desk: Mutex::default(),
            changed: Notify::new(),
            confirmed: watch::Sender::new(None),
            stop,
        }
    }

    /// Which parts it serves, in ascending order.
    pub(super) fn parts(&self) -> &[usize] {
        &self.parts
    }

    /// Whether everything that is wanted here is subscribed to, or will be without a new connection.
    pub(super) fn is_connected(&self) -> bool {
        self.confirmed.borrow().is_some()
    }

    /// These topics are wanted or not any more; a number to [`wait`](Self::wait) for.
    pub(super) fn change(&self, topics: Vec<Topic>) -> u64 {
        let version = {
            let mut desk = self.desk();
            desk.topics.extend(topics);
            desk.version += 1;
            desk.version
        };
        self.changed.notify_one();
        version
    }

    /// Waits until the server has confirmed this change, or there is no connection any more: the next
    /// one begins with telling a loss.
    pub(super) async fn wait(&self, version: u64) {
        let mut confirmed = self.confirmed.subscribe();
        let done = confirmed.wait_for(|it| it.is_none_or(|it| it >= version));
        // Ends with an error only if we were gone.
        let _ = self.stop.run_until_cancelled(done).await;
    }

    /// Listens until it is stopped.
    pub(super) async fn run(&self, shared: &Arc<Shared>) {
        self.stop.run_until_cancelled(self.listen(shared)).await;
        self.confirmed.send_replace(None);
    }

    async fn listen(&self, shared: &Arc<Shared>) {
        let address = self.publisher.address();
        let mut backoff = Backoff::default();
        let mut said = false;
        loop {
            let end = self.connection(shared, &mut backoff).await;
            let was_connected = self.confirmed.send_replace(None).is_some();
            shared.show_connected();
            // Where the parts are now, somebody else may know.
            shared.look_again.notify_one();
            // Once for each time that it is away.
            if was_connected || !said {
                warn!(%address, error = &end as &dyn std::error::Error, "bus not heard");
            } else {
                debug!(%address, error = &end as &dyn std::error::Error, "bus still not heard");
            }
            said = true;
            sleep(backoff.next()).await;
        }
    }

    /// One connection, from its beginning to its end.
    async fn connection(&self, shared: &Arc<Shared>, backoff: &mut Backoff) -> End {
        match self.serve(shared, backoff).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve(
        &self,
        shared: &Arc<Shared>,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, End> {
        let ear = Arc::new(OneEar {
            shared: shared.clone(),
            heard: AtomicBool::new(false),
            leaving: Mutex::default(),
            taken_back: CancellationToken::new(),
        });
        let connecting =
            shared.access.connect(self.publisher.address(), PATIENCE, Some(ear.clone()));
        let link = Link { connection: connecting.await.map_err(End::Connect)?, ear, shared };

        // What has been changed before is part of what is wanted now.
        self.desk().topics.clear();
        link.tell(shared.wanted(&self.parts), Vec::new()).await?;
        while !self.settle() {
            self.catch_up(&link).await?;
        }
        // Only now: what the node compares when it hears this is what it will hear on from.
        shared.waiting.lost();
        shared.show_connected();
        self.publisher.wake();
        metrics::counter!("chat_bus_connects_total").increment(1);
        info!(address = %self.publisher.address(), "bus heard");

        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = link.ear.taken_back.cancelled() => return Err(End::TakenBack),
                () = link.connection.ended() => return Err(End::Gone),
                () = self.changed.notified() => {
                    while !self.settle() {
                        self.catch_up(&link).await?;
                    }
                }
                _ = ping.tick() => {
                    // It has held for a while: the next failure is a first one.
                    backoff.reset();
                    link.ping().await?;
                }
            }
        }
    }

    /// Whether the server has been told of everything: then it is said to whoever waits, before
    /// anybody can change anything more.
    fn settle(&self) -> bool {
        let desk = self.desk();
        let settled = desk.topics.is_empty();
        if settled {
            self.confirmed.send_replace(Some(desk.version));
        }
        settled
    }

    async fn catch_up(&self, link: &Link<'_>) -> Result<(), End> {
        let topics = std::mem::take(&mut self.desk().topics);
        let (wanted, unwanted) = link.shared.sort(topics);
        link.tell(wanted, unwanted).await
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection and what it hears.
struct Link<'a> {
    connection: Connection,
    ear: Arc<OneEar>,
    shared: &'a Shared,
}

impl Link<'_> {
    /// Subscribes to some channels and leaves others, some hundred in a round trip: a command for
    /// each, because each of them may be in another slot, and sent together.
    async fn tell(&self, wanted: Vec<Topic>, unwanted: Vec<Topic>) -> Result<(), End> {
        let (subscribe, unsubscribe) = match self.shared.kind {
            Kind::Single => ("SUBSCRIBE", "UNSUBSCRIBE"),
            Kind::Cluster => ("SSUBSCRIBE", "SUNSUBSCRIBE"),
        };
        for topics in unwanted.chunks(CHANNELS_AT_ONCE) {
            let channels = self.channels(topics);
            self.ear.leaving().extend(channels.iter().map(|it| it.clone().into_bytes()));
            self.ask(unsubscribe, &channels).await?;
        }
        for topics in wanted.chunks(CHANNELS_AT_ONCE) {
            self.ask(subscribe, &self.channels(topics)).await?;
        }
        Ok(())
    }

    fn channels(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| self.shared.names.channel(topic).1).collect()
    }

    async fn ask(&self, command: &str, channels: &[String]) -> Result<(), End> {
        let mut questions = Pipeline::with_capacity(channels.len());
        for channel in channels {
            questions.cmd(command).arg(channel);
        }
        for answer in self.connection.ask(&questions).await.map_err(End::Broken)? {
            answer.extract_error().map_err(End::Refused)?;
        }
        Ok(())
    }

    /// A sign of life, unless there was one.
    async fn ping(&self) -> Result<(), End> {
        if !self.ear.heard.swap(false, Ordering::Relaxed) {
            let mut question = Pipeline::with_capacity(1);
            question.cmd("PING");
            self.connection.ask(&question).await.map_err(End::Broken)?;
        }
        Ok(())
    }
}

/// Hears what one connection says.
struct OneEar {
    shared: Arc<Shared>,
    /// Something came since this was last looked at.
    heard: AtomicBool,
    /// Channels that we have asked to leave.
    leaving: Mutex<HashSet<Vec<u8>>>,
    /// The server has ended a subscription by itself: the slot has moved.
    taken_back: CancellationToken,
}

impl OneEar {
    fn leaving(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self, channel: &[u8]) {
        if !self.leaving().remove(channel) {
            self.taken_back.cancel();
        }
    }

    fn message(&self, channel: Vec<u8>, sealed: Vec<u8>) {
        self.heard.store(true, Ordering::Relaxed);
        let shared = &self.shared;
        match (shared.names.topic(&channel), channel::opened(sealed)) {
            (Some(_), Some((node, _))) if node == shared.node => {}
            (Some(topic), Some((_, message))) => {
                if shared.waiting.message(topic, message) {
                    metrics::counter!("chat_bus_received_total").increment(1);
                } else {
                    metrics::counter!("chat_bus_overflowed_total").increment(1);
                }
            }
            (None, _) | (_, None) => {
                metrics::counter!("chat_bus_malformed_total").increment(1);
                debug!("malformed message on the bus");
            }
        }
    }
}

impl Ear for OneEar {
    fn hear(&self, push: PushInfo) {
        let mut data = push.data.into_iter();
        match (push.kind, data.next(), data.next()) {
            (
                PushKind::Message | PushKind::SMessage,
                Some(Value::BulkString(channel)),
                Some(Value::BulkString(sealed)),
            ) => self.message(channel, sealed),
            (
                PushKind::Unsubscribe | PushKind::SUnsubscribe,
                Some(Value::BulkString(channel)),
                _,
            ) => self.left(&channel),
            // Confirmations, and the end, which the connection tells itself.
            _ => {}
        }
    }
}
