//! A store in memory: for tests, simulations, demonstrations and hosts that want nothing kept.
//!
//! The plainest thing that keeps the contract, and deterministic: ordered maps, no clock, no task,
//! no await. What it holds ends with the last clone of it.

#[cfg(feature = "accounts")]
mod accounts;
mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    Checkpoint, Events, FileChange, FileChanged, FileQuery, FileRecord, FileState, Heads, Only,
    Page, Reader, Store, StoreError, Write, Written,
    checkpoint::Stamps,
    plan::{self, Changes, Found, Place, Questions},
};
use crate::model::{
    Access, BlobId, Body, ClientKey, ConversationId, Edit, Emoji, Entrance, Epoch, Event, FileId,
    Kind, Link, LinkId, Listing, Marker, Member, Membership, Memberships, MessageState, Reaction,
    Role, Seq, Summary, Timestamp, Title, Topic, UserId,
};

/// A store in memory. Clones share the data, as nodes share a database.
///
/// A `write` is done when its future is first polled, and no method ever waits, so a simulation
/// that polls in a given order gets a given result. Nothing is ever forgotten: memory grows with
/// what is written.
///
/// ```
/// use chat_sdk::{MemoryStore, Store};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// assert_eq!(store.epoch().await?, store.clone().epoch().await?);
/// assert_ne!(store.epoch().await?, MemoryStore::new().epoch().await?);
/// # Ok::<(), chat_sdk::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
}

/// What a [`MemoryStore`] held at one moment ([`MemoryStore::backup`]).
#[derive(Clone)]
pub struct MemoryBackup(Data);

impl MemoryStore {
    /// An empty store with a random epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::with_epoch(super::checkpoint::random_epoch())
    }

    /// An empty store with this epoch, for runs that must be equal to each other.
    #[must_use]
    pub fn with_epoch(epoch: Epoch) -> Self {
        Self { data: Arc::new(Mutex::new(Data::new(epoch))) }
    }

    /// A copy of everything as it is now.
    #[must_use]
    pub fn backup(&self) -> MemoryBackup {
        MemoryBackup(self.lock().clone())
    }

    /// A store of its own with what the backup holds, in a new life: with another epoch.
    ///
    /// ```
    /// use chat_sdk::{Epoch, MemoryStore};
    /// let store = MemoryStore::new();
    /// let backup = store.backup();
    /// let other = MemoryStore::from_backup(&backup, Epoch::new("second-life").unwrap());
    /// ```
    #[must_use]
    pub fn from_backup(backup: &MemoryBackup, epoch: Epoch) -> Self {
        let store = Self::with_epoch(epoch.clone());
        store.restore(backup, epoch);
        store
    }

    /// Puts what the backup holds in the place of everything here, for all clones at once, as when
    /// somebody restores the database under running nodes.
    pub fn restore(&self, backup: &MemoryBackup, epoch: Epoch) {
        let mut data = backup.0.clone();
        data.stamps = Stamps::of(&epoch);
        data.epoch = epoch;
        *self.lock() = data;
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("nothing panics while it holds the data")
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MemoryBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBackup").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.lock().epoch.clone())
    }

    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        Ok(self.lock().write(batch))
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        Ok(self.lock().memberships(user, since))
    }

    async fn moved(&self, users: &[UserId], since: &Checkpoint) -> Result<Vec<UserId>, StoreError> {
        let data = self.lock();
        let Some(since) = data.stamps.stamp(since, data.stamp) else { return Ok(users.to_vec()) };
        let moved = |user: &&UserId| data.seats_of(user).any(|(_, _, seat)| seat.since > since);
        Ok(users.iter().filter(moved).cloned().collect())
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        let data = self.lock();
        let asked: BTreeSet<_> = conversations.iter().copied().collect();
        let heads =
            asked.into_iter().filter_map(|id| Some((id, data.logs.get(&id)?.head()))).collect();
        Ok(Heads { heads, checkpoint: data.stamps.checkpoint(data.stamp) })
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let data = self.lock();
        Ok(data.readable(reader, conversation).map(|(log, from)| {
            let (_, newer) = log.events.split_at(log.place_after(after.max(from.previous())));
            newer
                .iter()
                .take_while(|event| event.seq <= upto)
                .take(usize::from(limit.get()))
                .cloned()
                .collect()
        }))
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<Events>, StoreError> {
        let data = self.lock();
        let readable = data.readable(reader, conversation);
        Ok(readable.map(|(log, from)| log.page(reader, from, page, only, limit)))
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        let data = self.lock();
        let mut places: Vec<_> = data
            .seats_of(user)
            .filter(|(_, log, seat)| seat.role.is_some() && !log.events.is_empty())
            .map(|(id, log, _)| (log.updated_at(), id))
            .filter(|place| after.is_none_or(|after| *place < after))
            .collect();
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.truncate(usize::from(limit.get()));
        Ok(places.into_iter().filter_map(|(_, id)| data.summary(user, id)).collect())
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        Ok(self.lock().summary(user, conversation))
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        let data = self.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(data.readable(reader, conversation).map(|(log, _)| {
            log.seats
                .range::<UserId, _>((from, Bound::Unbounded))
                .filter_map(|(user, seat)| {
                    Some(Member { user: user.clone(), role: seat.role?, marker: seat.marker })
                })
                .take(usize::from(limit.get()))
                .collect()
        }))
    }

    async fn listing(&self, conversation: ConversationId) -> Result<Option<Listing>, StoreError> {
        Ok(self.lock().logs.get(&conversation).map(|log| log.listing(conversation)))
    }

    async fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Listing>, StoreError> {
        let data = self.lock();
        let public = data.logs.iter().filter(|(_, log)| log.entrance.access == Access::Public);
        let mut public: Vec<_> = public
            .filter_map(|(id, log)| Some((log.title.as_ref()?, *id, log)))
            .filter(|(title, id, _)| {
                after.as_ref().is_none_or(|(last, at)| (title.as_str(), id) > (last.as_str(), at))
            })
            .collect();
        public.sort_unstable_by_key(|(title, id, _)| (title.as_str(), *id));
        let page = public.into_iter().take(usize::from(limit.get()));
        Ok(page.map(|(_, id, log)| log.listing(id)).collect())
    }

    async fn link(&self, link: &LinkId) -> Result<Option<(ConversationId, Link)>, StoreError> {
        let data = self.lock();
        let found = data.logs.iter().find_map(|(id, log)| Some((*id, log.links.get(link)?)));
        Ok(found.map(|(id, link)| (id, link.clone())))
    }

    async fn links(&self, conversation: ConversationId) -> Result<Vec<Link>, StoreError> {
        let data = self.lock();
        let links = data.logs.get(&conversation).map(|log| log.links.values().cloned());
        let mut links: Vec<_> = links.into_iter().flatten().collect();
        links.sort_by(|one, other| (one.at, &one.link).cmp(&(other.at, &other.link)));
        Ok(links)
    }

    async fn change_file(&self, change: FileChange) -> Result<FileChanged, StoreError> {
        Ok(files::change(&mut self.lock().files, change))
    }

    async fn files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        Ok(files::find(&self.lock().files, query))
    }

    async fn stray_blobs(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        Ok(files::strays(&self.lock().files, blobs))
    }
}

