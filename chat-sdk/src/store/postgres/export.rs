//! Everything in the database, as of one moment; and what others keep beside it.

use tokio_postgres::{IsolationLevel, Row, Transaction, types::ToSql};

use super::{
    PostgresStore,
    accounts::{account, account_columns},
    error::{self, closed},
    read::{Query, query},
    row::{self, event_columns},
    session::in_schema,
};
use crate::{
    model::{CredentialId, Timestamp},
    store::{
        StoreError,
        transfer::{Export, Exporter, Record},
    },
};

/// Rows that are fetched at a time.
const FETCH: i32 = 1_000;

impl PostgresStore {
    /// Everything that is kept, as of one moment, while others go on reading and writing. Has a
    /// connection of its own until all is taken; meanwhile the database cannot clean up what is
    /// changed (`VACUUM`), so take it without long pauses.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no connection; what fails later comes as a record.
    pub async fn export(&self) -> Result<Export, StoreError> {
        self.doors()?;
        let session = self.shared.connector.connect().await;
        let mut session = session.map_err(|why| StoreError::Unavailable(Box::new(why)))?;
        let (mut exporter, export) = Exporter::new();
        self.shared.calls.spawn(async move {
            let (client, schema) = session.client_and_schema();
            let how = async {
                // The limits of a query are not those of a walk through everything.
                client.batch_execute("SET statement_timeout = 0").await?;
                let snapshot = client
                    .build_transaction()
                    .isolation_level(IsolationLevel::RepeatableRead)
                    .read_only(true)
                    .start()
                    .await?;
                everything(&snapshot, schema, &mut exporter).await
            };
            match how.await {
                Ok(()) => exporter.end(Ok(())).await,
                Err(Ended::Nobody) => {}
                Err(Ended::Failed(why)) => exporter.end(Err(why)).await,
            }
        });
        Ok(export)
    }

    /// What is kept under this name beside the chat, for all nodes the same: `fresh`, if nothing was
    /// there yet. For a secret, say, that all of them have to know.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn keep(&self, name: &str, fresh: &str) -> Result<String, StoreError> {
        self.change(query!(
            "INSERT INTO {schema}.chat_kept (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            name.to_owned(),
            fresh.to_owned(),
        ))
        .await?;
        let kept = self
            .rows(query!("SELECT value FROM {schema}.chat_kept WHERE name = $1", name.to_owned()))
            .await?;
        row::get(kept.first().ok_or_else(closed)?, 0)
    }
}

enum Ended {
    Nobody,
    Failed(StoreError),
}

impl From<tokio_postgres::Error> for Ended {
    fn from(why: tokio_postgres::Error) -> Self {
        Self::Failed(error::map(why))
    }
}

impl From<StoreError> for Ended {
    fn from(why: StoreError) -> Self {
        Self::Failed(why)
    }
}

async fn everything(
    snapshot: &Transaction<'_>,
    schema: &str,
    to: &mut Exporter,
) -> Result<(), Ended> {
    let life = in_schema("SELECT epoch FROM {schema}.chat_life", schema);
    let life = snapshot.query_one(&life, &[]).await?;
    put(to, Exporter::begin(row::epoch(&life, 0)?)).await?;

    let accounts = concat!(
        "SELECT ",
        account_columns!(),
        " FROM {schema}.chat_accounts a ORDER BY a.name_key"
    );
    each(snapshot, &in_schema(accounts, schema), &[], to, |row| account(row).map(Record::Account))
        .await?;
    let revoked = "SELECT token, expires_at FROM {schema}.chat_revoked_tokens ORDER BY token";
    each(snapshot, &in_schema(revoked, schema), &[], to, |row| {
        let token = row::column(row, 0, |token: String| CredentialId::new(token))?;
        let expires_at = Timestamp::from_millis(row::get(row, 1)?);
        Ok(Record::Revoked { token, expires_at })
    })
    .await?;

    let markers = in_schema(
        "SELECT member, received, read FROM {schema}.chat_members
         WHERE conversation = $1 AND (received > 0 OR read > 0) ORDER BY member",
        schema,
    );
    let events = concat!(
        "SELECT ",
        event_columns!(),
        " FROM {schema}.chat_events e WHERE e.conversation = $1 ORDER BY e.seq"
    );
    let events = in_schema(events, schema);
    let ids = in_schema(
        "SELECT id FROM {schema}.chat_conversations
         WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT 1000",
        schema,
    );
    let mut last: Option<uuid::Uuid> = None;
    loop {
        let page = snapshot.query(&ids, &[&last]).await?;
        let Some(end) = page.last() else { return Ok(()) };
        last = Some(row::get(end, 0)?);
        for row in &page {
            let (conversation, id) = (row::conversation(row, 0)?, row::get::<uuid::Uuid>(row, 0)?);
            each(snapshot, &markers, &[&id], to, |row| {
                let (user, marker) = (row::user(row, 0)?, row::marker(row, 1, 2)?);
                Ok(Record::Marker { conversation, user, marker })
            })
            .await?;
            each(snapshot, &events, &[&id], to, |row| {
                row::event(conversation, row, 0).map(Record::Event)
            })
            .await?;
        }
    }
}

/// A portal, because rows that are merely streamed would pile up where they are not taken.
async fn each(
    snapshot: &Transaction<'_>,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
    to: &mut Exporter,
    record: impl Fn(&Row) -> Result<Record, StoreError>,
) -> Result<(), Ended> {
    let portal = snapshot.bind(sql, params).await?;
    loop {
        let rows = snapshot.query_portal(&portal, FETCH).await?;
        for row in &rows {
            put(to, record(row)?).await?;
        }
        if rows.len() < FETCH as usize {
            return Ok(());
        }
    }
}

async fn put(to: &mut Exporter, record: Record) -> Result<(), Ended> {
    to.put(record).await.map_err(|_| Ended::Nobody)
}
