//! The log's home: the [`Store`] port and its contract.
//!
//! Knows what must be kept and how exactly; not who asks for it, and nothing of sockets.

#[cfg(feature = "accounts")]
mod account_search;
mod checkpoint;
mod files;
mod memory;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod spelling;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "accounts")]
pub mod transfer;

use std::{
    future::Future,
    num::{NonZeroU16, NonZeroUsize},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresError, PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Durability, SqliteError, SqliteOptions, SqliteStore};
pub use self::{
    files::{
        DiscardWhen, FileChange, FileChanged, FilePart, FileQuery, FileQuota, FileRecord, FileState,
    },
    memory::{MemoryBackup, MemoryStore},
};
use crate::model::{
    BlobId, Body, ClientKey, ConversationId, Entrance, Epoch, Event, Kind, Link, LinkId, Listing,
    Marker, Member, Memberships, MessageState, Receipts, Role, Seq, Summary, Timestamp, Title,
    UserId,
};

/// What became of a store's tables: from which version to which. Version 0 is none at all.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// What was there.
    pub from: u32,
    /// What is there now; the same if there was nothing to do. It may be newer than this program,
    /// where the tables can be used by it all the same.
    pub to: u32,
}

/// Any error of somebody else's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached or is too busy. Whether a write happened is unknown; repeating it
    /// with the same key is safe.
    #[error("store unavailable")]
    Unavailable(#[source] BoxError),
    /// It answered with something that should not be there: somebody should look.
    #[error("store defect")]
    Defect(#[source] BoxError),
}

/// A point in the store's history of commits, opaque to everybody else, at most 64 bytes of
/// printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Checkpoint(pub String);

/// Something to commit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Write {
    /// Create a conversation, unless it is there.
    Open(Open),
    /// Add an event to a log.
    Append(Append),
    /// Move a marker.
    Mark(Mark),
    /// Put an event at the next place of its log, as another store has it.
    Restore(Event),
}

impl Write {
    /// Which conversation it is about.
    #[must_use]
    pub const fn conversation(&self) -> ConversationId {
        match self {
            Self::Open(open) => open.conversation,
            Self::Append(append) => append.conversation,
            Self::Mark(mark) => mark.conversation,
            Self::Restore(event) => event.conversation,
        }
    }
}

/// Creates a conversation with its first event ([`Body::Created`], `seq` 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// Its id.
    pub conversation: ConversationId,
    /// Of which sort.
    pub kind: Kind,
    /// Of all but direct ones.
    pub title: Option<Title>,
    /// Who opens it; `None`: the system.
    pub by: Option<UserId>,
    /// The client's name for the write.
    pub key: Option<ClientKey>,
    /// Everybody in it, the opener included. The opener (or, when the system opens it, the first
    /// member) becomes the owner, and the others come in as [`Kind::newcomer`] says; in a direct
    /// conversation both are plain members.
    pub members: Vec<UserId>,
    /// Who else may come in, and what they see then; of direct ones the default.
    pub entrance: Entrance,
    /// When.
    pub at: Timestamp,
}

/// Adds an event to a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Whose log.
    pub conversation: ConversationId,
    /// The author; `None`: the system, which may always.
    pub by: Option<UserId>,
    /// The author must be a member with at least this role at the moment of the commit, except of a
    /// [`Body::Joined`].
    pub requires: Role,
    /// The client's name for the write.
    pub key: Option<ClientKey>,
    /// When.
    pub at: Timestamp,
    /// What. What changes members, links or the conversation itself changes them in the same
    /// transaction, and those with a [`target`](Body::target) what is read of that message.
    pub body: Body,
}

impl Append {
    /// How many different emojis one user may have on one message: more is noise, and each is a row.
    pub const REACTIONS_MAX: usize = 20;
}

/// Moves a member's marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// In which conversation.
    pub conversation: ConversationId,
    /// Whose.
    pub user: UserId,
    /// To where; merged with what is there ([`Marker::merge`]).
    pub marker: Marker,
}

/// What became of a [`Write`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Written {
    /// An event stands in the log: this one now (`fresh`), or from an earlier write with the same
    /// key (or, for [`Open`], of the same conversation).
    Event {
        /// It.
        event: Event,
        /// Whether it was added by this write.
        fresh: bool,
    },
    /// The marker is at this place now.
    Marker {
        /// After the merge.
        marker: Marker,
        /// Whether this write moved it.
        moved: bool,
        /// Whether more than [`Summary::MARKERS_MAX`] are members, as of the beginning of the
        /// batch: then the others are not told.
        crowd: bool,
    },
    /// Nothing was written, for this reason.
    Refused(Refusal),
}

