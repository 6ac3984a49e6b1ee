//! The REST routes, a resource a file.

#[cfg(feature = "accounts")]
pub(super) mod accounts;
pub(super) mod conversations;
pub(super) mod entrance;
pub(super) mod files;
pub(super) mod messages;
mod paging;
mod shape;
pub(super) mod users;

use http::HeaderMap;

use crate::{
    model::ClientKey,
    protocol::{Code, Problem},
};

/// The client's name for a write, if it gave one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<ClientKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().and_then(|key| ClientKey::new(key).ok());
    key.map(Some).ok_or_else(|| {
        Problem::new(Code::Invalid, "Idempotency-Key must be 1 to 64 printable ASCII characters")
    })
}
