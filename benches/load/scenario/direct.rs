//! Pairs of people, in each of which one writes to the other. Work is a message that the sender was
//! answered for and the other has.

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

/// Many pairs, in each of which one writes to the other: what a message costs
#[derive(Debug, Args)]
pub(crate) struct Direct {
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pairs: u32,
    /// Of each message; at least 18
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(18..=16_384))]
    bytes: u32,
    /// Messages of each pair on their way at a time: the next is sent when the one before is both
    /// acknowledged and delivered
    #[arg(long, default_value_t = 1, conflicts_with = "rate",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    in_flight: u16,
    /// Messages a second of all pairs together, sent whatever has arrived; latency then counts from
    /// when each should have been sent
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    #[command(flatten)]
    compared: Compared,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

impl Direct {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = self.pairs as usize * 2;
        let mut subjects = self.compared.subjects(&self.common, cores, people, &[])?;
        subjects.iter_mut().for_each(Subject::follow_partners);
        if !self.compared.no_floors {
            subjects.push(bare(SOCKETS, Floor::Direct, cores, people)?);
        }
        let mut contestants = contestants(&subjects, |subject| self.once(subject));
        let (inserts, combined) = self.compared.inserts(&self.common, &self.timing, cores)?.unzip();
        contestants.extend(inserts);
        let rows = side_by_side(self.compared.runs, contestants)?;
        let pace = self.pace().text("on its way in each");
        let scenario = format!("direct: {} pairs, {} bytes, {pace}", self.pairs, self.bytes);
        let report = Report { scenario, unit: "messages", rows, combined };
        report.publish(self.common.json.as_deref())
    }

    fn pace(&self) -> Pace {
        Pace::of(self.rate, self.in_flight)
    }

    fn once(&self, subject: &Subject) -> anyhow::Result<Run> {
        let people = self.pairs as usize * 2;
        let mut crowd = self.common.gather(subject, people)?;
        let rules = Rules {
            audience: Audience::Partner,
            work: Work::Messages,
            pace: self.pace(),
            bytes: self.bytes as usize,
        };
        let partners = subject.people[..people].iter().skip(1).step_by(2);
        let targets = partners.map(|partner| Target::Person(partner.user.clone()));
        measure(&self.timing, subject, &mut crowd, &mut Exchange::new(rules, targets))
    }
}
