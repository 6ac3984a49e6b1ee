//! Files in the database.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row;
use crate::{
    model::{BlobId, ConversationId, File, FileId, Seq, Timestamp, UserId},
    store::{
        DiscardWhen, FileChange, FileChanged, FileQuery, FileRecord,
        files::Document,
        spelling::{file_state, file_state_text, place, size},
    },
};

macro_rules! file_columns {
    () => {
        "document, owner, state, conversation, message, expires_at, version"
    };
}

fn record(row: &Row<'_>) -> rusqlite::Result<FileRecord> {
    let document = row::column(row, 0, |it: String| serde_json::from_str::<Document>(&it))?;
    let message = match row.get::<_, Option<[u8; 16]>>(3)? {
        Some(id) => Some((ConversationId::from_bytes(id), row::seq(row, 4)?)),
        None => None,
    };
    let state = row::column(row, 2, |state: String| file_state(&state, message))?;
    let expires_at = Timestamp::from_millis(row.get(5)?);
    Ok(document.into_record(row::user(row, 1)?, state, expires_at, row::number(row, 6)?))
}

fn document(record: &FileRecord) -> rusqlite::Result<String> {
    Document::of(record).map_err(|why| rusqlite::Error::ToSqlConversionFailure(Box::new(why)))
}

/// Within a commit, which is one at a time: what is looked up is still so when it is changed.
pub(super) fn change(
    connection: &Connection,
    change: &FileChange,
) -> rusqlite::Result<FileChanged> {
    let changed = match change {
        FileChange::Begin(record, quota) => {
            let id = record.file.id.as_bytes();
            let there = connection
                .prepare_cached("SELECT 1 FROM files WHERE id = ?1")?
                .exists(params![id])?;
            if there {
                return Ok(FileChanged::Refused);
            }
            let (bytes, waiting) = connection
                .prepare_cached(
                    "SELECT coalesce(sum(size), 0), coalesce(sum(state <> 'attached'), 0)
                     FROM files WHERE owner = ?1 AND state <> 'gone'",
                )?
                .query_row([record.owner.as_str()], |row| {
                    Ok((row::number(row, 0)?, row::number(row, 1)?))
                })?;
            if bytes.saturating_add(record.file.size) > quota.bytes_max
                || waiting >= quota.waiting_max
            {
                return Ok(FileChanged::OverQuota);
            }
            connection
                .prepare_cached(
                    "INSERT INTO files (id, owner, size, state, expires_at, version, document)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    id,
                    record.owner.as_str(),
                    size(record.file.size),
                    file_state_text(record.state),
                    record.expires_at.as_millis(),
                    row::stamp(record.version),
                    document(record)?,
                ])?
        }
        FileChange::Advance(record) => {
            let id = record.file.id.as_bytes();
            let changed = connection
                .prepare_cached(
                    "UPDATE files SET state = ?4, expires_at = ?5, version = ?3 + 1, document = ?6
                     WHERE id = ?1 AND owner = ?2 AND version = ?3 AND state = 'uploading'",
                )?
                .execute(params![
                    id,
                    record.owner.as_str(),
                    row::stamp(record.version),
                    file_state_text(record.state),
                    record.expires_at.as_millis(),
                    document(record)?,
                ])?;
            if changed > 0 {
                for blob in record.blobs() {
                    connection
                        .prepare_cached(
                            "INSERT INTO file_blobs (blob, file) VALUES (?1, ?2)
                             ON CONFLICT DO NOTHING",
                        )?
                        .execute(params![blob.as_bytes(), id])?;
                }
            }
            changed
        }
        FileChange::Discard(file, DiscardWhen::OwnedBy(owner)) => connection
            .prepare_cached(
                "UPDATE files SET state = 'gone', expires_at = 0
                 WHERE id = ?1 AND owner = ?2 AND state IN ('uploading', 'complete')",
            )?
            .execute(params![file.as_bytes(), owner.as_str()])?,
        FileChange::Discard(file, DiscardWhen::ExpiredAt(at)) => connection
            .prepare_cached(
                "UPDATE files SET state = 'gone', expires_at = 0
                 WHERE id = ?1 AND expires_at <= ?2 AND state IN ('uploading', 'complete')",
            )?
            .execute(params![file.as_bytes(), at.as_millis()])?,
        FileChange::Forget(file) => {
            let gone = connection
                .prepare_cached("SELECT 1 FROM files WHERE id = ?1 AND state = 'gone'")?
                .exists(params![file.as_bytes()])?;
            if gone {
                for sql in
                    ["DELETE FROM file_blobs WHERE file = ?1", "DELETE FROM files WHERE id = ?1"]
                {
                    connection.prepare_cached(sql)?.execute(params![file.as_bytes()])?;
                }
            }
            usize::from(gone)
        }
    };
    Ok(if changed > 0 { FileChanged::Done } else { FileChanged::Refused })
}

pub(super) fn find(
    connection: &Connection,
    query: &FileQuery,
) -> rusqlite::Result<Vec<FileRecord>> {
    match query {
        FileQuery::Ids(ids) => {
            let mut statement = connection.prepare_cached(concat!(
                "SELECT ",
                file_columns!(),
                " FROM files WHERE id = ?1"
            ))?;
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(statement.query_row([id.as_bytes()], record).optional()?);
            }
            Ok(found)
        }
        FileQuery::Over(at, limit) => connection
            .prepare_cached(concat!(
                "SELECT ",
                file_columns!(),
                " FROM files WHERE state <> 'attached' AND expires_at <= ?1
                 ORDER BY expires_at LIMIT ?2"
            ))?
            .query_map(params![at.as_millis(), limit.get()], record)?
            .collect(),
    }
}

pub(super) fn strays(connection: &Connection, blobs: &[BlobId]) -> rusqlite::Result<Vec<BlobId>> {
    let mut known = connection.prepare_cached("SELECT 1 FROM file_blobs WHERE blob = ?1")?;
    let mut strays = Vec::new();
    for blob in blobs {
        if !known.exists([blob.as_bytes()])? {
            strays.push(*blob);
        }
    }
    Ok(strays)
}

/// A file that a message may take.
pub(super) fn waiting(
    connection: &Connection,
    file: FileId,
) -> rusqlite::Result<Option<(UserId, File)>> {
    connection
        .prepare_cached("SELECT owner, document FROM files WHERE id = ?1 AND state = 'complete'")?
        .query_row([file.as_bytes()], |row| {
            let document = row::column(row, 1, |it: String| serde_json::from_str::<Document>(&it))?;
            Ok((row::user(row, 0)?, document.file))
        })
        .optional()
}

pub(super) fn attach(
    connection: &Connection,
    file: FileId,
    conversation: ConversationId,
    message: Seq,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE files SET state = 'attached', conversation = ?2, message = ?3 WHERE id = ?1",
        )?
        .execute(params![file.as_bytes(), conversation.as_bytes(), place(message)])?;
    Ok(())
}
