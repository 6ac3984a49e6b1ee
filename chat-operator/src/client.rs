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

/// What went wrong, in the API server's own words if it said any: the client's error tells the same
/// several times.
#[must_use]
pub fn why(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message,
        error => format!("{:#}", anyhow::Error::new(error)),
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use http::{Method, Response};
    use http_body_util::Full;
    use hyper::{body::Bytes, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        Api,
        api::{Patch, PatchParams},
    };
    use tokio::net::TcpListener;

    use super::*;
    use crate::lease::{self, Candidacy, Terms};

    type Heard = Arc<Mutex<Vec<(Method, String)>>>;

    /// An API server that answers everything with one object, and notes who asked for what.
    async fn server() -> (Config, Heard) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Heard::default();
        let notes = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let notes = Arc::clone(&notes);
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let agent = request.headers()[USER_AGENT].to_str().unwrap().to_owned();
                    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
                    notes.push((request.method().clone(), agent));
                    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}"#;
                    let answer = Response::new(Full::new(Bytes::from(object)));
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (tuned(Config::new(url.parse().unwrap())), heard)
    }

    fn taken(heard: &Heard) -> Vec<(Method, String)> {
        std::mem::take(&mut heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn write(client: &Client) -> Result<ConfigMap, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), "chat");
        let object = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap"});
        api.patch("x", &PatchParams::apply("chat-operator").force(), &Patch::Apply(&object)).await
    }

    #[tokio::test]
    async fn who_does_not_lead_may_read_but_writes_nothing() {
        let (config, heard) = server().await;
        let candidacy = Candidacy {
            namespace: "chat".to_owned(),
            name: "chat-operator".to_owned(),
            identity: "me".to_owned(),
            terms: Terms {
                lease: Duration::from_secs(15),
                renew: Duration::from_secs(10),
                retry: Duration::from_secs(2),
            },
        };
        let health = Health::default();
        let free = unfenced(config.clone()).unwrap();
        // Nobody runs for it, so it stands by.
        let (_campaign, standby) = lease::elect(free, candidacy, health.clone());
        let client = fenced(config.clone(), standby, health.clone()).unwrap();
        Api::<ConfigMap>::namespaced(client.clone(), "chat").get("x").await.unwrap();
        let agent = format!("chat-operator/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(taken(&heard), [(Method::GET, agent.clone())]);
        let refused = write(&client).await.unwrap_err();
        assert!(why(refused).contains("does not lead"));
        assert_eq!(taken(&heard), []);

        let leader = fenced(config, Leadership::alone(), health).unwrap();
        write(&leader).await.unwrap();
        assert_eq!(taken(&heard), [(Method::PATCH, agent)]);
    }
}
