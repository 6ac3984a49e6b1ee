//! Who somebody is: the [`Authenticator`] port, and ours behind it.

#[cfg(feature = "accounts")]
pub mod accounts;
mod extension;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwt")]
mod ring_provider;

use std::future::Future;

#[cfg(feature = "accounts")]
pub use self::accounts::Accounts;
pub use self::extension::FromExtension;
#[cfg(feature = "jwt")]
pub use self::{
    jwt::{Jwt, JwtAlgorithm, JwtConfigError, JwtIssuer, Token},
    ring_provider::{InstalledProvider, install_ring_provider},
};
use crate::{model::Identity, store::BoxError};

/// What somebody brings to prove who they are.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Credentials<'a> {
    /// The bearer token: of the `Authorization` header, of `?token=`, or of a `hello` or `auth`
    /// frame.
    pub token: Option<&'a str>,
    /// The request's headers, cookies among them. Empty for a token that came in a frame.
    pub headers: &'a http::HeaderMap,
    /// What the host's own middleware put into the request. Empty for a token that came in a frame.
    pub extensions: &'a http::Extensions,
}

impl<'a> Credentials<'a> {
    /// What a request brings.
    #[must_use]
    pub const fn new(
        token: Option<&'a str>,
        headers: &'a http::HeaderMap,
        extensions: &'a http::Extensions,
    ) -> Self {
        Self { token, headers, extensions }
    }
}

/// Somebody is not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// There is nothing that could prove anything. A socket may still send its token in `hello`.
    #[error("no credential")]
    Missing,
    /// It does not hold: wrong, expired, revoked. Why is for the log, not for the caller.
    #[error("credential refused: {0}")]
    Refused(&'static str),
    /// It could not be checked now.
    #[error("credential could not be checked")]
    Unavailable(#[source] BoxError),
}

/// Finds out who somebody is, from a token, a cookie, or what the host's own middleware has found
/// out already. Asked for every request, at the upgrade of a socket, and again when a socket renews
/// its token or comes back.
///
/// An implementation must not answer `Ok` for a credential that has expired, and should name the
/// expiry in [`Identity::expires_at`], so that live connections end with it.
pub trait Authenticator: Send + Sync + 'static {
    /// Who is this?
    fn authenticate(
        &self,
        credentials: Credentials<'_>,
    ) -> impl Future<Output = Result<Identity, AuthError>> + Send;

    /// Is this identity, which was vouched for earlier, still good? Asked for every live session
    /// once in a while, so that a revocation reaches a node that was not told of it. The default
    /// trusts `expires_at`.
    fn still_valid(&self, identity: &Identity) -> impl Future<Output = bool> + Send {
        let _ = identity;
        async { true }
    }
}
