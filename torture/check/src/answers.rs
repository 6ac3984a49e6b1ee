//! V8 for answers, pages (V5), V12, V13: what was said to those who asked, and what is left.

use std::collections::{BTreeSet, HashMap};

use crate::{
    Found, Rule,
    history::{Answer, Ask, Conversation, Entry, LogEvent, Op, Phase, User, What, replay},
    logs::{Asked, Cast, Logs},
};

pub(crate) fn check(history: &[Entry], cast: &Cast<'_>, logs: &Logs<'_>, found: &mut Found) {
    let mut open: HashMap<Op, usize> = HashMap::new();
    let mut quiet = false;
    for (place, entry) in history.iter().enumerate() {
        match &entry.what {
            What::Invoke { op, .. } => {
                open.insert(*op, place);
            }
            What::Ok { op, answer, .. } => {
                open.remove(op);
                if let Some(asked) = cast.asked(*op) {
                    check_answer(place, entry, asked, answer, cast, logs, found);
                }
            }
            What::Fail { op, .. } => {
                open.remove(op);
            }
            What::Info { op, why } => {
                open.remove(op);
                let Some(Asked { user, ask, .. }) = cast.asked(*op) else { continue };
                if quiet {
                    let story = format!("{}: {why} in the quiet phase: {ask:?}", cast.name(user));
                    found.add(Rule::V12, ask.conversation(), Some(place), story);
                }
            }
            What::Phase { phase } => quiet |= *phase >= Phase::Quiet,
            What::OutOfTurn { device, ids } => {
                let story = format!("{}: {ids}", cast.name(cast.user(*device)));
                found.add(Rule::Replies, None, Some(place), story);
            }
            What::Unspoken { device, story } => {
                let story = format!("{}: {story}", cast.name(cast.user(*device)));
                found.add(Rule::Wire, None, Some(place), story);
            }
            What::State { conversation, title, members } => {
                let log = logs.get(*conversation).map_or(&[][..], |log| log.events);
                check_state(*conversation, place, title.as_ref(), members, log, found);
            }
            What::Gauge { node, name, base, now } if now > base => {
                let story = format!("node {node}: {name} is {now}, was {base}");
                found.add(Rule::V12, None, Some(place), story);
            }
            _ => {}
        }
    }
    // A send goes on until there is an answer; so does whatever was asked while all was well.
    let mut open: Vec<_> = open.into_iter().collect();
    open.sort_unstable_by_key(|(_, place)| *place);
    for (op, place) in open {
        if let Some(Asked { user, ask, .. }) = cast.asked(op) {
            let story = format!("{}: never answered: {ask:?}", cast.name(user));
            found.add(Rule::V12, ask.conversation(), Some(place), story);
        }
    }
}

fn check_answer(
    place: usize,
    entry: &Entry,
    asked: Asked<'_>,
    answer: &Answer,
    cast: &Cast<'_>,
    logs: &Logs<'_>,
    found: &mut Found,
) {
    let Some(conversation) = asked.ask.conversation() else { return };
    let who = cast.name(asked.user);
    let mut wrong = |rule, story| found.add(rule, Some(conversation), Some(place), story);
    // That something stands which nobody may write is told where it stands.
    if matches!(asked.ask, Ask::Send { .. }) {
        return;
    }
    let Some(log) = logs.get(conversation) else {
        wrong(Rule::V8, format!("{who}: an answer about a conversation that nobody can read"));
        return;
    };
    if !log.may_be_member(asked.user, asked.t, entry.t) {
        wrong(Rule::V8, format!("{who} is not a member, and was answered: {:?}", asked.ask));
    }
    let Answer::Page(page) = answer else { return };
    let first = page.first().map_or(0, |(seq, _)| *seq);
    for ((seq, content), due) in page.iter().zip(first..) {
        if *seq != due || !log.stood(*seq, *content) {
            wrong(Rule::V5, format!("{who}: {seq} in a page, in place of {due}, is not the log's"));
        }
        if !log.may_see(asked.user, *seq, entry.t) {
            wrong(Rule::V8, format!("{who}: {seq} in a page, and not a member then"));
        }
    }
}

fn check_state(
    conversation: Conversation,
    place: usize,
    title: Option<&String>,
    members: &[(User, bool)],
    log: &[LogEvent],
    found: &mut Found,
) {
    let (due, replayed) = replay(log);
    let replayed: BTreeSet<_> = replayed.into_iter().collect();
    let told: BTreeSet<_> = members.iter().copied().collect();
    let mut wrong = |story| found.add(Rule::V13, Some(conversation), Some(place), story);
    if title != due {
        wrong(format!("its title is {title:?}, by its log {due:?}"));
    }
    if told != replayed {
        let differ: Vec<_> = told.symmetric_difference(&replayed).collect();
        wrong(format!("its members and owners are not those of its log: {differ:?}"));
    }
}
