//! The bus over Redis against real servers: the contract, and what happens when they go away, hang,
//! refuse, or move.

// Also outside of the test functions themselves this is a test.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chat_sdk::{
    RedisBus, TlsRoots, UserId,
    bus::{Budget, Bus, BusError, Heard, RedisOptions, RedisOptionsError, Topic},
    conformance::{self, BusFactory},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use testbed::{Redis, RedisCluster};
use tokio::time::{Instant, sleep, timeout};

/// How long something may take that has to happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);
/// The bus promises that publishing ends after 3 s; as long again for a busy machine.
const PUBLISH_MAX: Duration = Duration::from_secs(6);
/// After so long without a message none is under way.
const QUIET: Duration = Duration::from_millis(500);

fn options(urls: Vec<String>) -> RedisOptions {
    RedisOptions { urls, ..RedisOptions::default() }
}

fn user(name: impl std::fmt::Display) -> Topic {
    Topic::User(UserId::new(name.to_string()).unwrap())
}

fn message(topic: &Topic) -> Vec<(Topic, Bytes)> {
    vec![(topic.clone(), Bytes::from_static(b"hi"))]
}

/// Asks again and again until it is so.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut is: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(it) = is().await {
            return it;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

async fn works(bus: &RedisBus) {
    until("the bus works", async || bus.check().await.ok()).await;
}

/// One that works, and has told that it began.
async fn ready(options: RedisOptions) -> RedisBus {
    let bus = RedisBus::connect_with(options).unwrap();
    works(&bus).await;
    while let Ok(heard) = timeout(QUIET / 2, bus.next()).await {
        assert_eq!(heard, Heard::Lost);
    }
    bus
}

async fn pair(redis: &Redis) -> (RedisBus, RedisBus) {
    let one = ready(options(vec![redis.url()])).await;
    (one, ready(options(vec![redis.url()])).await)
}

/// Waits for a loss to be told.
async fn told(bus: &RedisBus) {
    let lost = async { while bus.next().await != Heard::Lost {} };
    timeout(PATIENCE, lost).await.expect("a loss is told");
}

/// Waits until it is noticed that a subscription is broken.
async fn unheard(bus: &RedisBus) {
    until("a broken subscription is noticed", async || {
        let why = words(&bus.check().await.err()?);
        why.contains("the subscription at").then_some(())
    })
    .await;
}

/// Publishes until it is heard.
async fn reaches(from: &RedisBus, to: &RedisBus, topic: &Topic) {
    until("is heard", async || {
        let _ = from.publish(message(topic)).await;
        while let Ok(heard) = timeout(QUIET, to.next()).await {
            if matches!(heard, Heard::Message(of, _) if of == *topic) {
                return Some(());
            }
        }
        None
    })
    .await;
}

/// The error, and what it is because of.
fn words(why: &BusError) -> String {
    let mut words = why.to_string();
    let mut cause = std::error::Error::source(why);
    while let Some(why) = cause {
        words += ": ";
        words += &why.to_string();
        cause = why.source();
    }
    words
}

async fn publish_error(bus: &RedisBus, topic: &Topic) -> String {
    until("publishing fails", async || {
        let published = timeout(PUBLISH_MAX, bus.publish(message(topic))).await;
        published.expect("publishing never waits long").err().map(|why| words(&why))
    })
    .await
}

/// To how many channels all clients are subscribed.
fn subscriptions(redis: &Redis) -> usize {
    let clients = redis.cli(&["CLIENT", "LIST"]);
    let fields = clients.split_whitespace();
    fields.filter_map(|it| it.strip_prefix("sub=").or(it.strip_prefix("ssub="))).map(number).sum()
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

/// What was measured on this thread.
#[derive(Default)]
struct Measures(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Measures {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |it| it.load(Ordering::Relaxed))
    }

    fn cell(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        self.0.lock().unwrap().entry(key.name().to_owned()).or_default().clone()
    }

    /// Runs a test with all its tasks on this thread.
    fn during(test: impl AsyncFnOnce(&Self)) {
        let measures = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        metrics::with_local_recorder(&measures, || runtime.block_on(test(&measures)));
    }
}

impl metrics::Recorder for Measures {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

/// Buses of a new chat each time.
struct Chats {
    urls: Vec<String>,
    count: AtomicU32,
}

impl Chats {
    fn on(urls: Vec<String>) -> Self {
        Self { urls, count: AtomicU32::new(0) }
    }
}

impl BusFactory for Chats {
    type Bus = RedisBus;

