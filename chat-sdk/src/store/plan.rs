//! What a batch does, worked out between what a store looks up and what it writes down: first what has
//! to be known, then, from what was found, the answers and what changes. The rules of the contract
//! stand here, once for all stores of ours; no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Append, Mark, Open, Refusal, Write, Written};
use crate::{
    model::{
        Access, Body, ClientKey, ConversationId, Emoji, Entrance, Event, File, FileId, History,
        Kind, Link, LinkId, Marker, Role, Seq, Timestamp, Title, Topic, UserId,
    },
    sabotage::{self, Defect},
};

/// What has to be known to apply a batch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Questions {
    /// All conversations of the batch: they are locked in this order.
    pub(super) conversations: BTreeSet<ConversationId>,
    /// Those to be opened, each as the first one of the batch says it.
    pub(super) opens: BTreeMap<ConversationId, (Kind, Option<Title>)>,
    /// Keys that may have been used.
    pub(super) keys: BTreeSet<(ConversationId, Option<UserId>, ClientKey)>,
    /// Those whose role or marker matters.
    pub(super) seats: BTreeSet<(ConversationId, UserId)>,
    /// Where it matters how many members and owners there are.
    pub(super) counts: BTreeSet<ConversationId>,
    /// Where it matters whether there is a [crowd](Place::crowd).
    pub(super) crowds: BTreeSet<ConversationId>,
    /// Messages that are answered or changed.
    pub(super) messages: BTreeSet<(ConversationId, Seq)>,
    /// Those whose emojis on a message matter.
    pub(super) reactors: BTreeSet<(ConversationId, Seq, UserId)>,
    /// Messages of which it matters whether they are pinned.
    pub(super) pins: BTreeSet<(ConversationId, Seq)>,
    /// Links that are made, ended or used.
    pub(super) links: BTreeSet<(ConversationId, LinkId)>,
    /// Files that messages bring: they are locked in this order, after the conversations.
    pub(super) files: BTreeSet<FileId>,
}

impl Questions {
    pub(super) fn of(batch: &[Write]) -> Self {
        let mut asked = Self::default();
        for write in batch {
            match write {
                Write::Open(open) => {
                    asked.conversations.insert(open.conversation);
                    asked
                        .opens
                        .entry(open.conversation)
                        .or_insert_with(|| (open.kind, open.title.clone()));
                }
                Write::Append(append) => {
                    let Append { conversation, by, key, body, requires: _, at: _ } = append;
                    asked.of_event(*conversation, by.as_ref(), key.as_ref(), body);
                }
                Write::Restore(event) => {
                    let Event { conversation, from, key, body, seq: _, at: _ } = event;
                    asked.of_event(*conversation, from.as_ref(), key.as_ref(), body);
                }
                Write::Mark(mark) => {
                    asked.conversations.insert(mark.conversation);
                    asked.seats.insert((mark.conversation, mark.user.clone()));
                    asked.crowds.insert(mark.conversation);
                }
            }
        }
        asked
    }

    fn of_event(
        &mut self,
        conversation: ConversationId,
        by: Option<&UserId>,
        key: Option<&ClientKey>,
        body: &Body,
    ) {
        self.conversations.insert(conversation);
        if let Some(key) = key {
            self.keys.insert((conversation, by.cloned(), key.clone()));
        }
        let mut seat = |user: &UserId| self.seats.insert((conversation, user.clone()));
        if let Some(by) = by {
            seat(by);
        }
        match body {
            Body::Added { users, role: _ } => users.iter().for_each(|user| {
                seat(user);
            }),
            Body::Removed { user } | Body::Role { user, role: _ } => {
                seat(user);
                self.counts.insert(conversation);
            }
            Body::Left => {
                self.counts.insert(conversation);
            }
            Body::Message(message) => {
                self.messages.extend(message.reply_to.map(|it| (conversation, it)));
                self.files.extend(message.files.iter().map(|file| file.id));
            }
            Body::Reacted { message, .. } | Body::Unreacted { message, .. } => {
                self.reactors.extend(by.map(|by| (conversation, *message, by.clone())));
            }
            Body::Deleted { message } | Body::Pinned { message } | Body::Unpinned { message } => {
                self.pins.insert((conversation, *message));
            }
            Body::Linked { link, .. } | Body::Unlinked { link } => {
                self.links.insert((conversation, link.clone()));
            }
            Body::Joined { link, role: _ } => {
                self.links.extend(link.iter().map(|link| (conversation, link.clone())));
            }
            Body::Created { .. }
            | Body::Edited { .. }
            | Body::Erased
            | Body::Title { .. }
            | Body::Topic { .. }
            | Body::Access { .. }
            | Body::History { .. }
            | Body::Other(_) => {}
        }
        self.messages.extend(body.target().map(|it| (conversation, it)));
    }
}

