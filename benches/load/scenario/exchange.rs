//! The play of all scenarios in which messages are sent and everybody stays: who sends to whom, and when
//! the next is sent. That everybody it is for gets it is the ledger's business.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    Measured,
    ledger::{Answers, Ledger},
    undisturbed,
};
use crate::{
    crowd::{Play, Voice},
    dialect::{Heard, Target},
    report::Latency,
};

/// When messages are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// By each sender as soon as one of so many on their way is complete.
    Closed { in_flight: usize },
    /// So many a second by all together in turn, whatever has arrived.
    Open { rate: f64 },
}

impl Pace {
    /// As a user says it: at this rate, or with so many in flight.
    pub(super) fn of(rate: Option<f64>, in_flight: u16) -> Self {
        match rate {
            Some(rate) => Self::Open { rate },
            None => Self::Closed { in_flight: usize::from(in_flight) },
        }
    }

    /// For a headline; `whose` says what those in flight are counted by.
    pub(super) fn text(self, whose: &str) -> String {
        match self {
            Self::Closed { in_flight } => format!("{in_flight} {whose}"),
            Self::Open { rate } => format!("{rate} messages a second"),
        }
    }
}

/// Who gets what somebody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Person 2n sends to person 2n + 1.
    Partner,
    /// The first so many of these people send to all the others.
    Everybody { people: usize },
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A message that reached one of those it is for. Nobody waits for an acknowledgement.
    Deliveries,
    /// A message that was acknowledged and reached all of them; only then it is complete.
    Messages,
}

/// What is played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) audience: Audience,
    pub(super) work: Work,
    pub(super) pace: Pace,
    /// Of each message.
    pub(super) bytes: usize,
}

/// The play.
pub(super) struct Exchange {
    rules: Rules,
    /// A line for each sender, in their order.
    ledger: Ledger,
    /// Where each sends.
    targets: Vec<Target>,
    /// When the first message is due at an open pace; from the first look at the clock.
    began: Option<Instant>,
    /// Messages sent at an open pace.
    sent: u64,
    finished: bool,
    done: u64,
    latency: Latency,
    fault: Option<String>,
}

impl Exchange {
    /// Senders in their order, with where they send.
    pub(super) fn new(rules: Rules, targets: impl IntoIterator<Item = Target>) -> Self {
        let targets: Vec<Target> = targets.into_iter().collect();
        let mut ledger = Ledger::new(match rules.work {
            Work::Deliveries => Answers::Ignored,
            Work::Messages => Answers::Awaited,
        });
        rules.audience.write_lines(targets.len(), &mut ledger);
        Self {
            rules,
            ledger,
            targets,
            began: None,
            sent: 0,
            finished: false,
            done: 0,
            latency: Latency::new(),
            fault: None,
        }
    }

    fn send(&mut self, voice: &mut dyn Voice, n: usize, at: Instant) -> Result<(), String> {
        let stamp = self.ledger.send(n, at).map_err(|why| why.to_string())?;
        voice.send(self.ledger.sender(n), &self.targets[n], stamp, self.rules.bytes);
        Ok(())
    }

    /// At a closed pace: sends until as much as may be is on its way.
    fn fill(&mut self, voice: &mut dyn Voice, n: usize) -> Result<(), String> {
        match self.rules.pace {
            Pace::Closed { in_flight } => {
                while !self.finished && self.ledger.on_their_way(n) < in_flight {
                    self.send(voice, n, Instant::now())?;
                }
            }
            Pace::Open { .. } => {}
        }
        Ok(())
    }

    /// Sends whatever the pace has due.
    fn keep_pace(&mut self, voice: &mut dyn Voice, now: Instant) -> Result<(), String> {
        self.began.get_or_insert(now);
        for n in 0..self.targets.len() {
            self.fill(voice, n)?;
        }
        while let Some(due) = self.due()
            && due <= now
        {
            let n = (self.sent % self.targets.len() as u64) as usize;
            self.send(voice, n, due)?;
            self.sent += 1;
        }
        Ok(())
    }

