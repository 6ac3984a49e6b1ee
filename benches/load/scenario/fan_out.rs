//! One speaks and all others listen, in one group. Work is a message that reached one listener.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use clap::Args;

use super::{Common, Contestant, Measured, Pace, measure, side_by_side};
use crate::{
    crowd::{Crowd, Guest, Lines, Play},
    dialect::{Heard, Target},
    floor::Floor,
    machine::Cores,
    report::{Latency, Report, Run},
    stamp::Stamp,
    subject::{Nodes, Subject, bare},
};

/// Messages on their way at an open pace; more, and the server does not keep up at all.
const BEHIND_MAX: usize = 10_000;

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
    #[arg(long)]
    rate: Option<f64>,
    #[command(flatten)]
    common: Common,
}

impl FanOut {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = self.listeners as usize + 1;
        let mut subjects =
            vec![self.common.subject(cores, people, &[(0..people).collect::<Vec<_>>()])?];
        subjects.extend(self.common.peers(cores, Nodes::One, people, 1)?);
        if !self.common.no_floors {
            subjects.push(bare(
                "floor, one write a message",
                Floor::FanOut { coalesced: false },
                cores,
                people,
            )?);
            if self.window > 1 || self.rate.is_some() {
                subjects.push(bare(
                    "floor, coalesced",
                    Floor::FanOut { coalesced: true },
                    cores,
                    people,
                )?);
            }
        }
        let contestants = subjects.iter().map(|subject| Contestant {
            name: subject.name.clone(),
            role: subject.role,
            run: Box::new(|| self.once(subject)),
        });
        let rows = side_by_side(self.common.runs, contestants.collect())?;
        let pace = match self.pace() {
            Pace::Closed { window } => format!("{window} on their way at a time"),
            Pace::Open { rate } => format!("{rate} a second"),
        };
        let scenario =
            format!("fan-out: {} listeners, {} bytes, {pace}", self.listeners, self.bytes);
        let report = Report { scenario, unit: "deliveries", rows, combined: None };
        report.publish(self.common.json.as_deref())
    }

    fn pace(&self) -> Pace {
        match self.rate {
            Some(rate) => Pace::Open { rate },
            None => Pace::Closed { window: usize::from(self.window) },
        }
    }

    fn once(&self, subject: &Subject) -> anyhow::Result<Run> {
        let guests: Vec<Guest<'_>> = (0..=self.listeners as usize)
            .map(|who| Guest {
                person: &subject.people[who],
                address: subject.addresses[who % subject.addresses.len()],
                follows: &subject.groups,
            })
            .collect();
        let in_flight = usize::from(self.common.handshakes);
        let mut crowd = Crowd::gather(&*subject.dialect, &guests, in_flight)?;
        let to = Target::Group(subject.groups[0].clone());
        let mut speech = Speech::new(to, self.listeners as usize, self.bytes as usize, self.pace());
        measure(&self.common, subject, &mut crowd, &mut speech)
    }
}

/// Who speaks; everybody else listens.
const SPEAKER: usize = 0;

/// The play: what was said and who has it.
struct Speech {
    to: Target,
    bytes: usize,
    pace: Pace,
    began: Instant,
    /// The next that each listener has to hear.
    expected: Vec<u64>,
    /// Those that not everybody has, the oldest first, and the number of that.
    on_their_way: VecDeque<Message>,
    oldest: u64,
    finished: bool,
    deliveries: u64,
    latency: Latency,
    fault: Option<String>,
}

struct Message {
    /// When it was sent, or should have been.
    at: Instant,
    missing: usize,
}

impl Speech {
    fn new(to: Target, listeners: usize, bytes: usize, pace: Pace) -> Self {
        Self {
            to,
            bytes,
            pace,
            began: Instant::now(),
            expected: vec![0; listeners],
            on_their_way: VecDeque::new(),
            oldest: 0,
            finished: false,
            deliveries: 0,
            latency: Latency::new(),
            fault: None,
        }
    }

    fn next(&self) -> u64 {
        self.oldest + self.on_their_way.len() as u64
    }

    fn send(&mut self, lines: &mut Lines<'_>, at: Instant) {
        let stamp = Stamp::new(SPEAKER, self.next());
        self.on_their_way.push_back(Message { at, missing: self.expected.len() });
        lines.send(SPEAKER, &self.to, stamp, self.bytes);
    }

    fn fill(&mut self, lines: &mut Lines<'_>) {
        match self.pace {
            Pace::Closed { window } => {
                while !self.finished && self.on_their_way.len() < window {
                    self.send(lines, Instant::now());
                }
            }
            Pace::Open { .. } => {}
        }
    }

    fn deliver(&mut self, lines: &mut Lines<'_>, listener: usize, stamp: Stamp, now: Instant) {
        let expected = &mut self.expected[listener];
        if stamp.source() != SPEAKER || stamp.count() != *expected {
            self.fault = Some(format!(
                "listener {listener} got message {} of {} instead of {expected}",
                stamp.count(),
                stamp.source()
            ));
            return;
        }
        *expected += 1;
        self.deliveries += 1;
        // Nobody can have what was not sent, and whoever has it once is past it.
        let Some(message) = self.on_their_way.get_mut((stamp.count() - self.oldest) as usize)
        else {
            self.fault = Some(format!("message {} was never sent", stamp.count()));
            return;
        };
        self.latency.add(now.saturating_duration_since(message.at));
        message.missing -= 1;
        while self.on_their_way.front().is_some_and(|message| message.missing == 0) {
            self.on_their_way.pop_front();
            self.oldest += 1;
        }
        self.fill(lines);
    }
}

impl Play for Speech {
    fn heard(&mut self, lines: &mut Lines<'_>, who: usize, heard: &Heard, now: Instant) {
        match heard {
            Heard::Delivered(stamp) => {
                // A speaker may hear themselves, and it is not counted.
                if let Some(listener) = who.checked_sub(SPEAKER + 1) {
                    self.deliver(lines, listener, *stamp, now);
                }
            }
            // What everybody has was taken.
            Heard::Acked(_) | Heard::Ready => {}
            Heard::Refused(why) => {
                self.fault.get_or_insert_with(|| format!("{who} was refused: {why}"));
            }
            Heard::Closed(code) => {
                self.fault.get_or_insert_with(|| format!("{who} was closed with {code}"));
            }
        }
    }
}

impl Measured for Speech {
    fn due(&self) -> Option<Instant> {
        match self.pace {
            Pace::Open { rate } if !self.finished => {
                Some(self.began + Duration::from_secs_f64(self.next() as f64 / rate))
            }
            Pace::Open { .. } | Pace::Closed { .. } => None,
        }
    }

    fn send_due(&mut self, crowd: &mut Crowd) {
        self.fill(&mut crowd.lines());
        while let Some(due) = self.due()
            && due <= Instant::now()
        {
            self.send(&mut crowd.lines(), due);
            if self.on_their_way.len() > BEHIND_MAX {
                self.fault = Some(format!("{BEHIND_MAX} messages behind: the rate is too high"));
                return;
            }
        }
    }

    fn begin_window(&mut self) {
        self.deliveries = 0;
        self.latency.clear();
    }

    fn end_window(&mut self) -> (u64, Latency) {
        (self.deliveries, std::mem::replace(&mut self.latency, Latency::new()))
    }

    fn finish(&mut self) {
        self.finished = true;
    }

    fn is_complete(&self) -> bool {
        self.on_their_way.is_empty()
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
