//! The store in PostgreSQL, for any number of nodes.
//!
//! Knows how the contract is kept with transactions, row locks and stamps; each of these in a file
//! of its own.

#[cfg(feature = "accounts")]
mod accounts;
mod error;
#[cfg(feature = "accounts")]
mod export;
mod files;
mod life;
mod pool;
mod read;
mod row;
mod schema;
mod session;
mod tls;
mod url;
mod write;

use std::{
    num::{NonZeroU16, NonZeroUsize},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::timeout;
use tokio_postgres::{Client, Row, Transaction};
use tokio_util::task::TaskTracker;

pub use self::error::PostgresError;
use self::{
    error::{OpenError, closed},
    life::{Flushed, Origin},
    pool::{Pool, Work},
    read::Query,
    session::{Connector, Patience, Session},
};
use super::{
    Checkpoint, Events, FileChange, FileChanged, FileQuery, FileRecord, Heads, Migrated, Only,
    Page, Reader, Store, StoreError, Write, Written,
};
use crate::{
    model::{
        BlobId, ConversationId, Epoch, Event, Link, LinkId, Listing, Member, Memberships, Receipts,
        Seq, Summary, Timestamp, Title, UserId,
    },
    tls::TlsRoots,
};

/// How a [`PostgresStore`] connects.
///
/// ```
/// use std::time::Duration;
/// use chat_sdk::store::PostgresOptions;
/// let options = PostgresOptions {
///     schema: "chat".to_owned(),
///     lock_timeout: Duration::from_secs(2),
///     ..PostgresOptions::default()
/// };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// The schema (in the sense of PostgreSQL) with our tables; made if it is not there. Their
    /// names all begin with `chat_`, so that they can lie in the host's. `public` by default.
    pub schema: String,
    /// Whether connecting makes the tables and brings them to the newest version. It does by default.
    /// Without it tables that are older than the program, or none, are refused
    /// ([`PostgresError::is_older`]): somebody else calls [`PostgresStore::migrate`], with a role that
    /// may, and the one that serves needs no right to change the schema. Newer tables are used if they
    /// say that they can be, either way.
    pub migrate: bool,
    /// Connections for writing the log; as many batches are committed at the same time. Four by
    /// default: more help only where the disk of the database takes many commits at once.
    pub write_connections: NonZeroU16,
    /// Connections for reading, and for accounts. Eight by default. What a node takes of the
    /// server's `max_connections` is the sum of both.
    pub read_connections: NonZeroU16,
    /// Who vouches for the server. Given, TLS is always used and the server's certificate checked
    /// against them; else the URL's `sslmode` and `sslrootcert` say it. Goes before `sslrootcert`.
    pub roots: Option<TlsRoots>,
    /// How long it may take to connect, with TLS and log-in. Two seconds by default.
    pub connect_timeout: Duration,
    /// How long a statement may take (`statement_timeout`). Four seconds by default; what takes
    /// more than four and a half together is given up anyway.
    pub statement_timeout: Duration,
    /// How long a statement may wait for somebody else's lock (`lock_timeout`). Three seconds by
    /// default.
    pub lock_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "public".to_owned(),
            migrate: true,
            write_connections: const { NonZeroU16::new(4).expect("four is not zero") },
            read_connections: const { NonZeroU16::new(8).expect("eight is not zero") },
            roots: None,
            connect_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(4),
            lock_timeout: Duration::from_secs(3),
        }
    }
}

