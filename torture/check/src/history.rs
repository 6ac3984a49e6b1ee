//! What is written down of a run: the one interface between those who run and the one who judges.
//!
//! Plain data, one JSON object a line. Users, devices and conversations are numbers here, because a
//! run writes millions of lines; the lines that introduce them carry their names. Knows the words of
//! the protocol, and nothing of how anybody implements it.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
};

use serde::{Deserialize, Serialize};

/// Microseconds since the run began, by the one monotonic clock of the process in which all devices
/// live. Questions carry the time before they were asked, answers the time after they were heard.
pub type Time = u64;
/// The number of a user.
pub type User = u32;
/// The number of a device.
pub type Device = u32;
/// The number of a conversation.
pub type Conversation = u32;
/// The number of something that was asked for; unique in a run.
pub type Op = u64;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub t: Time,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. What is rare is boxed, so that the frequent line stays small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// Introduces a user.
    User {
        /// Their number.
        user: User,
        /// Their id on the wire.
        id: String,
    },
    /// Introduces a device.
    Device {
        /// Its number.
        device: Device,
        /// Whose it is.
        user: User,
        /// Whether it is a program on a client that promises each number once and in order, over
        /// all connections: what it hears is not what the wire said.
        exact: bool,
    },
    /// Introduces a conversation.
    Conversation {
        /// Its number.
        conversation: Conversation,
        /// Its id on the wire.
        id: String,
    },

    /// Somebody asks for something, for the first time.
    Invoke {
        /// A new number.
        op: Op,
        /// Who asks.
        device: Device,
        /// For what.
        ask: Box<Ask>,
    },
    /// The same send again, with the same key.
    Retry {
        /// The number of the first time.
        op: Op,
    },
    /// It happened. A send may be answered several times.
    Ok {
        /// What was asked for.
        op: Op,
        /// The node that answered.
        node: u32,
        /// What it said.
        answer: Box<Answer>,
    },
    /// It was refused for good, at the first attempt: it certainly did not happen.
    Fail {
        /// What was asked for.
        op: Op,
        /// The problem's code.
        code: String,
    },
    /// No answer, or a refusal after an attempt without one: it may have happened or not.
    Info {
        /// What was asked for.
        op: Op,
        /// Why nobody knows.
        why: String,
    },

    /// The next hello of this device was not said when its line stands here: a program hears of its
    /// connections afterwards, and knows only that this one was not opened before.
    Dialled {
        /// Which.
        device: Device,
        /// When it may have been said at the earliest.
        since: Time,
    },
    /// A device says hello on a new connection.
    Hello {
        /// Which.
        device: Device,
        /// At which node.
        node: u32,
        /// The number of its log-in.
        credential: u32,
        /// What it names as held.
        held: Vec<(Conversation, u64)>,
        /// What it holds and does not name, because it has a resume token: the token may be a
        /// little older than what is held, so some of that may come again.
        tokened: Vec<(Conversation, u64)>,
        /// Whether it has a resume token.
        token: bool,
    },
    /// The hello was accepted.
    Welcome {
        /// Whose.
        device: Device,
    },
    /// From here on the stream is live.
    Synced {
        /// Whose.
        device: Device,
    },
    /// A device of that kind is on another node, and its stream goes on as if nothing had been.
    Moved {
        /// Which.
        device: Device,
    },
    /// The connection is over.
    Ended {
        /// Whose.
        device: Device,
        /// How: a close code or what the socket said.
        why: String,
    },
    /// An event arrived, as it came over the wire: also one that a device would drop.
    Event {
        /// Where.
        device: Device,
        /// Of what.
        conversation: Conversation,
        /// Its number.
        seq: u64,
        /// The digest of its content, see [`content`].
        content: u64,
    },
    /// A device was told to begin behind this number.
    Reset {
        /// Which.
        device: Device,
        /// Where.
        conversation: Conversation,
        /// The number.
        head: u64,
    },
    /// A device was told that its user is no longer a member.
    Left {
        /// Which.
        device: Device,
        /// Of what.
        conversation: Conversation,
    },
    /// A device asks for a part of the log again, on the live stream.
    Sync {
        /// Which.
        device: Device,
        /// Of what.
        conversation: Conversation,
        /// Behind this number.
        after: u64,
    },
    /// The marker of a member, as a device was told.
    Receipt {
        /// Who was told.
        device: Device,
        /// Where.
        conversation: Conversation,
        /// Whose marker.
        user: User,
        /// Received up to this number.
        received: u64,
        /// Read up to this number.
        read: u64,
    },
    /// A reply that is not the next one due.
    OutOfTurn {
        /// Who heard it.
        device: Device,
        /// The id that was due, and the one that came.
        ids: String,
    },
    /// Something that does not stand in the protocol.
    Unspoken {
        /// Who heard it.
        device: Device,
        /// What.
        story: String,
    },

    /// A log-in was ended, and the server said yes.
    Revoked {
        /// The number of the log-in.
        credential: u32,
    },
    /// A fault begins.
    Fault {
        /// The number of the fault.
        fault: u32,
        /// Its kind.
        kind: String,
        /// The node that it hits, if it is about one.
        node: Option<u32>,
    },
    /// A fault is over.
    Healed {
        /// The number of the fault.
        fault: u32,
    },
    /// A part of the run begins.
    Phase {
        /// Which.
        phase: Phase,
    },

    /// A log as somebody read it at the end.
    Final {
        /// Of what.
        conversation: Conversation,
        /// From where: a member over HTTP, or the database itself.
        source: Source,
        /// The whole of it.
        events: Vec<LogEvent>,
    },
    /// What a conversation is at the end, as a member was told.
    State {
        /// Of what.
        conversation: Conversation,
        /// Its title, if it is a group.
        title: Option<String>,
        /// Its members, and whether they are owners.
        members: Vec<(User, bool)>,
    },
    /// A number that a node reports of itself when everybody has gone, and what it was before.
    Gauge {
        /// Which node.
        node: u32,
        /// The name of the number.
        name: String,
        /// Before the run.
        base: i64,
        /// After the run.
        now: i64,
    },
}

