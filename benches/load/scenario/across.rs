//! Two servers that are one chat: who speaks is connected to the one, who hears it to the other.
//! Work is a message that reached one listener, or for pairs one that was acknowledged and delivered,
//! beside the same on one server.

use clap::Args;

use super::{
    Common, Compared, Timing, Wishes, contestants,
    exchange::{Audience, Exchange, Pace, Rules, Work},
    measure, rate, side_by_side,
};
use crate::{
    crowd::Guest,
    dialect::Target,
    machine::Cores,
    report::{Report, Row, Run},
    subject::{Counts, Nodes, POSTGRES, Role, Store, Subject},
};

/// From one server to another of the same chat: what the way between them costs
#[derive(Debug, Args)]
pub(crate) struct Across {
    /// Who listens, all on the other server
    #[arg(long, default_value_t = 1_000, conflicts_with = "direct",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    listeners: u32,
    /// Instead: so many pairs, in each of which one writes to the other, who is on the other server
    #[arg(long, value_name = "PAIRS", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    direct: Option<u32>,
    /// Of each message; at least 18
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(18..=16_384))]
    bytes: u32,
    /// Messages of each sender on their way at a time
    #[arg(long, default_value_t = 1, conflicts_with = "rate",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    window: u16,
    /// Messages a second, sent whatever has arrived; latency then counts from when each should have
    /// been sent
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    #[command(flatten)]
    compared: Compared,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

impl Across {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let (people, groups) = (self.people(), self.groups());
        let wishes =
            |nodes| Wishes { store: Store::Postgres, nodes, counts: Counts::No, ..Wishes::PLAIN };
        let start = |nodes| self.common.subject_like(&wishes(nodes), cores, people, &groups);
        let mut subjects = vec![start(Nodes::Two)?];
        if self.common.people.is_none() && !self.compared.no_floors {
            let mut one = start(Nodes::One)?;
            // What the other is measured by.
            (one.role, one.name) = (Role::Floor, "one chat-server".to_owned());
            subjects.push(one);
        }
        subjects.extend(self.compared.peers(cores, Nodes::Two, people, &groups)?);
        let contestants = contestants(&subjects, |subject| self.once(subject));
        let rows = side_by_side(self.compared.runs, contestants)?;
        let pace = self.pace().text("on their way at a time of each");
        let (who, unit) = match self.direct {
            Some(pairs) => (format!("{pairs} pairs"), "messages"),
            None => (format!("{} listeners", self.listeners), "deliveries"),
        };
        let report = Report {
            scenario: format!("across: {who} on two servers, {} bytes, {pace}", self.bytes),
            unit,
            rows: rows.into_iter().flat_map(without_and_with_database).collect(),
            combined: None,
        };
        report.publish(self.common.json.as_deref())
    }

    fn people(&self) -> usize {
        match self.direct {
            Some(pairs) => pairs as usize * 2,
            None => self.listeners as usize + 1,
        }
    }

    fn groups(&self) -> Vec<Vec<usize>> {
        match self.direct {
            Some(_) => Vec::new(),
            None => vec![(0..self.people()).collect()],
        }
    }

    fn pace(&self) -> Pace {
        Pace::of(self.rate, self.window)
    }

    fn once(&self, subject: &Subject) -> anyhow::Result<Run> {
        let people = self.people();
        let (first, last) = (subject.addresses[0], subject.addresses[subject.addresses.len() - 1]);
        let guests = self.common.guests(subject, people).enumerate().map(|(who, guest)| {
            let speaks = match self.direct {
                Some(_) => who % 2 == 0,
                None => who == 0,
            };
            Guest { address: if speaks { first } else { last }, ..guest }
        });
        let mut crowd = self.common.admit(subject, &guests.collect::<Vec<_>>())?;
        let (audience, work) = match self.direct {
            Some(_) => (Audience::Partner, Work::Messages),
            None => (Audience::Everybody { people }, Work::Deliveries),
        };
        let rules = Rules { audience, work, pace: self.pace(), bytes: self.bytes as usize };
        let targets: Vec<Target> = match self.direct {
            Some(_) => {
                let partners = subject.people[..people].iter().skip(1).step_by(2);
                partners.map(|partner| Target::Person(partner.user.clone())).collect()
            }
            None => vec![Target::Group(subject.groups[0].clone())],
        };
        measure(&self.timing, subject, &mut crowd, &mut Exchange::new(rules, targets))
    }
}

/// Where a log was written: the CPU of the servers and Redis, and as another row that of the database
/// as well. Peers that store nothing are beside the first.
fn without_and_with_database(row: Row) -> Vec<Row> {
    let is_database = |name: &str| name == POSTGRES || name == "postgres";
    if !row.runs.iter().any(|run| run.cpu.iter().any(|(name, _)| is_database(name))) {
        return vec![row];
    }
    let mut apart = Row { name: row.name.clone(), runs: row.runs.clone(), ..row };
    for run in &mut apart.runs {
        run.cpu.retain(|(name, _)| !is_database(name));
    }
    // The same runs, whose latencies are told once.
    vec![apart, Row { name: format!("{}, with PostgreSQL", row.name), same_work: false, ..row }]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{engine::Calls, report::Latency};

    #[test]
    fn the_database_is_told_apart_and_with_the_others() {
        let run = Run {
            work: 1,
            wall: Duration::from_secs(1),
            cpu: vec![("node 1".to_owned(), 1.0), (POSTGRES.to_owned(), 2.0)],
            own_cpu: Duration::ZERO,
            latency: Latency::new(),
            calls: Calls::default(),
        };
        let row = Row {
            name: "two".to_owned(),
            role: Role::Measured,
            same_work: true,
            runs: vec![run.clone(), run],
        };
        let rows = without_and_with_database(row);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["two", "two, with PostgreSQL"]);
        for (row, processes) in rows.iter().zip([1, 2]) {
            assert!(row.runs.iter().all(|run| run.cpu.len() == processes));
        }
        // What has none stays as it is.
        let alone = without_and_with_database(rows.into_iter().next().unwrap());
        assert_eq!(alone.len(), 1);
    }
}