/// What the database answered, and then what it holds after each write.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that exist.
    pub(super) conversations: HashMap<ConversationId, Place>,
    /// The first events of those to be opened that exist already.
    pub(super) firsts: HashMap<ConversationId, Event>,
    pub(super) keyed: HashMap<(ConversationId, Option<UserId>, ClientKey), Event>,
    pub(super) seats: HashMap<(ConversationId, UserId), Seat>,
    /// Those that stand there, by their authors; deleted ones and other events do not count.
    pub(super) messages: HashMap<(ConversationId, Seq), Option<UserId>>,
    pub(super) reactions: HashMap<(ConversationId, Seq, UserId), BTreeSet<Emoji>>,
    pub(super) pins: BTreeSet<(ConversationId, Seq)>,
    pub(super) links: HashMap<(ConversationId, LinkId), Link>,
    /// Those that are complete and that no message carries, with their owners.
    pub(super) files: HashMap<FileId, (UserId, File)>,
}

/// A conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) head: Seq,
    /// Where they were asked for; `members` is at least right about whether anybody remains.
    pub(super) members: u64,
    pub(super) owners: u64,
    /// Whether there were more members than [`Summary::MARKERS_MAX`] before the batch; where it was
    /// asked for.
    pub(super) crowd: bool,
    pub(super) entrance: Entrance,
}

/// One who is or was a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seat {
    /// `None`: not a member any more.
    pub(super) role: Option<Role>,
    pub(super) marker: Marker,
    /// The first event they may see, while they are a member.
    pub(super) visible_from: Seq,
    /// Whether they were removed, and nobody added them since.
    pub(super) barred: bool,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// In the order of their numbers within each conversation.
    pub(super) events: Vec<Event>,
    pub(super) conversations: BTreeMap<ConversationId, Touched>,
    pub(super) seats: BTreeMap<(ConversationId, UserId), Seated>,
    /// Whether the emoji is there now.
    pub(super) reactions: BTreeMap<(ConversationId, Seq, UserId, Emoji), bool>,
    /// Whether the message is pinned now.
    pub(super) pins: BTreeMap<(ConversationId, Seq), bool>,
    /// Files and the messages that carry them now.
    pub(super) files: BTreeMap<FileId, (ConversationId, Seq)>,
    /// Messages whose text has to go, with that of their edits, all emojis on them and their files.
    /// Comes last: what is attached in the same batch goes too.
    pub(super) erased: BTreeSet<(ConversationId, Seq)>,
    /// Links as they are now; `None`: they are no more.
    pub(super) links: BTreeMap<(ConversationId, LinkId), Option<Link>>,
}

/// A conversation that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) head: Seq,
    /// `None`: there is no new event.
    pub(super) updated_at: Option<Timestamp>,
    /// `None`: as before.
    pub(super) title: Option<Title>,
    /// `None`: as before; `Some(None)`: none any more.
    pub(super) topic: Option<Option<Topic>>,
    /// `None`: as before.
    pub(super) access: Option<Access>,
    /// `None`: as before.
    pub(super) history: Option<History>,
}

/// A seat as it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seated {
    pub(super) seat: Seat,
    /// Whether they have another role than before, or none.
    pub(super) role: bool,
    /// Whether they came or went.
    pub(super) since: bool,
}

