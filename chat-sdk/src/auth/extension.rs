//! Takes the identity that the host's own middleware has put into the request.

use super::{AuthError, Authenticator, Credentials};
use crate::model::Identity;

/// For hosts that have signed the user in already: their middleware puts an [`Identity`] into the
/// request's extensions, and this takes it from there.
///
/// ```
/// # use chat_sdk::{Identity, UserId};
/// # fn middleware(mut request: http::Request<()>, user: UserId) {
/// request.extensions_mut().insert(Identity::new(user));
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct FromExtension;

impl Authenticator for FromExtension {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        credentials.extensions.get::<Identity>().cloned().ok_or(AuthError::Missing)
    }
}
