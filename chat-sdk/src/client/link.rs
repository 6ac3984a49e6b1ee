//! One connection from dialling to its end: what it was told, what it owes, and when it was last
//! heard. Knows nothing of coming back; that is the machine's part.

use std::{collections::BTreeMap, time::Duration};

use super::{LinkId, outbox::EntryId};
use crate::{
    model::{ConversationId, Marker},
    protocol::{CommandId, Welcome},
};

/// What a reply is awaited for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Send(EntryId),
    Amend(EntryId),
    Mark(ConversationId, Marker),
    Watch,
    Sync(ConversationId),
    Auth,
}

#[derive(Debug)]
struct Pending {
    asked: Asked,
    until: Duration,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// The token it was opened with, or renewed to.
    pub(super) token: String,
    pub(super) stage: Stage,
    /// The credential ends soon and no other one was shown yet.
    pub(super) expiring: bool,
    heard: Duration,
    quiet_max: Duration,
    /// Unanswered, by the number that is their id.
    commands: BTreeMap<u64, Pending>,
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Stage {
    Dialling,
    /// `hello` was said.
    Greeted,
    /// The server said `welcome`, and sends what was missed.
    CatchingUp(Box<Welcome>, Beat),
    Live(Box<Welcome>, Beat),
}

/// When the next heartbeat is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    pub(super) at: Duration,
    pub(super) every: Duration,
}

impl Link {
    pub(super) const fn new(id: LinkId, token: String, now: Duration, quiet_max: Duration) -> Self {
        Self {
            id,
            token,
            stage: Stage::Dialling,
            expiring: false,
            heard: now,
            quiet_max,
            commands: BTreeMap::new(),
        }
    }

    pub(super) fn welcome(&self) -> Option<&Welcome> {
        match &self.stage {
            Stage::Dialling | Stage::Greeted => None,
            Stage::CatchingUp(welcome, _) | Stage::Live(welcome, _) => Some(welcome),
        }
    }

    pub(super) const fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live(..))
    }

    pub(super) fn welcomed(&mut self, now: Duration, welcome: Box<Welcome>, grace: Duration) {
        // A heartbeat of nothing would be a flood.
        let every = Duration::from_millis(welcome.heartbeat_ms.max(100));
        self.quiet_max = every + grace;
        self.heard = now;
        self.stage = Stage::CatchingUp(welcome, Beat { at: now + every, every });
    }

    pub(super) fn synced(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Dialling);
        self.stage = match stage {
            Stage::CatchingUp(welcome, beat) => Stage::Live(welcome, beat),
            other => other,
        };
    }

    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = self.heard.max(now);
    }

    /// When the connection counts as dead if nothing comes.
    pub(super) fn quiet_until(&self) -> Duration {
        self.heard + self.quiet_max
    }

    pub(super) fn beat_at(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Dialling | Stage::Greeted => None,
            Stage::CatchingUp(_, beat) | Stage::Live(_, beat) => Some(beat.at),
        }
    }

    /// Whether a heartbeat is due; the next one is after the usual time.
    pub(super) fn beat(&mut self, now: Duration) -> bool {
        match &mut self.stage {
            Stage::CatchingUp(_, beat) | Stage::Live(_, beat) if now >= beat.at => {
                beat.at = now + beat.every;
                true
            }
            Stage::Dialling | Stage::Greeted | Stage::CatchingUp(..) | Stage::Live(..) => false,
        }
    }

    pub(super) fn asked(&mut self, command: u64, asked: Asked, until: Duration) {
        self.commands.insert(command, Pending { asked, until });
    }

    /// What this is the reply to. `None`: it took too long, and is no longer waited for.
    pub(super) fn answered(&mut self, id: &CommandId) -> Option<(u64, Asked)> {
        let command = id.as_str().parse().ok()?;
        self.commands.remove(&command).map(|pending| (command, pending.asked))
    }

    /// When the first answer is overdue. The time allowed is the same for all, so it is that of the
    /// oldest.
    pub(super) fn overdue_at(&self) -> Option<Duration> {
        self.commands.first_key_value().map(|(_, pending)| pending.until)
    }

    /// One whose answer is overdue.
    pub(super) fn overdue(&mut self, now: Duration) -> Option<(u64, Asked)> {
        let first = self.commands.first_entry()?;
        (now >= first.get().until).then(|| {
            let (command, pending) = first.remove_entry();
            (command, pending.asked)
        })
    }

    /// Everything that will not be answered any more.
    pub(super) fn unanswered(&mut self) -> Vec<(u64, Asked)> {
        let commands = std::mem::take(&mut self.commands);
        commands.into_iter().map(|(command, pending)| (command, pending.asked)).collect()
    }

    /// Whether a message or a change of one is on its way here.
    pub(super) fn owes(&self) -> bool {
        self.commands
            .values()
            .any(|pending| matches!(pending.asked, Asked::Send(_) | Asked::Amend(_)))
    }

    /// How many of these are unanswered.
    pub(super) fn count(&self, like: impl Fn(&Asked) -> bool) -> usize {
        self.commands.values().filter(|pending| like(&pending.asked)).count()
    }
}