/// A store in PostgreSQL 14 or newer. Clones share its connections; any number of nodes share the
/// database.
///
/// # The URL
///
/// `postgres://user:password@host:5432/database?sslmode=require`. Its `sslmode` says how the
/// connection is secured: `disable`; `prefer` (the default: TLS if the server has it, and no look
/// at the certificate, which only helps against those who listen); `require`, `verify-ca` and
/// `verify-full`, which are the same here: TLS, with a certificate for this host of an authority
/// that the machine trusts, or of those in the file `sslrootcert` or in
/// [`PostgresOptions::roots`]. With authorities of one's own, `prefer` means `require`. Several
/// hosts may be named; the one that can be written is taken. A pooler between must keep a
/// connection for one client (session mode), because statements are prepared.
///
/// # What it promises, and what the server must
///
/// A commit is acknowledged when the server says that it is on its disk: `synchronous_commit` is
/// switched on where the database has it off; other settings of it stay. **Where a standby takes
/// over that did not have the last commits, acknowledged messages are lost**; set
/// `synchronous_standby_names` if they must not be.
///
/// Everything is answered within five seconds. What may pass (a server that starts or is away, a
/// lock, a full disk, no connection that is free) is [`StoreError::Unavailable`]; the store goes
/// on by itself when the server does.
///
/// The library below writes the parameters of statements, texts of messages among them, to the
/// crate `log` at the level *debug*, as the target `tokio_postgres`: leave that off where logs are
/// kept.
///
/// # Restoring a backup
///
/// The store notices by itself, when it connects and whenever its [`epoch`](Store::epoch) is asked
/// for, that the data lives in another cluster, in another database (a copy), or on another
/// timeline (a restore in place, a standby that took over), and begins a new epoch: devices load
/// everything again. A role that may not call `pg_control_system()` or `pg_walfile_name()` does
/// not see as much. **Who loads a dump into the database that it was made of must call
/// [`new_epoch`](Self::new_epoch)** before nodes use it.
///
/// # Rights
///
/// The role needs to read, insert, update and delete in our tables, and, for a new version of
/// them, to create and own them. It is enough if a role with these rights connects once, or calls
/// [`migrate`](Self::migrate), and grants the others what they need.
///
/// ```no_run
/// use chat_sdk::store::{PostgresStore, Store};
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://chat:secret@db.example.org/chat").await?;
/// println!("{}", store.epoch().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    schema: String,
    connector: Arc<Connector>,
    origin: Origin,
    flushed: Flushed,
    lanes: NonZeroUsize,
    /// What runs at the moment.
    calls: TaskTracker,
    /// `None` once closed.
    doors: Mutex<Option<Doors>>,
}

#[derive(Clone)]
struct Doors {
    writes: Pool,
    reads: Pool,
}

impl PostgresStore {
    /// Connects, makes the tables or brings them to the newest version, and begins a new epoch if
    /// the data came here from elsewhere. Several nodes may do so at once. Dropping the future may
    /// or may not prevent it; none of it is done by half.
    ///
    /// # Errors
    /// Says what is wrong and what to do: the URL cannot be read, the server cannot be reached
    /// (this is tried once), the tables were made by a newer version, or may not be made by this
    /// role.
    pub async fn connect(url: &str) -> Result<Self, PostgresError> {
        Self::connect_with(url, PostgresOptions::default()).await
    }

    /// Like [`connect`](Self::connect), with options.
    ///
    /// # Errors
    /// The same.
    pub async fn connect_with(url: &str, options: PostgresOptions) -> Result<Self, PostgresError> {
        Ok(Self::open(url, options).await?)
    }

