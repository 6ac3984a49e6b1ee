//! The one thread that writes.
//!
//! SQLite has one writer at a time, and a flush to disk costs far more than a write. So whatever
//! waits when the last transaction ends goes into the next one together.

use std::{
    io,
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    error::{again, closed},
    row,
};
use crate::{
    sabotage::{self, Defect},
    store::StoreError,
};

/// Jobs that wait for the writer; then callers wait for room. The SDK puts many sends into one.
const QUEUE_MAX: usize = 256;

/// Jobs in one transaction: enough to share a flush among all who wait, and few enough that the
/// first does not wait long for the last.
const GROUP_MAX: usize = 64;

/// One transaction in the making.
pub(super) struct Commit<'a> {
    transaction: Transaction<'a>,
    /// The number of this commit, once somebody asked for it.
    stamp: Option<u64>,
}

impl Commit<'_> {
    fn begin(connection: &mut Connection) -> rusqlite::Result<Commit<'_>> {
        // Immediate: a transaction that reads first and then wants to write could find itself
        // outrun by another process, and no busy timeout helps with that.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Commit { transaction, stamp: None })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.transaction
    }

    /// The number of this commit. Asking for it says that something changes.
    pub(super) fn stamp(&mut self) -> rusqlite::Result<u64> {
        if let Some(stamp) = self.stamp {
            return Ok(stamp);
        }
        let stamp = self
            .transaction
            .prepare_cached("UPDATE life SET stamp = stamp + 1 RETURNING stamp")?
            .query_row((), |row| row::number(row, 0))?;
        self.stamp = Some(stamp);
        Ok(stamp)
    }

    fn end(self) -> rusqlite::Result<()> {
        self.transaction.commit()
    }
}

/// Something to write.
trait Job: Send {
    /// Does it within a transaction; again, if that one is rolled back.
    fn run(&mut self, commit: &mut Commit<'_>) -> rusqlite::Result<()>;

    /// Tells the caller what became of it.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);

    /// Whether nobody waits for it any more.
    fn abandoned(&self) -> bool;
}

struct Task<F, T> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Task<F, T>
where
    F: FnMut(&mut Commit<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, commit: &mut Commit<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.work)(commit)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // Who does not wait any more does not want to know.
        let _ = reply.send(outcome.map(|()| result.expect("what was committed was run")));
    }

    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Something to do with a connection that is no write.
pub(super) type Look = Box<dyn FnOnce(&mut Connection) + Send>;

enum Order {
    Write(Box<dyn Job>),
    /// Not a write, but of this connection: the reads of a store in memory, and upkeep.
    Look(Look),
}

/// The way to the writer's thread.
#[derive(Clone)]
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
}

impl Writer {
    /// Starts the thread. It ends when all clones are gone and the queue is empty.
    pub(super) fn start(connection: Connection) -> io::Result<(Self, JoinHandle<()>)> {
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("chat-writer".to_owned())
            .spawn(move || serve(connection, queue))?;
        Ok((Self { orders }, thread))
    }

    /// Runs `work` in a transaction, perhaps together with others, perhaps more than once (after a
    /// rollback), and answers after the commit. A caller that goes away before it began prevents it.
    pub(super) async fn write<T: Send + 'static>(
        self,
        work: impl FnMut(&mut Commit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Task { work, result: None, reply };
        self.orders.send(Order::Write(Box::new(task))).await.map_err(|_| closed())?;
        // Who waits for an answer does not keep the thread from ending after it.
        drop(self);
        answer.await.map_err(|_| closed())?
    }

    /// Runs `look` on the writer's connection, between transactions.
    pub(super) async fn look(&self, look: Look) -> Result<(), StoreError> {
        self.orders.send(Order::Look(look)).await.map_err(|_| closed())
    }
}

fn serve(mut connection: Connection, mut queue: mpsc::Receiver<Order>) {
    let mut next = queue.blocking_recv();
    while let Some(order) = next.take() {
        match order {
            Order::Look(look) => look(&mut connection),
            Order::Write(job) => {
                let mut group = vec![job];
                while group.len() < GROUP_MAX {
                    match queue.try_recv() {
                        Ok(Order::Write(job)) => group.push(job),
                        Ok(look @ Order::Look(_)) => {
                            next = Some(look);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                group.retain(|job| !job.abandoned());
                commit(&mut connection, group);
            }
        }
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
    // Nothing to be done about errors here, and nothing lost: the log of changes stays beside the
    // file and is read at the next start.
    let _ = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Commits a group together; if one of it fails, each by itself, so that it fails alone.
fn commit(connection: &mut Connection, mut group: Vec<Box<dyn Job>>) {
    if sabotage::on(Defect::AnswerBeforeCommit) {
        return answer_before_commit(connection, group);
    }
    match attempt(connection, &mut group) {
        Ok(()) => group.into_iter().for_each(|job| job.finish(Ok(()))),
        Err(Failed::Run(error)) if group.len() == 1 => {
            group.into_iter().for_each(|job| job.finish(Err(again(&error))));
        }
        Err(Failed::Run(_)) => {
            for job in group {
                commit(connection, vec![job]);
            }
        }
        // Nobody could begin, or the commit itself failed: it is the same for all.
        Err(Failed::Shared(error)) => {
            group.into_iter().for_each(|job| job.finish(Err(again(&error))));
        }
    }
}

enum Failed {
    /// One of the jobs.
    Run(rusqlite::Error),
    /// The transaction.
    Shared(rusqlite::Error),
}

fn attempt(connection: &mut Connection, group: &mut [Box<dyn Job>]) -> Result<(), Failed> {
    if group.is_empty() {
        return Ok(());
    }
    let mut commit = Commit::begin(connection).map_err(Failed::Shared)?;
    for job in group {
        // Dropping the commit rolls back.
        job.run(&mut commit).map_err(Failed::Run)?;
    }
    commit.end().map_err(Failed::Shared)
}

/// The defect: whoever waits is answered while the commit is still to come.
fn answer_before_commit(connection: &mut Connection, group: Vec<Box<dyn Job>>) {
    let mut commit = Commit::begin(connection).expect("only tests get here");
    for mut job in group {
        let outcome = job.run(&mut commit).map_err(|error| again(&error));
        job.finish(outcome);
    }
    thread::sleep(std::time::Duration::from_millis(10));
    commit.end().expect("only tests get here");
}
