//! The embedded store: one SQLite file, for one node.
//!
//! Knows how the contract is kept with threads, transactions and tables; each of these in a file
//! of its own.

#[cfg(feature = "accounts")]
mod accounts;
mod connect;
mod error;
#[cfg(feature = "accounts")]
mod export;
mod files;
mod read;
mod readers;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::Path,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

pub use self::error::SqliteError;
use self::{
    error::{OpenError, closed},
    read::For,
    readers::Readers,
    writer::{Commit, Writer},
};
use super::{
    Checkpoint, Events, FileChange, FileChanged, FileQuery, FileRecord, Heads, Migrated, Only,
    Page, Reader, Store, StoreError, Write, Written, checkpoint::random_epoch,
};
use crate::model::{
    BlobId, ConversationId, Epoch, Event, Link, LinkId, Listing, Member, Memberships, Receipts,
    Seq, Summary, Timestamp, Title, UserId,
};

/// What a commit survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Everything up to the loss of the disk: each commit waits for the disk (`synchronous=FULL`).
    #[default]
    EveryCommit,
    /// The death of the process, but not that of the machine: when the power fails, the last
    /// commits may be missing although they were acknowledged (`synchronous=NORMAL`). Faster
    /// where flushing is slow. Gives up the promise that an acknowledgement is for ever.
    UntilPowerFails,
}

/// How a [`SqliteStore`] is opened.
///
/// ```
/// use chat_sdk::store::SqliteOptions;
/// let options = SqliteOptions::default();
/// assert_eq!(options.readers.get(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// What a commit survives.
    pub durability: Durability,
    /// Threads that read, each with a connection. More than the machine has cores helps only when
    /// the disk is slow.
    pub readers: NonZeroUsize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            readers: NonZeroUsize::new(3).expect("three is not zero"),
        }
    }
}

/// A store in a SQLite file. Clones share it.
///
/// One thread writes and takes whatever waits into one transaction; a few threads read. No method
/// blocks the calling task. The threads end when the last clone is dropped, which waits for what
/// they are doing, or by [`close`](Self::close).
///
/// Beside the file lie `-wal` and `-shm` while it is open; they belong to it. To copy a database
/// that is open, use [`backup`](Self::backup). The file must be on a local disk: SQLite's locks do
/// not hold on most network file systems.
///
/// When too much waits, callers wait for room; when the file is locked by another process for more
/// than four seconds, or the disk is full, the answer is [`StoreError::Unavailable`].
///
/// # Restoring a backup
///
/// A file that was copied back looks like the one that was there before. **Whoever restores a
/// backup must call [`new_epoch`](Self::new_epoch) on it before nodes use it**, or devices that
/// are ahead of it go on from positions that now mean something else.
///
/// ```
/// use chat_sdk::store::{SqliteStore, Store};
/// # let path = std::env::temp_dir().join(format!("chat-doc-{}.db", std::process::id()));
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = SqliteStore::open(&path).await?;
/// let epoch = store.epoch().await?;
/// store.close().await;
/// assert_eq!(SqliteStore::open(&path).await?.epoch().await?, epoch);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    path: Option<Arc<Path>>,
    threads: Arc<Threads>,
}

struct Threads {
    /// `None` once closed.
    doors: Mutex<Option<Doors>>,
    /// Those that read, and then the one that writes: the last connection to close takes up the
    /// log of changes into the file, and only the writer may.
    running: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Doors {
    writer: Writer,
    /// A database in memory has one connection only, the writer's.
    readers: Option<Readers>,
}

/// Opening waits for the disk, and for longer where the schema changes.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, SqliteError> {
    let (reply, done) = oneshot::channel();
    std::thread::Builder::new()
        .name("chat-opener".to_owned())
        .spawn(move || {
            let _ = reply.send(work());
        })
        .map_err(OpenError::Thread)?;
    done.await.expect("the opener answers")
}