    /// Makes the tables or brings them to the newest version, and does nothing else: for a step of
    /// its own before the programs that serve are replaced, with a role of its own. Says what there
    /// was to do. Several may do so at once, and nodes may be running: those of a version that the
    /// new tables exclude get errors from then on. What [`PostgresOptions::migrate`] says does not
    /// matter. Dropping the future may or may not prevent it; none of it is done by half.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub async fn migrate(url: &str, options: PostgresOptions) -> Result<Migrated, PostgresError> {
        let connector = connector(url, &options).await?;
        let migrated = timeout(schema::OPENING_MAX, async {
            let mut session = connector.connect().await?;
            let (client, schema) = session.client_and_schema();
            suits(client).await?;
            let origin = Origin::find_out(client).await?;
            schema::migrate(client, schema, &origin).await
        });
        let migrated = migrated.await.unwrap_or(Err(OpenError::Slow));
        connector.connections().close();
        connector.connections().wait().await;
        Ok(migrated?)
    }

    async fn open(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let connector = Arc::new(connector(url, &options).await?);
        let (origin, flushed) = timeout(schema::OPENING_MAX, prepare(&connector, options.migrate))
            .await
            .unwrap_or(Err(OpenError::Slow))?;

        let pool =
            |name, size: NonZeroU16| Pool::new(name, Arc::clone(&connector), size.get().into());
        let doors = Doors {
            writes: pool("writes", options.write_connections),
            reads: pool("reads", options.read_connections),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                schema: options.schema,
                connector,
                origin,
                flushed,
                lanes: options.write_connections.into(),
                calls: TaskTracker::new(),
                doors: Mutex::new(Some(doors)),
            }),
        })
    }

    /// The schema with our tables, as it was given in [`PostgresOptions::schema`].
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.shared.schema
    }

    /// Begins a new life of the data: for the command that restores a backup in place, before any
    /// node uses it. Devices then load everything again instead of going on from positions of the
    /// life before. Waits for what is being written.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn new_epoch(&self) -> Result<Epoch, StoreError> {
        self.find_epoch(true).await
    }

    async fn find_epoch(&self, anew: bool) -> Result<Epoch, StoreError> {
        let origin = self.shared.origin.clone();
        self.run_on_reads(move |session| {
            let origin = origin.clone();
            Box::pin(async move { origin.epoch(session, anew).await })
        })
        .await
    }

    /// Writes a batch in a transaction of the host's, so that a message and what it is about (an
    /// order, a booking) are committed together or not at all. The answers hold if and when the
    /// host commits; numbers of a transaction that is rolled back are given again.
    ///
    /// The transaction must be one of this database. Its conversations stay locked until it ends,
    /// and nobody else writes to them meanwhile: **call it last, once, with everything**, and
    /// commit at once. (Two calls in one transaction lock in the order of the calls, and two hosts
    /// that do so in different orders wait for each other until PostgreSQL ends one of them.) It
    /// should not commit with `synchronous_commit = off`, or what was acknowledged may be gone
    /// after a crash. After an error the transaction can only be rolled back.
    ///
    /// Nodes hear nothing of it: they find the new events when they next compare heads, within
    /// seconds.
    ///
    /// # Errors
    /// Those of [`Store::write`]. Waits as long as the connection's own `lock_timeout` allows.
    pub async fn write_in(
        &self,
        transaction: &Transaction<'_>,
        batch: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        write::within(transaction, self.shared.connector.schema(), batch).await
    }

    /// Finishes what was begun and closes all connections. From now on every method answers
    /// [`StoreError::Unavailable`]. May be repeated; takes a few seconds at most. Dropping the
    /// future leaves what was begun to finish by itself.
    pub async fn close(&self) {
        drop(self.shared.lock().take());
        self.shared.calls.close();
        self.shared.calls.wait().await;
        let connections = self.shared.connector.connections();
        connections.close();
        connections.wait().await;
    }

    fn doors(&self) -> Result<Doors, StoreError> {
        self.shared.lock().clone().ok_or_else(closed)
    }

    async fn run_on_reads<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, StoreError> {
        self.doors()?.reads.run(&self.shared.calls, work).await
    }

    /// What a query answers.
    async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let query = Arc::new(query);
        self.run_on_reads(move |session| {
            let query = Arc::clone(&query);
            Box::pin(async move { Ok(ask(session, &query).await?) })
        })
        .await
    }

    /// What a statement answers that changes something: not repeated where it may have happened.
    #[cfg(feature = "accounts")]
    async fn change(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let query = Arc::new(query);
        self.run_on_reads(move |session| {
            let query = Arc::clone(&query);
            Box::pin(async move {
                ask(session, &query).await.map_err(|error| error::Failure::from(error).final_())
            })
        })
        .await
    }
}

/// What makes connections; makes none yet.
async fn connector(url: &str, options: &PostgresOptions) -> Result<Connector, OpenError> {
    let schema = quoted(&options.schema)?;
    let patience = Patience {
        connect: options.connect_timeout,
        statement: options.statement_timeout,
        lock: options.lock_timeout,
    };
    let (url, roots) = (url.to_owned(), options.roots.clone());
    // Files may be read: that of the authorities, or all that the machine trusts.
    let connector = tokio::task::spawn_blocking(move || {
        let (config, trust) = url::parse(&url, roots.as_ref())?;
        Connector::new(config, &trust, schema, patience).map_err(OpenError::Roots)
    });
    connector.await.expect("reading a URL does not panic")
}

/// Refuses a database that no version of our tables could be kept in.
async fn suits(client: &Client) -> Result<(), OpenError> {
    let row = client
        .query_one("SELECT current_setting('server_encoding'), pg_is_in_recovery()", &[])
        .await?;
    let encoding: String = row.try_get(0)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    if row.try_get(1)? {
        return Err(OpenError::Standby);
    }
    Ok(())
}

