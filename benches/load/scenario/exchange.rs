//! The play of all scenarios in which messages are sent: who sends to whom, what is on its way, who
//! has it. Everybody it is for must get every message once, and those of one sender in their order.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Measured;
use crate::{
    crowd::{Play, Voice},
    dialect::{Heard, Target},
    report::Latency,
    stamp::Stamp,
};

/// Messages of one sender on their way at an open pace; more, and the server does not keep up at all.
const BEHIND_MAX: usize = 10_000;

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
    senders: Vec<Sender>,
    /// When the first message is due at an open pace; from the first look at the clock.
    began: Option<Instant>,
    /// Messages sent at an open pace.
    sent: u64,
    finished: bool,
    done: u64,
    latency: Latency,
    fault: Option<String>,
}

struct Sender {
    /// Their connection.
    who: usize,
    to: Target,
    /// What is not complete, the oldest first, and its number.
    on_their_way: VecDeque<Message>,
    oldest: u64,
    /// The next that each of those it is for has to hear.
    expected: Vec<u64>,
}

struct Message {
    /// When it was sent, or should have been.
    at: Instant,
    acked: bool,
    /// How many have not heard it.
    missing: usize,
}

impl Exchange {
    /// Senders in their order, with where they send.
    pub(super) fn new(rules: Rules, targets: impl IntoIterator<Item = Target>) -> Self {
        let senders = targets.into_iter().enumerate().map(|(n, to)| Sender {
            who: rules.audience.sender(n),
            to,
            on_their_way: VecDeque::new(),
            oldest: 0,
            expected: vec![0; rules.audience.places()],
        });
        Self {
            rules,
            senders: senders.collect(),
            began: None,
            sent: 0,
            finished: false,
            done: 0,
            latency: Latency::new(),
            fault: None,
        }
    }

    fn send(&mut self, voice: &mut dyn Voice, n: usize, at: Instant) {
        let sender = &mut self.senders[n];
        let stamp = Stamp::new(n, sender.oldest + sender.on_their_way.len() as u64);
        let acked = self.rules.work == Work::Deliveries;
        let missing = self.rules.audience.listeners();
        sender.on_their_way.push_back(Message { at, acked, missing });
        voice.send(sender.who, &sender.to, stamp, self.rules.bytes);
    }

    /// At a closed pace: sends until as much as may be is on its way.
    fn fill(&mut self, voice: &mut dyn Voice, n: usize) {
        match self.rules.pace {
            Pace::Closed { in_flight } => {
                while !self.finished && self.senders[n].on_their_way.len() < in_flight {
                    self.send(voice, n, Instant::now());
                }
            }
            Pace::Open { .. } => {}
        }
    }

    fn delivered(
        &mut self,
        voice: &mut dyn Voice,
        who: usize,
        stamp: Stamp,
        now: Instant,
    ) -> Result<(), String> {
        let (n, count) = (stamp.source(), stamp.count());
        let wrong = |why: &str| Err(format!("{who} got message {count} of sender {n}: {why}"));
        let Some(sender) = self.senders.get_mut(n) else { return wrong("there is no such sender") };
        if who == sender.who {
            // Whether senders hear themselves is the server's choice, and not counted.
            return Ok(());
        }
        let Some(place) = self.rules.audience.place(n, who) else {
            return wrong("it is for somebody else");
        };
        let expected = &mut sender.expected[place];
        if count != *expected {
            return wrong(&format!("number {expected} should have come"));
        }
        *expected += 1;
        let at = count.checked_sub(sender.oldest);
        let Some(message) = at.and_then(|at| sender.on_their_way.get_mut(at as usize)) else {
            return wrong("it was never sent");
        };
        message.missing -= 1;
        self.latency.add(now.saturating_duration_since(message.at));
        if self.rules.work == Work::Deliveries {
            self.done += 1;
        }
        self.complete(voice, n);
        Ok(())
    }

    fn acked(&mut self, voice: &mut dyn Voice, who: usize, stamp: Stamp) -> Result<(), String> {
        let (n, count) = (stamp.source(), stamp.count());
        let wrong = |why: &str| Err(format!("{who} got an answer for {count} of {n}: {why}"));
        match self.senders.get_mut(n) {
            Some(sender) if sender.who == who => {
                // Where nobody waits for it, the message may be complete already.
                if self.rules.work == Work::Messages {
                    let at = count.checked_sub(sender.oldest);
                    match at.and_then(|at| sender.on_their_way.get_mut(at as usize)) {
                        Some(message) if !message.acked => message.acked = true,
                        Some(_) | None => return wrong("nothing waits for it"),
                    }
                    self.complete(voice, n);
                }
                Ok(())
            }
            Some(_) | None => wrong("it is another's"),
        }
    }

    /// Forgets what is complete, and goes on.
    fn complete(&mut self, voice: &mut dyn Voice, n: usize) {
        let sender = &mut self.senders[n];
        let mut any = false;
        while sender.on_their_way.front().is_some_and(|it| it.acked && it.missing == 0) {
            sender.on_their_way.pop_front();
            sender.oldest += 1;
            any = true;
            if self.rules.work == Work::Messages {
                self.done += 1;
            }
        }
        if any {
            self.fill(voice, n);
        }
    }
}

impl Audience {
    /// The connection of the n-th sender.
    fn sender(self, n: usize) -> usize {
        match self {
            Self::Partner => 2 * n,
            Self::Everybody { .. } => n,
        }
    }

    fn listeners(self) -> usize {
        match self {
            Self::Partner => 1,
            Self::Everybody { people } => people - 1,
        }
    }

    /// Places for those who may hear a sender.
    fn places(self) -> usize {
        match self {
            Self::Partner => 1,
            // One's own is not used.
            Self::Everybody { people } => people,
        }
    }

    /// The place of a listener with a sender, if what that one says is for them.
    fn place(self, n: usize, who: usize) -> Option<usize> {
        match self {
            Self::Partner => (who == 2 * n + 1).then_some(0),
            Self::Everybody { people } => (who < people).then_some(who),
        }
    }
}

impl Play for Exchange {
    fn heard(&mut self, voice: &mut dyn Voice, who: usize, heard: &Heard, now: Instant) {
        let result = match heard {
            Heard::Delivered(stamp) => self.delivered(voice, who, *stamp, now),
            Heard::Acked(stamp) => self.acked(voice, who, *stamp),
            Heard::Ready => Ok(()),
            Heard::Refused(why) => Err(format!("{who} was refused: {why}")),
            Heard::Wrong(why) => Err(format!("{who} was told what is wrong: {why}")),
            Heard::Closed(code) => Err(format!("{who} was closed with {code}")),
        };
        if let Err(fault) = result {
            // The first one is the cause.
            self.fault.get_or_insert(fault);
        }
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
        self.began.get_or_insert(now);
        for n in 0..self.senders.len() {
            self.fill(voice, n);
        }
        while let Some(due) = self.due()
            && due <= now
        {
            let n = (self.sent % self.senders.len() as u64) as usize;
            self.send(voice, n, due);
            self.sent += 1;
            if self.senders[n].on_their_way.len() > BEHIND_MAX {
                let fault = format!("{BEHIND_MAX} messages behind: the rate is too high");
                self.fault.get_or_insert(fault);
                return;
            }
        }
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
        self.senders.iter().all(|sender| sender.on_their_way.is_empty())
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let at = stage.exchange.senders[1].on_their_way[0].at;
        assert_eq!(stage.now - at, Duration::from_millis(150));
    }
}
