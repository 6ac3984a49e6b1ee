//! Where everybody writes down what happens, in the order in which it is seen: all devices live on
//! one thread, and have one clock.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::Instant,
};

use chat_check::history::{Answer, Ask, Conversation, Device, Entry, Op, Phase, Time, User, What};

/// The history of a run, shared by all who write it.
#[derive(Clone)]
pub struct Book(Rc<RefCell<Pages>>);

struct Pages {
    began: Instant,
    entries: Vec<Entry>,
    users: HashMap<String, User>,
    conversations: HashMap<String, Conversation>,
    ids: Vec<String>,
    devices: Device,
    credentials: u32,
    ops: Op,
    counts: BTreeMap<&'static str, u64>,
    /// How far each log is known to reach, and since when.
    heads: HashMap<Conversation, (u64, Time)>,
}

impl Default for Book {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Pages {
            began: Instant::now(),
            entries: Vec::new(),
            users: HashMap::new(),
            conversations: HashMap::new(),
            ids: Vec::new(),
            devices: 0,
            credentials: 0,
            ops: 0,
            counts: BTreeMap::new(),
            heads: HashMap::new(),
        })))
    }
}

impl Book {
    /// Microseconds since it was opened.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::try_from(self.0.borrow().began.elapsed().as_micros()).unwrap_or(Time::MAX)
    }

    /// The time that an instant since then was.
    #[must_use]
    pub fn time(&self, at: Instant) -> Time {
        let since = at.saturating_duration_since(self.0.borrow().began);
        Time::try_from(since.as_micros()).unwrap_or(Time::MAX)
    }

    /// Counts what has no line of its own.
    pub fn tally(&self, name: &'static str) {
        *self.0.borrow_mut().counts.entry(name).or_default() += 1;
    }

    /// Writes a line.
    pub fn note(&self, what: What) {
        let t = self.now();
        let mut pages = self.0.borrow_mut();
        let (name, reached) = match &what {
            What::Ok { answer, .. } => match &**answer {
                Answer::Ack { conversation, seq, duplicate } => {
                    let name = if *duplicate { "acknowledged again" } else { "acknowledged" };
                    (name, Some((*conversation, *seq)))
                }
                Answer::Done
                | Answer::Marker { .. }
                | Answer::Summary { .. }
                | Answer::Page(_)
                | Answer::Members => ("answered", None),
            },
            What::Invoke { ask, .. } => match &**ask {
                Ask::Send { .. } => ("sends", None),
                Ask::Mark { .. } => ("marks", None),
                Ask::Summary { .. } | Ask::Page { .. } | Ask::Members { .. } => ("reads", None),
                Ask::Follow { .. } => ("follows by strangers", None),
                Ask::Change { .. } | Ask::Open { .. } => ("changes", None),
            },
            What::Retry { .. } => ("retries", None),
            What::Fail { .. } => ("refused", None),
            What::Info { .. } => ("unknown", None),
            What::Hello { held, .. } if held.is_empty() => ("fresh connections", None),
            What::Hello { .. } => ("resumes", None),
            What::Event { conversation, seq, .. } => ("events", Some((*conversation, *seq))),
            What::Reset { .. } => ("resets", None),
            What::Left { .. } => ("departures told", None),
            What::Sync { .. } => ("syncs", None),
            What::Receipt { .. } => ("receipts", None),
            What::Revoked { .. } => ("revocations", None),
            What::Fault { .. } => ("faults", None),
            What::Ended { .. } => ("connections ended", None),
            What::Moved { .. } => ("typed: moves", None),
            What::User { .. }
            | What::Device { .. }
            | What::Conversation { .. }
            | What::Dialled { .. }
            | What::Welcome { .. }
            | What::Synced { .. }
            | What::OutOfTurn { .. }
            | What::Unspoken { .. }
            | What::Healed { .. }
            | What::Phase { .. }
            | What::Final { .. }
            | What::State { .. }
            | What::Gauge { .. } => ("", None),
        };
        *pages.counts.entry(name).or_default() += 1;
        if let Some((conversation, seq)) = reached {
            let head = pages.heads.entry(conversation).or_default();
            if seq > head.0 {
                *head = (seq, t);
            }
        }
        pages.entries.push(Entry { t, what });
    }

    /// Something is asked for the first time.
    pub fn ask(&self, device: Device, ask: Ask) -> Op {
        let op = {
            let mut pages = self.0.borrow_mut();
            pages.ops += 1;
            pages.ops
        };
        self.note(What::Invoke { op, device, ask: Box::new(ask) });
        op
    }

    /// It happened.
    pub fn ok(&self, op: Op, node: usize, answer: Answer) {
        let node = u32::try_from(node).unwrap_or(u32::MAX);
        self.note(What::Ok { op, node, answer: Box::new(answer) });
    }

    /// Nobody knows whether it happened.
    pub fn unknown(&self, op: Op, why: &str) {
        self.note(What::Info { op, why: why.to_owned() });
    }

    /// The number of the user with this id.
    #[must_use]
    pub fn user(&self, id: &str) -> User {
        let known = self.0.borrow().users.get(id).copied();
        known.unwrap_or_else(|| {
            let user = User::try_from(self.0.borrow().users.len()).unwrap_or(User::MAX);
            self.0.borrow_mut().users.insert(id.to_owned(), user);
            self.note(What::User { user, id: id.to_owned() });
            user
        })
    }

    /// The number of a new device; `exact`: it hears each number once and in order.
    #[must_use]
    pub fn device(&self, user: User, exact: bool) -> Device {
        let device = {
            let mut pages = self.0.borrow_mut();
            pages.devices += 1;
            pages.devices
        };
        self.note(What::Device { device, user, exact });
        device
    }

    /// The number of the conversation with this id.
    #[must_use]
    pub fn conversation(&self, id: &str) -> Conversation {
        let known = self.0.borrow().conversations.get(id).copied();
        known.unwrap_or_else(|| {
            let conversation = {
                let mut pages = self.0.borrow_mut();
                let conversation = Conversation::try_from(pages.ids.len()).unwrap_or(u32::MAX);
                pages.conversations.insert(id.to_owned(), conversation);
                pages.ids.push(id.to_owned());
                conversation
            };
            self.note(What::Conversation { conversation, id: id.to_owned() });
            conversation
        })
    }

    /// Its id on the wire.
    #[must_use]
    pub fn id(&self, conversation: Conversation) -> String {
        let index = usize::try_from(conversation).unwrap_or(usize::MAX);
        self.0.borrow().ids.get(index).cloned().unwrap_or_default()
    }

    /// How many conversations anybody ever heard of.
    #[must_use]
    pub fn conversations(&self) -> Conversation {
        u32::try_from(self.0.borrow().ids.len()).unwrap_or(u32::MAX)
    }

    /// The number of a new log-in.
    #[must_use]
    pub fn credential(&self) -> u32 {
        let mut pages = self.0.borrow_mut();
        pages.credentials += 1;
        pages.credentials
    }

    /// How far this log is known to reach, and since when.
    #[must_use]
    pub fn head(&self, conversation: Conversation) -> (u64, Time) {
        self.0.borrow().heads.get(&conversation).copied().unwrap_or_default()
    }

    /// When the messages with these contents were asked for, as far as they were.
    #[must_use]
    pub fn asked(&self, contents: &HashSet<u64>) -> HashMap<u64, Time> {
        let pages = self.0.borrow();
        let asked = pages.entries.iter().filter_map(|entry| match &entry.what {
            What::Invoke { ask, .. } => match **ask {
                Ask::Send { content, .. } if contents.contains(&content) => {
                    Some((content, entry.t))
                }
                _ => None,
            },
            _ => None,
        });
        asked.collect()
    }

    /// A part of the run begins, and whoever waits for the run is told.
    pub fn phase(&self, phase: Phase) {
        eprintln!("torture: {:6.1} s: {phase:?}", self.now() as f64 / 1e6);
        self.note(What::Phase { phase });
    }

    /// How often this was written so far.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.borrow().counts.get(name).copied().unwrap_or(0)
    }

    /// All counts.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.0.borrow().counts.clone();
        counts.remove("");
        counts
    }

    /// The history so far; it begins anew.
    #[must_use]
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.borrow_mut().entries)
    }
}