/// Applies the writes one after the other.
pub(super) fn apply(found: Found, batch: Vec<Write>) -> (Vec<Written>, Changes) {
    let targets = |write: &Write| match write {
        Write::Append(Append { body, .. }) | Write::Restore(Event { body, .. }) => match body {
            Body::Message(message) => message.reply_to.is_some(),
            body => body.target().is_some(),
        },
        Write::Open(_) | Write::Mark(_) => false,
    };
    let targeted = batch.iter().any(targets);
    let mut plan = Plan { found, changes: Changes::default(), targeted };
    let answers = batch
        .into_iter()
        .map(|write| match write {
            Write::Open(open) => plan.open(open),
            Write::Append(append) => plan.append(append).unwrap_or_else(Written::Refused),
            Write::Mark(mark) => plan.mark(&mark).unwrap_or_else(Written::Refused),
            Write::Restore(event) => plan.restore(event).unwrap_or_else(Written::Refused),
        })
        .collect();
    (answers, plan.changes)
}

struct Plan {
    found: Found,
    changes: Changes,
    /// Whether a write of the batch is about a message, which may be one of the same batch.
    targeted: bool,
}

impl Plan {
    fn open(&mut self, open: Open) -> Written {
        if let Some(event) = self.found.firsts.get(&open.conversation) {
            return Written::Event { event: event.clone(), fresh: false };
        }
        let Open { conversation, kind, title, by, key, members, entrance, at } = open;
        let owner = match kind {
            Kind::Direct => None,
            Kind::Group | Kind::Channel => {
                by.as_ref().filter(|by| members.contains(by)).or(members.first())
            }
        };
        self.found.conversations.insert(conversation, Place::default());
        for user in &members {
            let role = if Some(user) == owner { Role::Owner } else { kind.newcomer() };
            if self.seat(conversation, user).role.is_none() {
                self.put(conversation, user, Some(role));
            }
        }
        let Entrance { access, history } = entrance;
        let body = Body::Created { kind, title, members, access, history };
        let event = self.push(conversation, by, key, at, body);
        if entrance != Entrance::default() {
            self.enter_by(conversation, Some(access), Some(history));
        }
        self.found.firsts.insert(conversation, event.clone());
        Written::Event { event, fresh: true }
    }

    fn append(&mut self, append: Append) -> Result<Written, Refusal> {
        let Append { conversation, by, requires, key, at, body } = append;
        if !self.found.conversations.contains_key(&conversation) {
            return Err(Refusal::NotMember);
        }
        let role = match &by {
            Some(user) => match self.seat(conversation, user).role {
                None if matches!(body, Body::Joined { .. }) => None,
                role => Some(role.ok_or(Refusal::NotMember)?),
            },
            None => None,
        };
        if let Some(key) = &key
            && let Some(event) = self.found.keyed.get(&(conversation, by.clone(), key.clone()))
        {
            // What is deleted since cannot be compared any more.
            return if event.body == body || event.body == Body::Erased {
                Ok(Written::Event { event: event.clone(), fresh: false })
            } else {
                Err(Refusal::KeyConflict)
            };
        }
        if role.is_some_and(|role| role < requires) {
            return Err(Refusal::RoleTooLow);
        }
        self.check(conversation, by.as_ref(), role, &body)?;
        self.check_entrance(conversation, by.as_ref(), at, &body)?;
        self.check_target(conversation, by.as_ref(), role, &body)?;
        self.check_files(by.as_ref(), &body)?;
        self.take_effect(conversation, by.as_ref(), at, &body);
        let event = self.push(conversation, by, key, at, body);
        self.attach(&event);
        Ok(Written::Event { event, fresh: true })
    }

    fn restore(&mut self, event: Event) -> Result<Written, Refusal> {
        let Event { conversation, seq, at, from, key, body } = event;
        let place = self.found.conversations.get(&conversation).ok_or(Refusal::OutOfPlace)?;
        // Nothing speaks of what comes later.
        if seq != place.head.next() || body.target().is_some_and(|target| target >= seq) {
            return Err(Refusal::OutOfPlace);
        }
        if let Some(key) = &key
            && self.found.keyed.contains_key(&(conversation, from.clone(), key.clone()))
        {
            return Err(Refusal::KeyConflict);
        }
        let gone = body
            .target()
            .is_some_and(|message| !self.found.messages.contains_key(&(conversation, message)));
        if !gone {
            self.take_effect(conversation, from.as_ref(), at, &body);
        }
        let event = self.push(conversation, from, key, at, body);
        self.attach(&event);
        Ok(Written::Event { event, fresh: true })
    }

