//! The logs as they were at the end, and what can be said of the time at which each number was
//! given: not when exactly, which nobody outside the server saw, but not before and not after when.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    Found, Rule,
    history::{
        Answer, Ask, Body, Conversation, Device, Entry, LogEvent, Op, Source, Time, User, What,
    },
};

/// Who is who, and who asked what.
pub(crate) struct Cast<'a> {
    users: HashMap<Device, User>,
    exact: HashSet<Device>,
    names: HashMap<User, &'a str>,
    asked: HashMap<Op, Asked<'a>>,
}

#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) t: Time,
    pub(crate) user: User,
    pub(crate) ask: &'a Ask,
}

impl<'a> Cast<'a> {
    pub(crate) fn of(history: &'a [Entry]) -> Self {
        let mut cast = Self {
            users: HashMap::new(),
            exact: HashSet::new(),
            names: HashMap::new(),
            asked: HashMap::new(),
        };
        for entry in history {
            match &entry.what {
                What::User { user, id } => {
                    cast.names.insert(*user, id);
                }
                What::Device { device, user, exact } => {
                    cast.users.insert(*device, *user);
                    if *exact {
                        cast.exact.insert(*device);
                    }
                }
                What::Invoke { op, device, ask } => {
                    let user = cast.user(*device);
                    cast.asked.insert(*op, Asked { t: entry.t, user, ask });
                }
                _ => {}
            }
        }
        cast
    }

    /// Whose device this is. One that was never introduced is nobody's.
    pub(crate) fn user(&self, device: Device) -> User {
        self.users.get(&device).copied().unwrap_or(User::MAX)
    }

    /// Whether it may hear each number only once and in order.
    pub(crate) fn exact(&self, device: Device) -> bool {
        self.exact.contains(&device)
    }

    pub(crate) fn name(&self, user: User) -> &'a str {
        self.names.get(&user).copied().unwrap_or("nobody")
    }

    pub(crate) fn asked(&self, op: Op) -> Option<Asked<'a>> {
        self.asked.get(&op).copied()
    }
}

/// One membership: from an event to the one that ended it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
}

/// One log.
#[derive(Default)]
pub(crate) struct Log<'a> {
    pub(crate) events: &'a [LogEvent],
    pub(crate) stays: HashMap<User, Vec<Stay>>,
    /// For each number the time before which it cannot have been given: something at or below it
    /// had not been asked for. Never falls.
    earliest: Vec<Time>,
    /// For each number the time at which it was certainly given: it or a higher one was seen.
    /// Never falls.
    latest: Vec<Time>,
    /// The highest number seen so far, by time. Neither ever falls.
    seen: Vec<(Time, u64)>,
    /// How many messages there are up to each number.
    messages: Vec<u64>,
    /// The numbers of each author's messages.
    own: HashMap<User, Vec<u64>>,
    /// By which event each message was deleted.
    deleted: BTreeMap<u64, u64>,
}

