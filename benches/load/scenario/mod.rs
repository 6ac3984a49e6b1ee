//! What is played against servers, one file each, and what all of them share: what is measured, how
//! often and for how long, and the window in which it counts.

mod exchange;
mod fan_out;
mod across;
mod direct;
mod hot;
mod idle;
mod connect;
mod ledger;
mod resume;
mod mixed;
mod suite;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;

pub(crate) use self::{
    across::Across, connect::Connect, direct::Direct, fan_out::FanOut, hot::Hot, idle::Idle,
    mixed::Mixed, resume::Resume, suite::Suite,
};
use crate::{
    crowd::{Crowd, Guest, Play, Voice},
    floor::{PostgresTable, SqliteTable, Table},
    machine::{Cores, own_cpu},
    report::{Combined, Latency, Row, Run},
    subject::{self, Beside, Counts, Foreign, Nodes, Own, Peer, Role, Store, Subject},
};

/// The bare server where a message is written to a log as well: the one half of what it takes.
const SOCKETS: &str = "floor, sockets";

/// What all scenarios are told.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Measured windows of each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Length of each window
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Length of the warm-up before each
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    warm_up: u64,
    /// Connections on the way in at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    handshakes: u16,
    /// Writes everything there, with each single run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leaves out the bare servers
    #[arg(long)]
    no_floors: bool,
    /// Servers of others to measure as well; several with commas. What `benches/peers/start` starts
    /// is installed and built by it the first time
    #[arg(long, value_name = "PEER", value_enum, value_delimiter = ',')]
    beside: Vec<Peer>,
    /// The program that `--beside centrifugo` starts, version 6
    #[arg(long, value_name = "FILE")]
    centrifugo: Option<PathBuf>,
    /// A server that runs already, by its URL; several for the nodes of one chat. Without it,
    /// chat-load starts one of its own
    #[arg(long, value_name = "URL", requires = "people")]
    url: Vec<String>,
    /// Who has accounts there: a user id and a token a line, as `chat-load people` writes them
    #[arg(long, value_name = "FILE", requires = "url")]
    people: Option<PathBuf>,
    /// Processes of that server, if it runs here: their CPU is counted
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Vec<u32>,
    /// The chat-server to start; by default the one beside this program
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    server: Option<PathBuf>,
    /// Where it keeps its log; SQLite, unless the workload is about PostgreSQL
    #[arg(long, value_enum, conflicts_with = "url")]
    store: Option<Store>,
}

/// What a scenario wants of a server that is started for it.
#[derive(Debug, Clone, Copy)]
struct Wishes<'a> {
    /// Unless the user names one.
    store: Store,
    nodes: Nodes,
    counts: Counts,
    settings: &'a [(&'a str, &'a str)],
}

impl Wishes<'_> {
    /// What most of them want.
    const PLAIN: Self =
        Self { store: Store::Sqlite, nodes: Nodes::One, counts: Counts::No, settings: &[] };
}