impl What {
    /// The device that this is about.
    #[must_use]
    pub const fn device(&self) -> Option<Device> {
        match self {
            Self::Device { device, .. }
            | Self::Invoke { device, .. }
            | Self::Dialled { device, .. }
            | Self::Hello { device, .. }
            | Self::Welcome { device }
            | Self::Synced { device }
            | Self::Moved { device }
            | Self::Ended { device, .. }
            | Self::Event { device, .. }
            | Self::Reset { device, .. }
            | Self::Left { device, .. }
            | Self::Sync { device, .. }
            | Self::Receipt { device, .. }
            | Self::OutOfTurn { device, .. }
            | Self::Unspoken { device, .. } => Some(*device),
            Self::User { .. }
            | Self::Conversation { .. }
            | Self::Retry { .. }
            | Self::Ok { .. }
            | Self::Fail { .. }
            | Self::Info { .. }
            | Self::Revoked { .. }
            | Self::Fault { .. }
            | Self::Healed { .. }
            | Self::Phase { .. }
            | Self::Final { .. }
            | Self::State { .. }
            | Self::Gauge { .. } => None,
        }
    }

    /// The conversation that this is about.
    #[must_use]
    pub fn conversation(&self) -> Option<Conversation> {
        match self {
            Self::Conversation { conversation, .. }
            | Self::Event { conversation, .. }
            | Self::Reset { conversation, .. }
            | Self::Left { conversation, .. }
            | Self::Sync { conversation, .. }
            | Self::Receipt { conversation, .. }
            | Self::Final { conversation, .. }
            | Self::State { conversation, .. } => Some(*conversation),
            Self::Invoke { ask, .. } => ask.conversation(),
            Self::Ok { answer, .. } => match &**answer {
                Answer::Ack { conversation, .. } => Some(*conversation),
                Answer::Done
                | Answer::Marker { .. }
                | Answer::Summary { .. }
                | Answer::Page(_)
                | Answer::Members => None,
            },
            Self::User { .. }
            | Self::Device { .. }
            | Self::Retry { .. }
            | Self::Fail { .. }
            | Self::Info { .. }
            | Self::Dialled { .. }
            | Self::Hello { .. }
            | Self::Welcome { .. }
            | Self::Synced { .. }
            | Self::Moved { .. }
            | Self::Ended { .. }
            | Self::OutOfTurn { .. }
            | Self::Unspoken { .. }
            | Self::Revoked { .. }
            | Self::Fault { .. }
            | Self::Healed { .. }
            | Self::Phase { .. }
            | Self::Gauge { .. } => None,
        }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case")]
pub enum Ask {
    /// A message.
    Send {
        /// Where to.
        conversation: Conversation,
        /// Its key.
        key: String,
        /// The digest of what the event has to be.
        content: u64,
        /// Whether the text breaks a limit, so that it must be refused.
        bad: bool,
    },
    /// The own marker.
    Mark {
        /// Where.
        conversation: Conversation,
        /// Received up to this number.
        received: u64,
        /// Read up to this number.
        read: u64,
    },
    /// Head, marker and unread count.
    Summary {
        /// Of what.
        conversation: Conversation,
    },
    /// A page of the log.
    Page {
        /// Of what.
        conversation: Conversation,
    },
    /// Who belongs to it.
    Members {
        /// To what.
        conversation: Conversation,
    },
    /// To be told of what comes (`sync`): asked by those who should not be.
    Follow {
        /// What.
        conversation: Conversation,
    },
    /// Adds, removes, leaves, renames.
    Change {
        /// What.
        conversation: Conversation,
        /// How, for people.
        how: String,
    },
    /// Something that is about no conversation yet.
    Open {
        /// What, for people.
        how: String,
    },
}

impl Ask {
    /// The conversation that it is about.
    #[must_use]
    pub const fn conversation(&self) -> Option<Conversation> {
        match self {
            Self::Send { conversation, .. }
            | Self::Mark { conversation, .. }
            | Self::Summary { conversation }
            | Self::Page { conversation }
            | Self::Members { conversation }
            | Self::Follow { conversation }
            | Self::Change { conversation, .. } => Some(*conversation),
            Self::Open { .. } => None,
        }
    }
}

/// What they are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "v", rename_all = "snake_case")]
pub enum Answer {
    /// The message has its place.
    Ack {
        /// In which log.
        conversation: Conversation,
        /// Which.
        seq: u64,
        /// Whether the key had been used before.
        duplicate: bool,
    },
    /// Yes.
    Done,
    /// Where the marker stands.
    Marker {
        /// Received up to this number.
        received: u64,
        /// Read up to this number.
        read: u64,
    },
    /// What a conversation is for its reader.
    Summary {
        /// The last number.
        head: u64,
        /// Received up to this number.
        received: u64,
        /// Read up to this number.
        read: u64,
        /// Messages of others above `read`.
        unread: u64,
    },
    /// Numbers and digests.
    Page(Vec<(u64, u64)>),
    /// Some members.
    Members,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Its number.
    pub seq: u64,
    /// Whose; nobody's if the system speaks.
    pub from: Option<User>,
    /// The author's key.
    pub key: Option<String>,
    /// The digest of its content.
    pub content: u64,
    /// What it does.
    pub body: Body,
}

/// What an event does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "v", rename_all = "snake_case")]
pub enum Body {
    /// Begins the log; who made a group owns it.
    Created {
        /// Everybody, the maker among them.
        members: Vec<User>,
        /// Of a group.
        title: Option<String>,
    },
    /// Members come.
    Added(Vec<User>),
    /// A member is sent away.
    Removed(User),
    /// The author goes.
    Left,
    /// The message of this number is gone, and so are its edits.
    Deleted(u64),
    /// What stood here is gone.
    Erased,
    /// A member becomes an owner, or is one no longer.
    Role(User, bool),
    /// A new title.
    Title(String),
    /// A message.
    Message,
    /// Something that the harness does not know.
    Other,
}

/// The parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Everybody writes, nothing is broken.
    Calm,
    /// Everybody writes, much is broken.
    Chaos,
    /// What was begun is brought to an end; nothing new.
    Settle,
    /// Everything is mended; no writes, no new connections.
    Quiet,
    /// Everybody should have everything.
    Judged,
    /// The devices have gone.
    Gone,
}

/// Where a log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// By a member, over HTTP.
    Member,
    /// From the database, behind the server's back.
    Database,
}