#[derive(Clone)]
struct Data {
    epoch: Epoch,
    stamps: Stamps,
    /// Counts commits.
    stamp: u64,
    logs: BTreeMap<ConversationId, Log>,
    /// Which logs a user has a seat in, left ones included.
    seated: BTreeMap<UserId, BTreeSet<ConversationId>>,
    files: BTreeMap<FileId, FileRecord>,
    #[cfg(feature = "accounts")]
    accounts: accounts::Book,
}

#[derive(Clone)]
struct Log {
    kind: Kind,
    title: Option<Title>,
    topic: Option<Topic>,
    entrance: Entrance,
    links: BTreeMap<LinkId, Link>,
    events: Vec<Event>,
    /// In which commit each event was written; ascending.
    stamps: Vec<u64>,
    /// The commit of the last event or the last move of a marker.
    changed: u64,
    seats: BTreeMap<UserId, Seat>,
    keys: BTreeMap<(Option<UserId>, ClientKey), Seq>,
    /// By message and user.
    reactions: BTreeMap<Seq, BTreeMap<UserId, BTreeSet<Emoji>>>,
    pins: BTreeSet<Seq>,
}

/// One who is or was a member. Stays for ever, so that the marker of who comes back is there.
#[derive(Clone, Default)]
struct Seat {
    /// `None`: not a member any more.
    role: Option<Role>,
    marker: Marker,
    visible_from: Seq,
    barred: bool,
    /// The commit in which they last came or went.
    since: u64,
}

impl Data {
    fn new(epoch: Epoch) -> Self {
        Self {
            stamps: Stamps::of(&epoch),
            epoch,
            stamp: 0,
            logs: BTreeMap::new(),
            seated: BTreeMap::new(),
            files: BTreeMap::new(),
            #[cfg(feature = "accounts")]
            accounts: accounts::Book::default(),
        }
    }