    /// What changes with this event, but for the log itself.
    fn take_effect(
        &mut self,
        conversation: ConversationId,
        by: Option<&UserId>,
        at: Timestamp,
        body: &Body,
    ) {
        match body {
            Body::Added { users, role } => {
                for user in users {
                    if self.seat(conversation, user).role.is_none() {
                        self.put(conversation, user, Some(*role));
                    }
                }
            }
            Body::Removed { user } => {
                self.put(conversation, user, None);
                let seat = Seat { barred: true, ..self.seat(conversation, user) };
                self.seated(conversation, user, seat).role = true;
            }
            Body::Left => {
                if let Some(user) = by {
                    self.put(conversation, user, None);
                }
            }
            Body::Role { user, role } => self.put(conversation, user, Some(*role)),
            Body::Title { title } => {
                self.touched(conversation).title = Some(title.clone());
            }
            Body::Topic { topic } => {
                self.touched(conversation).topic = Some(topic.clone());
            }
            Body::Access { access } => self.enter_by(conversation, Some(*access), None),
            Body::History { history } => self.enter_by(conversation, None, Some(*history)),
            Body::Linked { link, expires_at, uses_max } => {
                let (expires_at, uses_max) = (*expires_at, *uses_max);
                let made =
                    Link { link: link.clone(), by: by.cloned(), at, expires_at, uses_max, uses: 0 };
                self.put_link((conversation, link.clone()), Some(made));
            }
            Body::Unlinked { link } => self.put_link((conversation, link.clone()), None),
            Body::Joined { link, role } => {
                let name = link.clone().map(|link| (conversation, link));
                if let Some((name, link)) = name.and_then(|it| self.found.links.remove_entry(&it)) {
                    let uses = link.uses.saturating_add(1);
                    self.put_link(name, Some(Link { uses, ..link }));
                }
                if let Some(by) = by.filter(|by| self.seat(conversation, by).role.is_none()) {
                    self.put(conversation, by, Some(*role));
                }
            }
            Body::Deleted { message } => self.erase((conversation, *message)),
            Body::Reacted { message, emoji } => {
                self.react(conversation, *message, by, emoji, true);
            }
            Body::Unreacted { message, emoji } => {
                self.react(conversation, *message, by, emoji, false);
            }
            Body::Pinned { message } => self.pin((conversation, *message), true),
            Body::Unpinned { message } => self.pin((conversation, *message), false),
            Body::Created { .. }
            | Body::Message(_)
            | Body::Edited { .. }
            | Body::Erased
            | Body::Other(_) => {}
        }
    }

    fn mark(&mut self, mark: &Mark) -> Result<Written, Refusal> {
        let Mark { conversation, user, marker } = mark;
        let place = self.found.conversations.get(conversation).ok_or(Refusal::NotMember)?;
        let (head, crowd) = (place.head, place.crowd);
        let seat = self.seat(*conversation, user);
        seat.role.ok_or(Refusal::NotMember)?;
        let last = sabotage::on(Defect::MarkerLastWriterWins);
        let before = if last { Marker::default() } else { seat.marker };
        let marker = before.merge(*marker, head);
        let moved = marker != seat.marker;
        if moved {
            self.seated(*conversation, user, Seat { marker, ..seat });
            self.touched(*conversation);
        }
        Ok(Written::Marker { marker, moved, crowd })
    }

