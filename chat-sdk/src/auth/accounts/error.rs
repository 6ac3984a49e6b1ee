//! How the operations on accounts can fail: one enum each, each variant one thing a caller can do.

use std::time::Duration;

use super::{
    name::{InvalidDisplayName, InvalidName},
    password::{Overloaded, WeakPassword},
};
use crate::{auth::JwtConfigError, store::StoreError};

/// Too much was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimited {
    pub(super) retry_after: Duration,
}

/// Accounts cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The secret that signs tokens is none.
    #[error("cannot sign tokens")]
    Secret(#[from] JwtConfigError),
    /// The store could not say whether there is an administrator.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
    /// No thread for hashing could be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// Somebody could not sign up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// By configuration only administrators make accounts.
    #[error("sign-up is closed")]
    SignUpClosed,
    /// Another name is needed.
    #[error("user name not allowed")]
    InvalidName(#[from] InvalidName),
    /// Another display name is needed.
    #[error("display name not allowed")]
    InvalidDisplayName(#[from] InvalidDisplayName),
    /// Another password is needed.
    #[error("password not allowed")]
    WeakPassword(#[from] WeakPassword),
    /// Somebody has this name, or one that is the same but for its spelling.
    #[error("user name taken")]
    NameTaken,
    /// Too much came from this address.
    #[error("too many attempts")]
    RateLimited {
        /// When one more is allowed.
        retry_after: Duration,
    },
    /// Too many passwords wait to be hashed.
    #[error("overloaded")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The store did not answer. The account may be there.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// Somebody could not log in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogInError {
    /// Nobody of this name, another password, or a disabled account: which, is not said.
    #[error("unknown user or wrong password")]
    WrongCredentials,
    /// Too much came from this address, or was tried with this name.
    #[error("too many attempts")]
    RateLimited {
        /// When one more is allowed.
        retry_after: Duration,
    },
    /// Too many passwords wait to be hashed.
    #[error("overloaded")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The store did not answer.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// The first administrator could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetUpError {
    /// There is an administrator.
    #[error("set-up is done")]
    SetupClosed,
    /// Not the code.
    #[error("wrong set-up code")]
    WrongCredentials,
    /// Another name is needed.
    #[error("user name not allowed")]
    InvalidName(#[from] InvalidName),
    /// Another display name is needed.
    #[error("display name not allowed")]
    InvalidDisplayName(#[from] InvalidDisplayName),
    /// Another password is needed.
    #[error("password not allowed")]
    WeakPassword(#[from] WeakPassword),
    /// Somebody has signed up with this name.
    #[error("user name taken")]
    NameTaken,
    /// Too much came from this address.
    #[error("too many attempts")]
    RateLimited {
        /// When one more is allowed.
        retry_after: Duration,
    },
    /// Too many passwords wait to be hashed.
    #[error("overloaded")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The store did not answer. The administrator may be there.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// A token could not be renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The identity does not hold any more, or is none of ours.
    #[error("credential refused")]
    Refused,
    /// The store did not answer.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// A token could not be revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogOutError {
    /// The identity is none of ours.
    #[error("not a token of an account")]
    NotAToken,
    /// The store did not answer. The token may be revoked; revoking it again is safe.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// An account could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateUserError {
    /// Another name is needed.
    #[error("user name not allowed")]
    InvalidName(#[from] InvalidName),
    /// Another display name is needed.
    #[error("display name not allowed")]
    InvalidDisplayName(#[from] InvalidDisplayName),
    /// Another password is needed.
    #[error("password not allowed")]
    WeakPassword(#[from] WeakPassword),
    /// Somebody has this name.
    #[error("user name taken")]
    NameTaken,
    /// Too many passwords wait to be hashed.
    #[error("overloaded")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The store did not answer. The account may be there.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// A password could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetPasswordError {
    /// Nobody of this name.
    #[error("unknown user")]
    UnknownUser,
    /// Another password is needed.
    #[error("password not allowed")]
    WeakPassword(#[from] WeakPassword),
    /// Too many passwords wait to be hashed.
    #[error("overloaded")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The store did not answer. The new password may hold.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

/// An account could not be disabled or enabled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetEnabledError {
    /// Nobody of this name.
    #[error("unknown user")]
    UnknownUser,
    /// The store did not answer. The change may hold; repeating it is safe.
    #[error("accounts unavailable")]
    Unavailable(#[from] StoreError),
}

macro_rules! comes_back_later {
    ($($why:ident => $($error:ident),+;)+) => {
        $($(impl From<$why> for $error {
            fn from(why: $why) -> Self {
                Self::$why { retry_after: why.retry_after }
            }
        })+)+
    };
}
comes_back_later! {
    RateLimited => RegisterError, LogInError, SetUpError;
    Overloaded => RegisterError, LogInError, SetUpError, CreateUserError, SetPasswordError;
}
