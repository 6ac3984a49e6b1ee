//! Whether the process lives, and whether it should get work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

use crate::node::Node;

/// How long an answer about the store is given again: probes and curious people cost one query a
/// second together.
const FRESH: Duration = Duration::from_secs(1);

/// Time for the store to answer. Below the time-out of most probes, so that they hear a reason.
const STORE_PATIENCE: Duration = Duration::from_millis(800);

/// Readiness of this server.
pub(crate) struct Readiness {
    node: Node,
    leaving: AtomicBool,
    store: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Readiness {
    pub(crate) fn new(node: Node) -> Arc<Self> {
        Arc::new(Self { node, leaving: AtomicBool::new(false), store: Mutex::new(None) })
    }

    /// From now on this server should get no new work.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether work is welcome, and each check for people.
    pub(crate) async fn check(&self) -> (bool, Value) {
        let leaving = self.leaving.load(Ordering::Relaxed);
        let store = self.store().await;
        let ready = !leaving && store.is_ok();
        let report = json!({
            "status": if ready { "ready" } else { "not_ready" },
            "checks": {
                "store": store.map_or_else(|why| why, |()| "ok".to_owned()),
                "draining": leaving,
            },
        });
        (ready, report)
    }

    async fn store(&self) -> Result<(), String> {
        // Held while asking, so that many questions at once are one query.
        let mut last = self.store.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < FRESH
        {
            return result.clone();
        }
        let result = tokio::time::timeout(STORE_PATIENCE, self.node.check_store())
            .await
            .unwrap_or_else(|_| Err("no answer".to_owned()));
        if let Err(why) = &result {
            tracing::warn!(why, "the store does not answer");
        }
        *last = Some((Instant::now(), result.clone()));
        result
    }
}