/// The digest of an event's content: FNV-1a over author, key and body, which must be JSON with
/// sorted names. Nobody here tries to find two contents with one digest.
#[must_use]
pub fn content(from: &str, key: &str, body: &str) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for part in [from, key, body] {
        // A byte that no UTF-8 holds ends each part.
        for byte in part.bytes().chain([0xff]) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    digest
}

/// What a conversation is by its log: its title, and its members with whether they own it.
#[must_use]
pub fn replay(log: &[LogEvent]) -> (Option<&String>, BTreeMap<User, bool>) {
    let (mut title, mut members) = (None, BTreeMap::new());
    for event in log {
        match &event.body {
            Body::Created { members: users, title: first } => {
                title = first.as_ref();
                members.extend(
                    users.iter().map(|user| (*user, first.is_some() && event.from == Some(*user))),
                );
            }
            Body::Added(users) => {
                for user in users {
                    members.entry(*user).or_insert(false);
                }
            }
            Body::Removed(user) => {
                members.remove(user);
            }
            Body::Left => {
                event.from.iter().for_each(|user| {
                    members.remove(user);
                });
            }
            Body::Role(user, owner) => {
                members.insert(*user, *owner);
            }
            Body::Title(new) => title = Some(new),
            Body::Message | Body::Deleted(_) | Body::Erased | Body::Other => {}
        }
    }
    (title, members)
}

