//! `/healthz`, `/readyz` and `/metrics`: what Kubernetes and Prometheus ask the operator itself.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

/// Connections at a time: a kubelet, a few scrapers, somebody who is curious. More are closed unheard.
const CONNECTIONS_MAX: usize = 64;

/// For the head of a request, and so for the next one on an idle connection: longer than scrapers
/// pause, so that theirs stay open.
const HEAD_PATIENCE: Duration = Duration::from_secs(90);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// After an error of `accept`, which would otherwise come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// For answers that are under way when the process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether the API server answers, as far as this process knows. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicU8>);

/// What [`Health`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contact {
    NotYet = 0,
    Reached = 1,
    Unreachable = 2,
}

impl Health {
    /// A request to the API server ended: whether it answered, whatever it said.
    pub fn tried(&self, answered: bool) {
        let contact = if answered { Contact::Reached } else { Contact::Unreachable };
        self.0.store(contact as u8, Ordering::Relaxed);
    }

    /// Why this process is not ready, if it is not. One that stands by is ready.
    fn why_not_ready(&self) -> Option<&'static str> {
        let state = self.0.load(Ordering::Relaxed);
        if state == Contact::Reached as u8 {
            None
        } else if state == Contact::NotYet as u8 {
            Some("the API server was not reached yet")
        } else {
            Some("the API server does not answer")
        }
    }
}

/// Answers until `stop`, then finishes what it is at. Dropping the future cuts all off.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(converse(stream, health.clone(), metrics.clone(), stop.clone()));
            }
            Ok(_) => tracing::warn!("too many connections to the health port: closed one"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // The rest is cut off when the set is dropped.
    let _ = timeout(FAREWELL, all_ended).await;
}

async fn converse(stream: TcpStream, health: Health, metrics: Metrics, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &health, &metrics);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the health port ended");
    }
}

fn answer(
    method: &Method,
    path: &str,
    health: &Health,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood here");
    }
    match path {
        // That it is answered is the answer: the event loop lives.
        "/healthz" => plain(StatusCode::OK, "ok"),
        "/readyz" => match health.why_not_ready() {
            None => plain(StatusCode::OK, "ready"),
            Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
        },
        "/metrics" => {
            text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.render())
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics"),
    }
}

fn plain(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    text(status, "text/plain; charset=utf-8", format!("{words}\n"))
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
    response.body(Full::new(Bytes::from(body))).expect("status and header are valid")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn each_path_says_what_it_is_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, stop) = (Health::default(), CancellationToken::new());
        let metrics = crate::telemetry::start_metrics().unwrap();
        let server = tokio::spawn(serve(listener, health.clone(), metrics, stop.clone()));

        assert!(get(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
        let unready = get(address, "GET /readyz").await;
        assert!(unready.starts_with("HTTP/1.1 503") && unready.contains("not reached yet"));
        health.tried(true);
        assert!(get(address, "GET /readyz").await.starts_with("HTTP/1.1 200"));
        health.tried(false);
        assert!(get(address, "GET /readyz").await.contains("does not answer"));
        assert!(get(address, "GET /metrics").await.contains("\nchat_operator_leader 0\n"));
        assert!(get(address, "GET /").await.starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /healthz").await.starts_with("HTTP/1.1 405"));

        // An idle connection does not put the end off.
        let _idle = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        timeout(Duration::from_secs(20), server).await.expect("it ends").unwrap();
    }
}
