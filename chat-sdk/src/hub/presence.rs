//! Who is here, and who wants to know.
//!
//! A user is online while a connection of theirs is open, and for a grace time after the last one
//! closed. Times are given in, as time since the node began.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::mailbox::Mailbox;
use crate::{
    model::UserId,
    protocol::{Encoded, ServerFrame},
};

/// A node's name for as long as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

/// The presence of users on one node, and what other nodes said of those who are watched here.
///
/// What another node said holds for as long as that node is heard of: a lease. So the users of a node
/// that died go offline without anybody saying so.
#[derive(Debug, Default)]
pub struct Presence {
    users: HashMap<UserId, State>,
    watchers: HashMap<UserId, Vec<Arc<Mailbox>>>,
    /// Who goes offline when, unless they come back.
    leaving: BTreeMap<(Duration, UserId), ()>,
    /// Until when each other node is believed.
    leases: BTreeMap<NodeId, Duration>,
    /// On which other nodes those who are watched here are. Never empty for a user.
    elsewhere: HashMap<UserId, BTreeMap<NodeId, Word>>,
    /// When words in doubt are forgotten.
    doubts_end: Option<Duration>,
}

#[derive(Debug)]
enum State {
    Here(u32),
    /// No connection any more; offline at this time.
    Leaving(Duration),
}

/// What another node said of a user: that they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Holds,
    /// Something was lost since; it has been asked again.
    InDoubt,
}

impl Presence {
    /// A connection of this user opened. True if it is their first here.
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

    /// A connection of this user closed; they are gone after the grace time if none opens.
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

    /// Those whose grace time is over: not here any more.
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

    /// Another node is heard of: it is believed until then. True if it was not known, and so
    /// neither what it would have said.
    pub fn alive(&mut self, node: NodeId, until: Duration) -> bool {
        self.leases.insert(node, until).is_none()
    }