/// Writes a history as JSON lines.
///
/// # Errors
/// What the writer says.
pub fn write(history: &[Entry], mut to: impl Write) -> std::io::Result<()> {
    for entry in history {
        serde_json::to_writer(&mut to, entry)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// What the reader says, or a line that is not an [`Entry`].
pub fn read(from: impl BufRead) -> std::io::Result<Vec<Entry>> {
    from.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_being_written_and_read() {
        let ask = Ask::Send { conversation: 1, key: "k".to_owned(), content: u64::MAX, bad: false };
        let entries = [
            What::User { user: 0, id: "ann".to_owned() },
            What::Invoke { op: 1, device: 2, ask: Box::new(ask) },
            What::Ok { op: 1, node: 0, answer: Box::new(Answer::Page(vec![(1, 2)])) },
            What::Hello {
                device: 1,
                node: 0,
                credential: 3,
                held: vec![(1, 4)],
                tokened: Vec::new(),
                token: true,
            },
            What::Phase { phase: Phase::Quiet },
            What::Final {
                conversation: 1,
                source: Source::Member,
                events: vec![LogEvent {
                    seq: 1,
                    from: None,
                    key: None,
                    content: 5,
                    body: Body::Role(1, true),
                }],
            },
        ];
        let history: Vec<_> =
            entries.into_iter().zip(7..).map(|(what, t)| Entry { t, what }).collect();
        let mut lines = Vec::new();
        write(&history, &mut lines).unwrap();
        assert_eq!(read(&lines[..]).unwrap(), history);
    }

    #[test]
    fn the_frequent_line_is_small() {
        assert!(size_of::<Entry>() <= 80, "{}", size_of::<Entry>());
    }
}
