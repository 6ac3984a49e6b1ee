//! From a request for `/ws` to a connection.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::{debug, warn};
use tungstenite::handshake::derive_accept_key;

use super::{
    ChatBody,
    reply::Reply,
    route::Query,
    service::{Shared, address, bearer},
    tcp::Tcp,
    websocket::WebSocket,
};
use crate::{
    auth::{AuthError, Credentials},
    model::{Identity, UserId},
    node::connection::Opened,
    protocol::{Code, Problem, SUBPROTOCOL},
    session::Dialect,
};

/// Checks everything that can be checked before the upgrade, so that whoever is refused gets an
/// answer they can read.
pub(super) async fn socket<B>(shared: &Shared, mut request: Request<B>) -> Result<Reply, Problem> {
    let node = &shared.node;
    let accept = accept_key(request.headers())?;
    if !shared.origins.allow(request.headers()) {
        return Err(Problem::of(Code::OriginRefused));
    }
    if node.is_draining() {
        return Err(Problem::of(Code::Draining));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let address = address(&parts);
    let mut handshake = node.begin_handshake(address).map_err(too_many_come)?;
    // A herd is sent away before it costs the store anything. Strangers hold their place only until
    // it is known that they are; they are held back by the handshakes, of which one address has not
    // all.
    let admission = node.begin_admission().map_err(too_many_come)?;
    let asked = node.now();
    let identity = identify(shared, &parts).await?;
    match &identity {
        Some(_) => {
            handshake.is_known();
            admission.keep();
        }
        // Whoever says who they are in the first frame is counted then.
        None => drop(admission),
    }
    let native = offers_subprotocol(&parts.headers);
    let dialect = if native { Dialect::Native } else { Dialect::Legacy };
    if dialect == Dialect::Legacy && identity.is_none() {
        // Such a client has no first frame to bring a token in.
        return Err(Problem::of(Code::Unauthenticated));
    }
    let user = identity.as_ref().map(|identity| &identity.user);
    let place = node.admit(address, user)?;

    let driven = node.clone();
    let max = node.limits.frame_bytes_max;
    node.sockets.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                // As a task of its own, so that nothing of the way in takes memory for as long as
                // the connection lives.
                match upgraded.downcast::<TokioIo<TcpStream>>() {
                    Ok(Parts { io, read_buf, .. }) => {
                        let socket = Tcp::new(io.into_inner());
                        let outlet = Some(socket.outlet());
                        let opened = Opened { dialect, identity, asked, place, handshake, outlet };
                        let transport = WebSocket::new(socket, &read_buf, max);
                        driven.sockets.spawn(driven.clone().connection(transport, opened));
                    }
                    // Encrypted, or a host's own kind of stream.
                    Err(upgraded) => {
                        let outlet = None;
                        let opened = Opened { dialect, identity, asked, place, handshake, outlet };
                        let transport = WebSocket::new(TokioIo::new(upgraded), &[], max);
                        driven.sockets.spawn(driven.clone().connection(transport, opened));
                    }
                }
            }
            Err(why) => debug!(error = &why as &dyn std::error::Error, "not upgraded"),
        }
    });

    let mut response = Response::new(ChatBody::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if native {
        let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    Ok(response)
}

fn too_many_come(after: Duration) -> Problem {
    Problem::new(Code::Overloaded, "too many come at once").retry_after(after)
}

/// RFC 6455, section 4.2.1.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name: header::HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Problem::new(Code::UpgradeRequired, "connect with a WebSocket"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(Problem::new(Code::UpgradeRequired, "WebSocket version 13 is spoken here"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    // 16 bytes in base64.
    let key = key.filter(|key| key.len() == 24);
    let key = key.ok_or_else(|| Problem::new(Code::Malformed, "Sec-WebSocket-Key is missing"))?;
    Ok(HeaderValue::try_from(derive_accept_key(key)).expect("base64 is a header value"))
}

fn offers_subprotocol(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offer| offer.trim() == SUBPROTOCOL)
}

/// Who opens the connection; `None`: a `hello` will tell.
async fn identify(
    shared: &Shared,
    parts: &http::request::Parts,
) -> Result<Option<Identity>, Problem> {
    let query = Query::of(&parts.uri);
    if shared.dev_user_ids
        && let Some(user) = query.text("user_id")
    {
        let user = UserId::new(user)
            .map_err(|why| Problem::new(Code::Invalid, format!("user_id {why}")))?;
        warn!(%user, "DEVELOPMENT SWITCH: a connection was opened without any credential");
        return Ok(Some(Identity::by_switch(user)));
    }
    let token = bearer(parts).or_else(|| query.text("token"));
    let credentials = Credentials::new(token, &parts.headers, &parts.extensions);
    match shared.node.authenticate(credentials).await {
        Ok(identity) => Ok(Some(identity)),
        Err(AuthError::Missing) => Ok(None),
        Err(why) => {
            debug!(error = &why as &dyn std::error::Error, "not authenticated");
            Err((&why).into())
        }
    }
}
