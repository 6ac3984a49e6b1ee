//! The errors of the verbs, as rows of the protocol's table.

use tracing::{error, warn};

use super::registry::NoPlace;
use crate::{
    auth::AuthError,
    blob::BlobError,
    conversation::{AmendError, ChangeError, JoinError, OpenError, ReadError, SendError},
    files::error::FileError,
    protocol::{Code, Problem},
    store::StoreError,
};

impl From<&StoreError> for Problem {
    fn from(why: &StoreError) -> Self {
        match why {
            StoreError::Unavailable(_) => {
                Self::new(Code::Unavailable, "the store does not answer; try again")
            }
            StoreError::Defect(_) => {
                error!(error = why as &dyn std::error::Error, "store defect");
                Self::of(Code::Internal)
            }
        }
    }
}

impl From<&SendError> for Problem {
    fn from(why: &SendError) -> Self {
        match why {
            SendError::UnknownUser => Self::of(Code::UnknownUser),
            SendError::ToOneself => Self::new(Code::Invalid, why.to_string()),
            SendError::NotMember => Self::new(Code::NotFound, "no such conversation"),
            SendError::NoSuchMessage => Self::new(Code::NotFound, "no such message"),
            SendError::NoSuchFile => Self::new(Code::NotFound, "no such file"),
            SendError::TooManyFiles(_) => Self::new(Code::Invalid, why.to_string()),
            SendError::RoleTooLow => Self::new(Code::Forbidden, why.to_string()),
            SendError::Denied(reason) => Self::new(Code::Forbidden, reason),
            SendError::TooLong(_) => Self::new(Code::TooLarge, why.to_string()),
            SendError::KeyConflict => Self::of(Code::KeyConflict),
            SendError::RateLimited(after) => {
                Self::new(Code::RateLimited, why.to_string()).retry_after(*after)
            }
            SendError::Overloaded => Self::of(Code::Overloaded),
            SendError::ShuttingDown => Self::of(Code::Draining),
            SendError::Store(why) => why.into(),
        }
    }
}

impl From<&OpenError> for Problem {
    fn from(why: &OpenError) -> Self {
        match why {
            OpenError::UnknownUser => Self::of(Code::UnknownUser),
            OpenError::ToOneself | OpenError::TooMany(_) => {
                Self::new(Code::Invalid, why.to_string())
            }
            OpenError::Denied(reason) => Self::new(Code::Forbidden, reason),
            OpenError::KeyConflict => Self::of(Code::KeyConflict),
            OpenError::Overloaded => Self::of(Code::Overloaded),
            OpenError::ShuttingDown => Self::of(Code::Draining),
            OpenError::Store(why) => why.into(),
        }
    }
}

impl From<&ChangeError> for Problem {
    fn from(why: &ChangeError) -> Self {
        match why {
            ChangeError::NotMember => Self::new(Code::NotFound, "no such conversation"),
            ChangeError::RoleTooLow => Self::new(Code::Forbidden, why.to_string()),
            ChangeError::Direct
            | ChangeError::TooMany(_)
            | ChangeError::TooManyLinks(_)
            | ChangeError::EndedLink => Self::new(Code::Invalid, why.to_string()),
            ChangeError::UnknownUser => Self::of(Code::UnknownUser),
            ChangeError::NoSuchMember | ChangeError::NoSuchLink => {
                Self::new(Code::NotFound, why.to_string())
            }
            ChangeError::LastOwner => Self::of(Code::LastOwner),
            ChangeError::Denied(reason) => Self::new(Code::Forbidden, reason),
            ChangeError::Overloaded => Self::of(Code::Overloaded),
            ChangeError::ShuttingDown => Self::of(Code::Draining),
            ChangeError::Store(why) => why.into(),
        }
    }
}

