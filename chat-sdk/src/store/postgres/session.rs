//! One connection: how it is made, what it is told first, and the statements it has prepared.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio::{sync::oneshot, time::timeout};
use tokio_postgres::{Client, Config, Error, Statement};
use tokio_util::task::TaskTracker;

use super::{
    error::OpenError,
    tls::{Tls, Trust},
};
use crate::tls::TlsError;

/// How long a connection that nobody needs any more may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Makes connections.
pub(super) struct Connector {
    config: Config,
    tls: Tls,
    schema: Arc<str>,
    settings: String,
    connect_timeout: Duration,
    /// The tasks that read and write the sockets.
    connections: TaskTracker,
}

/// How long the server may take for things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) statement: Duration,
    pub(super) lock: Duration,
}

/// A connection could not be made.
#[derive(Debug)]
pub(super) enum ConnectError {
    Postgres(Error),
    Slow,
    /// It was one, and was found dead when it was to be used.
    Dead,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // With its cause, which is where the reason stands.
            Self::Postgres(error) => {
                error.fmt(f)?;
                match std::error::Error::source(error) {
                    Some(cause) => write!(f, ": {cause}"),
                    None => Ok(()),
                }
            }
            Self::Slow => f.write_str("PostgreSQL did not answer in time"),
            Self::Dead => f.write_str("the connection was lost"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<ConnectError> for OpenError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Postgres(error) => Self::Postgres(error),
            ConnectError::Slow | ConnectError::Dead => Self::Slow,
        }
    }
}

impl Connector {
    /// `schema` is quoted already.
    pub(super) fn new(
        config: Config,
        trust: &Trust,
        schema: Arc<str>,
        patience: Patience,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            config,
            tls: Tls::new(trust)?,
            schema,
            settings: settings(patience),
            connect_timeout: patience.connect,
            connections: TaskTracker::new(),
        })
    }

    /// The schema of our tables, quoted.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The tasks of all connections; closing them is for the one who closes the store.
    pub(super) const fn connections(&self) -> &TaskTracker {
        &self.connections
    }

    /// Makes one. The time is limited as a whole: the library limits only the time until TCP is
    /// connected, and a server that stands still takes connections and says nothing.
    pub(super) async fn connect(&self) -> Result<Session, ConnectError> {
        timeout(self.connect_timeout, self.connect_patiently())
            .await
            .unwrap_or(Err(ConnectError::Slow))
    }

    async fn connect_patiently(&self) -> Result<Session, ConnectError> {
        let (client, connection) =
            self.config.connect(self.tls.clone()).await.map_err(ConnectError::Postgres)?;
        let (leash, released) = oneshot::channel::<()>();
        self.connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                // It ends by itself when the client is gone, unless the server stands still.
                _ = released => timeout(GOODBYE_MAX, connection).await.unwrap_or(Ok(())),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        let session = Session {
            client,
            schema: Arc::clone(&self.schema),
            statements: HashMap::new(),
            busy: AtomicBool::new(false),
            _leash: leash,
        };
        session.client.batch_execute(&self.settings).await.map_err(ConnectError::Postgres)?;
        Ok(session)
    }
}

/// What every connection is told. In one message and not as start-up options, because those may be
/// in the URL already, and not every pooler between takes them.
fn settings(patience: Patience) -> String {
    format!(
        "SET statement_timeout = {statement};
         SET lock_timeout = {lock};
         -- A node that stands still in a transaction would keep everybody from its conversations.
         SET idle_in_transaction_session_timeout = 10000;
         -- Whatever the database's default is: our statements are made for this one.
         SET default_transaction_isolation = 'read committed';
         SET client_min_messages = 'warning';
         -- Every statement here looks up few rows by an index. The planner shall not think
         -- otherwise on the day that the tables are new and their statistics old, and compiling
         -- them takes longer than running them.
         SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         -- An acknowledgement means that it is on the disk. Stronger settings of the host's
         -- (standbys) and the one for the local disk alone stay.
         SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off'",
        statement = patience.statement.as_millis(),
        lock = patience.lock.as_millis(),
    )
}

/// A connection. Used by one task at a time.
pub(super) struct Session {
    client: Client,
    schema: Arc<str>,
    statements: HashMap<&'static str, Statement>,
    /// Whether somebody is in the middle of something. Who goes away then leaves it unfit for the
    /// next one: in a transaction, or with answers to come.
    busy: AtomicBool,
    /// Its end is the end of the task that reads and writes the socket.
    _leash: oneshot::Sender<()>,
}

impl Session {
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// A client that may begin transactions of the library's, and the quoted schema.
    pub(super) fn client_and_schema(&mut self) -> (&mut Client, &str) {
        (&mut self.client, &self.schema)
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    pub(super) fn is_fit(&self) -> bool {
        !self.busy.load(Ordering::Relaxed) && !self.is_dead()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.client.is_closed()
    }

    /// The statement with this text, which is prepared when it is first asked for.
    pub(super) async fn statement(&mut self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&in_schema(sql, &self.schema)).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Several, with one wait for all that are not prepared yet.
    pub(super) async fn statements<const N: usize>(
        &mut self,
        texts: [&'static str; N],
    ) -> Result<[Statement; N], Error> {
        if texts.iter().any(|sql| !self.statements.contains_key(sql)) {
            let prepared = prepare(&self.client, &self.schema, texts).await?;
            self.statements.extend(texts.into_iter().zip(prepared));
        }
        Ok(texts.map(|sql| self.statements[sql].clone()))
    }
}

/// Prepares statements on any connection, with one wait.
pub(super) async fn prepare<const N: usize>(
    client: &Client,
    schema: &str,
    texts: [&'static str; N],
) -> Result<[Statement; N], Error> {
    let texts = texts.map(|sql| in_schema(sql, schema));
    let prepared = try_join_all(texts.iter().map(|sql| client.prepare(sql))).await?;
    Ok(prepared.try_into().unwrap_or_else(|_| unreachable!("each text is one statement")))
}

/// Our statements name the schema of every table, so that they mean the same on any connection,
/// the host's own included.
pub(super) fn in_schema(sql: &str, schema: &str) -> String {
    sql.replace("{schema}", schema)
}
