//! The tables, and how older ones become newer ones.
//!
//! By hand, because it is this little: each version is one script, applied with its number in one
//! transaction, by one node at a time.
//!
//! # The rule for changes
//!
//! During a rolling update programs of two versions use the same tables. So a change comes in two
//! releases: the first *expands* (new tables, new columns that may be left out) and works with
//! both; a later one *contracts* (removes what only older programs used). Each script says which
//! is the oldest version whose programs may still use the tables after it
//! ([`Script::compatible_from`]); that number stands in the database, and a program that is older
//! refuses to start, as does none that is newer. What has been released is never edited.

use std::time::Duration;

use tokio_postgres::{Client, error::SqlState};

use super::{error::OpenError, life::Origin, session::in_schema};
use crate::store::{Migrated, checkpoint::random_epoch};

/// The n-th makes version n out of version n − 1.
const SCRIPTS: &[Script] = &[
    Script { sql: include_str!("schema/1.sql"), compatible_from: 1 },
    // Programs of version 1 pass on what they do not know.
    Script { sql: include_str!("schema/2.sql"), compatible_from: 1 },
    // Programs before this one cannot read the words for channels and their roles.
    Script { sql: include_str!("schema/3.sql"), compatible_from: 3 },
    // Programs before this one would show newcomers what was before them.
    Script { sql: include_str!("schema/4.sql"), compatible_from: 4 },
    // Programs before this one cannot read a message without text, and would leave its files.
    Script { sql: include_str!("schema/5.sql"), compatible_from: 5 },
];

/// One step.
struct Script {
    sql: &'static str,
    /// Programs that know this version, or a newer one, can use the tables after this step.
    compatible_from: i32,
}

/// Waits for another node that changes the tables, and for those that use them.
const PATIENCE: &str = "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '10min'";

/// All that is done before the first question to the store takes no longer than this. Only a
/// server that stands still comes so far.
pub(super) const OPENING_MAX: Duration = Duration::from_secs(15 * 60);

/// The newest version that this program knows.
fn newest() -> i32 {
    i32::try_from(SCRIPTS.len()).expect("there are few scripts")
}

/// Refuses tables that this program cannot use as they are. Only reads.
pub(super) async fn require(client: &Client, schema: &str) -> Result<(), OpenError> {
    let needed = newest();
    match version(client, schema).await? {
        Some(version) if version.check(needed)? => Ok(()),
        Some(version) => Err(OpenError::Older { found: version.version, needed }),
        None => Err(OpenError::Older { found: 0, needed }),
    }
}

/// Brings the tables in this schema (quoted) to the newest version. Where they are of that version
/// already, it only reads, so that a role that may not make tables can start.
pub(super) async fn migrate(
    client: &mut Client,
    schema: &str,
    origin: &Origin,
) -> Result<Migrated, OpenError> {
    let known = newest();
    if let Some(version) = version(client, schema).await?
        && version.check(known)?
    {
        return Ok(version.stays());
    }

    let transaction = client.transaction().await?;
    let may_not = |error: tokio_postgres::Error| {
        if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            OpenError::MayNotMigrate(error)
        } else {
            OpenError::Postgres(error)
        }
    };
    transaction.batch_execute(PATIENCE).await?;
    // "chat" in ASCII. One at a time for each schema; it ends with the transaction.
    transaction
        .execute("SELECT pg_advisory_xact_lock(1667785076, hashtext($1))", &[&schema])
        .await?;
    let there: bool = transaction
        .query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema])
        .await?
        .try_get(0)?;
    if !there {
        let create = in_schema("CREATE SCHEMA {schema}", schema);
        transaction.batch_execute(&create).await.map_err(may_not)?;
    }
    // Again, because another node may have been here meanwhile.
    let found = version(transaction.client(), schema).await?;
    let from = match found {
        Some(version) if version.check(known)? => return Ok(version.stays()),
        Some(version) => version.version,
        None => {
            let table = in_schema(
                "CREATE TABLE {schema}.chat_schema (
                     version         integer NOT NULL,
                     compatible_from integer NOT NULL
                 );
                 INSERT INTO {schema}.chat_schema VALUES (0, 0)",
                schema,
            );
            transaction.batch_execute(&table).await.map_err(may_not)?;
            0
        }
    };
    let steps = usize::try_from(from).unwrap_or(0);
    for script in SCRIPTS.iter().skip(steps) {
        transaction.batch_execute(&in_schema(script.sql, schema)).await.map_err(may_not)?;
    }
    if from == 0 {
        let life = format!(
            "INSERT INTO {{schema}}.chat_life (epoch, origin, base) VALUES ($1, {}, 0)",
            origin.expression()
        );
        let epoch = random_epoch();
        transaction.execute(&in_schema(&life, schema), &[&epoch.as_str()]).await?;
    }
    let compatible_from =
        SCRIPTS.iter().map(|script| script.compatible_from).max().expect("there is a script");
    let sql =
        in_schema("UPDATE {schema}.chat_schema SET version = $1, compatible_from = $2", schema);
    transaction.execute(&sql, &[&known, &compatible_from]).await?;
    transaction.commit().await?;
    Ok(Migrated { from: from.unsigned_abs(), to: known.unsigned_abs() })
}

struct Version {
    version: i32,
    compatible_from: i32,
}

impl Version {
    /// There was nothing to do.
    const fn stays(&self) -> Migrated {
        let version = self.version.unsigned_abs();
        Migrated { from: version, to: version }
    }

    /// Whether there is nothing to be done; refuses what is too new.
    fn check(&self, known: i32) -> Result<bool, OpenError> {
        if self.version > known && self.compatible_from > known {
            return Err(OpenError::Newer {
                found: self.version,
                needed: self.compatible_from,
                known,
            });
        }
        Ok(self.version >= known)
    }
}

/// Of the tables that are there; `None`: there are none.
async fn version(client: &Client, schema: &str) -> Result<Option<Version>, OpenError> {
    let table = in_schema("{schema}.chat_schema", schema);
    let there: bool =
        client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?.try_get(0)?;
    if !there {
        return Ok(None);
    }
    let sql = in_schema("SELECT version, compatible_from FROM {schema}.chat_schema", schema);
    let row = client.query_one(&sql, &[]).await?;
    Ok(Some(Version { version: row.try_get(0)?, compatible_from: row.try_get(1)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_taken_only_if_it_says_so() {
        let check = |version, compatible_from| Version { version, compatible_from }.check(3);
        assert!(!check(2, 1).unwrap(), "older: there is something to do");
        assert!(check(3, 1).unwrap());
        assert!(check(4, 3).unwrap(), "newer, expanded only");
        let error = check(5, 4).unwrap_err().to_string();
        for part in ["version 5", "version 4 or newer", "up to 3", "newer program"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn no_script_asks_for_programs_that_do_not_exist_yet() {
        for (index, script) in SCRIPTS.iter().enumerate() {
            assert!((1..=index as i32 + 1).contains(&script.compatible_from));
        }
    }
}