impl Common {
    /// The server that is measured and those of others beside it, with so many people in each and
    /// these groups among them.
    fn subjects(
        &self,
        cores: Cores,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Vec<Subject>> {
        let mut subjects = vec![self.subject(cores, people, groups)?];
        subjects.extend(self.peers(cores, Nodes::One, people, groups)?);
        Ok(subjects)
    }

    /// The server that is measured alone.
    fn subject(
        &self,
        cores: Cores,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Subject> {
        self.subject_like(&Wishes::PLAIN, cores, people, groups)
    }

    /// The same as a scenario wants it; a server that runs already is as it is.
    fn subject_like(
        &self,
        wishes: &Wishes<'_>,
        cores: Cores,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Subject> {
        if let Some(file) = &self.people {
            return subject::foreign(&Foreign {
                urls: &self.url,
                people: file,
                count: people,
                groups,
                pids: &self.pid,
            });
        }
        let server = match &self.server {
            Some(server) => server.clone(),
            None => std::env::current_exe()
                .context("where this program is")?
                .with_file_name("chat-server"),
        };
        if !server.is_file() {
            bail!("{} is not there; build it, or name it with --server", server.display());
        }
        let Wishes { nodes, counts, settings, .. } = *wishes;
        let store = self.store.unwrap_or(wishes.store);
        let name = match (store, nodes) {
            (Store::Sqlite, _) => "chat-server, SQLite",
            (Store::Postgres, Nodes::One) => "chat-server, PostgreSQL",
            (Store::Postgres, Nodes::Two) => "two chat-servers, Redis",
        };
        // What runs in its folder cannot be found by a path from here.
        let server = server.canonicalize().context("where the server is")?;
        subject::own(&Own { name, server, store, nodes, settings, counts, people, groups }, cores)
    }

    /// For what only a server of ours does.
    fn without_peers(&self) -> anyhow::Result<()> {
        if !self.beside.is_empty() {
            bail!("no other server does what this is about: leave out --beside");
        }
        Ok(())
    }

    /// The servers of others that are to be measured, with as many people and the same groups.
    fn peers(
        &self,
        cores: Cores,
        nodes: Nodes,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Vec<Subject>> {
        self.beside.iter().map(|peer| self.peer(*peer, cores, nodes, people, groups)).collect()
    }

    fn peer(
        &self,
        peer: Peer,
        cores: Cores,
        nodes: Nodes,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Subject> {
        let centrifugo = self.centrifugo.as_deref();
        subject::peer(&Beside { peer, centrifugo, nodes, people, groups }, cores)
    }

    /// The first so many people of it, to its nodes in turn.
    fn guests<'a>(
        &self,
        subject: &'a Subject,
        people: usize,
    ) -> impl Iterator<Item = Guest<'a>> + use<'a> {
        let addresses = subject.addresses.iter().cycle();
        subject.people[..people].iter().zip(addresses).enumerate().map(
            |(who, (person, address))| {
                let follows = subject.follows.get(who).map_or(&[][..], Vec::as_slice);
                Guest { person, address: *address, follows }
            },
        )
    }

    /// The same, connected.
    fn gather(&self, subject: &Subject, people: usize) -> anyhow::Result<Crowd> {
        self.admit(subject, &self.guests(subject, people).collect::<Vec<_>>())
    }

    /// These, connected.
    fn admit(&self, subject: &Subject, guests: &[Guest<'_>]) -> anyhow::Result<Crowd> {
        Crowd::gather(&*subject.dialect, guests, usize::from(self.handshakes))
    }

    /// The inserts that this server's log cannot do without, if it is known where it lies, and what
    /// they make together with [`SOCKETS`].
    fn inserts(&self, cores: Cores) -> anyhow::Result<Option<(Contestant<'static>, Combined)>> {
        if self.no_floors || self.people.is_some() {
            return Ok(None);
        }
        let span = Duration::from_secs(self.seconds);
        let mut table: Box<dyn Table> = match self.store.unwrap_or(Wishes::PLAIN.store) {
            Store::Sqlite => Box::new(SqliteTable::new(cores)?),
            Store::Postgres => Box::new(PostgresTable::new(cores)?),
        };
        let inserts = Contestant {
            name: "floor, inserts".to_owned(),
            role: Role::Floor,
            same_work: false,
            run: Box::new(move || table.fill(span)),
        };
        let of = vec![SOCKETS.to_owned(), inserts.name.clone()];
        Ok(Some((inserts, Combined { name: "floor, both".to_owned(), of })))
    }
}

/// Messages a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=1_000_000.0).contains(&rate) => Ok(rate),
        Ok(_) | Err(_) => Err("a number from 0.1 to 1,000,000 is expected".to_owned()),
    }
}

/// One of those that are compared.
struct Contestant<'a> {
    name: String,
    role: Role,
    /// Whether it does what the others do, or only a part of it.
    same_work: bool,
    run: Box<dyn FnMut() -> anyhow::Result<Run> + 'a>,
}

/// These, each of whom does all that is to be done.
fn contestants<'a>(
    subjects: &'a [Subject],
    once: impl Fn(&Subject) -> anyhow::Result<Run> + Copy + 'a,
) -> Vec<Contestant<'a>> {
    let each = subjects.iter().map(|subject| Contestant {
        name: subject.name.clone(),
        role: subject.role,
        same_work: true,
        run: Box::new(move || once(subject)),
    });
    each.collect()
}