impl<'a> Log<'a> {
    pub(crate) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn event(&self, seq: u64) -> Option<&'a LogEvent> {
        self.events.get(index(seq)?)
    }

    /// Whether this is what stands at this number, or stood there before it was erased.
    pub(crate) fn stood(&self, seq: u64, content: u64) -> bool {
        self.event(seq).is_some_and(|it| it.content == content || it.body == Body::Erased)
    }

    /// Whether a message stands at this number or stood there.
    pub(crate) fn is_message(&self, event: &LogEvent) -> bool {
        event.body == Body::Message || self.deleted.contains_key(&event.seq)
    }

    /// When this number was given at the earliest.
    pub(crate) fn earliest(&self, seq: u64) -> Time {
        index(seq).and_then(|it| self.earliest.get(it)).copied().unwrap_or(0)
    }

    /// When it was certainly there.
    pub(crate) fn latest(&self, seq: u64) -> Time {
        index(seq).and_then(|it| self.latest.get(it)).copied().unwrap_or(Time::MAX)
    }

    /// What was certainly there at this time.
    pub(crate) fn head_at_least(&self, t: Time) -> u64 {
        let known = self.seen.partition_point(|(seen, _)| *seen < t);
        known.checked_sub(1).map_or(0, |last| self.seen[last].1)
    }

    /// What may have been there at this time.
    pub(crate) fn head_at_most(&self, t: Time) -> u64 {
        self.earliest.partition_point(|earliest| *earliest <= t) as u64
    }

    pub(crate) fn stays(&self, user: User) -> &[Stay] {
        self.stays.get(&user).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn member_now(&self, user: User) -> bool {
        self.stays(user).last().is_some_and(|stay| stay.until.is_none())
    }

    /// Whether this user may have been a member at some moment between.
    pub(crate) fn may_be_member(&self, user: User, from: Time, to: Time) -> bool {
        self.stays(user).iter().any(|stay| {
            self.earliest(stay.from) <= to && stay.until.is_none_or(|it| self.latest(it) >= from)
        })
    }

    /// Whether this user was certainly a member all the time between.
    pub(crate) fn is_member(&self, user: User, from: Time, to: Time) -> bool {
        self.stays(user).iter().any(|stay| {
            self.latest(stay.from) < from && stay.until.is_none_or(|it| self.earliest(it) > to)
        })
    }

    /// Whether this user may have been shown this number by then.
    pub(crate) fn may_see(&self, user: User, seq: u64, t: Time) -> bool {
        self.stays(user)
            .iter()
            .any(|stay| self.earliest(stay.from) <= t && stay.until.is_none_or(|until| seq < until))
    }

    /// Messages of others in `after < seq <= upto` that are not deleted by then.
    pub(crate) fn unread(&self, user: User, after: u64, upto: u64) -> u64 {
        let count = |seq: u64| match index(seq.min(self.head())) {
            Some(index) => self.messages[index],
            None => 0,
        };
        let own = self.own.get(&user).map_or(&[][..], Vec::as_slice);
        let own_to = |seq: u64| own.partition_point(|it| *it <= seq) as u64;
        let all = count(upto).saturating_sub(count(after));
        let deleted = self.deleted.range(after + 1..).filter(|(message, by)| {
            **by <= upto && self.event(**message).is_some_and(|it| it.from != Some(user))
        });
        let others = all.saturating_sub(own_to(upto).saturating_sub(own_to(after)));
        others.saturating_sub(deleted.count() as u64)
    }

    fn read(conversation: Conversation, events: &'a [LogEvent], found: &mut Found) -> Self {
        let mut log = Self { events, ..Self::default() };
        let mut messages = 0;
        for event in events {
            if let Body::Deleted(message) = event.body {
                let before = log.deleted.insert(message, event.seq).is_some();
                let erased = log.event(message).is_some_and(|it| it.body == Body::Erased);
                if before || !erased || message >= event.seq {
                    let story = format!("{message} was deleted by {}, and is not gone", event.seq);
                    found.add(Rule::V3, Some(conversation), None, story);
                }
            }
        }
        for (event, due) in events.iter().zip(1..) {
            if event.seq != due {
                let story = format!("{} stands in place {due}", event.seq);
                found.add(Rule::V3, Some(conversation), None, story);
            }
            if log.is_message(event) {
                messages += 1;
                if let Some(from) = event.from {
                    log.own.entry(from).or_default().push(due);
                }
            }
            log.messages.push(messages);
            log.moves(event, due);
        }
        log
    }

    fn moves(&mut self, event: &LogEvent, seq: u64) {
        let come = |log: &mut Self, user: User| {
            let stays = log.stays.entry(user).or_default();
            if stays.last().is_none_or(|stay| stay.until.is_some()) {
                stays.push(Stay { from: seq, until: None });
            }
        };
        let go = |log: &mut Self, user: User| {
            if let Some(stay) = log.stays.get_mut(&user).and_then(|stays| stays.last_mut()) {
                stay.until.get_or_insert(seq);
            }
        };
        match &event.body {
            Body::Created { members: users, .. } | Body::Added(users) => {
                users.iter().for_each(|user| come(self, *user));
            }
            Body::Removed(user) => go(self, *user),
            Body::Left => event.from.iter().for_each(|user| go(self, *user)),
            Body::Role(..)
            | Body::Title(_)
            | Body::Message
            | Body::Deleted(_)
            | Body::Erased
            | Body::Other => {}
        }
    }
}

