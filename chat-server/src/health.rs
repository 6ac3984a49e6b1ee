//! Whether the process lives, and whether it should get work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_sdk::Health;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

use crate::node::Node;

/// How long an answer is given again: probes and curious people cost one query a second together.
const FRESH: Duration = Duration::from_secs(1);

/// Time for the store to answer. Below the time-out of most probes, so that they hear a reason.
const STORE_PATIENCE: Duration = Duration::from_millis(800);

/// Readiness of this server.
pub(crate) struct Readiness {
    node: Node,
    leaving: AtomicBool,
    last: Mutex<Option<(Instant, Checked)>>,
}

/// How what the chat stands on is.
#[derive(Debug, Clone)]
struct Checked {
    store: Result<(), String>,
    bus: Result<(), String>,
}

impl Readiness {
    pub(crate) fn new(node: Node) -> Arc<Self> {
        Arc::new(Self { node, leaving: AtomicBool::new(false), last: Mutex::new(None) })
    }

    /// From now on this server should get no new work.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether work is welcome, and each check for people.
    pub(crate) async fn check(&self) -> (bool, Value) {
        let leaving = self.leaving.load(Ordering::Relaxed);
        let Checked { store, bus } = self.ask().await;
        // Without the bus messages cross servers late, but a server that is taken out of service
        // for it would cross none.
        let ready = !leaving && store.is_ok();
        let say = |how: Result<(), String>| how.map_or_else(|why| why, |()| "ok".to_owned());
        let report = json!({
            "status": if ready { "ready" } else { "not_ready" },
            "checks": {
                "store": say(store),
                "bus": say(bus),
                "draining": leaving,
            },
        });
        (ready, report)
    }

    async fn ask(&self) -> Checked {
        // Held while asking, so that many questions at once are one query.
        let mut last = self.last.lock().await;
        if let Some((at, checked)) = &*last
            && at.elapsed() < FRESH
        {
            return checked.clone();
        }
        let checked = match tokio::time::timeout(STORE_PATIENCE, self.node.check()).await {
            Ok(Health { store, bus, .. }) => Checked { store, bus },
            Err(_) => Checked { store: Err("no answer".to_owned()), bus: Ok(()) },
        };
        if let Err(why) = &checked.store {
            tracing::warn!(why, "the store does not answer");
        }
        *last = Some((Instant::now(), checked.clone()));
        checked
    }
}
