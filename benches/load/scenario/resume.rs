//! Thousands of devices that are cut off at once, miss something, and come back at once, while some
//! people go on talking. Every device must get exactly what it missed. What counts is what a return
//! costs, and what those who talk notice of it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt::Write as _,
    fs,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Common, PAUSE, Wishes, idle,
    ledger::{Answers, Ledger},
    rate, undisturbed,
};
use crate::{
    crowd::{Crowd, Guest, Play, Voice},
    dialect::{Chat, Heard, Target},
    machine::Cores,
    report::{Latency, Spread, aligned, number},
    subject::{Counts, Statements, Store, Subject, life},
};

/// Messages without an answer while the missed ones are written.
const UNANSWERED_MAX: usize = 64;
/// For all to be back, at the slowest server that is worth a measurement.
const PATIENCE: Duration = Duration::from_secs(300);
/// For what is on its way to arrive.
const LAST_ARRIVALS: Duration = Duration::from_secs(30);
/// For the server to see that sockets are gone.
const CUT: Duration = Duration::from_secs(1);
/// Of each message.
const BYTES: usize = 128;
/// Statements that are named: those that a tenth of the returns runs at least.
const NAMED_MIN: f64 = 0.1;

/// Devices that are cut off and come back at once: what a resume costs, and what others notice
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    devices: u32,
    /// Of each device; several with commas are measured one after the other
    #[arg(long, default_value = "5,50", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=200))]
    conversations: Vec<u16>,
    /// Messages that each device misses, in one of them
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    missed: u16,
    /// Devices in the conversation that they miss something in
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    members: u16,
    /// People who go on talking, all in one conversation
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    live: u16,
    /// Messages a second of all of them together
    #[arg(long, value_name = "PER_SECOND", default_value = "50", value_parser = rate)]
    rate: f64,
    /// Connections that the server lets in a second; 500 is how it comes
    #[arg(long, default_value_t = 500, conflicts_with = "url",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    admissions: u32,
    /// Returns that are measured with each number of conversations
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// How long people talk before the devices are cut off, for what they notice of the return
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    #[command(flatten)]
    common: Common,
}

/// What was seen of one return.
struct Outcome {
    /// Until the last one was back.
    seconds: f64,
    cpu_seconds: Option<f64>,
    /// Of those who talk, in microseconds.
    before: [f64; 2],
    during: [f64; 2],
    /// Of each resume, beyond what those who talk cause: all, and by their text.
    statements: Option<(f64, Vec<(String, f64)>)>,
    told_to_wait: u64,
}

