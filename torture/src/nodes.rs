//! The processes of chat-server: each on one port and one folder for all of its lives, behind a door
//! of its own, and behind doors of its own to what it stands on.

use std::{
    cell::{Cell, RefCell},
    fs::{self, OpenOptions},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, bail};
use testbed::Watchdog;
use tokio::time::{Instant, sleep};

use crate::{
    dependencies::Dependencies,
    http::{self, Request},
    proxy::Proxy,
};

/// How nodes are started.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// The binary.
    pub server: PathBuf,
    /// Where logs lie.
    pub folder: PathBuf,
    /// A defect for a server that was built for that.
    pub sabotage: Option<String>,
    /// Whether what nodes look after once in a while is looked after every other second, so that a
    /// short run sees what comes of it.
    pub hasty: bool,
    /// The library that makes a process believe in another time, if clocks are to jump.
    pub faketime: Option<PathBuf>,
}

/// What the lives of a node have used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Seconds on a processor.
    pub cpu_seconds: f64,
    /// The most memory at a time, in bytes.
    pub rss_bytes: u64,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    plan: NodePlan,
    environment: Vec<(String, String)>,
    address: SocketAddr,
    metrics: SocketAddr,
    folder: PathBuf,
    log: PathBuf,
    child: RefCell<Option<Child>>,
    /// Of earlier lives, and of this one so far.
    spent: Cell<f64>,
    usage: Cell<Usage>,
    /// Where devices connect.
    pub door: Proxy,
    /// Between the node and its database.
    pub store: Option<Proxy>,
    /// Between the node and its bus.
    pub bus: Option<Proxy>,
    _watchdog: Watchdog,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Time for a node to come up or to go. No promise, only an end.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the kernel counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

impl Node {
    /// Prepares one. Must be called within a `LocalSet`.
    ///
    /// # Errors
    /// There is no port or no folder.
    pub async fn prepare(
        index: usize,
        plan: &NodePlan,
        dependencies: &Dependencies,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let (address, metrics) = (free_address(), free_address());
        let folder = plan.folder.join(format!("node-{index}"));
        fs::create_dir_all(&folder)?;
        let mut environment = vec![
            ("CHAT_SERVER__LISTEN", address.to_string()),
            ("CHAT_SERVER__METRICS__LISTEN", metrics.to_string()),
            ("CHAT_SERVER__DATA_DIR", folder.join("data").display().to_string()),
            ("CHAT_SERVER__AUTH__SECRET", secret.to_owned()),
            ("CHAT_SERVER__LIMITS__SENDS_PER_SECOND", "100000".to_owned()),
            ("CHAT_SERVER__LIMITS__SENDS_BURST", "100000".to_owned()),
            // Short, so that what is silent shows within a run.
            ("CHAT_SERVER__LIMITS__HEARTBEAT", "2s".to_owned()),
            ("CHAT_SERVER__DRAIN__CLIENTS", "1s".to_owned()),
            ("CHAT_SERVER__DRAIN__LIMIT", "10s".to_owned()),
            ("CHAT_SERVER__LOG__FORMAT", "json".to_owned()),
        ];
        if plan.hasty {
            environment.extend(
                [
                    "CHAT_SERVER__LIMITS__POSITION_CHECK",
                    "CHAT_SERVER__LIMITS__MEMBERSHIP_CHECK",
                    "CHAT_SERVER__LIMITS__CREDENTIAL_CHECK",
                ]
                .map(|name| (name, "2s".to_owned())),
            );
        }
        let (mut store, mut bus) = (None, None);
        if let Dependencies::Shared { postgres, database, redis } = dependencies {
            let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
            let to_postgres = Proxy::open(local(postgres.port())).await?;
            let to_redis = Proxy::open(local(redis.port())).await?;
            let url = format!("postgres://postgres@{}/{database}", to_postgres.address());
            environment.push(("CHAT_SERVER__STORE", url));
            environment.push(("CHAT_SERVER__BUS", format!("redis://{}", to_redis.address())));
            (store, bus) = (Some(to_postgres), Some(to_redis));
        }
        let clock = folder.join("clock");
        if let Some(library) = &plan.faketime {
            fs::write(&clock, "+0\n")?;
            environment.extend([
                ("LD_PRELOAD", library.display().to_string()),
                ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
                ("FAKETIME_NO_CACHE", "1".to_owned()),
                ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ]);
        }
        if let Some(defect) = &plan.sabotage {
            environment.push(("CHAT_SABOTAGE", defect.clone()));
        }
        Ok(Self {
            plan: plan.clone(),
            environment: environment.into_iter().map(|(name, it)| (name.to_owned(), it)).collect(),
            address,
            metrics,
            log: plan.folder.join(format!("node-{index}.log")),
            child: RefCell::default(),
            spent: Cell::new(0.0),
            usage: Cell::default(),
            door: Proxy::open(address).await?,
            store,
            bus,
            _watchdog: Watchdog::new(&folder.join("pid"), &folder),
            folder,
        })
    }

