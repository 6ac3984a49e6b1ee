//! One run: nodes, clients, a disk and a bus, all from one seed.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU16, NonZeroUsize},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    AuthError, Authenticator, Chat, ConversationId, CredentialId, Credentials, Epoch, Identity,
    Kind, Limits, MemoryStore, StartError, Store, Timestamp, Title, UserId,
    env::{Clock, Random},
    store::{Open, Page, Reader, Write},
};
use futures_util::FutureExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use turmoil::{Sim, net::TcpListener};

use super::{
    bus::{BusWeather, SimBus, Wires},
    checker::{self, Terms, Violation},
    client::{Device, Phase, Town},
    faults::{Fault, Plan},
    history::{Entry, Recorder, What, user_of},
    meter::Meter,
    rng::Rng,
    store::{FlakyStore, StoreWeather, Twist, in_our_words},
    workload::{Habits, STRANGER},
};

const USERS: [&str; 4] = ["ann", "bob", "cat", "dan"];
/// The first device of everybody is in the one network, the second in the other.
const NETS: [&str; 2] = ["desk", "road"];
const TICK: Duration = Duration::from_millis(10);
const LATENCY_MIN: Duration = Duration::from_millis(1);
/// When the phases begin, in milliseconds.
const SETTLE: u64 = 12_000;
const QUIET: u64 = 22_000;
const CLOSING: u64 = 24_500;
const END: u64 = 32_000;

/// What is left of a run.
pub struct Run {
    pub plan: Plan,
    pub history: Vec<Entry>,
}

impl Run {
    /// What is wrong with it.
    pub fn violations(&self) -> Vec<Violation> {
        // An event takes about 200 bytes, in a mailbox, or a segment of the simulated network.
        let room = self.plan.tcp_capacity + self.plan.mailbox / 200 + 20;
        let terms = Terms { revocation: 4_000, stale: 8_000, bus: 1_100, room: room as u64 };
        checker::check(&self.history, terms)
    }
}

// --- what a node is given ---

/// `token-ann.1-0` is ann, by the credential `ann.1-0`.
#[derive(Clone, Default)]
struct Tokens {
    revoked: Arc<Mutex<BTreeSet<String>>>,
}

impl Authenticator for Tokens {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let token = credentials.token.ok_or(AuthError::Missing)?;
        let name = token.strip_prefix("token-").ok_or(AuthError::Refused("not of ours"))?;
        if self.revoked.lock().unwrap().contains(name) {
            return Err(AuthError::Refused("revoked"));
        }
        let user = UserId::new(user_of(name)).map_err(|_| AuthError::Refused("nobody"))?;
        let credential = CredentialId::new(name).map_err(|_| AuthError::Refused("no name"))?;
        Ok(Identity::new(user).by(credential))
    }

    async fn still_valid(&self, identity: &Identity) -> bool {
        let revoked = self.revoked.lock().unwrap();
        identity.credential.as_ref().is_none_or(|it| !revoked.contains(it.as_str()))
    }
}

struct SimClock(Arc<AtomicI64>);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = turmoil::sim_elapsed().map_or(0, |now| now.as_millis() as i64);
        Timestamp::from_millis(1_767_225_600_000 + elapsed + self.0.load(Ordering::Relaxed))
    }
}

struct SimRandom(Mutex<Rng>);

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock().unwrap();
        bytes.fill_with(|| rng.next() as u8);
    }
}

/// What the outside wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve,
    /// Leave, and be ready to be started again.
    Leave,
    /// Leave, and say what is left over.
    End,
    Gone,
}

struct Seat {
    order: Cell<Order>,
    chat: RefCell<Option<Chat>>,
    clock: Arc<AtomicI64>,
    lives: Cell<u64>,
}

struct City {
    seed: u64,
    plan: Plan,
    recorder: Recorder,
    tokens: Tokens,
    store: FlakyStore,
    wires: Arc<Mutex<Wires>>,
    seats: Vec<Seat>,
}

impl City {
    fn limits(&self) -> Limits {
        Limits {
            heartbeat: Duration::from_secs(2),
            hello_timeout: Duration::from_secs(3),
            position_check: Duration::from_millis(self.plan.position_check),
            membership_check: Duration::from_secs(2),
            credential_check: Duration::from_secs(2),
            presence_grace: Duration::from_secs(1),
            store_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(3),
            text_bytes_max: 200,
            text_chars_max: 200,
            frame_bytes_max: 4_096,
            body_bytes_max: 4_096,
            mailbox_bytes_max: self.plan.mailbox,
            // There is room for none in the smallest mailboxes.
            files_per_message_max: 0,
            replay_max: self.plan.replay_max,
            replay_page: self.plan.replay_page,
            commands_in_flight_max: self.plan.in_flight,
            commit_writes_max: self.plan.commit_writes,
            frames_per_second: 1_000,
            sends_per_second: 60,
            sends_burst: 120,
            drain_window: Duration::from_millis(500),
            ..Limits::default()
        }
    }

