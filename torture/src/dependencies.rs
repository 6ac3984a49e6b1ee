//! What the nodes stand on: a database and a bus of our own, or SQLite in the node's folder; and
//! the logs as the database itself has them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use chat_check::history::{Conversation, LogEvent};
use serde_json::{Value, json};
use testbed::{Postgres, PostgresOptions, Redis};

use crate::{book::Book, town};

/// What the nodes stand on.
#[derive(Debug, Clone)]
pub enum Dependencies {
    /// One node with a file.
    Sqlite,
    /// Any number of nodes.
    Shared {
        /// The database.
        postgres: Arc<Postgres>,
        /// Its name there.
        database: String,
        /// The bus.
        redis: Arc<Redis>,
    },
}

impl Dependencies {
    /// Starts PostgreSQL, which waits for its disk, and Redis. Blocks for some seconds.
    #[must_use]
    pub fn shared() -> Self {
        let options = PostgresOptions { fsync: true, settings: Vec::new() };
        let postgres = Postgres::start_with(&options);
        let url = postgres.new_database();
        let database = url.rsplit('/').next().unwrap_or_default().to_owned();
        let redis = Redis::start();
        Self::Shared { postgres: Arc::new(postgres), database, redis: Arc::new(redis) }
    }

    /// Every log, as the database has it. `folder`: where the data of the only node lies, if it
    /// has a file.
    ///
    /// # Errors
    /// It cannot be read, or something else stands there than events.
    pub async fn logs(
        &self,
        folder: &Path,
        book: &Book,
    ) -> anyhow::Result<BTreeMap<Conversation, Vec<LogEvent>>> {
        // Seconds, after a long run; the devices have their heartbeats to keep meanwhile.
        let (stands_on, folder) = (self.clone(), folder.to_owned());
        let rows = tokio::task::spawn_blocking(move || match stands_on {
            Self::Sqlite => sqlite_rows(&folder.join("chat.db")),
            Self::Shared { postgres, database, .. } => postgres_rows(&postgres, &database),
        });
        let mut logs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (place, row) in rows.await??.into_iter().enumerate() {
            if place % 256 == 0 {
                tokio::task::yield_now().await;
            }
            let conversation = row["conversation"].as_str().context("a row without its log")?;
            let event = town::log_event(book, &row).with_context(|| format!("no event: {row}"))?;
            logs.entry(book.conversation(conversation)).or_default().push(event);
        }
        Ok(logs)
    }
}

/// A row as it would stand on the wire.
fn row(conversation: &str, seq: i64, author: &str, key: Option<&str>, body: Value) -> Value {
    let mut row = json!({"conversation": conversation, "seq": seq, "event": body});
    if !author.is_empty() {
        row["from"] = json!(author);
    }
    if let Some(key) = key {
        row["key"] = json!(key);
    }
    row
}

fn sqlite_rows(file: &PathBuf) -> anyhow::Result<Vec<Value>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(file, flags)?;
    let sql = "SELECT lower(hex(conversation)), seq, author, key, body FROM events ORDER BY 1, 2";
    let mut statement = database.prepare(sql)?;
    let mut found = statement.query(())?;
    let mut rows = Vec::new();
    while let Some(it) = found.next()? {
        let hex: String = it.get(0)?;
        let dashed = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        let (author, key): (String, Option<String>) = (it.get(2)?, it.get(3)?);
        let body = serde_json::from_str(&it.get::<_, String>(4)?)?;
        rows.push(row(&dashed, it.get(1)?, &author, key.as_deref(), body));
    }
    Ok(rows)
}

/// One JSON object a line; the text of a message may hold anything but a line feed then.
fn postgres_rows(postgres: &Postgres, database: &str) -> anyhow::Result<Vec<Value>> {
    let sql = "SELECT json_build_object('c', conversation::text, 's', seq, 'a', author, 'k', key, \
               'b', body::text) FROM chat_events ORDER BY conversation, seq";
    let text = postgres.sql(database, sql);
    let mut rows = Vec::new();
    for line in text.lines() {
        let it: Value = serde_json::from_str(line)?;
        let (Some(conversation), Some(seq)) = (it["c"].as_str(), it["s"].as_i64()) else {
            bail!("not a row of chat_events: {line}");
        };
        let author = it["a"].as_str().unwrap_or_default();
        let body = serde_json::from_str(it["b"].as_str().context("an event without a body")?)?;
        rows.push(row(conversation, seq, author, it["k"].as_str(), body));
    }
    Ok(rows)
}
