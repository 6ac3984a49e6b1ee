//! Judges a history. Knows what was promised and what was written down, and nothing of the code
//! that is judged.
//!
//! | rule | promise |
//! | --- | --- |
//! | V1 | an acknowledged message is in the log, at the place that was acknowledged |
//! | V2 | one key, one message |
//! | V3 | a log is numbered 1, 2, 3 … and never changes |
//! | V4 | acknowledged before the other was asked for: before it in the log |
//! | V5 | each device applies the log, in order, without a hole |
//! | V6 | `synced` means that everything from before the `hello` is there |
//! | V7 | markers only grow, and only by their owner's word |
//! | V8 | who is not a member gets nothing |
//! | V9 | unread counts equal a recount |
//! | V10 | nothing stands in a log that nobody asked for |
//! | V11 | after the quiet phase everybody is at the head |
//! | V12 | nothing is left over: every question answered, every connection and task ended |
//! | V13 | for a reader who stops, a node holds no more than it says |
//! | V14 | a revoked credential brings nothing more |
//! | V15 | a resume brings nothing that the device said it holds |
//! | V16 | a message is changed once by who may; pages say what became of it; what was deleted is gone |
//! | replies | replies come in the order of the commands |

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Answer, Ask, Body, Entry, LogEvent, Room, What, user_of};

/// Times that are part of a promise, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long after a revocation a connection may go on.
    pub revocation: u64,
    /// How many events may be on their way to a reader who does not read.
    pub room: u64,
    /// How long a node may not know that a membership has ended, for signals, which are not read
    /// from the store.
    pub stale: u64,
    /// How long an event may be on its way between nodes.
    pub bus: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: &'static str,
    /// Where in the history.
    pub place: usize,
    pub story: String,
}

/// Everything that is wrong with a history.
pub fn check(history: &[Entry], terms: Terms) -> Vec<Violation> {
    let mut found = Found(Vec::new());
    let logs = Logs::read(history, &mut found);
    let asked = asked(history);
    check_sends(history, &logs, &asked, &mut found);
    check_devices(history, &logs, terms, &mut found);
    check_markers(history, &logs, &asked, &mut found);
    check_answers(history, &logs, &asked, terms, &mut found);
    check_amendments(history, &logs, &asked, &mut found);
    check_remains(history, &asked, &mut found);
    found.0.sort_by_key(|violation| violation.place);
    found.0
}

struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, rule: &'static str, place: usize, story: String) {
        self.0.push(Violation { rule, place, story });
    }
}

// --- the logs and who belonged to them when ---

#[derive(Default)]
struct Log {
    /// As they were committed.
    events: Vec<LogEvent>,
    /// What was deleted, with its edits: by which event, and where in the history.
    erased: BTreeMap<u64, (u64, usize)>,
    /// Where in the history each was committed, and when.
    places: Vec<(usize, u64)>,
    stays: BTreeMap<String, Vec<Stay>>,
}

/// One membership, from an event to another.
struct Stay {
    from: usize,
    /// The number of the event that ended it, and where in the history.
    until: Option<(u64, usize)>,
}

impl Log {
    /// The head at this place of the history.
    fn head_at(&self, place: usize) -> u64 {
        self.places.partition_point(|(committed, _)| *committed < place) as u64
    }

    fn head(&self) -> u64 {
        self.events.len() as u64
    }

    fn event(&self, seq: u64) -> Option<&LogEvent> {
        self.events.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// Whether this may be what is read of the log at this place of the history.
    fn shows(&self, event: &LogEvent, place: usize) -> bool {
        let erased = self.erased.get(&event.seq).is_some_and(|(_, erased)| *erased < place);
        self.event(event.seq).is_some_and(|it| it == event || (erased && erase(it) == *event))
    }

    /// As it is to be read at the end.
    fn remains(&self) -> Vec<LogEvent> {
        let it = |event: &LogEvent| match self.erased.get(&event.seq) {
            Some(_) => erase(event),
            None => event.clone(),
        };
        self.events.iter().map(it).collect()
    }

    /// Whether a message stands there when everything up to this number was done.
    fn has_message(&self, seq: u64, head: u64) -> bool {
        let deleted = self.erased.get(&seq).is_some_and(|(by, _)| *by <= head);
        seq <= head
            && !deleted
            && self.event(seq).is_some_and(|it| matches!(it.body, Body::Message(_)))
    }

    fn stays(&self, user: &str) -> &[Stay] {
        self.stays.get(user).map_or(&[], Vec::as_slice)
    }

    /// Whether this user was a member at any moment between two places.
    fn member_between(&self, user: &str, from: usize, to: usize) -> bool {
        self.stays(user)
            .iter()
            .any(|stay| stay.from <= to && stay.until.is_none_or(|(_, until)| until >= from))
    }

    fn member_throughout(&self, user: &str, from: usize, to: usize) -> bool {
        self.stays(user)
            .iter()
            .any(|stay| stay.from < from && stay.until.is_none_or(|(_, until)| until > to))
    }

    fn member_now(&self, user: &str) -> bool {
        self.stays(user).last().is_some_and(|stay| stay.until.is_none())
    }

    /// The number below which everything may have been shown to this user by now.
    fn visible_below(&self, user: &str, now: usize) -> u64 {
        let ends = self.stays(user).iter().filter(|stay| stay.from <= now);
        ends.map(|stay| stay.until.map_or(u64::MAX, |(seq, _)| seq)).max().unwrap_or(0)
    }

    fn push(&mut self, event: &LogEvent, place: usize, at: u64) {
        let come = |log: &mut Self, user: &String| {
            let stays = log.stays.entry(user.clone()).or_default();
            if stays.last().is_none_or(|stay| stay.until.is_some()) {
                stays.push(Stay { from: place, until: None });
            }
        };
        let go = |log: &mut Self, user: &String| {
            if let Some(stay) = log.stays.get_mut(user).and_then(|stays| stays.last_mut()) {
                stay.until.get_or_insert((event.seq, place));
            }
        };
        match &event.body {
            Body::Created(users) | Body::Added(users) => users.iter().for_each(|it| come(self, it)),
            Body::Removed(user) => go(self, user),
            Body::Left => event.from.iter().for_each(|user| go(self, user)),
            Body::Amended { kind, message, .. } if kind == "deleted" => {
                let edits = self.events.iter().filter(|it| it.edits() == Some(*message));
                let gone: Vec<_> = edits.map(|it| it.seq).chain([*message]).collect();
                self.erased.extend(gone.into_iter().map(|seq| (seq, (event.seq, place))));
            }
            Body::Message(_) | Body::Amended { .. } | Body::Erased | Body::Other(_) => {}
        }
        self.events.push(event.clone());
        self.places.push((place, at));
    }
}

struct Logs(BTreeMap<Room, Log>);

impl Logs {
    fn read(history: &[Entry], found: &mut Found) -> Self {
        let mut logs: BTreeMap<Room, Log> = BTreeMap::new();
        let mut finals = 0;
        for (place, entry) in history.iter().enumerate() {
            match &entry.what {
                What::Committed { room, event } => {
                    let log = logs.entry(room.clone()).or_default();
                    if event.seq != log.head() + 1 {
                        let story = format!("{room}: {} after {}", event.seq, log.head());
                        found.add("V3", place, story);
                    }
                    log.push(event, place, entry.at);
                }
                What::Final { room, events } => {
                    finals += 1;
                    let committed = logs.get(room).map_or_else(Vec::new, Log::remains);
                    if committed != *events {
                        let story = format!("{room}: the log at the end is not what was committed");
                        found.add("V3", place, story);
                    }
                }
                _ => {}
            }
        }
        if finals != logs.len() {
            let story = format!("{finals} of {} logs at the end", logs.len());
            found.add("V3", history.len(), story);
        }
        Self(logs)
    }

