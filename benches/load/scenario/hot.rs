//! Several people who all write into one conversation at once. Work is a message that its sender was
//! answered for and all others have: the log's order is the bottleneck, not the sockets.

use clap::Args;

use super::{
    Common, Compared, SOCKETS, Timing, contestants,
    exchange::{Audience, Exchange, Pace, Rules, Work},
    measure, rate, side_by_side,
};
use crate::{
    dialect::Target,
    floor::Floor,
    machine::Cores,
    report::{Report, Run},
    subject::{Subject, bare},
};

/// Several senders in one conversation at once: what its order costs
#[derive(Debug, Args)]
pub(crate) struct Hot {
    /// All of them hear each other
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    senders: u16,
    /// Messages of each on their way at a time: the next is sent when the one before is acknowledged
    /// and everybody has it
    #[arg(long, default_value_t = 1, conflicts_with = "rate",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    in_flight: u16,
    /// Messages a second of all together, sent whatever has arrived; latency then counts from when
    /// each should have been sent
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Of each message; at least 18
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(18..=16_384))]
    bytes: u32,
    #[command(flatten)]
    compared: Compared,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

impl Hot {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = usize::from(self.senders);
        let groups = [(0..people).collect::<Vec<_>>()];
        let mut subjects = self.compared.subjects(&self.common, cores, people, &groups)?;
        if !self.compared.no_floors {
            let floor = Floor::FanOut { coalesced: false, acked: true };
            subjects.push(bare(SOCKETS, floor, cores, people)?);
        }
        let mut contestants = contestants(&subjects, |subject| self.once(subject));
        let (inserts, combined) = self.compared.inserts(&self.common, &self.timing, cores)?.unzip();
        contestants.extend(inserts);
        let rows = side_by_side(self.compared.runs, contestants)?;
        let pace = self.pace().text("on its way of each");
        let scenario = format!("hot: {} senders, {} bytes, {pace}", self.senders, self.bytes);
        let report = Report { scenario, unit: "messages", rows, combined };
        report.publish(self.common.json.as_deref())
    }

    fn pace(&self) -> Pace {
        Pace::of(self.rate, self.in_flight)
    }

    fn once(&self, subject: &Subject) -> anyhow::Result<Run> {
        let people = usize::from(self.senders);
        let mut crowd = self.common.gather(subject, people)?;
        let rules = Rules {
            audience: Audience::Everybody { people },
            work: Work::Messages,
            pace: self.pace(),
            bytes: self.bytes as usize,
        };
        let to = Target::Group(subject.groups[0].clone());
        let targets = std::iter::repeat_n(to, people);
        measure(&self.timing, subject, &mut crowd, &mut Exchange::new(rules, targets))
    }
}
