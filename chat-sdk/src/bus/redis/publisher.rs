//! Asking one server: publishing, budgets, and whether it is there.
//!
//! One connection and no pool. A connection takes any number of questions at once, so more of them
//! would stand idle; and the pool at hand (bb8) makes a caller wait its whole time-out for a server
//! that refuses connections, and keeps the reason to itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Pipeline, RedisError, Script, Value};
use tokio::time::Instant;

use super::{
    Trouble,
    backoff::Backoff,
    server::{Access, Address, Connection},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connects when it is first asked, and again after a failure: not at once, but after a rest in
/// which every question is an error without delay. So a server that hangs costs whoever publishes
/// to others a second now and then, not one with every batch.
pub(super) struct Publisher {
    address: Address,
    access: Arc<Access>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    backoff: Backoff,
    rest_until: Option<Instant>,
}

impl Publisher {
    pub(super) fn new(address: Address, access: Arc<Access>) -> Self {
        Self { address, access, state: Mutex::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks several things in one go; the answers in order, refusals among them. Waits three seconds
    /// at most.
    pub(super) async fn ask(&self, questions: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let connection = self.connection().await?;
        let answers = connection.ask(questions).await;
        answers.map_err(|why| self.failed(&connection, why))
    }

    /// Runs a script that answers a number.
    pub(super) async fn run(
        &self,
        script: &Script,
        key: &str,
        arguments: &[u32],
    ) -> Result<u32, Trouble> {
        let connection = self.connection().await?;
        let answer = script.key(key).arg(arguments).invoke_async(&mut connection.sender()).await;
        answer.map_err(|why| {
            if why.is_timeout() || why.is_unrecoverable_error() {
                self.failed(&connection, why)
            } else {
                Trouble::Refused { address: self.address.clone(), count: 1, why }
            }
        })
    }

    /// The server is known to be back: no rest is needed.
    pub(super) fn wake(&self) {
        let mut state = self.state();
        state.rest_until = None;
        state.backoff.reset();
    }

    /// Closes the connection.
    pub(super) fn close(&self) {
        self.state().connection = None;
    }

    async fn connection(&self) -> Result<Arc<Connection>, Trouble> {
        {
            let state = self.state();
            if let Some(connection) = &state.connection
                && !connection.has_ended()
            {
                return Ok(connection.clone());
            }
            if state.rest_until.is_some_and(|until| Instant::now() < until) {
                return Err(Trouble::Resting(self.address.clone()));
            }
        }
        // Two at the same time may both connect: then one connection is closed again unused.
        match self.access.connect(&self.address, PATIENCE, None).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                let mut state = self.state();
                state.backoff.reset();
                state.rest_until = None;
                state.connection = Some(connection.clone());
                Ok(connection)
            }
            Err(why) => {
                self.rest();
                Err(Trouble::Unreachable { address: self.address.clone(), why })
            }
        }
    }

    fn failed(&self, which: &Arc<Connection>, why: RedisError) -> Trouble {
        {
            // Others may have replaced it already.
            let mut state = self.state();
            state.connection.take_if(|connection| Arc::ptr_eq(connection, which));
        }
        // An answer that is late may be another's next time; and one who hangs is not asked again
        // at once. One who has gone may well be back.
        if why.is_timeout() {
            self.rest();
        }
        Trouble::Broken { address: self.address.clone(), why }
    }

    fn rest(&self) {
        let mut state = self.state();
        state.rest_until = Some(Instant::now() + state.backoff.next());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