    /// Where its files lie.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the process and waits until it is ready. If it ends by itself, because what it
    /// stands on is away, it is started again.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        self.spawn()?;
        while !self.is_ready().await {
            if Instant::now() > deadline {
                bail!("a node does not come up:\n{}", self.last_words());
            }
            if self.has_ended()? {
                sleep(Duration::from_millis(200)).await;
                self.spawn()?;
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<()> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log)?;
        let mut command = Command::new(&self.plan.server);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHAT_") {
                command.env_remove(name);
            }
        }
        let child = command
            .current_dir(&self.folder)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.plan.server.display()))?;
        fs::write(self.folder.join("pid"), child.id().to_string())?;
        *self.child.borrow_mut() = Some(child);
        Ok(())
    }

    /// Whether it wants work.
    pub async fn is_ready(&self) -> bool {
        let reply = http::ask(self.address, Request::get("/readyz", "")).await;
        reply.is_ok_and(|reply| reply.status == 200)
    }

    /// The gauges that are zero when nobody is there: connections, what waits, what is in use.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn gauges(&self) -> anyhow::Result<Vec<(String, i64)>> {
        let reply = http::ask(self.metrics, Request::get("/metrics", "")).await?;
        let mut gauges = Vec::new();
        let mut names = Vec::new();
        for line in reply.body.lines() {
            if let Some(name) =
                line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" gauge"))
            {
                names.push(name);
            }
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split('{').next().unwrap_or_default();
            let words = ["connections", "online", "waiting", "in_use", "queue", "pending"];
            // Names of the process itself begin otherwise.
            if name.starts_with("chat_")
                && names.contains(&name)
                && words.iter().any(|word| name.contains(word))
                && let Ok(value) = value.parse::<f64>()
            {
                gauges.push((series.to_owned(), value as i64));
            }
        }
        Ok(gauges)
    }

    /// How often something panicked in any of its lives.
    #[must_use]
    pub fn panics(&self) -> i64 {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        i64::try_from(log.matches("panicked at").count()).unwrap_or(i64::MAX)
    }

    /// The end of what it logged.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn pid(&self) -> Option<u32> {
        self.child.borrow().as_ref().map(Child::id)
    }

    fn has_ended(&self) -> anyhow::Result<bool> {
        match &mut *self.child.borrow_mut() {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Looks at what it uses.
    pub fn look(&self) {
        let Some((cpu, rss)) = self.pid().and_then(used) else { return };
        let usage = self.usage.get();
        self.usage.set(Usage {
            cpu_seconds: self.spent.get() + cpu,
            rss_bytes: usage.rss_bytes.max(rss),
        });
    }

    /// What it has used so far.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage.get()
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.look();
        if let Some(mut child) = self.child.borrow_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.spent.set(self.usage.get().cpu_seconds);
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.pid().into_iter().for_each(testbed::pause);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.pid().into_iter().for_each(testbed::resume);
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// It does not end, or not in good order.
    pub async fn leave(&self) -> anyhow::Result<()> {
        self.look();
        self.pid().into_iter().for_each(testbed::terminate);
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended()? {
            if Instant::now() > deadline {
                bail!("a node does not leave:\n{}", self.last_words());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let status = self.child.borrow_mut().take().map(|mut child| child.wait()).transpose()?;
        self.spent.set(self.usage.get().cpu_seconds);
        if status.is_some_and(|status| !status.success()) {
            bail!("a node that should leave ended with {status:?}:\n{}", self.last_words());
        }
        Ok(())
    }

    /// Moves the clock that the process believes in.
    ///
    /// # Errors
    /// The file that holds it cannot be written.
    pub fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        // Replaced at once: half a line would be another time.
        let new = self.folder.join("clock.new");
        fs::write(&new, format!("{seconds:+}\n"))?;
        fs::rename(new, self.folder.join("clock"))?;
        Ok(())
    }
}

/// Seconds on a processor, and bytes of memory.
fn used(pid: u32) -> Option<(f64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; behind its last parenthesis it is numbers.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let rss = fields.get(21)?.parse::<u64>().ok()? * PAGE_BYTES;
    Some((ticks as f64 / TICKS_PER_SECOND, rss))
}

/// Processor time of this process, of which the devices are the most.
#[must_use]
pub fn own_cpu_seconds() -> f64 {
    used(std::process::id()).map_or(0.0, |(cpu, _)| cpu)
}

/// The library that fakes time, where the system has it.
#[must_use]
pub fn faketime() -> Option<PathBuf> {
    let named = std::env::var_os("TORTURE_FAKETIME").map(PathBuf::from);
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|it| it.path());
    let places = folders.chain([Path::new("/usr/lib").to_owned()]);
    named
        .into_iter()
        .chain(places.map(|folder| folder.join("faketime/libfaketimeMT.so.1")))
        .find(|file| file.is_file())
}

/// An address that nobody listens on, with a port below those that the system gives to clients: one
/// of them that asked in vain could otherwise hold the port when the node comes back.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = (std::process::id() % 10_000) as u16;
    loop {
        let next = NEXT.fetch_add(7, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + own.wrapping_add(next) % 10_000));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