impl From<&JoinError> for Problem {
    fn from(why: &JoinError) -> Self {
        match why {
            JoinError::NotMember => Self::new(Code::NotFound, "no such conversation"),
            JoinError::NoSuchLink => Self::new(Code::NotFound, why.to_string()),
            JoinError::Barred => Self::new(Code::Forbidden, why.to_string()),
            JoinError::Full(_) => Self::new(Code::Invalid, why.to_string()),
            JoinError::Denied(reason) => Self::new(Code::Forbidden, reason),
            JoinError::Overloaded => Self::of(Code::Overloaded),
            JoinError::ShuttingDown => Self::of(Code::Draining),
            JoinError::Store(why) => why.into(),
        }
    }
}

impl From<&AmendError> for Problem {
    fn from(why: &AmendError) -> Self {
        match why {
            AmendError::NotMember => Self::new(Code::NotFound, "no such conversation"),
            AmendError::NoSuchMessage => Self::new(Code::NotFound, why.to_string()),
            AmendError::KeyConflict => Self::of(Code::KeyConflict),
            AmendError::NotAuthor | AmendError::RoleTooLow => {
                Self::new(Code::Forbidden, why.to_string())
            }
            AmendError::TooLong(_) => Self::new(Code::TooLarge, why.to_string()),
            AmendError::TooManyReactions(_) => Self::new(Code::Invalid, why.to_string()),
            AmendError::Denied(reason) => Self::new(Code::Forbidden, reason),
            AmendError::RateLimited(after) => {
                Self::new(Code::RateLimited, why.to_string()).retry_after(*after)
            }
            AmendError::Overloaded => Self::of(Code::Overloaded),
            AmendError::ShuttingDown => Self::of(Code::Draining),
            AmendError::Store(why) => why.into(),
        }
    }
}

impl From<&ReadError> for Problem {
    fn from(why: &ReadError) -> Self {
        match why {
            ReadError::NotMember => Self::new(Code::NotFound, "no such conversation"),
            ReadError::UnknownUser => Self::of(Code::UnknownUser),
            ReadError::RoleTooLow => Self::new(Code::Forbidden, why.to_string()),
            ReadError::Denied(reason) => Self::new(Code::Forbidden, reason),
            ReadError::Store(why) => why.into(),
        }
    }
}

impl From<&FileError> for Problem {
    fn from(why: &FileError) -> Self {
        match why {
            FileError::NotTaken | FileError::Attached => {
                Self::new(Code::Forbidden, why.to_string())
            }
            FileError::NotFound => Self::new(Code::NotFound, why.to_string()),
            FileError::Denied(reason) => Self::new(Code::Forbidden, reason),
            FileError::Empty | FileError::TooManyPieces(_) => {
                Self::new(Code::Invalid, why.to_string())
            }
            FileError::TooLarge(_) => Self::new(Code::TooLarge, why.to_string()),
            FileError::OverQuota => Self::new(Code::QuotaExceeded, why.to_string()),
            FileError::WrongOffset(_) => Self::new(Code::WrongOffset, why.to_string()),
            FileError::Busy => Self::new(Code::Overloaded, why.to_string()),
            FileError::ShuttingDown => Self::of(Code::Draining),
            FileError::Store(why) => why.into(),
            FileError::Blobs(BlobError::Defect(_)) => {
                error!(error = why as &dyn std::error::Error, "blob store defect");
                Self::of(Code::Internal)
            }
            FileError::Blobs(BlobError::Unavailable(_) | BlobError::Source(_)) => {
                warn!(error = why as &dyn std::error::Error, "blob store failed");
                Self::new(Code::Unavailable, "the place for files does not answer; try again")
            }
        }
    }
}

impl From<&AuthError> for Problem {
    fn from(why: &AuthError) -> Self {
        match why {
            // Equal for every reason: which one is for our log.
            AuthError::Missing | AuthError::Refused(_) => Self::of(Code::Unauthenticated),
            AuthError::Unavailable(_) => Self::of(Code::Unavailable),
        }
    }
}

impl From<NoPlace> for Problem {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Node => {
                Self::new(Code::Overloaded, "this node has all the connections it takes")
            }
            NoPlace::Address => {
                Self::new(Code::RateLimited, "too many connections from this address")
            }
            NoPlace::User => Self::new(Code::RateLimited, "too many connections of this user"),
        }
    }
}
