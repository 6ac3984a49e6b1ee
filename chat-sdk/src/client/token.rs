//! Where a client's credential comes from.

use std::{future::Future, pin::Pin, sync::Arc};

/// Gives the client its bearer token: before the first connection, when the server says that the
/// one in use ends soon, and when it did not hold.
///
/// A `String` or `&'static str` is the token itself, and cannot be renewed; a closure
/// `Fn(Option<String>) -> Future` is called for each; [`LogIn`](super::LogIn) signs in with a
/// password.
pub trait TokenSource: Send + Sync + 'static {
    /// A token of the user. `stale` is the one in use, which does not hold or will not for long:
    /// the same one again is taken as [`TokenError::Refused`].
    ///
    /// Asked once at a time. Dropped when it takes longer than
    /// [`token_timeout`](super::ClientLimits::token_timeout), which counts as
    /// [`TokenError::Unreachable`], or when the client ends.
    fn token(&self, stale: Option<&str>)
    -> impl Future<Output = Result<String, TokenError>> + Send;
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There will be none: the client closes for good when the one in use ends.
    #[error("the credential cannot be renewed")]
    Refused,
    /// Not now: asked again with back-off.
    #[error("the credential cannot be renewed now")]
    Unreachable,
}

fn unless_stale(token: &str, stale: Option<&str>) -> Result<String, TokenError> {
    if stale == Some(token) { Err(TokenError::Refused) } else { Ok(token.to_owned()) }
}

impl TokenSource for String {
    async fn token(&self, stale: Option<&str>) -> Result<String, TokenError> {
        unless_stale(self, stale)
    }
}

impl TokenSource for &'static str {
    async fn token(&self, stale: Option<&str>) -> Result<String, TokenError> {
        unless_stale(self, stale)
    }
}

impl<F, A> TokenSource for F
where
    F: Fn(Option<String>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<String, TokenError>> + Send,
{
    async fn token(&self, stale: Option<&str>) -> Result<String, TokenError> {
        self(stale.map(ToOwned::to_owned)).await
    }
}

pub(super) type Asking = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// The same without its type.
pub(super) trait DynTokenSource: Send + Sync {
    fn ask(self: Arc<Self>, stale: Option<String>) -> Asking;
}

impl<T: TokenSource> DynTokenSource for T {
    fn ask(self: Arc<Self>, stale: Option<String>) -> Asking {
        Box::pin(async move { self.token(stale.as_deref()).await })
    }
}