    /// A node, from its start to its end.
    async fn node(self: Rc<Self>, node: usize) -> turmoil::Result {
        let seat = &self.seats[node];
        seat.order.set(Order::Serve);
        seat.lives.set(seat.lives.get() + 1);
        let name = format!("node {node} life {}", seat.lives.get());
        let random = Rng::new(self.seed, &name);
        let bus = SimBus::join(&self.wires, node);
        let chat = loop {
            let builder = Chat::builder(self.tokens.clone())
                .store(self.store.clone())
                .clock(SimClock(seat.clock.clone()))
                .random(SimRandom(Mutex::new(random.clone())))
                .limits(self.limits());
            let builder = if self.plan.nodes > 1 { builder.bus(bus.clone()) } else { builder };
            match builder.start().await {
                Ok(chat) => break chat,
                Err(StartError::Store(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                // A world without nodes would keep every promise.
                Err(why) => panic!("a node does not start: {why}"),
            }
        };
        *seat.chat.borrow_mut() = Some(chat.clone());
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let leaving = async {
            while seat.order.get() == Order::Serve {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if seat.order.get() == Order::End {
                let connections = chat.check().await.connections;
                let stuck = chat.shutdown(Duration::ZERO).await.stuck;
                self.recorder.note(What::Remains { node, connections, stuck });
            } else {
                chat.shutdown(Duration::from_secs(2)).await;
            }
        };
        let serving = async {
            loop {
                let (socket, _) = listener.accept().await?;
                let service = chat.service();
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .with_upgrades()
                        .await;
                });
            }
            #[expect(unreachable_code)]
            Ok::<(), std::io::Error>(())
        };
        tokio::select! {
            biased;
            () = leaving => {}
            failed = serving => failed?,
        }
        seat.chat.borrow_mut().take();
        seat.order.set(Order::Gone);
        std::future::pending::<()>().await;
        Ok(())
    }
}

/// Groups that are there from the beginning.
fn found(store: &FlakyStore, recorder: &Recorder) -> Vec<String> {
    let groups: [&[&str]; 3] =
        [&["ann", "bob", "cat"], &["bob", "cat", "dan", "ann"], &["dan", "ann"]];
    let opens: Vec<_> = groups
        .iter()
        .enumerate()
        .map(|(index, members)| {
            let members: Vec<_> = members.iter().map(|it| UserId::new(it).unwrap()).collect();
            Write::Open(Open {
                conversation: ConversationId::from_bytes([index as u8 + 1; 16]),
                kind: Kind::Group,
                title: Title::new(format!("group {index}")).ok(),
                by: members.first().cloned(),
                key: None,
                members,
                entrance: chat_sdk::Entrance::default(),
                at: Timestamp::from_millis(1_767_225_600_000),
            })
        })
        .collect();
    let written = store.disk.write(opens).now_or_never().expect("memory never waits").unwrap();
    let mut rooms = Vec::new();
    for written in written {
        let chat_sdk::store::Written::Event { event, .. } = written else { panic!("opened") };
        let room = event.conversation.to_string();
        rooms.push(room.clone());
        recorder.note(What::Committed { room, event: in_our_words(&event) });
    }
    rooms
}

/// The logs, as the disk has them at the end.
fn read_logs(store: &FlakyStore, rooms: impl Iterator<Item = String>, recorder: &Recorder) {
    for room in rooms {
        let id: ConversationId = room.parse().unwrap();
        let limit = NonZeroU16::MAX;
        let only = chat_sdk::store::Only::Everything;
        let page = store.disk.page(Reader::System, id, Page::Newest, only, limit);
        let events = page.now_or_never().expect("memory never waits").unwrap().unwrap_or_default();
        let events = events.events.iter().map(in_our_words).collect();
        recorder.note(What::Final { room, events });
    }
}

/// Runs the seed.
pub fn run(seed: u64, twist: Option<Twist>) -> Run {
    let mut devices: Vec<String> =
        USERS.iter().flat_map(|user| [format!("{user}.1"), format!("{user}.2")]).collect();
    devices.push(format!("{STRANGER}.1"));
    let plan = Plan::draw(seed, devices.len());
    let recorder = Recorder::default();
    let store = FlakyStore {
        disk: MemoryStore::with_epoch(Epoch::new("one").unwrap()),
        weather: Arc::new(Mutex::new(plan.store)),
        rng: Arc::new(Mutex::new(Rng::new(seed, "store"))),
        recorder: recorder.clone(),
        twist,
        lanes: NonZeroUsize::new(plan.lanes).unwrap(),
        twisted: Arc::default(),
    };
    let wires = Wires::new(plan.nodes, Rng::new(seed, "bus"));
    wires.lock().unwrap().weather = plan.bus;
    let users = USERS.iter().map(ToString::to_string).collect();
    let habits = Habits::draw(&mut Rng::new(seed, "habits"), plan.crowded);
    let town = Town::new(recorder.clone(), plan.nodes, users, habits);
    town.rooms.borrow_mut().extend(found(&store, &recorder));
    let seats = (0..plan.nodes)
        .map(|_| Seat {
            order: Cell::new(Order::Serve),
            chat: RefCell::default(),
            clock: Arc::default(),
            lives: Cell::new(0),
        })
        .collect();
    let city = Rc::new(City {
        seed,
        plan: plan.clone(),
        recorder: recorder.clone(),
        tokens: Tokens::default(),
        store,
        wires,
        seats,
    });

    let mut sim = turmoil::Builder::new()
        .tick_duration(TICK)
        .min_message_latency(LATENCY_MIN)
        .max_message_latency(Duration::from_millis(plan.latency))
        .tcp_capacity(plan.tcp_capacity)
        .simulation_duration(Duration::from_secs(600))
        .enable_random_order()
        .rng_seed(seed)
        .build();
    for node in 0..plan.nodes {
        let city = city.clone();
        sim.host(format!("node-{node}"), move || city.clone().node(node));
    }
    for (index, net) in NETS.iter().enumerate() {
        let here = devices.iter().filter(|name| name.ends_with(&format!(".{}", index + 1)));
        let here: Vec<_> = here.map(|name| Device::new(name, town.clone(), seed).live()).collect();
        sim.client(*net, async move {
            futures_util::future::join_all(here).await;
            Ok(())
        });
    }
    let meter = Meter(recorder.clone());
    Driver { sim, city: city.clone(), town: town.clone(), devices, due: BTreeMap::new(), meter }
        .drive();

    let rooms: BTreeSet<_> = {
        let history = recorder.peek(|entry| match &entry.what {
            What::Committed { room, .. } => Some(room.clone()),
            _ => None,
        });
        history.into_iter().collect()
    };
    read_logs(&city.store, rooms.into_iter(), &recorder);
    Run { plan, history: recorder.take() }
}

/// What ends a fault.
#[derive(Debug, Clone, Copy)]
enum Relief {
    Start { node: usize },
    Repair { net: usize, node: usize },
    Release { net: usize, node: usize },
    Store,
    Bus { report: bool },
}

struct Driver<'a> {
    sim: Sim<'a>,
    city: Rc<City>,
    town: Rc<Town>,
    devices: Vec<String>,
    due: BTreeMap<(u64, usize), Relief>,
    meter: Meter,
}

