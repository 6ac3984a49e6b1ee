//! The parts of a run, in their order: boot, calm, chaos, a window in which nothing is published,
//! settle, mend, quiet, read, leave, judge.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, rc::Rc, time::Duration};

use anyhow::{Context, bail};
use chat_check::{
    Found, Terms, check,
    history::{Conversation, Entry, LogEvent, Phase, Source, What},
};
use serde_json::{Value, json};
use tokio::{
    task::{JoinSet, LocalSet},
    time::{Instant, sleep},
};

use crate::{
    book::Book,
    dependencies::Dependencies,
    device::{Device, typed},
    http::{self, Reply, Request},
    nemesis::{Kind, Nemesis, Schedule},
    nodes::{self, Node, NodePlan},
    random::Random,
    report::Report,
    town::{Citizen, Ending, Town, log_event},
};

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How long things are broken.
    pub chaos: Duration,
    /// How many nodes. Several need a database and a bus of their own.
    pub nodes: usize,
    /// Whether also one node gets PostgreSQL and Redis.
    pub shared: bool,
    /// People.
    pub users: usize,
    /// Devices of each that speak raw frames; one more is a program on the client library.
    pub devices: usize,
    /// Groups at the beginning.
    pub groups: usize,
    /// Messages a second that are attempted.
    pub rate: u64,
    /// Seconds between two faults at most.
    pub gap: f64,
    /// For everybody to have everything, once all is quiet. What is longer than the slowest of the
    /// checks that nodes make by themselves (that of memberships, every 20 s) is a defect.
    pub quiet: Duration,
    /// How long after a log-out a connection may go on while nothing is broken. The news may be
    /// lost, and then nodes find it when they next look at all credentials, every 30 s.
    pub revocation: Duration,
    /// The only kind of fault; else the seed decides.
    pub only: Option<Kind>,
    /// Whether nothing is broken at all.
    pub peaceful: bool,
    /// A defect of the server, which must be built for that.
    pub sabotage: Option<String>,
    /// Whether nodes look after what the bus may have lost every other second, instead of as seldom
    /// as they do for people.
    pub hasty: bool,
    /// The server's binary.
    pub server: PathBuf,
    /// Where the history and the logs of the nodes are kept.
    pub folder: PathBuf,
}

/// What came of a run.
pub struct Outcome {
    /// What was broken.
    pub schedule: Schedule,
    /// What happened.
    pub history: Vec<Entry>,
    /// What was wrong with it.
    pub found: Found,
    /// The numbers.
    pub report: Report,
}

/// How long everything works before something is broken.
const CALM: Duration = Duration::from_secs(2);
/// How long nothing is published while the last messages are written.
const LOST_WINDOW: Duration = Duration::from_secs(2);
/// For what was begun to come to its end, once everything works again.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// For gauges to come down when everybody has gone; presence lasts 5 s.
const GONE_MAX: Duration = Duration::from_secs(30);

/// Devices of each that are programs on the client library.
const TYPED: usize = 1;

/// People who belong to nothing.
const STRANGERS: usize = 2;

/// Runs once, on this thread.
///
/// # Errors
/// It could not be run; what was found wrong is no error.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, go(options))
}

