//! Which life of the data this is, and how its commits are numbered.
//!
//! A change is stamped with the number of its transaction, and a checkpoint is the number of the
//! oldest transaction that was still running: everything below it could be seen, whatever the
//! order of the commits was. So "changed since" is "stamped with this number or a higher one",
//! which may name more than changed, but never less, and no commit waits for a common counter.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio_postgres::{Client, Row};

use super::{
    error::{Failure, defect},
    row,
    session::{Session, in_schema},
};
use crate::{
    model::Epoch,
    store::{
        Checkpoint, StoreError,
        checkpoint::{Stamps, random_epoch},
    },
};

/// How far apart the stamps of two lives begin: more transactions than a cluster ever counts, and
/// few enough that there is room for 32,000 lives.
const STAMPS_OF_A_LIFE: i64 = 1 << 48;

/// The moment of a statement. Selected in the same statement as what it is the moment of, from
/// the table `chat_life` called `l`.
macro_rules! moment_columns {
    () => {
        "l.epoch, l.base, l.base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    };
}
pub(super) use moment_columns;

/// How many columns [`moment_columns`] are.
pub(super) const MOMENT_COLUMNS: usize = 3;

/// The moment of a statement.
pub(super) struct Moment {
    stamps: Stamps,
    /// Where the stamps of this life begin.
    base: u64,
    /// Below this everything could be seen.
    horizon: u64,
}

impl Moment {
    /// Every row of the answer says it, and there is at least one.
    pub(super) fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let row = one(rows)?;
        Ok(Self {
            stamps: Stamps::of(&row::epoch(row, 0)?),
            base: row::number(row, 1)?,
            horizon: row::number(row, 2)?,
        })
    }

    /// The name of this moment.
    pub(super) fn checkpoint(&self, flushed: &Flushed) -> Checkpoint {
        let safe = flushed.next().max(self.base);
        self.stamps.checkpoint(self.horizon.min(safe))
    }

    /// The stamp that the checkpoint names, if it is one of this life's.
    pub(super) fn stamp(&self, checkpoint: &Checkpoint) -> Option<u64> {
        self.stamps.stamp(checkpoint, self.horizon)
    }
}

/// The highest stamp that is known to be on the disk.
///
/// A checkpoint must not be beyond it. The number of a transaction that was rolled back, or whose
/// commit did not wait for the disk, may be given once more after the server crashed; a change
/// with that number would lie before a checkpoint that was given out before the crash, and be
/// missed.
#[derive(Debug, Clone, Default)]
pub(super) struct Flushed(Arc<AtomicU64>);

impl Flushed {
    /// A change with this stamp was seen, or committed here. Both mean that its commit is on the
    /// disk, and with it everything before.
    pub(super) fn saw(&self, stamp: u64) {
        self.0.fetch_max(stamp, Ordering::Relaxed);
    }

    fn next(&self) -> u64 {
        self.0.load(Ordering::Relaxed) + 1
    }
}

/// How this server tells where it is, as far as our role may ask.
///
/// The cluster's number differs after a restore elsewhere, the database's after a copy within the
/// cluster, and the timeline after a restore in place (PITR) or after a standby took over, which
/// may lack what was acknowledged last.
#[derive(Debug, Clone)]
pub(super) struct Origin(String);

impl Origin {
    pub(super) async fn find_out(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let parts = [
            (
                &["pg_catalog.pg_control_system()"][..],
                "(SELECT system_identifier FROM pg_catalog.pg_control_system())",
            ),
            (&[], "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"),
            (
                &[
                    "pg_catalog.pg_current_wal_insert_lsn()",
                    "pg_catalog.pg_walfile_name(pg_catalog.pg_lsn)",
                ],
                "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)",
            ),
        ];
        let mut expression = Vec::new();
        for (functions, part) in parts {
            let row = client
                .query_one(
                    "SELECT coalesce(bool_and(coalesce(
                         has_function_privilege(to_regprocedure(name), 'EXECUTE'), false)), true)
                     FROM unnest($1::text[]) AS f(name)",
                    &[&functions],
                )
                .await?;
            if row.try_get(0)? {
                expression.push(part);
            }
        }
        Ok(Self(format!("concat_ws(':', {})", expression.join(", "))))
    }

    /// The epoch, beginning a new one if the data was made elsewhere. `anew`: in any case.
    pub(super) async fn epoch(&self, session: &mut Session, anew: bool) -> Result<Epoch, Failure> {
        let look = format!(
            // A standby has no place of its own to write at; it is the same life as its primary.
            "SELECT epoch, pg_is_in_recovery() OR origin = CASE WHEN pg_is_in_recovery() THEN ''
                 ELSE {} END FROM {{schema}}.chat_life",
            self.0
        );
        let (client, schema) = session.client_and_schema();
        let row = client.query_typed(&in_schema(&look, schema), &[]).await?;
        let row = one(&row)?;
        if row::get(row, 1)? && !anew {
            return Ok(row::epoch(row, 0)?);
        }

        let update = format!(
            // Of several nodes that find this at the same time one begins the new life.
            "UPDATE {{schema}}.chat_life SET epoch = $1, origin = {0}, base = base + {STAMPS_OF_A_LIFE}
             WHERE $2 OR origin <> {0}",
            self.0
        );
        let update = in_schema(&update, schema);
        let lock = in_schema("LOCK TABLE {schema}.chat_life IN ACCESS EXCLUSIVE MODE", schema);
        let look = in_schema("SELECT epoch FROM {schema}.chat_life", schema);
        let transaction = client.transaction().await?;
        // Whoever writes has read this table in their transaction: their stamps of the old life
        // are committed before there are checkpoints of the new one.
        transaction.batch_execute(&lock).await?;
        transaction.execute(&update, &[&random_epoch().as_str(), &anew]).await?;
        let rows = transaction.query(&look, &[]).await?;
        let epoch = row::epoch(one(&rows)?, 0)?;
        transaction.commit().await.map_err(|error| Failure::from(error).final_())?;
        tracing::info!(%epoch, "a new life of the data begins");
        Ok(epoch)
    }

    /// The same as an expression of SQL.
    pub(super) fn expression(&self) -> &str {
        &self.0
    }
}

/// Writes something and waits for the disk, which says up to where stamps are there.
pub(super) async fn start(client: &Client, schema: &str) -> Result<u64, Failure> {
    let sql = in_schema(
        "UPDATE {schema}.chat_life SET starts = starts + 1
         RETURNING base + pg_current_xact_id()::text::bigint",
        schema,
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(row::number(one(&rows)?, 0)?)
}

fn one(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or_else(|| defect("chat_life has lost its row"))
}
