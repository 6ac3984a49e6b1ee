//! The contract a second time, as slow and plain as can be: the truth is the list of events, and
//! everything else is computed from it each time.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{
        Body, ConversationId, Edit, Emoji, Event, Kind, Marker, Member, MessageState, Reaction,
        Receipts, Role, Seq, Summary, Timestamp, UserId,
    },
    store::{Append, Events, Mark, Only, Open, Page, Refusal, Write, Written},
};

#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) logs: BTreeMap<ConversationId, Log>,
}

#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) events: Vec<Event>,
    /// Also of those who left.
    markers: BTreeMap<UserId, Marker>,
}

impl Model {
    pub(super) fn write(&mut self, write: &Write) -> Written {
        match write {
            Write::Open(open) => self.open(open),
            Write::Append(append) => self.append(append).unwrap_or_else(Written::Refused),
            Write::Mark(mark) => self.mark(mark).unwrap_or_else(Written::Refused),
            Write::Restore(event) => self.restore(event).unwrap_or_else(Written::Refused),
        }
    }

    fn open(&mut self, open: &Open) -> Written {
        let log = self.logs.entry(open.conversation).or_default();
        let fresh = log.events.is_empty();
        if fresh {
            log.events.push(Event {
                conversation: open.conversation,
                seq: Seq::new(1),
                at: open.at,
                from: open.by.clone(),
                key: open.key.clone(),
                body: Body::Created {
                    kind: open.kind,
                    title: open.title.clone(),
                    members: open.members.clone(),
                },
            });
        }
        Written::Event { event: log.events[0].clone(), fresh }
    }

    fn append(&mut self, append: &Append) -> Result<Written, Refusal> {
        let log = self.logs.get_mut(&append.conversation).ok_or(Refusal::NotMember)?;
        let mut members = log.members();
        let role = append.by.as_ref().map(|by| members.get(by).copied());
        if role == Some(None) {
            return Err(Refusal::NotMember);
        }
        let first = log.events.iter().find(|event| {
            append.key.is_some() && event.key == append.key && event.from == append.by
        });
        if let Some(first) = first {
            return if first.body == append.body || first.body == Body::Erased {
                Ok(Written::Event { event: first.clone(), fresh: false })
            } else {
                Err(Refusal::KeyConflict)
            };
        }
        if role.flatten().is_some_and(|role| role < append.requires) {
            return Err(Refusal::RoleTooLow);
        }
        let own = role.flatten();
        log.check_target(append.by.as_ref(), role.flatten(), &append.body)?;
        let event = Event {
            conversation: append.conversation,
            seq: Seq::new(log.events.len() as u64 + 1),
            at: append.at,
            from: append.by.clone(),
            key: append.key.clone(),
            body: append.body.clone(),
        };
        // Nobody decides on their equals, or makes somebody one; owners do.
        let too_low = |role: &Role| own.is_some_and(|own| own <= *role && own < Role::Owner);
        let departs = match &event.body {
            Body::Added { role, .. } if too_low(role) => return Err(Refusal::RoleTooLow),
            Body::Removed { user } | Body::Role { user, .. } => {
                let has = members.get(user).ok_or(Refusal::NoSuchMember)?;
                let gets = match &event.body {
                    Body::Role { role, .. } => Some(role),
                    _ => None,
                };
                let gives_up = event.from.as_ref() == Some(user) && gets < Some(has);
                if !gives_up && (too_low(has) || gets.is_some_and(too_low)) {
                    return Err(Refusal::RoleTooLow);
                }
                true
            }
            Body::Left => true,
            _ => false,
        };
        replay(&mut members, &event);
        if departs && !members.is_empty() && !members.values().any(|role| *role == Role::Owner) {
            return Err(Refusal::LastOwner);
        }
        log.push(event.clone());
        Ok(Written::Event { event, fresh: true })
    }

    fn restore(&mut self, event: &Event) -> Result<Written, Refusal> {
        let log = self.logs.get_mut(&event.conversation).ok_or(Refusal::OutOfPlace)?;
        let speaks_of_later = event.body.target().is_some_and(|target| target >= event.seq);
        if event.seq != log.head().next() || speaks_of_later {
            return Err(Refusal::OutOfPlace);
        }
        let same_key =
            |old: &Event| event.key.is_some() && old.key == event.key && old.from == event.from;
        if log.events.iter().any(same_key) {
            return Err(Refusal::KeyConflict);
        }
        log.push(event.clone());
        Ok(Written::Event { event: event.clone(), fresh: true })
    }

    fn mark(&mut self, mark: &Mark) -> Result<Written, Refusal> {
        let log = self.logs.get_mut(&mark.conversation).ok_or(Refusal::NotMember)?;
        if !log.members().contains_key(&mark.user) {
            return Err(Refusal::NotMember);
        }
        let crowd = log.members().len() > Summary::MARKERS_MAX;
        let before = log.marker(&mark.user);
        let marker = before.merge(mark.marker, log.head());
        log.markers.insert(mark.user.clone(), marker);
        Ok(Written::Marker { marker, moved: marker != before, crowd })
    }