/// Has everybody run in turn, as often as is asked for: what the machine does meanwhile hits all.
fn side_by_side(runs: u32, mut contestants: Vec<Contestant<'_>>) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = contestants
        .iter()
        .map(|it| Row {
            name: it.name.clone(),
            role: it.role,
            same_work: it.same_work,
            runs: Vec::new(),
        })
        .collect();
    for run in 1..=runs {
        for (contestant, row) in contestants.iter_mut().zip(&mut rows) {
            eprintln!("run {run} of {runs}: {}", contestant.name);
            let measured = (contestant.run)();
            row.runs.push(measured.with_context(|| format!("run {run} of {}", contestant.name))?);
        }
    }
    Ok(rows)
}

/// A play that can be measured.
trait Measured: Play {
    /// When this sends next by itself; `None`: it only answers.
    fn due(&self) -> Option<Instant>;

    /// Sends what is due.
    fn send_due(&mut self, voice: &mut dyn Voice, now: Instant);

    /// From now on it counts.
    fn begin_window(&mut self);

    /// What was done since, and how long each took.
    fn end_window(&mut self) -> (u64, Latency);

    /// Nothing new is sent any more.
    fn finish(&mut self);

    /// Whether everything that was sent has arrived.
    fn is_complete(&self) -> bool;

    /// What must not have happened, if it has.
    fn fault(&self) -> Option<&str>;
}

/// Before a device that was told to come later does.
const PAUSE: Duration = Duration::from_millis(500);
/// For what is on its way when a run ends.
const LAST_ARRIVALS: Duration = Duration::from_secs(20);

/// Warms up, measures a window, and waits until everything has arrived.
fn measure(
    common: &Common,
    subject: &Subject,
    crowd: &mut Crowd,
    play: &mut impl Measured,
) -> anyhow::Result<Run> {
    play_until(crowd, play, Instant::now() + Duration::from_secs(common.warm_up))?;
    play.begin_window();
    let (began, calls) = (Instant::now(), crowd.calls());
    let (cpu, own) = (subject.cpu(), own_cpu());
    play_until(crowd, play, began + Duration::from_secs(common.seconds))?;
    let (work, latency) = play.end_window();
    let (wall, own) = (began.elapsed(), own_cpu() - own);
    let (cpu, calls) = (subject.cpu_since(&cpu), crowd.calls().since(calls));
    let own_cpu = own.saturating_sub(calls.idle);
    let run = Run { work, wall, cpu, own_cpu, latency, calls };
    play.finish();
    let deadline = Instant::now() + LAST_ARRIVALS;
    while !play.is_complete() && Instant::now() < deadline {
        crowd.turn(Instant::now() + Duration::from_millis(100), play)?;
        check(play)?;
    }
    if !play.is_complete() {
        bail!("something that was sent has not arrived within {LAST_ARRIVALS:?}");
    }
    if work == 0 {
        bail!("nothing at all happened in the window");
    }
    Ok(run)
}

fn play_until(crowd: &mut Crowd, play: &mut impl Measured, end: Instant) -> anyhow::Result<()> {
    while Instant::now() < end {
        play.send_due(&mut crowd.voice(), Instant::now());
        let until = play.due().map_or(end, |due| due.min(end));
        crowd.turn(until, play)?;
        check(play)?;
    }
    Ok(())
}

fn check(play: &impl Measured) -> anyhow::Result<()> {
    match play.fault() {
        Some(fault) => bail!("{fault}"),
        None => Ok(()),
    }
}
