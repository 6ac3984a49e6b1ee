//! Whose connections are open here, and from where.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;

use super::{Node, Position, lock};
use crate::{
    bus::Topic,
    hub::{Mailbox, Presence},
    model::{CredentialId, Identity, UserId},
    protocol::CloseCode,
};

/// The open connections by user, and how many there are from each address.
#[derive(Debug, Default)]
pub(super) struct Registry {
    users: HashMap<UserId, Vec<Entry>>,
    /// Connections on their way in, with whom the upgrade authenticated; as many as there are
    /// handshakes at most.
    newcomers: Vec<(Option<Identity>, Arc<Mailbox>)>,
    /// What was revoked lately, for those who were vouched for before and are not let in yet.
    revoked: VecDeque<Revoked>,
    addresses: HashMap<IpAddr, usize>,
    /// How many from each address are on their way in, and nobody knows who they are.
    strangers: HashMap<IpAddr, usize>,
    /// How many connections there have been.
    arrivals: u64,
}

#[derive(Debug)]
struct Entry {
    mailbox: Arc<Mailbox>,
    identity: Identity,
    /// When it came.
    arrived: Duration,
    /// How many had come before it.
    arrival: u64,
    /// Whether it was told to move because this node has too many.
    told_to_move: bool,
    /// When it last began to follow something; `None`: has not joined.
    follows_since: Option<Duration>,
    /// A moment up to which this connection was given everything that its user is a member of, or
    /// will have been when it is not behind.
    vouched: Option<Position>,
}

/// A credential of a user, or all, that holds no longer since then.
#[derive(Debug)]
struct Revoked {
    user: UserId,
    credential: Option<CredentialId>,
    at: Duration,
}

/// Revocations that are remembered at most; beyond, the oldest is left to the next look at all
/// credentials.
const REVOKED_MAX: usize = 10_000;

/// What became of a connection that wants to be a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registered {
    /// It is.
    Yes,
    /// The user has too many.
    TooMany,
    /// Its credential was revoked since it was vouched for.
    Revoked,
}

impl Registry {
    /// Remembers it for as long as somebody may be on their way in.
    pub(super) fn note_revoked(
        &mut self,
        user: &UserId,
        credential: Option<&CredentialId>,
        now: Duration,
        way_in: Duration,
    ) {
        while self.revoked.front().is_some_and(|it| it.at + way_in < now)
            || self.revoked.len() >= REVOKED_MAX
        {
            self.revoked.pop_front();
        }
        let (user, credential) = (user.clone(), credential.cloned());
        self.revoked.push_back(Revoked { user, credential, at: now });
    }

    /// Whether somebody who was asked about then has been revoked since.
    fn is_revoked(&self, identity: &Identity, asked: Duration) -> bool {
        let mut later = self.revoked.iter().rev().take_while(|it| it.at >= asked);
        later.any(|it| it.user == identity.user && is_by(identity, it.credential.as_ref()))
    }

    /// The mailboxes of a user's connections.
    pub(super) fn mailboxes(&self, user: &UserId) -> Vec<Arc<Mailbox>> {
        self.mailboxes_by(user, None)
    }

    /// Those that were opened by this credential, or all.
    pub(super) fn mailboxes_by(
        &self,
        user: &UserId,
        credential: Option<&CredentialId>,
    ) -> Vec<Arc<Mailbox>> {
        let entries = self.users.get(user).into_iter().flatten();
        entries
            .filter(|entry| is_by(&entry.identity, credential))
            .map(|entry| entry.mailbox.clone())
            .collect()
    }

    /// Those that are not let in yet, by this user's credential.
    pub(super) fn newcomers_by(
        &self,
        user: &UserId,
        credential: Option<&CredentialId>,
    ) -> impl Iterator<Item = &Arc<Mailbox>> {
        let theirs =
            move |identity: &Identity| identity.user == *user && is_by(identity, credential);
        let newcomers = self.newcomers.iter();
        newcomers.filter(move |(it, _)| it.as_ref().is_some_and(theirs)).map(|(_, it)| it)
    }

    /// All that are not let in yet.
    pub(super) fn newcomers(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.newcomers.iter().map(|(_, mailbox)| mailbox)
    }

    fn let_in(&mut self, mailbox: &Arc<Mailbox>) {
        let place = self.newcomers.iter().position(|(_, other)| Arc::ptr_eq(other, mailbox));
        if let Some(place) = place {
            self.newcomers.swap_remove(place);
        }
        if self.newcomers.is_empty() {
            self.newcomers = Vec::new();
        }
    }

