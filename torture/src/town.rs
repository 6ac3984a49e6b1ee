//! What all devices of a run share: the doors, the book, who lives here, and how far the run is.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use chat_check::history::{
    Body, Conversation, Device, LogEvent, Phase, Time, User, content, replay,
};
use serde_json::Value;

use crate::book::Book;

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Citizen {
    /// Their number.
    pub user: User,
    /// Their id on the wire.
    pub id: String,
    /// Of a log-in that is never ended: from it the devices get theirs.
    pub token: String,
    /// Where they are a member from the beginning; with the other side of direct ones.
    pub rooms: Vec<(Conversation, Option<String>)>,
}

/// Where a device stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Connected, and its stream is live.
    pub synced: Option<Time>,
    /// The positions of its stream.
    pub held: BTreeMap<Conversation, u64>,
    /// Messages that are not answered yet.
    pub waiting: usize,
    /// Other questions that are not answered yet.
    pub asking: usize,
    /// It was logged out and is still connected.
    pub revoked: bool,
    /// Whose it is.
    pub user: User,
    /// Its task has ended.
    pub gone: bool,
}

/// How much later than it was written something may be seen first.
const SEEN_LATE: Time = 2_000_000;

/// A log at its end.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Its last number.
    pub head: u64,
    /// When that may have been given at the earliest, as far as is known.
    pub since: Time,
    /// Its members, and whether they own it.
    pub members: BTreeMap<User, bool>,
}

impl Ending {
    /// What is known of the end of this log. `asked`: when each last message was asked for.
    #[must_use]
    pub fn of(
        book: &Book,
        conversation: Conversation,
        log: &[LogEvent],
        asked: &HashMap<u64, Time>,
    ) -> Self {
        let asked = log.last().and_then(|event| asked.get(&event.content)).copied();
        let since = asked.unwrap_or_else(|| book.head(conversation).1);
        Self { head: log.len() as u64, since, members: replay(log).1 }
    }
}

/// What all devices of a run share.
pub struct Town {
    /// Where they write.
    pub book: Book,
    /// How far the run is.
    pub phase: Cell<Phase>,
    /// The doors of the nodes, one each.
    pub doors: Vec<SocketAddr>,
    /// Everybody; the strangers come last.
    pub citizens: Vec<Citizen>,
    /// How many of them may become a member of anything.
    pub people: usize,
    /// Whether long messages are written: they fill the mailboxes of those who do not read.
    pub loud: Cell<bool>,
    /// Microseconds between two actions of a device, on average.
    pub pause: u64,
    /// Messages of one device that wait for an answer at most.
    pub waiting_max: usize,
    /// Where the devices stand.
    pub standings: RefCell<HashMap<Device, Standing>>,
}

impl Town {
    /// Changes what is known of a device.
    pub fn stand(&self, device: Device, change: impl FnOnce(&mut Standing)) {
        change(self.standings.borrow_mut().entry(device).or_default());
    }

    /// Whether everything that was asked has its answer.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.standings.borrow().values().all(|it| it.waiting == 0 && it.asking == 0)
    }

    /// Whether somebody goes on by a log-in that ended.
    #[must_use]
    pub fn is_haunted(&self) -> bool {
        self.standings.borrow().values().any(|it| it.revoked)
    }

    /// Whether every device has a live stream.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.standings.borrow().values().all(|it| it.synced.is_some())
    }

    /// The first device that has not everything, if there is one, and what it lacks.
    #[must_use]
    pub fn behind(&self, logs: &BTreeMap<Conversation, Ending>) -> Option<String> {
        let standings = self.standings.borrow();
        for (device, standing) in standings.iter() {
            let Some(synced) = standing.synced else {
                return Some(format!("device {device} is not connected"));
            };
            for (room, Ending { head, since, members }) in logs {
                let held = standing.held.get(room).copied();
                let arrived = match (members.contains_key(&standing.user), held) {
                    (true, Some(held)) => held >= *head,
                    // It began with what was there when it came, which nobody may have seen yet.
                    (true, None) => *since < synced + SEEN_LATE,
                    (false, held) => held.is_none(),
                };
                if !arrived {
                    return Some(format!("device {device} is at {held:?} of {room}, not {head}"));
                }
            }
        }
        None
    }
}

/// Some JSON as text that is the same wherever it was written.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut names: Vec<_> = map.keys().collect();
            names.sort_unstable();
            text.push('{');
            for name in names {
                text.push_str(name);
                text.push(':');
                canonical(&map[name], text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for value in list {
                canonical(value, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::String(it) => text.push_str(it),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

/// The digest of an event as it stands on the wire.
#[must_use]
pub fn digest(frame: &Value) -> u64 {
    let part = |name: &str| frame[name].as_str().unwrap_or_default();
    let mut body = String::new();
    canonical(&frame["event"], &mut body);
    content(part("from"), part("key"), &body)
}

/// The digest of the event that a send has to become.
#[must_use]
pub fn digest_of_message(from: &str, key: &str, text: &str) -> u64 {
    content(from, key, &format!("{{text:{text},type:message,}}"))
}

/// An event as it stands on the wire, in the words of the history. `None`: it is none.
#[must_use]
pub fn log_event(book: &Book, frame: &Value) -> Option<LogEvent> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let users = |value: &Value| {
        let ids = value.as_array()?.iter().map(|id| Some(book.user(id.as_str()?)));
        ids.collect::<Option<Vec<_>>>()
    };
    let event = &frame["event"];
    Some(LogEvent {
        seq: frame["seq"].as_u64()?,
        from: frame["from"].as_str().map(|id| book.user(id)),
        key: text(&frame["key"]),
        content: digest(frame),
        body: match event["type"].as_str()? {
            "created" => {
                Body::Created { members: users(&event["members"])?, title: text(&event["title"]) }
            }
            "added" => Body::Added(users(&event["users"])?),
            "removed" => Body::Removed(book.user(event["user"].as_str()?)),
            "left" => Body::Left,
            "role" => Body::Role(book.user(event["user"].as_str()?), event["role"] == "owner"),
            "title" => Body::Title(text(&event["title"])?),
            "message" => Body::Message,
            "deleted" => Body::Deleted(event["message"].as_u64()?),
            "erased" => Body::Erased,
            _ => Body::Other,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_has_the_digest_that_was_asked_for() {
        let frame = json!({"seq": 3, "from": "u", "key": "k", "at": "now",
            "event": {"type": "message", "text": "hi\n👍"}});
        assert_eq!(digest(&frame), digest_of_message("u", "k", "hi\n👍"));
        assert_ne!(digest(&frame), digest_of_message("u", "k", "hi"));
        let event = log_event(&Book::default(), &frame).unwrap();
        assert_eq!((event.seq, event.body), (3, Body::Message));
    }
}