/// Why a write was refused. The other writes of its batch are not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such conversation, or the author (or the owner of the marker) is not a member.
    NotMember,
    /// The author is a member, but their role does not allow it.
    RoleTooLow,
    /// The key was used by the same author in the same conversation for another body.
    KeyConflict,
    /// Members would remain, but no owner.
    LastOwner,
    /// The user to be removed or given a role is not a member.
    NoSuchMember,
    /// An event to be restored is not the next one of its log, or speaks of a later one.
    OutOfPlace,
    /// What is to be answered, edited, deleted, pinned or reacted to is no message of this log, or
    /// was deleted.
    NoSuchMessage,
    /// The message is somebody else's.
    NotAuthor,
    /// It is so already: the emoji is there or is not, the message is pinned or is not, the user is a
    /// member, the link is there.
    NoChange,
    /// The author has as many emojis on this message as one may have
    /// ([`Append::REACTIONS_MAX`]).
    TooManyReactions,
    /// There is no such link, or nobody comes in by it any more.
    NoSuchLink,
    /// The user was removed from here: somebody has to add them.
    Barred,
    /// A file of the message is not the author's, not complete, carried by a message already, or
    /// named twice.
    NoSuchFile,
}

/// On whose behalf something is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader<'a> {
    /// A user, who sees what a member may see.
    User(&'a UserId),
    /// The node itself or the host.
    System,
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// The last ones.
    Newest,
    /// The last ones before this place, itself not included.
    Before(Seq),
    /// The first ones after this place, itself not included.
    After(Seq),
    /// Half before this place, this place itself, and half after it.
    Around(Seq),
}

/// A part of a log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Events {
    /// In ascending order.
    pub events: Vec<Event>,
    /// Whether older ones (that the page asked for would hold) exist.
    pub more_before: bool,
    /// Whether newer ones exist.
    pub more_after: bool,
    /// Of a page of messages: what has become of those of them of which anything has, in ascending
    /// order, as of [`head`](Self::head).
    pub states: Vec<MessageState>,
    /// The head at the same moment. Who holds the page applies what stands in the log after it to the
    /// messages, and nothing that stands before it.
    pub head: Seq,
}

impl Events {
    /// What has become of a message of the page, if anything has.
    #[must_use]
    pub fn state(&self, message: Seq) -> Option<&MessageState> {
        let place = self.states.binary_search_by_key(&message, |state| state.message);
        place.ok().map(|place| &self.states[place])
    }
}

/// Which events a page counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Only {
    /// All.
    Everything,
    /// [`Body::Message`] alone.
    Messages,
    /// Messages that are pinned.
    Pinned,
    /// The edits of this message; none if it was deleted.
    EditsOf(Seq),
}

impl Only {
    /// Whether a page of them says what has become of each.
    #[must_use]
    pub const fn are_messages(self) -> bool {
        match self {
            Self::Messages | Self::Pinned => true,
            Self::Everything | Self::EditsOf(_) => false,
        }
    }
}

/// Heads of conversations at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// Of those asked for that exist, in any order.
    pub heads: Vec<(ConversationId, Seq)>,
    /// The moment: everything committed up to it is counted in `heads`.
    pub checkpoint: Checkpoint,
}

