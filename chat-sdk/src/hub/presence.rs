//! Who is here, and who wants to know.
//!
//! A user is online while a connection of theirs is open, and for a grace time after the last one
//! closed. Times are given in, as time since the node began.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::mailbox::Mailbox;
use crate::{model::UserId, protocol::Encoded};

/// The presence of users on one node.
#[derive(Debug, Default)]
pub struct Presence {
    users: HashMap<UserId, State>,
    watchers: HashMap<UserId, Vec<Arc<Mailbox>>>,
    /// Who goes offline when, unless they come back.
    leaving: BTreeMap<(Duration, UserId), ()>,
}

#[derive(Debug)]
enum State {
    Here(u32),
    /// No connection any more; offline at this time.
    Leaving(Duration),
}

impl Presence {
    /// A connection of this user opened. True if they come online by it.
    pub fn arrive(&mut self, user: &UserId) -> bool {
        match self.users.get_mut(user) {
            Some(State::Here(connections)) => {
                *connections += 1;
                false
            }
            Some(state @ State::Leaving(_)) => {
                if let State::Leaving(at) = *state {
                    self.leaving.remove(&(at, user.clone()));
                }
                *state = State::Here(1);
                false
            }
            None => {
                self.users.insert(user.clone(), State::Here(1));
                true
            }
        }
    }

    /// A connection of this user closed; they are offline after the grace time if none opens.
    pub fn depart(&mut self, user: &UserId, now: Duration, grace: Duration) {
        if let Some(state) = self.users.get_mut(user) {
            match state {
                State::Here(connections) if *connections > 1 => *connections -= 1,
                State::Here(_) => {
                    let at = now + grace;
                    *state = State::Leaving(at);
                    self.leaving.insert((at, user.clone()), ());
                }
                State::Leaving(_) => {}
            }
        }
    }

    /// Those whose grace time is over: offline now.
    pub fn expire(&mut self, now: Duration) -> Vec<UserId> {
        let mut gone = Vec::new();
        while let Some(entry) = self.leaving.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((_, user), ()) = entry.remove_entry();
            self.users.remove(&user);
            gone.push(user);
        }
        gone
    }

    /// Whether this user is online here.
    #[must_use]
    pub fn is_online(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// From now on this connection wants to know of this user.
    pub fn watch(&mut self, user: &UserId, mailbox: &Arc<Mailbox>) {
        self.watchers.entry(user.clone()).or_default().push(mailbox.clone());
    }

    /// It no longer does.
    pub fn unwatch(&mut self, user: &UserId, mailbox: &Arc<Mailbox>) {
        if let Some(watchers) = self.watchers.get_mut(user) {
            if let Some(place) = watchers.iter().position(|other| Arc::ptr_eq(other, mailbox)) {
                watchers.swap_remove(place);
            }
            if watchers.is_empty() {
                self.watchers.remove(user);
            }
        }
    }

    /// Tells everybody who wants to know of this user.
    pub fn tell(&self, user: &UserId, frame: &Encoded) {
        for mailbox in self.watchers.get(user).into_iter().flatten() {
            let _ = mailbox.offer_signal(frame);
        }
    }

    /// How many users are online, those in their grace time included.
    #[must_use]
    pub fn online(&self) -> usize {
        self.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[test]
    fn a_reload_is_no_departure() {
        let (mut presence, user) = (Presence::default(), UserId::new("u").unwrap());
        assert!(presence.arrive(&user));
        presence.depart(&user, Duration::from_secs(1), GRACE);
        assert!(!presence.arrive(&user), "still online");
        assert_eq!(presence.expire(Duration::from_secs(60)), []);
        presence.depart(&user, Duration::from_secs(60), GRACE);
        assert_eq!(presence.expire(Duration::from_secs(64)), []);
        assert_eq!(presence.expire(Duration::from_secs(65)), std::slice::from_ref(&user));
        assert!(!presence.is_online(&user));
        assert!(presence.leaving.is_empty() && presence.users.is_empty());
    }

    #[test]
    fn two_devices_are_one_presence() {
        let (mut presence, user) = (Presence::default(), UserId::new("u").unwrap());
        assert!(presence.arrive(&user));
        assert!(!presence.arrive(&user));
        presence.depart(&user, Duration::ZERO, GRACE);
        assert_eq!(presence.expire(Duration::from_secs(60)), []);
        assert!(presence.is_online(&user));
    }
}
