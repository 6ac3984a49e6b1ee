//! What a host hears, and why a connection or a client ended.

use std::time::Duration;

use crate::{
    model::{ConversationId, Event, Marker, Seq, UserId},
    protocol::{CloseCode, Remedy},
};

/// What a host hears from its client, in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The next entry of a log: per conversation in order, without a hole and without a repetition.
    /// The first one of a conversation may have any number: what came before is history.
    Event(Event),
    /// A member's marker, to be merged by maximum. Where the host takes nothing for long, only the
    /// newest of a member is kept, and none beyond twice
    /// [`events_max`](super::ClientLimits::events_max).
    Receipt {
        /// In this conversation.
        conversation: ConversationId,
        /// Of this user, who may be the client's own.
        user: UserId,
        /// Both places.
        marker: Marker,
    },
    /// A member types, or stopped. Left out while many events wait.
    Typing {
        /// In this conversation.
        conversation: ConversationId,
        /// This one.
        user: UserId,
        /// Begins (or goes on) or ends.
        on: bool,
    },
    /// A watched user came or went. Left out while many events wait.
    Presence {
        /// This one.
        user: UserId,
        /// Is here.
        online: bool,
    },
    /// Too much was missed for a replay: events go on after `head`; what lies before it is history.
    Reset {
        /// Of this conversation.
        conversation: ConversationId,
        /// Its head.
        head: Seq,
    },
    /// The user is no member (any more). May be said twice.
    Left {
        /// Of this conversation.
        conversation: ConversationId,
    },
    /// A connection is open. With `resumed` everything goes on where it was. Without, this is the
    /// first connection, or the server's store was replaced: what the host holds means nothing then.
    Connected {
        /// Who the client is.
        user: UserId,
        /// Whether the server took up where the client was.
        resumed: bool,
    },
    /// Everything that was missed has been handed out: from here on it is live.
    Synced,
    /// The node left and the client is on another one. Nothing was missed.
    Moved,
    /// The connection ended; the client comes back by itself.
    Disconnected {
        /// Why.
        why: Ending,
        /// When it tries again.
        retry_in: Duration,
    },
    /// The last of all: the client does not come back.
    Closed(Closed),
}

/// Why a connection ended, or did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The server closed with this code; 1006 where the connection simply ended.
    Code(u16),
    /// Nothing arrived for longer than the server would ever be quiet.
    Silent,
    /// The server takes nothing that is written.
    Stuck,
    /// There was no connection to be had: the address, the network, or TLS.
    Unreachable(String),
    /// The upgrade was refused with this status of HTTP.
    Refused {
        /// The status.
        status: u16,
        /// When to come back, if that was said.
        retry_after: Option<Duration>,
    },
    /// The server sent what is no frame of the protocol.
    Unreadable(String),
}

impl Ending {
    /// What is done about it.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Code(code) => Remedy::of(*code),
            Self::Silent | Self::Stuck | Self::Unreachable(_) => Remedy::Resume,
            Self::Refused { status: 401, .. } => Remedy::SignIn,
            Self::Refused { status: 408 | 425 | 429 | 500.., .. } => Remedy::Resume,
            Self::Refused { .. } | Self::Unreadable(_) => Remedy::Stop,
        }
    }

    /// Whether the credential did not hold, so that a fresh one may.
    pub(super) fn is_of_the_token(&self) -> bool {
        match self {
            Self::Code(code) => {
                *code == CloseCode::Unauthenticated.code()
                    || *code == CloseCode::TokenExpired.code()
            }
            Self::Refused { status, .. } => *status == 401,
            Self::Silent | Self::Stuck | Self::Unreachable(_) | Self::Unreadable(_) => false,
        }
    }

    /// The least time to stay away.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Code(_)
            | Self::Silent
            | Self::Stuck
            | Self::Unreachable(_)
            | Self::Unreadable(_) => None,
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => {
                let name = CloseCode::from_code(*code).map_or("gone", CloseCode::name);
                write!(f, "closed with {code} ({name})")
            }
            Self::Silent => f.write_str("the server is silent"),
            Self::Stuck => f.write_str("the server reads nothing"),
            Self::Unreachable(why) => write!(f, "not reachable: {why}"),
            Self::Refused { status, .. } => write!(f, "refused with {status}"),
            Self::Unreadable(why) => write!(f, "not a frame: {why}"),
        }
    }
}

/// Why a client does not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The host closed it, or let go of every handle.
    ByHost,
    /// There is no token to show, or the host gives no other one.
    NoToken,
    /// A connection ended in a way that coming back would not mend: see [`Ending::remedy`].
    Ended(Ending),
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ByHost => f.write_str("closed by the host"),
            Self::NoToken => f.write_str("there is no token"),
            Self::Ended(ending) => ending.fmt(f),
        }
    }
}