/// Where conversations are kept.
///
/// # What an implementation must keep
///
/// 1. **Durable.** When [`write`](Store::write) returns `Ok`, everything in its answer survives the
///    death of any process. When it returns an error, each write of the batch either happened
///    wholly or not at all.
/// 2. **Gapless.** The events of a conversation are numbered 1, 2, 3 … in the order of their
///    commits, also when several nodes write at once: a reader that sees number *n* sees all
///    below it. A refused or repeated write takes no number.
/// 3. **Once.** A write with a key is remembered for ever by (conversation, author, key). A
///    repetition with an equal body answers [`Written::Event`] with the first event and
///    `fresh: false`; with another body [`Refusal::KeyConflict`]. Two writes with the same key in one
///    batch, or in two batches at once, are no exception. The key is looked at after the
///    membership and before everything else: who lost the role since, or was given their wish by
///    the first one, still gets the first answer. The system is an author of its own.
/// 4. **Opened once.** [`Open`] of a conversation that exists answers with its first event and
///    `fresh: false`, whatever else it says.
/// 5. **In order.** The writes of one batch take effect one after the other, as if each had been a
///    transaction of its own: an [`Append`] sees the [`Open`] before it. A batch is one commit, so
///    that many senders share one flush to disk.
/// 6. **Members only.** An [`Append`] by a user who is not a member (at the least with the role
///    that it requires) at that moment is refused; so is a [`Mark`]. Reads with [`Reader::User`]
///    answer `None` for somebody who is not a member, exactly as for a conversation that does not
///    exist; and who came in while it was [`History::SinceJoining`](crate::model::History) sees the
///    log from the event on by which they came, as if nothing had been before it: in pages, in
///    summaries, in what can be answered or changed.
/// 7. **Membership is what the log says.** `Added` makes members with the role it says (who already
///    is one keeps role and marker; who comes back keeps their marker), `Removed` and `Left` end it,
///    `Role` changes it, `Title` renames and `Topic` says what it is about. Whoever adds, removes or
///    gives a role must [outrank](Role::outranks) the role that is given and the one that the user
///    has, else it is refused with [`Refusal::RoleTooLow`]; everybody may give themselves a lower
///    one. A `Removed`, `Left` or `Role` that leaves members without an owner is refused with [`Refusal::LastOwner`] (in a direct conversation all are, so nobody leaves it); an empty
///    group is allowed. `Removed` and `Role` of a user who is not a member are refused with
///    [`Refusal::NoSuchMember`]. `Joined` makes its author a member with the role it says, below
///    [`Role::Admin`], by a link that is there and [open](Link::is_open) (one use of it is used up;
///    else [`Refusal::NoSuchLink`]) or because the conversation is public (else
///    [`Refusal::NotMember`]); who is a member is refused with [`Refusal::NoChange`], who was
///    removed last with [`Refusal::Barred`], until somebody adds them. `Linked` and `Unlinked` make
///    and end links ([`Refusal::NoChange`], [`Refusal::NoSuchLink`]); `Access` and `History` change
///    what holds for those who come later.
/// 8. **Markers** are merged by [`Marker::merge`] with the head of that moment.
/// 9. **Unread** is the number of events with [`Body::counts_as_unread`] above the reader's `read`
///    whose author is not the reader.
/// 10. **Text comes back as it went in**, byte for byte (it never holds U+0000).
/// 11. **Messages are what the log says.** A reply, an edit, a deletion, an emoji or a pin of what
///     is no [`Body::Message`] of the log is refused with [`Refusal::NoSuchMessage`]. `Edited` is
///     for the author alone, `Deleted` also for admins, owners and the system ([`Refusal::NotAuthor`]);
///     `Reacted` and `Unreacted` are a user's. What is so already is refused with
///     [`Refusal::NoChange`]. With a deletion the text of the message and of all its edits is
///     overwritten by [`Body::Erased`], wherever the store keeps it, and all emojis on it and its pin
///     are gone; a repeated write whose event was erased since is answered with it.
/// 12. **Restored as it was.** [`Write::Restore`] adds an event with its number, time, author and key,
///     whoever may: what it changes of members and messages changes as far as they are there. If it is
///     not the next one of a log that exists, or is about a later one, it is refused with
///     [`Refusal::OutOfPlace`]; if its key was used, with [`Refusal::KeyConflict`].
/// 13. **Files.** A message that brings files is refused with [`Refusal::NoSuchFile`] unless each of
///     them is [`FileState::Complete`], its author's, and described as the message says; with the
///     message each is [`FileState::Attached`] to it, for ever, and with the deletion of the message
///     [`FileState::Gone`]. [`Write::Restore`] attaches those that it finds. What a [`FileChange`] asks
///     is compared and done at one moment, also the sum that a quota is held against.
/// 14. **Epoch.** Stays the same for one life of the data, restarts included, and differs after a
///     restore from a backup.
///
/// Dropping a future of these methods may or may not cancel the operation; it never leaves half of
/// it. Methods may be called from many tasks at once. Nothing here may block the calling thread.
///
/// `chat_sdk::conformance::store` holds all of this against any implementation.
pub trait Store: Send + Sync + 'static {
    /// How many batches are worth committing at the same time: a node has so many writers, each
    /// for its share of the conversations. One by default, which is right where a commit locks
    /// everything. Asked once.
    fn lanes(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    /// The name of this life of the data.
    fn epoch(&self) -> impl Future<Output = Result<Epoch, StoreError>> + Send;

    /// Commits a batch and answers each write in its place. An empty batch answers an empty list.
    fn write(
        &self,
        batch: Vec<Write>,
    ) -> impl Future<Output = Result<Vec<Written>, StoreError>> + Send;

    /// All conversations of a user with their heads. With `since`, also which changed (an event or
    /// any member's marker) after that checkpoint, with the head they had then, and which the user
    /// left. May report more as changed, then with a `changed_since` that is not above the head at
    /// the checkpoint; never less. Where the user came in after the checkpoint, everything is new to
    /// them: changed since [`Seq::ZERO`]. A checkpoint that is not one of this store's counts as none.
    fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> impl Future<Output = Result<Memberships, StoreError>> + Send;

    /// Those of these users who came into a conversation or left one after this checkpoint, in any
    /// order. May name more; never fewer. By default all of them. A checkpoint that is not one of
    /// this store's is before everything.
    fn moved(
        &self,
        users: &[UserId],
        since: &Checkpoint,
    ) -> impl Future<Output = Result<Vec<UserId>, StoreError>> + Send {
        let _ = since;
        async { Ok(users.to_vec()) }
    }

    /// The heads of these conversations, and the checkpoint of that moment. Those that do not
    /// exist are left out.
    fn heads(
        &self,
        conversations: &[ConversationId],
    ) -> impl Future<Output = Result<Heads, StoreError>> + Send;

    /// The events after `after` up to and including `upto`, ascending, at most `limit` of them and
    /// at least one if there is one. `None`: not readable for this reader.
    fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> impl Future<Output = Result<Option<Vec<Event>>, StoreError>> + Send;

    /// A page of a log for people, at most `limit` events. `None`: not readable for this reader.
    fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> impl Future<Output = Result<Option<Events>, StoreError>> + Send;

    /// The conversations of a user, last active first, at most `limit`, after the one that was
    /// last in the page before.
    fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> impl Future<Output = Result<Vec<Summary>, StoreError>> + Send;

    /// One conversation as this user sees it. `None`: not a member.
    fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> impl Future<Output = Result<Option<Summary>, StoreError>> + Send;

    /// The members with their markers, by user id, at most `limit`, after `after`. `None`: not
    /// readable for this reader.
    fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> impl Future<Output = Result<Option<Vec<Member>>, StoreError>> + Send;

    /// A conversation as those may see it who could come in; whether they may is the caller's to ask.
    /// `None`: there is none. By default, for stores without it: none, and nobody comes in by
    /// themselves.
    fn listing(
        &self,
        conversation: ConversationId,
    ) -> impl Future<Output = Result<Option<Listing>, StoreError>> + Send {
        let _ = conversation;
        async { Ok(None) }
    }

    /// The public conversations by title (by its bytes) and id, at most `limit`, after the one that
    /// was last in the page before. By default none.
    fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> impl Future<Output = Result<Vec<Listing>, StoreError>> + Send {
        let _ = (after, limit);
        async { Ok(Vec::new()) }
    }

    /// A link that was not revoked, open or not, and where it leads. By default there is none.
    fn link(
        &self,
        link: &LinkId,
    ) -> impl Future<Output = Result<Option<(ConversationId, Link)>, StoreError>> + Send {
        let _ = link;
        async { Ok(None) }
    }

    /// The links of a conversation that were not revoked, open or not, by the time they were made and
    /// their names. By default none.
    fn links(
        &self,
        conversation: ConversationId,
    ) -> impl Future<Output = Result<Vec<Link>, StoreError>> + Send {
        let _ = conversation;
        async { Ok(Vec::new()) }
    }

    /// How many of the members have received and read up to `place`; a [`Reader::User`] is not
    /// counted. `None`: not readable for this reader. By default all of them are paged through.
    fn receipts(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        place: Seq,
    ) -> impl Future<Output = Result<Option<Receipts>, StoreError>> + Send {
        async move {
            let mut receipts = Receipts::default();
            let mut after: Option<UserId> = None;
            loop {
                let limit = NonZeroU16::new(1_000).unwrap_or(NonZeroU16::MIN);
                let page = self.members(reader, conversation, after.as_ref(), limit).await?;
                let Some(page) = page else { return Ok(None) };
                for Member { user, marker, role: _ } in &page {
                    if reader != Reader::User(user) {
                        receipts.members += 1;
                        receipts.received += u64::from(marker.received >= place);
                        receipts.read += u64::from(marker.read >= place);
                    }
                }
                match page.into_iter().last() {
                    Some(last) => after = Some(last.user),
                    None => return Ok(Some(receipts)),
                }
            }
        }
    }

    /// Changes a file. By default no files are kept.
    fn change_file(
        &self,
        change: FileChange,
    ) -> impl Future<Output = Result<FileChanged, StoreError>> + Send {
        let _ = change;
        async { Err(StoreError::Unavailable("this store keeps no files".into())) }
    }

    /// Finds files, in any order. By default there are none.
    fn files(
        &self,
        query: FileQuery,
    ) -> impl Future<Output = Result<Vec<FileRecord>, StoreError>> + Send {
        let _ = query;
        async { Ok(Vec::new()) }
    }

    /// Those of these blobs that belong to no file. By default none: nothing is deleted for them.
    fn stray_blobs(
        &self,
        blobs: &[BlobId],
    ) -> impl Future<Output = Result<Vec<BlobId>, StoreError>> + Send {
        let _ = blobs;
        async { Ok(Vec::new()) }
    }
}