    fn write(&mut self, batch: Vec<Write>) -> Vec<Written> {
        let found = self.look_up(&Questions::of(&batch));
        let (answers, changes) = plan::apply(found, batch);
        self.put(changes);
        answers
    }

    fn look_up(&self, asked: &Questions) -> Found {
        let mut found = Found::default();
        for id in &asked.conversations {
            let Some(log) = self.logs.get(id) else { continue };
            let mut place = Place { head: log.head(), entrance: log.entrance, ..Place::default() };
            if asked.counts.contains(id) {
                let roles = || log.seats.values().filter_map(|seat| seat.role);
                place.members = roles().count() as u64;
                place.owners = roles().filter(|role| *role == Role::Owner).count() as u64;
            }
            if asked.crowds.contains(id) {
                let members = log.seats.values().filter(|seat| seat.role.is_some()).count();
                place.crowd = members > Summary::MARKERS_MAX;
            }
            found.conversations.insert(*id, place);
            if asked.opens.contains_key(id) {
                found.firsts.insert(*id, log.events[0].clone());
            }
        }
        for name @ (id, by, key) in &asked.keys {
            let log = self.logs.get(id);
            if let Some(event) = log.and_then(|log| log.keyed(by.as_ref(), key)) {
                found.keyed.insert(name.clone(), event.clone());
            }
        }
        for name @ (id, message) in &asked.messages {
            let log = self.logs.get(id);
            if let Some(event) = log.and_then(|log| log.message(*message)) {
                found.messages.insert(*name, event.from.clone());
            }
        }
        for name @ (id, message, user) in &asked.reactors {
            let log = self.logs.get(id);
            let reactions = log.and_then(|log| log.reactions.get(message)?.get(user));
            found.reactions.insert(name.clone(), reactions.cloned().unwrap_or_default());
        }
        let pinned = |(id, message): &&(ConversationId, Seq)| {
            self.logs.get(id).is_some_and(|log| log.pins.contains(message))
        };
        found.pins = asked.pins.iter().filter(pinned).copied().collect();
        for id in &asked.files {
            let there = self.files.get(id).filter(|it| it.state == FileState::Complete);
            found.files.extend(there.map(|it| (*id, (it.owner.clone(), it.file.clone()))));
        }
        for name @ (id, user) in &asked.seats {
            let log = self.logs.get(id);
            if let Some(seat) = log.and_then(|log| log.seats.get(user)) {
                let Seat { role, marker, visible_from, barred, since: _ } = *seat;
                let seat = plan::Seat { role, marker, visible_from, barred };
                found.seats.insert(name.clone(), seat);
            }
        }
        for name @ (id, link) in &asked.links {
            if let Some(link) = self.logs.get(id).and_then(|log| log.links.get(link)) {
                found.links.insert(name.clone(), link.clone());
            }
        }
        found
    }

    fn put(&mut self, changes: Changes) {
        self.stamp += 1;
        let stamp = self.stamp;
        for event in changes.events {
            let log = match &event.body {
                Body::Created { kind, title, .. } if event.seq == Seq::new(1) => {
                    let log = Log::new(*kind, title.clone());
                    self.logs.entry(event.conversation).or_insert(log)
                }
                _ => self.logs.get_mut(&event.conversation).expect("it was found or opened"),
            };
            log.push(stamp, event);
        }
        for (id, touched) in changes.conversations {
            let log = self.logs.get_mut(&id).expect("it was found or opened");
            log.changed = stamp;
            log.title = touched.title.or(log.title.take());
            if let Some(topic) = touched.topic {
                log.topic = topic;
            }
            log.entrance.access = touched.access.unwrap_or(log.entrance.access);
            log.entrance.history = touched.history.unwrap_or(log.entrance.history);
        }
        for ((id, user), seated) in changes.seats {
            let log = self.logs.get_mut(&id).expect("it was found or opened");
            let seat = log.seats.entry(user.clone()).or_default();
            let plan::Seat { role, marker, visible_from, barred } = seated.seat;
            let since = if seated.since { stamp } else { seat.since };
            *seat = Seat { role, marker, visible_from, barred, since };
            self.seated.entry(user).or_default().insert(id);
        }
        for ((id, message, user, emoji), there) in changes.reactions {
            let log = self.logs.get_mut(&id).expect("it was found or opened");
            let reactions = log.reactions.entry(message).or_default().entry(user).or_default();
            if there {
                reactions.insert(emoji);
            } else {
                reactions.remove(&emoji);
            }
        }
        for ((id, message), pinned) in changes.pins {
            let log = self.logs.get_mut(&id).expect("it was found or opened");
            if pinned {
                log.pins.insert(message);
            } else {
                log.pins.remove(&message);
            }
        }
        for ((id, name), link) in changes.links {
            let log = self.logs.get_mut(&id).expect("it was found or opened");
            match link {
                Some(link) => log.links.insert(name, link),
                None => log.links.remove(&name),
            };
        }
        for (file, (id, message)) in changes.files {
            let record = self.files.get_mut(&file).expect("it was found");
            record.state = FileState::Attached(id, message);
        }
        for (id, message) in changes.erased {
            let carried = |it: &&mut FileRecord| it.state == FileState::Attached(id, message);
            self.files.values_mut().filter(carried).for_each(|it| it.state = FileState::Gone);
            let log = self.logs.get_mut(&id).expect("it was found or opened");
            log.erase(message);
        }
    }

