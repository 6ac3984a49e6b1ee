//! The schema of the database file and how an older file becomes a newer one.
//!
//! By hand, because it is this little: each version is one script, applied with its number in one
//! transaction. A migration library would add a table, a dependency and a bound on the version of
//! `rusqlite`.

use rusqlite::{Connection, TransactionBehavior};

use super::{
    super::{Migrated, checkpoint::random_epoch},
    error::{OpenError, SqliteError},
};

/// The n-th script makes version n out of version n − 1. What has been released is never edited:
/// a change is a new script.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
];

/// Stands in the file's header, so that a database of another program is not taken for ours.
/// "chat" in ASCII.
const APPLICATION_ID: i32 = 0x6368_6174;

/// Brings the database to the newest schema.
pub(super) fn migrate(connection: &mut Connection) -> Result<Migrated, SqliteError> {
    migrate_with(connection, MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, scripts: &[&str]) -> Result<Migrated, SqliteError> {
    // Two processes that open a new file at once must not both make the tables.
    let migration = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i32 = migration.query_row("PRAGMA application_id", (), |row| row.get(0))?;
    let tables: i64 =
        migration.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(OpenError::NotOurs.into());
    }
    let found: u32 = migration.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    let known = u32::try_from(scripts.len()).expect("there are few scripts");
    if found > known {
        return Err(OpenError::Newer { found, known }.into());
    }
    for script in scripts.iter().skip(found as usize) {
        migration.execute_batch(script)?;
    }
    if found == 0 {
        migration.execute(
            "INSERT INTO life (one, epoch, stamp) VALUES (1, ?1, 0)",
            [random_epoch().as_str()],
        )?;
    }
    if found < known {
        migration.pragma_update(None, "application_id", APPLICATION_ID)?;
        migration.pragma_update(None, "user_version", known)?;
    }
    migration.commit()?;
    Ok(Migrated { from: found, to: known })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_file_gets_only_the_scripts_it_lacks() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_with(&mut connection, &MIGRATIONS[..1]).unwrap();
        let epoch = |connection: &Connection| -> String {
            connection.query_row("SELECT epoch FROM life", (), |row| row.get(0)).unwrap()
        };
        let before = epoch(&connection);
        let next = [MIGRATIONS[0], "ALTER TABLE conversations ADD COLUMN topic TEXT"];
        let migrated = migrate_with(&mut connection, &next).unwrap();
        assert_eq!(migrated, Migrated { from: 1, to: 2 });
        let migrated = migrate_with(&mut connection, &next).unwrap();
        assert_eq!(migrated, Migrated { from: 2, to: 2 });
        assert_eq!(version(&connection), 2);
        assert_eq!(epoch(&connection), before);
        connection.execute("UPDATE conversations SET topic = 'x'", ()).unwrap();
    }

    #[test]
    fn a_script_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_with(&mut connection, &MIGRATIONS[..1]).unwrap();
        let broken =
            [MIGRATIONS[0], "CREATE TABLE extra (a INTEGER); CREATE TABLE life (b INTEGER)"];
        migrate_with(&mut connection, &broken).unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.query_row("SELECT count(*) FROM extra", (), |_| Ok(())).unwrap_err();
    }

    #[test]
    fn a_newer_schema_is_refused_and_the_error_says_what_to_do() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        let error = migrate(&mut connection).unwrap_err().to_string();
        for part in ["version 7", &format!("up to {}", MIGRATIONS.len()), "newer"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(version(&connection), 7);
    }

    #[test]
    fn the_database_of_another_program_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
        assert!(migrate(&mut connection).unwrap_err().to_string().contains("another program"));
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }
}