impl SqliteStore {
    /// Opens the file, makes it and its directory if need be (readable for its owner only), and
    /// brings it to the newest schema. Dropping the future lets that go on, and closes the file then.
    ///
    /// # Errors
    /// Says what is wrong and what to do: the file cannot be opened, is another program's, or was
    /// written by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Like [`open`](Self::open), with options.
    ///
    /// # Errors
    /// The same.
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: SqliteOptions,
    ) -> Result<Self, SqliteError> {
        let path = Arc::<Path>::from(path.as_ref());
        on_a_thread(move || Self::open_blocking(path, &options)).await
    }

    /// Brings the file to the newest schema, as [`open`](Self::open) does, closes it again, and says
    /// what there was to do. Dropping the future lets that go on.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn migrate(path: impl AsRef<Path>) -> Result<Migrated, SqliteError> {
        let path = Arc::<Path>::from(path.as_ref());
        on_a_thread(move || {
            let (connection, migrated) = connect::writer(&path, Durability::default())?;
            // Closing takes up the log of changes into the file; dropping would not say if it fails.
            connection.close().map_err(|(_, error)| error)?;
            Ok(migrated)
        })
        .await
    }

    fn open_blocking(path: Arc<Path>, options: &SqliteOptions) -> Result<Self, SqliteError> {
        let (writer, _) = connect::writer(&path, options.durability)?;
        let readers = (0..options.readers.get())
            .map(|_| connect::reader(&path))
            .collect::<Result<Vec<_>, _>>()?;
        Self::start(Some(path), writer, readers)
    }

    /// A database that ends with the last clone. Unlike [`MemoryStore`](super::MemoryStore) it goes
    /// through all of SQLite, and its work through one thread.
    ///
    /// # Errors
    /// SQLite or a thread cannot be started.
    pub fn in_memory() -> Result<Self, SqliteError> {
        Self::start(None, connect::in_memory()?, Vec::new())
    }

    /// The file, as it was given to [`open`](Self::open). `None`: it is in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn start(
        path: Option<Arc<Path>>,
        writer: Connection,
        readers: Vec<Connection>,
    ) -> Result<Self, SqliteError> {
        let (writer, writing) = Writer::start(writer).map_err(OpenError::Thread)?;
        let (readers, mut running) = if readers.is_empty() {
            (None, Vec::new())
        } else {
            let (readers, running) = Readers::start(readers).map_err(OpenError::Thread)?;
            (Some(readers), running)
        };
        running.push(writing);
        Ok(Self {
            path,
            threads: Arc::new(Threads {
                doors: Mutex::new(Some(Doors { writer, readers })),
                running: Mutex::new(running),
            }),
        })
    }

    /// Finishes what was begun, takes up the log of changes into the file, closes it, and returns
    /// when all threads have ended. From now on every method answers [`StoreError::Unavailable`].
    /// May be repeated. Dropping the future leaves the closing to go on by itself.
    pub async fn close(&self) {
        let threads = Arc::clone(&self.threads);
        threads.shut();
        let (done, ended) = oneshot::channel();
        // A thread, because threads can only be waited for by blocking; and not the runtime's,
        // because this may be any runtime.
        let waiting = std::thread::Builder::new().name("chat-closer".to_owned()).spawn(move || {
            threads.join();
            let _ = done.send(());
        });
        if waiting.is_ok() {
            let _ = ended.await;
        }
    }

    /// Begins a new life of the data: for the command that restores a backup, before any node uses
    /// it. Devices then load everything again instead of going on from positions of the life
    /// before.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn new_epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = random_epoch();
        let name = epoch.clone();
        self.write_with(move |commit| {
            commit.connection().execute("UPDATE life SET epoch = ?1", [name.as_str()]).map(|_| ())
        })
        .await?;
        Ok(epoch)
    }

    /// Copies everything, as of one moment, into a new file at `path` (readable for its owner
    /// only), while others go on reading and writing. One reader is busy until it is done.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file is there already or cannot be written.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), StoreError> {
        let path = path.as_ref().to_owned();
        self.look(move |connection| {
            let unavailable = |error| StoreError::Unavailable(Box::new(error));
            if std::fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
                return Err(unavailable(std::io::Error::from(std::io::ErrorKind::AlreadyExists)));
            }
            connect::create_private(&path).map_err(unavailable)?;
            let target = path.to_str().ok_or_else(|| {
                StoreError::Unavailable("the path of a backup must be UTF-8".into())
            })?;
            connection.execute("VACUUM INTO ?1", [target]).map_err(error::map)?;
            // SQLite does not flush what it copied, and a backup is for when the power fails.
            std::fs::File::open(&path).and_then(|file| file.sync_all()).map_err(unavailable)
        })
        .await
    }

    fn doors(&self) -> Result<Doors, StoreError> {
        self.threads
            .doors
            .lock()
            .expect("nothing panics while it holds this")
            .clone()
            .ok_or_else(closed)
    }

    async fn write_with<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Commit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Doors { writer, readers } = self.doors()?;
        drop(readers);
        writer.write(work).await
    }

    /// Runs a query on one snapshot.
    async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.look(move |connection| {
            // Short: an old snapshot keeps the log of changes from being taken up into the file.
            snapshot(connection, work).map_err(error::map)
        })
        .await
    }

    /// Runs something on a connection that reads.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |connection: &mut Connection| {
            // Nobody waits for it any more: overload is not answered with work for nobody.
            if reply.is_closed() {
                return;
            }
            let _ = reply.send(work(connection));
        });
        // The doors are let go before the answer comes, so that closing need not wait for callers.
        let doors = self.doors()?;
        match &doors.readers {
            Some(readers) => readers.ask(look).await?,
            None => doors.writer.look(look).await?,
        }
        drop(doors);
        answer.await.map_err(|_| closed())?
    }
}