async fn go(options: &Options) -> anyhow::Result<Outcome> {
    std::fs::create_dir_all(&options.folder)?;
    let shared = options.shared || options.nodes > 1;
    let clocks = nodes::faketime();
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.fits(shared, clocks.is_some())).collect();
    if let Some(only) = options.only
        && !kinds.contains(&only)
    {
        bail!("{only} cannot be done with these nodes on this machine");
    }
    if clocks.is_none() {
        eprintln!(
            "torture: libfaketime is missing, so no clock jumps (apt-get install libfaketime)"
        );
        if std::env::var("CI").is_ok_and(|it| it == "true") {
            bail!("libfaketime is missing");
        }
    }
    let Options { seed, chaos, nodes, only, gap, .. } = *options;
    let kinds = if options.peaceful { &[][..] } else { &kinds };
    let schedule = Schedule::draw(seed, chaos, nodes, kinds, only, gap);
    let jumps = schedule.faults.iter().any(|it| it.kind == Kind::ClockJump);

    let dependencies = match shared {
        true => tokio::task::spawn_blocking(Dependencies::shared).await?,
        false => Dependencies::Sqlite,
    };
    let plan = NodePlan {
        server: options.server.clone(),
        folder: options.folder.clone(),
        sabotage: options.sabotage.clone(),
        hasty: options.hasty,
        // Every look at the clock reads a file then: not where no clock jumps.
        faketime: clocks.filter(|_| jumps),
    };
    let secret = format!("{:064x}", Random::new(seed, "secret").next());
    let mut nodes = Vec::new();
    for index in 0..options.nodes {
        let node = Node::prepare(index, &plan, &dependencies, &secret).await?;
        // One after the other: the first one makes the tables.
        node.start().await?;
        nodes.push(Rc::new(node));
    }
    let looking = look_after(nodes.clone());
    let mut base = Vec::new();
    for node in &nodes {
        base.push(node.gauges().await?);
    }

    let book = Book::default();
    let town = found_town(options, &book, &nodes).await?;
    let nemesis =
        Nemesis { nodes: nodes.clone(), dependencies: dependencies.clone(), town: town.clone() };
    let mut report = Report::default();
    let began = Instant::now();
    let mut devices = settle_people(options, &town);
    live(options, &schedule, &nemesis, &town, shared, &mut report).await?;

    // Mended; quiet.
    let logs = quiet(&town, &nodes, &dependencies, options.quiet, &mut report).await?;
    town.phase.set(Phase::Judged);
    book.phase(Phase::Judged);
    for (conversation, (source, log)) in logs {
        for (source, events) in source.into_iter().zip(log) {
            book.note(What::Final { conversation, source, events });
        }
    }
    note_states(&town).await?;
    town.phase.set(Phase::Gone);
    book.phase(Phase::Gone);
    while devices.join_next().await.is_some() {}
    note_gauges(&book, &nodes, &base).await?;

    looking.abort();
    for node in &nodes {
        node.look();
    }
    report.nodes = nodes.iter().map(|node| node.usage()).collect();
    report.seconds = began.elapsed().as_secs_f64();
    report.own_cpu_seconds = nodes::own_cpu_seconds();
    report.counts = book.counts();
    for node in &nodes {
        node.leave().await?;
    }
    let history = book.take();
    let began = Instant::now();
    let revocation = options.revocation.as_micros().try_into().unwrap_or(u64::MAX);
    let found = check(&history, Terms { revocation });
    report.check_seconds = began.elapsed().as_secs_f64();
    report.read(&history);
    Ok(Outcome { schedule, history, found, report })
}

fn look_after(nodes: Vec<Rc<Node>>) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_local(async move {
        loop {
            sleep(Duration::from_millis(500)).await;
            nodes.iter().for_each(|node| node.look());
        }
    })
}

/// Asks one node after the other until there is a good answer, or the one that there is no such
/// thing.
async fn insist(town: &[SocketAddr], request: Request<'_>) -> anyhow::Result<Reply> {
    insist_until(town, request, |status| status < 300 || status == 404).await
}

