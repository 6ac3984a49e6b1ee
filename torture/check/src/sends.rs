//! V1, V2, V4, V10 and limits: what became of what was sent.

use std::collections::{HashMap, HashSet};

use crate::{
    Found, Rule,
    history::{Answer, Ask, Body, Conversation, Entry, Op, User, What},
    logs::{Asked, Cast, Log, Logs},
};

type Key<'a> = (Conversation, User, &'a str);

pub(crate) fn check(history: &[Entry], cast: &Cast<'_>, logs: &Logs<'_>, found: &mut Found) {
    let mut asked: HashMap<Key<'_>, u64> = HashMap::new();
    for entry in history {
        if let What::Invoke { device, ask, .. } = &entry.what
            && let Ask::Send { conversation, key, content, bad: false } = &**ask
        {
            asked.insert((*conversation, cast.user(*device), key), *content);
        }
    }
    let mut stands: HashSet<Key<'_>> = HashSet::new();
    for (conversation, log) in &logs.0 {
        check_log(*conversation, log, cast, &asked, &mut stands, found);
    }
    check_answers(history, cast, logs, &stands, found);
}

fn check_log<'a>(
    conversation: Conversation,
    log: &Log<'a>,
    cast: &Cast<'_>,
    asked: &HashMap<Key<'_>, u64>,
    stands: &mut HashSet<Key<'a>>,
    found: &mut Found,
) {
    let mut wrong = |rule, story| found.add(rule, Some(conversation), None, story);
    for event in log.events {
        let seq = event.seq;
        if !log.is_message(event) {
            if event.body == Body::Erased
                && let (Some(from), Some(key)) = (event.from, event.key.as_deref())
                && asked.contains_key(&(conversation, from, key))
            {
                wrong(Rule::V3, format!("{seq} is gone, and nobody deleted it"));
            }
            continue;
        }
        let (Some(from), Some(key)) = (event.from, event.key.as_deref()) else {
            wrong(Rule::V10, format!("{seq} is nobody's message"));
            continue;
        };
        if !stands.insert((conversation, from, key)) {
            wrong(Rule::V2, format!("{key} of {} stands again at {seq}", cast.name(from)));
        }
        match asked.get(&(conversation, from, key)) {
            Some(content) if *content == event.content || event.body == Body::Erased => {}
            Some(_) => wrong(Rule::V10, format!("{seq} is not what {key} asked for")),
            None => wrong(Rule::V10, format!("{seq}: nobody asked for {key}")),
        }
        let member = log.stays(from).iter();
        if !member.clone().any(|it| it.from < seq && it.until.is_none_or(|end| seq < end)) {
            wrong(Rule::V8, format!("{seq} is of {}, not a member then", cast.name(from)));
        }
    }
}

/// What is known of a send while its answers come.
#[derive(Default, Clone, Copy)]
struct Known {
    /// Every number up to this one was acknowledged before it was asked for.
    floor: u64,
    seq: Option<u64>,
    fresh: bool,
}

fn check_answers(
    history: &[Entry],
    cast: &Cast<'_>,
    logs: &Logs<'_>,
    stands: &HashSet<Key<'_>>,
    found: &mut Found,
) {
    let mut acknowledged: HashMap<Conversation, u64> = HashMap::new();
    let mut sends: HashMap<Op, Known> = HashMap::new();
    for (place, entry) in history.iter().enumerate() {
        match &entry.what {
            What::Invoke { op, ask, .. } => {
                if let Ask::Send { conversation, .. } = &**ask {
                    let floor = acknowledged.get(conversation).copied().unwrap_or(0);
                    sends.insert(*op, Known { floor, ..Known::default() });
                }
            }
            What::Ok { op, answer, .. } => {
                let Some(Asked {
                    user, ask: Ask::Send { conversation, key, content, bad }, ..
                }) = cast.asked(*op)
                else {
                    continue;
                };
                let Answer::Ack { conversation: told, seq, duplicate } = &**answer else {
                    continue;
                };
                let (conversation, seq) = (*conversation, *seq);
                let mut wrong =
                    |rule, story| found.add(rule, Some(conversation), Some(place), story);
                let who = cast.name(user);
                if *bad {
                    wrong(
                        Rule::Limits,
                        format!("{key} of {who} breaks a limit, and stands at {seq}"),
                    );
                    continue;
                }
                let there = logs.get(conversation).is_some_and(|log| {
                    log.stood(seq, *content)
                        && log.event(seq).is_some_and(|event| {
                            event.from == Some(user) && event.key.as_deref() == Some(key)
                        })
                });
                if *told != conversation || !there {
                    let story = format!("{key} of {who} was acknowledged at {seq}: not there");
                    wrong(Rule::V1, story);
                }
                let known = sends.entry(*op).or_default();
                if let Some(first) = known.seq.replace(seq)
                    && first != seq
                {
                    wrong(Rule::V2, format!("{key} of {who} was at {first}, then at {seq}"));
                }
                if !duplicate && std::mem::replace(&mut known.fresh, true) {
                    wrong(Rule::V2, format!("{key} of {who} was new twice"));
                }
                if seq <= known.floor {
                    let story = format!(
                        "{key} of {who} is {seq}, asked for after {} was acknowledged",
                        known.floor
                    );
                    wrong(Rule::V4, story);
                }
                let highest = acknowledged.entry(conversation).or_default();
                *highest = (*highest).max(seq);
            }
            What::Fail { op, code } | What::Info { op, why: code } => {
                let Some(Asked { user, ask: Ask::Send { conversation, key, .. }, .. }) =
                    cast.asked(*op)
                else {
                    continue;
                };
                let mut wrong =
                    |rule, story| found.add(rule, Some(*conversation), Some(place), story);
                let who = cast.name(user);
                if code == "key_conflict" {
                    wrong(Rule::V2, format!("{key} of {who}: {code}, and it has one content"));
                }
                if matches!(entry.what, What::Fail { .. })
                    && stands.contains(&(*conversation, user, key))
                {
                    wrong(Rule::V10, format!("{key} of {who} was refused ({code}), and stands"));
                }
            }
            _ => {}
        }
    }
}