    fn head_at(&self, room: &Room, place: usize) -> u64 {
        self.0.get(room).map_or(0, |log| log.head_at(place))
    }
}

struct Asked<'a> {
    place: usize,
    user: &'a str,
    ask: &'a Ask,
}

fn asked(history: &[Entry]) -> BTreeMap<u64, Asked<'_>> {
    let asks = history.iter().enumerate().filter_map(|(place, entry)| match &entry.what {
        What::Asked { op, device, ask } => Some((*op, Asked { place, user: user_of(device), ask })),
        _ => None,
    });
    asks.collect()
}

// --- V1, V2, V4, V10 ---

fn check_sends(
    history: &[Entry],
    logs: &Logs,
    asked: &BTreeMap<u64, Asked<'_>>,
    found: &mut Found,
) {
    let mut sends = BTreeMap::new();
    for send in asked.values() {
        if let Ask::Send { key, text } = send.ask {
            sends.insert((send.user, key.as_str()), (send.place, text));
        }
    }
    for (room, log) in &logs.0 {
        let mut keys = BTreeSet::new();
        for (event, (place, _)) in log.events.iter().zip(&log.places) {
            let Body::Message(text) = &event.body else { continue };
            let (Some(from), Some(key)) = (&event.from, &event.key) else {
                found.add("V10", *place, format!("{room} {}: nobody's message", event.seq));
                continue;
            };
            if !keys.insert((from, key)) {
                found.add("V2", *place, format!("{room} {}: {key} of {from} again", event.seq));
            }
            match sends.get(&(from.as_str(), key.as_str())) {
                Some((before, said)) if before < place && *said == text => {}
                _ => found.add("V10", *place, format!("{room} {}: never asked for", event.seq)),
            }
        }
    }
    // The highest number acknowledged so far, by conversation and place.
    let mut acked: BTreeMap<&Room, Vec<(usize, u64)>> = BTreeMap::new();
    for (place, entry) in history.iter().enumerate() {
        let What::Answered { op, answer } = &entry.what else { continue };
        let Some(Asked { place: before, user, ask: Ask::Send { key, text } }) = asked.get(op)
        else {
            continue;
        };
        match answer {
            Answer::Ack { room, seq } => {
                let event = logs.0.get(room).and_then(|log| {
                    let (committed, _) = log.places.get(*seq as usize - 1)?;
                    log.event(*seq).filter(|_| *committed < place)
                });
                let stands = event.is_some_and(|event| {
                    event.from.as_deref() == Some(*user)
                        && event.key.as_ref() == Some(key)
                        && event.body == Body::Message(text.clone())
                });
                if !stands {
                    found.add("V1", place, format!("{key} of {user}: not at {room} {seq}"));
                }
                let highest = acked.entry(room).or_default();
                let known = highest.partition_point(|(acked, _)| acked < before);
                if let Some((_, floor)) = known.checked_sub(1).map(|last| highest[last])
                    && *seq <= floor
                {
                    let story = format!("{key} of {user}: {seq} after {floor} was acknowledged");
                    found.add("V4", place, story);
                }
                let highest_now = highest.last().map_or(0, |(_, seq)| *seq).max(*seq);
                highest.push((place, highest_now));
            }
            Answer::Refused(code) => {
                if code == "key_conflict" {
                    found.add("V2", place, format!("{key} of {user}: {code}"));
                }
                let stands = logs.0.values().any(|log| {
                    log.events.iter().any(|event| {
                        event.from.as_deref() == Some(*user) && event.key.as_ref() == Some(key)
                    })
                });
                if stands {
                    found.add("V10", place, format!("{key} of {user}: refused, and in the log"));
                }
            }
            Answer::RefusedLate(code) if code == "key_conflict" => {
                found.add("V2", place, format!("{key} of {user}: {code}"));
            }
            _ => {}
        }
    }
}