    /// The mailboxes of a user's connections that are through their join.
    pub(super) fn joined(&self, user: &UserId) -> Vec<Arc<Mailbox>> {
        let entries = self.users.get(user).into_iter().flatten();
        entries
            .filter(|entry| entry.follows_since.is_some())
            .map(|entry| entry.mailbox.clone())
            .collect()
    }

    /// This connection is through its join.
    pub(super) fn note_joined(&mut self, user: &UserId, mailbox: &Arc<Mailbox>, now: Duration) {
        for entry in self.entries_of(user, mailbox) {
            entry.follows_since = Some(now);
        }
    }

    /// This connection follows something that it did not follow before.
    pub(super) fn note_following(&mut self, user: &UserId, mailbox: &Arc<Mailbox>, now: Duration) {
        for entry in self.entries_of(user, mailbox) {
            // While joining, its join will say so.
            entry.follows_since = entry.follows_since.map(|_| now);
        }
    }

    /// This user's connections follow all that they should; the position speaks for those that did
    /// so before it was begun.
    pub(super) fn vouch(&mut self, user: &UserId, position: &Position) {
        for entry in self.users.get_mut(user).into_iter().flatten() {
            if entry.follows_since.is_some_and(|since| since < position.since) {
                entry.vouched = Some(position.clone());
            }
        }
    }

    /// The resume token for a connection that is behind nowhere.
    pub(super) fn vouched(&mut self, user: &UserId, mailbox: &Arc<Mailbox>) -> Option<Position> {
        self.entries_of(user, mailbox).find_map(|entry| entry.vouched.clone())
    }

    fn entries_of(
        &mut self,
        user: &UserId,
        mailbox: &Arc<Mailbox>,
    ) -> impl Iterator<Item = &mut Entry> {
        let entries = self.users.get_mut(user).into_iter().flatten();
        entries.filter(move |entry| Arc::ptr_eq(&entry.mailbox, mailbox))
    }

    /// Every mailbox, in an order that a simulation can repeat.
    pub(super) fn all(&self) -> Vec<Arc<Mailbox>> {
        let entries = self.users().into_iter().flat_map(|user| &self.users[user]);
        entries.map(|entry| entry.mailbox.clone()).collect()
    }

    /// At most so many of those who came by then count as told to move from now on: who has been here
    /// longest, and nobody a second time, because whoever stays all the same does not know the word
    /// or cannot move.
    pub(super) fn oldest_to_move(&mut self, many: usize, by: Duration) -> Vec<Arc<Mailbox>> {
        let may = |entry: &Entry| {
            entry.arrived <= by && entry.follows_since.is_some() && !entry.told_to_move
        };
        let entries = self.users.values().flatten();
        let mut arrivals: Vec<_> = entries.filter(|it| may(it)).map(|it| it.arrival).collect();
        if many == 0 || arrivals.is_empty() {
            return Vec::new();
        }
        let last = many.min(arrivals.len()) - 1;
        let (_, &mut last, _) = arrivals.select_nth_unstable(last);
        let mut told = Vec::new();
        for entry in self.users.values_mut().flatten() {
            if may(entry) && entry.arrival <= last {
                entry.told_to_move = true;
                told.push((entry.arrival, entry.mailbox.clone()));
            }
        }
        told.sort_unstable_by_key(|(arrival, _)| *arrival);
        told.into_iter().map(|(_, mailbox)| mailbox).collect()
    }

    /// Everybody with a connection.
    pub(super) fn everybody(&self) -> BTreeSet<UserId> {
        self.users.keys().cloned().collect()
    }

    /// Everybody with a connection that is not through its join.
    pub(super) fn joining(&self) -> BTreeSet<UserId> {
        let joining = |entries: &Vec<Entry>| entries.iter().any(|it| it.follows_since.is_none());
        self.users.iter().filter(|(_, it)| joining(it)).map(|(user, _)| user.clone()).collect()
    }

    /// The same as [`everybody`](Self::everybody), in order.
    fn users(&self) -> Vec<&UserId> {
        let mut users: Vec<_> = self.users.keys().collect();
        users.sort_unstable();
        users
    }

    /// Who is behind each connection of this user.
    pub(super) fn identities_of(&self, user: &UserId) -> Vec<(Identity, Arc<Mailbox>)> {
        let entries = self.users.get(user).into_iter().flatten();
        entries.map(|entry| (entry.identity.clone(), entry.mailbox.clone())).collect()
    }

    /// Who is behind each, in the same order.
    pub(super) fn identities(&self) -> Vec<(Identity, Arc<Mailbox>)> {
        let entries = self.users().into_iter().flat_map(|user| &self.users[user]);
        entries.map(|entry| (entry.identity.clone(), entry.mailbox.clone())).collect()
    }
}

/// Whether somebody is in by this credential; by any, if none is named.
fn is_by(identity: &Identity, credential: Option<&CredentialId>) -> bool {
    credential.is_none() || identity.credential.as_ref() == credential
}

