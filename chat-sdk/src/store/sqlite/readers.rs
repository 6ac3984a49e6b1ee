//! A few threads that read, each with a connection that cannot write.
//!
//! With a write-ahead log readers wait for nobody and nobody waits for them.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{error::closed, writer::Look};
use crate::store::StoreError;

/// Queries that wait for a reader; then callers wait for room.
const QUEUE_MAX: usize = 256;

/// The way to the readers.
#[derive(Clone)]
pub(super) struct Readers {
    door: Arc<Door>,
}

/// Ends the readers when all who could ask are gone.
struct Door(Arc<Shared>);

struct Shared {
    /// As many as there is room for queries.
    room: Semaphore,
    queue: Mutex<Queue>,
    some: Condvar,
}

#[derive(Default)]
struct Queue {
    queries: VecDeque<Look>,
    /// Readers that sleep. Whoever is awake looks by itself, and a wake-up costs more than most
    /// queries.
    idle: usize,
    closed: bool,
}

impl Readers {
    /// Starts a thread for each connection. They end when all clones are gone and the queue is
    /// empty.
    pub(super) fn start(connections: Vec<Connection>) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let shared = Arc::new(Shared {
            room: Semaphore::new(QUEUE_MAX),
            queue: Mutex::default(),
            some: Condvar::new(),
        });
        let door = Arc::new(Door(shared.clone()));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let shared = shared.clone();
                thread::Builder::new()
                    .name("chat-reader".to_owned())
                    .spawn(move || serve(connection, &shared))
            })
            .collect::<io::Result<_>>()?;
        Ok((Self { door }, threads))
    }

    pub(super) async fn ask(&self, query: Look) -> Result<(), StoreError> {
        let shared = &self.door.0;
        shared.room.acquire().await.map_err(|_| closed())?.forget();
        let mut queue = shared.queue();
        queue.queries.push_back(query);
        let sleeping = queue.idle > 0;
        drop(queue);
        if sleeping {
            shared.some.notify_one();
        }
        Ok(())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.some.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code that holds the lock can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next query, once there is one. `None`: there will be none.
    fn next(&self) -> Option<Look> {
        let mut queue = self.queue();
        loop {
            if let Some(query) = queue.queries.pop_front() {
                self.room.add_permits(1);
                return Some(query);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.some.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

fn serve(mut connection: Connection, shared: &Shared) {
    while let Some(query) = shared.next() {
        query(&mut connection);
    }
}