    /// Whether the change of membership that `body` means is possible.
    fn check(
        &self,
        conversation: ConversationId,
        by: Option<&UserId>,
        own: Option<Role>,
        body: &Body,
    ) -> Result<(), Refusal> {
        // The system outranks everybody.
        let outranks = |role: Role| own.is_none_or(|own| own.outranks(role));
        if let Body::Added { users: _, role } = body
            && !outranks(*role)
        {
            return Err(Refusal::RoleTooLow);
        }
        // Who is a member no more, or with which role, once it is done.
        let (target, then) = match body {
            Body::Removed { user } => (Some(user), None),
            Body::Left => (by, None),
            Body::Role { user, role } => (Some(user), Some(*role)),
            _ => return Ok(()),
        };
        let now = target.and_then(|target| self.seat(conversation, target).role);
        let now = now.ok_or(Refusal::NoSuchMember)?;
        // Everybody may step down.
        let steps_down = target == by && then < Some(now);
        let may = steps_down || (outranks(now) && then.is_none_or(outranks));
        if !may {
            return Err(Refusal::RoleTooLow);
        }
        let place = self.found.conversations.get(&conversation).copied().unwrap_or_default();
        let is_owner = |role: Option<Role>| u64::from(role == Some(Role::Owner));
        let members = (place.members + u64::from(then.is_some())).saturating_sub(1);
        let owners = (place.owners + is_owner(then)).saturating_sub(is_owner(Some(now)));
        if members > 0 && owners == 0 {
            return Err(Refusal::LastOwner);
        }
        Ok(())
    }

