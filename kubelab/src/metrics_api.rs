//! Metrics of pods for the autoscaler: what an adapter in front of Prometheus does in a real cluster,
//! without Prometheus. Asks the pods themselves.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use k8s_openapi::{
    api::core::v1::{Pod, Service},
    jiff::Timestamp,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::{certificates::Authority, control_plane::ControlPlane};

/// The group and the version that the autoscaler prefers.
const VERSION: &str = "custom.metrics.k8s.io/v1beta2";

/// How the API server knows it.
const API: &str = "v1beta2.custom.metrics.k8s.io";
/// The Service that it is registered with.
const SERVICE: &str = "custom-metrics";

/// A pod that does not answer for this long has no metrics.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// More than any of our servers prints.
const ANSWER_BYTES: usize = 4 << 20;

/// How many pods are asked at once.
const ASKED_AT_ONCE: usize = 16;

/// How long the API server may take to find it.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Serves `custom.metrics.k8s.io` with some gauges of pods. The gauges are read when they are asked
/// for, at `/metrics` of the pod's port `metrics` (9090 where there is none of that name), and those of
/// several label sets are added up.
///
/// When the control plane goes on without it, [`stop`](Self::stop) it: an API that is registered and
/// does not answer keeps namespaces from being deleted, here as in any cluster.
pub struct MetricsApi {
    client: Client,
    _server: AbortOnDropHandle<()>,
}

