//! How much each user sends on this node, over all their connections and REST.

use std::{collections::HashMap, time::Duration};

use crate::{limits::Limits, model::UserId, session::RateBucket};

/// Users that are remembered at most; when there are more, those that sent nothing lately are
/// forgotten, and if that does not help, all.
const USERS_MAX: usize = 20_000;

#[derive(Debug)]
pub(super) struct Rates {
    users: HashMap<UserId, RateBucket>,
    per_second: u32,
    burst: u32,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            users: HashMap::new(),
            per_second: limits.sends_per_second,
            burst: limits.sends_burst,
        }
    }

    /// One more send of this user; or after which time.
    pub(super) fn take(&mut self, user: &UserId, now: Duration) -> Result<(), Duration> {
        if self.users.len() >= USERS_MAX && !self.users.contains_key(user) {
            self.users.retain(|_, bucket| !bucket.is_full(now));
            if self.users.len() >= USERS_MAX {
                self.users.clear();
            }
        }
        let (per_second, burst) = (self.per_second, self.burst);
        let bucket = self.users.entry(user.clone());
        bucket.or_insert_with(|| RateBucket::new(now, per_second, burst)).take(now)
    }
}
