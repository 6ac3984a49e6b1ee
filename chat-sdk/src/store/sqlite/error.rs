//! What went wrong in SQLite, in the words of the port.

use rusqlite::ErrorCode;

use super::super::{BoxError, StoreError};

/// The database could not be opened. The message says why and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SqliteError(#[from] OpenError);

#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(
        "the database has schema version {found}, and this program knows versions up to {known}: \
         run a newer program, or restore a backup from before the upgrade"
    )]
    Newer { found: u32, known: u32 },
    #[error("the file is a database of another program: choose another path")]
    NotOurs,
    #[error("the database file cannot be made or opened")]
    File(#[source] std::io::Error),
    #[error("the database cannot be opened")]
    Sqlite(#[source] BoxError),
    #[error("a thread for the database cannot be started")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self(OpenError::Sqlite(Box::new(error)))
    }
}

/// The error for a caller: whether waiting may help, or somebody should look.
pub(super) fn map(error: rusqlite::Error) -> StoreError {
    let passing = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OperationAborted
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged => true,
            // Corrupt files, broken constraints, and what a later SQLite may add.
            _ => false,
        },
        _ => false,
    };
    if passing {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Defect(Box::new(error))
    }
}

/// The same error once more, for each of those who shared a transaction.
pub(super) fn again(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            map(rusqlite::Error::SqliteFailure(*failure, message.clone()))
        }
        other => StoreError::Defect(other.to_string().into()),
    }
}

/// The store was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn failure(code: std::ffi::c_int) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn what_may_pass_is_unavailable_and_what_is_broken_is_a_defect() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_FULL,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(matches!(map(failure(code)), StoreError::Unavailable(_)), "{code}");
            assert!(matches!(again(&failure(code)), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT_UNIQUE] {
            assert!(matches!(map(failure(code)), StoreError::Defect(_)), "{code}");
        }
        assert!(matches!(map(rusqlite::Error::QueryReturnedNoRows), StoreError::Defect(_)));
    }
}
