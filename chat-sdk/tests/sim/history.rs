//! What is written down of a run: the one thing that the checker sees.
//!
//! The place in the list is the order in which things happened: everything runs on one thread.
//! Times are for people and for the few promises that have a time in them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// A conversation's id as it stands on the wire.
pub type Room = String;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds of simulated time.
    pub at: u64,
    pub what: What,
}

/// One entry of a log, in words of the checker's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    pub seq: u64,
    pub from: Option<String>,
    pub key: Option<String>,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Created(Vec<String>),
    Added(Vec<String>),
    Removed(String),
    Left,
    Message(String),
    /// What was done to a message: `edited` (and to say what), `deleted`, `reacted` …
    Amended {
        kind: String,
        message: u64,
        with: String,
    },
    /// Where a message stood that was deleted, or an edit of one.
    Erased,
    Other(String),
}

/// A message of a page, with what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    pub event: LogEvent,
    /// Where its last edit stands, and what it says.
    pub edit: Option<(u64, String)>,
    /// Emojis with how many there are.
    pub reactions: BTreeMap<String, u64>,
    pub pinned: bool,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Send {
        key: String,
        text: String,
    },
    Mark {
        room: Room,
        received: u64,
        read: u64,
    },
    Summary {
        room: Room,
    },
    Page {
        room: Room,
    },
    Messages {
        room: Room,
    },
    /// The change of a message, under a key.
    Amend {
        room: Room,
        key: String,
        what: String,
    },
    Sync {
        room: Room,
    },
    Typing {
        room: Room,
    },
    Members {
        room: Room,
    },
    Change {
        room: Room,
        what: String,
    },
    Open {
        what: String,
    },
}

/// What they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ack {
        room: Room,
        seq: u64,
    },
    Done,
    Marker {
        received: u64,
        read: u64,
    },
    Summary {
        head: u64,
        received: u64,
        read: u64,
        unread: u64,
    },
    Page(Vec<LogEvent>),
    /// Messages as of a head.
    Messages(u64, Vec<Folded>),
    Refused(String),
    /// The last of several attempts at a send was refused: an earlier one may have happened.
    RefusedLate(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The store committed this. Written down by the store itself, in its order.
    Committed {
        room: Room,
        event: LogEvent,
    },
    /// The log as it is read at the end.
    Final {
        room: Room,
        events: Vec<LogEvent>,
    },

    /// A device says hello on a new connection; with a resume token or without. `resume` is for
    /// people.
    Hello {
        device: String,
        credential: String,
        token: bool,
        resume: String,
    },
    Synced {
        device: String,
        token: String,
    },
    /// A resume token that came with a pong.
    Token {
        device: String,
        token: String,
    },
    Ended {
        device: String,
        why: String,
    },
    /// Begins anew with nothing.
    Forgot {
        device: String,
    },
    /// Goes on from an older copy of what it held.
    Rewound {
        device: String,
        positions: BTreeMap<Room, u64>,
    },
    /// Was told to begin at this place.
    Began {
        device: String,
        room: Room,
        head: u64,
    },
    Applied {
        device: String,
        room: Room,
        event: LogEvent,
    },
    /// Does not read for so many milliseconds.
    Paused {
        device: String,
        millis: u64,
    },
    /// A node has no more room for some connection, which is behind from now on.
    FellBehind,
    /// The next number was not the next.
    Hole {
        device: String,
        room: Room,
        held: u64,
        got: u64,
    },
    /// Before `synced`, and the hello had said that the device holds it.
    Again {
        device: String,
        room: Room,
        seq: u64,
    },
    Left {
        device: String,
        room: Room,
    },
    Receipt {
        device: String,
        room: Room,
        user: String,
        received: u64,
        read: u64,
    },
    Typing {
        device: String,
        room: Room,
    },
    /// A reply that is not the next one due.
    OutOfTurn {
        device: String,
        due: String,
        got: String,
    },

    Asked {
        op: u64,
        device: String,
        ask: Ask,
    },
    Answered {
        op: u64,
        answer: Answer,
    },

    Revoked {
        credential: String,
    },
    Fault(String),
    /// Faults are over; what still waits may be repeated.
    Healed,
    /// No writes and no reconnects from here on.
    Quiet,
    /// The devices hang up.
    Closing,
    /// A node at the end: connections that it still counts, tasks that would not end.
    Remains {
        node: usize,
        connections: usize,
        stuck: usize,
    },
    /// A send that nobody has answered.
    Unanswered {
        device: String,
        key: String,
    },
}

impl What {
    pub fn device(&self) -> Option<&str> {
        match self {
            Self::Hello { device, .. }
            | Self::Synced { device, .. }
            | Self::Token { device, .. }
            | Self::Ended { device, .. }
            | Self::Forgot { device }
            | Self::Rewound { device, .. }
            | Self::Began { device, .. }
            | Self::Applied { device, .. }
            | Self::Paused { device, .. }
            | Self::Hole { device, .. }
            | Self::Again { device, .. }
            | Self::Left { device, .. }
            | Self::Receipt { device, .. }
            | Self::Typing { device, .. }
            | Self::OutOfTurn { device, .. }
            | Self::Asked { device, .. }
            | Self::Unanswered { device, .. } => Some(device),
            Self::Committed { .. }
            | Self::Final { .. }
            | Self::Answered { .. }
            | Self::Revoked { .. }
            | Self::Fault(_)
            | Self::Healed
            | Self::Quiet
            | Self::Closing
            | Self::FellBehind
            | Self::Remains { .. } => None,
        }
    }
}

/// Whose device it is: `ann.1` is ann's.
pub fn user_of(device: &str) -> &str {
    device.split('.').next().unwrap_or(device)
}

/// Where everybody writes.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<(u64, Vec<Entry>)>>);

impl Recorder {
    pub fn note(&self, what: What) {
        let mut book = self.0.lock().unwrap();
        if let Some(now) = turmoil::sim_elapsed() {
            book.0 = now.as_millis() as u64;
        }
        let at = book.0;
        book.1.push(Entry { at, what });
    }

    /// What there is so far of something.
    pub fn peek<T>(&self, pick: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        self.0.lock().unwrap().1.iter().filter_map(pick).collect()
    }

    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}