// --- V5, V6, V8, V11, V14 ---

#[derive(Default)]
struct Device {
    held: BTreeMap<Room, u64>,
    /// Where nothing is held: the number up to which nothing need come.
    due: BTreeMap<Room, u64>,
    hello: usize,
    credential: String,
    greeted: bool,
    synced: bool,
    connected: bool,
}

fn check_devices(history: &[Entry], logs: &Logs, terms: Terms, found: &mut Found) {
    let mut devices: BTreeMap<&str, Device> = BTreeMap::new();
    let mut revoked: BTreeMap<&str, u64> = BTreeMap::new();
    let mut quiet = usize::MAX;
    let mut judged = false;
    for (place, entry) in history.iter().enumerate() {
        match &entry.what {
            What::Revoked { credential } => {
                revoked.entry(credential).or_insert(entry.at);
            }
            What::Quiet => quiet = place,
            What::Closing => {
                judged = true;
                for (name, device) in &devices {
                    check_arrived(name, device, logs, place, found);
                    if let Some(at) = revoked.get(device.credential.as_str())
                        && device.connected
                        && entry.at > at + terms.revocation
                    {
                        let story = format!("{name} goes on by a revoked credential");
                        found.add("V14", place, story);
                    }
                }
            }
            _ => {}
        }
        let Some(name) = entry.what.device() else { continue };
        let user = user_of(name);
        let device = devices.entry(name).or_default();
        match &entry.what {
            What::Hello { credential, token, .. } => {
                device.hello = place;
                device.credential.clone_from(credential);
                device.synced = false;
                device.connected = true;
                device.greeted = true;
                if !token {
                    device.due.clear();
                }
            }
            What::Synced { .. } => {
                device.synced = true;
                for (room, log) in &logs.0 {
                    match device.held.get(room) {
                        Some(held) => {
                            let before = log.head_at(device.hello);
                            if *held < before && log.member_throughout(user, device.hello, place) {
                                let story = format!("{name} is at {room} {held}, not {before}");
                                found.add("V6", place, story);
                            }
                        }
                        None if log.member_between(user, device.hello, place) => {
                            device.due.entry(room.clone()).or_insert(log.head_at(place));
                        }
                        None => {}
                    }
                }
            }
            What::Ended { why, .. } => {
                device.connected = false;
                if place > quiet && !judged {
                    found.add("V12", place, format!("{name} lost its connection: {why}"));
                }
            }
            What::Forgot { .. } => {
                device.held.clear();
                device.due.clear();
            }
            What::Rewound { positions, .. } => {
                device.held.clone_from(positions);
                device.due.clear();
            }
            What::Began { room, head, .. } => {
                device.held.insert(room.clone(), *head);
                device.due.remove(room);
                if *head > logs.head_at(room, place) {
                    found.add("V5", place, format!("{name} began at {room} {head}: not there"));
                }
            }
            What::Left { room, .. } => {
                device.held.remove(room);
                device.due.remove(room);
            }
            What::Hole { room, held, got, .. } => {
                found.add("V5", place, format!("{name} got {room} {got} after {held}"));
            }
            // Who is added in the very moment of connecting may be sent its beginning twice.
            What::Again { room, .. }
                if logs.0.get(room).is_some_and(|log| {
                    let hello = history[device.hello].at;
                    log.stays(user).iter().any(|stay| history[stay.from].at + terms.bus > hello)
                }) => {}
            What::Again { room, seq, .. } => {
                found.add("V15", place, format!("{name} held {room} {seq}, and said so"));
            }
            What::Applied { room, event, .. } => {
                check_applied(name, device, logs.0.get(room), room, event, place, found);
                let committed = logs
                    .0
                    .get(room)
                    .and_then(|log| log.places.get(event.seq as usize - 1))
                    .map_or(0, |(_, at)| *at);
                if let Some(at) = revoked.get(device.credential.as_str())
                    && committed > at + terms.revocation
                {
                    let story = format!("{name} got {room} {} by a revoked credential", event.seq);
                    found.add("V14", place, story);
                }
            }
            What::Typing { room, .. } => {
                let since = history.partition_point(|it| it.at + terms.stale < entry.at);
                let member =
                    logs.0.get(room).is_some_and(|log| log.member_between(user, since, place));
                if !member {
                    found.add("V8", place, format!("{name} sees typing in {room}"));
                }
            }
            What::Paused { millis, .. } if device.synced => {
                let until = history.partition_point(|it| it.at < entry.at + millis);
                let followed =
                    logs.0.values().filter(|log| log.member_throughout(user, place, until));
                let came: u64 = followed.map(|log| log.head_at(until) - log.head_at(place)).sum();
                // It may also have been behind already.
                let told = history[device.hello..until].iter().any(|it| match &it.what {
                    What::FellBehind => true,
                    // It may be cut off, and hears of that only when it reads again.
                    What::Fault(_) => it.at >= entry.at,
                    What::Ended { device, .. }
                    | What::Asked { device, ask: Ask::Sync { .. }, .. } => device == name,
                    _ => false,
                });
                if came > terms.room && !told {
                    let story = format!("{name} did not read, and {came} events waited for it");
                    found.add("V13", place, story);
                }
            }
            What::OutOfTurn { due, got, .. } => {
                found.add("replies", place, format!("{name}: {got} instead of {due}"));
            }
            _ => {}
        }
    }
    if !judged {
        found.add("V11", history.len(), "the run has no end".to_owned());
    }
}