    pub(super) fn summary(&self, user: &UserId, id: ConversationId) -> Option<Summary> {
        let log = self.logs.get(&id)?;
        let members = log.members();
        let role = *members.get(user)?;
        let marker = log.marker(user);
        let Body::Created { kind, title, members: first } = &log.events[0].body else {
            panic!("a log begins with its creation");
        };
        let title = log
            .events
            .iter()
            .rev()
            .find_map(|event| match &event.body {
                Body::Title { title } => Some(title),
                _ => None,
            })
            .or(title.as_ref());
        let topic = log.events.iter().rev().find_map(|event| match &event.body {
            Body::Topic { topic } => Some(topic.clone()),
            _ => None,
        });
        let markers: Vec<_> =
            members.keys().map(|member| (member.clone(), log.marker(member))).collect();
        let unread = log.events.iter().filter(|event| {
            event.seq > marker.read
                && event.body.counts_as_unread()
                && event.from.as_ref() != Some(user)
        });
        let last = log.events.iter().rev().find(|event| is_message(event));
        Some(Summary {
            conversation: id,
            kind: *kind,
            title: title.cloned(),
            topic: topic.flatten(),
            other: match kind {
                Kind::Direct => first.iter().find(|member| *member != user).cloned(),
                Kind::Group | Kind::Channel => None,
            },
            role,
            member_count: markers.len() as u64,
            head: log.head(),
            marker,
            unread: unread.count() as u64,
            updated_at: log.updated_at(),
            last: last.cloned(),
            last_edit: last.and_then(|last| log.state(None, last.seq).edit),
            markers: if markers.len() > Summary::MARKERS_MAX { Vec::new() } else { markers },
        })
    }

    pub(super) fn head(&self, id: ConversationId) -> Seq {
        self.logs.get(&id).map_or(Seq::ZERO, Log::head)
    }

    pub(super) fn conversations(&self, user: &UserId) -> Vec<Summary> {
        let mut all: Vec<_> = self.logs.keys().filter_map(|id| self.summary(user, *id)).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.updated_at));
        all
    }
}

impl Log {
    pub(super) fn head(&self) -> Seq {
        Seq::new(self.events.len() as u64)
    }

    fn updated_at(&self) -> Timestamp {
        self.events.last().expect("a log is not empty").at
    }

    pub(super) fn marker(&self, user: &UserId) -> Marker {
        self.markers.get(user).copied().unwrap_or_default()
    }

    /// Who is a member now.
    pub(super) fn members(&self) -> BTreeMap<UserId, Role> {
        let mut members = BTreeMap::new();
        for event in &self.events {
            replay(&mut members, event);
        }
        members
    }

    pub(super) fn members_with_markers(&self) -> Vec<Member> {
        let member = |(user, role)| Member { marker: self.marker(&user), user, role };
        self.members().into_iter().map(member).collect()
    }

    pub(super) fn receipts(&self, without: Option<&UserId>, place: Seq) -> Receipts {
        let all = self.members_with_markers();
        let others: Vec<_> = all.iter().filter(|member| Some(&member.user) != without).collect();
        let up_to = |of: fn(&Marker) -> Seq| {
            others.iter().filter(|member| of(&member.marker) >= place).count() as u64
        };
        Receipts {
            members: others.len() as u64,
            received: up_to(|marker| marker.received),
            read: up_to(|marker| marker.read),
        }
    }

    /// Whether the user came in by one of the events after `after`.
    pub(super) fn came_after(&self, user: &UserId, after: Seq) -> bool {
        let mut members = BTreeMap::new();
        self.events.iter().any(|event| {
            let before = members.contains_key(user);
            replay(&mut members, event);
            event.seq > after && !before && members.contains_key(user)
        })
    }

    /// Whether the user was a member at this head or at any moment since.
    pub(super) fn was_member_since(&self, user: &UserId, after: Seq) -> bool {
        let mut members = BTreeMap::new();
        self.events.iter().any(|event| {
            replay(&mut members, event);
            event.seq >= after && members.contains_key(user)
        })
    }

    fn push(&mut self, event: Event) {
        if let Body::Deleted { message } = event.body
            && self.message(message).is_some()
        {
            for event in &mut self.events {
                if event.seq == message || event.body.edits() == Some(message) {
                    event.body = Body::Erased;
                }
            }
        }
        self.events.push(event);
    }

    fn message(&self, seq: Seq) -> Option<&Event> {
        self.events.iter().find(|event| event.seq == seq && is_message(event))
    }

