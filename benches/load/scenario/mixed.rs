//! A day in the life: people write to each other, in small groups and in one large one, read, type,
//! go away with and without a goodbye, and come back. Everybody must get everything once and in order,
//! and when all have left, the server must have let go of them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fs,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chat_sdk::{ConversationId, UserId};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Common, PAUSE, Wishes, idle,
    ledger::{Answers, Ledger},
    rate, undisturbed,
};
use crate::{
    crowd::{Crowd, Guest, Play, Voice},
    dialect::{Chat, Heard, Sign, Target},
    machine::Cores,
    report::Latency,
    stamp::Stamp,
    subject::{Subject, Vitals, life},
};

/// What happens, out of a hundred times.
const MIXTURE: &[(Act, u32)] = &[
    (Act::Say(Where::Direct), 50),
    (Act::Say(Where::Small), 25),
    (Act::Say(Where::Large), 1),
    (Act::Show(Sign::Read), 12),
    (Act::Show(Sign::Typing), 8),
    (Act::Go(Manner::Goodbye), 2),
    (Act::Go(Manner::Cut), 2),
];
/// Members of a small group, and small groups of each.
const SMALL: usize = 5;
const SMALL_EACH: usize = 2;
/// Who goes away stays away for so long.
const AWAY: std::ops::Range<u64> = 500..8_000;
/// Of all people, who may be away at a time: one in so many.
const AWAY_SHARE: usize = 3;
/// Throws for somebody who is there.
const THROWS: usize = 16;
/// Of each message.
const BYTES: usize = 128;
/// The same each time.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MINUTE: Duration = Duration::from_secs(60);
/// For everybody to be back, to have everything, and to be gone.
const PATIENCE: Duration = Duration::from_secs(120);
/// For a server to notice that it was left: whoever is gone counts as online for a while.
const NOTICE: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Say(Where),
    Show(Sign),
    Go(Manner),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Direct,
    Small,
    Large,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Goodbye,
    /// The socket is reset.
    Cut,
}

/// A day in the life, and a soak: everything at once, and what is left of it
#[derive(Debug, Args)]
pub(crate) struct Mixed {
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    crowd: u32,
    /// Acts a second: of a hundred, 50 direct messages, 25 to groups of five, 1 to all, 12 times
    /// somebody reads, 8 times types, 2 go away with a goodbye and 2 without
    #[arg(long, value_name = "PER_SECOND", default_value = "200", value_parser = rate)]
    rate: f64,
    /// How long
    #[arg(long, default_value = "1", value_parser = minutes)]
    minutes: f64,
    /// How long the same crowd plays before it, to warm the server up; a log that was just begun fills
    /// a store's cache for some time, which is no leak. One minute, or `--minutes` if that is less
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    warm_up_minutes: Option<f64>,
    #[command(flatten)]
    common: Common,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if (0.05..=1_440.0).contains(&minutes) => Ok(minutes),
        Ok(_) | Err(_) => Err("a number from 0.05 to 1,440 is expected".to_owned()),
    }
}

impl Mixed {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let people = self.crowd as usize;
        let mut groups = vec![(0..people).collect::<Vec<_>>()];
        groups.extend(idle::groups(people, SMALL_EACH, SMALL));
        let wishes = Wishes {
            settings: &[("CHAT_SERVER__METRICS__LISTEN", "127.0.0.1:0")],
            ..Wishes::PLAIN
        };
        let subject = self.common.subject_like(&wishes, cores, people, &groups)?;
        let length = MINUTE.mul_f64(self.minutes);
        println!("{}", self.scenario());
        println!("warm-up");
        let mut periods = Vec::new();
        let warm_up = MINUTE.mul_f64(self.warm_up_minutes.unwrap_or(self.minutes.min(1.0)));
        self.round(&subject, &groups, warm_up, &mut Vec::new())?;
        let first = self.left(&subject, None)?;
        println!("after it: {}", first.text());
        self.round(&subject, &groups, length, &mut periods)?;
        let last = self.left(&subject, Some(&first))?;
        println!("at the end: {}", last.text());
        let mut grown = last.grown_since(&first);
        grown.extend(last.still_there());
        if let Some(file) = &self.common.json {
            let report = json!({
                "scenario": self.scenario(),
                "periods": periods,
                "after_warm_up": vitals(&first),
                "at_the_end": vitals(&last),
                "grown": grown,
            });
            fs::write(file, format!("{report:#}\n"))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if subject.processes.is_empty() {
            println!("everything arrived; what the server holds is not known without --pid");
        } else if grown.is_empty() {
            println!(
                "everything arrived, and the server is back to where it was after the warm-up \
                 (memory within a tenth or 4 MiB, nothing else any higher)"
            );
        } else {
            bail!("the server has not let go of everything: {}", grown.join("; "));
        }
        Ok(())
    }

