//! What scenarios are told, apart by which of them honour it, and the servers and people that follow
//! from it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Args;

use super::Contestant;
use crate::{
    crowd::{Crowd, Guest},
    floor::{PostgresTable, SqliteTable, Table},
    machine::Cores,
    report::Combined,
    subject::{self, Beside, Counts, Foreign, Nodes, Own, Peer, Role, Store, Subject},
};

/// The bare server where a message is written to a log as well: the one half of what it takes.
pub(super) const SOCKETS: &str = "floor, sockets";

/// What all scenarios are told.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Connections on the way in at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) handshakes: u16,
    /// Writes the report there as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// A server that runs already, by its URL; several for the nodes of one chat. Without it,
    /// chat-load starts one of its own
    #[arg(long, value_name = "URL", requires = "people")]
    url: Vec<String>,
    /// Who has accounts there: a user id and a token a line, as `chat-load people` writes them
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) people: Option<PathBuf>,
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

/// What those are told that put servers side by side.
#[derive(Debug, Args)]
pub(crate) struct Compared {
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) runs: u32,
    /// Leaves out the floors, which are what the others are measured by
    #[arg(long)]
    pub(super) no_floors: bool,
    /// Servers of others to measure as well; several with commas. What `benches/peers/start` starts
    /// is installed and built by it the first time
    #[arg(long, value_name = "PEER", value_enum, value_delimiter = ',')]
    pub(super) beside: Vec<Peer>,
    /// The program that `--beside centrifugo` starts, version 6
    #[arg(long, value_name = "FILE", requires = "beside")]
    centrifugo: Option<PathBuf>,
    /// The folder of what `--beside tinode` starts, version 0.25: the programs `tinode` and
    /// `tinode-db`, both with Tinode's adapter for PostgreSQL
    #[arg(long, value_name = "FOLDER", requires = "beside")]
    tinode: Option<PathBuf>,
}

/// What those are told whose work is counted in a window of time.
#[derive(Debug, Args)]
pub(crate) struct Timing {
    /// Length of each measured window
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) seconds: u64,
    /// Length of the warm-up before each
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(super) warm_up: u64,
}

/// What a scenario wants of a server that is started for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes<'a> {
    /// Unless the user names one.
    pub(super) store: Store,
    pub(super) nodes: Nodes,
    pub(super) counts: Counts,
    pub(super) settings: &'a [(&'a str, &'a str)],
}

impl Wishes<'_> {
    /// What most of them want.
    pub(super) const PLAIN: Self =
        Self { store: Store::Sqlite, nodes: Nodes::One, counts: Counts::No, settings: &[] };
}

impl Common {
    /// The server that is measured, with so many people and these groups among them.
    pub(super) fn subject(
        &self,
        cores: Cores,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Subject> {
        self.subject_like(&Wishes::PLAIN, cores, people, groups)
    }

    /// The same as a scenario wants it; a server that runs already is as it is.
    pub(super) fn subject_like(
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

    /// The first so many people of it, to its nodes in turn.
    pub(super) fn guests<'a>(
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
    pub(super) fn gather(&self, subject: &Subject, people: usize) -> anyhow::Result<Crowd> {
        self.admit(subject, &self.guests(subject, people).collect::<Vec<_>>())
    }

    /// These, connected.
    pub(super) fn admit(&self, subject: &Subject, guests: &[Guest<'_>]) -> anyhow::Result<Crowd> {
        Crowd::gather(&*subject.dialect, guests, usize::from(self.handshakes))
    }
}

impl Compared {
    /// The server that is measured and those of others beside it, with so many people in each and
    /// these groups among them.
    pub(super) fn subjects(
        &self,
        common: &Common,
        cores: Cores,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Vec<Subject>> {
        let mut subjects = vec![common.subject(cores, people, groups)?];
        subjects.extend(self.peers(cores, Nodes::One, people, groups)?);
        Ok(subjects)
    }

    /// The servers of others that are to be measured, with as many people and the same groups.
    pub(super) fn peers(
        &self,
        cores: Cores,
        nodes: Nodes,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Vec<Subject>> {
        self.beside.iter().map(|peer| self.peer(*peer, cores, nodes, people, groups)).collect()
    }

    pub(super) fn peer(
        &self,
        peer: Peer,
        cores: Cores,
        nodes: Nodes,
        people: usize,
        groups: &[Vec<usize>],
    ) -> anyhow::Result<Subject> {
        let (centrifugo, tinode) = (self.centrifugo.as_deref(), self.tinode.as_deref());
        subject::peer(&Beside { peer, centrifugo, tinode, nodes, people, groups }, cores)
    }

    /// The inserts that this server's log cannot do without, if it is known where it lies, and what
    /// they make together with [`SOCKETS`].
    pub(super) fn inserts(
        &self,
        common: &Common,
        timing: &Timing,
        cores: Cores,
    ) -> anyhow::Result<Option<(Contestant<'static>, Combined)>> {
        if self.no_floors || common.people.is_some() {
            return Ok(None);
        }
        let span = Duration::from_secs(timing.seconds);
        let mut table: Box<dyn Table> = match common.store.unwrap_or(Wishes::PLAIN.store) {
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
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=1_000_000.0).contains(&rate) => Ok(rate),
        Ok(_) | Err(_) => Err("a number from 0.1 to 1,000,000 is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

    use crate::Cli;

    /// Of the options that several scenarios have, those of each.
    const HONOURED: &[(&[&str], &[&str])] = &[
        (
            &["fan-out", "across", "direct", "hot", "connect"],
            &[
                "--runs=1",
                "--seconds=1",
                "--warm-up=1",
                "--no-floors",
                "--beside=ws",
                "--centrifugo=x",
                "--tinode=x",
            ],
        ),
        (&["idle"], &["--runs=1", "--no-floors", "--beside=ws", "--centrifugo=x", "--tinode=x"]),
        (&["resume"], &["--runs=1", "--seconds=1"]),
        (&["mixed"], &[]),
    ];

    #[test]
    fn an_option_that_would_be_ignored_is_unknown() {
        Cli::command().debug_assert();
        let all = HONOURED[0].1;
        for (scenarios, honoured) in HONOURED {
            for (scenario, option) in
                scenarios.iter().flat_map(|it| all.iter().map(move |o| (it, o)))
            {
                let parsed = Cli::try_parse_from(["chat-load", scenario, option]);
                let unknown = parsed.is_err_and(|why| why.kind() == ErrorKind::UnknownArgument);
                assert_eq!(unknown, !honoured.contains(option), "{scenario} {option}");
            }
        }
    }

    #[test]
    fn an_option_that_says_nothing_without_another_is_refused_alone() {
        let refused = |arguments: &str| {
            let parsed = Cli::try_parse_from(arguments.split(' '));
            parsed.map(|_| ()).unwrap_err().kind()
        };
        for scenario in ["fan-out", "idle", "suite --out x"] {
            for programs in ["--centrifugo", "--tinode"] {
                let alone = refused(&format!("chat-load {scenario} {programs} x"));
                assert_eq!(alone, ErrorKind::MissingRequiredArgument, "{scenario} {programs}");
            }
        }
        let running = "--url http://127.0.0.1 --people x";
        for own in ["--server x", "--store sqlite", "--admissions 9"] {
            let both = refused(&format!("chat-load resume {running} {own}"));
            assert_eq!(both, ErrorKind::ArgumentConflict, "{own}");
        }
    }
}
