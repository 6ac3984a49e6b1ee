//! Everything in the file, as of one moment.

use rusqlite::Connection;

use super::{
    SqliteStore,
    accounts::{account, account_columns},
    error, read,
    row::{self, event_columns},
};
use crate::{
    model::{ConversationId, CredentialId, Timestamp},
    store::{
        StoreError,
        transfer::{Export, Exporter, Record},
    },
};

impl SqliteStore {
    /// Everything that is kept, as of one moment, while others go on reading and writing. One reader
    /// is busy until all is taken, and what is written meanwhile cannot be taken up into the file.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store is closed; what fails later comes as a record.
    pub async fn export(&self) -> Result<Export, StoreError> {
        let (mut exporter, export) = Exporter::new();
        let store = self.clone();
        // Runs beside whoever takes the records, and ends with them.
        tokio::spawn(async move {
            let done = store
                .look(move |connection| {
                    let how = everything(connection, &mut exporter);
                    match how {
                        Ok(()) => exporter.end_blocking(Ok(())),
                        Err(Ended::Nobody) => {}
                        Err(Ended::Failed(why)) => exporter.end_blocking(Err(error::map(why))),
                    }
                    Ok(())
                })
                .await;
            if let Err(why) = done {
                tracing::warn!(error = &why as &dyn std::error::Error, "not exported");
            }
        });
        Ok(export)
    }
}

enum Ended {
    Nobody,
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Ended {
    fn from(why: rusqlite::Error) -> Self {
        Self::Failed(why)
    }
}

fn everything(connection: &mut Connection, to: &mut Exporter) -> Result<(), Ended> {
    let snapshot = connection.transaction()?;
    let mut put = |record| to.put_blocking(record).map_err(|_| Ended::Nobody);
    put(Exporter::begin(read::epoch(&snapshot)?))?;

    let mut statement = snapshot.prepare(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts ORDER BY name_key"
    ))?;
    for account in statement.query_map((), account)? {
        put(Record::Account(account?))?;
    }
    let mut statement =
        snapshot.prepare("SELECT token, expires_at FROM revoked_tokens ORDER BY token")?;
    let revoked = statement.query_map((), |row| {
        let token = row::column(row, 0, |token: String| CredentialId::new(token))?;
        Ok(Record::Revoked { token, expires_at: Timestamp::from_millis(row.get(1)?) })
    })?;
    for revoked in revoked {
        put(revoked?)?;
    }

    let mut conversations = snapshot.prepare("SELECT id FROM conversations ORDER BY id")?;
    let mut markers = snapshot.prepare(
        "SELECT user, received, read FROM members
         WHERE conversation = ?1 AND (received > 0 OR read > 0) ORDER BY user",
    )?;
    let mut events = snapshot.prepare(concat!(
        "SELECT ",
        event_columns!(),
        " FROM events WHERE conversation = ?1 ORDER BY seq"
    ))?;
    for conversation in conversations.query_map((), |row| row::conversation(row, 0))? {
        let conversation: ConversationId = conversation?;
        let id = [conversation.as_bytes()];
        let markers = markers.query_map(id, |row| {
            let (user, marker) = (row::user(row, 0)?, row::marker(row, 1, 2)?);
            Ok(Record::Marker { conversation, user, marker })
        })?;
        for marker in markers {
            put(marker?)?;
        }
        for event in events.query_map(id, |row| row::event(conversation, row))? {
            put(Record::Event(event?))?;
        }
    }
    Ok(())
}