async fn insist_until(
    town: &[SocketAddr],
    request: Request<'_>,
    good: fn(u16) -> bool,
) -> anyhow::Result<Reply> {
    let deadline = Instant::now() + SETTLE_MAX;
    let mut last = String::new();
    while Instant::now() < deadline {
        for door in town {
            match http::ask(*door, request).await {
                Ok(reply) if good(reply.status) => return Ok(reply),
                Ok(reply) => last = format!("{} {}", reply.status, reply.body),
                Err(why) => last = why.to_string(),
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
    bail!("{} {}: {last}", request.method, request.path)
}

/// Accounts and conversations.
async fn found_town(
    options: &Options,
    book: &Book,
    nodes: &[Rc<Node>],
) -> anyhow::Result<Rc<Town>> {
    let doors: Vec<_> = nodes.iter().map(|node| node.door.address()).collect();
    let mut citizens = Vec::new();
    for user in 0..options.users + STRANGERS {
        let body = json!({"name": format!("user{user}"), "password": "correct horse battery"});
        let reply =
            insist_until(&doors, Request::post("/user/register", "", Some(&body)), |status| {
                status < 300
            })
            .await?
            .json();
        let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
        let (id, token) = (text("user_id"), text("token"));
        citizens.push(Citizen { user: book.user(&id), id, token, rooms: Vec::new() });
    }
    let people = options.users;
    // A direct conversation of each with the next, and groups of some.
    for one in 0..people {
        let other = (one + 1) % people;
        let body = json!({"kind": "direct", "user": citizens[other].id});
        let request = Request::post("/conversations", &citizens[one].token, Some(&body));
        let made = insist_until(&doors, request, |status| status < 300).await?.json();
        let room = book.conversation(made["id"].as_str().context("no conversation")?);
        for (user, peer) in [(one, other), (other, one)] {
            let peer = Some(citizens[peer].id.clone());
            citizens[user].rooms.push((room, peer));
        }
    }
    let mut dice = Random::new(options.seed, "town");
    for group in 0..options.groups {
        let size = dice.between(3, 6).min(people as u64) as usize;
        let first = dice.below(people as u64) as usize;
        let step = 1 + dice.below(2) as usize;
        let mut members: Vec<usize> = (0..size).map(|it| (first + it * step) % people).collect();
        members.sort_unstable();
        members.dedup();
        let ids: Vec<_> = members.iter().map(|it| citizens[*it].id.clone()).collect();
        let title = format!("group {group}");
        let body = json!({"kind": "group", "title": title, "members": ids});
        let token = citizens[members[0]].token.clone();
        let mut request = Request::post("/conversations", &token, Some(&body));
        request.key = Some(&title);
        let made = insist_until(&doors, request, |status| status < 300).await?.json();
        let room = book.conversation(made["id"].as_str().context("no conversation")?);
        for member in members {
            citizens[member].rooms.push((room, None));
        }
    }
    let devices = (options.users * (options.devices + TYPED)).max(1) as u64;
    // Of a thousand actions 560 are a message, and 40 are four or five.
    let pause = 1_000_000 * devices * 740 / 1000 / options.rate.max(1);
    Ok(Rc::new(Town {
        book: book.clone(),
        phase: std::cell::Cell::new(Phase::Calm),
        doors,
        citizens,
        people,
        loud: std::cell::Cell::new(false),
        pause: pause.max(1_000),
        waiting_max: 12,
        standings: Default::default(),
    }))
}

/// Everybody takes out their devices.
fn settle_people(options: &Options, town: &Rc<Town>) -> JoinSet<()> {
    let mut devices = JoinSet::new();
    for (index, citizen) in town.citizens.iter().enumerate() {
        let stranger = index >= options.users;
        for device in 0..if stranger { 1 } else { options.devices } {
            let name = format!("u{index}d{device}");
            let device = Device::new(town.clone(), citizen.clone(), &name, options.seed, stranger);
            devices.spawn_local(device.live());
        }
        for device in 0..if stranger { 0 } else { TYPED } {
            let name = format!("u{index}t{device}");
            let device = typed::Device::new(town.clone(), citizen.clone(), &name, options.seed);
            devices.spawn_local(device.live());
        }
    }
    devices
}

/// Until nothing is asked any more and everything is mended.
async fn live(
    options: &Options,
    schedule: &Schedule,
    nemesis: &Nemesis,
    town: &Rc<Town>,
    shared: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let book = &town.book;
    book.phase(Phase::Calm);
    if wait(SETTLE_MAX, || town.is_connected()).await.is_none() {
        let who = town.behind(&BTreeMap::new()).unwrap_or_default();
        bail!("not everybody can connect: {who}");
    }
    sleep(CALM).await;
    town.phase.set(Phase::Chaos);
    book.phase(Phase::Chaos);
    report.faults = nemesis.go(schedule, Instant::now() + options.chaos).await?;
    let lose = shared && !options.peaceful;
    if lose {
        nemesis.refuse_publishing(true, report.faults).await?;
        sleep(LOST_WINDOW).await;
    }
    town.phase.set(Phase::Settle);
    book.phase(Phase::Settle);
    let began = Instant::now();
    let settled = wait(SETTLE_MAX, || town.is_answered()).await;
    if lose {
        nemesis.refuse_publishing(false, report.faults).await?;
        report.faults += 1;
    }
    if settled.is_none() {
        // The judge says what has no answer.
        eprintln!("torture: not everything was answered in {SETTLE_MAX:?}");
    }
    if wait(options.quiet, || !town.is_haunted()).await.is_none() {
        eprintln!("torture: somebody goes on by a log-in that ended {:?} ago", options.quiet);
    }
    if wait(SETTLE_MAX, || town.is_connected()).await.is_none() {
        eprintln!("torture: not everybody is connected after {SETTLE_MAX:?}");
    }
    report.settle_seconds = began.elapsed().as_secs_f64();
    Ok(())
}

/// Waits for a condition; how long that took, unless it took too long.
async fn wait(at_most: Duration, mut done: impl FnMut() -> bool) -> Option<Duration> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > at_most {
            return None;
        }
        sleep(Duration::from_millis(50)).await;
    }
    Some(began.elapsed())
}

type Read = BTreeMap<Conversation, (Vec<Source>, Vec<Vec<LogEvent>>)>;

/// Waits until everybody has everything, and reads the logs meanwhile.
async fn quiet(
    town: &Rc<Town>,
    nodes: &[Rc<Node>],
    dependencies: &Dependencies,
    at_most: Duration,
    report: &mut Report,
) -> anyhow::Result<Read> {
    let book = &town.book;
    town.phase.set(Phase::Quiet);
    book.phase(Phase::Quiet);
    let began = Instant::now();
    let mut logs: Read = BTreeMap::new();
    let stored = dependencies.logs(&nodes[0].data(), book).await?;
    let last = stored.values().filter_map(|log| log.last()).map(|event| event.content).collect();
    let asked = book.asked(&last);
    let endings: BTreeMap<_, _> =
        stored.iter().map(|(room, log)| (*room, Ending::of(book, *room, log, &asked))).collect();
    for (conversation, events) in stored {
        logs.insert(conversation, (vec![Source::Database], vec![events]));
    }
    for room in 0..book.conversations() {
        // Who reads has to be a member: whoever it may be.
        for citizen in &town.citizens {
            if let Some(events) = read_log(town, &citizen.token, room).await? {
                let (sources, read) = logs.entry(room).or_default();
                sources.push(Source::Member);
                read.push(events);
                break;
            }
        }
    }
    if wait(at_most, || town.behind(&endings).is_none()).await.is_none() {
        let behind = town.behind(&endings).unwrap_or_default();
        eprintln!("torture: not everybody has everything after {at_most:?}: {behind}");
    }
    report.converged_seconds = began.elapsed().as_secs_f64();
    Ok(logs)
}

/// The whole log, page by page from its end; `None` if this is no member.
async fn read_log(
    town: &Town,
    token: &str,
    room: Conversation,
) -> anyhow::Result<Option<Vec<LogEvent>>> {
    let path = format!("/conversations/{}/events", town.book.id(room));
    let mut query = "?limit=100".to_owned();
    let mut pages = Vec::new();
    loop {
        let path = format!("{path}{query}");
        let reply = insist(&town.doors, Request::get(&path, token)).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        let Value::Array(events) = reply.json() else { bail!("not a page: {}", reply.body) };
        let events = events.iter().map(|event| log_event(&town.book, event));
        pages.push(events.collect::<Option<Vec<_>>>().context("not an event")?);
        match reply.link("prev") {
            Some(prev) => query = prev,
            None => return Ok(Some(pages.into_iter().rev().flatten().collect())),
        }
    }
}

/// What the conversations are, as a member is told.
async fn note_states(town: &Town) -> anyhow::Result<()> {
    for conversation in 0..town.book.conversations() {
        let id = town.book.id(conversation);
        for citizen in &town.citizens {
            let path = format!("/conversations/{id}");
            let reply = insist(&town.doors, Request::get(&path, &citizen.token)).await?;
            if reply.status == 404 {
                continue;
            }
            let title = reply.json()["title"].as_str().map(ToOwned::to_owned);
            let path = format!("/conversations/{id}/members?limit=100");
            let reply = insist(&town.doors, Request::get(&path, &citizen.token)).await?.json();
            let members = reply.as_array().map_or(&[][..], Vec::as_slice).iter().map(|member| {
                let user = town.book.user(member["user"].as_str().unwrap_or_default());
                (user, member["role"] == "owner")
            });
            let members = members.collect();
            town.book.note(What::State { conversation, title, members });
            break;
        }
    }
    Ok(())
}

/// What the nodes still hold when everybody has gone.
async fn note_gauges(
    book: &Book,
    nodes: &[Rc<Node>],
    base: &[Vec<(String, i64)>],
) -> anyhow::Result<()> {
    let deadline = Instant::now() + GONE_MAX;
    for (number, (node, base)) in (0..).zip(nodes.iter().zip(base)) {
        let before =
            |name: &str| base.iter().find(|(it, _)| it == name).map_or(0, |(_, base)| *base);
        loop {
            let gauges = node.gauges().await?;
            let down = gauges.iter().all(|(name, now)| *now <= before(name));
            if down || Instant::now() > deadline {
                for (name, now) in gauges {
                    let base = before(&name);
                    book.note(What::Gauge { node: number, name, base, now });
                }
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        let (name, now) = ("panics".to_owned(), node.panics());
        book.note(What::Gauge { node: number, name, base: 0, now });
    }
    Ok(())
}