/// A place for a connection in the node's count and its address's; given back when dropped.
pub(crate) struct Place {
    node: Arc<Node>,
    address: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.node.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            count_down(&mut lock(&self.node.registry).addresses, address);
        }
    }
}

/// A place among those who are on their way in; given back when dropped.
pub(crate) struct Handshake {
    _permit: OwnedSemaphorePermit,
    /// Where it counts among the strangers.
    stranger: Option<(Arc<Node>, IpAddr)>,
}

impl Handshake {
    /// It is known now who this is.
    pub(crate) fn is_known(&mut self) {
        if let Some((node, address)) = self.stranger.take() {
            count_down(&mut lock(&node.registry).strangers, address);
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.is_known();
    }
}

fn count_down(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The node is full.
    Node,
    /// Too many from this address.
    Address,
    /// Too many of this user.
    User,
}

impl Node {
    /// Bytes that wait for all connections together.
    pub(crate) fn waiting_bytes(&self) -> usize {
        lock(&self.registry).all().iter().map(|mailbox| mailbox.bytes()).sum()
    }

    /// A place for one more who is on the way in; or after which time they may try again.
    pub(crate) fn begin_handshake(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Result<Handshake, Duration> {
        let handshake = self.try_handshake(address);
        handshake.ok_or_else(|| self.refuse_for_a_while())
    }

    fn try_handshake(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Handshake> {
        let permit = self.handshakes.clone().try_acquire_owned().ok()?;
        let stranger = match address.map(subnet) {
            None => None,
            Some(address) => {
                let mut registry = lock(&self.registry);
                let count = registry.strangers.entry(address).or_default();
                // A count of none is never left behind: it is below what is allowed.
                if *count >= self.limits.handshakes_per_address_max {
                    return None;
                }
                *count += 1;
                Some((self.clone(), address))
            }
        };
        Some(Handshake { _permit: permit, stranger })
    }

    /// A place for one more connection.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        user: Option<&UserId>,
    ) -> Result<Place, NoPlace> {
        let address = address.map(subnet);
        let mut registry = lock(&self.registry);
        if let Some(user) = user
            && !self.has_room_for(&registry, user)
        {
            return Err(NoPlace::User);
        }
        if let Some(address) = address {
            let count = registry.addresses.entry(address).or_default();
            if *count >= self.limits.connections_per_address_max {
                return Err(NoPlace::Address);
            }
            *count += 1;
        }
        drop(registry);
        // From here on the place gives back what was counted.
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place { node: self.clone(), address };
        if before >= self.limits.connections_max {
            return Err(NoPlace::Node);
        }
        Ok(place)
    }

    fn has_room_for(&self, registry: &Registry, user: &UserId) -> bool {
        let count = registry.users.get(user).map_or(0, Vec::len);
        count < self.limits.connections_per_user_max
    }

    /// A connection is on its way in, by this credential if the upgrade had one.
    pub(super) fn expect(&self, identity: Option<Identity>, mailbox: &Arc<Mailbox>) {
        lock(&self.registry).newcomers.push((identity, mailbox.clone()));
    }

    /// A connection ended on its way in.
    pub(super) fn turn_away(&self, mailbox: &Arc<Mailbox>) {
        lock(&self.registry).let_in(mailbox);
        mailbox.end();
    }

    /// This connection is this user's, who was vouched for by a question that began at `asked`.
    pub(super) fn register(
        &self,
        identity: &Identity,
        asked: Duration,
        mailbox: &Arc<Mailbox>,
    ) -> Registered {
        {
            let mut registry = lock(&self.registry);
            if !self.has_room_for(&registry, &identity.user) {
                return Registered::TooMany;
            }
            if registry.is_revoked(identity, asked) {
                return Registered::Revoked;
            }
            registry.let_in(mailbox);
            let arrival = registry.arrivals;
            registry.arrivals += 1;
            let entry = Entry {
                mailbox: mailbox.clone(),
                identity: identity.clone(),
                arrived: self.now(),
                arrival,
                told_to_move: false,
                follows_since: None,
                vouched: None,
            };
            let entries = registry.users.entry(identity.user.clone()).or_default();
            // Most have one connection, and a vector that grows by itself begins with four.
            entries.reserve_exact(1);
            entries.push(entry);
        }
        let mut presence = lock(&self.presence);
        let online = presence.is_online(&identity.user);
        if presence.arrive(&identity.user) {
            // Under the lock, so that the last word to the bus is the one that holds.
            self.topics.follow(Topic::User(identity.user.clone()));
            if !online {
                presence.tell(&identity.user, true);
            }
            drop(presence);
            self.say_presence(&identity.user, true);
        }
        Registered::Yes
    }

    /// This connection has another credential of the same user now.
    pub(super) fn renew(&self, identity: &Identity, asked: Duration, mailbox: &Arc<Mailbox>) {
        let mut registry = lock(&self.registry);
        for entry in registry.entries_of(&identity.user, mailbox) {
            entry.identity = identity.clone();
        }
        if registry.is_revoked(identity, asked) {
            mailbox.close(CloseCode::Revoked);
        }
    }

    /// This connection has ended: nothing of it stays.
    pub(super) fn unregister(&self, user: &UserId, mailbox: &Arc<Mailbox>, watched: &[UserId]) {
        {
            let mut registry = lock(&self.registry);
            if let Some(entries) = registry.users.get_mut(user) {
                entries.retain(|entry| !Arc::ptr_eq(&entry.mailbox, mailbox));
                if entries.is_empty() {
                    registry.users.remove(user);
                }
            }
        }
        for conversation in mailbox.end() {
            let mut feeds = self.shards.of(conversation);
            if feeds.forget(conversation, mailbox) {
                self.topics.unfollow(Topic::Conversation(conversation));
            }
        }
        let mut presence = lock(&self.presence);
        for user in watched {
            presence.unwatch(user, mailbox);
            self.forget_user(&presence, user);
        }
        presence.depart(user, self.now(), self.limits.presence_grace);
    }

    /// Ceases to listen for a user who does not concern this node any more.
    fn forget_user(&self, presence: &Presence, user: &UserId) {
        if !presence.concerns(user) {
            self.topics.unfollow(Topic::User(user.clone()));
        }
    }

    /// This connection watches these users and no longer those: how each of them is now.
    pub(super) fn watch(
        &self,
        mailbox: &Arc<Mailbox>,
        users: &[UserId],
        before: &[UserId],
    ) -> Vec<bool> {
        let mut presence = lock(&self.presence);
        let online = users
            .iter()
            .map(|user| {
                if presence.watch(user, mailbox) {
                    // Once the bus listens, the other nodes are asked.
                    self.topics.follow(Topic::User(user.clone()));
                }
                presence.is_online(user)
            })
            .collect();
        for user in before {
            presence.unwatch(user, mailbox);
            self.forget_user(&presence, user);
        }
        online
    }
}

/// Addresses that belong together: one IPv4 address, one IPv6 /64.
fn subnet(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        },
    }
}

