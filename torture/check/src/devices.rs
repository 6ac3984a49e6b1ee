//! V5, V6, V8, V11, V12 and V14: what came over each connection.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    Found, Rule, Terms,
    history::{self, Conversation, Entry, Phase, Time, User, What},
    logs::{Cast, Log, Logs},
};

struct Device {
    user: User,
    /// It hears each number once and in order, whatever the wire said.
    exact: bool,
    credential: u32,
    hello: Time,
    connected: bool,
    synced: bool,
    /// Where the stream stands.
    held: BTreeMap<Conversation, u64>,
    /// Where nothing is held: the number up to which nothing need come.
    due: HashMap<Conversation, u64>,
    /// What it held when it said hello.
    brought: HashSet<Conversation>,
    /// Where a token stands for what is held: the stream may begin a little earlier.
    tokened: HashSet<Conversation>,
    /// Places from which parts were asked for again.
    again: HashMap<Conversation, Vec<u64>>,
}

pub(crate) fn check(
    history: &[Entry],
    cast: &Cast<'_>,
    logs: &Logs<'_>,
    terms: Terms,
    found: &mut Found,
) {
    let revoked = deadlines(history, terms);
    let mut devices: BTreeMap<history::Device, Device> = BTreeMap::new();
    let mut dialled: HashMap<history::Device, Time> = HashMap::new();
    let (mut quiet, mut judged) = (false, false);
    for (place, entry) in history.iter().enumerate() {
        if let What::Phase { phase } = entry.what {
            quiet = phase == Phase::Quiet;
            if phase == Phase::Judged {
                judged = true;
                for device in devices.values() {
                    check_arrived(device, place, entry.t, cast, logs, &revoked, found);
                }
            }
        }
        let Some(number) = entry.what.device() else { continue };
        if let What::Dialled { since, .. } = entry.what {
            dialled.insert(number, since);
            continue;
        }
        if let What::Hello { credential, held, tokened, token, .. } = &entry.what {
            let device = devices.entry(number).or_insert_with(|| Device {
                user: cast.user(number),
                exact: cast.exact(number),
                credential: *credential,
                hello: entry.t,
                connected: false,
                synced: false,
                held: BTreeMap::new(),
                due: HashMap::new(),
                brought: HashSet::new(),
                tokened: HashSet::new(),
                again: HashMap::new(),
            });
            device.credential = *credential;
            device.hello = dialled.remove(&number).unwrap_or(entry.t);
            device.connected = true;
            device.synced = false;
            device.held = held.iter().chain(tokened).copied().collect();
            device.tokened = tokened.iter().map(|(conversation, _)| *conversation).collect();
            device.brought = device.held.keys().copied().collect();
            device.again.clear();
            if !token {
                device.due.clear();
            }
            continue;
        }
        let Some(device) = devices.get_mut(&number) else { continue };
        let who = || format!("device {number} of {}", cast.name(cast.user(number)));
        match &entry.what {
            What::Welcome { .. }
                if revoked.get(&device.credential).is_some_and(|until| device.hello > *until) =>
            {
                let story = format!("{} is let in by a revoked credential", who());
                found.add(Rule::V14, None, Some(place), story);
            }
            What::Synced { .. } => {
                device.synced = true;
                device.tokened.clear();
                check_synced(device, &who, place, entry.t, logs, found);
            }
            What::Ended { why, .. } => {
                device.connected = false;
                if quiet {
                    let story = format!("{} lost its connection: {why}", who());
                    found.add(Rule::V12, None, Some(place), story);
                }
            }
            What::Sync { conversation, after, .. } => {
                device.again.entry(*conversation).or_default().push(*after);
            }
            What::Reset { conversation, head, .. } => {
                let log = logs.get(*conversation);
                if log.is_none_or(|log| *head > log.head_at_most(entry.t)) {
                    let story = format!("{} shall begin behind {head}: not there", who());
                    found.add(Rule::V5, Some(*conversation), Some(place), story);
                }
                let held = device.held.insert(*conversation, *head);
                if let Some(held) = held.filter(|held| device.exact && head < held) {
                    let story = format!("{} shall go back from {held} to {head}", who());
                    found.add(Rule::V5, Some(*conversation), Some(place), story);
                }
                device.due.remove(conversation);
            }
            What::Left { conversation, .. } => {
                device.held.remove(conversation);
                device.due.remove(conversation);
            }
            What::Event { conversation, seq, content, .. } => {
                let Some(log) = logs.get(*conversation) else {
                    let story = format!("{} got {seq} of a conversation that is not", who());
                    found.add(Rule::V10, Some(*conversation), Some(place), story);
                    continue;
                };
                let mut wrong = |rule, story: String| {
                    found.add(rule, Some(*conversation), Some(place), format!("{} {story}", who()));
                };
                if !log.stood(*seq, *content) {
                    wrong(Rule::V5, format!("got {seq}: not what stands in the log"));
                }
                if !log.may_see(device.user, *seq, entry.t) {
                    wrong(Rule::V8, format!("got {seq}: not a member then"));
                }
                if revoked.get(&device.credential).is_some_and(|until| log.earliest(*seq) > *until)
                {
                    wrong(Rule::V14, format!("got {seq} by a revoked credential"));
                }
                if let Some(story) = advance(device, log, *conversation, *seq) {
                    wrong(Rule::V5, story);
                }
            }
            _ => {}
        }
    }
    if !judged {
        found.add(Rule::V11, None, None, "the run came to no end".to_owned());
    }
}

