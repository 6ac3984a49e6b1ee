//! What can go wrong, an enum an operation. Every variant is a row in the table of `protocol`.

use std::time::Duration;

use crate::{
    model::InvalidText,
    store::{Append, Refusal, StoreError},
};

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such user.
    #[error("no such user")]
    UnknownUser,
    /// A direct conversation has two users.
    #[error("nobody writes to themselves")]
    ToOneself,
    /// There is no such conversation for the sender.
    #[error("no such conversation")]
    NotMember,
    /// The message to be answered is none of this conversation, or was deleted.
    #[error("no such message")]
    NoSuchMessage,
    /// A file that it brings is not the sender's, not complete, or was sent before.
    #[error("no such file")]
    NoSuchFile,
    /// More files than a message may bring.
    #[error("more than {0} files")]
    TooManyFiles(usize),
    /// Readers do not write.
    #[error("your role does not allow this")]
    RoleTooLow,
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The text is above a limit.
    #[error("the text {0}")]
    TooLong(InvalidText),
    /// The key was used for another text.
    #[error("the key was used for another text")]
    KeyConflict,
    /// The sender sends too much; there is room after this time.
    #[error("too many messages")]
    RateLimited(Duration),
    /// Too many writes wait already.
    #[error("too many writes wait")]
    Overloaded,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed; whether the message is in the log is unknown. Repeat with the same key.
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// A conversation was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// One of the users does not exist.
    #[error("no such user")]
    UnknownUser,
    /// A direct conversation has two users.
    #[error("nobody talks to themselves")]
    ToOneself,
    /// More members than a group may have, or than may be named at once.
    #[error("more than {0} members")]
    TooMany(usize),
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The key was used for another group.
    #[error("the key was used for another group")]
    KeyConflict,
    /// Too many writes wait already.
    #[error("too many writes wait")]
    Overloaded,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed. Repeat with the same key.
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// A group was not changed, or a marker not moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// There is no such conversation for this user.
    #[error("no such conversation")]
    NotMember,
    /// Their role in it does not allow this.
    #[error("your role does not allow this")]
    RoleTooLow,
    /// Not a thing to do to a direct conversation.
    #[error("a direct conversation cannot be changed")]
    Direct,
    /// One of the users does not exist.
    #[error("no such user")]
    UnknownUser,
    /// The user named is not a member.
    #[error("this user is not a member")]
    NoSuchMember,
    /// There is no such link, or it was revoked.
    #[error("no such link")]
    NoSuchLink,
    /// A link that nobody could come in by.
    #[error("a link ends after now and has at least one use")]
    EndedLink,
    /// As many links as a conversation may have.
    #[error("no more than {0} links to one conversation")]
    TooManyLinks(usize),
    /// Members would remain without an owner.
    #[error("a group with members keeps an owner")]
    LastOwner,
    /// More members than a group may have, or than may be named at once.
    #[error("more than {0} members")]
    TooMany(usize),
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// Too many writes wait already.
    #[error("too many writes wait")]
    Overloaded,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed. The change can be repeated.
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// Somebody did not come in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// There is no such conversation, or it is not public.
    #[error("no such conversation")]
    NotMember,
    /// There is no such link, or nobody comes in by it any more.
    #[error("this link does not hold, or not any more")]
    NoSuchLink,
    /// They were removed from there.
    #[error("you were removed from this conversation: somebody has to add you")]
    Barred,
    /// As many members as it may have.
    #[error("it has {0} members already")]
    Full(usize),
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// Too many writes wait already.
    #[error("too many writes wait")]
    Overloaded,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed. It can be tried again.
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// A message was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmendError {
    /// There is no such conversation for this user.
    #[error("no such conversation")]
    NotMember,
    /// There is no such message in it, or it was deleted.
    #[error("no such message")]
    NoSuchMessage,
    /// Only its author may.
    #[error("the message is somebody else's")]
    NotAuthor,
    /// Their role in it does not allow this.
    #[error("your role does not allow this")]
    RoleTooLow,
    /// The key was used for something else.
    #[error("the key was used for something else")]
    KeyConflict,
    /// The new text is too long.
    #[error("the text {0}")]
    TooLong(InvalidText),
    /// One has as many emojis on this message as one may have.
    #[error("no more than {0} emojis on one message")]
    TooManyReactions(usize),
    /// More changes and messages of this user than the node's rate allows; after so long again.
    #[error("too many at once")]
    RateLimited(Duration),
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// Too many writes wait already.
    #[error("too many writes wait")]
    Overloaded,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed. The change can be repeated.
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// Something was not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such conversation for this user.
    #[error("no such conversation")]
    NotMember,
    /// There is no such user.
    #[error("no such user")]
    UnknownUser,
    /// Their role in it does not allow this.
    #[error("your role does not allow this")]
    RoleTooLow,
    /// The host's policy says no.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The store failed.
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// Why a planned write was not committed at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Too many wait already.
    #[error("too many writes wait")]
    Overloaded,
    /// The node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
    /// The store failed.
    #[error("store failed")]
    Store(#[from] StoreError),
}