/// How often departures are looked at.
const PRESENCE_TICK: Duration = Duration::from_secs(1);

/// Departures, here and elsewhere, until the node stops.
pub(super) async fn keep_house(node: Arc<Node>) {
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(PRESENCE_TICK) => {}
        }
        let gone = {
            let mut presence = lock(&node.presence);
            let lapsed = presence.lapse(node.now());
            presence.tell_all(&lapsed, false);
            let gone = presence.expire(node.now());
            for user in &gone {
                node.forget_user(&presence, user);
                if !presence.is_online(user) {
                    presence.tell(user, false);
                }
            }
            metrics::gauge!("chat_users_online").set(presence.online() as f64);
            metrics::gauge!("chat_other_nodes").set(presence.others() as f64);
            gone
        };
        for user in gone {
            node.say_presence(&user, false);
        }
        metrics::gauge!("chat_connections").set(node.connections() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_came_first_move_first_and_nobody_is_told_twice() {
        let mut registry = Registry::default();
        let mailboxes: Vec<_> = (0..10_u64)
            .map(|arrival| {
                let mailbox = Arc::new(Mailbox::new(1_000));
                // By few users, so that neither map nor list has them in their order.
                let user = UserId::new(format!("u{}", arrival % 3)).unwrap();
                let entry = Entry {
                    mailbox: mailbox.clone(),
                    identity: Identity::new(user.clone()),
                    arrived: Duration::from_secs(arrival / 2),
                    arrival,
                    told_to_move: false,
                    // One is not through its join.
                    follows_since: (arrival != 1).then_some(Duration::ZERO),
                    vouched: None,
                };
                registry.users.entry(user).or_default().push(entry);
                mailbox
            })
            .collect();
        let mut check = |many, by, expected: &[usize]| {
            let told = registry.oldest_to_move(many, Duration::from_secs(by));
            let places = told
                .iter()
                .map(|it| mailboxes.iter().position(|other| Arc::ptr_eq(other, it)).unwrap());
            assert_eq!(places.collect::<Vec<_>>(), expected);
        };
        check(0, 9, &[]);
        check(3, 9, &[0, 2, 3]);
        check(100, 2, &[4, 5]);
        check(2, 9, &[6, 7]);
        check(100, 9, &[8, 9]);
        check(1, 9, &[]);
    }
}
