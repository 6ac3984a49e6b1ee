//! A few threads that read, each with a connection that cannot write.
//!
//! With a write-ahead log readers wait for nobody and nobody waits for them.

use std::{
    io,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{error::closed, writer::Look};
use crate::store::StoreError;

/// Queries that wait for a reader; then callers wait for room.
const QUEUE_MAX: usize = 256;

/// The way to the readers.
#[derive(Clone)]
pub(super) struct Readers {
    queries: mpsc::Sender<Look>,
}

impl Readers {
    /// Starts a thread for each connection. They end when all clones are gone and the queue is
    /// empty.
    pub(super) fn start(connections: Vec<Connection>) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (queries, queue) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let queue = Arc::clone(&queue);
                thread::Builder::new()
                    .name("chat-reader".to_owned())
                    .spawn(move || serve(connection, &queue))
            })
            .collect::<io::Result<_>>()?;
        Ok((Self { queries }, threads))
    }

    pub(super) async fn ask(&self, query: Look) -> Result<(), StoreError> {
        self.queries.send(query).await.map_err(|_| closed())
    }
}

fn serve(mut connection: Connection, queue: &Mutex<mpsc::Receiver<Look>>) {
    loop {
        // The one who waits for a query holds the lock; the others wait for the lock.
        let query = queue.lock().expect("nothing panics while it waits").blocking_recv();
        match query {
            Some(query) => query(&mut connection),
            None => return,
        }
    }
}
