//! The shell around hub, session and use-cases: one node of the chat, with its tasks.
//!
//! Owns what runs and decides little: what a connection says is decided in `session`, what reaches
//! whom in `hub`, what a verb means in `conversation`.

mod balance;
mod catch_up;
mod commands;
pub(crate) mod connection;
mod credentials;
mod drain;
mod files;
mod hints;
mod inbound;
mod join;
mod log_writer;
mod membership_check;
mod outgoing;
mod position_check;
pub(crate) mod problems;
mod rates;
mod registry;
mod shards;
mod verbs;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, Semaphore, broadcast, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

pub use self::drain::ShutdownReport;
use self::{
    credentials::Suspects, inbound::Topics, log_writer::LogWriter, membership_check::Doubts,
    outgoing::Outgoing, rates::Rates, registry::Registry, shards::Shards,
};
use crate::{
    auth::{AuthError, Credentials},
    bus::Topic,
    conversation::Peers,
    erased::Ports,
    files::Files,
    hub::{
        Aftermath, Balance, Enrolled, Feeds, Followed, Hole, Mailbox, NodeId, Presence, Published,
    },
    limits::Limits,
    model::{ConversationId, Epoch, Event, Identity, Marker, Seq, UserId},
    protocol::{Encoded, ServerFrame},
    sabotage::{self, Defect},
    session::RateBucket,
    store::{Checkpoint, Reader, StoreError},
};

/// How many messages may wait for the bus; beyond, they are dropped and found by the position
/// check of the other nodes.
const BUS_QUEUE: usize = 4_096;

/// The earliest time at which who was not let in may come back; the latest is three times this.
const COME_BACK: Duration = Duration::from_secs(1);