/// Moves a stream on by what came; what is wrong with that, if anything is.
fn advance(
    device: &mut Device,
    log: &Log<'_>,
    conversation: Conversation,
    seq: u64,
) -> Option<String> {
    let held = device.held.insert(conversation, seq);
    let earlier = device.tokened.remove(&conversation) && held.is_some_and(|held| seq <= held);
    if earlier || held.is_some_and(|held| held + 1 == seq) {
        return None;
    }
    let asked = device.again.get_mut(&conversation).and_then(|places| {
        let begun = places.iter().position(|after| after + 1 == seq)?;
        Some(places.swap_remove(begun))
    });
    if asked.is_some() {
        return None;
    }
    match held {
        Some(held) if seq > held => Some(format!("got {seq} after {held}")),
        Some(held) => {
            if device.exact {
                device.held.insert(conversation, held);
                return Some(format!("got {seq} again, after {held}"));
            }
            // Who is added again gets the log from its beginning, told or not that they had left.
            let mut added_again = log.stays(device.user).iter().skip(1);
            let added = added_again.any(|stay| log.latest(stay.from) >= device.hello);
            // And who is added while a connection begins may get it from the news and from the log.
            let newcomer = !device.synced && !device.brought.contains(&conversation);
            if seq == 1 && (added || newcomer) {
                return None;
            }
            device.held.insert(conversation, held);
            Some(format!("got {seq} again, after {held}"))
        }
        None => {
            // The first one: where it joined, or from the beginning.
            let due = device.due.remove(&conversation);
            let due = due.unwrap_or(if device.synced { 0 } else { log.head() });
            (seq > due + 1).then(|| format!("begins with {seq}, {} was due", due + 1))
        }
    }
}

fn check_synced(
    device: &mut Device,
    who: &impl Fn() -> String,
    place: usize,
    t: Time,
    logs: &Logs<'_>,
    found: &mut Found,
) {
    for (conversation, log) in &logs.0 {
        if log.stays(device.user).is_empty() {
            continue;
        }
        match device.held.get(conversation) {
            Some(held) => {
                let before = log.head_at_least(device.hello);
                if *held < before && log.is_member(device.user, device.hello, t) {
                    let story = format!("{} is at {held}, {before} was there before", who());
                    found.add(Rule::V6, Some(*conversation), Some(place), story);
                }
            }
            None if log.may_be_member(device.user, device.hello, t) => {
                device.due.entry(*conversation).or_insert_with(|| log.head_at_most(t));
            }
            None => {}
        }
    }
}

/// After the quiet phase.
fn check_arrived(
    device: &Device,
    place: usize,
    t: Time,
    cast: &Cast<'_>,
    logs: &Logs<'_>,
    revoked: &HashMap<u32, Time>,
    found: &mut Found,
) {
    let who = cast.name(device.user);
    if !device.connected || !device.synced {
        found.add(Rule::V12, None, Some(place), format!("a device of {who} is not connected"));
        return;
    }
    if revoked.get(&device.credential).is_some_and(|until| t > *until) {
        let story = format!("a device of {who} goes on by a revoked credential");
        found.add(Rule::V14, None, Some(place), story);
    }
    for (conversation, log) in &logs.0 {
        let held = device.held.get(conversation);
        if log.member_now(device.user) {
            let head = log.head();
            let at = held.or_else(|| device.due.get(conversation)).copied().unwrap_or(0);
            if at < head {
                let story = format!("a device of {who} is at {at}, not {head}");
                found.add(Rule::V11, Some(*conversation), Some(place), story);
            }
        } else if held.is_some() {
            let story = format!("a device of {who} was not told that they are no member");
            found.add(Rule::V11, Some(*conversation), Some(place), story);
        }
    }
}

/// Until when a revoked credential may still be of use: the term begins again behind every fault
/// that falls into it, because nothing can be asked for meanwhile.
fn deadlines(history: &[Entry], terms: Terms) -> HashMap<u32, Time> {
    let end = history.last().map_or(0, |entry| entry.t);
    let mut faults: BTreeMap<u32, (Time, Time)> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            What::Fault { fault, .. } => {
                faults.insert(*fault, (entry.t, end));
            }
            What::Healed { fault } => {
                if let Some(window) = faults.get_mut(fault) {
                    window.1 = entry.t;
                }
            }
            _ => {}
        }
    }
    let mut faults: Vec<_> = faults.into_values().collect();
    faults.sort_unstable();
    let mut until = HashMap::new();
    for entry in history {
        if let What::Revoked { credential } = entry.what {
            let mut deadline = entry.t + terms.revocation;
            for (begun, ended) in &faults {
                if *begun <= deadline && *ended >= entry.t {
                    deadline = deadline.max(ended + terms.revocation);
                }
            }
            until.entry(credential).or_insert(deadline);
        }
    }
    until
}