macro_rules! from_commit_error {
    ($($error:ident),*) => {$(
        impl From<CommitError> for $error {
            fn from(why: CommitError) -> Self {
                match why {
                    CommitError::Overloaded => Self::Overloaded,
                    CommitError::ShuttingDown => Self::ShuttingDown,
                    CommitError::Store(why) => Self::Store(why),
                }
            }
        }
    )*};
}

from_commit_error!(SendError, OpenError, ChangeError, JoinError, AmendError);

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::KeyConflict => Self::KeyConflict,
            Refusal::NoSuchMessage => Self::NoSuchMessage,
            Refusal::NoSuchFile => Self::NoSuchFile,
            Refusal::RoleTooLow => Self::RoleTooLow,
            // A message changes no members and no message.
            Refusal::NotMember
            | Refusal::LastOwner
            | Refusal::NoSuchMember
            | Refusal::NotAuthor
            | Refusal::NoChange
            | Refusal::TooManyReactions
            | Refusal::NoSuchLink
            | Refusal::Barred
            | Refusal::OutOfPlace => Self::NotMember,
        }
    }
}

impl From<Refusal> for JoinError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchLink => Self::NoSuchLink,
            Refusal::Barred => Self::Barred,
            // Who comes in carries no key, and changes no message and nobody else.
            Refusal::NotMember
            | Refusal::RoleTooLow
            | Refusal::KeyConflict
            | Refusal::LastOwner
            | Refusal::NoSuchMember
            | Refusal::NoSuchMessage
            | Refusal::NotAuthor
            | Refusal::NoChange
            | Refusal::TooManyReactions
            | Refusal::NoSuchFile
            | Refusal::OutOfPlace => Self::NotMember,
        }
    }
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotMember => Self::NotMember,
            Refusal::RoleTooLow => Self::RoleTooLow,
            Refusal::LastOwner => Self::LastOwner,
            Refusal::NoSuchLink => Self::NoSuchLink,
            // Changes carry no key and are about no message.
            Refusal::NoSuchMember
            | Refusal::KeyConflict
            | Refusal::NoSuchMessage
            | Refusal::NoSuchFile
            | Refusal::NotAuthor
            | Refusal::NoChange
            | Refusal::TooManyReactions
            | Refusal::Barred
            | Refusal::OutOfPlace => Self::NoSuchMember,
        }
    }
}

impl From<Refusal> for AmendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::RoleTooLow => Self::RoleTooLow,
            Refusal::NotAuthor => Self::NotAuthor,
            Refusal::NoSuchMessage => Self::NoSuchMessage,
            Refusal::KeyConflict => Self::KeyConflict,
            Refusal::TooManyReactions => Self::TooManyReactions(Append::REACTIONS_MAX),
            // What changes nothing is no error, and nothing else is about a message.
            Refusal::NotMember
            | Refusal::NoChange
            | Refusal::LastOwner
            | Refusal::NoSuchMember
            | Refusal::NoSuchLink
            | Refusal::Barred
            | Refusal::NoSuchFile
            | Refusal::OutOfPlace => Self::NotMember,
        }
    }
}

/// The store answered something that its contract rules out.
pub(super) fn contract(what: &'static str) -> StoreError {
    StoreError::Defect(what.into())
}
