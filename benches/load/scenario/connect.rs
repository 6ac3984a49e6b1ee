//! Connections that are opened one after another and left as soon as they are live. Work is one that
//! became live.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use clap::Args;

use super::{Common, Compared, Timing, contestants, side_by_side, undisturbed};
use crate::{
    crowd::{Crowd, Guest, Play, Voice},
    dialect::Heard,
    floor::Floor,
    machine::{Cores, own_cpu},
    report::{Latency, Report, Run},
    subject::{Role, Subject, bare},
};

/// New connections, each left as soon as it is live: what getting in costs
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Who connects, in turn
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    #[command(flatten)]
    compared: Compared,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

impl Connect {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = (self.users as usize).max(usize::from(self.common.handshakes));
        let mut subjects = self.compared.subjects(&self.common, cores, people, &[])?;
        if !self.compared.no_floors {
            subjects.push(bare("floor, upgrade and token", Floor::Upgrade, cores, people)?);
            subjects.push(bare("floor, accept", Floor::Accept, cores, people)?);
        }
        let mut contestants = contestants(&subjects, |subject| self.once(subject, people));
        for it in &mut contestants {
            // The floors do a part of it.
            it.same_work = it.role == Role::Measured;
        }
        let rows = side_by_side(self.compared.runs, contestants)?;
        let scenario =
            format!("connect: {people} users, {} on the way in at a time", self.common.handshakes);
        let report = Report { scenario, unit: "connections", rows, combined: None };
        report.publish(self.common.json.as_deref())
    }

    fn once(&self, subject: &Subject, people: usize) -> anyhow::Result<Run> {
        let guests: Vec<Guest<'_>> = self.common.guests(subject, people).collect();
        let mut storm = Storm {
            crowd: Crowd::new(&*subject.dialect, people)?,
            guests,
            away: (0..people).collect(),
            began: vec![Instant::now(); people],
            door: Door::default(),
            live: 0,
            latency: Latency::new(),
        };
        for _ in 0..self.common.handshakes {
            storm.next(subject)?;
        }
        storm.until(subject, Instant::now() + Duration::from_secs(self.timing.warm_up))?;
        (storm.live, storm.latency) = (0, Latency::new());
        let (began, calls) = (Instant::now(), storm.crowd.calls());
        let (cpu, own) = (subject.cpu(), own_cpu());
        storm.until(subject, began + Duration::from_secs(self.timing.seconds))?;
        let (wall, cpu) = (began.elapsed(), subject.cpu_since(&cpu));
        let calls = storm.crowd.calls().since(calls);
        Ok(Run {
            work: storm.live,
            wall,
            cpu,
            own_cpu: (own_cpu() - own).saturating_sub(calls.idle),
            latency: storm.latency,
            calls,
        })
    }
}

struct Storm<'a> {
    crowd: Crowd,
    guests: Vec<Guest<'a>>,
    /// Those who are not on the way in, in the order in which they come.
    away: VecDeque<usize>,
    /// When each began to come.
    began: Vec<Instant>,
    door: Door,
    live: u64,
    latency: Latency,
}

/// What is heard there.
#[derive(Default)]
struct Door {
    live: Vec<(usize, Instant)>,
    fault: Option<String>,
}

impl Play for Door {
    fn heard(&mut self, _voice: &mut dyn Voice, who: usize, heard: &Heard, now: Instant) {
        if let Heard::Ready = heard {
            self.live.push((who, now));
        }
        if let Err(fault) = undisturbed(who, heard) {
            self.fault.get_or_insert(fault);
        }
    }
}

impl Storm<'_> {
    fn next(&mut self, subject: &Subject) -> anyhow::Result<()> {
        // There are as many people as may be on the way in.
        let Some(who) = self.away.pop_front() else { return Ok(()) };
        self.began[who] = Instant::now();
        self.crowd.come(who, &*subject.dialect, &self.guests[who])
    }

    fn until(&mut self, subject: &Subject, end: Instant) -> anyhow::Result<()> {
        while Instant::now() < end {
            self.crowd.turn(end, &mut self.door)?;
            if let Some(fault) = &self.door.fault {
                anyhow::bail!("{fault}");
            }
            for (who, now) in std::mem::take(&mut self.door.live) {
                self.live += 1;
                self.latency.add(now - self.began[who]);
                self.crowd.leave(who);
                self.away.push_back(who);
                self.next(subject)?;
            }
        }
        Ok(())
    }
}
