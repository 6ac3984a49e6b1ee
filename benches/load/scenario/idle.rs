//! People who are connected and say nothing. What counts is the memory of the server for each,
//! beyond what it has without anybody.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::{Common, Compared, undisturbed};
use crate::{
    crowd::{Crowd, Play, Voice},
    dialect::Heard,
    floor::Floor,
    machine::Cores,
    report::Spread,
    subject::{Nodes, Subject, bare},
};

/// Members of each group.
pub(super) const GROUP: usize = 100;
/// What the first connections cost is the server's: threads, statements, tables.
const FIRST: usize = 20;
/// Between two looks at the memory of a server.
const LOOK: Duration = Duration::from_secs(1);
/// Looks at most; then it is as it is.
const LOOKS_MAX: usize = 15;
/// A change that is none.
const STILL_BYTES: u64 = 64 * 1024;

/// Connections that say nothing: the memory that each costs
#[derive(Debug, Args)]
pub(crate) struct Idle {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Groups that each is a member of, of a hundred people each
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=200))]
    conversations: u16,
    #[command(flatten)]
    compared: Compared,
    #[command(flatten)]
    common: Common,
}

impl Idle {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = self.connections as usize;
        let groups = groups(people, usize::from(self.conversations), GROUP);
        type Start<'a> = Box<dyn Fn() -> anyhow::Result<Subject> + 'a>;
        let mut starts: Vec<Start<'_>> =
            vec![Box::new(|| self.common.subject(cores, people, &groups))];
        let groups = &groups;
        for peer in &self.compared.beside {
            starts.push(Box::new(move || {
                self.compared.peer(*peer, cores, Nodes::One, people, groups)
            }));
        }
        if !self.compared.no_floors {
            starts
                .push(Box::new(|| bare("floor, upgrade and token", Floor::Upgrade, cores, people)));
            starts.push(Box::new(|| bare("floor, accept", Floor::Accept, cores, people)));
        }
        let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
        for run in 1..=self.compared.runs {
            for (n, start) in starts.iter().enumerate() {
                // A new process each time: memory that was freed would be used again, and what comes
                // later would cost nothing.
                let subject = start()?;
                eprintln!("run {run} of {}: {}", self.compared.runs, subject.name);
                let bytes = self.once(&subject).with_context(|| subject.name.clone())?;
                match rows.get_mut(n) {
                    Some((_, all)) => all.push(bytes),
                    None => rows.push((subject.name.clone(), vec![bytes])),
                }
            }
        }
        println!(
            "idle: {people} connections of as many users, each in {} conversations",
            self.conversations
        );
        for (name, all) in &rows {
            let Spread { median, min, max } =
                Spread::of(all.iter().copied()).context("there was at least one run")?;
            println!("{name}: {median:.0} resident bytes each ({min:.0}–{max:.0})");
        }
        if let Some(file) = &self.common.json {
            let rows = rows.iter().map(|(name, all)| json!({ "name": name, "runs": all }));
            let report = json!({
                "scenario": format!("idle: {people} connections, {} conversations", self.conversations),
                "unit": "resident bytes per connection",
                "rows": rows.collect::<Vec<_>>(),
            });
            fs::write(file, format!("{report:#}\n"))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Resident bytes of each connection.
    fn once(&self, subject: &Subject) -> anyhow::Result<f64> {
        if subject.processes.is_empty() {
            bail!("whose memory it is has to be said, with --pid");
        }
        let people = self.connections as usize;
        drop(self.common.gather(subject, people.min(FIRST))?);
        let empty = at_rest(subject, None)?;
        let mut crowd = self.common.gather(subject, people)?;
        let full = at_rest(subject, Some(&mut crowd))?;
        Ok(full.saturating_sub(empty) as f64 / people as f64)
    }
}

/// Everybody is in as many groups of this size, each time with others.
pub(super) fn groups(people: usize, conversations: usize, size: usize) -> Vec<Vec<usize>> {
    let rounds = 0..conversations;
    rounds
        .flat_map(|round| {
            let shift = round * (size / 2 - 1);
            (0..people).step_by(size).map(move |first| {
                let members = first..(first + size).min(people);
                members.map(|who| (who + shift) % people).collect()
            })
        })
        .collect()
}

/// Resident bytes when they no longer change: what was freed goes back after a moment. Whoever is
/// connected stays so meanwhile.
pub(super) fn at_rest(subject: &Subject, mut crowd: Option<&mut Crowd>) -> anyhow::Result<u64> {
    let mut quiet = Quiet::default();
    let mut before = subject.resident_bytes();
    for _ in 0..LOOKS_MAX {
        let until = Instant::now() + LOOK;
        match &mut crowd {
            Some(crowd) => {
                while Instant::now() < until {
                    crowd.turn(until, &mut quiet)?;
                }
            }
            None => thread::sleep(LOOK),
        }
        if let Some(fault) = &quiet.fault {
            bail!("{fault}");
        }
        let now = subject.resident_bytes();
        if now.abs_diff(before) < STILL_BYTES {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

/// Nobody leaves.
#[derive(Default)]
struct Quiet {
    fault: Option<String>,
}

impl Play for Quiet {
    fn heard(&mut self, _voice: &mut dyn Voice, who: usize, heard: &Heard, _now: Instant) {
        if let Err(fault) = undisturbed(who, heard) {
            self.fault.get_or_insert(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_as_many_groups() {
        for (people, conversations) in [(1, 3), (99, 1), (250, 20), (1_000, 20)] {
            let mut counts = vec![0; people];
            for group in groups(people, conversations, GROUP) {
                for who in group {
                    counts[who] += 1;
                }
            }
            assert!(counts.iter().all(|count| *count == conversations), "{people}");
        }
    }
}
