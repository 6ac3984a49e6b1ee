//! Who somebody is: to the chat, and to other people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CredentialId, Timestamp, UserId};

/// What an [`Authenticator`](crate::Authenticator) vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// When the credential ends; a live connection ends with it unless it is renewed. `None`: the
    /// host ends it itself, by [`Chat::disconnect`](crate::Chat::disconnect).
    pub expires_at: Option<Timestamp>,
    /// Which credential this is, if it can be revoked by itself.
    pub credential: Option<CredentialId>,
    /// The development switch let it in: no authenticator can be asked whether it still holds.
    pub(crate) by_switch: bool,
}

impl Identity {
    /// This user, by a credential that neither ends by itself nor has a name.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self { user, expires_at: None, credential: None, by_switch: false }
    }

    /// This user, because somebody said so.
    pub(crate) const fn by_switch(user: UserId) -> Self {
        Self { user, expires_at: None, credential: None, by_switch: true }
    }

    /// The credential ends at this time.
    #[must_use]
    pub const fn expiring(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The credential has this name.
    #[must_use]
    pub fn by(mut self, credential: CredentialId) -> Self {
        self.credential = Some(credential);
        self
    }
}

/// What other people see of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// Which user.
    #[serde(rename = "user_id")]
    pub user: UserId,
    /// The handle: unique, what people search for.
    pub name: String,
    /// What is shown.
    pub display_name: String,
}