    fn scenario(&self) -> String {
        format!(
            "mixed: {} people, {} acts a second for {} minutes; of a hundred: 50 direct messages, 25 \
             to groups of five, 1 to all, 12 reads, 8 times typing, 2 go with a goodbye, 2 without",
            self.crowd, self.rate, self.minutes
        )
    }

    /// What is left when everybody has gone: at rest, or as soon as it is no more than before.
    fn left(&self, subject: &Subject, before: Option<&Vitals>) -> anyhow::Result<Vitals> {
        idle::at_rest(subject, None)?;
        let deadline = Instant::now() + NOTICE;
        loop {
            let vitals = Vitals::of(subject)?;
            let grown = before.is_some_and(|before| !vitals.grown_since(before).is_empty());
            if Instant::now() > deadline || (vitals.still_there().is_empty() && !grown) {
                return Ok(vitals);
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Everybody comes, lives for so long, gets what is due, and leaves.
    fn round(
        &self,
        subject: &Subject,
        groups: &[Vec<usize>],
        length: Duration,
        periods: &mut Vec<Value>,
    ) -> anyhow::Result<()> {
        let people = self.crowd as usize;
        let chat = Chat::resuming(subject.addresses[0].to_string(), life());
        let guests: Vec<Guest<'_>> = self.common.guests(subject, people).collect();
        let crowd = Crowd::gather(&chat, &guests, usize::from(self.common.handshakes))?;
        let mut day = Day {
            crowd,
            town: Town::new(people),
            places: Places::new(subject, groups, people)?,
            lines: HashMap::new(),
            dice: Dice(SEED),
            returns: BinaryHeap::new(),
            chat: &chat,
            guests: &guests,
        };
        let began = Instant::now();
        let (mut acts, mut minute) = (0_u64, 1_u32);
        let mut period = Period::new(subject, &day.town);
        while began.elapsed() < length {
            let due = began + Duration::from_secs_f64(acts as f64 / self.rate);
            if due <= Instant::now() {
                day.act(due)?;
                acts += 1;
            } else {
                let end = due.min(began + length).min(began + MINUTE * minute);
                day.turn(end)?;
            }
            if began.elapsed() >= (MINUTE * minute).min(length) {
                periods.push(period.end(subject, &mut day.town)?);
                period = Period::new(subject, &day.town);
                minute += 1;
            }
        }
        day.end()
    }
}

fn vitals(vitals: &Vitals) -> Value {
    json!({
        "resident_bytes": vitals.resident_bytes,
        "descriptors": vitals.descriptors,
        "threads": vitals.threads,
        "gauges": vitals.gauges,
    })
}

/// A minute, or what there is of one.
struct Period {
    began: Instant,
    cpu: f64,
    answered: u64,
    delivered: u64,
    returned: u64,
}

fn cpu_seconds(subject: &Subject) -> f64 {
    subject.cpu().iter().map(|(_, seconds)| seconds).sum()
}

impl Period {
    fn new(subject: &Subject, town: &Town) -> Self {
        let Town { answered, delivered, returned, .. } = *town;
        Self { began: Instant::now(), cpu: cpu_seconds(subject), answered, delivered, returned }
    }

    /// Says what it was like. Asking the server takes some milliseconds, which count as latency.
    fn end(self, subject: &Subject, town: &mut Town) -> anyhow::Result<Value> {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = cpu_seconds(subject) - self.cpu;
        let held = Vitals::of(subject)?;
        let at = |quantile| town.latency.at(quantile).unwrap_or_default();
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        town.latency.clear();
        let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
        let messages = rate(town.answered, self.answered);
        let deliveries = rate(town.delivered, self.delivered);
        let returned = town.returned - self.returned;
        println!(
            "{messages:.0} messages and {deliveries:.0} deliveries a second; p50 {p50:.0} us, \
             p99 {p99:.0} us, p99.9 {p999:.0} us; {returned} came back; CPU {:.0} %; {}",
            cpu / seconds * 100.0,
            held.text()
        );
        Ok(json!({
            "seconds": seconds,
            "messages_per_second": messages,
            "deliveries_per_second": deliveries,
            "latency_us": { "p50": p50, "p99": p99, "p999": p999 },
            "returned": returned,
            "cpu_seconds": cpu,
            "held": vitals(&held),
        }))
    }
}

/// Where something can be said.
struct Places {
    /// Everybody there, in order; groups first, the one of all at the beginning, then pairs.
    members: Vec<Rc<[usize]>>,
    /// Their ids.
    conversations: Vec<String>,
    /// Small groups by person.
    small: Vec<Vec<usize>>,
    groups: usize,
    users: Vec<String>,
}

impl Places {
    fn new(subject: &Subject, groups: &[Vec<usize>], people: usize) -> anyhow::Result<Self> {
        let mut small = vec![Vec::new(); people];
        let mut members: Vec<Rc<[usize]>> = Vec::new();
        for (n, group) in groups.iter().enumerate() {
            let mut sorted = group.clone();
            sorted.sort_unstable();
            if n > 0 {
                sorted.iter().for_each(|who| small[*who].push(n));
            }
            members.push(sorted.into());
        }
        let mut conversations = subject.groups.clone();
        let users: Vec<String> =
            subject.people[..people].iter().map(|person| person.user.clone()).collect();
        for (n, pair) in users.chunks_exact(2).enumerate() {
            members.push(Rc::from([2 * n, 2 * n + 1]));
            let [one, other] = [&pair[0], &pair[1]].map(|user| UserId::new(user.clone()));
            conversations.push(ConversationId::direct(&one?, &other?).to_string());
        }
        Ok(Self { members, conversations, small, groups: groups.len(), users })
    }

    /// One of these that somebody is in; an odd one out has nobody to write to alone.
    fn choose(&self, who: usize, of: Where, dice: &mut Dice) -> Option<usize> {
        match of {
            Where::Direct => Some(self.groups + who / 2).filter(|it| *it < self.members.len()),
            Where::Small => {
                let all = &self.small[who];
                all.get(dice.below(all.len().max(1) as u64) as usize).copied()
            }
            Where::Large => Some(0),
        }
    }

    fn target(&self, place: usize, who: usize) -> Target {
        if place < self.groups {
            Target::Group(self.conversations[place].clone())
        } else {
            // The other one of the two.
            Target::Person(self.users[who ^ 1].clone())
        }
    }
}

/// Chance that is the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn act(&mut self) -> Act {
        let mut left = self.below(MIXTURE.iter().map(|(_, weight)| u64::from(*weight)).sum());
        for (act, weight) in MIXTURE {
            match left.checked_sub(u64::from(*weight)) {
                Some(more) => left = more,
                None => return *act,
            }
        }
        unreachable!("the throw is below the sum of all weights")
    }
}

/// A round that is played.
struct Day<'a> {
    crowd: Crowd,
    town: Town,
    places: Places,
    /// By place and who speaks.
    lines: HashMap<(usize, usize), usize>,
    dice: Dice,
    /// Who comes back when.
    returns: BinaryHeap<Reverse<(Instant, usize)>>,
    chat: &'a Chat,
    guests: &'a [Guest<'a>],
}