/// Makes what has to be there: tables (`migrate`: they may be made and changed), and the right epoch.
/// Says where the data is, and up to where its stamps are on the disk.
async fn prepare(connector: &Connector, migrate: bool) -> Result<(Origin, Flushed), OpenError> {
    let mut session = connector.connect().await?;
    let (client, schema) = session.client_and_schema();
    suits(client).await?;
    let origin = Origin::find_out(client).await?;
    if migrate {
        schema::migrate(client, schema, &origin).await?;
    } else {
        schema::require(client, schema).await?;
    }
    let started = life::start(client, schema).await;
    let started = started.map_err(|failure| OpenError::Store(failure.error))?;
    let flushed = Flushed::default();
    flushed.saw(started);
    origin.epoch(&mut session, false).await.map_err(|failure| OpenError::Store(failure.error))?;
    Ok((origin, flushed))
}

async fn ask(session: &mut Session, query: &Query) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = session.statement(query.sql).await?;
    let params: Vec<_> = query.params.iter().map(|param| &**param as _).collect();
    session.client().query(&statement, &params).await
}

/// The schema's name as SQL writes it.
fn quoted(schema: &str) -> Result<Arc<str>, OpenError> {
    // 63 bytes are what PostgreSQL keeps of a name.
    let fine = (1..=63).contains(&schema.len())
        && !schema.starts_with("pg_")
        && !schema.contains(char::is_control);
    if fine {
        Ok(format!("\"{}\"", schema.replace('"', "\"\"")).into())
    } else {
        Err(OpenError::SchemaName)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Doors>> {
        self.doors.lock().expect("nothing panics while it holds this")
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.shared.schema).finish_non_exhaustive()
    }
}

impl Store for PostgresStore {
    fn lanes(&self) -> NonZeroUsize {
        self.shared.lanes
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.find_epoch(false).await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let flushed = self.shared.flushed.clone();
        let writes = self.doors()?.writes;
        writes
            .run(&self.shared.calls, move |session| {
                let (batch, flushed) = (batch.clone(), flushed.clone());
                Box::pin(async move { write::commit(session, batch, &flushed).await })
            })
            .await
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        let rows = self.rows(read::memberships(user, since)).await?;
        read::memberships_of(&rows, since, &self.shared.flushed)
    }

    async fn moved(&self, users: &[UserId], since: &Checkpoint) -> Result<Vec<UserId>, StoreError> {
        let rows = self.rows(read::moved(users, since)).await?;
        read::moved_of(&rows, users, since)
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        let rows = self.rows(read::heads(conversations)).await?;
        read::heads_of(&rows, &self.shared.flushed)
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let rows = self.rows(read::read(reader, conversation, after, upto, limit)).await?;
        read::read_of(&rows, conversation)
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<Events>, StoreError> {
        let rows = self.rows(read::page(reader, conversation, page, only, limit)).await?;
        read::page_of(&rows, conversation, page, only, limit)
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        let rows = self.rows(read::conversations(user, after, limit)).await?;
        rows.iter().map(|row| read::summary_of(row, user)).collect()
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        let rows = self.rows(read::conversation(user, conversation)).await?;
        rows.first().map(|row| read::summary_of(row, user)).transpose()
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        let rows = self.rows(read::members(reader, conversation, after, limit)).await?;
        read::members_of(&rows)
    }

    async fn receipts(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        place: Seq,
    ) -> Result<Option<Receipts>, StoreError> {
        let rows = self.rows(read::receipts(reader, conversation, place)).await?;
        read::receipts_of(&rows)
    }

    async fn listing(&self, conversation: ConversationId) -> Result<Option<Listing>, StoreError> {
        let rows = self.rows(read::listing(conversation)).await?;
        rows.first().map(row::listing).transpose()
    }

    async fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Listing>, StoreError> {
        let rows = self.rows(read::public(after, limit)).await?;
        rows.iter().map(row::listing).collect()
    }

    async fn link(&self, link: &LinkId) -> Result<Option<(ConversationId, Link)>, StoreError> {
        let rows = self.rows(read::link(link)).await?;
        let found = |row| Ok((row::conversation(row, 6)?, row::link(row, 0)?));
        rows.first().map(found).transpose()
    }

    async fn links(&self, conversation: ConversationId) -> Result<Vec<Link>, StoreError> {
        let rows = self.rows(read::links(conversation)).await?;
        rows.iter().map(|row| row::link(row, 0)).collect()
    }

    async fn change_file(&self, change: FileChange) -> Result<FileChanged, StoreError> {
        self.change_one_file(change).await
    }

    async fn files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        self.find_files(query).await
    }

    async fn stray_blobs(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        self.find_strays(blobs).await
    }
}
