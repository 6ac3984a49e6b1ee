//! Connections that are kept, and what is run on them: within a deadline, and to its end even if
//! the caller goes away.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bb8::{ErrorSink, ManageConnection, PooledConnection, QueueStrategy};
use futures_util::future::BoxFuture;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    error::{Failure, closed},
    session::{ConnectError, Connector, Session},
};
use crate::store::{BoxError, StoreError};

/// Everything is answered within this time: a little less than a node waits for its store, so that
/// the reason arrives. Statements end before that by PostgreSQL's own limits; this one is for a
/// server that stands still.
const DEADLINE: Duration = Duration::from_millis(4_500);

/// How long a caller waits for a connection that is free.
const FREE_WITHIN: Duration = Duration::from_secs(2);

/// A connection is replaced after this time, whatever it does: what the server keeps for it grows,
/// and the name of the server may mean another machine by now. They grow old at different times,
/// because they are made when they are needed.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A connection that nobody needed for so long is closed, but for one.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// What runs on a connection. May be called a second time, on another connection, if the first one
/// was dead.
pub(super) trait Work<T>:
    for<'a> FnMut(&'a mut Session) -> BoxFuture<'a, Result<T, Failure>> + Send + 'static
{
}

impl<T, F> Work<T> for F where
    F: for<'a> FnMut(&'a mut Session) -> BoxFuture<'a, Result<T, Failure>> + Send + 'static
{
}

/// So many connections at most, made when they are needed. Clones share them.
#[derive(Clone)]
pub(super) struct Pool {
    name: &'static str,
    connections: bb8::Pool<Manager>,
    waiting: Arc<AtomicUsize>,
    last_error: Arc<LastError>,
}

impl Pool {
    pub(super) fn new(name: &'static str, connector: Arc<Connector>, size: u32) -> Self {
        let last_error = Arc::new(LastError::default());
        let connections = bb8::Pool::builder()
            .max_size(size)
            .min_idle(1)
            .connection_timeout(FREE_WITHIN)
            .max_lifetime(LIFETIME)
            .idle_timeout(IDLE_MAX)
            // The one that was used last has everything prepared, and the others may grow old.
            .queue_strategy(QueueStrategy::Lifo)
            // Costs no round trip: see `is_valid`.
            .test_on_check_out(true)
            .error_sink(Box::new(Sink { pool: name, last_error: Arc::clone(&last_error) }))
            .build_unchecked(Manager(connector));
        Self { name, connections, waiting: Arc::default(), last_error }
    }

    /// Runs the work in a task of its own, so that a caller who goes away cannot leave a
    /// transaction open. Whoever goes away before it began prevents it.
    pub(super) async fn run<T: Send + 'static>(
        self,
        calls: &TaskTracker,
        work: impl Work<T>,
    ) -> Result<T, StoreError> {
        let (mut reply, answer) = oneshot::channel();
        calls.spawn(async move {
            let outcome = timeout(DEADLINE, self.attempt(work, &mut reply)).await;
            let outcome = outcome
                .unwrap_or_else(|_| Err(StoreError::Unavailable(Box::new(ConnectError::Slow))));
            // Who does not wait any more does not want to know.
            let _ = reply.send(outcome);
            self.measure();
        });
        // It panicked, which was reported there, or the runtime ends: what became of it is unknown.
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the work was ended".into())))
    }

    async fn attempt<T>(
        &self,
        mut work: impl Work<T>,
        reply: &mut oneshot::Sender<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut once_more = true;
        loop {
            let mut session = self.session().await?;
            if reply.is_closed() {
                return Err(closed());
            }
            session.set_busy(true);
            match work(&mut session).await {
                Ok(answer) => {
                    session.set_busy(false);
                    return Ok(answer);
                }
                Err(failure) if failure.again && once_more => once_more = false,
                Err(failure) => {
                    session.set_busy(!failure.fit);
                    return Err(failure.error);
                }
            }
        }
    }

    async fn session(&self) -> Result<PooledConnection<'_, Manager>, StoreError> {
        let waiting = Waiting::begin(&self.waiting);
        let session = self.connections.get().await;
        drop(waiting);
        self.measure();
        match session {
            Ok(session) => {
                self.last_error.is_over();
                Ok(session)
            }
            Err(_) => Err(StoreError::Unavailable(self.last_error.explain())),
        }
    }

    fn measure(&self) {
        let state = self.connections.state();
        let gauge = |what, count: usize| {
            metrics::gauge!("chat_postgres_pool_size", "pool" => self.name, "state" => what)
                .set(count as f64);
        };
        gauge("open", state.connections as usize);
        gauge("idle", state.idle_connections as usize);
        let waiting = self.waiting.load(Ordering::Relaxed);
        metrics::gauge!("chat_postgres_waiting", "pool" => self.name).set(waiting as f64);
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the pool asks about connections.
pub(super) struct Manager(Arc<Connector>);

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = ConnectError;

    async fn connect(&self) -> Result<Session, ConnectError> {
        self.0.connect().await
    }

    /// Only looks: the task of the connection notices its end by itself. One that dies after this
    /// look is found when it is used, and the work is done on another.
    async fn is_valid(&self, session: &mut Session) -> Result<(), ConnectError> {
        if session.is_dead() { Err(ConnectError::Dead) } else { Ok(()) }
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        !session.is_fit()
    }
}

/// Why there was no connection, for those who waited for one in vain.
#[derive(Default)]
struct LastError {
    why: Mutex<Option<String>>,
    /// Whether this outage was logged.
    told: AtomicBool,
}

impl LastError {
    fn explain(&self) -> BoxError {
        let why = self.why.lock().expect("nothing panics while it holds this").take();
        match why {
            Some(why) => format!("no connection in time; the last failure: {why}").into(),
            None => "no connection was free in time".into(),
        }
    }

    /// There are connections again: the next failure is news.
    fn is_over(&self) {
        if self.told.load(Ordering::Relaxed) {
            self.told.store(false, Ordering::Relaxed);
            *self.why.lock().expect("nothing panics while it holds this") = None;
        }
    }
}

/// Hears of connections that could not be made, which the pool would keep for itself.
#[derive(Clone)]
struct Sink {
    pool: &'static str,
    last_error: Arc<LastError>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl ErrorSink<ConnectError> for Sink {
    fn sink(&self, error: ConnectError) {
        metrics::counter!("chat_postgres_connect_errors_total", "pool" => self.pool).increment(1);
        // An outage makes many of these.
        if self.last_error.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(pool = self.pool, %error, "a connection to PostgreSQL failed");
        } else {
            tracing::warn!(pool = self.pool, %error, "a connection to PostgreSQL failed");
        }
        let mut why = self.last_error.why.lock().expect("nothing panics while it holds this");
        *why = Some(error.to_string());
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<ConnectError>> {
        Box::new(self.clone())
    }
}
