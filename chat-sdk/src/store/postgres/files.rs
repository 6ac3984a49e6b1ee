//! Files in the database.

use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::{
    PostgresStore,
    error::{Failure, defect},
    read::{Query, query},
    row,
    session::in_schema,
};
use crate::{
    model::{BlobId, File, FileId, Timestamp, UserId},
    store::{
        DiscardWhen, FileChange, FileChanged, FileQuery, FileRecord, StoreError,
        files::Document,
        spelling::{file_state, file_state_text, size},
    },
};

macro_rules! file_columns {
    () => {
        "f.document, f.owner, f.state, f.conversation, f.message, f.expires_at, f.version"
    };
}

pub(super) fn file_id(file: FileId) -> Uuid {
    Uuid::from_bytes(*file.as_bytes())
}

fn blob_id(blob: BlobId) -> Uuid {
    Uuid::from_bytes(*blob.as_bytes())
}

fn document(record: &FileRecord) -> Result<String, StoreError> {
    Document::of(record).map_err(defect)
}

fn record(row: &Row) -> Result<FileRecord, StoreError> {
    let document: Document = row::column(row, 0, |it: &str| serde_json::from_str(it))?;
    let message = match row::get::<Option<Uuid>>(row, 3)? {
        Some(_) => Some((row::conversation(row, 3)?, row::seq(row, 4)?)),
        None => None,
    };
    let state = row::column(row, 2, |state: &str| file_state(state, message))?;
    let expires_at = Timestamp::from_millis(row::get(row, 5)?);
    Ok(document.into_record(row::user(row, 1)?, state, expires_at, row::number(row, 6)?))
}

/// A file that a message may take, from a row of its id, owner and document.
pub(super) fn waiting(row: &Row) -> Result<(FileId, (UserId, File)), StoreError> {
    let id: Uuid = row::get(row, 0)?;
    let document: Document = row::column(row, 2, |it: &str| serde_json::from_str(it))?;
    Ok((FileId::from_bytes(*id.as_bytes()), (row::user(row, 1)?, document.file)))
}

impl PostgresStore {
    pub(super) async fn change_one_file(
        &self,
        change: FileChange,
    ) -> Result<FileChanged, StoreError> {
        self.run_on_reads(move |session| {
            let change = change.clone();
            Box::pin(async move {
                let (client, schema) = session.client_and_schema();
                let transaction = client.transaction().await?;
                let changed = carry_out(&transaction, schema, &change).await?;
                transaction.commit().await.map_err(|error| Failure::from(error).final_())?;
                Ok(changed)
            })
        })
        .await
    }

    pub(super) async fn find_files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        let rows = self.rows(find(&query)).await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn find_strays(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        let blobs: Vec<_> = blobs.iter().copied().map(blob_id).collect();
        let rows = self
            .rows(query!(
                "SELECT b.blob FROM unnest($1::uuid[]) AS b(blob) WHERE NOT EXISTS
                 (SELECT FROM {schema}.chat_file_blobs f WHERE f.blob = b.blob)",
                blobs,
            ))
            .await?;
        let blob = |row| row::get(row, 0).map(|id: Uuid| BlobId::from_bytes(*id.as_bytes()));
        rows.iter().map(blob).collect()
    }
}

fn find(query: &FileQuery) -> Query {
    match query {
        FileQuery::Ids(ids) => {
            let ids: Vec<_> = ids.iter().copied().map(file_id).collect();
            query!(
                concat!(
                    "SELECT ",
                    file_columns!(),
                    " FROM {schema}.chat_files f WHERE f.id = ANY($1::uuid[])"
                ),
                ids,
            )
        }
        FileQuery::Over(at, limit) => query!(
            concat!(
                "SELECT ",
                file_columns!(),
                " FROM {schema}.chat_files f WHERE f.state <> 'attached' AND f.expires_at <= $1
                 ORDER BY f.expires_at LIMIT $2"
            ),
            at.as_millis(),
            i64::from(limit.get()),
        ),
    }
}

