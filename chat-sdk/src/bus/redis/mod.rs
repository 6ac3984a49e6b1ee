//! The bus over Redis: a chat on any number of nodes, with one Redis or a Redis Cluster.
//!
//! # What is in Redis
//!
//! Nothing that could be missed: messages pass through Pub/Sub and are not kept, and the budgets that
//! nodes share are full again if they are lost. Each node publishes over one connection to each
//! server, and listens over another.
//!
//! In a cluster, Pub/Sub that every server passes on to every other would make adding servers useless.
//! So channels are *sharded* (`SPUBLISH`, Redis 7): a channel belongs to a slot, and is heard only
//! where that slot is. What the library offers for this in a cluster answers a loss by
//! subscribing again in silence; here that silence is what must not be. So who serves which slot is
//! read (`CLUSTER SLOTS`) and each master has a connection of its own, whose every beginning is
//! told as a loss.

mod backoff;
mod channel;
mod cluster;
mod publisher;
mod server;
mod subscriber;
mod waiting;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::future::join_all;
use redis::{ErrorKind, Pipeline, RedisError, Script, ServerErrorKind};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    channel::{Names, NodeId},
    cluster::{Master, Routes},
    publisher::Publisher,
    server::{Access, Address, ConnectError},
    waiting::Waiting,
};
use super::{Budget, Bus, BusError, Heard, Topic};
use crate::{
    env::{Random, SystemRandom},
    tls::{TlsError, TlsRoots},
};

/// Where the Redis of a [`RedisBus`] is, and what it is called there. Redis 7 or newer.
///
/// A user of Redis for nothing but the chat needs, besides its password:
/// `resetchannels &chat:* ~chat:* +@connection +publish +spublish +subscribe +ssubscribe +unsubscribe
/// +sunsubscribe +evalsha +script|load +time +hmget +hset +pexpire +cluster|slots`, with its prefix in
/// place of `chat`.
///
/// ```
/// use chat_sdk::bus::RedisOptions;
/// let options = RedisOptions {
///     urls: vec!["rediss://:secret@redis.example.org".to_owned()],
///     ..RedisOptions::default()
/// };
/// // Not the password.
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS. More than one are
    /// servers of one Redis Cluster: enough of them that one is there to ask for the others. User,
    /// password and whether there is TLS are taken from the first and must be the same everywhere.
    pub urls: Vec<String>,
    /// Whether it is a Redis Cluster even if there is only one URL.
    pub cluster: bool,
    /// What the names of channels and keys begin with: 1 to 64 letters, digits, `-`, `_`, `.` and `:`.
    /// Chats that share a Redis need different ones. While it is being changed, nodes with the old one
    /// and nodes with the new one do not hear each other.
    pub prefix: String,
    /// Who vouches for the servers, with TLS.
    pub tls: TlsRoots,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            cluster: false,
            prefix: "chat".to_owned(),
            tls: TlsRoots::default(),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("urls", &format_args!("[{} not shown]", self.urls.len()))
            .field("cluster", &self.cluster)
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .finish()
    }
}

/// What [`RedisOptions`] say makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOptionsError {
    /// There must be one at least.
    #[error("there is no URL")]
    NoUrl,
    /// Not a URL of a Redis, or one that wants certificates not to be checked.
    #[error("URL {index} is none of a Redis over TCP or TLS")]
    Url {
        /// Which one, counted from 0. It is not shown, because a password may stand in it.
        index: usize,
    },
    /// Either all servers have TLS or none.
    #[error("some URLs are with TLS and some without")]
    MixedTls,
    /// Too long, empty, or with a character that is not allowed.
    #[error("the prefix is not 1 to 64 letters, digits, '-', '_', '.' and ':'")]
    Prefix,
    /// The trusted certificates cannot be used.
    #[error("TLS is not possible")]
    Tls(#[source] TlsError),
}

