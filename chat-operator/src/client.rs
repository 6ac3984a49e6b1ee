//! How the operator reaches the API server: who it says it is, how long it waits, and that it writes
//! only while it leads.

use std::time::Duration;

use anyhow::Context;
use http::{HeaderValue, Request, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, filter::FilterLayer, timeout::TimeoutLayer, util::MapResultLayer};

use crate::{lease::Leadership, web::Health};

/// What stands in the API server's audit log.
const NAME: &str = concat!("chat-operator/", env!("CARGO_PKG_VERSION"));

/// For a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// For bytes to be taken.
const SEND: Duration = Duration::from_secs(20);

/// Until an answer begins, which a watch does at once. The API server itself gives up after 60 s.
const ANSWER: Duration = Duration::from_secs(30);

/// Silence within an answer. A watch is asked to end after 290 s, and is silent before that if nothing
/// happens.
const SILENCE: Duration = Duration::from_secs(330);

const UNUSABLE: &str = "the API server's configuration cannot be used";

/// A write that was not sent, because this process does not lead.
#[derive(Debug, thiserror::Error)]
#[error("not written, because this process does not lead")]
pub struct NotLeading;

/// Where the API server is and who we are, from the pod or from a kubeconfig.
///
/// # Errors
///
/// If there is neither.
pub async fn config() -> anyhow::Result<Config> {
    let config = Config::infer().await.context(
        "no way to the API server: neither a pod's service account nor a kubeconfig was found",
    )?;
    Ok(tuned(config))
}

fn tuned(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(SEND);
    config.read_timeout = Some(SILENCE);
    // Otherwise the time that a connection lay idle counts as silence.
    config.reset_reader_on_write = true;
    // Whoever asks decides whether to ask again: a write that is repeated below us would not be asked
    // whether we still lead.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(NAME)));
    config
}

/// For whoever is not bound to leading: the election itself, and people's commands.
///
/// # Errors
///
/// If the configuration names certificates or keys that cannot be used.
pub fn unfenced(config: Config) -> anyhow::Result<Client> {
    Ok(ClientBuilder::try_from(config)
        .context(UNUSABLE)?
        .with_layer(&TimeoutLayer::new(ANSWER))
        .build())
}

/// For the operator's work. Each request that is not a mere reading one is sent only if this process
/// leads at that moment, and fails with [`NotLeading`] otherwise, so that no write can forget to
/// ask. `health` hears whether the API server answers.
///
/// # Errors
///
/// As [`unfenced`].
pub fn fenced(config: Config, leadership: Leadership, health: Health) -> anyhow::Result<Client> {
    let client = ClientBuilder::try_from(config)
        .context(UNUSABLE)?
        .with_layer(&TimeoutLayer::new(ANSWER))
        .with_layer(&MapResultLayer::new(move |result: Result<_, BoxError>| {
            health.tried(result.is_ok());
            result
        }))
        .with_layer(&FilterLayer::new(fence(leadership)))
        .build();
    Ok(client)
}

fn fence(
    leadership: Leadership,
) -> impl FnMut(Request<Body>) -> Result<Request<Body>, BoxError> + Clone + Send + 'static {
    move |request| {
        if request.method().is_safe() || leadership.holds() {
            Ok(request)
        } else {
            Err(NotLeading.into())
        }
    }
}