impl Day<'_> {
    fn turn(&mut self, until: Instant) -> anyhow::Result<()> {
        let now = Instant::now();
        for (who, after) in std::mem::take(&mut self.town.gone) {
            let after = after.unwrap_or_else(|| {
                Duration::from_millis(AWAY.start + self.dice.below(AWAY.end - AWAY.start))
            });
            self.returns.push(Reverse((now + after, who)));
        }
        for who in std::mem::take(&mut self.town.arrived) {
            self.crowd.expect_beat(who);
        }
        while let Some(Reverse((from, who))) = self.returns.peek().copied()
            && from <= now
        {
            self.returns.pop();
            self.town.states[who] = Presence::Coming;
            self.crowd.come(who, self.chat, &self.guests[who])?;
        }
        let until = self.returns.peek().map_or(until, |Reverse((from, _))| until.min(*from));
        self.crowd.turn(until, &mut self.town)?;
        match &self.town.fault {
            Some(fault) => bail!("{fault}"),
            None => Ok(()),
        }
    }

    fn act(&mut self, at: Instant) -> anyhow::Result<()> {
        let act = self.dice.act();
        let there = (0..THROWS).find_map(|_| {
            let who = self.dice.below(self.town.states.len() as u64) as usize;
            matches!(self.town.states[who], Presence::Here(_)).then_some(who)
        });
        // Nearly everybody is away: nothing happens this time.
        let Some(who) = there else { return Ok(()) };
        match act {
            Act::Say(of) => self.say(who, of, at)?,
            Act::Show(sign) => {
                let of = if self.dice.below(2) == 0 { Where::Direct } else { Where::Small };
                if let Some(place) = self.places.choose(who, of, &mut self.dice) {
                    self.crowd.sign(who, &self.places.conversations[place], sign);
                }
            }
            Act::Go(manner) => {
                let away = self.town.states.len() - self.town.here();
                // Who waits for an answer would have to ask again, with the same key.
                if self.town.unanswered[who] == 0 && away < self.town.states.len() / AWAY_SHARE {
                    self.go(who, manner);
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, who: usize, of: Where, at: Instant) -> anyhow::Result<()> {
        let Some(place) = self.places.choose(who, of, &mut self.dice) else { return Ok(()) };
        let ledger = &mut self.town.ledger;
        let members = &self.places.members[place];
        let line =
            *self.lines.entry((place, who)).or_insert_with(|| ledger.line(who, Rc::clone(members)));
        let stamp = ledger.send(line, at)?;
        self.town.unanswered[who] += 1;
        self.crowd.voice().send(who, &self.places.target(place, who), stamp, BYTES);
        Ok(())
    }

    fn go(&mut self, who: usize, manner: Manner) {
        match manner {
            Manner::Goodbye => {
                self.town.states[who] = Presence::Leaving;
                self.crowd.say_goodbye(who);
            }
            Manner::Cut => {
                self.crowd.leave(who);
                self.town.states[who] = Presence::Away;
                self.town.gone.push((who, None));
            }
        }
    }

    fn until(&mut self, missing: &str, done: impl Fn(&Town) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.town) {
            if Instant::now() > deadline {
                let (here, open) = (self.town.here(), self.town.ledger.open());
                bail!("{missing} after {PATIENCE:?}: {here} are there, {open} messages are open");
            }
            self.turn(Instant::now() + Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Everybody comes back once more, has everything, and leaves for good.
    fn end(mut self) -> anyhow::Result<()> {
        self.until("not everybody is back", |town| town.here() == town.states.len())?;
        self.until("a message has not arrived", |town| town.ledger.open() == 0)?;
        self.town.closing_time = true;
        for who in 0..self.town.states.len() {
            self.go(who, Manner::Goodbye);
        }
        self.until("somebody's goodbye was not answered", |town| {
            town.states.iter().all(|state| matches!(state, Presence::Away))
        })
    }
}

/// Where somebody is.
#[derive(Debug, Clone, Copy)]
enum Presence {
    /// Since then.
    Here(Instant),
    /// The goodbye is said and not answered.
    Leaving,
    Away,
    Coming,
}

/// The play.
struct Town {
    states: Vec<Presence>,
    ledger: Ledger,
    /// Messages of each without an answer.
    unanswered: Vec<u32>,
    /// Who went away, and is to come back after this; without: after as long as chance has it.
    gone: Vec<(usize, Option<Duration>)>,
    /// What the one who is being refused was told.
    later: Option<Duration>,
    arrived: Vec<usize>,
    /// Nobody comes back.
    closing_time: bool,
    answered: u64,
    delivered: u64,
    returned: u64,
    latency: Latency,
    fault: Option<String>,
}

impl Town {
    fn new(people: usize) -> Self {
        Self {
            states: vec![Presence::Here(Instant::now()); people],
            ledger: Ledger::new(Answers::Awaited),
            unanswered: vec![0; people],
            gone: Vec::new(),
            later: None,
            arrived: Vec::new(),
            closing_time: false,
            answered: 0,
            delivered: 0,
            returned: 0,
            latency: Latency::new(),
            fault: None,
        }
    }

    fn here(&self) -> usize {
        self.states.iter().filter(|state| matches!(state, Presence::Here(_))).count()
    }

    fn take(&mut self, who: usize, stamp: Stamp, now: Instant) -> Result<(), String> {
        let Some(delivery) = self.ledger.delivered(who, stamp)? else { return Ok(()) };
        self.delivered += 1;
        // What was said while somebody was away waited for them, not for the server.
        if let Presence::Here(since) = self.states[who]
            && since <= delivery.sent
        {
            self.latency.add(now.saturating_duration_since(delivery.sent));
        }
        Ok(())
    }

    fn hear(&mut self, who: usize, heard: &Heard, now: Instant) -> Result<(), String> {
        match (heard, self.states[who]) {
            (Heard::Delivered(stamp), _) => self.take(who, *stamp, now),
            (Heard::Acked(stamp), _) => {
                self.ledger.answered(who, *stamp)?;
                self.unanswered[who] -= 1;
                self.answered += 1;
                Ok(())
            }
            (Heard::Ready, Presence::Coming) => {
                self.states[who] = Presence::Here(now);
                self.arrived.push(who);
                self.returned += 1;
                Ok(())
            }
            (Heard::Ready, _) => Err(format!("{who} is live a second time")),
            (Heard::Closed(_), Presence::Leaving) => {
                self.states[who] = Presence::Away;
                if !self.closing_time {
                    self.gone.push((who, None));
                }
                Ok(())
            }
            (Heard::Closed(_), Presence::Coming) => {
                self.states[who] = Presence::Away;
                self.gone.push((who, Some(self.later.take().unwrap_or(PAUSE))));
                Ok(())
            }
            (Heard::Later(after), _) => {
                self.later = Some(*after);
                Ok(())
            }
            // It closes as well.
            (Heard::Refused(_), Presence::Leaving | Presence::Coming) => Ok(()),
            (Heard::Wrong(_), _)
            | (Heard::Refused(_) | Heard::Closed(_), Presence::Here(_) | Presence::Away) => {
                undisturbed(who, heard)
            }
        }
    }
}

impl Play for Town {
    fn heard(&mut self, _voice: &mut dyn Voice, who: usize, heard: &Heard, now: Instant) {
        if let Err(fault) = self.hear(who, heard, now) {
            // The first one is the cause.
            self.fault.get_or_insert(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixture_is_what_is_said_of_it() {
        assert_eq!(MIXTURE.iter().map(|(_, weight)| weight).sum::<u32>(), 100);
        let mut dice = Dice(SEED);
        let mut seen = vec![0_u32; MIXTURE.len()];
        for _ in 0..100_000 {
            let act = dice.act();
            seen[MIXTURE.iter().position(|(it, _)| *it == act).unwrap()] += 1;
        }
        for ((act, weight), seen) in MIXTURE.iter().zip(seen) {
            assert!(seen.abs_diff(weight * 1_000) < 500, "{act:?}: {seen}");
        }
    }

    #[test]
    fn what_waited_for_somebody_is_no_latency() {
        let mut town = Town::new(2);
        let line = town.ledger.line(0, Rc::from([0, 1]));
        town.states[1] = Presence::Coming;
        town.ledger.send(line, Instant::now()).unwrap();
        town.hear(1, &Heard::Delivered(Stamp::new(line, 0)), Instant::now()).unwrap();
        town.hear(1, &Heard::Ready, Instant::now()).unwrap();
        assert_eq!((town.delivered, town.latency.at(0.5)), (1, None));
        town.ledger.send(line, Instant::now()).unwrap();
        let later = Instant::now() + Duration::from_millis(5);
        town.hear(1, &Heard::Delivered(Stamp::new(line, 1)), later).unwrap();
        assert!(town.latency.at(0.5).unwrap() >= 4_900.0);
        // Nobody is thrown out, and nothing comes twice.
        assert!(town.hear(1, &Heard::Delivered(Stamp::new(line, 1)), later).is_err());
        assert!(town.hear(1, &Heard::Closed(4000), later).is_err());
    }
}
