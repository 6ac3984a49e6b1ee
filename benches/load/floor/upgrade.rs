//! The least that a WebSocket server on hyper can do with authenticated connections: read the request,
//! check the token, switch protocols, and wait for the end. One thread, as the subject has one core.

use std::{convert::Infallible, rc::Rc};

use anyhow::Context;
use bytes::Bytes;
use chat_sdk::auth::install_ring_provider;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use tokio::{io::AsyncReadExt, net::TcpListener, task::LocalSet};
use tungstenite::handshake::derive_accept_key;

use super::say_listening;
use crate::subject::{AUDIENCE, ISSUER, SECRET};

/// What a token is checked with.
struct Door {
    key: DecodingKey,
    validation: Validation,
}

/// Serves until the process ends.
pub(super) fn serve() -> anyhow::Result<()> {
    // Who else could have been there first: it makes no difference.
    let _ = install_ring_provider();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let door = Rc::new(Door { key: DecodingKey::from_secret(SECRET.as_bytes()), validation });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        say_listening(listener.local_addr()?);
        loop {
            let (socket, _) = listener.accept().await.context("cannot accept")?;
            // It would fail of a socket that is gone, which the next read says anyway.
            let _ = socket.set_nodelay(true);
            let door = door.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let answer = answer(&door, request);
                    async { Ok::<_, Infallible>(answer) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                // Whoever leaves early is no error of the floor.
                let _ = connection.with_upgrades().await;
            });
        }
    })
}

fn answer(door: &Door, mut request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    let headers = request.headers();
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let known = token.is_some_and(|token| {
        jsonwebtoken::decode::<serde_json::Value>(token, &door.key, &door.validation).is_ok()
    });
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let (true, Some(key)) = (known, key) else {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return response;
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::task::spawn_local(async move {
        if let Ok(upgraded) = upgrade.await {
            let mut socket = TokioIo::new(upgraded);
            // Until it ends: nobody says anything.
            while matches!(socket.read(&mut [0; 16]).await, Ok(1..)) {}
        }
    });
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let key = HeaderValue::try_from(key).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    response
}