/// Like a transaction of rusqlite's, with statements that are compiled once.
fn snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("BEGIN")?.execute(())?;
    let answer = work(connection);
    // Nothing was written, so there is nothing to lose, and to be rid of the snapshot is all.
    let ended = connection.prepare_cached("ROLLBACK")?.execute(());
    let answer = answer?;
    ended?;
    Ok(answer)
}

impl Threads {
    fn shut(&self) {
        self.doors.lock().expect("nothing panics while it holds this").take();
    }

    fn join(&self) {
        let mut running = self.running.lock().expect("joining does not panic");
        for thread in running.drain(..) {
            // A panic there was reported there.
            let _ = thread.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shut();
        self.join();
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl From<Reader<'_>> for For {
    fn from(reader: Reader<'_>) -> Self {
        match reader {
            Reader::User(user) => Self::User(user.clone()),
            Reader::System => Self::System,
        }
    }
}

impl Store for SqliteStore {
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.query(read::epoch).await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.write_with(move |commit| write::apply(commit, &batch)).await
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        let (user, since) = (user.clone(), since.cloned());
        self.query(move |connection| read::memberships(connection, &user, since.as_ref())).await
    }

    async fn moved(&self, users: &[UserId], since: &Checkpoint) -> Result<Vec<UserId>, StoreError> {
        let (users, since) = (users.to_vec(), since.clone());
        self.query(move |connection| read::moved(connection, users, &since)).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        let conversations = conversations.to_vec();
        self.query(move |connection| read::heads(connection, conversations)).await
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let reader = For::from(reader);
        self.query(move |connection| {
            read::read(connection, &reader, conversation, after, upto, limit)
        })
        .await
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<Events>, StoreError> {
        let reader = For::from(reader);
        self.query(move |connection| {
            read::page(connection, &reader, conversation, page, only, limit)
        })
        .await
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        let user = user.clone();
        self.query(move |connection| read::conversations(connection, &user, after, limit)).await
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        let user = user.clone();
        self.query(move |connection| read::conversation(connection, &user, conversation)).await
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        let (reader, after) = (For::from(reader), after.cloned());
        self.query(move |connection| {
            read::members(connection, &reader, conversation, after.as_ref(), limit)
        })
        .await
    }

    async fn receipts(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        place: Seq,
    ) -> Result<Option<Receipts>, StoreError> {
        let reader = For::from(reader);
        self.query(move |connection| read::receipts(connection, &reader, conversation, place)).await
    }

    async fn listing(&self, conversation: ConversationId) -> Result<Option<Listing>, StoreError> {
        self.query(move |connection| read::listing(connection, conversation)).await
    }

    async fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Listing>, StoreError> {
        self.query(move |connection| read::public(connection, after.as_ref(), limit)).await
    }

    async fn link(&self, link: &LinkId) -> Result<Option<(ConversationId, Link)>, StoreError> {
        let link = link.clone();
        self.query(move |connection| read::link(connection, &link)).await
    }

    async fn links(&self, conversation: ConversationId) -> Result<Vec<Link>, StoreError> {
        self.query(move |connection| read::links(connection, conversation)).await
    }

    async fn change_file(&self, change: FileChange) -> Result<FileChanged, StoreError> {
        self.write_with(move |commit| files::change(commit.connection(), &change)).await
    }

    async fn files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        self.query(move |connection| files::find(connection, &query)).await
    }

    async fn stray_blobs(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        let blobs = blobs.to_vec();
        self.query(move |connection| files::strays(connection, &blobs)).await
    }
}
