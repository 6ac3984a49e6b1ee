//! How connections are opened: the file, its mode, and what SQLite is told.

use std::{fs, io, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    Durability,
    error::{OpenError, SqliteError},
    schema,
};
use crate::{
    sabotage::{self, Defect},
    store::Migrated,
};

/// How long a connection waits for a lock of another process (an operator's shell, a backup)
/// before it reports that the store is busy. Less than a node waits for its store, so that the
/// reason arrives.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// More than the statements there are, so that each is compiled once a connection.
const STATEMENTS_MAX: usize = 128;

/// Up to this many bytes the emptied log of changes keeps its place on the disk.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Pages of the log of changes (of 4 KiB) after which it is taken up into the file. A page that many
/// messages touched is taken up once: with SQLite's own 1,000 pages, 1,400 messages a second in 500
/// conversations took it up ten times a second, each time with a flush.
const WAL_PAGES: i64 = 8_000;

/// Of the writer's memory for pages, in KiB; taken as far as there are pages. With SQLite's own
/// 2 MiB the same load read fifteen pages again for each message.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// The connection that writes; makes the file and brings it to the newest schema.
pub(super) fn writer(
    path: &Path,
    durability: Durability,
) -> Result<(Connection, Migrated), SqliteError> {
    create_private(path).map_err(OpenError::File)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything is written: a database of another program keeps its journal mode.
    let migrated = schema::migrate(&mut connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::EveryCommit => "FULL",
        Durability::UntilPowerFails => "NORMAL",
    };
    let synchronous = if sabotage::on(Defect::NoFlush) { "OFF" } else { synchronous };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    // Negative: in KiB and not in pages.
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    common(&connection)?;
    Ok((connection, migrated))
}

/// A connection that reads what the writer's file holds.
pub(super) fn reader(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    common(&connection)?;
    Ok(connection)
}

/// The only connection to a database that ends with it.
pub(super) fn in_memory() -> Result<Connection, SqliteError> {
    let mut connection = Connection::open_in_memory()?;
    schema::migrate(&mut connection)?;
    common(&connection)?;
    Ok(connection)
}

fn common(connection: &Connection) -> Result<(), SqliteError> {
    connection.pragma_update(None, "foreign_keys", true)?;
    // A file that somebody tampered with shall not call functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Once it knows how values are spread (from the second start on), SQLite would compile a statement
    // again for each other value that is bound, in case another plan suits that better. Ours have one
    // plan, and to compile was a quarter of what a write cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Makes the file, unless it is there, so that only its owner can read it; SQLite gives the same
/// mode to the files beside it.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
        directory.create(parent)?;
    }
    let mut file = fs::OpenOptions::new();
    file.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(path).map(|_| ())
}
