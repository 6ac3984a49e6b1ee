//! What came of a run, for people and for programs.

use std::{collections::BTreeMap, fmt::Write as _};

use chat_check::{
    Found,
    history::{Answer, Entry, Time, What},
};
use serde_json::{Value, json};

use crate::nodes::Usage;

/// What is known of one kind of fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Toll {
    /// How often.
    pub times: u64,
    /// The longest time in which a node that was hit acknowledged nothing.
    pub away: Time,
    /// The longest time from a mended fault to the next acknowledgement there.
    pub after: Time,
}

/// The numbers of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Faults.
    pub faults: u32,
    /// From the first connection to the last.
    pub seconds: f64,
    /// From the end of writing until everything was answered and everybody connected.
    pub settle_seconds: f64,
    /// From then on, until everybody had everything.
    pub converged_seconds: f64,
    /// For the judgement.
    pub check_seconds: f64,
    /// What the harness used.
    pub own_cpu_seconds: f64,
    /// What the nodes used.
    pub nodes: Vec<Usage>,
    /// What happened how often.
    pub counts: BTreeMap<&'static str, u64>,
    /// By kind of fault.
    pub tolls: BTreeMap<String, Toll>,
}

impl Report {
    /// Takes out of a history how long service was away. A fault that hits no single node hits all.
    pub fn read(&mut self, history: &[Entry]) {
        let mut acks: BTreeMap<u32, Vec<Time>> = BTreeMap::new();
        let mut faults: BTreeMap<u32, (&str, Option<u32>, Time, Time)> = BTreeMap::new();
        for entry in history {
            match &entry.what {
                What::Ok { node, answer, .. } if matches!(**answer, Answer::Ack { .. }) => {
                    acks.entry(*node).or_default().push(entry.t);
                }
                What::Fault { fault, kind, node } => {
                    faults.insert(*fault, (kind, *node, entry.t, entry.t));
                }
                What::Healed { fault } => {
                    if let Some(fault) = faults.get_mut(fault) {
                        fault.3 = entry.t;
                    }
                }
                _ => {}
            }
        }
        for (kind, hit, begun, healed) in faults.values() {
            let toll = self.tolls.entry((*kind).to_owned()).or_default();
            toll.times += 1;
            for (_, acks) in acks.iter().filter(|(node, _)| hit.is_none_or(|hit| hit == **node)) {
                let first = acks.partition_point(|t| t < begun);
                let next = acks.partition_point(|t| t < healed);
                let mut last = *begun;
                for ack in &acks[first..acks.len().min(next + 1)] {
                    toll.away = toll.away.max(ack - last);
                    last = *ack;
                }
                if let Some(ack) = acks.get(next) {
                    toll.after = toll.after.max(ack - healed);
                }
            }
        }
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, found: &Found) -> Value {
        let tolls: BTreeMap<_, _> = self
            .tolls
            .iter()
            .map(|(kind, toll)| {
                let toll = json!({"times": toll.times, "away_ms": toll.away / 1000,
                    "after_ms": toll.after / 1000});
                (kind, toll)
            })
            .collect();
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|it| json!({"cpu_seconds": it.cpu_seconds, "rss_bytes": it.rss_bytes}))
            .collect();
        let broken: BTreeMap<_, _> =
            found.counts().iter().map(|(rule, count)| (rule.to_string(), count)).collect();
        json!({
            "valid": found.is_valid(),
            "broken": broken,
            "faults": self.faults,
            "kinds": tolls,
            "counts": self.counts,
            "seconds": self.seconds,
            "settle_seconds": self.settle_seconds,
            "converged_seconds": self.converged_seconds,
            "check_seconds": self.check_seconds,
            "own_cpu_seconds": self.own_cpu_seconds,
            "nodes": nodes,
        })
    }

    /// For people.
    #[must_use]
    pub fn table(&self, found: &Found) -> String {
        let mut text = String::new();
        let _ =
            writeln!(text, "{:<22}{:>6}{:>14}{:>14}", "fault", "times", "away (ms)", "after (ms)");
        for (kind, toll) in &self.tolls {
            let (away, after) = (toll.away / 1000, toll.after / 1000);
            let _ = writeln!(text, "{kind:<22}{:>6}{away:>14}{after:>14}", toll.times);
        }
        let _ = writeln!(text);
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{name:<22}{count:>10}");
        }
        let _ = writeln!(text);
        for (number, node) in self.nodes.iter().enumerate() {
            let mebibytes = node.rss_bytes / 1024 / 1024;
            let _ = writeln!(
                text,
                "node {number}: {:.1} s of a processor, at most {mebibytes} MiB",
                node.cpu_seconds
            );
        }
        let acknowledged = self.count("acknowledged") + self.count("acknowledged again");
        let _ = writeln!(
            text,
            "{:.0} s, {} faults, {acknowledged} acknowledged ({:.0} a second); the harness used {:.1} s\n\
             settled in {:.1} s, everybody had everything {:.1} s after that; judged in {:.1} s",
            self.seconds,
            self.faults,
            acknowledged as f64 / self.seconds.max(0.001),
            self.own_cpu_seconds,
            self.settle_seconds,
            self.converged_seconds,
            self.check_seconds,
        );
        if found.is_valid() {
            let _ = writeln!(text, "VALID");
        } else {
            let broken = found.counts().iter().map(|(rule, count)| format!("{rule} ({count})"));
            let _ = writeln!(text, "BROKEN: {}", broken.collect::<Vec<_>>().join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_without_an_answer_is_that_of_the_node_that_was_hit() {
        let ack = Answer::Ack { conversation: 0, seq: 1, duplicate: false };
        let ok = |node| What::Ok { op: 1, node, answer: Box::new(ack.clone()) };
        let fault = What::Fault { fault: 0, kind: "k".to_owned(), node: Some(1) };
        let history = [
            (5, ok(1)),
            (10, fault),
            (12, ok(1)),
            (40, ok(0)),
            (50, What::Healed { fault: 0 }),
            (55, ok(0)),
            (70, ok(1)),
        ];
        let history: Vec<_> = history.into_iter().map(|(t, what)| Entry { t, what }).collect();
        let mut report = Report::default();
        report.read(&history);
        let toll = report.tolls["k"];
        assert_eq!((toll.times, toll.away, toll.after), (1, 58, 20));
    }
}
