//! Conversations as their members see them.

use serde::{Deserialize, Serialize};

use super::{ConversationId, Edit, Event, Marker, Seq, Timestamp, Title, Topic, UserId};

/// What sort of conversation it is; for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Two users, for ever.
    Direct,
    /// Members who come and go, and write.
    Group,
    /// Few write, many read.
    Channel,
}

impl Kind {
    /// As what somebody comes in, if nothing else is said.
    #[must_use]
    pub const fn newcomer(self) -> Role {
        match self {
            Self::Direct | Self::Group => Role::Member,
            Self::Channel => Role::Reader,
        }
    }
}

/// What a member may do. Each may also do what those before it may.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Reads, and leaves.
    Reader,
    /// Writes, and amends what they wrote.
    #[default]
    Member,
    /// Adds; removes and gives roles among those below; pins, deletes what others wrote, changes the
    /// title and the topic.
    Admin,
    /// Removes whomever and gives whichever role.
    Owner,
}

impl Role {
    /// Whether it stands above that of somebody whose seat is to be changed, or above the one to be
    /// given. Owners also decide on owners.
    #[must_use]
    pub fn outranks(self, other: Self) -> bool {
        self > other || self == Self::Owner
    }

    pub(crate) fn is_member(&self) -> bool {
        *self == Self::Member
    }
}

/// One member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
    /// How far they are.
    #[serde(flatten)]
    pub marker: Marker,
}

/// A conversation as one of its members sees it in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Which.
    pub conversation: ConversationId,
    /// Of which sort.
    pub kind: Kind,
    /// All but direct ones have one.
    pub title: Option<Title>,
    /// What it is about, if that was said.
    pub topic: Option<Topic>,
    /// Of a direct one: the other user.
    pub other: Option<UserId>,
    /// The reader's role.
    pub role: Role,
    /// How many are members.
    pub member_count: u64,
    /// The last event's place.
    pub head: Seq,
    /// The reader's marker.
    pub marker: Marker,
    /// How many messages of others lie above `marker.read`.
    pub unread: u64,
    /// When the last event was written.
    pub updated_at: Timestamp,
    /// The newest message.
    pub last: Option<Event>,
    /// What it says in place of what it said, if it was edited.
    pub last_edit: Option<Edit>,
    /// The markers of all members by user id; empty above [`Summary::MARKERS_MAX`] members.
    pub markers: Vec<(UserId, Marker)>,
}

impl Summary {
    /// Up to this many members a summary carries everybody's marker. Above, "read by" is a count
    /// that nobody looks at name by name, and the list would be mostly markers.
    pub const MARKERS_MAX: usize = 100;
}

/// How many have got how far. Of a conversation with more members than
/// [`Summary::MARKERS_MAX`] this is all that is told of who read what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Receipts {
    /// How many there are, the reader not counted.
    pub members: u64,
    /// How many of them have received up to there.
    pub received: u64,
    /// How many of them have read up to there.
    pub read: u64,
}

/// One conversation of a user, as a connection needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub conversation: ConversationId,
    /// Its head now.
    pub head: Seq,
    /// If it changed since the checkpoint asked about: its head then. `None`: unchanged, or no
    /// checkpoint was given.
    pub changed_since: Option<Seq>,
}

/// All conversations of a user, and what they left since a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships {
    /// Those they are a member of, in no order.
    pub current: Vec<Membership>,
    /// Those they were a member of at or after the checkpoint and no longer are; empty if no
    /// checkpoint was given.
    pub left: Vec<ConversationId>,
}