/// Why something did not work at the moment.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the bus is closed")]
    Closed,
    #[error("no server is known for {0} of it")]
    NoServer(usize),
    #[error("{address} cannot be reached")]
    Unreachable {
        address: Address,
        #[source]
        why: ConnectError,
    },
    #[error("{0} is not asked again so soon after a failure")]
    Resting(Address),
    #[error("the connection to {address} broke")]
    Broken {
        address: Address,
        #[source]
        why: RedisError,
    },
    #[error("{address} refused {count}")]
    Refused {
        address: Address,
        count: usize,
        #[source]
        why: RedisError,
    },
    #[error("publishing does not work")]
    Publishing(#[source] Box<Trouble>),
    #[error("the subscription at {0} does not work")]
    Subscription(Address),
}

impl From<Trouble> for BusError {
    fn from(why: Trouble) -> Self {
        Self(Box::new(why))
    }
}

/// The bus of one node over Redis.
///
/// **Redis need not be there**: connecting happens beside, again and again with growing pauses of at
/// most 5 s. Until then publishing is an error, and the node serves whoever is connected to it.
/// Whenever it begins to listen, first or again, it tells a loss ([`Heard::Lost`]).
///
/// - *Publishing* waits 3 s at most, and not at all for a server that has just failed. A batch goes to
///   each server in one round trip; when one fails, the others have published their part, and the
///   answer is an error.
/// - *Listening*: every 5 s a connection that was silent is tested, and given up 3 s later; so a dead one
///   is noticed after 13 s at the latest. `follow` and `unfollow` wait until the server has confirmed, or the connection is lost; they are errors only
///   after [`close`](Self::close).
/// - *Memory*: at most 8 MiB of messages wait to be heard. What comes then is dropped, and told as
///   a loss in its place.
/// - Own messages are not heard.
/// - *Budgets* are buckets in Redis that fill by its clock. A budget that Redis lost is full.
///
/// Ends with [`close`](Self::close) or when it is dropped.
///
/// # Metrics
/// `chat_bus_connected` (1 while everything wanted is listened to), `chat_bus_published_total`,
/// `chat_bus_unpublished_total`, `chat_bus_received_total`, `chat_bus_overflowed_total` (dropped
/// because too much waited), `chat_bus_malformed_total`, `chat_bus_connects_total` (how often listening
/// to a server began).
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use chat_sdk::{Chat, FromExtension, RedisBus};
/// let bus = RedisBus::connect("redis://127.0.0.1")?;
/// let chat = Chat::builder(FromExtension).bus(bus).start().await?;
/// # Ok(()) }
/// ```
pub struct RedisBus {
    shared: Arc<Shared>,
}

/// What the handle and its tasks share.
struct Shared {
    kind: Kind,
    names: Names,
    node: NodeId,
    access: Arc<Access>,
    seeds: Vec<Address>,
    waiting: Waiting,
    state: Mutex<State>,
    /// Who serves what may have changed.
    look_again: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone, Copy)]
enum Kind {
    Single,
    Cluster,
}

struct State {
    /// Each with its part.
    wanted: HashMap<Topic, usize>,
    routes: Arc<Routes>,
}

