//! Answers: JSON, nothing, or a problem (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::ChatBody;
use crate::protocol::Problem;

pub(super) type Reply = Response<ChatBody>;

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let bytes = serde_json::to_vec(value).expect("our own shapes are JSON");
    whole(status, "application/json", bytes.into())
}

/// Nothing.
pub(super) fn no_content() -> Reply {
    whole(StatusCode::NO_CONTENT, "application/json", Bytes::new())
}

/// What went wrong.
pub(super) fn problem(problem: &Problem) -> Reply {
    let status = StatusCode::from_u16(problem.code.status()).expect("the table holds statuses");
    let bytes = serde_json::to_vec(problem).expect("our own shapes are JSON");
    let mut reply = whole(status, "application/problem+json", bytes.into());
    if let Some(seconds) = problem.retry_after_secs() {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        // To what: RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
        let headers = reply.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    reply
}

pub(super) fn whole(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Reply {
    let empty = bytes.is_empty();
    let mut reply = Response::new(ChatBody::from(bytes));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    if !empty {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    // What people say is for nobody's cache.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}