    /// The log, if it exists and this reader may see it, and from where on.
    fn readable(&self, reader: Reader<'_>, conversation: ConversationId) -> Option<(&Log, Seq)> {
        let log = self.logs.get(&conversation)?;
        match reader {
            Reader::System => Some((log, Seq::new(1))),
            Reader::User(user) => {
                let seat = log.seats.get(user)?;
                seat.role.map(|_| (log, seat.visible_from))
            }
        }
    }

    fn seats_of(&self, user: &UserId) -> impl Iterator<Item = (ConversationId, &Log, &Seat)> {
        self.seated.get(user).into_iter().flatten().filter_map(|id| {
            let log = self.logs.get(id)?;
            Some((*id, log, log.seats.get(user)?))
        })
    }

    fn memberships(&self, user: &UserId, since: Option<&Checkpoint>) -> Memberships {
        let since = since.and_then(|since| self.stamps.stamp(since, self.stamp));
        let mut memberships = Memberships::default();
        for (conversation, log, seat) in self.seats_of(user) {
            let came_or_went = since.is_some_and(|since| seat.since > since);
            if seat.role.is_some() {
                let changed_since = since.filter(|since| log.changed > *since).map(|since| {
                    // Who came after the checkpoint has seen nothing of it yet.
                    if came_or_went { Seq::ZERO } else { log.head_at(since) }
                });
                let head = log.head();
                memberships.current.push(Membership { conversation, head, changed_since });
            } else if came_or_went {
                memberships.left.push(conversation);
            }
        }
        memberships
    }

    fn summary(&self, user: &UserId, conversation: ConversationId) -> Option<Summary> {
        let log = self.logs.get(&conversation)?;
        let seat = log.seats.get(user)?;
        let role = seat.role?;
        let members = || log.seats.iter().filter(|(_, seat)| seat.role.is_some());
        let member_count = members().count();
        let markers = if member_count > Summary::MARKERS_MAX {
            Vec::new()
        } else {
            members().map(|(user, seat)| (user.clone(), seat.marker)).collect()
        };
        let other = match log.kind {
            // Who talks to themselves is their own other side.
            Kind::Direct => log.seats.keys().find(|other| *other != user).or(Some(user)).cloned(),
            Kind::Group | Kind::Channel => None,
        };
        let (_, visible) = log.events.split_at(log.place_after(seat.visible_from.previous()));
        let seen = seat.marker.read.max(seat.visible_from.previous());
        let (_, unseen) = log.events.split_at(log.place_after(seen));
        let unread = unseen
            .iter()
            .filter(|event| event.body.counts_as_unread() && event.from.as_ref() != Some(user))
            .count();
        let last = visible.iter().rev().find(|event| matches!(event.body, Body::Message(_)));
        Some(Summary {
            conversation,
            kind: log.kind,
            title: log.title.clone(),
            topic: log.topic.clone(),
            other,
            role,
            entrance: log.entrance,
            visible_from: seat.visible_from,
            member_count: member_count as u64,
            head: log.head(),
            marker: seat.marker,
            unread: unread as u64,
            updated_at: log.updated_at(),
            last: last.cloned(),
            last_edit: last.and_then(|last| log.edit(last.seq)),
            markers,
        })
    }
}

impl Log {
    fn new(kind: Kind, title: Option<Title>) -> Self {
        Self {
            kind,
            title,
            topic: None,
            entrance: Entrance::default(),
            links: BTreeMap::new(),
            events: Vec::new(),
            stamps: Vec::new(),
            changed: 0,
            seats: BTreeMap::new(),
            keys: BTreeMap::new(),
            reactions: BTreeMap::new(),
            pins: BTreeSet::new(),
        }
    }

    fn head(&self) -> Seq {
        self.events.last().map_or(Seq::ZERO, |event| event.seq)
    }

