//! What went wrong in PostgreSQL, in the words of the port.

use std::io;

use tokio_postgres::{Error, error::SqlState};

use super::super::{BoxError, StoreError};
use crate::tls::TlsError;

/// The store could not be opened. The message says why and what to do about it; it never holds the
/// password.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PostgresError(#[from] OpenError);

impl PostgresError {
    /// Whether the tables are older than this program, which may not change them
    /// ([`PostgresOptions::migrate`](super::PostgresOptions::migrate)).
    #[must_use]
    pub const fn is_older(&self) -> bool {
        matches!(self.0, OpenError::Older { .. })
    }

    /// Whether it may pass by itself: the server cannot be reached, or is about to start.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match &self.0 {
            OpenError::Slow | OpenError::Store(StoreError::Unavailable(_)) => true,
            OpenError::Postgres(error) => match error.code() {
                Some(code) => *code == SqlState::CANNOT_CONNECT_NOW,
                // No answer at all. An authority that is not trusted is no answer either, and
                // whoever waits for it sees it in the log.
                None => true,
            },
            OpenError::NotUrl
            | OpenError::Url(_)
            | OpenError::UnknownOption(_)
            | OpenError::SslMode
            | OpenError::Contradiction
            | OpenError::RootFile(_)
            | OpenError::Roots(_)
            | OpenError::SchemaName
            | OpenError::Newer { .. }
            | OpenError::Older { .. }
            | OpenError::MayNotMigrate(_)
            | OpenError::Encoding(_)
            | OpenError::Standby
            | OpenError::Store(StoreError::Defect(_)) => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(
        "the URL must begin with postgres:// or postgresql://, as in \
         postgres://user:password@host:5432/database"
    )]
    NotUrl,
    // Without its text: a password with a character that is not escaped may stand anywhere in it.
    #[error("the URL cannot be read{}; characters like @ : / ? in a password are written as %40 and so on", detail(.0))]
    Url(Option<String>),
    #[error("the URL has an option that is not known; known are sslmode, sslrootcert, {0}")]
    UnknownOption(String),
    #[error(
        "sslmode must be disable, prefer, require, verify-ca or verify-full (the last three are \
         the same here: the certificate and the name in it are checked)"
    )]
    SslMode,
    #[error("sslmode=disable contradicts a given authority: leave out one of them")]
    Contradiction,
    #[error("the file that sslrootcert names cannot be read")]
    RootFile(#[source] io::Error),
    #[error("the certificates of the authorities cannot be used")]
    Roots(#[source] TlsError),
    #[error(
        "the name of the schema must be 1 to 63 characters long and cannot begin with pg_, nor \
         hold control characters"
    )]
    SchemaName,
    #[error(
        "the database has schema version {found}, which only programs that know version \
         {needed} or newer may use, and this one knows versions up to {known}: run a newer \
         program, or restore a backup from before the upgrade"
    )]
    Newer { found: i32, needed: i32, known: i32 },
    #[error(
        "the database has {}, this program needs version {needed}, and it was told not to change \
         them",
        tables(*.found)
    )]
    Older { found: i32, needed: i32 },
    #[error(
        "the tables cannot be made or changed: let a role with the right to CREATE in this schema \
         connect once, or choose another schema"
    )]
    MayNotMigrate(#[source] Error),
    #[error(
        "the database keeps text as {0} and cannot hold everything that people write: make one \
         with ENCODING 'UTF8'"
    )]
    Encoding(String),
    #[error("PostgreSQL did not answer in time")]
    Slow,
    #[error("the database is a standby, which cannot be written: connect to the primary")]
    Standby,
    #[error("the database cannot be opened")]
    Postgres(#[source] Error),
    #[error("what the database holds cannot be read")]
    Store(#[source] StoreError),
}

fn tables(version: i32) -> String {
    match version {
        0 => "no tables of a chat".to_owned(),
        version => format!("tables of version {version}"),
    }
}

fn detail(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default()
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Why something did not come to its end on a connection, and what that means for both.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Whether the connection may be used by the next one.
    pub(super) fit: bool,
    /// Whether it may be tried once more on another connection: this one was dead, and nothing
    /// can have been committed.
    pub(super) again: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let answered = error.as_db_error().is_some();
        let ended = ended_by_server(&error);
        let error = map(error);
        // After a defect a new connection may help: its statements are prepared anew.
        let fit = answered && !ended && matches!(error, StoreError::Unavailable(_));
        let again = (!answered || ended) && matches!(error, StoreError::Unavailable(_));
        Self { error, fit, again }
    }
}

impl From<StoreError> for Failure {
    /// What was answered makes no sense; the connection is not to blame.
    fn from(error: StoreError) -> Self {
        Self { error, fit: true, again: false }
    }
}

impl Failure {
    /// The same where the outcome is unknown.
    pub(super) fn final_(self) -> Self {
        Self { again: false, ..self }
    }
}

/// The server ends the connection with this as its last words.
fn ended_by_server(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(&code)
    })
}

/// The error for a caller: whether waiting may help, or somebody should look.
pub(super) fn map(error: Error) -> StoreError {
    if may_pass(&error) {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Defect(Box::new(error))
    }
}

fn may_pass(error: &Error) -> bool {
    if let Some(code) = error.code() {
        return code_may_pass(code.code());
    }
    if error.is_closed() {
        return true;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            // What was to be sent cannot be spelled; all else is the network.
            return io.kind() != io::ErrorKind::InvalidInput;
        }
        source = cause.source();
    }
    false
}

/// By the class of the code (its first two characters), and some codes of mixed classes.
fn code_may_pass(code: &str) -> bool {
    match code {
        // A lock that was not to be had in time; a transaction that was idle too long; a server
        // that cannot be written at the moment (a standby, after a switch of roles); a disk that
        // answers with errors.
        "55P03" | "55006" | "25P03" | "25006" | "58030" => true,
        // A database that is just being dropped or made (a restore), a role that is changed.
        "3D000" | "28000" | "28P01" => true,
        // No connection; rolled back by the server; out of something (disk, memory,
        // connections); cancelled, shutting down, starting up.
        _ => ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)),
    }
}

/// The store was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// A row holds what should not be there.
pub(super) fn defect(error: impl Into<BoxError>) -> StoreError {
    StoreError::Defect(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_unavailable_and_what_is_broken_is_a_defect() {
        for code in [
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::LOCK_NOT_AVAILABLE,
            &SqlState::QUERY_CANCELED,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            &SqlState::DISK_FULL,
            &SqlState::TOO_MANY_CONNECTIONS,
            &SqlState::CONNECTION_FAILURE,
            &SqlState::IO_ERROR,
        ] {
            assert!(code_may_pass(code.code()), "{code:?}");
        }
        for code in [
            &SqlState::UNIQUE_VIOLATION,
            &SqlState::CHECK_VIOLATION,
            &SqlState::DATA_CORRUPTED,
            &SqlState::UNDEFINED_TABLE,
            &SqlState::UNDEFINED_COLUMN,
            &SqlState::INSUFFICIENT_PRIVILEGE,
            &SqlState::INTERNAL_ERROR,
        ] {
            assert!(!code_may_pass(code.code()), "{code:?}");
        }
    }
}