    /// Whether somebody may come in by themselves as `body` says, or a link can be made or ended.
    fn check_entrance(
        &self,
        conversation: ConversationId,
        by: Option<&UserId>,
        at: Timestamp,
        body: &Body,
    ) -> Result<(), Refusal> {
        let link = |link: &LinkId| self.found.links.get(&(conversation, link.clone()));
        match body {
            Body::Linked { link: name, .. } if link(name).is_some() => Err(Refusal::NoChange),
            Body::Unlinked { link: name } if link(name).is_none() => Err(Refusal::NoSuchLink),
            Body::Joined { link: by_link, role } => {
                let seat = self.seat(conversation, by.ok_or(Refusal::NotMember)?);
                let place = self.found.conversations.get(&conversation);
                let public = place.is_some_and(|it| it.entrance.access == Access::Public);
                match by_link {
                    Some(name) => {
                        let open = link(name).is_some_and(|link| link.is_open(at));
                        // Who is in needs no link: their second attempt finds it used up.
                        if !open && seat.role.is_none() {
                            return Err(Refusal::NoSuchLink);
                        }
                    }
                    None if public => {}
                    None => return Err(Refusal::NotMember),
                }
                if seat.role.is_some() {
                    Err(Refusal::NoChange)
                } else if seat.barred {
                    Err(Refusal::Barred)
                } else if *role >= Role::Admin {
                    Err(Refusal::RoleTooLow)
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    fn enter_by(
        &mut self,
        conversation: ConversationId,
        access: Option<Access>,
        history: Option<History>,
    ) {
        if let Some(place) = self.found.conversations.get_mut(&conversation) {
            place.entrance.access = access.unwrap_or(place.entrance.access);
            place.entrance.history = history.unwrap_or(place.entrance.history);
        }
        let touched = self.touched(conversation);
        touched.access = access.or(touched.access);
        touched.history = history.or(touched.history);
    }

    fn put_link(&mut self, name: (ConversationId, LinkId), link: Option<Link>) {
        match &link {
            Some(link) => self.found.links.insert(name.clone(), link.clone()),
            None => self.found.links.remove(&name),
        };
        self.changes.links.insert(name, link);
    }

    /// Whether the message that `body` answers or changes may be by this user.
    fn check_target(
        &self,
        conversation: ConversationId,
        by: Option<&UserId>,
        role: Option<Role>,
        body: &Body,
    ) -> Result<(), Refusal> {
        let from = by.map_or(Seq::ZERO, |by| self.seat(conversation, by).visible_from);
        let visible = |message| {
            let author = self.found.messages.get(&(conversation, message));
            author.filter(|_| message >= from).ok_or(Refusal::NoSuchMessage)
        };
        if let Body::Message(message) = body {
            return message.reply_to.map_or(Ok(()), |it| visible(it).map(|_| ()));
        }
        let Some(message) = body.target() else { return Ok(()) };
        let author = visible(message)?;
        let own = author.as_ref() == by;
        match body {
            Body::Edited { .. } if !own => Err(Refusal::NotAuthor),
            Body::Deleted { .. } if !own && role.is_some_and(|role| role < Role::Admin) => {
                Err(Refusal::NotAuthor)
            }
            Body::Reacted { emoji, .. } | Body::Unreacted { emoji, .. } => {
                // An emoji is somebody's.
                let by = by.ok_or(Refusal::NotMember)?;
                let there = self.found.reactions.get(&(conversation, message, by.clone()));
                let count = there.map_or(0, BTreeSet::len);
                let there = there.is_some_and(|there| there.contains(emoji));
                let wanted = matches!(body, Body::Reacted { .. });
                if there == wanted {
                    Err(Refusal::NoChange)
                } else if wanted && count >= Append::REACTIONS_MAX {
                    Err(Refusal::TooManyReactions)
                } else {
                    Ok(())
                }
            }
            Body::Pinned { .. } | Body::Unpinned { .. } => {
                let pinned = self.found.pins.contains(&(conversation, message));
                let wanted = matches!(body, Body::Pinned { .. });
                if pinned == wanted { Err(Refusal::NoChange) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Whether the files that a message brings are there for it, each once.
    fn check_files(&self, by: Option<&UserId>, body: &Body) -> Result<(), Refusal> {
        let Body::Message(message) = body else { return Ok(()) };
        let mut named = BTreeSet::new();
        for file in &message.files {
            let there = self.found.files.get(&file.id);
            let fits = there.is_some_and(|(owner, found)| Some(owner) == by && found == file);
            if !fits || !named.insert(file.id) {
                return Err(Refusal::NoSuchFile);
            }
        }
        Ok(())
    }

    fn attach(&mut self, event: &Event) {
        let Body::Message(message) = &event.body else { return };
        for file in &message.files {
            let there = self.found.files.get(&file.id);
            if there.is_some_and(|(owner, _)| Some(owner) == event.from.as_ref()) {
                self.found.files.remove(&file.id);
                self.changes.files.insert(file.id, (event.conversation, event.seq));
            }
        }
    }

    fn react(
        &mut self,
        conversation: ConversationId,
        message: Seq,
        by: Option<&UserId>,
        emoji: &Emoji,
        there: bool,
    ) {
        let Some(by) = by else { return };
        let reactions =
            self.found.reactions.entry((conversation, message, by.clone())).or_default();
        if there {
            reactions.insert(emoji.clone());
        } else {
            reactions.remove(emoji);
        }
        let name = (conversation, message, by.clone(), emoji.clone());
        self.changes.reactions.insert(name, there);
    }

    fn pin(&mut self, message: (ConversationId, Seq), pinned: bool) {
        if pinned {
            self.found.pins.insert(message);
        } else {
            self.found.pins.remove(&message);
        }
        self.changes.pins.insert(message, pinned);
    }

    fn erase(&mut self, message: (ConversationId, Seq)) {
        self.found.messages.remove(&message);
        if self.found.pins.contains(&message) {
            self.pin(message, false);
        }
        let (conversation, seq) = message;
        self.changes.reactions.retain(|(id, on, ..), _| (*id, *on) != message);
        let gone = |event: &&mut Event| {
            event.conversation == conversation
                && (event.seq == seq || event.body.edits() == Some(seq))
        };
        // Those of this batch, and what a key of this batch stands for; the others are the store's.
        let keyed = self.found.keyed.values_mut();
        for event in self.changes.events.iter_mut().chain(keyed).filter(gone) {
            event.body = Body::Erased;
        }
        self.changes.erased.insert(message);
    }

    fn seat(&self, conversation: ConversationId, user: &UserId) -> Seat {
        self.found.seats.get(&(conversation, user.clone())).copied().unwrap_or_default()
    }

    /// Gives somebody this role, or none; their marker stays.
    fn put(&mut self, conversation: ConversationId, user: &UserId, role: Option<Role>) {
        let before = self.seat(conversation, user);
        if let Some(place) = self.found.conversations.get_mut(&conversation) {
            let owner = |role: Option<Role>| u64::from(role == Some(Role::Owner));
            let member = |role: Option<Role>| u64::from(role.is_some());
            // Where nobody asked for the numbers they begin at zero and mean nothing.
            place.members = (place.members + member(role)).saturating_sub(member(before.role));
            place.owners = (place.owners + owner(role)).saturating_sub(owner(before.role));
        }
        let mut seat = Seat { role, ..before };
        if role.is_some() && before.role.is_none() {
            // Who comes in.
            let place = self.found.conversations.get(&conversation).copied().unwrap_or_default();
            seat.barred = false;
            seat.visible_from = match place.entrance.history {
                History::All => Seq::new(1),
                History::SinceJoining => place.head.next(),
            };
        }
        let seated = self.seated(conversation, user, seat);
        seated.role |= before.role != role;
        seated.since |= before.role.is_some() != role.is_some();
    }

    fn seated(&mut self, conversation: ConversationId, user: &UserId, seat: Seat) -> &mut Seated {
        let name = (conversation, user.clone());
        self.found.seats.insert(name.clone(), seat);
        let seated = self.changes.seats.entry(name).or_default();
        seated.seat = seat;
        seated
    }

    fn touched(&mut self, conversation: ConversationId) -> &mut Touched {
        let head = self.found.conversations.get(&conversation).map_or(Seq::ZERO, |it| it.head);
        let touched = self.changes.conversations.entry(conversation).or_default();
        touched.head = head;
        touched
    }

    fn push(
        &mut self,
        conversation: ConversationId,
        from: Option<UserId>,
        key: Option<ClientKey>,
        at: Timestamp,
        body: Body,
    ) -> Event {
        let place = self.found.conversations.entry(conversation).or_default();
        place.head = place.head.next();
        let event =
            Event { conversation, seq: place.head, at, from: from.clone(), key: key.clone(), body };
        if let Some(key) = key {
            self.found.keyed.insert((conversation, from.clone(), key), event.clone());
        }
        if self.targeted && matches!(event.body, Body::Message(_)) {
            self.found.messages.insert((conversation, event.seq), from);
        }
        self.touched(conversation).updated_at = Some(at);
        self.changes.events.push(event.clone());
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Message, Text};

    const ID: ConversationId = ConversationId::from_bytes([7; 16]);

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn message(text: &str) -> Body {
        Body::Message(Message::new(Text::new(text).unwrap()))
    }

    fn append(by: &str, key: Option<&str>, body: Body) -> Write {
        Write::Append(Append {
            conversation: ID,
            by: Some(user(by)),
            requires: Role::Member,
            key: key.map(|key| ClientKey::new(key).unwrap()),
            at: Timestamp::from_millis(9),
            body,
        })
    }

    fn open(members: &[&str]) -> Write {
        Write::Open(Open {
            conversation: ID,
            kind: Kind::Group,
            title: None,
            by: Some(user(members[0])),
            key: None,
            members: members.iter().map(|name| user(name)).collect(),
            entrance: Entrance::default(),
            at: Timestamp::from_millis(5),
        })
    }

    /// A group of `members` with this head, whose first member is its owner.
    fn there(head: u64, members: &[&str]) -> Found {
        let mut found = Found::default();
        let place = Place {
            head: Seq::new(head),
            members: members.len() as u64,
            owners: 1,
            ..Place::default()
        };
        found.conversations.insert(ID, place);
        for (index, name) in members.iter().enumerate() {
            let role = if index == 0 { Role::Owner } else { Role::Member };
            let seat = Seat { role: Some(role), visible_from: Seq::new(1), ..Seat::default() };
            found.seats.insert((ID, user(name)), seat);
        }
        found
    }

    /// The answers, short: the number and whether it is new, or the refusal.
    fn answers(found: Found, batch: Vec<Write>) -> Vec<Result<(u64, bool), Refusal>> {
        let short = |written| match written {
            Written::Event { event, fresh } => Ok((event.seq.get(), fresh)),
            Written::Marker { marker, moved, .. } => Ok((marker.received.get(), moved)),
            Written::Refused(refusal) => Err(refusal),
        };
        apply(found, batch).0.into_iter().map(short).collect()
    }

    #[test]
    fn writes_take_effect_one_after_the_other() {
        let batch = vec![
            append("ann", None, message("too early")),
            open(&["ann", "bob"]),
            append("ann", Some("k"), message("hi")),
            append("ann", Some("k"), message("hi")),
            append("ann", Some("k"), message("other")),
            append("bob", Some("k"), message("hi")),
            open(&["eve"]),
            append("eve", None, message("hi")),
        ];
        let expected = [
            Err(Refusal::NotMember),
            Ok((1, true)),
            Ok((2, true)),
            Ok((2, false)),
            Err(Refusal::KeyConflict),
            Ok((3, true)),
            Ok((1, false)),
            Err(Refusal::NotMember),
        ];
        assert_eq!(answers(Found::default(), batch), expected);
    }

    #[test]
    fn a_key_of_the_database_takes_no_number_and_changes_nothing() {
        let mut found = there(5, &["ann"]);
        let body = message("hi");
        let first = Event {
            conversation: ID,
            seq: Seq::new(3),
            at: Timestamp::default(),
            from: Some(user("ann")),
            key: ClientKey::new("k").ok(),
            body: body.clone(),
        };
        let name = (ID, Some(user("ann")), ClientKey::new("k").unwrap());
        found.keyed.insert(name, first.clone());
        let (answers, changes) = apply(found, vec![append("ann", Some("k"), body)]);
        assert_eq!(answers, [Written::Event { event: first, fresh: false }]);
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn the_last_owner_stays_while_there_are_others() {
        let batch = || {
            vec![
                append("ann", None, Body::Left),
                append("ann", None, Body::Role { user: user("bob"), role: Role::Owner }),
                append("ann", None, Body::Left),
                append("ann", None, message("gone")),
                append("bob", None, Body::Left),
            ]
        };
        let expected = [
            Err(Refusal::LastOwner),
            Ok((2, true)),
            Ok((3, true)),
            Err(Refusal::NotMember),
            Ok((4, true)),
        ];
        assert_eq!(answers(there(1, &["ann", "bob"]), batch()), expected);
    }

    #[test]
    fn who_comes_back_in_one_batch_came_and_keeps_their_marker() {
        let mark = Write::Mark(Mark {
            conversation: ID,
            user: user("bob"),
            marker: Marker { received: Seq::new(9), read: Seq::new(1) },
        });
        let batch = vec![
            mark,
            append("bob", None, Body::Left),
            append(
                "ann",
                None,
                Body::Added { users: vec![user("bob"), user("ann")], role: Role::Member },
            ),
        ];
        let (answers, changes) = apply(there(2, &["ann", "bob"]), batch);
        let marker = Marker { received: Seq::new(2), read: Seq::new(1) };
        assert_eq!(answers[0], Written::Marker { marker, moved: true, crowd: false });
        let seat =
            Seat { role: Some(Role::Member), marker, visible_from: Seq::new(1), barred: false };
        let expected = [((ID, user("bob")), Seated { seat, role: true, since: true })];
        assert_eq!(changes.seats, BTreeMap::from(expected));
        let touched = &changes.conversations[&ID];
        assert_eq!((touched.head.get(), touched.updated_at), (4, Some(Timestamp::from_millis(9))));
    }

    #[test]
    fn a_marker_that_stays_changes_nothing() {
        let mark = |user_: &str| {
            Write::Mark(Mark { conversation: ID, user: user(user_), marker: Marker::default() })
        };
        let (answers, changes) = apply(there(2, &["ann"]), vec![mark("ann"), mark("bob")]);
        let unmoved = Written::Marker { marker: Marker::default(), moved: false, crowd: false };
        assert_eq!(answers[0], unmoved);
        assert_eq!(answers[1], Written::Refused(Refusal::NotMember));
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn what_has_to_be_known_follows_from_the_batch() {
        let asked = Questions::of(&[
            open(&["ann"]),
            append("ann", Some("k"), message("hi")),
            append("bob", None, Body::Removed { user: user("eve") }),
        ]);
        assert_eq!(asked.conversations, BTreeSet::from([ID]));
        assert_eq!(asked.counts, BTreeSet::from([ID]));
        assert_eq!(asked.keys.len(), 1);
        let seats = ["ann", "bob", "eve"].map(|name| (ID, user(name)));
        assert_eq!(asked.seats, BTreeSet::from(seats));
    }
}