    /// The head after the commit with this stamp.
    fn head_at(&self, stamp: u64) -> Seq {
        Seq::new(self.stamps.partition_point(|at| *at <= stamp) as u64)
    }

    /// Where in `events` the first one after `seq` stands.
    fn place_after(&self, seq: Seq) -> usize {
        self.events.partition_point(|event| event.seq <= seq)
    }

    fn updated_at(&self) -> Timestamp {
        self.events.last().map_or(Timestamp::default(), |event| event.at)
    }

    fn listing(&self, conversation: ConversationId) -> Listing {
        Listing {
            conversation,
            kind: self.kind,
            title: self.title.clone(),
            topic: self.topic.clone(),
            access: self.entrance.access,
            member_count: self.seats.values().filter(|seat| seat.role.is_some()).count() as u64,
        }
    }

    /// The message at this place, if there is one.
    fn message(&self, seq: Seq) -> Option<&Event> {
        let event = self.events.get(self.place_after(seq.previous()))?;
        (event.seq == seq && matches!(event.body, Body::Message(_))).then_some(event)
    }

    /// Takes away what a message says.
    fn erase(&mut self, message: Seq) {
        for event in &mut self.events {
            if event.seq == message || event.body.edits() == Some(message) {
                event.body = Body::Erased;
            }
        }
        self.reactions.remove(&message);
    }

    fn keyed(&self, by: Option<&UserId>, key: &ClientKey) -> Option<&Event> {
        let seq = self.keys.get(&(by.cloned(), key.clone()))?;
        self.events.get(self.place_after(seq.previous()))
    }

    fn push(&mut self, stamp: u64, event: Event) {
        if let Some(key) = &event.key {
            self.keys.insert((event.from.clone(), key.clone()), event.seq);
        }
        self.events.push(event);
        self.stamps.push(stamp);
    }

    fn page(
        &self,
        reader: Reader<'_>,
        from: Seq,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Events {
        let limit = usize::from(limit.get());
        // The page lies around this place: so many at most before it, so many after.
        let (place, before, after) = match page {
            Page::Newest => (self.events.len(), limit, 0),
            Page::Before(seq) => (self.place_after(seq.previous()), limit, 0),
            Page::After(seq) => (self.place_after(seq), 0, limit),
            Page::Around(seq) => {
                let before = (limit - 1) / 2;
                (self.place_after(seq.previous()), before, limit - before)
            }
        };
        let wanted = |event: &&Event| {
            event.seq >= from
                && match only {
                    Only::Everything => true,
                    Only::Messages => matches!(event.body, Body::Message(_)),
                    Only::Pinned => self.pins.contains(&event.seq),
                    Only::EditsOf(message) => event.body.edits() == Some(message),
                }
        };
        let (older, newer) = self.events.split_at(place);
        // One more than wanted tells whether there are more.
        let mut older: Vec<_> = older.iter().rev().filter(wanted).take(before + 1).collect();
        let mut newer: Vec<_> = newer.iter().filter(wanted).take(after + 1).collect();
        let more_before = older.len() > before;
        let more_after = newer.len() > after;
        older.truncate(before);
        newer.truncate(after);
        let events: Vec<Event> = older.into_iter().rev().chain(newer).cloned().collect();
        let shown = events.iter().filter(|_| only.are_messages());
        let states = shown.filter_map(|it| self.state(reader, it.seq)).collect();
        Events { events, more_before, more_after, states, head: self.head() }
    }

    /// What a message says in place of what it said.
    fn edit(&self, message: Seq) -> Option<Edit> {
        let edit = self.events.iter().rev().find(|event| event.body.edits() == Some(message))?;
        edit.body.clone().into_edit(edit.seq, edit.at)
    }

    /// What has become of a message, if anything has.
    fn state(&self, reader: Reader<'_>, message: Seq) -> Option<MessageState> {
        let edit = self.edit(message);
        let mut reactions: BTreeMap<&Emoji, Reaction> = BTreeMap::new();
        for (user, emojis) in self.reactions.get(&message).into_iter().flatten() {
            for emoji in emojis {
                let none = || Reaction { emoji: emoji.clone(), count: 0, mine: false };
                let reaction = reactions.entry(emoji).or_insert_with(none);
                reaction.count += 1;
                reaction.mine |= matches!(reader, Reader::User(reader) if reader == user);
            }
        }
        let reactions: Vec<_> = reactions.into_values().collect();
        let pinned = self.pins.contains(&message);
        let anything = edit.is_some() || !reactions.is_empty() || pinned;
        anything.then_some(MessageState { message, edit, reactions, pinned })
    }
}