    async fn nodes(&self, count: usize) -> Vec<RedisBus> {
        let prefix = format!("chat-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let mut nodes = Vec::new();
        for _ in 0..count {
            let options = RedisOptions { prefix: prefix.clone(), ..options(self.urls.clone()) };
            nodes.push(ready(options).await);
        }
        nodes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_one_redis_the_contract_is_kept() {
    let redis = Redis::start();
    conformance::bus(Chats::on(vec![redis.url()])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_cluster_the_contract_is_kept() {
    let cluster = RedisCluster::start();
    conformance::bus(Chats::on(cluster.urls())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_killed_and_restarted_is_used_again() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    two.follow(vec![user("ann")]).await.unwrap();
    reaches(&one, &two, &user("ann")).await;

    redis.kill();
    publish_error(&one, &user("ann")).await;
    until("the node is told", async || one.check().await.err()).await;
    redis.start_again();
    // Without anything being followed again.
    told(&two).await;
    reaches(&one, &two, &user("ann")).await;
    works(&one).await;
    works(&two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_was_cut_is_made_again_and_its_loss_told() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    // So many that subscribing to them takes a while: the loss must not be told before.
    let topics: Vec<_> = (0..5000).map(user).collect();
    two.follow(topics.clone()).await.unwrap();
    for _ in 0..3 {
        redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        told(&two).await;
        let published: Vec<_> = topics.iter().step_by(100).flat_map(message).collect();
        one.publish(published.clone()).await.unwrap();
        for _ in published {
            let heard = timeout(PATIENCE, two.next()).await.unwrap();
            assert!(matches!(heard, Heard::Message(..)), "{heard:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_meanwhile_the_last_word_counts() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    let churn = async {
        for round in 0..200_usize {
            let some: Vec<_> = (0..40).map(|n| user((round * 7 + n * 13) % 300)).collect();
            if round % 3 == 0 { two.unfollow(some).await } else { two.follow(some).await }.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    };
    let trouble = async {
        for _ in 0..6 {
            sleep(Duration::from_millis(200)).await;
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
    };
    tokio::join!(churn, trouble);
    let (left, kept): (Vec<_>, Vec<_>) = (0..300).map(user).partition(|it| *it < user(150));
    works(&two).await;
    two.unfollow(left).await.unwrap();
    two.follow(kept.clone()).await.unwrap();
    // And `Nodes`, of both.
    until("exactly those are subscribed to", async || {
        (subscriptions(&redis) == kept.len() + 2).then_some(())
    })
    .await;
    for topic in [&kept[0], &kept[kept.len() - 1]] {
        reaches(&one, &two, topic).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_followed_while_there_is_no_connection_is_heard_later() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    two.follow(vec![user("before")]).await.unwrap();
    redis.kill();
    unheard(&two).await;
    two.follow(vec![user("while")]).await.unwrap();
    two.unfollow(vec![user("before")]).await.unwrap();
    redis.start_again();
    told(&two).await;
    reaches(&one, &two, &user("while")).await;
    // Of both nodes: `Nodes`, and of one the topic.
    until("all is subscribed to", async || (subscriptions(&redis) == 3).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_followed_is_heard_from_then_on() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    redis.pause();
    let mut following = Box::pin(two.follow(vec![user("ann")]));
    let early = timeout(QUIET, &mut following).await;
    redis.resume();
    assert!(early.is_err(), "Redis cannot have confirmed it");
    following.await.unwrap();
    one.publish(message(&user("ann"))).await.unwrap();
    let heard = timeout(PATIENCE, two.next()).await.unwrap();
    assert!(matches!(heard, Heard::Message(..)), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_delays_nobody_for_long_and_is_noticed() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    two.follow(vec![user("ann")]).await.unwrap();
    redis.pause();
    publish_error(&one, &user("ann")).await;
    let began = Instant::now();
    for _ in 0..50 {
        let _ = timeout(PUBLISH_MAX, one.publish(message(&user("ann")))).await.unwrap();
    }
    // Nearly all of them fail at once: connecting is tried after a rest only.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(one.take(Budget { name: "x", per_second: 1, burst: 1 }, 1).await.is_err());
    // Nobody spoke, so it is by asking that a dead subscription is found out.
    timeout(PATIENCE, two.follow(vec![user("bob")])).await.unwrap().unwrap();
    unheard(&two).await;
    redis.resume();
    told(&two).await;
    reaches(&one, &two, &user("ann")).await;
    reaches(&one, &two, &user("bob")).await;
}

/// The listener itself finds out, without anybody following anything.
#[test]
fn silence_is_tested() {
    Measures::during(async |measures| {
        let redis = Redis::start();
        let bus = ready(options(vec![redis.url()])).await;
        let connected = || f64::from_bits(measures.of("chat_bus_connected")) > 0.0;
        assert!(connected());
        redis.pause();
        until("the gauge falls", async || (!connected()).then_some(())).await;
        redis.resume();
        until("the gauge rises", async || connected().then_some(())).await;
        assert_eq!(measures.of("chat_bus_connects_total"), 2);
        told(&bus).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_pauses_its_clients_is_used_again() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    two.follow(vec![user("ann")]).await.unwrap();
    redis.cli(&["CLIENT", "PAUSE", "4000", "ALL"]);
    publish_error(&one, &user("ann")).await;
    reaches(&one, &two, &user("ann")).await;
}

#[test]
fn publishing_that_is_refused_is_an_error_and_counted() {
    Measures::during(async |measures| {
        let redis = Redis::start();
        let (one, two) = pair(&redis).await;
        two.follow(vec![user("ann")]).await.unwrap();
        redis.cli(&["ACL", "SETUSER", "default", "-publish"]);
        let why = one.publish([message(&user("ann")), message(&user("bob"))].concat()).await;
        let why = words(&why.unwrap_err());
        assert!(why.contains("refused 2") && why.contains("publish"), "{why}");
        assert_eq!(measures.of("chat_bus_unpublished_total"), 2);
        let why = words(&one.check().await.unwrap_err());
        assert!(why.contains("publishing does not work"), "{why}");
        redis.cli(&["ACL", "SETUSER", "default", "+publish"]);
        reaches(&one, &two, &user("ann")).await;
        works(&one).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_refused_is_shown_and_made_later() {
    let redis = Redis::start();
    redis.cli(&["ACL", "SETUSER", "default", "-subscribe"]);
    let bus = RedisBus::connect(redis.url()).unwrap();
    bus.follow(vec![user("ann")]).await.unwrap();
    unheard(&bus).await;
    redis.cli(&["ACL", "SETUSER", "default", "+subscribe"]);
    told(&bus).await;
    works(&bus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_without_redis() {
    let redis = Redis::start();
    redis.kill();
    let began = Instant::now();
    let one = RedisBus::connect(redis.url()).unwrap();
    let two = RedisBus::connect(redis.url()).unwrap();
    two.follow(vec![user("ann")]).await.unwrap();
    publish_error(&one, &user("ann")).await;
    assert!(began.elapsed() < PUBLISH_MAX, "{:?}", began.elapsed());
    redis.start_again();
    told(&two).await;
    reaches(&one, &two, &user("ann")).await;
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    number(pages.split_whitespace().nth(1).unwrap()) * 4096
}

async fn flood(from: &RedisBus, topic: &Topic, messages: usize) {
    let bytes = Bytes::from(vec![b'x'; 200]);
    for _ in 0..messages / 500 {
        let batch = vec![(topic.clone(), bytes.clone()); 500];
        from.publish(batch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_has_stopped_holds_eight_mebibytes() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    let topic = user("ann");
    two.follow(vec![topic.clone()]).await.unwrap();
    // What everything needs that is used for the first time.
    flood(&one, &topic, 50_000).await;
    let before = resident();
    flood(&one, &topic, 1_000_000).await;
    let grown = resident().saturating_sub(before);
    // Other tests run in this process; a million messages unbounded would be 350 MB.
    assert!(grown < 100 << 20, "{grown} bytes more");

    let mut heard = 0;
    while timeout(PATIENCE, two.next()).await.expect("a loss is told") != Heard::Lost {
        heard += 1;
    }
    let bound = (8 << 20) / 200;
    assert!((1000..bound).contains(&heard), "{heard} messages had room");
    reaches(&one, &two, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_topics_are_followed_and_left_and_none_remains() {
    let redis = Redis::start();
    let bus = ready(options(vec![redis.url()])).await;
    let topics: Vec<_> = (0..1000).map(user).collect();
    for _ in 0..3 {
        bus.follow(topics.clone()).await.unwrap();
        assert_eq!(subscriptions(&redis), 1001);
        bus.unfollow(topics.clone()).await.unwrap();
        assert_eq!(subscriptions(&redis), 1);
    }
    // Nor after they were followed and left at the same time, in whatever order it came.
    let calls = (0..20).map(|n| {
        let (bus, topics) = (&bus, topics.clone());
        async move {
            if n % 2 == 0 { bus.follow(topics).await } else { bus.unfollow(topics).await }
        }
    });
    futures_util::future::join_all(calls).await;
    bus.unfollow(topics).await.unwrap();
    assert_eq!(subscriptions(&redis), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_too_none_remains() {
    let cluster = RedisCluster::start();
    let bus = ready(options(cluster.urls())).await;
    let all = || cluster.nodes().iter().map(subscriptions).sum::<usize>();
    let topics: Vec<_> = (0..1000).map(user).collect();
    bus.follow(topics.clone()).await.unwrap();
    assert_eq!(all(), 1001);
    assert!(cluster.nodes().iter().all(|it| subscriptions(it) > 200), "evenly");
    bus.unfollow(topics).await.unwrap();
    assert_eq!(all(), 1);
    bus.close().await;
    until("nothing remains", async || (all() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_of_different_prefixes_do_not_hear_each_other() {
    let redis = Redis::start();
    let other = RedisOptions { prefix: "chat2".to_owned(), ..options(vec![redis.url()]) };
    let (one, two) = pair(&redis).await;
    let stranger = ready(other).await;
    for bus in [&two, &stranger] {
        bus.follow(vec![user("ann")]).await.unwrap();
    }
    reaches(&one, &two, &user("ann")).await;
    reaches(&one, &two, &Topic::Nodes).await;
    assert!(timeout(QUIET, stranger.next()).await.is_err());
    // And they have budgets of their own.
    let budget = Budget { name: "sends", per_second: 1, burst: 100 };
    assert_eq!(one.take(budget, 100).await.unwrap(), 100);
    assert_eq!(stranger.take(budget, 100).await.unwrap(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_messages_are_not_heard() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    one.follow(vec![user("ann")]).await.unwrap();
    one.publish(message(&user("ann"))).await.unwrap();
    one.publish(message(&Topic::Nodes)).await.unwrap();
    // What is published later is heard, so the own ones are not just slow.
    reaches(&two, &one, &user("ann")).await;
    assert!(timeout(QUIET, one.next()).await.is_err());
    let heard = timeout(PATIENCE, two.next()).await.unwrap();
    assert!(matches!(heard, Heard::Message(Topic::Nodes, _)));
}

#[test]
fn what_is_malformed_is_dropped_and_counted() {
    Measures::during(async |measures| {
        let redis = Redis::start();
        let (one, two) = pair(&redis).await;
        let channel = redis.cli(&["PUBSUB", "CHANNELS", "*"]);
        redis.cli(&["PUBLISH", &channel, "short"]);
        reaches(&one, &two, &Topic::Nodes).await;
        assert_eq!(measures.of("chat_bus_malformed_total"), 2);
        assert!(measures.of("chat_bus_published_total") > 0);
        assert_eq!(measures.of("chat_bus_received_total"), 1);
    });
}

/// The server's clock in microseconds.
fn server_time(redis: &Redis) -> u64 {
    let time = redis.cli(&["TIME"]);
    let (seconds, micros) = time.split_once('\n').unwrap();
    seconds.trim().parse::<u64>().unwrap() * 1_000_000 + micros.trim().parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_budget() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    let budget = Budget { name: "sends", per_second: 100, burst: 50 };
    let begin = server_time(&redis);
    let mut given = 0;
    for round in 0..200 {
        for bus in [&one, &two] {
            given += u64::from(bus.take(budget, 1 + round % 20).await.unwrap());
        }
        sleep(Duration::from_millis(5)).await;
    }
    let passed = server_time(&redis) - begin;
    let most = 50 + passed * 100 / 1_000_000 + 1;
    assert!(given <= most, "{given} given, {most} at most in {passed} us");
    // Both always wanted more than there was, so little is left lying.
    assert!(given * 10 >= most * 9, "{given} given of {most}");

    // A whole second without anybody: full again, and no fuller.
    sleep(Duration::from_secs(1)).await;
    assert!((50..=55).contains(&one.take(budget, 1000).await.unwrap()));
    // It does not stay for ever in Redis.
    let left = number(&redis.cli(&["PTTL", "chat:{budget}:sends"]));
    assert!((1000..=1500).contains(&left), "{left} ms");
    until("forgotten", async || {
        (redis.cli(&["EXISTS", "chat:{budget}:sends"]) == "0").then_some(())
    })
    .await;
    assert_eq!(two.take(budget, 1000).await.unwrap(), 50);

    // Redis forgets scripts, too.
    redis.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(one.take(Budget { name: "other", ..budget }, 20).await.unwrap(), 20);
    // One that never fills.
    let never = Budget { name: "never", per_second: 0, burst: 5 };
    assert_eq!(one.take(never, 4).await.unwrap(), 4);
    assert_eq!(two.take(never, 4).await.unwrap(), 1);
    assert_eq!(two.take(never, 4).await.unwrap(), 0);
    // The largest there can be.
    let large = Budget { name: "large", per_second: u32::MAX, burst: u32::MAX };
    assert_eq!(one.take(large, u32::MAX).await.unwrap(), u32::MAX);
    redis.kill();
    assert!(one.take(budget, 1).await.is_err());
}

/// An authority, and the files of a server that it vouches for.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { params, key: KeyPair::generate().unwrap() }
    }

    fn roots(&self) -> TlsRoots {
        TlsRoots::Pem(self.params.self_signed(&self.key).unwrap().pem().into_bytes())
    }

    fn certificate(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_takes_whom_the_given_authority_vouches_for_and_nobody_else() {
    let authority = Authority::new();
    let (certificate, key) = authority.certificate();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("redis-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let files = [("certificate", certificate), ("key", key)];
    let [certificate, key] = files.map(|(name, pem)| {
        let file = folder.join(name);
        fs::write(&file, pem).unwrap();
        file.display().to_string()
    });
    let port = testbed::free_port();
    let redis = Redis::start_with(&testbed::RedisOptions {
        settings: vec![
            format!("tls-port {port}"),
            format!("tls-cert-file {certificate}"),
            format!("tls-key-file {key}"),
            "tls-auth-clients no".to_owned(),
        ],
    });
    redis.cli(&["CONFIG", "SET", "requirepass", "secret-1"]);
    let url = format!("rediss://:secret-1@127.0.0.1:{port}");
    let with = |tls| RedisOptions { tls, ..options(vec![url.clone()]) };
    let one = ready(with(authority.roots())).await;
    let two = ready(with(authority.roots())).await;
    reaches(&one, &two, &Topic::Nodes).await;

    for tls in [Authority::new().roots(), TlsRoots::System] {
        let refused = RedisBus::connect_with(with(tls)).unwrap();
        let why = publish_error(&refused, &Topic::Nodes).await;
        assert!(why.contains("certificate"), "{why}");
    }
    let other_name = format!("rediss://:secret-1@localhost:{port}");
    let other_name = RedisOptions { urls: vec![other_name], ..with(authority.roots()) };
    let refused = RedisBus::connect_with(other_name).unwrap();
    let why = publish_error(&refused, &Topic::Nodes).await;
    assert!(why.contains("certificate"), "{why}");
    drop(redis);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_only_what_the_documentation_says_is_enough() {
    let documented = "resetchannels &chat:* ~chat:* +@connection +publish +spublish +subscribe \
                      +ssubscribe +unsubscribe +sunsubscribe +evalsha +script|load +time +hmget \
                      +hset +pexpire +cluster|slots";
    let cluster = RedisCluster::start();
    let redis = Redis::start();
    for server in cluster.nodes().iter().chain([&redis]) {
        let mut command = vec!["ACL", "SETUSER", "chat", "on", ">secret-2"];
        command.extend(documented.split_whitespace());
        assert_eq!(server.cli(&command), "OK");
    }
    let named = |urls: Vec<String>| {
        let urls = urls.iter().map(|url| url.replace("://", "://chat:secret-2@"));
        options(urls.collect())
    };
    for urls in [vec![redis.url()], cluster.urls()] {
        let (one, two) = (ready(named(urls.clone())).await, ready(named(urls)).await);
        two.follow(vec![user("ann"), user("bob")]).await.unwrap();
        reaches(&one, &two, &user("ann")).await;
        two.unfollow(vec![user("ann")]).await.unwrap();
        reaches(&one, &two, &user("bob")).await;
        let budget = Budget { name: "sends", per_second: 1, burst: 3 };
        assert_eq!(one.take(budget, 3).await.unwrap(), 3);
        assert!(two.check().await.is_ok());
        assert!(timeout(QUIET, two.next()).await.is_err(), "no subscription was lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_never_shown() {
    let redis = Redis::start();
    redis.cli(&["CONFIG", "SET", "requirepass", "right-hunter2"]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let right = ready(options(vec![url("right-hunter2")])).await;
    let other = ready(options(vec![url("right-hunter2")])).await;
    reaches(&right, &other, &Topic::Nodes).await;

    let wrong = RedisBus::connect(url("wrong-hunter2")).unwrap();
    let none = RedisBus::connect(format!("redis://127.0.0.1:{}", redis.port())).unwrap();
    let mut shown = vec![
        format!("{:?}", options(vec![url("wrong-hunter2")])),
        format!("{right:?} {wrong:?}"),
        publish_error(&none, &Topic::Nodes).await,
    ];
    let why = wrong.publish(message(&Topic::Nodes)).await.unwrap_err();
    shown.extend([words(&why), format!("{why:?}")]);
    let bad = ["redis://:some-hunter2@", "http://:some-hunter2@x", "redis://:some-hunter2@x/y"];
    for bad in bad.into_iter().chain(["rediss://:some-hunter2@x/#insecure"]) {
        let why = RedisBus::connect(bad).unwrap_err();
        assert!(matches!(why, RedisOptionsError::Url { index: 0 }), "{why:?}");
        shown.push(format!("{why} {why:?} {:?}", std::error::Error::source(&why)));
    }
    for shown in shown {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let refused = |options| RedisBus::connect_with(options).unwrap_err();
    assert!(matches!(refused(options(Vec::new())), RedisOptionsError::NoUrl));
    let mixed = vec!["redis://a".to_owned(), "rediss://b".to_owned()];
    assert!(matches!(refused(options(mixed)), RedisOptionsError::MixedTls));
    let url = || options(vec!["rediss://a".to_owned()]);
    let prefix = RedisOptions { prefix: "a{b".to_owned(), ..url() };
    assert!(matches!(refused(prefix), RedisOptionsError::Prefix));
    let tls = RedisOptions { tls: TlsRoots::Pem(Vec::new()), ..url() };
    assert!(matches!(refused(tls), RedisOptionsError::Tls(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_every_connection() {
    let redis = Redis::start();
    let clients = || redis.cli(&["CLIENT", "LIST"]).lines().count();
    let (one, two) = pair(&redis).await;
    assert!(clients() > 3, "{}", redis.cli(&["CLIENT", "LIST"]));
    timeout(PATIENCE, one.close()).await.expect("closing comes to an end");
    assert!(one.publish(message(&Topic::Nodes)).await.is_err());
    assert!(one.follow(vec![user("ann")]).await.is_err());
    assert!(one.check().await.is_err());
    drop(two);
    // All that is left is the one who asks.
    until("all are gone", async || (clients() == 1).then_some(())).await;
}

/// A topic that each of the masters has.
fn topic_of_each(cluster: &RedisCluster) -> Vec<Topic> {
    let of = |node: &Redis| {
        let id = node.cli(&["CLUSTER", "MYID"]);
        let nodes = node.cli(&["CLUSTER", "NODES"]);
        let line = nodes.lines().find(|it| it.starts_with(&id)).unwrap();
        let (first, last) = line.split_whitespace().last().unwrap().split_once('-').unwrap();
        let here = number(first)..=number(last);
        let topics = (0..).map(user);
        let slot = |topic: &Topic| number(&node.cli(&["CLUSTER", "KEYSLOT", &channel(topic)]));
        topics.into_iter().find(|topic| here.contains(&slot(topic))).unwrap()
    };
    cluster.nodes().iter().map(of).collect()
}

/// As the documentation of the algorithm has it, bit by bit.
fn channel(topic: &Topic) -> String {
    let Topic::User(id) = topic else { panic!("only used for users") };
    let mut crc = 0_u16;
    for byte in format!("u:{id}").bytes() {
        for bit in (0..8).rev() {
            let flip = (crc >> 15 & 1) != u16::from(byte >> bit & 1);
            crc <<= 1;
            if flip {
                crc ^= 0x1021;
            }
        }
    }
    format!("chat:{{{}}}:u:{id}", crc % 128)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_master_dies_the_others_go_on() {
    let cluster = RedisCluster::start();
    let one = ready(options(cluster.urls())).await;
    let two = ready(options(cluster.urls())).await;
    let topics = topic_of_each(&cluster);
    two.follow(topics.clone()).await.unwrap();
    for topic in &topics {
        reaches(&one, &two, topic).await;
    }
    for (dead, kill) in [(0, true), (1, false)] {
        let node = &cluster.nodes()[dead];
        if kill {
            node.kill();
        } else {
            node.pause();
        }
        publish_error(&one, &topics[dead]).await;
        unheard(&two).await;
        let living = (0..3).filter(|it| *it != dead);
        for living in living {
            reaches(&one, &two, &topics[living]).await;
        }
        // A batch to all reaches the living, and is an error for the dead.
        assert!(one.publish(topics.iter().flat_map(message).collect()).await.is_err());
        for _ in 0..2 {
            let heard = timeout(PATIENCE, two.next()).await.unwrap();
            assert!(matches!(heard, Heard::Message(of, _) if of != topics[dead]));
        }
        if kill {
            node.start_again();
        } else {
            node.resume();
        }
        told(&two).await;
        reaches(&one, &two, &topics[dead]).await;
        works(&one).await;
        works(&two).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed_to_its_new_master() {
    let cluster = RedisCluster::start();
    let one = ready(options(cluster.urls())).await;
    let two = ready(options(cluster.urls())).await;
    let topics = topic_of_each(&cluster);
    two.follow(topics.clone()).await.unwrap();
    let nodes = cluster.nodes();
    let slot = nodes[0].cli(&["CLUSTER", "KEYSLOT", &channel(&topics[0])]);
    let new = nodes[1].cli(&["CLUSTER", "MYID"]);
    for node in [1, 0, 2] {
        assert_eq!(nodes[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &new]), "OK");
    }
    // By being told, and not by looking every quarter of a minute.
    timeout(Duration::from_secs(10), told(&two)).await.expect("it is told at once");
    for topic in &topics {
        reaches(&one, &two, topic).await;
    }
    works(&two).await;
    assert_eq!(nodes.iter().map(subscriptions).sum::<usize>(), 5, "each where it belongs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_found_from_one_of_its_servers() {
    let cluster = RedisCluster::start();
    let one = RedisOptions { cluster: true, ..options(vec![cluster.nodes()[2].url()]) };
    let (one, two) = (ready(one.clone()).await, ready(one).await);
    let topics = topic_of_each(&cluster);
    two.follow(topics.clone()).await.unwrap();
    for topic in &topics {
        reaches(&one, &two, topic).await;
    }
    let budget = Budget { name: "sends", per_second: 1, burst: 10 };
    assert_eq!(one.take(budget, 8).await.unwrap(), 8);
    assert!((2..5).contains(&two.take(budget, 8).await.unwrap()));
}

/// Processor time that this process has used.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = number(fields[11]) + number(fields[12]);
    Duration::from_millis(ticks as u64 * 10)
}

/// Says how fast it is: `cargo test -p chat-sdk --release --test redis -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn figures() {
    let redis = Redis::start();
    let (one, two) = pair(&redis).await;
    let topic = user("ann");
    two.follow(vec![topic.clone()]).await.unwrap();
    for batch in [1, 16, 256] {
        let count = 2_000 * batch.min(100);
        let (began, before) = (Instant::now(), processor());
        let hear = async {
            let mut heard = 0;
            while heard < count {
                heard += usize::from(matches!(two.next().await, Heard::Message(..)));
            }
        };
        let bytes = Bytes::from(vec![b'x'; 300]);
        let publish = async {
            for _ in 0..count / batch + 1 {
                one.publish(vec![(topic.clone(), bytes.clone()); batch]).await.unwrap();
            }
        };
        tokio::join!(hear, publish);
        let (took, used) = (began.elapsed(), processor() - before);
        let each = used.as_secs_f64() / count as f64 * 1e6;
        let rate = count as f64 / took.as_secs_f64();
        println!("batches of {batch}: {rate:.0} messages/s, {each:.1} us of processor for each");
        while timeout(QUIET, two.next()).await.is_ok() {}
    }
    let topics: Vec<_> = (0..10_000).map(user).collect();
    let began = Instant::now();
    two.follow(topics).await.unwrap();
    println!("10,000 topics followed in {:?}", began.elapsed());
}