    fn check_target(
        &self,
        by: Option<&UserId>,
        role: Option<Role>,
        body: &Body,
    ) -> Result<(), Refusal> {
        let about = match body {
            Body::Message(message) => message.reply_to,
            body => body.target(),
        };
        let Some(about) = about else { return Ok(()) };
        let message = self.message(about).ok_or(Refusal::NoSuchMessage)?;
        let own = message.from.as_ref() == by;
        let may_delete = own || by.is_none() || role >= Some(Role::Admin);
        let state = self.state(by, about);
        let has = |emoji: &Emoji| {
            by.is_some() && state.reactions.iter().any(|it| it.mine && it.emoji == *emoji)
        };
        match body {
            Body::Edited { .. } if !own => Err(Refusal::NotAuthor),
            Body::Deleted { .. } if !may_delete => Err(Refusal::NotAuthor),
            Body::Reacted { .. } | Body::Unreacted { .. } if by.is_none() => {
                Err(Refusal::NotMember)
            }
            Body::Reacted { emoji, .. } if has(emoji) => Err(Refusal::NoChange),
            Body::Reacted { .. }
                if state.reactions.iter().filter(|it| it.mine).count() >= Append::REACTIONS_MAX =>
            {
                Err(Refusal::TooManyReactions)
            }
            Body::Unreacted { emoji, .. } if !has(emoji) => Err(Refusal::NoChange),
            Body::Pinned { .. } if state.pinned => Err(Refusal::NoChange),
            Body::Unpinned { .. } if !state.pinned => Err(Refusal::NoChange),
            _ => Ok(()),
        }
    }

    /// What has become of a message: everything about it, replayed.
    fn state(&self, reader: Option<&UserId>, message: Seq) -> MessageState {
        let mut state = MessageState { message, edit: None, reactions: Vec::new(), pinned: false };
        let mut emojis: BTreeSet<(&Emoji, Option<&UserId>)> = BTreeSet::new();
        for event in self.events.iter().filter(|event| event.body.target() == Some(message)) {
            match &event.body {
                Body::Edited { text, .. } => {
                    state.edit = Some(Edit { seq: event.seq, at: event.at, text: text.clone() });
                }
                Body::Reacted { emoji, .. } if event.from.is_some() => {
                    emojis.insert((emoji, event.from.as_ref()));
                }
                Body::Unreacted { emoji, .. } => {
                    emojis.remove(&(emoji, event.from.as_ref()));
                }
                Body::Pinned { .. } => state.pinned = true,
                Body::Unpinned { .. } => state.pinned = false,
                _ => {}
            }
        }
        for (emoji, by) in emojis {
            let mine = by == reader;
            match state.reactions.last_mut() {
                Some(last) if last.emoji == *emoji => {
                    last.count += 1;
                    last.mine |= mine;
                }
                _ => state.reactions.push(Reaction { emoji: emoji.clone(), count: 1, mine }),
            }
        }
        state
    }

    pub(super) fn page(
        &self,
        reader: Option<&UserId>,
        page: Page,
        only: Only,
        limit: usize,
    ) -> Events {
        let wanted = |event: &&Event| match only {
            Only::Everything => true,
            Only::Messages => is_message(event),
            Only::Pinned => is_message(event) && self.state(None, event.seq).pinned,
            Only::EditsOf(message) => event.body.edits() == Some(message),
        };
        let all: Vec<&Event> = self.events.iter().filter(wanted).collect();
        let below = |seq: Seq| all.iter().filter(|event| event.seq < seq).count();
        let (from, to) = match page {
            Page::Newest => (all.len().saturating_sub(limit), all.len()),
            Page::Before(seq) => (below(seq).saturating_sub(limit), below(seq)),
            Page::After(seq) => {
                let from = below(Seq::new(seq.get() + 1));
                (from, all.len().min(from + limit))
            }
            Page::Around(seq) => {
                let before = (limit - 1) / 2;
                let to = all.len().min(below(seq) + limit - before);
                (below(seq).saturating_sub(before), to)
            }
        };
        let nothing = |state: &MessageState| {
            state.edit.is_none() && state.reactions.is_empty() && !state.pinned
        };
        let mut states: Vec<_> =
            all[from..to].iter().map(|event| self.state(reader, event.seq)).collect();
        states.retain(|state| only.are_messages() && !nothing(state));
        Events {
            events: all[from..to].iter().map(|event| (*event).clone()).collect(),
            more_before: from > 0,
            more_after: to < all.len(),
            states,
            head: self.head(),
        }
    }
}

fn is_message(event: &Event) -> bool {
    matches!(event.body, Body::Message(_))
}

fn replay(members: &mut BTreeMap<UserId, Role>, event: &Event) {
    match &event.body {
        Body::Created { kind, members: first, .. } => {
            let others = if *kind == Kind::Channel { Role::Reader } else { Role::Member };
            members.extend(first.iter().map(|user| (user.clone(), others)));
            let owner = event.from.as_ref().filter(|from| first.contains(from)).or(first.first());
            if let (Kind::Group | Kind::Channel, Some(owner)) = (kind, owner) {
                members.insert(owner.clone(), Role::Owner);
            }
        }
        Body::Added { users, role } => {
            for user in users {
                members.entry(user.clone()).or_insert(*role);
            }
        }
        Body::Removed { user } => {
            members.remove(user);
        }
        Body::Left => {
            if let Some(from) = &event.from {
                members.remove(from);
            }
        }
        Body::Role { user, role } => {
            members.insert(user.clone(), *role);
        }
        _ => {}
    }
}
