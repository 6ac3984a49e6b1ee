//! `chat-operator status`: tells a chat's story, once or until it is ready.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use chat_operator::{
    client, colours,
    story::{self, Look, Verdict},
};
use k8s_openapi::jiff::Timestamp;
use tokio::{signal, time::timeout};

use crate::cli::Status;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// For one look.
const PATIENCE: Duration = Duration::from_secs(30);

/// From here on, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// 0 if it is ready, 1 if not, 2 if there is no such chat.
pub(crate) async fn run(ask: Status) -> anyhow::Result<ExitCode> {
    let config = client::config().await?;
    let namespace = ask.namespace.unwrap_or_else(|| config.default_namespace.clone());
    let client = client::unfenced(config)?;
    let terminal = io::stdout().is_terminal();
    let mut first = true;
    loop {
        let facts = timeout(PATIENCE, story::read(&client, &namespace, &ask.name)).await;
        let Some(facts) = facts.map_err(|_| anyhow::anyhow!("no answer in time"))?? else {
            anyhow::bail!(Missing { namespace, name: ask.name });
        };
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let look = Look { colours: colours(terminal), width: width.filter(|_| terminal) };
        let story = story::tell(&facts, Timestamp::now(), look);
        let before = match (ask.watch && terminal, first) {
            (true, _) => CLEAR,
            (false, true) => "",
            (false, false) => "\n",
        };
        let mut out = io::stdout().lock();
        write!(out, "{before}{story}")?;
        out.flush()?;
        drop(out);
        first = false;
        if Verdict::of(&facts.cluster) == Verdict::Ready {
            return Ok(ExitCode::SUCCESS);
        }
        if !ask.watch || timeout(PAUSE, signal::ctrl_c()).await.is_ok() {
            return Ok(ExitCode::FAILURE);
        }
    }
}

/// There is no such chat.
#[derive(Debug, thiserror::Error)]
#[error("there is no ChatCluster {name} in the namespace {namespace}; see `kubectl get chat -A`")]
pub(crate) struct Missing {
    namespace: String,
    name: String,
}
