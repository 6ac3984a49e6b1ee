//! What clients asked for and what they were told: all that the checker knows.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

/// A message that a client wants to be in a log.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) user: String,
    pub(crate) key: String,
    pub(crate) conversation: String,
    pub(crate) text: String,
    /// When it was asked for the first time, on the clock of the run.
    pub(crate) asked: Duration,
    /// None: nobody knows whether it happened.
    pub(crate) answers: Vec<Acknowledged>,
}

/// An acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) when: Duration,
    pub(crate) conversation: String,
    pub(crate) seq: u64,
    pub(crate) at: String,
    pub(crate) duplicate: bool,
}

/// A reading position that a client was told is kept.
#[derive(Debug, Clone)]
pub(crate) struct Marked {
    pub(crate) user: String,
    pub(crate) conversation: String,
    pub(crate) read: u64,
}

/// What one device did and holds.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) device: String,
    pub(crate) sent: Vec<Sent>,
    pub(crate) marked: Vec<Marked>,
    /// The events that it applied, by conversation, in the order in which it did.
    pub(crate) held: BTreeMap<String, Vec<Value>>,
    /// The furthest (received, read) it was shown, by conversation and user.
    pub(crate) receipts: BTreeMap<(String, String), (u64, u64)>,
    /// Refusals by code.
    pub(crate) refused: BTreeMap<String, usize>,
    /// What it saw that must not be.
    pub(crate) complaints: Vec<String>,
    pub(crate) counts: Counts,
}

/// For the line that is printed.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) resumes: usize,
    pub(crate) syncs: usize,
    pub(crate) resets: usize,
    pub(crate) over_http: usize,
    pub(crate) drains: usize,
}

/// What the server has at the end.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Stored {
    /// Events by conversation, as the HTTP interface words them.
    pub(crate) logs: BTreeMap<String, Vec<Value>>,
    /// (received, read) by conversation and user.
    pub(crate) markers: BTreeMap<(String, String), (u64, u64)>,
}