/// One node.
pub(crate) struct Node {
    pub(crate) ports: Ports,
    pub(crate) limits: Arc<Limits>,
    pub(crate) peers: Peers,
    pub(crate) files: Arc<Files>,
    pub(super) id: NodeId,
    epoch: Mutex<Epoch>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Sockets between upgrade and the end of their join.
    handshakes: Arc<Semaphore>,
    admissions: Mutex<RateBucket>,
    shards: Shards,
    // Std mutexes, each held for a look-up or a change and never across an await. None is taken
    // while another is held, but mailboxes and the bus's topics under any of them.
    registry: Mutex<Registry>,
    presence: Mutex<Presence>,
    rates: Mutex<Rates>,
    balance: Mutex<Balance>,
    checkpoint: Mutex<Option<Position>>,
    writer: LogWriter,
    bus_out: mpsc::Sender<(Topic, Bytes)>,
    topics: Topics,
    outgoing: Outgoing,
    /// Rung when the bus lost something: compare heads now.
    check_now: Notify,
    doubts: Doubts,
    suspects: Suspects,
    began: Instant,
    connections: AtomicUsize,
    draining: AtomicBool,
    /// Every task of the node; those of connections in one of their own, because they end first.
    pub(crate) sockets: TaskTracker,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A point up to which everything that is followed here has been delivered.
#[derive(Debug, Clone)]
struct Position {
    checkpoint: Checkpoint,
    /// When the comparison began that found so: it speaks for those who followed before.
    since: Duration,
}

/// A place among those who are let in; given back when dropped, so that strangers use up none.
pub(crate) struct Admission {
    node: Option<Arc<Node>>,
}

impl Admission {
    /// A user came in by it.
    pub(crate) fn keep(mut self) {
        self.node = None;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            lock(&node.admissions).put_back();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Starts the tasks of a node. The store must answer, or nothing is started.
    pub(crate) async fn start(
        ports: Ports,
        mut limits: Limits,
        file_key: Option<Arc<[u8]>>,
    ) -> Result<Arc<Self>, StoreError> {
        if ports.blobs.is_none() {
            // What clients are told.
            limits.file_bytes_max = 0;
        }
        let limits = Arc::new(limits);
        let files = Arc::new(Files::new(ports.clone(), limits.clone(), file_key));
        let epoch = ports.store.epoch().await?;
        // The first who joins gets a resume token already.
        let checkpoint = ports.store.heads(&[]).await?.checkpoint;
        let position = Position { checkpoint, since: Duration::ZERO };
        let (writer, queues) = LogWriter::new(ports.store.lanes(), limits.commit_queue_max);
        let mut id = [0; 8];
        ports.random.fill(&mut id);
        let (bus_out, bus_queue) = mpsc::channel(BUS_QUEUE);
        let node = Arc::new(Self {
            peers: Peers::default(),
            files,
            id: NodeId(u64::from_le_bytes(id)),
            epoch: Mutex::new(epoch),
            events: broadcast::Sender::new(limits.events_backlog),
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
            admissions: Mutex::new(RateBucket::new(
                Duration::ZERO,
                limits.admissions_per_second,
                limits.admissions_per_second,
            )),
            shards: Shards::default(),
            registry: Mutex::default(),
            presence: Mutex::default(),
            rates: Mutex::new(Rates::new(&limits)),
            balance: Mutex::new(Balance::new(limits.balance_above_percent, limits.balance_after)),
            checkpoint: Mutex::new(Some(position)),
            writer,
            bus_out,
            topics: Topics::default(),
            outgoing: Outgoing::default(),
            check_now: Notify::new(),
            doubts: Doubts::default(),
            suspects: Suspects::default(),
            began: Instant::now(),
            connections: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            sockets: TaskTracker::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            ports,
            limits,
        });
        for queue in queues {
            node.tasks.spawn(log_writer::run(node.clone(), queue));
        }
        node.tasks.spawn(outgoing::run(node.clone()));
        node.tasks.spawn(inbound::publish(node.clone(), bus_queue));
        node.tasks.spawn(inbound::subscribe(node.clone()));
        node.tasks.spawn(inbound::listen(node.clone()));
        node.tasks.spawn(position_check::run(node.clone()));
        node.tasks.spawn(membership_check::run(node.clone()));
        node.tasks.spawn(credentials::run(node.clone()));
        node.tasks.spawn(hints::live(node.clone()));
        node.tasks.spawn(balance::run(node.clone()));
        node.tasks.spawn(registry::keep_house(node.clone()));
        node.tasks.spawn(files::collect(node.clone()));
        Ok(node)
    }

    /// The life of the store, as far as this node knows.
    pub(crate) fn epoch(&self) -> Epoch {
        lock(&self.epoch).clone()
    }

    /// Time since the node began: what the pure rooms take for the time.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// An event was committed, here or elsewhere: whoever follows it here gets it, and those whom
    /// it makes or unmakes a member begin or cease to follow.
    ///
    /// May be called in any order and repeatedly, as the bus has it: a membership begins or ends at
    /// a place in the log, and what is said of an earlier place changes nothing.
    ///
    /// Returns the frame's JSON, for the bus.
    fn deliver(self: &Arc<Self>, event: &Event) -> Bytes {
        let frame = Encoded::text(&ServerFrame::Event(event.clone()));
        self.begin_memberships(event);
        // One who leaves does not see it any more.
        self.end_memberships(event);
        self.publish(event.conversation, event.seq, &frame);
        // And one who came just then, by what the store said before it, is behind it now or gone.
        self.end_memberships(event);
        frame.json()
    }

    /// Those whom this event makes members follow from the first event on.
    fn begin_memberships(&self, event: &Event) {
        for user in event.body.arrivals(event.from.as_ref()) {
            let mailboxes = lock(&self.registry).mailboxes(user);
            for mailbox in mailboxes {
                self.enrol(user, event.conversation, &mailbox, event.seq);
            }
        }
    }

    /// Those whose membership this event ends no longer follow, and are told so.
    fn end_memberships(&self, event: &Event) {
        let Some(user) = event.departure() else { return };
        if sabotage::on(Defect::KeepRemoved) {
            return;
        }
        let conversation = event.conversation;
        let mailboxes = lock(&self.registry).mailboxes(user);
        for mailbox in mailboxes {
            let mut feeds = self.shards.of(conversation);
            if let Some(ended) = feeds.expel(conversation, &mailbox, event.seq) {
                if ended {
                    self.topics.unfollow(Topic::Conversation(conversation));
                }
                mailbox.put(Encoded::text(&ServerFrame::Left { conversation }));
            }
        }
    }

    fn publish(self: &Arc<Self>, conversation: ConversationId, seq: Seq, frame: &Encoded) {
        let published = self.tell(conversation, |feeds| feeds.publish(conversation, seq, frame));
        match published {
            Published::Hole(hole) => self.fill_soon(conversation, hole),
            Published::Delivered(listeners) => {
                metrics::counter!("chat_deliveries_total").increment(listeners as u64);
            }
            Published::Old | Published::Waiting | Published::Nobody => {}
        }
    }

    /// A member's marker moved.
    fn deliver_receipt(
        &self,
        conversation: ConversationId,
        user: &UserId,
        marker: Marker,
    ) -> Bytes {
        let receipt = ServerFrame::Receipt { conversation, user: user.clone(), marker };
        let frame = Encoded::text(&receipt);
        self.tell(conversation, |feeds| feeds.receipt(conversation, &frame));
        frame.json()
    }

    /// The same, for the devices of this member alone.
    fn deliver_own_receipt(
        &self,
        conversation: ConversationId,
        user: &UserId,
        marker: Marker,
    ) -> Bytes {
        let receipt = ServerFrame::Receipt { conversation, user: user.clone(), marker };
        let frame = Encoded::text(&receipt);
        let mailboxes = lock(&self.registry).mailboxes(user);
        for mailbox in mailboxes.iter().filter(|mailbox| mailbox.follows(conversation)) {
            mailbox.put(frame.clone());
        }
        frame.json()
    }

    /// Offers something to those who follow a conversation, and has it written to those who sleep.
    fn tell<T>(&self, conversation: ConversationId, offer: impl FnOnce(&mut Feeds) -> T) -> T {
        let (told, Aftermath { due, overflowed }) = {
            let mut feeds = self.shards.of(conversation);
            (offer(&mut feeds), feeds.take_aftermath())
        };
        self.outgoing.add(due);
        if overflowed > 0 {
            metrics::counter!("chat_fell_behind_total").increment(overflowed);
        }
        told
    }

    /// A session whose user is a member since this place follows from the first event on.
    fn enrol(
        &self,
        user: &UserId,
        conversation: ConversationId,
        mailbox: &Arc<Mailbox>,
        since: Seq,
    ) {
        if since > Seq::new(1) {
            self.enrol_behind(user, conversation, mailbox, since);
            return;
        }
        // The conversation is new: there is nothing to be read before the event itself.
        match self.follow(conversation, mailbox, Seq::ZERO) {
            Followed::Already => return,
            Followed::Behind => mailbox.fell_behind(conversation, Seq::ZERO),
            Followed::Live { .. } => {}
        }
        lock(&self.registry).note_following(user, mailbox, self.now());
    }

    /// The same, by what is read for it from the store.
    fn enrol_behind(
        &self,
        user: &UserId,
        conversation: ConversationId,
        mailbox: &Arc<Mailbox>,
        since: Seq,
    ) {
        let mut feeds = self.shards.of(conversation);
        if let Enrolled::Behind { new } = feeds.enrol(conversation, mailbox, since) {
            if new {
                self.topics.follow(Topic::Conversation(conversation));
            }
            drop(feeds);
            mailbox.fell_behind(conversation, Seq::ZERO);
            lock(&self.registry).note_following(user, mailbox, self.now());
        }
    }

    /// Begins to follow, and tells the bus if nobody here did before.
    fn follow(&self, conversation: ConversationId, mailbox: &Arc<Mailbox>, at: Seq) -> Followed {
        // Under the feed's lock, so that the last word to the bus is the one that holds.
        let mut feeds = self.shards.of(conversation);
        let followed = feeds.follow(conversation, mailbox, at);
        if followed == (Followed::Live { new: true }) {
            self.topics.follow(Topic::Conversation(conversation));
        }
        followed
    }

    /// Ceases to follow, and tells the bus if nobody here does any more.
    fn unfollow(&self, conversation: ConversationId, mailbox: &Arc<Mailbox>) {
        let mut feeds = self.shards.of(conversation);
        if feeds.unfollow(conversation, mailbox) {
            self.topics.unfollow(Topic::Conversation(conversation));
        }
    }

    fn fill_soon(self: &Arc<Self>, conversation: ConversationId, hole: Hole) {
        let node = self.clone();
        self.tasks.spawn(async move { node.fill(conversation, hole).await });
    }

    /// Reads what a feed misses and publishes it, until nothing is missing.
    async fn fill(self: &Arc<Self>, conversation: ConversationId, hole: Hole) {
        let mut missing = Some(hole);
        while let Some(hole) = missing {
            metrics::counter!("chat_holes_filled_total").increment(1);
            let filled = self.fill_once(conversation, hole).await;
            if let Err(why) = &filled {
                warn!(%conversation, error = why as &dyn std::error::Error, "hole not filled");
            }
            missing = self.shards.of(conversation).filled(conversation, filled.is_ok());
        }
    }

    async fn fill_once(
        self: &Arc<Self>,
        conversation: ConversationId,
        hole: Hole,
    ) -> Result<(), StoreError> {
        if sabotage::on(Defect::SkipHoles) {
            // The defect: whatever comes next is taken for the next.
            self.shards.of(conversation).sabotage_skip(conversation, hole.upto);
            return Ok(());
        }
        let mut after = hole.after;
        while after < hole.upto {
            let page = self.replay_page();
            let read = self.ports.store.read(Reader::System, conversation, after, hole.upto, page);
            let events = self.in_time(read).await?.unwrap_or_default();
            let Some(last) = events.last() else {
                return Err(StoreError::Defect("a head above the last event".into()));
            };
            after = last.seq;
            for event in &events {
                // What the bus lost may be the news of who came and who went.
                self.deliver(event);
            }
        }
        Ok(())
    }

    /// What asks the store, or other ports besides, within the time of the store: nothing waits for
    /// ever.
    pub(crate) async fn in_time<T, E: From<StoreError>>(
        &self,
        asking: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match tokio::time::timeout(self.limits.store_timeout, asking).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed)).into()),
        }
    }

    /// Who this is, within the time of the store: a host that hangs keeps no door half open.
    pub(crate) async fn authenticate(
        &self,
        credentials: Credentials<'_>,
    ) -> Result<Identity, AuthError> {
        let asking = self.ports.authenticator.authenticate(credentials);
        match tokio::time::timeout(self.limits.store_timeout, asking).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(AuthError::Unavailable(Box::new(elapsed))),
        }
    }

    fn replay_page(&self) -> std::num::NonZeroU16 {
        std::num::NonZeroU16::new(self.limits.replay_page).unwrap_or(std::num::NonZeroU16::MIN)
    }

    /// One more user comes in; or after which time they may try again.
    pub(crate) fn admit_one(&self) -> Result<(), Duration> {
        let room = lock(&self.admissions).take(self.now());
        room.map_err(|_| self.refuse_for_a_while())
    }

    /// The same for somebody of whom it is not known yet who they are.
    pub(crate) fn begin_admission(self: &Arc<Self>) -> Result<Admission, Duration> {
        self.admit_one().map(|()| Admission { node: Some(self.clone()) })
    }

    /// Those who are refused at the same time are told different times, or they would all come back
    /// at once.
    fn refuse_for_a_while(&self) -> Duration {
        metrics::counter!("chat_admissions_refused_total").increment(1);
        COME_BACK + self.random_below(COME_BACK * 2)
    }

    /// The last position, for somebody who joins now and reads everything after it was taken.
    fn last_checkpoint(&self) -> Option<Checkpoint> {
        lock(&self.checkpoint).as_ref().map(|it| it.checkpoint.clone())
    }

    fn send_to_bus(&self, topic: Topic, bytes: Bytes) {
        if self.bus_out.try_send((topic, bytes)).is_err() {
            metrics::counter!("chat_bus_dropped_total").increment(1);
        }
    }

    /// A signal to those who follow a conversation, but one.
    fn signal(&self, conversation: ConversationId, frame: &Encoded, except: Option<&Arc<Mailbox>>) {
        self.shards.of(conversation).signal(conversation, frame, except);
    }
}
