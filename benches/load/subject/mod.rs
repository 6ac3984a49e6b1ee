//! What is measured: the processes that belong to it, where it listens, how it is spoken to, and who
//! may connect.

mod bare;
mod database;
mod foreign;
mod http;
mod own;
mod peer;
mod tinode;
mod vitals;

use std::{
    any::Any,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

pub(crate) use self::{
    bare::bare,
    database::{Counts, Database, Statements},
    foreign::{Foreign, foreign, register},
    own::{AUDIENCE, ISSUER, Own, SECRET, Store, life, own, waiting_for_disk},
    peer::{Beside, Nodes, Peer, peer},
    vitals::Vitals,
};
use crate::{
    dialect::{Dialect, Person},
    machine,
};

/// What it is in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A server of somebody.
    Measured,
    /// A bare one, or what else is a limit for the others in a scenario.
    Floor,
}

/// For a server to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the share of the database is called.
pub(crate) const POSTGRES: &str = "PostgreSQL";

/// Something that is measured. Ends what was started for it when it is dropped.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) dialect: Box<dyn Dialect>,
    /// Where it listens; several for several nodes.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) people: Vec<Person>,
    /// Ids of the groups that were asked for, in that order.
    pub(crate) groups: Vec<String>,
    /// Groups, and people where the dialect wants that, that each person has to say they want to
    /// hear; of nobody where the server knows.
    pub(crate) follows: Vec<Vec<String>>,
    /// Whose CPU and memory counts, with what the share of each is called. Empty when it runs
    /// elsewhere.
    pub(crate) processes: Vec<(String, u32)>,
    /// Where it tells of itself, if it does.
    pub(crate) metrics: Option<SocketAddr>,
    /// Its log, if that can be asked what it was asked.
    pub(crate) database: Option<Database>,
    /// What ends it when it is dropped, in this order.
    pub(crate) _keep: Vec<Box<dyn Any>>,
}

/// CPU seconds of a process by its name.
pub(crate) type Cpu = Vec<(String, f64)>;

impl Subject {
    /// Has each two people hear one another, person 2n and person 2n + 1, where they have to say so.
    pub(crate) fn follow_partners(&mut self) {
        if !self.dialect.follows_people() {
            return;
        }
        self.follows.resize(self.people.len(), Vec::new());
        for (pair, follows) in self.people.chunks_exact(2).zip(self.follows.chunks_exact_mut(2)) {
            follows[0].push(pair[1].user.clone());
            follows[1].push(pair[0].user.clone());
        }
    }

    /// CPU that it used so far.
    pub(crate) fn cpu(&self) -> Cpu {
        let each = self.processes.iter();
        each.map(|(name, pid)| (name.clone(), machine::cpu_seconds(*pid))).collect()
    }

    /// CPU that it used since `before`, which it answered then.
    pub(crate) fn cpu_since(&self, before: &Cpu) -> Cpu {
        let now = self.cpu().into_iter().zip(before);
        now.map(|((name, now), (_, before))| (name, now - before)).collect()
    }

    /// Its processes without the database, which has its memory for itself.
    pub(crate) fn servers(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().filter(|(name, _)| name != POSTGRES).map(|(_, pid)| *pid)
    }

    /// Bytes that these have in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.servers().map(machine::resident_bytes).sum()
    }
}

/// A child of ours, which ends with this.
struct Process {
    child: Child,
    /// Held open: a floor ends when nobody does.
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts it and reads what it says until `ready` finds what it looks for.
    fn start<T>(
        command: &mut Command,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> anyhow::Result<(Self, T)> {
        let program = command.get_program().to_owned();
        let mut process = Self::spawn(command.stdout(Stdio::piped()))?;
        let mut lines = BufReader::new(process.child.stdout.take().expect("it was piped"));
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            if let Some(found) = ready(&line) {
                // What it says later is nobody's, and must not fill the pipe.
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok((process, found));
            }
            line.clear();
        }
        bail!("{} ended before it was ready", program.display());
    }

    /// Starts it, whatever it says.
    fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { _stdin: child.stdin.take(), child })
    }

    /// Starts it and waits until it listens there.
    fn start_listening(command: &mut Command, port: u16) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        let mut process = Self::spawn(command)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = process.ended()? {
                bail!("{} ended before it listened: {status}", program.display());
            }
            if Instant::now() > deadline {
                bail!("{} does not listen within {PATIENCE:?}", program.display());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Tinode, Ws};

    fn subject(dialect: Box<dyn Dialect>) -> Subject {
        let person = |n: u32| Person { user: format!("usr{n}"), token: String::new() };
        Subject {
            name: "one".to_owned(),
            role: Role::Measured,
            dialect,
            addresses: Vec::new(),
            people: (0..4).map(person).collect(),
            groups: Vec::new(),
            follows: Vec::new(),
            processes: Vec::new(),
            metrics: None,
            database: None,
            _keep: Vec::new(),
        }
    }

    #[test]
    fn partners_follow_one_another_only_where_they_have_to() {
        let mut tinode = subject(Box::new(Tinode::new("peer.test", "key")));
        tinode.follow_partners();
        assert_eq!(tinode.follows, [["usr1"], ["usr0"], ["usr3"], ["usr2"]]);
        let mut ws = subject(Box::new(Ws::new("peer.test")));
        ws.follow_partners();
        assert_eq!(ws.follows, [[""; 0]; 0]);
    }
}