    fn hear(
        &mut self,
        voice: &mut dyn Voice,
        who: usize,
        heard: &Heard,
        now: Instant,
    ) -> Result<(), String> {
        match heard {
            Heard::Delivered(stamp) => match self.ledger.delivered(who, *stamp)? {
                Some(delivery) => {
                    self.latency.add(now.saturating_duration_since(delivery.sent));
                    if self.rules.work == Work::Deliveries {
                        self.done += 1;
                    }
                    self.complete(voice, stamp.source(), delivery.complete)
                }
                None => Ok(()),
            },
            Heard::Acked(stamp) => {
                let complete = self.ledger.answered(who, *stamp)?;
                self.complete(voice, stamp.source(), complete)
            }
            Heard::Ready
            | Heard::Later(_)
            | Heard::Refused(_)
            | Heard::Wrong(_)
            | Heard::Closed(_) => undisturbed(who, heard),
        }
    }

    /// So many messages of a sender are, and it goes on.
    fn complete(&mut self, voice: &mut dyn Voice, n: usize, messages: u64) -> Result<(), String> {
        if messages == 0 {
            return Ok(());
        }
        if self.rules.work == Work::Messages {
            self.done += messages;
        }
        self.fill(voice, n)
    }

    fn note(&mut self, result: Result<(), String>) {
        if let Err(fault) = result {
            // The first one is the cause.
            self.fault.get_or_insert(fault);
        }
    }
}

impl Audience {
    /// One for each of so many senders.
    fn write_lines(self, senders: usize, ledger: &mut Ledger) {
        match self {
            Self::Partner => {
                for n in 0..senders {
                    ledger.line(2 * n, Rc::from([2 * n, 2 * n + 1]));
                }
            }
            Self::Everybody { people } => {
                let all: Rc<[usize]> = (0..people).collect();
                for n in 0..senders {
                    ledger.line(n, Rc::clone(&all));
                }
            }
        }
    }
}

impl Play for Exchange {
    fn heard(&mut self, voice: &mut dyn Voice, who: usize, heard: &Heard, now: Instant) {
        let result = self.hear(voice, who, heard, now);
        self.note(result);
    }
}

impl Measured for Exchange {
    fn due(&self) -> Option<Instant> {
        match self.rules.pace {
            Pace::Open { rate } if !self.finished => {
                Some(self.began? + Duration::from_secs_f64(self.sent as f64 / rate))
            }
            Pace::Open { .. } | Pace::Closed { .. } => None,
        }
    }

    fn send_due(&mut self, voice: &mut dyn Voice, now: Instant) {
        let result = self.keep_pace(voice, now);
        self.note(result);
    }

    fn begin_window(&mut self) {
        self.done = 0;
        self.latency.clear();
    }

    fn end_window(&mut self) -> (u64, Latency) {
        (self.done, std::mem::replace(&mut self.latency, Latency::new()))
    }

    fn finish(&mut self) {
        self.finished = true;
    }