fn check_applied(
    name: &str,
    device: &mut Device,
    log: Option<&Log>,
    room: &Room,
    event: &LogEvent,
    place: usize,
    found: &mut Found,
) {
    let seq = event.seq;
    let Some(log) = log else {
        found.add("V10", place, format!("{name} got {room} {seq}: no such conversation"));
        return;
    };
    let committed = log.places.get(seq as usize - 1).is_some_and(|(at, _)| *at < place);
    if !committed || !log.shows(event, place) {
        found.add("V5", place, format!("{name} got {room} {seq}: not what is in the log"));
    }
    if seq >= log.visible_below(user_of(name), place) {
        found.add("V8", place, format!("{name} got {room} {seq}: not a member"));
    }
    match device.held.insert(room.clone(), seq) {
        Some(held) if seq != held + 1 => {
            found.add("V5", place, format!("{name} applied {room} {seq} after {held}"));
        }
        Some(_) => {}
        None => {
            // The first one: where it joined, or from the beginning.
            let due = device
                .due
                .remove(room)
                .unwrap_or_else(|| if device.synced { 0 } else { log.head_at(place) });
            if seq > due + 1 {
                let story = format!("{name} begins {room} with {seq}, {} was due", due + 1);
                found.add("V5", place, story);
            }
        }
    }
}

/// After the quiet phase.
fn check_arrived(name: &str, device: &Device, logs: &Logs, place: usize, found: &mut Found) {
    if !device.greeted {
        return;
    }
    if !device.connected || !device.synced {
        found.add("V12", place, format!("{name} is not connected"));
        return;
    }
    let user = user_of(name);
    for (room, log) in &logs.0 {
        let head = log.head();
        let held = device.held.get(room);
        let at = held.or_else(|| device.due.get(room)).copied().unwrap_or(0);
        if log.member_now(user) {
            if at != head {
                found.add("V11", place, format!("{name} is at {room} {at}, not {head}"));
            }
        } else if held.is_some() {
            let story = format!("{name} was not told that {user} left {room}");
            found.add("V11", place, story);
        }
    }
}

// --- V7, V9 ---

#[derive(Default, Clone, Copy)]
struct Bounds {
    received: u64,
    read: u64,
}

fn check_markers(
    history: &[Entry],
    logs: &Logs,
    asked: &BTreeMap<u64, Asked<'_>>,
    found: &mut Found,
) {
    // What a user wanted at most, and what was promised them so far, by place.
    let mut wanted: BTreeMap<(&str, &Room), Bounds> = BTreeMap::new();
    let mut promised: BTreeMap<(&str, &Room), Vec<(usize, Bounds)>> = BTreeMap::new();
    for (place, entry) in history.iter().enumerate() {
        match &entry.what {
            What::Asked { device, ask: Ask::Mark { room, received, read }, .. } => {
                let bounds = wanted.entry((user_of(device), room)).or_default();
                bounds.read = bounds.read.max(*read);
                bounds.received = bounds.received.max(*received).max(*read);
            }
            What::Receipt { room, user, received, read, device } => {
                let bounds = wanted.get(&(user.as_str(), room)).copied().unwrap_or_default();
                let head = logs.head_at(room, place);
                if *read > bounds.read.min(head) || *received > bounds.received.min(head) {
                    let story =
                        format!("{device}: {user} at {room} {received}/{read}, never said so");
                    found.add("V7", place, story);
                }
            }
            What::Answered { op, answer } => {
                let Some(Asked { place: before, user, ask }) = asked.get(op) else { continue };
                let (room, told) = match (ask, answer) {
                    (Ask::Mark { room, received, read }, Answer::Done) => {
                        let head = logs.head_at(room, *before);
                        let (received, read) = ((*received).min(head), (*read).min(head));
                        (room, Bounds { received: received.max(read), read })
                    }
                    (Ask::Mark { room, .. }, Answer::Marker { received, read })
                    | (Ask::Summary { room }, Answer::Summary { received, read, .. }) => {
                        (room, Bounds { received: *received, read: *read })
                    }
                    _ => continue,
                };
                let promises = promised.entry((user, room)).or_default();
                let known = promises.partition_point(|(at, _)| at < before);
                if let Some((_, floor)) = known.checked_sub(1).map(|last| promises[last])
                    && !matches!(answer, Answer::Done)
                    && (told.read < floor.read || told.received < floor.received)
                {
                    let story = format!(
                        "{user} at {room} {}/{}, was at {}/{}",
                        told.received, told.read, floor.received, floor.read
                    );
                    found.add("V7", place, story);
                }
                let bounds = wanted.get(&(*user, room)).copied().unwrap_or_default();
                if told.read > bounds.read || told.received > bounds.received {
                    found.add(
                        "V7",
                        place,
                        format!("{user} at {room} {}: never said so", told.read),
                    );
                }
                let last = promises.last().map_or(Bounds::default(), |(_, last)| *last);
                let now = Bounds {
                    received: last.received.max(told.received),
                    read: last.read.max(told.read),
                };
                promises.push((place, now));

                if let Answer::Summary { head, read, unread, .. } = answer {
                    let Some(log) = logs.0.get(room) else { continue };
                    if *head > log.head_at(place) || *head < log.head_at(*before) {
                        found.add("V9", place, format!("{user}: head of {room} is not {head}"));
                    }
                    let counted = log.events.iter().filter(|event| {
                        event.seq > *read
                            && log.has_message(event.seq, *head)
                            && event.from.as_deref() != Some(*user)
                    });
                    let counted = counted.count() as u64;
                    if counted != *unread {
                        let story = format!("{user}: {unread} unread in {room}, counted {counted}");
                        found.add("V9", place, story);
                    }
                }
            }
            _ => {}
        }
    }
}

// --- V8 for answers, and what pages hold ---