impl Driver<'_> {
    fn drive(mut self) {
        let mut faults = self.city.plan.faults.clone().into_iter().peekable();
        let mut count = 0;
        loop {
            let now = self.sim.elapsed().as_millis() as u64;
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= now) {
                count += 1;
                self.begin(fault, now, count);
            }
            while let Some(entry) = self.due.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let relief = entry.remove();
                self.end(relief);
            }
            self.restart_the_gone(now, &mut count);
            match self.town.phase.get() {
                Phase::Chaos if now >= SETTLE => {
                    self.heal();
                    self.note(What::Healed);
                    self.town.phase.set(Phase::Settle);
                }
                Phase::Settle if now >= QUIET => {
                    self.note(What::Quiet);
                    self.town.phase.set(Phase::Quiet);
                }
                Phase::Quiet if now >= CLOSING => {
                    self.note(What::Closing);
                    self.town.phase.set(Phase::Closing);
                }
                Phase::Closing if now >= CLOSING + 3_000 => {
                    for seat in &self.city.seats {
                        if seat.order.get() == Order::Serve {
                            seat.order.set(Order::End);
                        }
                    }
                }
                _ => {}
            }
            let sim = &mut self.sim;
            metrics::with_local_recorder(&self.meter, || sim.step()).expect("no host fails");
            let all_gone = self.city.seats.iter().all(|seat| seat.order.get() == Order::Gone);
            if now >= END || (self.town.phase.get() == Phase::Closing && all_gone) {
                return;
            }
        }
    }

    fn note(&self, what: What) {
        self.city.recorder.note(what);
    }

    fn link(net: usize, node: usize) -> (&'static str, String) {
        (NETS[net], format!("node-{node}"))
    }

    fn stop(&mut self, node: usize) {
        self.city.seats[node].chat.borrow_mut().take();
        // A runtime drops its tasks in an order that depends on what ran before in this process, and
        // their sockets say goodbye in that order: all of it arrives at the same moment.
        self.sim.set_max_message_latency(LATENCY_MIN);
        self.sim.crash(format!("node-{node}"));
        self.sim.set_max_message_latency(Duration::from_millis(self.city.plan.latency));
        self.city.seats[node].order.set(Order::Serve);
    }

    /// Nodes that left in good order are started again.
    fn restart_the_gone(&mut self, now: u64, count: &mut usize) {
        if self.town.phase.get() == Phase::Closing {
            return;
        }
        for node in 0..self.city.plan.nodes {
            if self.city.seats[node].order.get() == Order::Gone {
                self.stop(node);
                *count += 1;
                self.due.insert((now + 200, *count), Relief::Start { node });
            }
        }
    }

    fn begin(&mut self, fault: Fault, now: u64, count: usize) {
        self.note(What::Fault(format!("{fault:?}")));
        let until = |millis: u64| ((now + millis).min(SETTLE - 10), count);
        match fault {
            Fault::Crash { node, down } => {
                if self.sim.is_host_running(format!("node-{node}")) {
                    self.stop(node);
                    self.due.insert(until(down), Relief::Start { node });
                }
            }
            Fault::Drain { node } => {
                let seat = &self.city.seats[node];
                if seat.chat.borrow().is_some() && seat.order.get() == Order::Serve {
                    seat.order.set(Order::Leave);
                }
            }
            Fault::Partition { net, node, millis } => {
                let (a, b) = Self::link(net, node);
                self.sim.partition(a, b);
                self.due.insert(until(millis), Relief::Repair { net, node });
            }
            Fault::OneWay { net, node, out, millis } => {
                let (a, b) = Self::link(net, node);
                if out {
                    self.sim.partition_oneway(b, a);
                } else {
                    self.sim.partition_oneway(a, b);
                }
                self.due.insert(until(millis), Relief::Repair { net, node });
            }
            Fault::Hold { net, node, millis } => {
                let (a, b) = Self::link(net, node);
                self.sim.hold(a, b);
                self.due.insert(until(millis), Relief::Release { net, node });
            }
            Fault::Store { weather, millis } => {
                *self.city.store.weather.lock().unwrap() = weather;
                self.due.insert(until(millis), Relief::Store);
            }
            Fault::Bus { weather, report, millis } => {
                self.city.wires.lock().unwrap().weather = weather;
                self.due.insert(until(millis), Relief::Bus { report });
            }
            Fault::Revoke { device } => self.revoke(&self.devices[device]),
            Fault::Clock { node, millis } => {
                self.city.seats[node].clock.fetch_add(millis, Ordering::Relaxed);
            }
        }
    }

    /// The newest credential of a device that is in use is revoked; one node is told.
    fn revoke(&self, device: &str) {
        let newest = self.city.recorder.peek(|entry| match &entry.what {
            What::Hello { device: it, credential, .. } if it == device => Some(credential.clone()),
            _ => None,
        });
        let Some(credential) = newest.last() else { return };
        self.city.tokens.revoked.lock().unwrap().insert(credential.clone());
        self.note(What::Revoked { credential: credential.clone() });
        let user = UserId::new(user_of(device)).unwrap();
        if let Some(chat) = &*self.city.seats[0].chat.borrow() {
            chat.disconnect(&user, CredentialId::new(credential).ok().as_ref());
        }
    }

    fn end(&mut self, relief: Relief) {
        match relief {
            Relief::Start { node } => self.sim.bounce(format!("node-{node}")),
            Relief::Repair { net, node } => {
                let (a, b) = Self::link(net, node);
                self.sim.release(a, b);
            }
            Relief::Release { net, node } => {
                let (a, b) = Self::link(net, node);
                self.sim.release(a, b);
            }
            Relief::Store => *self.city.store.weather.lock().unwrap() = self.city.plan.store,
            Relief::Bus { report } => {
                let mut wires = self.city.wires.lock().unwrap();
                wires.weather = self.city.plan.bus;
                if report {
                    wires.report();
                }
            }
        }
    }

    /// Everything works from now on.
    fn heal(&mut self) {
        for relief in std::mem::take(&mut self.due).into_values() {
            self.end(relief);
        }
        *self.city.store.weather.lock().unwrap() = StoreWeather::default();
        self.city.wires.lock().unwrap().weather = BusWeather::default();
    }
}