async fn carry_out(
    transaction: &Transaction<'_>,
    schema: &str,
    change: &FileChange,
) -> Result<FileChanged, Failure> {
    let sql = |sql: &str| in_schema(sql, schema);
    let changed = match change {
        FileChange::Begin(record, quota) => {
            let owner = record.owner.as_str();
            // One upload of an owner begins at a time, on all nodes. The first number is "file" in ASCII.
            transaction
                .execute("SELECT pg_advisory_xact_lock(1718185061, hashtext($1))", &[&owner])
                .await?;
            let kept = transaction
                .query_one(
                    &sql("SELECT coalesce(sum(size), 0)::bigint,
                            count(*) FILTER (WHERE state <> 'attached')
                          FROM {schema}.chat_files WHERE owner = $1 AND state <> 'gone'"),
                    &[&owner],
                )
                .await?;
            let (bytes, waiting) = (row::number(&kept, 0)?, row::number(&kept, 1)?);
            if bytes.saturating_add(record.file.size) > quota.bytes_max
                || waiting >= quota.waiting_max
            {
                return Ok(FileChanged::OverQuota);
            }
            transaction
                .execute(
                    &sql("INSERT INTO {schema}.chat_files
                            (id, owner, size, state, expires_at, version, document)
                          VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"),
                    &[
                        &file_id(record.file.id),
                        &owner,
                        &size(record.file.size),
                        &file_state_text(record.state),
                        &record.expires_at.as_millis(),
                        &size(record.version),
                        &document(record)?,
                    ],
                )
                .await?
        }
        FileChange::Advance(record) => {
            let id = file_id(record.file.id);
            let changed = transaction
                .execute(
                    &sql("UPDATE {schema}.chat_files
                          SET state = $4, expires_at = $5, version = $3 + 1, document = $6
                          WHERE id = $1 AND owner = $2 AND version = $3 AND state = 'uploading'"),
                    &[
                        &id,
                        &record.owner.as_str(),
                        &size(record.version),
                        &file_state_text(record.state),
                        &record.expires_at.as_millis(),
                        &document(record)?,
                    ],
                )
                .await?;
            if changed > 0 {
                let blobs: Vec<_> = record.blobs().map(blob_id).collect();
                transaction
                    .execute(
                        &sql("INSERT INTO {schema}.chat_file_blobs (blob, file)
                              SELECT blob, $2 FROM unnest($1::uuid[]) AS b(blob)
                              ON CONFLICT DO NOTHING"),
                        &[&blobs, &id],
                    )
                    .await?;
            }
            changed
        }
        FileChange::Discard(file, when) => {
            let discard = "UPDATE {schema}.chat_files SET state = 'gone', expires_at = 0
                WHERE id = $1 AND state IN ('uploading', 'complete') AND ";
            let id = file_id(*file);
            match when {
                DiscardWhen::OwnedBy(owner) => {
                    let discard = sql(&format!("{discard} owner = $2"));
                    transaction.execute(&discard, &[&id, &owner.as_str()]).await?
                }
                DiscardWhen::ExpiredAt(at) => {
                    let discard = sql(&format!("{discard} expires_at <= $2"));
                    transaction.execute(&discard, &[&id, &at.as_millis()]).await?
                }
            }
        }
        FileChange::Forget(file) => {
            let id = file_id(*file);
            let gone = sql("DELETE FROM {schema}.chat_files WHERE id = $1 AND state = 'gone'");
            let gone = transaction.execute(&gone, &[&id]).await?;
            if gone > 0 {
                let blobs = sql("DELETE FROM {schema}.chat_file_blobs WHERE file = $1");
                transaction.execute(&blobs, &[&id]).await?;
            }
            gone
        }
    };
    Ok(if changed > 0 { FileChanged::Done } else { FileChanged::Refused })
}
