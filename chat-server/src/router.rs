//! Who answers a request: the chat, the health checks, or the front end. Decided by the first
//! segment of the path, and every answer leaves with the headers that keep browsers careful.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Entry, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use metrics::counter;

use crate::{
    assets::EMBEDDED,
    health::Readiness,
    node::{ChatBody, Node},
    peer::{self, Network},
    telemetry::metrics::REQUESTS,
};

/// What is sent: something short of ours, or whatever the chat answers.
pub(crate) type Body = Either<Full<Bytes>, ChatBody>;

/// Answers requests.
pub(crate) struct Router {
    node: Node,
    readiness: Arc<Readiness>,
    trusted_proxies: Vec<Network>,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Chat,
    Health,
    Ready,
    FrontEnd,
}

fn route(path: &str) -> Route {
    match path.trim_start_matches('/').split('/').next() {
        Some("user" | "users" | "messages" | "conversations" | "files" | "ws") => Route::Chat,
        Some("join" | "directory") => Route::Chat,
        Some("openapi.json" | "asyncapi.json" | "api") => Route::Chat,
        Some("healthz") => Route::Health,
        Some("readyz") => Route::Ready,
        Some(_) | None => Route::FrontEnd,
    }
}

impl Route {
    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::FrontEnd => "front_end",
        }
    }
}

impl Router {
    pub(crate) fn new(
        node: Node,
        readiness: Arc<Readiness>,
        trusted_proxies: Vec<Network>,
    ) -> Self {
        Self { node, readiness, trusted_proxies }
    }

    /// Answers one request that came over a connection from `peer`.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        let client = peer::client(peer, request.headers(), &self.trusted_proxies);
        let route = route(request.uri().path());
        // The query is left out: it may hold a token.
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = match route {
            Route::Chat => self.node.answer(request, client).await.map(Either::Right),
            Route::Health | Route::Ready if !reads(&method) => only_reads(),
            Route::Health => json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
            Route::Ready => {
                let (ready, report) = self.readiness.check().await;
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                json(status, &report)
            }
            Route::FrontEnd => EMBEDDED.answer(&request).map(Either::Left),
        };
        protect(&mut response);
        let status = response.status();
        counter!(REQUESTS, "route" => route.name(), "status" => class(status)).increment(1);
        tracing::debug!(%method, path, status = status.as_u16(), client = %client.ip(), "request");
        Ok(response)
    }
}

/// What a browser may do with an answer, where the answer does not say itself.
fn protect<B>(response: &mut Response<B>) {
    const CAREFUL: [(http::HeaderName, HeaderValue); 4] = [
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // What the API answers is data, never a page, and nobody else's.
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    for (name, value) in CAREFUL {
        if let Entry::Vacant(missing) = response.headers_mut().entry(name) {
            missing.insert(value);
        }
    }
}

/// Whether nothing is asked for but an answer.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn only_reads() -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from("only GET and HEAD here\n")));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The class of a status: five labels, whatever anybody sends.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_decides_and_not_its_beginning() {
        for (path, expected) in [
            ("/user/login", Route::Chat),
            ("/users", Route::Chat),
            ("/messages", Route::Chat),
            ("/conversations/x/events", Route::Chat),
            ("/files/f_x/content", Route::Chat),
            ("/ws", Route::Chat),
            ("/openapi.json", Route::Chat),
            ("/asyncapi.json", Route::Chat),
            ("/api", Route::Chat),
            ("/apix", Route::FrontEnd),
            ("/wsx", Route::FrontEnd),
            ("/userx/login", Route::FrontEnd),
            ("/healthz", Route::Health),
            ("/readyz", Route::Ready),
            ("/", Route::FrontEnd),
            ("", Route::FrontEnd),
            ("/c/0197a3f2", Route::FrontEnd),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