fn check_answers(
    history: &[Entry],
    logs: &Logs,
    asked: &BTreeMap<u64, Asked<'_>>,
    terms: Terms,
    found: &mut Found,
) {
    for (place, entry) in history.iter().enumerate() {
        let What::Answered { op, answer } = &entry.what else { continue };
        let Some(Asked { place: before, user, ask }) = asked.get(op) else { continue };
        if matches!(answer, Answer::Refused(_) | Answer::RefusedLate(_)) {
            continue;
        }
        let (room, slack) = match (ask, answer) {
            (Ask::Send { .. }, Answer::Ack { room, .. }) => (room, 0),
            (
                Ask::Mark { room, .. }
                | Ask::Summary { room }
                | Ask::Page { room }
                | Ask::Messages { room }
                | Ask::Amend { room, .. }
                | Ask::Members { room }
                | Ask::Change { room, .. },
                _,
            ) => (room, 0),
            // Answered from what the node knows, not from the store.
            (Ask::Sync { room } | Ask::Typing { room }, _) => (room, terms.stale),
            _ => continue,
        };
        let since = history[*before].at;
        let from = match slack {
            0 => *before,
            slack => history.partition_point(|it| it.at + slack < since),
        };
        let Some(log) = logs.0.get(room) else {
            found.add("V8", place, format!("{user}: an answer about {room}, which is not"));
            continue;
        };
        // The first attempt at a send may lie long before the answer, so that is fine as it is.
        if !log.member_between(user, from, place) {
            found.add("V8", place, format!("{user}: an answer in {room}, not a member: {ask:?}"));
        }
        if let Answer::Page(events) = answer {
            for (index, event) in events.iter().enumerate() {
                let first = events[0].seq;
                if event.seq != first + index as u64 || !log.shows(event, place) {
                    let story = format!("{user}: {room} {} in a page is not the log's", event.seq);
                    found.add("V5", place, story);
                }
            }
        }
    }
}

// --- V16 ---

/// The same event, without what it said.
fn erase(event: &LogEvent) -> LogEvent {
    LogEvent { body: Body::Erased, ..event.clone() }
}

impl LogEvent {
    /// Of an edit: the message.
    fn edits(&self) -> Option<u64> {
        match &self.body {
            Body::Amended { kind, message, .. } if kind == "edited" => Some(*message),
            _ => None,
        }
    }
}

