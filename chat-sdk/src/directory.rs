//! The host's people: the [`Directory`] port, which knows who exists and what they are called.

use std::future::Future;

use crate::{
    model::{Profile, UserId},
    store::StoreError,
};

/// Who exists and what they are called. The chat keeps no copy: names are asked for when they are
/// shown, existence when somebody is written to for the first time.
pub trait Directory: Send + Sync + 'static {
    /// The profiles of those of `users` who exist, in any order.
    fn profiles(
        &self,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<Profile>, StoreError>> + Send;

    /// People whose name or display name has a word that begins with `query`, as far as `searcher`
    /// may find them, best first, at most `limit`. An empty query lists nobody.
    fn search(
        &self,
        searcher: &UserId,
        query: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Profile>, StoreError>> + Send;
}

/// The directory of a host that has none: every id is somebody, called like the id. A search finds
/// exactly the id that was typed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anybody;

impl Anybody {
    fn profile(user: &UserId) -> Profile {
        Profile {
            user: user.clone(),
            name: user.as_str().to_owned(),
            display_name: user.as_str().to_owned(),
        }
    }
}

impl Directory for Anybody {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        Ok(users.iter().map(Self::profile).collect())
    }

    async fn search(
        &self,
        _searcher: &UserId,
        query: &str,
        _limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        Ok(UserId::new(query.trim()).iter().map(Self::profile).collect())
    }
}