impl RedisBus {
    /// One Redis, with [`RedisOptions`] that are otherwise the default.
    ///
    /// # Errors
    /// If it is no URL of a Redis. That nobody answers there is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(url: impl Into<String>) -> Result<Self, RedisOptionsError> {
        Self::connect_with(RedisOptions { urls: vec![url.into()], ..RedisOptions::default() })
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// If the options make no sense. That nobody answers is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect_with(options: RedisOptions) -> Result<Self, RedisOptionsError> {
        let names = Names::new(&options.prefix).ok_or(RedisOptionsError::Prefix)?;
        let (seeds, access) = Access::read(&options.urls, &options.tls)?;
        let kind = match options.cluster || seeds.len() > 1 {
            true => Kind::Cluster,
            false => Kind::Single,
        };
        let wanted = HashMap::from([(Topic::Nodes, names.channel(&Topic::Nodes).0)]);
        let mut node = NodeId::default();
        SystemRandom::default().fill(&mut node);
        let shared = Arc::new(Shared {
            kind,
            names,
            node,
            access: Arc::new(access),
            seeds,
            waiting: Waiting::default(),
            state: Mutex::new(State { wanted, routes: Arc::default() }),
            look_again: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        match kind {
            Kind::Single => cluster::single(&shared, &shared.seeds[0]),
            Kind::Cluster => {
                shared.tasks.spawn(cluster::keep(shared.clone()));
            }
        }
        Ok(Self { shared })
    }

    /// Ends all connections and waits until its tasks have ended. After that nothing is heard, and
    /// everything else is an error.
    pub async fn close(&self) {
        self.shared.end();
        self.shared.tasks.wait().await;
    }

    /// Tells each server of the topics that are its; what to wait for.
    fn change(&self, topics: Vec<Topic>, wanted: bool) -> Vec<(Arc<Master>, u64)> {
        let topics = topics.into_iter().map(|topic| (self.shared.names.channel(&topic).0, topic));
        let topics: Vec<_> = topics.collect();
        let routes = {
            let mut state = self.shared.state();
            for (part, topic) in &topics {
                if wanted {
                    state.wanted.insert(topic.clone(), *part);
                } else if *topic != Topic::Nodes {
                    // That one is always wanted.
                    state.wanted.remove(topic);
                }
            }
            state.routes.clone()
        };
        let mut changes: BTreeMap<usize, Vec<Topic>> = BTreeMap::new();
        for (part, topic) in topics {
            // If nobody has it, whoever gets it begins with what is wanted then.
            if let Some(master) = routes.of_part(part) {
                changes.entry(master).or_default().push(topic);
            }
        }
        let changes = changes.into_iter().map(|(master, topics)| {
            let master = &routes.masters()[master];
            (master.clone(), master.subscriber.change(topics))
        });
        changes.collect()
    }

    async fn changed(&self, topics: Vec<Topic>, wanted: bool) -> Result<(), BusError> {
        self.shared.open()?;
        let changes = self.change(topics, wanted);
        join_all(changes.iter().map(|(master, version)| master.subscriber.wait(*version))).await;
        Ok(())
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("seeds", &self.shared.seeds).finish_non_exhaustive()
    }
}

impl Bus for RedisBus {
    async fn publish(&self, messages: Vec<(Topic, Bytes)>) -> Result<(), BusError> {
        let shared = &self.shared;
        shared.open()?;
        let (routes, command) = (shared.routes(), shared.publish_command());
        let mut batches: BTreeMap<usize, Pipeline> = BTreeMap::new();
        let mut nowhere = 0;
        for (topic, message) in messages {
            let (part, channel) = shared.names.channel(&topic);
            let Some(master) = routes.of_part(part) else {
                nowhere += 1;
                continue;
            };
            let batch = batches.entry(master).or_default();
            batch.cmd(command).arg(channel).arg(channel::sealed(shared.node, &message));
        }
        let publishing = batches.iter().map(|(master, batch)| {
            let publisher = &routes.masters()[*master].publisher;
            async move { (batch.len(), shared.publish(publisher, batch).await) }
        });
        let mut outcome = match nowhere {
            0 => Ok(()),
            nowhere => Err(Trouble::NoServer(nowhere)),
        };
        let mut failed = nowhere;
        for (count, published) in join_all(publishing).await {
            if let Err(why) = published {
                failed += match &why {
                    Trouble::Refused { count, .. } => *count,
                    _ => count,
                };
                outcome = Err(why);
            }
        }
        metrics::counter!("chat_bus_unpublished_total").increment(failed as u64);
        outcome.map_err(BusError::from)
    }

    async fn follow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        self.changed(topics, true).await
    }