    /// Another node says that this user is there, or no longer. How it is now, if that changed.
    pub fn told(&mut self, node: NodeId, user: &UserId, there: bool) -> Option<bool> {
        if !self.watchers.contains_key(user) {
            return None;
        }
        let before = self.is_online(user);
        if there {
            self.elsewhere.entry(user.clone()).or_default().insert(node, Word::Holds);
        } else if let Some(nodes) = self.elsewhere.get_mut(user) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.elsewhere.remove(user);
            }
        }
        let now = self.is_online(user);
        (before != now).then_some(now)
    }

    /// Another node ended: who was there alone is offline.
    pub fn ended(&mut self, node: NodeId) -> Vec<UserId> {
        self.leases.remove(&node);
        self.keep(|other, _| other != node)
    }

    /// Something that other nodes said may have been lost: what they do not repeat until then is
    /// forgotten. Those to be asked about.
    pub fn doubt(&mut self, until: Duration) -> Vec<UserId> {
        for word in self.elsewhere.values_mut().flat_map(BTreeMap::values_mut) {
            *word = Word::InDoubt;
        }
        self.doubts_end = Some(until);
        self.watchers.keys().cloned().collect()
    }

    /// Forgets what nobody vouches for any more: those who are offline by it.
    pub fn lapse(&mut self, now: Duration) -> Vec<UserId> {
        self.leases.retain(|_, until| *until > now);
        let leases = std::mem::take(&mut self.leases);
        let doubts_end = self.doubts_end.is_some_and(|end| end <= now);
        if doubts_end {
            self.doubts_end = None;
        }
        let gone = self.keep(|node, word| {
            leases.contains_key(&node) && !(doubts_end && word == Word::InDoubt)
        });
        self.leases = leases;
        gone
    }

    fn keep(&mut self, holds: impl Fn(NodeId, Word) -> bool) -> Vec<UserId> {
        let mut gone = Vec::new();
        self.elsewhere.retain(|user, nodes| {
            nodes.retain(|node, word| holds(*node, *word));
            if nodes.is_empty() && !self.users.contains_key(user) {
                gone.push(user.clone());
            }
            !nodes.is_empty()
        });
        // In an order of its own, whatever the hash map's.
        gone.sort_unstable();
        gone
    }

    /// Whether this user is here.
    #[must_use]
    pub fn is_here(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Whether this user is online, here or (of those who are watched) elsewhere.
    #[must_use]
    pub fn is_online(&self, user: &UserId) -> bool {
        self.is_here(user) || self.elsewhere.contains_key(user)
    }

    /// Whether somebody here wants to know of this user.
    #[must_use]
    pub fn is_watched(&self, user: &UserId) -> bool {
        self.watchers.contains_key(user)
    }

    /// Whether this node wants to hear of this user.
    #[must_use]
    pub fn concerns(&self, user: &UserId) -> bool {
        self.is_here(user) || self.is_watched(user)
    }

    /// From now on this connection wants to know of this user. True if nobody here did before: the
    /// other nodes have to be asked.
    pub fn watch(&mut self, user: &UserId, mailbox: &Arc<Mailbox>) -> bool {
        let watchers = self.watchers.entry(user.clone()).or_default();
        watchers.push(mailbox.clone());
        watchers.len() == 1
    }

    /// It no longer does.
    pub fn unwatch(&mut self, user: &UserId, mailbox: &Arc<Mailbox>) {
        if let Some(watchers) = self.watchers.get_mut(user) {
            if let Some(place) = watchers.iter().position(|other| Arc::ptr_eq(other, mailbox)) {
                watchers.swap_remove(place);
            }
            if watchers.is_empty() {
                self.watchers.remove(user);
                self.elsewhere.remove(user);
            }
        }
    }

    /// Tells everybody who wants to know of this user how it is.
    pub fn tell(&self, user: &UserId, online: bool) {
        let Some(watchers) = self.watchers.get(user) else { return };
        let frame = Encoded::text(&ServerFrame::Presence { user: user.clone(), online });
        for mailbox in watchers {
            let _ = mailbox.offer_signal(&frame);
        }
    }

    /// The same of several.
    pub fn tell_all(&self, users: &[UserId], online: bool) {
        users.iter().for_each(|user| self.tell(user, online));
    }

    /// How many users are here, those in their grace time included.
    #[must_use]
    pub fn online(&self) -> usize {
        self.users.len()
    }

    /// How many other nodes are heard of.
    #[must_use]
    pub fn others(&self) -> usize {
        self.leases.len()
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
        assert!(!presence.is_here(&user));
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

    fn watched(presence: &mut Presence, user: &UserId) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::new(1_000));
        presence.watch(user, &mailbox);
        mailbox
    }

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    #[test]
    fn the_users_of_a_node_that_is_not_heard_of_go_offline() {
        let (mut presence, user) = (Presence::default(), UserId::new("u").unwrap());
        let _mailbox = watched(&mut presence, &user);
        assert!(presence.alive(A, Duration::from_secs(15)));
        assert_eq!(presence.told(A, &user, true), Some(true));
        assert_eq!(presence.told(A, &user, true), None, "known already");
        assert_eq!(presence.lapse(Duration::from_secs(14)), []);
        assert!(!presence.alive(A, Duration::from_secs(20)));
        assert_eq!(presence.lapse(Duration::from_secs(19)), []);
        assert_eq!(presence.lapse(Duration::from_secs(20)), std::slice::from_ref(&user));
        assert!(!presence.is_online(&user));
        assert!(presence.alive(A, Duration::from_secs(30)), "it is to be asked again");
    }

    #[test]
    fn who_is_on_two_nodes_is_offline_when_both_say_so() {
        let (mut presence, user) = (Presence::default(), UserId::new("u").unwrap());
        let mailbox = watched(&mut presence, &user);
        presence.arrive(&user);
        assert_eq!(presence.told(A, &user, true), None, "is here too");
        assert_eq!(presence.told(B, &user, true), None);
        presence.depart(&user, Duration::ZERO, GRACE);
        assert_eq!(presence.expire(GRACE), std::slice::from_ref(&user));
        assert!(presence.is_online(&user));
        assert_eq!(presence.told(A, &user, false), None);
        assert_eq!(presence.ended(B), std::slice::from_ref(&user));
        presence.unwatch(&user, &mailbox);
        assert!(presence.elsewhere.is_empty() && presence.watchers.is_empty());
    }

    #[test]
    fn what_is_not_repeated_after_a_loss_is_forgotten() {
        let mut presence = Presence::default();
        let users = ["stays", "went"].map(|user| UserId::new(user).unwrap());
        let _mailboxes = users.each_ref().map(|user| watched(&mut presence, user));
        presence.alive(A, Duration::from_secs(100));
        for user in &users {
            presence.told(A, user, true);
        }
        assert_eq!(presence.doubt(Duration::from_secs(5)).len(), 2);
        assert_eq!(presence.told(A, &users[0], true), None);
        assert_eq!(presence.lapse(Duration::from_secs(4)), []);
        assert_eq!(presence.lapse(Duration::from_secs(5)), users[1..]);
        assert!(presence.is_online(&users[0]) && !presence.is_online(&users[1]));
    }

    #[test]
    fn nothing_is_kept_of_who_is_not_watched() {
        let (mut presence, user) = (Presence::default(), UserId::new("u").unwrap());
        assert_eq!(presence.told(A, &user, true), None);
        assert!(presence.elsewhere.is_empty());
    }
}