fn check_amendments(
    history: &[Entry],
    logs: &Logs,
    asked: &BTreeMap<u64, Asked<'_>>,
    found: &mut Found,
) {
    for (room, log) in &logs.0 {
        let mut keys = BTreeSet::new();
        for (event, (place, _)) in log.events.iter().zip(&log.places) {
            let Body::Amended { kind, message, .. } = &event.body else { continue };
            let author = log.event(*message).and_then(|it| it.from.as_ref());
            if !log.has_message(*message, event.seq - 1) {
                found.add("V16", *place, format!("{room} {}: {kind} of nothing", event.seq));
            } else if kind == "edited" && author != event.from.as_ref() {
                found.add("V16", *place, format!("{room} {}: not the author's", event.seq));
            }
            if !keys.insert((&event.from, &event.key)) {
                found.add("V16", *place, format!("{room} {}: made twice", event.seq));
            }
            if kind.ends_with("reacted") || kind.ends_with("pinned") {
                let state = fold(log, *message, event.seq - 1);
                if state == fold(log, *message, event.seq) {
                    found.add("V16", *place, format!("{room} {}: {kind} already", event.seq));
                }
            }
        }
    }
    let mut tries: BTreeMap<&str, usize> = BTreeMap::new();
    for it in asked.values() {
        if let Ask::Amend { key, .. } = it.ask {
            *tries.entry(key).or_default() += 1;
        }
    }
    for (place, entry) in history.iter().enumerate() {
        let What::Answered { op, answer } = &entry.what else { continue };
        let Some(Asked { place: before, user, ask }) = asked.get(op) else { continue };
        match (ask, answer) {
            (Ask::Amend { room, key, what }, answer) => {
                let made = logs.0.get(room).is_some_and(|log| {
                    log.events.iter().zip(&log.places).any(|(event, (committed, _))| {
                        event.from.as_deref() == Some(*user)
                            && event.key.as_ref() == Some(key)
                            && *committed < place
                    })
                });
                let can_be_so = what.contains("react") || what.contains("pin");
                let story = || format!("{user}: {answer:?} for {key} in {room}: {what}");
                match answer {
                    Answer::Done if !made && !can_be_so => found.add("V16", place, story()),
                    // Whether it was made is known to be unknown after these.
                    Answer::Refused(code)
                        if made
                            && tries[key.as_str()] == 1
                            && !["unavailable", "internal", "timeout"].contains(&&**code) =>
                    {
                        found.add("V16", place, story());
                    }
                    _ => {}
                }
            }
            (Ask::Messages { room }, Answer::Messages(head, messages)) => {
                let Some(log) = logs.0.get(room) else { continue };
                if *head > log.head_at(place) || *head < log.head_at(*before) {
                    found.add("V16", place, format!("{user}: head of {room} is not {head}"));
                }
                for message in messages {
                    let seq = message.event.seq;
                    let stands =
                        log.has_message(seq, *head) && log.event(seq) == Some(&message.event);
                    let (edit, reactions, pinned) = fold(log, seq, *head);
                    let same = (&message.edit, &message.reactions, message.pinned)
                        == (&edit, &reactions, pinned);
                    if !stands || !same {
                        let story = format!("{user}: {message:?} in a page of {room} as of {head}");
                        found.add("V16", place, story);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What has become of a message as of a head: its last edit, its emojis, whether it is pinned.
fn fold(
    log: &Log,
    message: u64,
    head: u64,
) -> (Option<(u64, String)>, BTreeMap<String, u64>, bool) {
    let mut edit = None;
    let mut emojis: BTreeSet<(&str, &Option<String>)> = BTreeSet::new();
    let mut pinned = false;
    for event in log.events.iter().take_while(|event| event.seq <= head) {
        let Body::Amended { kind, message: of, with } = &event.body else { continue };
        if *of != message {
            continue;
        }
        match kind.as_str() {
            "edited" => edit = Some((event.seq, with.clone())),
            "reacted" => {
                emojis.insert((with, &event.from));
            }
            "unreacted" => {
                emojis.remove(&(with.as_str(), &event.from));
            }
            "pinned" => pinned = true,
            "unpinned" => pinned = false,
            _ => {}
        }
    }
    let mut reactions = BTreeMap::new();
    for (emoji, _) in emojis {
        *reactions.entry(emoji.to_owned()).or_default() += 1;
    }
    (edit, reactions, pinned)
}

// --- V12 ---

fn check_remains(history: &[Entry], asked: &BTreeMap<u64, Asked<'_>>, found: &mut Found) {
    let mut open: BTreeSet<u64> = BTreeSet::new();
    let mut quiet = None;
    for (place, entry) in history.iter().enumerate() {
        match &entry.what {
            What::Quiet => quiet = Some(place),
            What::Asked { op, .. } if quiet.is_some() => {
                open.insert(*op);
            }
            What::Answered { op, .. } => {
                open.remove(op);
            }
            What::Unanswered { device, key } => {
                found.add("V12", place, format!("{device}: {key} has no answer"));
            }
            What::Remains { node, connections, stuck } if *connections + *stuck > 0 => {
                let story = format!("node {node}: {connections} connections, {stuck} tasks left");
                found.add("V12", place, story);
            }
            _ => {}
        }
    }
    for op in open {
        if let Some(Asked { place, user, ask }) = asked.get(&op) {
            found.add("V12", *place, format!("{user}: no answer in the quiet phase: {ask:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Folded;

    const TERMS: Terms = Terms { revocation: 1_000, stale: 1_000, bus: 1_000, room: 3 };

    /// A history of a group `g` of ann and bob, written as a list of what happened; one entry a
    /// second.
    struct Story(Vec<Entry>);

    fn message(seq: u64, from: &str, key: &str) -> LogEvent {
        let body = Body::Message(key.to_owned());
        LogEvent { seq, from: Some(from.to_owned()), key: Some(key.to_owned()), body }
    }

    fn other(seq: u64, from: &str, body: Body) -> LogEvent {
        LogEvent { seq, from: Some(from.to_owned()), key: None, body }
    }

    fn created() -> LogEvent {
        other(1, "ann", Body::Created(vec!["ann".to_owned(), "bob".to_owned()]))
    }

    impl Story {
        fn new() -> Self {
            let mut story = Self(Vec::new());
            story.commit(created()).hello("bob.1", false).synced("bob.1");
            story
        }

        fn add(&mut self, what: What) -> &mut Self {
            self.0.push(Entry { at: self.0.len() as u64 * 1_000, what });
            self
        }

        fn commit(&mut self, event: LogEvent) -> &mut Self {
            self.add(What::Committed { room: "g".to_owned(), event })
        }

        fn hello(&mut self, device: &str, token: bool) -> &mut Self {
            let credential = format!("{device}-0");
            let (device, resume) = (device.to_owned(), String::new());
            self.add(What::Hello { device, credential, token, resume })
        }

        fn synced(&mut self, device: &str) -> &mut Self {
            self.add(What::Synced { device: device.to_owned(), token: String::new() })
        }

        fn apply(&mut self, device: &str, event: LogEvent) -> &mut Self {
            self.add(What::Applied { device: device.to_owned(), room: "g".to_owned(), event })
        }

        fn ask(&mut self, op: u64, device: &str, ask: Ask) -> &mut Self {
            self.add(What::Asked { op, device: device.to_owned(), ask })
        }

        fn ask_to_send(&mut self, op: u64, device: &str, key: &str) -> &mut Self {
            self.ask(op, device, Ask::Send { key: key.to_owned(), text: key.to_owned() })
        }

        fn answer(&mut self, op: u64, answer: Answer) -> &mut Self {
            self.add(What::Answered { op, answer })
        }

        fn ack(&mut self, op: u64, seq: u64) -> &mut Self {
            self.answer(op, Answer::Ack { room: "g".to_owned(), seq })
        }

        /// A message of ann's, asked for, committed and acknowledged.
        fn said(&mut self, op: u64, seq: u64) -> &mut Self {
            let key = format!("k{op}");
            self.ask_to_send(op, "ann.1", &key).commit(message(seq, "ann", &key)).ack(op, seq)
        }

        /// The rules that are broken, when it ends here.
        fn broken(&mut self) -> Vec<&'static str> {
            let events = self.0.iter().filter_map(|entry| match &entry.what {
                What::Committed { event, .. } => Some(event.clone()),
                _ => None,
            });
            let events = events.collect();
            self.add(What::Quiet).add(What::Closing);
            self.add(What::Final { room: "g".to_owned(), events });
            let mut rules = Vec::new();
            for violation in check(&self.0, TERMS) {
                if !rules.contains(&violation.rule) {
                    rules.push(violation.rule);
                }
            }
            rules
        }
    }

    #[test]
    fn a_history_in_order_is_not_complained_about() {
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1")).said(2, 3);
        story.apply("bob.1", message(3, "ann", "k2"));
        assert_eq!(story.broken(), [""; 0]);
    }

    #[test]
    fn an_acknowledged_message_that_is_not_there_is_v1() {
        let mut story = Story::new();
        story.ask_to_send(1, "ann.1", "k1").ack(1, 2);
        assert_eq!(story.broken(), ["V1"]);
    }

    #[test]
    fn one_key_twice_is_v2_and_a_message_that_nobody_sent_is_v10() {
        let mut story = Story::new();
        story.said(1, 2).commit(message(3, "ann", "k1")).commit(message(4, "ann", "k9"));
        for event in [message(2, "ann", "k1"), message(3, "ann", "k1"), message(4, "ann", "k9")] {
            story.apply("bob.1", event);
        }
        assert_eq!(story.broken(), ["V2", "V10"]);
    }

    #[test]
    fn a_number_that_is_missing_in_the_log_is_v3() {
        let mut story = Story::new();
        story.ask_to_send(1, "ann.1", "k1").commit(message(3, "ann", "k1"));
        assert!(story.broken().contains(&"V3"));
    }

    #[test]
    fn a_later_send_with_a_lower_number_is_v4() {
        let mut story = Story::new();
        story.ask_to_send(1, "ann.1", "k1").ask_to_send(2, "ann.1", "k2");
        story.commit(message(2, "ann", "k2")).commit(message(3, "ann", "k1"));
        story.apply("bob.1", message(2, "ann", "k2")).apply("bob.1", message(3, "ann", "k1"));
        // Both were under way at once: either order is right.
        story.ack(1, 3).ack(2, 2);
        assert_eq!(story.broken(), [""; 0]);

        let mut story = Story::new();
        story.ask_to_send(1, "ann.1", "k1").commit(message(2, "ann", "k2"));
        story.commit(message(3, "ann", "k1")).ack(1, 3).ask_to_send(2, "ann.1", "k2").ack(2, 2);
        story.apply("bob.1", message(2, "ann", "k2")).apply("bob.1", message(3, "ann", "k1"));
        assert!(story.broken().contains(&"V4"));
    }

    #[test]
    fn a_hole_a_swap_and_a_changed_content_are_v5() {
        for seqs in [vec![3], vec![3, 2], vec![2, 2]] {
            let mut story = Story::new();
            story.said(1, 2).said(2, 3);
            for seq in seqs {
                story.apply("bob.1", message(seq, "ann", &format!("k{}", seq - 1)));
            }
            assert!(story.broken().contains(&"V5"));
        }
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "other"));
        assert_eq!(story.broken(), ["V5"]);
    }

    #[test]
    fn synced_without_what_was_there_before_the_hello_is_v6() {
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1")).said(2, 3);
        story.hello("bob.1", true).synced("bob.1").apply("bob.1", message(3, "ann", "k2"));
        assert_eq!(story.broken(), ["V6"]);
    }

    #[test]
    fn a_marker_that_goes_back_is_v7() {
        let mark = |read| Ask::Mark { room: "g".to_owned(), received: 0, read };
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1"));
        story.ask(2, "bob.1", mark(2)).answer(2, Answer::Marker { received: 2, read: 2 });
        story.ask(3, "bob.1", mark(1)).answer(3, Answer::Marker { received: 2, read: 2 });
        assert_eq!(story.broken(), [""; 0]);
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1"));
        story.ask(2, "bob.1", mark(2)).answer(2, Answer::Done);
        story.ask(3, "bob.1", mark(1)).answer(3, Answer::Marker { received: 1, read: 1 });
        assert_eq!(story.broken(), ["V7"]);
    }

    #[test]
    fn whatever_reaches_one_who_is_not_a_member_is_v8() {
        let page = || Ask::Page { room: "g".to_owned() };
        let mut story = Story::new();
        story.ask(1, "eve.1", page()).answer(1, Answer::Page(vec![created()]));
        assert_eq!(story.broken(), ["V8"]);

        // Removed: nothing newer, until they are added again.
        let (removed, added) =
            (Body::Removed("bob".to_owned()), Body::Added(vec!["bob".to_owned()]));
        let left = || What::Left { device: "bob.1".to_owned(), room: "g".to_owned() };
        let mut story = Story::new();
        story.commit(other(2, "ann", removed.clone())).add(left()).said(1, 3);
        assert_eq!(story.broken(), [""; 0]);
        let mut story = Story::new();
        story.commit(other(2, "ann", removed.clone())).said(1, 3);
        story.apply("bob.1", other(2, "ann", removed.clone()));
        story.apply("bob.1", message(3, "ann", "k1")).add(left());
        assert_eq!(story.broken(), ["V8"]);
        let mut story = Story::new();
        story.commit(other(2, "ann", removed.clone())).add(left()).said(1, 3);
        story.commit(other(4, "ann", added.clone())).apply("bob.1", created());
        story.apply("bob.1", other(2, "ann", removed)).apply("bob.1", message(3, "ann", "k1"));
        story.apply("bob.1", other(4, "ann", added));
        assert_eq!(story.broken(), [""; 0]);
    }

    #[test]
    fn an_unread_count_that_is_not_a_recount_is_v9() {
        for (unread, broken) in [(2, vec![]), (1, vec!["V9"])] {
            let mut story = Story::new();
            story.said(1, 2).said(2, 3);
            story.apply("bob.1", message(2, "ann", "k1")).apply("bob.1", message(3, "ann", "k2"));
            story.ask(3, "bob.1", Ask::Summary { room: "g".to_owned() });
            story.answer(3, Answer::Summary { head: 3, received: 0, read: 0, unread });
            assert_eq!(story.broken(), broken);
        }
    }

    #[test]
    fn one_who_is_not_at_the_head_in_the_end_is_v11() {
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1")).said(2, 3);
        assert_eq!(story.broken(), ["V11"]);
        // Who began with nothing and got nothing, although there was something.
        let mut story = Story::new();
        story.said(1, 2);
        assert_eq!(story.broken(), ["V11"]);
    }

    #[test]
    fn what_is_left_over_is_v12() {
        let mut story = Story::new();
        story.add(What::Unanswered { device: "ann.1".to_owned(), key: "k".to_owned() });
        story.add(What::Remains { node: 0, connections: 1, stuck: 0 });
        assert_eq!(story.broken(), ["V12"]);
        let mut story = Story::new();
        story.add(What::Ended { device: "bob.1".to_owned(), why: "gone".to_owned() });
        assert_eq!(story.broken(), ["V12"]);
    }

    #[test]
    fn a_queue_without_an_end_is_v13() {
        for (behind, broken) in [(true, vec![]), (false, vec!["V13"])] {
            let mut story = Story::new();
            story.add(What::Paused { device: "bob.1".to_owned(), millis: 60_000 });
            if behind {
                story.add(What::FellBehind);
            }
            for op in 1..=5 {
                story.said(op, op + 1);
            }
            for op in 1..=5 {
                story.apply("bob.1", message(op + 1, "ann", &format!("k{op}")));
            }
            assert_eq!(story.broken(), broken);
        }
    }

    #[test]
    fn an_event_by_a_revoked_credential_is_v14() {
        let mut story = Story::new();
        story.add(What::Revoked { credential: "bob.1-0".to_owned() });
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1"));
        assert_eq!(story.broken(), ["V14"]);
    }

    #[test]
    fn what_the_device_said_it_holds_and_comes_again_is_v15() {
        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", message(2, "ann", "k1"));
        let (device, room) = ("bob.1".to_owned(), "g".to_owned());
        story.add(What::Again { device, room, seq: 2 });
        assert_eq!(story.broken(), ["V15"]);
    }

    fn amended(seq: u64, from: &str, kind: &str, with: &str) -> LogEvent {
        let body = Body::Amended { kind: kind.to_owned(), message: 2, with: with.to_owned() };
        LogEvent { key: Some(format!("a{seq}")), ..other(seq, from, body) }
    }

    #[test]
    fn what_was_deleted_and_is_still_there_or_went_too_soon_is_told() {
        let erased = LogEvent { body: Body::Erased, ..message(2, "ann", "k1") };
        let deleted = amended(3, "ann", "deleted", "");
        let mut story = Story::new();
        story.said(1, 2).commit(deleted.clone()).apply("bob.1", erased.clone());
        story.apply("bob.1", deleted.clone());
        // `broken` says at the end what was committed; the message is to be gone by then.
        assert_eq!(story.broken(), ["V3"]);
        story.0.truncate(story.0.len() - 1);
        let events = vec![created(), erased.clone(), deleted.clone()];
        story.add(What::Final { room: "g".to_owned(), events });
        assert_eq!(check(&story.0, TERMS), []);

        let mut story = Story::new();
        story.said(1, 2).apply("bob.1", erased);
        assert_eq!(story.broken(), ["V5"]);
    }

    #[test]
    fn a_change_that_is_not_to_be_made_is_v16() {
        let react = |seq| amended(seq, "bob", "reacted", "👍");
        for (events, broken) in [
            (vec![amended(3, "ann", "edited", "x"), react(4)], vec![]),
            (vec![amended(3, "bob", "edited", "x")], vec!["V16"]),
            (vec![react(3), react(4)], vec!["V16"]),
            (vec![amended(3, "bob", "unpinned", "")], vec!["V16"]),
            (
                vec![
                    LogEvent { key: Some("a".to_owned()), ..amended(3, "ann", "edited", "x") },
                    LogEvent { key: Some("a".to_owned()), ..amended(4, "ann", "edited", "x") },
                ],
                vec!["V16"],
            ),
        ] {
            let mut story = Story::new();
            story.said(1, 2).apply("bob.1", message(2, "ann", "k1"));
            for event in events {
                story.commit(event.clone()).apply("bob.1", event);
            }
            assert_eq!(story.broken(), broken);
        }
    }

    #[test]
    fn a_page_that_does_not_say_what_became_of_a_message_is_v16() {
        let event = message(2, "ann", "k1");
        let none = Folded { event, edit: None, reactions: BTreeMap::new(), pinned: false };
        let edited = Folded { edit: Some((3, "x".to_owned())), ..none.clone() };
        for (head, said, broken) in
            [(3, &edited, vec![]), (3, &none, vec!["V16"]), (2, &none, vec!["V16"])]
        {
            let mut story = Story::new();
            story.said(1, 2).apply("bob.1", message(2, "ann", "k1"));
            let edit = amended(3, "ann", "edited", "x");
            story.commit(edit.clone()).apply("bob.1", edit);
            story.ask(2, "bob.1", Ask::Messages { room: "g".to_owned() });
            story.answer(2, Answer::Messages(head, vec![said.clone()]));
            assert_eq!(story.broken(), broken);
        }
    }

    #[test]
    fn a_change_that_was_answered_otherwise_than_it_went_is_v16() {
        let ask =
            || Ask::Amend { room: "g".to_owned(), key: "a3".to_owned(), what: "edit".to_owned() };
        for (made, answer, broken) in [
            (true, Answer::Done, vec![]),
            (false, Answer::Done, vec!["V16"]),
            (true, Answer::Refused("forbidden".to_owned()), vec!["V16"]),
            (true, Answer::Refused("unavailable".to_owned()), vec![]),
        ] {
            let mut story = Story::new();
            story.said(1, 2).apply("bob.1", message(2, "ann", "k1")).ask(2, "ann.1", ask());
            if made {
                let edit = amended(3, "ann", "edited", "x");
                story.commit(edit.clone()).apply("bob.1", edit);
            }
            assert_eq!(story.answer(2, answer).broken(), broken);
        }
    }

    #[test]
    fn a_reply_out_of_turn_is_told() {
        let (device, due, got) = ("bob.1".to_owned(), "1".to_owned(), "2".to_owned());
        let mut story = Story::new();
        story.add(What::OutOfTurn { device, due, got });
        assert_eq!(story.broken(), ["replies"]);
    }
}
