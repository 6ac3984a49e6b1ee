//! The judge: what clients were told, held against what is there. Asks nobody, and shares no code
//! with the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::recording::{Recording, Sent, Stored};

/// Everything that is not as it was promised, in words.
pub(crate) fn check(recordings: &[Recording], stored: &Stored) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    for recording in recordings {
        let device = &recording.device;
        wrong.extend(recording.complaints.iter().map(|it| format!("{device}: {it}")));
    }
    for (conversation, log) in &stored.logs {
        check_log(conversation, log, &mut wrong);
    }
    check_nothing_unasked(recordings, stored, &mut wrong);
    for sent in recordings.iter().flat_map(|it| &it.sent) {
        check_sent(sent, stored, &mut wrong);
    }
    check_real_time(recordings, &mut wrong);
    for recording in recordings {
        check_held(recording, stored, &mut wrong);
    }
    check_markers(recordings, stored, &mut wrong);
    wrong
}

/// 1, 2, 3 …, and each key once.
fn check_log(conversation: &str, log: &[Value], wrong: &mut Vec<String>) {
    let mut keys = BTreeSet::new();
    for (index, event) in log.iter().enumerate() {
        if event["seq"].as_u64() != Some(index as u64 + 1) {
            wrong.push(format!("gap: {} in place {} of {conversation}", event["seq"], index + 1));
        }
        if let Some(key) = event["key"].as_str()
            && !keys.insert((event["from"].to_string(), key))
        {
            wrong.push(format!("twice: {key} of {} in {conversation}", event["from"]));
        }
    }
}

/// Every message in a log was asked for by its author, word for word.
fn check_nothing_unasked(recordings: &[Recording], stored: &Stored, wrong: &mut Vec<String>) {
    let asked: BTreeMap<_, _> = recordings
        .iter()
        .flat_map(|it| &it.sent)
        .map(|sent| ((&*sent.conversation, &*sent.user, &*sent.key), &*sent.text))
        .collect();
    for (conversation, log) in &stored.logs {
        for event in log.iter().filter(|event| event["event"]["type"] == "message") {
            let [from, key] = ["from", "key"].map(|name| event[name].as_str().unwrap_or(""));
            let text = asked.get(&(&**conversation, from, key));
            if text.is_none() || event["event"]["text"].as_str() != text.copied() {
                wrong.push(format!("nobody asked for {event}"));
            }
        }
    }
}

/// What was acknowledged is there, at the place and time that were named, once, and was new at most
/// once.
fn check_sent(sent: &Sent, stored: &Stored, wrong: &mut Vec<String>) {
    let nothing = Vec::new();
    let log = stored.logs.get(&sent.conversation).unwrap_or(&nothing);
    for answer in &sent.answers {
        let index = usize::try_from(answer.seq).ok().and_then(|seq| seq.checked_sub(1));
        let event = index.and_then(|index| log.get(index)).unwrap_or(&Value::Null);
        let as_told = answer.conversation == sent.conversation
            && event["from"] == *sent.user
            && event["key"] == *sent.key
            && event["at"] == *answer.at;
        if !as_told {
            wrong.push(format!(
                "lost: {} of {} was acknowledged at {} of {}, where is {event}",
                sent.key, sent.user, answer.seq, answer.conversation
            ));
        }
    }
    if sent.answers.iter().filter(|answer| !answer.duplicate).count() > 1 {
        wrong.push(format!("new twice: {} of {}", sent.key, sent.user));
    }
    let places: BTreeSet<_> = sent.answers.iter().map(|answer| answer.seq).collect();
    if places.len() > 1 {
        wrong.push(format!("moved: {} of {} was at {places:?}", sent.key, sent.user));
    }
}

/// What was acknowledged before something else was asked for stands before it.
fn check_real_time(recordings: &[Recording], wrong: &mut Vec<String>) {
    /// At the same moment asking comes first: it may have been answered only afterwards.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum What {
        Asked,
        Answered,
    }
    let mut moments: BTreeMap<&str, Vec<(Duration, What, &Sent, u64)>> = BTreeMap::new();
    for sent in recordings.iter().flat_map(|it| &it.sent) {
        if let Some(answer) = sent.answers.first() {
            let moments = moments.entry(&sent.conversation).or_default();
            moments.push((sent.asked, What::Asked, sent, answer.seq));
            moments.push((answer.when, What::Answered, sent, answer.seq));
        }
    }
    for moments in moments.values_mut() {
        moments.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let mut answered = 0;
        for (_, what, sent, seq) in moments {
            match what {
                What::Asked if *seq <= answered => {
                    let key = &sent.key;
                    wrong.push(format!(
                        "before its time: {key} at {seq}, asked for after {answered}"
                    ));
                }
                What::Asked => {}
                What::Answered => answered = answered.max(*seq),
            }
        }
    }
}

/// A device holds exactly the log.
fn check_held(recording: &Recording, stored: &Stored, wrong: &mut Vec<String>) {
    let device = &recording.device;
    for (conversation, held) in &recording.held {
        let nothing = Vec::new();
        let log = stored.logs.get(conversation).unwrap_or(&nothing);
        let differs = held.iter().zip(log).find(|(one, other)| one != other);
        if let Some((held, there)) = differs {
            wrong.push(format!("{device} was shown {held}, and {there} is there"));
        }
        if held.len() != log.len() {
            let (holds, are) = (held.len(), log.len());
            wrong.push(format!("{device} holds {holds} of {are} events of {conversation}"));
        }
    }
}