impl MetricsApi {
    /// Starts it and waits until the API server passes requests on to it.
    ///
    /// # Errors
    /// The API server does not find it.
    pub async fn start(plane: &ControlPlane, metrics: &[&str]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            client: plane.client(),
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            metrics: metrics.iter().map(|&name| name.to_owned()).collect(),
        });
        let server = AbortOnDropHandle::new(tokio::spawn(serve(listener, acceptor()?, state)));
        register(plane, port).await?;
        Ok(Self { client: plane.client(), _server: server })
    }

    /// Ends it, and the API server no longer knows of it.
    ///
    /// # Errors
    /// The API server does not let go of it.
    pub async fn stop(self) -> Result<()> {
        let api: Api<APIService> = Api::all(self.client.clone());
        api.delete(API, &DeleteParams::default()).await?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), "kube-system");
        services.delete(SERVICE, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Tells the API server where it is: on the node, which a Service that is only another name for it can
/// say.
async fn register(plane: &ControlPlane, port: u16) -> Result<()> {
    let service = serde_json::from_value(json!({
        "metadata": { "name": SERVICE },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    }))?;
    let services: Api<Service> = Api::namespaced(plane.client(), "kube-system");
    services.create(&PostParams::default(), &service).await?;
    let wanted = serde_json::from_value(json!({
        "metadata": { "name": API },
        "spec": {
            "group": "custom.metrics.k8s.io",
            "version": "v1beta2",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": { "namespace": "kube-system", "name": SERVICE, "port": port },
        },
    }))?;
    let api: Api<APIService> = Api::all(plane.client());
    api.create(&PostParams::default(), &wanted).await?;
    let end = Instant::now() + START_LIMIT;
    loop {
        let conditions = api.get(API).await?.status.and_then(|status| status.conditions);
        let conditions = conditions.unwrap_or_default();
        if conditions.iter().any(|it| it.type_ == "Available" && it.status == "True") {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < end, "the metrics are not available: {conditions:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

fn acceptor() -> Result<TlsAcceptor> {
    let pair = Authority::new("kubelab-metrics")?.server(&["localhost"])?;
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct State {
    client: Client,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    metrics: Vec<String>,
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    // They end with this future.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let (acceptor, state) = (acceptor.clone(), state.clone());
        connections.spawn(async move {
            let Ok(Ok(stream)) = timeout(ANSWER_LIMIT, acceptor.accept(stream)).await else {
                return;
            };
            let service = service_fn(move |request| answer(state.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                debug!(%error, "a connection for metrics ended");
            }
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let path = request.uri().path().replace("%2A", "*");
    let rest = path.strip_prefix("/apis/").and_then(|path| path.strip_prefix(VERSION));
    let words: Vec<_> = rest.unwrap_or("/none").split('/').skip(1).collect();
    let (status, body) = match words[..] {
        [] if rest.is_some() => (StatusCode::OK, state.resources()),
        ["namespaces", namespace, "pods", "*", metric] if state.knows(metric) => {
            let query = request.uri().query().unwrap_or_default();
            let labels = form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == "labelSelector")
                .map(|(_, labels)| labels.into_owned())
                .unwrap_or_default();
            (StatusCode::OK, state.values(namespace, &labels, metric).await?)
        }
        _ => {
            let body = json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure",
                "reason": "NotFound", "code": 404, "message": "no such metric" });
            (StatusCode::NOT_FOUND, body)
        }
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::from(body.to_string()))?)
}

impl State {
    fn knows(&self, metric: &str) -> bool {
        self.metrics.iter().any(|known| known == metric)
    }

    fn resources(&self) -> Value {
        let resources = self.metrics.iter().map(|metric| {
            json!({ "name": format!("pods/{metric}"), "singularName": "", "namespaced": true,
                "kind": "MetricValueList", "verbs": ["get"] })
        });
        json!({ "apiVersion": "v1", "kind": "APIResourceList", "groupVersion": VERSION,
            "resources": resources.collect::<Vec<_>>() })
    }

    async fn values(&self, namespace: &str, labels: &str, metric: &str) -> Result<Value> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = pods.list(&ListParams::default().labels(labels)).await?.items;
        let values = pods.into_iter().map(|pod| self.item(namespace, pod, metric));
        let values = stream::iter(values);
        let values: Vec<_> = values.buffer_unordered(ASKED_AT_ONCE).collect().await;
        let values: Vec<_> = values.into_iter().flatten().collect();
        Ok(
            json!({ "apiVersion": VERSION, "kind": "MetricValueList", "metadata": {}, "items": values }),
        )
    }

    /// `None` where there is no such value, as of one that Prometheus could not scrape.
    async fn item(&self, namespace: &str, pod: Pod, metric: &str) -> Option<Value> {
        let value = match timeout(ANSWER_LIMIT, self.value(&pod, metric)).await.ok()? {
            Ok(value) => value,
            Err(error) => {
                debug!("no metrics of {}: {error:#}", pod.name_any());
                return None;
            }
        };
        Some(json!({
            "describedObject": { "apiVersion": "v1", "kind": "Pod",
                "namespace": namespace, "name": pod.name_any() },
            "metric": { "name": metric, "selector": null },
            "timestamp": format!("{:.0}", Timestamp::now()),
            // In thousandths, as quantities have no fractions.
            "value": format!("{:.0}m", value * 1000.0),
        }))
    }

    async fn value(&self, pod: &Pod, metric: &str) -> Result<f64> {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref());
        let address = address.context("it has no address")?;
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut ports = containers.flat_map(|it| it.ports.iter().flatten());
        let port = ports.find(|port| port.name.as_deref() == Some("metrics"));
        let port = port.map_or(9090, |port| port.container_port);
        let answer = self.http.get(format!("http://{address}:{port}/metrics").parse()?).await?;
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        sum(&String::from_utf8_lossy(&body), metric).context("it does not have this metric")
    }
}

/// The sum of all samples of a metric, in Prometheus' text format.
fn sum(text: &str, metric: &str) -> Option<f64> {
    let mut sum = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(metric) else { continue };
        let value = match rest.strip_prefix('{') {
            // A label's value may have a brace in it, and a time may follow.
            Some(labels) => labels.rsplit_once('}').map(|(_, value)| value),
            None if rest.starts_with(' ') => Some(rest),
            None => None,
        };
        let value = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        if let Some(value) = value {
            *sum.get_or_insert(0.0) += value;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_are_added_up() {
        let text = "# TYPE a gauge\na 3\na_b 100\nab{x=\"}\"} 7 1700000000000\nab{x=\"y\"} 0.5\n";
        assert_eq!(sum(text, "a"), Some(3.0));
        assert_eq!(sum(text, "ab"), Some(7.5));
        assert_eq!(sum(text, "b"), None);
    }
}