    fn is_complete(&self) -> bool {
        self.ledger.open() == 0
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    /// What was sent: by whom, and its stamp.
    #[derive(Default)]
    struct Said(Vec<(usize, Stamp)>);

    impl Voice for Said {
        fn send(&mut self, who: usize, _to: &Target, stamp: Stamp, _size: usize) {
            self.0.push((who, stamp));
        }
    }

    struct Stage {
        exchange: Exchange,
        said: Said,
        now: Instant,
    }

    impl Stage {
        fn new(audience: Audience, work: Work, pace: Pace, senders: usize) -> Self {
            let rules = Rules { audience, work, pace, bytes: 20 };
            let targets = (0..senders).map(|_| Target::Group("g".to_owned()));
            let exchange = Exchange::new(rules, targets);
            let mut stage = Self { exchange, said: Said::default(), now: Instant::now() };
            stage.exchange.send_due(&mut stage.said, stage.now);
            stage
        }

        fn hear(&mut self, who: usize, heard: &Heard) {
            self.exchange.heard(&mut self.said, who, heard, self.now);
        }

        /// Who sent since the last look, and the number of it.
        fn sent(&mut self) -> Vec<(usize, u64)> {
            self.said.0.drain(..).map(|(who, stamp)| (who, stamp.count())).collect()
        }
    }

    fn delivered(source: usize, count: u64) -> Heard {
        Heard::Delivered(Stamp::new(source, count))
    }

    fn acked(source: usize, count: u64) -> Heard {
        Heard::Acked(Stamp::new(source, count))
    }

    const ONE: Pace = Pace::Closed { in_flight: 1 };

    #[test]
    fn the_next_one_is_sent_when_everybody_has_the_last() {
        let mut stage = Stage::new(Audience::Everybody { people: 3 }, Work::Deliveries, ONE, 1);
        assert_eq!(stage.sent(), [(0, 0)]);
        stage.hear(1, &delivered(0, 0));
        assert_eq!(stage.sent(), []);
        // The speaker's own copy is none of theirs.
        stage.hear(0, &delivered(0, 0));
        assert_eq!(stage.sent(), []);
        stage.hear(2, &delivered(0, 0));
        assert_eq!(stage.sent(), [(0, 1)]);
        assert_eq!(stage.exchange.end_window().0, 2);
        assert_eq!(stage.exchange.fault(), None);
    }

    #[test]
    fn a_message_counts_when_it_is_both_acknowledged_and_delivered() {
        for ack_first in [false, true] {
            let mut stage = Stage::new(Audience::Partner, Work::Messages, ONE, 2);
            assert_eq!(stage.sent(), [(0, 0), (2, 0)]);
            let mut both = [(3, delivered(1, 0)), (2, acked(1, 0))];
            if ack_first {
                both.reverse();
            }
            stage.hear(both[0].0, &both[0].1);
            assert_eq!((stage.sent(), stage.exchange.done), (vec![], 0));
            stage.hear(both[1].0, &both[1].1);
            assert_eq!((stage.sent(), stage.exchange.done), (vec![(2, 1)], 1));
            assert_eq!(stage.exchange.fault(), None);
        }
    }

    #[test]
    fn what_is_lost_is_missed_at_the_end() {
        let mut stage = Stage::new(Audience::Everybody { people: 3 }, Work::Deliveries, ONE, 1);
        stage.hear(1, &delivered(0, 0));
        stage.exchange.finish();
        assert!(!stage.exchange.is_complete());
        stage.hear(2, &delivered(0, 0));
        assert!(stage.exchange.is_complete());
        stage.exchange.send_due(&mut stage.said, stage.now);
        assert_eq!(stage.sent(), [(0, 0)]);
    }

    #[test]
    fn what_a_server_must_not_do_is_a_fault() {
        let pace = Pace::Closed { in_flight: 3 };
        let cases: &[(&str, &[(usize, Heard)])] = &[
            ("twice", &[(1, delivered(0, 0)), (1, delivered(0, 0))]),
            ("left out", &[(1, delivered(0, 1))]),
            (
                "never sent",
                &[
                    (1, delivered(0, 0)),
                    (1, delivered(0, 1)),
                    (1, delivered(0, 2)),
                    (1, delivered(0, 3)),
                ],
            ),
            ("for another", &[(3, delivered(0, 0))]),
            ("of nobody", &[(1, delivered(9, 0))]),
            ("answered twice", &[(0, acked(0, 0)), (0, acked(0, 0))]),
            ("another's answer", &[(1, acked(0, 0))]),
            ("refused", &[(0, Heard::Refused("no".to_owned()))]),
            ("closed", &[(1, Heard::Closed(4000))]),
        ];
        for (name, heard) in cases {
            let mut stage = Stage::new(Audience::Partner, Work::Messages, pace, 1);
            let (last, before) = heard.split_last().unwrap();
            for (who, heard) in before {
                stage.hear(*who, heard);
            }
            assert_eq!(stage.exchange.fault(), None, "{name}");
            stage.hear(last.0, &last.1);
            assert!(stage.exchange.fault().is_some(), "{name}");
        }
    }

    #[test]
    fn an_open_pace_counts_from_when_it_was_due() {
        let pace = Pace::Open { rate: 10.0 };
        let mut stage = Stage::new(Audience::Partner, Work::Messages, pace, 2);
        assert_eq!(stage.sent(), [(0, 0)]);
        // Nobody looked for 250 ms: two more were due, in turn.
        stage.now += Duration::from_millis(250);
        stage.exchange.send_due(&mut stage.said, stage.now);
        assert_eq!(stage.sent(), [(2, 0), (0, 1)]);
        assert_eq!(
            stage.exchange.due().unwrap(),
            stage.exchange.began.unwrap() + Duration::from_millis(300)
        );
        stage.hear(3, &delivered(1, 0));
        // Three digits are kept of a latency: it waited for 150 ms.
        let waited = stage.exchange.latency.at(0.5).unwrap();
        assert!((waited / 150_000.0 - 1.0).abs() < 0.005, "{waited} us");
    }
}
