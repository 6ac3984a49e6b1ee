//! The least that a durable log costs: rows of an event's shape, in batches that wait for the disk.

use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;
use testbed::Postgres;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::{
    engine::Calls,
    machine::{self, Cores, own_cpu},
    report::{Latency, Run},
    subject::waiting_for_disk,
};

/// Rows of one transaction.
const BATCH: u64 = 64;
/// Logs that the rows are of, in turn.
const CONVERSATIONS: u64 = 500;
/// Before what is measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// When it is committed; what the row says is not what is measured.
const AT: i64 = 1_700_000_000_000;

/// A table that can be filled.
pub(crate) trait Table {
    /// Inserts for so long; work is a row.
    fn fill(&mut self, span: Duration) -> anyhow::Result<Run>;
}

/// One in a private PostgreSQL; CPU is that of its processes.
pub(crate) struct PostgresTable {
    client: tokio_postgres::Client,
    insert: tokio_postgres::Statement,
    next: u64,
    runtime: Runtime,
    postgres: Postgres,
}

impl PostgresTable {
    pub(crate) fn new(cores: Cores) -> anyhow::Result<Self> {
        let postgres = cores.as_subject(|| Postgres::start_with(&waiting_for_disk()));
        let url = postgres.new_database();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, insert) = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            client
                .batch_execute(
                    "CREATE TABLE plain (conversation uuid, seq bigint, at bigint, author text, \
                     key text, body text, PRIMARY KEY (conversation, seq))",
                )
                .await?;
            let insert = client
                .prepare(
                    "INSERT INTO plain SELECT * FROM unnest($1::uuid[], $2::bigint[], \
                     $3::bigint[], $4::text[], $5::text[], $6::text[])",
                )
                .await?;
            anyhow::Ok((client, insert))
        })?;
        Ok(Self { client, insert, next: 0, runtime, postgres })
    }

    fn batch(&mut self) -> anyhow::Result<()> {
        let rows: Vec<Row> = (self.next..self.next + BATCH).map(Row::new).collect();
        let conversations: Vec<Uuid> = rows.iter().map(|row| row.conversation).collect();
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let keys: Vec<&str> = rows.iter().map(|row| &*row.key).collect();
        let bodies: Vec<&str> = rows.iter().map(|row| &*row.body).collect();
        let (ats, authors) = (vec![AT; rows.len()], vec![AUTHOR; rows.len()]);
        self.runtime.block_on(
            self.client
                .execute(&self.insert, &[&conversations, &seqs, &ats, &authors, &keys, &bodies]),
        )?;
        self.next += BATCH;
        Ok(())
    }
}

impl Table for PostgresTable {
    fn fill(&mut self, span: Duration) -> anyhow::Result<Run> {
        let pid = self.postgres.pid().context("PostgreSQL is gone")?;
        fill(span, "PostgreSQL", || machine::cpu_seconds(pid), || self.batch())
    }
}

/// One in SQLite as our server sets it up; CPU is that of the thread.
pub(crate) struct SqliteTable {
    connection: rusqlite::Connection,
    next: u64,
    cores: Cores,
    _folder: TempDir,
}

impl SqliteTable {
    pub(crate) fn new(cores: Cores) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the table")?;
        let connection = rusqlite::Connection::open(folder.path().join("plain.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE plain (conversation BLOB, seq INTEGER, at INTEGER, author TEXT, \
             key TEXT, body TEXT, PRIMARY KEY (conversation, seq)) WITHOUT ROWID",
        )?;
        Ok(Self { connection, next: 0, cores, _folder: folder })
    }

    fn batch(connection: &mut rusqlite::Connection, next: &mut u64) -> anyhow::Result<()> {
        let transaction = connection.transaction()?;
        let mut insert =
            transaction.prepare_cached("INSERT INTO plain VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for n in *next..*next + BATCH {
            let Row { conversation, seq, key, body } = Row::new(n);
            insert.execute((conversation.as_bytes(), seq, AT, AUTHOR, key, body))?;
        }
        drop(insert);
        transaction.commit()?;
        *next += BATCH;
        Ok(())
    }
}

impl Table for SqliteTable {
    fn fill(&mut self, span: Duration) -> anyhow::Result<Run> {
        let (connection, next) = (&mut self.connection, &mut self.next);
        let run = self.cores.as_subject(|| {
            fill(span, "SQLite", || own_cpu().as_secs_f64(), || Self::batch(connection, next))
        })?;
        // The thread is the one that is measured.
        Ok(Run { own_cpu: Duration::ZERO, ..run })
    }
}

const AUTHOR: &str = "user000017";

/// What one message is in a log.
struct Row {
    conversation: Uuid,
    seq: i64,
    key: String,
    body: String,
}

impl Row {
    fn new(n: u64) -> Self {
        // Spread as real ids are.
        let spread = (n % CONVERSATIONS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            conversation: Uuid::from_u64_pair(spread, n % CONVERSATIONS),
            seq: (n / CONVERSATIONS) as i64,
            key: format!("0123456789abcdef{n:016x}"),
            body: format!(r#"{{"type":"message","text":"{}"}}"#, "x".repeat(128)),
        }
    }
}

fn fill(
    span: Duration,
    name: &str,
    cpu: impl Fn() -> f64,
    mut batch: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Run> {
    let mut latency = Latency::new();
    let mut work = 0;
    let mut until = |end: Instant, work: &mut u64, latency: &mut Latency| {
        while Instant::now() < end {
            let asked = Instant::now();
            batch()?;
            latency.add(asked.elapsed());
            *work += BATCH;
        }
        anyhow::Ok(())
    };
    until(Instant::now() + WARM_UP, &mut work, &mut latency)?;
    (work, latency) = (0, Latency::new());
    let (began, cpu_before, own_before) = (Instant::now(), cpu(), own_cpu());
    until(began + span, &mut work, &mut latency)?;
    Ok(Run {
        work,
        wall: began.elapsed(),
        cpu: vec![(name.to_owned(), cpu() - cpu_before)],
        own_cpu: own_cpu() - own_before,
        latency,
        calls: Calls::default(),
    })
}