/// No marker is below what was promised or shown, or above the log.
fn check_markers(recordings: &[Recording], stored: &Stored, wrong: &mut Vec<String>) {
    let at = |conversation: &str, user: &str| {
        let name = (conversation.to_owned(), user.to_owned());
        stored.markers.get(&name).copied().unwrap_or_default()
    };
    for recording in recordings {
        for marked in &recording.marked {
            let (_, read) = at(&marked.conversation, &marked.user);
            if read < marked.read {
                let (user, was) = (&marked.user, marked.read);
                wrong.push(format!("{user} had read up to {was}, and the marker is at {read}"));
            }
        }
        for ((conversation, user), shown) in &recording.receipts {
            let (received, read) = at(conversation, user);
            if received < shown.0 || read < shown.1 {
                let device = &recording.device;
                wrong.push(format!(
                    "{device} was shown {shown:?} of {user}, ({received}, {read}) is there"
                ));
            }
        }
    }
    for ((conversation, user), (received, read)) in &stored.markers {
        let head = stored.logs.get(conversation).map_or(0, Vec::len) as u64;
        if read > received || *received > head {
            wrong.push(format!("{user} has read {read}, received {received} of {head}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recording::{Acknowledged, Marked};

    fn event(seq: u64, key: &str) -> Value {
        json!({
            "conversation": "c", "seq": seq, "at": format!("t{seq}"), "from": "u", "key": key,
            "event": { "type": "message", "text": key },
        })
    }

    fn sent(key: &str, asked: u64, when: u64, seq: u64) -> Sent {
        let answer = Acknowledged {
            when: Duration::from_secs(when),
            conversation: "c".to_owned(),
            seq,
            at: format!("t{seq}"),
            duplicate: false,
        };
        Sent {
            user: "u".to_owned(),
            key: key.to_owned(),
            conversation: "c".to_owned(),
            text: key.to_owned(),
            asked: Duration::from_secs(asked),
            answers: vec![answer],
        }
    }

    /// Two messages, acknowledged, held, read.
    fn good() -> (Recording, Stored) {
        let log = vec![event(1, "a"), event(2, "b")];
        let name = || "c".to_owned();
        let recording = Recording {
            device: "u-0".to_owned(),
            sent: vec![sent("a", 1, 2, 1), sent("b", 3, 4, 2)],
            marked: vec![Marked { user: "u".to_owned(), conversation: name(), read: 1 }],
            held: BTreeMap::from([(name(), log.clone())]),
            receipts: BTreeMap::from([((name(), "u".to_owned()), (2, 1))]),
            ..Recording::default()
        };
        let stored = Stored {
            logs: BTreeMap::from([(name(), log)]),
            markers: BTreeMap::from([((name(), "u".to_owned()), (2, 1))]),
        };
        (recording, stored)
    }

    #[track_caller]
    fn complains(about: &str, spoil: impl FnOnce(&mut Recording, &mut Stored)) {
        let (mut recording, mut stored) = good();
        spoil(&mut recording, &mut stored);
        let wrong = check(&[recording], &stored);
        assert!(wrong.iter().any(|it| it.contains(about)), "{about}: {wrong:?}");
    }

    fn log(stored: &mut Stored) -> &mut Vec<Value> {
        stored.logs.get_mut("c").unwrap()
    }

    #[test]
    fn what_is_right_is_let_pass() {
        let (recording, stored) = good();
        assert_eq!(check(&[recording], &stored), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        complains("lost: b", |_, stored| drop(log(stored).pop()));
        complains("lost: b", |_, stored| log(stored)[1]["at"] = json!("t9"));
        complains("gap", |_, stored| drop(log(stored).remove(0)));
        complains("twice: a", |_, stored| log(stored).push(event(3, "a")));
        complains("nobody asked", |_, stored| log(stored).push(event(3, "c")));
        complains("nobody asked", |_, stored| log(stored)[0]["event"]["text"] = json!("A"));
        complains("moved: a", |recording, _| {
            let mut other = recording.sent[0].answers[0].clone();
            other.seq = 2;
            recording.sent[0].answers.push(other);
        });
        complains("new twice: a", |recording, _| {
            let other = recording.sent[0].answers[0].clone();
            recording.sent[0].answers.push(other);
        });
        complains("before its time: a", |recording, _| {
            recording.sent[0].asked = Duration::from_secs(5);
            recording.sent[0].answers[0].when = Duration::from_secs(6);
        });
        complains("holds 1 of 2", |recording, _| drop(recording.held.get_mut("c").unwrap().pop()));
        complains("was shown", |recording, _| recording.held.get_mut("c").unwrap().swap(0, 1));
        complains("had read up to 1", |_, stored| stored.markers.clear());
        complains("was shown (2, 1)", |_, stored| {
            stored.markers.insert(("c".to_owned(), "u".to_owned()), (1, 1));
        });
        complains("received 3 of 2", |_, stored| {
            stored.markers.insert(("c".to_owned(), "u".to_owned()), (3, 1));
        });
    }
}
