//! One speaks and all others listen, in one group. Work is a message that reached one listener.

use clap::Args;

use super::{
    Common, Compared, Timing, contestants,
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

/// One speaks, all others listen: what a delivery costs
#[derive(Debug, Args)]
pub(crate) struct FanOut {
    /// Who listens; one more speaks
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    listeners: u32,
    /// Of each message; at least 18
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(18..=16_384))]
    bytes: u32,
    /// Messages on their way at a time: the next is sent when every listener has the one before. More
    /// than one lets a server put several into one write
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

impl FanOut {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = self.listeners as usize + 1;
        let groups = [(0..people).collect::<Vec<_>>()];
        let mut subjects = self.compared.subjects(&self.common, cores, people, &groups)?;
        if !self.compared.no_floors {
            subjects.push(bare(
                "floor, one write a message",
                Floor::FanOut { coalesced: false, acked: false },
                cores,
                people,
            )?);
            if self.window > 1 || self.rate.is_some() {
                subjects.push(bare(
                    "floor, coalesced",
                    Floor::FanOut { coalesced: true, acked: false },
                    cores,
                    people,
                )?);
            }
        }
        let contestants = contestants(&subjects, |subject| self.once(subject));
        let rows = side_by_side(self.compared.runs, contestants)?;
        let pace = self.pace().text("on their way at a time");
        let scenario =
            format!("fan-out: {} listeners, {} bytes, {pace}", self.listeners, self.bytes);
        let report = Report { scenario, unit: "deliveries", rows, combined: None };
        report.publish(self.common.json.as_deref())
    }

    fn pace(&self) -> Pace {
        Pace::of(self.rate, self.window)
    }

    fn once(&self, subject: &Subject) -> anyhow::Result<Run> {
        let people = self.listeners as usize + 1;
        let mut crowd = self.common.gather(subject, people)?;
        let rules = Rules {
            audience: Audience::Everybody { people },
            work: Work::Deliveries,
            pace: self.pace(),
            bytes: self.bytes as usize,
        };
        let to = Target::Group(subject.groups[0].clone());
        let mut speech = Exchange::new(rules, [to]);
        measure(&self.timing, subject, &mut crowd, &mut speech)
    }
}