impl Resume {
    pub(crate) fn run(&self, cores: Cores) -> anyhow::Result<()> {
        let mut sets = Vec::new();
        let mut counted = None;
        for conversations in &self.conversations {
            let mut outcomes = Vec::new();
            for run in 1..=self.runs {
                let name = format!("{conversations} conversations");
                eprintln!("run {run} of {}: {name}", self.runs);
                let subject = self.subject(*conversations, cores)?;
                counted = subject.database.as_ref().map(|it| it.counted());
                let outcome = self.once(&subject).with_context(|| format!("run {run}, {name}"))?;
                outcomes.push(outcome);
            }
            sets.push((*conversations, outcomes));
        }
        print!("{}", self.text(&sets, counted));
        if let Some(file) = &self.common.json {
            let report = self.json(&sets, counted);
            fs::write(file, format!("{report:#}\n"))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    fn devices(&self) -> usize {
        self.devices as usize
    }

    fn people(&self) -> usize {
        self.devices() + usize::from(self.live)
    }

    /// Conversations in which something is missed, each with who writes there first.
    fn news(&self) -> Vec<Vec<usize>> {
        let devices: Vec<usize> = (0..self.devices()).collect();
        let groups = devices.chunks(usize::from(self.members)).enumerate();
        groups
            .map(|(n, members)| {
                let writer = self.devices() + n % usize::from(self.live);
                std::iter::once(writer).chain(members.iter().copied()).collect()
            })
            .collect()
    }

    fn subject(&self, conversations: u16, cores: Cores) -> anyhow::Result<Subject> {
        let mut groups = vec![(self.devices()..self.people()).collect()];
        groups.extend(self.news());
        groups.extend(idle::groups(self.devices(), usize::from(conversations) - 1, idle::GROUP));
        let admissions = self.admissions.to_string();
        let wishes = Wishes {
            store: Store::Postgres,
            counts: Counts::Yes,
            settings: &[("CHAT_SERVER__LIMITS__ADMISSIONS_PER_SECOND", &admissions)],
            ..Wishes::PLAIN
        };
        self.common.subject_like(&wishes, cores, self.people(), &groups)
    }

    fn once(&self, subject: &Subject) -> anyhow::Result<Outcome> {
        let chat = Chat::resuming(subject.addresses[0].to_string(), life());
        let guests: Vec<Guest<'_>> = self.common.guests(subject, self.people()).collect();
        let handshakes = usize::from(self.common.handshakes);
        let crowd = Crowd::gather(&chat, &guests, handshakes)?;
        let mut scene = Scene::new(self, subject, crowd);

        // What a device knows of a conversation, it names when it comes back.
        scene.write_news(1)?;
        scene.until_complete()?;
        let users = || guests[..self.devices()].iter().map(|guest| guest.person.user.as_str());
        scene.until("a device got no resume token", LAST_ARRIVALS, |_| {
            chat.can_resume(users()) == self.devices()
        })?;

        let asked = statements(subject)?;
        scene.talk(Instant::now() + Duration::from_secs(self.seconds), |_| Ok(true))?;
        let before = scene.end_talk()?;
        let base = rise(&asked, &statements(subject)?);

        for who in 0..self.devices() {
            scene.crowd.leave(who);
        }
        scene.rest(CUT)?;
        scene.write_news(u64::from(self.missed))?;
        scene.until("an answer is missing", LAST_ARRIVALS, |play| play.ledger.unanswered() == 0)?;

        let asked = statements(subject)?;
        let (began, cpu) = (Instant::now(), subject.cpu());
        scene.play.due_each = 1 + u64::from(self.missed);
        let mut queue = Queue::new(self.devices(), handshakes);
        scene.talk(began + PATIENCE, |scene| queue.go_on(scene, &chat, &guests))?;
        if queue.back < self.devices() {
            bail!("only {} of {} are back within {PATIENCE:?}", queue.back, self.devices());
        }
        let took = began.elapsed();
        let cpu: f64 = subject.cpu_since(&cpu).iter().map(|(_, seconds)| seconds).sum();
        let during = scene.end_talk()?;
        let after = statements(subject)?;
        // Nothing twice, either.
        scene.rest(CUT)?;
        scene.until_complete()?;

        let share = took.as_secs_f64() / self.seconds as f64;
        let statements = subject.database.is_some().then(|| {
            let mut each: Vec<(String, f64)> = rise(&asked, &after)
                .into_iter()
                .map(|(text, calls)| {
                    let usual = base.get(&text).copied().unwrap_or_default() as f64 * share;
                    (text, (calls as f64 - usual) / f64::from(self.devices))
                })
                .collect();
            let all = each.iter().map(|(_, calls)| calls).sum();
            each.retain(|(_, calls)| *calls >= NAMED_MIN);
            each.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            (all, each)
        });
        Ok(Outcome {
            seconds: took.as_secs_f64(),
            cpu_seconds: (cpu > 0.0).then_some(cpu),
            before,
            during,
            statements,
            told_to_wait: queue.told_to_wait,
        })
    }

    fn text(&self, sets: &[(u16, Vec<Outcome>)], counted: Option<&str>) -> String {
        let mut lines = vec![
            [
                "conversations of each",
                "resumes per CPU-second",
                "seconds",
                "live p50 before",
                "during",
                "live p99 before",
                "during",
                "p99, times",
                "statements per resume",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for (conversations, outcomes) in sets {
            let figures = figures(f64::from(self.devices), outcomes);
            let cell = |spread: &Option<Spread>, digits: usize| match spread {
                Some(Spread { median, min, max }) => {
                    format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
                }
                None => "-".to_owned(),
            };
            let digits = [0, 1, 0, 0, 0, 0, 2, 2];
            let cells = figures.iter().zip(digits).map(|((_, it), digits)| cell(it, digits));
            lines.push(std::iter::once(conversations.to_string()).chain(cells).collect());
        }
        let mut text = format!("{}\n{}", self.scenario(), aligned(&lines));
        let _ = writeln!(
            text,
            "medians of {} runs (smallest to largest); latencies in microseconds; every device got \
             exactly what it missed, in order, once, before it was live",
            self.runs
        );
        if let Some(counted) = counted {
            let _ = writeln!(text, "counted are {counted}, less what those who talk cause");
        }
        for (conversations, outcomes) in sets {
            let waits: u64 = outcomes.iter().map(|it| it.told_to_wait).sum();
            let _ = writeln!(
                text,
                "{conversations} conversations: told to come later {} times",
                number(waits as f64)
            );
            let named = outcomes.last().and_then(|it| it.statements.as_ref());
            for (statement, calls) in named.iter().flat_map(|(_, each)| each) {
                let statement: String = statement.chars().take(90).collect();
                let _ = writeln!(text, "  {calls:.2} of {statement}");
            }
        }
        text
    }

    fn json(&self, sets: &[(u16, Vec<Outcome>)], counted: Option<&str>) -> Value {
        let rows = sets.iter().map(|(conversations, outcomes)| {
            let mut row = json!({ "conversations": conversations });
            for (name, spread) in figures(f64::from(self.devices), outcomes) {
                row[name] = json!(spread.map(Spread::json));
            }
            row
        });
        json!({
            "scenario": self.scenario(),
            "unit": "resumes",
            "counted": counted,
            "rows": rows.collect::<Vec<_>>(),
        })
    }

    fn scenario(&self) -> String {
        // What a server that runs already lets in is its own business.
        let admissions = match self.common.people {
            None => format!(", {} let in a second", self.admissions),
            Some(_) => String::new(),
        };
        format!(
            "resume: {} devices cut at once, {} missed each in a conversation of {}, {} on the way \
             in at a time{admissions}; {} people talk, {} messages a second",
            self.devices, self.missed, self.members, self.common.handshakes, self.live, self.rate
        )
    }
}

fn figures(devices: f64, outcomes: &[Outcome]) -> [(&'static str, Option<Spread>); 8] {
    let of =
        |figure: &dyn Fn(&Outcome) -> Option<f64>| Spread::of(outcomes.iter().filter_map(figure));
    [
        ("resumes_per_cpu_second", of(&|it| Some(devices / it.cpu_seconds?))),
        ("seconds", of(&|it| Some(it.seconds))),
        ("live_p50_before_us", of(&|it| Some(it.before[0]))),
        ("live_p50_during_us", of(&|it| Some(it.during[0]))),
        ("live_p99_before_us", of(&|it| Some(it.before[1]))),
        ("live_p99_during_us", of(&|it| Some(it.during[1]))),
        ("live_p99_times", of(&|it| Some(it.during[1] / it.before[1]))),
        ("statements_per_resume", of(&|it| Some(it.statements.as_ref()?.0))),
    ]
}

fn statements(subject: &Subject) -> anyhow::Result<Statements> {
    subject.database.as_ref().map_or_else(|| Ok(Statements::new()), |it| it.statements())
}

fn rise(before: &Statements, after: &Statements) -> Statements {
    let rise = after.iter().map(|(text, calls)| {
        (text.clone(), calls.saturating_sub(before.get(text).copied().unwrap_or_default()))
    });
    rise.collect()
}

/// The crowd, and what it plays.
struct Scene<'a> {
    resume: &'a Resume,
    crowd: Crowd,
    play: Return,
    /// Where each line goes: those who talk first, then the news.
    targets: Vec<Target>,
    /// When the last message of those who talk was due, and how many were.
    talk: Option<(Instant, u64)>,
}

impl<'a> Scene<'a> {
    fn new(resume: &'a Resume, subject: &Subject, crowd: Crowd) -> Self {
        let mut ledger = Ledger::new(Answers::Awaited);
        let mut targets = Vec::new();
        let live: Rc<[usize]> = (resume.devices()..resume.people()).collect();
        for sender in live.iter() {
            ledger.line(*sender, Rc::clone(&live));
            targets.push(Target::Group(subject.groups[0].clone()));
        }
        for (members, group) in resume.news().iter().zip(&subject.groups[1..]) {
            let mut sorted = members.clone();
            sorted.sort_unstable();
            ledger.line(members[0], sorted.into());
            targets.push(Target::Group(group.clone()));
        }
        let play = Return {
            ledger,
            devices: resume.devices(),
            talkers: live.len(),
            heard: vec![0; resume.devices()],
            due_each: 0,
            away: vec![false; resume.devices()],
            back: Vec::new(),
            refused: Vec::new(),
            later: None,
            latency: Latency::new(),
            fault: None,
        };
        Self { resume, crowd, play, targets, talk: None }
    }

    fn turn(&mut self, until: Instant) -> anyhow::Result<()> {
        self.crowd.turn(until, &mut self.play)?;
        match &self.play.fault {
            Some(fault) => bail!("{fault}"),
            None => Ok(()),
        }
    }

    fn rest(&mut self, span: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    fn until(
        &mut self,
        missing: &str,
        patience: Duration,
        done: impl Fn(&Return) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while !done(&self.play) {
            if Instant::now() > deadline {
                bail!("{missing}, after {patience:?}");
            }
            self.turn(Instant::now() + Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn until_complete(&mut self) -> anyhow::Result<()> {
        self.until("a message has not arrived", LAST_ARRIVALS, |play| play.ledger.open() == 0)
    }

    fn send(&mut self, line: usize, at: Instant) -> anyhow::Result<()> {
        let stamp = self.play.ledger.send(line, at)?;
        let who = self.play.ledger.sender(line);
        self.crowd.voice().send(who, &self.targets[line], stamp, BYTES);
        Ok(())
    }

    /// So many messages into each conversation of devices.
    fn write_news(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            for line in self.play.talkers..self.targets.len() {
                self.send(line, Instant::now())?;
                self.until("an answer is missing", LAST_ARRIVALS, |play| {
                    play.ledger.unanswered() < UNANSWERED_MAX
                })?;
            }
        }
        Ok(())
    }

    /// Has the talk go on at its pace until then, or until nothing is left to do beside it.
    fn talk(
        &mut self,
        end: Instant,
        mut beside: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        self.play.latency.clear();
        while Instant::now() < end && beside(self)? {
            let (began, sent) = *self.talk.get_or_insert((Instant::now(), 0));
            let due = began + Duration::from_secs_f64(sent as f64 / self.resume.rate);
            if due <= Instant::now() {
                self.send((sent % self.play.talkers as u64) as usize, due)?;
                self.talk = Some((began, sent + 1));
            } else {
                self.turn(due.min(end))?;
            }
        }
        Ok(())
    }

    /// What those who talk waited for each other, half of the times and 99 in a hundred at most.
    fn end_talk(&mut self) -> anyhow::Result<[f64; 2]> {
        self.talk = None;
        self.until("an answer is missing", LAST_ARRIVALS, |play| play.ledger.unanswered() == 0)?;
        let latency = &self.play.latency;
        let both = latency.at(0.5).zip(latency.at(0.99)).context("nobody talked")?;
        Ok([both.0, both.1])
    }
}

/// Devices on their way back, a bounded number of them at a time.
struct Queue {
    /// Who comes when.
    waiting: BinaryHeap<Reverse<(Instant, usize)>>,
    room: usize,
    back: usize,
    told_to_wait: u64,
}

impl Queue {
    fn new(devices: usize, room: usize) -> Self {
        let now = Instant::now();
        let waiting = (0..devices).map(|who| Reverse((now, who))).collect();
        Self { waiting, room, back: 0, told_to_wait: 0 }
    }

    /// Lets in who may come; whether anybody is missing.
    fn go_on(
        &mut self,
        scene: &mut Scene<'_>,
        chat: &Chat,
        guests: &[Guest<'_>],
    ) -> anyhow::Result<bool> {
        for who in std::mem::take(&mut scene.play.back) {
            scene.crowd.expect_beat(who);
            self.back += 1;
            self.room += 1;
        }
        for (who, after) in std::mem::take(&mut scene.play.refused) {
            self.waiting.push(Reverse((Instant::now() + after, who)));
            self.told_to_wait += 1;
            self.room += 1;
        }
        while self.room > 0
            && let Some(Reverse((from, who))) = self.waiting.peek().copied()
            && from <= Instant::now()
        {
            self.waiting.pop();
            scene.play.away[who] = true;
            scene.crowd.come(who, chat, &guests[who])?;
            self.room -= 1;
        }
        Ok(self.back < guests.len() - scene.play.talkers)
    }
}

/// The play.
struct Return {
    ledger: Ledger,
    /// People below are devices, those above talk.
    devices: usize,
    talkers: usize,
    /// Messages that each device got.
    heard: Vec<u64>,
    /// How many it has to have when it is live.
    due_each: u64,
    /// On the way in, and may be told to come later.
    away: Vec<bool>,
    back: Vec<usize>,
    /// And when they were told to come back.
    refused: Vec<(usize, Duration)>,
    /// What the one who is being refused was told.
    later: Option<Duration>,
    latency: Latency,
    fault: Option<String>,
}

impl Return {
    fn hear(&mut self, who: usize, heard: &Heard, now: Instant) -> Result<(), String> {
        let is_away = self.away.get(who).copied().unwrap_or_default();
        match heard {
            Heard::Delivered(stamp) => {
                let delivery = self.ledger.delivered(who, *stamp)?;
                if who < self.devices {
                    self.heard[who] += 1;
                } else if let Some(delivery) = delivery {
                    self.latency.add(now.saturating_duration_since(delivery.sent));
                }
                Ok(())
            }
            Heard::Acked(stamp) => self.ledger.answered(who, *stamp).map(drop),
            Heard::Ready if is_away => {
                let (got, due) = (self.heard[who], self.due_each);
                if got != due {
                    return Err(format!("{who} is live with {got} messages, and {due} were sent"));
                }
                self.away[who] = false;
                self.back.push(who);
                Ok(())
            }
            Heard::Later(after) => {
                self.later = Some(*after);
                Ok(())
            }
            // It closes as well.
            Heard::Refused(_) if is_away => Ok(()),
            Heard::Closed(_) if is_away => {
                self.away[who] = false;
                self.refused.push((who, self.later.take().unwrap_or(PAUSE)));
                Ok(())
            }
            Heard::Ready | Heard::Refused(_) | Heard::Wrong(_) | Heard::Closed(_) => {
                undisturbed(who, heard)
            }
        }
    }
}

impl Play for Return {
    fn heard(&mut self, _voice: &mut dyn Voice, who: usize, heard: &Heard, now: Instant) {
        if let Err(fault) = self.hear(who, heard, now) {
            // The first one is the cause.
            self.fault.get_or_insert(fault);
        }
    }
}