    async fn unfollow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        self.changed(topics, false).await
    }

    async fn take(&self, budget: Budget, wanted: u32) -> Result<u32, BusError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("budget.lua")));
        let shared = &self.shared;
        shared.open()?;
        let routes = shared.routes();
        let master = routes.of_budgets().ok_or(Trouble::NoServer(1))?;
        let key = shared.names.budget(budget.name);
        let arguments = [budget.per_second, budget.burst, wanted];
        let given = master.publisher.run(&SCRIPT, &key, &arguments).await;
        Ok(given.inspect_err(|why| shared.doubt_routes(why))?.min(wanted))
    }

    async fn check(&self) -> Result<(), BusError> {
        let shared = &self.shared;
        shared.open()?;
        let routes = shared.routes();
        if routes.orphans() > 0 {
            return Err(Trouble::NoServer(routes.orphans()).into());
        }
        let checks = routes.masters().iter().map(|master| async {
            if !master.subscriber.is_connected() {
                return Err(Trouble::Subscription(master.publisher.address().clone()));
            }
            // To where nobody listens: that we may publish is only seen by doing it.
            let mut batch = Pipeline::with_capacity(1);
            if let Some(part) = master.subscriber.parts().first() {
                let channel = shared.names.nobody(*part);
                batch.cmd(shared.publish_command()).arg(channel).arg(&shared.node[..]);
                let published = shared.publish(&master.publisher, &batch).await;
                published.map_err(|why| Trouble::Publishing(Box::new(why)))?;
            }
            Ok(())
        });
        join_all(checks).await.into_iter().collect::<Result<(), Trouble>>()?;
        Ok(())
    }

    async fn next(&self) -> Heard {
        self.shared.waiting.next().await
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn routes(&self) -> Arc<Routes> {
        self.state().routes.clone()
    }

    fn set_routes(&self, routes: Arc<Routes>) {
        self.state().routes = routes;
    }

    /// All topics that are wanted and in one of these parts.
    fn wanted(&self, parts: &[usize]) -> Vec<Topic> {
        let state = self.state();
        let here = state.wanted.iter().filter(|(_, part)| parts.binary_search(part).is_ok());
        here.map(|(topic, _)| topic.clone()).collect()
    }

    /// Those that are wanted, and those that are not.
    fn sort(&self, topics: HashSet<Topic>) -> (Vec<Topic>, Vec<Topic>) {
        let state = self.state();
        topics.into_iter().partition(|topic| state.wanted.contains_key(topic))
    }

    fn open(&self) -> Result<(), Trouble> {
        if self.stop.is_cancelled() { Err(Trouble::Closed) } else { Ok(()) }
    }

    fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        for master in self.routes().masters() {
            master.publisher.close();
        }
        metrics::gauge!("chat_bus_connected").set(0.0);
    }

    fn publish_command(&self) -> &'static str {
        match self.kind {
            Kind::Single => "PUBLISH",
            Kind::Cluster => "SPUBLISH",
        }
    }

    async fn publish(&self, publisher: &Publisher, batch: &Pipeline) -> Result<(), Trouble> {
        let published = async {
            let answers = publisher.ask(batch).await?;
            let mut refused = answers.into_iter().filter_map(|it| it.extract_error().err());
            match refused.next() {
                None => Ok(()),
                Some(why) => Err(Trouble::Refused {
                    address: publisher.address().clone(),
                    count: 1 + refused.count(),
                    why,
                }),
            }
        };
        let published = published.await.inspect_err(|why| self.doubt_routes(why));
        let refused = match &published {
            Ok(()) => 0,
            Err(Trouble::Refused { count, .. }) => *count,
            Err(_) => batch.len(),
        };
        metrics::counter!("chat_bus_published_total").increment((batch.len() - refused) as u64);
        published
    }

    /// Somebody else may be the master now.
    fn doubt_routes(&self, why: &Trouble) {
        let doubtful = match why {
            Trouble::Refused { why, .. } => matches!(
                why.kind(),
                ErrorKind::Server(
                    ServerErrorKind::Moved
                        | ServerErrorKind::Ask
                        | ServerErrorKind::ReadOnly
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                )
            ),
            Trouble::Unreachable { .. } | Trouble::Broken { .. } => true,
            Trouble::Closed
            | Trouble::NoServer(_)
            | Trouble::Resting(_)
            | Trouble::Publishing(_)
            | Trouble::Subscription(_) => false,
        };
        if doubtful {
            self.look_again.notify_one();
        }
    }

    fn show_connected(&self) {
        let routes = self.routes();
        let all = routes.orphans() == 0
            && routes.masters().iter().all(|master| master.subscriber.is_connected());
        metrics::gauge!("chat_bus_connected").set(if all { 1.0 } else { 0.0 });
    }
}