fn index(seq: u64) -> Option<usize> {
    usize::try_from(seq.checked_sub(1)?).ok()
}

/// All of them.
pub(crate) struct Logs<'a>(pub(crate) BTreeMap<Conversation, Log<'a>>);

impl<'a> Logs<'a> {
    pub(crate) fn read(history: &'a [Entry], cast: &Cast<'_>, found: &mut Found) -> Self {
        let mut finals: BTreeMap<(Conversation, Source), &'a [LogEvent]> = BTreeMap::new();
        for entry in history {
            if let What::Final { conversation, source, events } = &entry.what {
                finals.insert((*conversation, *source), events);
            }
        }
        let mut logs: BTreeMap<Conversation, Log<'a>> = BTreeMap::new();
        for ((conversation, source), events) in &finals {
            if *source == Source::Member
                && let Some(database) = finals.get(&(*conversation, Source::Database))
                && let Some(place) = differs(events, database)
            {
                let story = format!("what a member reads at {place} is not in the database");
                found.add(Rule::V1, Some(*conversation), None, story);
            }
            // The database comes later in the order, and it is the better witness.
            logs.insert(*conversation, Log::read(*conversation, events, &mut Found::default()));
        }
        for (conversation, log) in &mut logs {
            // Once more for the complaints, now that it is clear which one counts.
            *log = Log::read(*conversation, log.events, found);
        }
        let mut logs = Self(logs);
        logs.date(history, cast);
        logs
    }

    pub(crate) fn get(&self, conversation: Conversation) -> Option<&Log<'a>> {
        self.0.get(&conversation)
    }

    fn date(&mut self, history: &[Entry], cast: &Cast<'_>) {
        let mut sends: HashMap<(Conversation, User, &str), Time> = HashMap::new();
        let mut seen: HashMap<Conversation, Vec<Time>> = HashMap::new();
        for entry in history {
            let sight = match &entry.what {
                What::Invoke { device, ask, .. } => {
                    if let Ask::Send { conversation, key, .. } = &**ask {
                        let name = (*conversation, cast.user(*device), key.as_str());
                        sends.entry(name).or_insert(entry.t);
                    }
                    continue;
                }
                What::Event { conversation, seq, .. } => (*conversation, *seq),
                What::Ok { op, answer, .. } => match (&**answer, cast.asked(*op)) {
                    (Answer::Ack { conversation, seq, .. }, _) => (*conversation, *seq),
                    (
                        Answer::Summary { head, .. },
                        Some(Asked { ask: Ask::Summary { conversation }, .. }),
                    ) => (*conversation, *head),
                    _ => continue,
                },
                _ => continue,
            };
            let (conversation, seq) = sight;
            let Some(log) = self.0.get_mut(&conversation) else { continue };
            // What is not in the log was not seen: that is a complaint of its own.
            let Some(index) = index(seq).filter(|index| *index < log.events.len()) else {
                continue;
            };
            let times =
                seen.entry(conversation).or_insert_with(|| vec![Time::MAX; log.events.len()]);
            times[index] = times[index].min(entry.t);
            let highest = log.seen.last().map_or(0, |(_, seq)| *seq);
            if seq > highest {
                log.seen.push((entry.t, seq));
            }
        }
        for (conversation, log) in &mut self.0 {
            let mut floor = 0;
            for event in log.events {
                if let (Some(from), Some(key)) = (event.from, &event.key)
                    && let Some(asked) = sends.get(&(*conversation, from, key.as_str()))
                {
                    floor = floor.max(*asked);
                }
                log.earliest.push(floor);
            }
            log.latest = seen.remove(conversation).unwrap_or_default();
            log.latest.resize(log.events.len(), Time::MAX);
            let mut ceiling = Time::MAX;
            for latest in log.latest.iter_mut().rev() {
                ceiling = ceiling.min(*latest);
                *latest = ceiling;
            }
        }
    }
}

/// The first place at which two logs are not the same.
fn differs(one: &[LogEvent], other: &[LogEvent]) -> Option<usize> {
    let place = one.iter().zip(other).position(|(one, other)| one != other);
    place
        .or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
        .map(|it| it + 1)
}
