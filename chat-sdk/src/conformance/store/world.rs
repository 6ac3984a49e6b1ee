//! Short words for what the cases do: one world is one store with a clock that ticks by itself.

use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use super::{AnyBackup, Shelf, Trial};
use crate::{
    model::{
        Body, ClientKey, ConversationId, Event, Kind, Marker, Memberships, Message, Role, Seq,
        Summary, Text, Timestamp, Title, Topic, UserId,
    },
    store::{Append, Checkpoint, Events, Mark, Only, Open, Page, Reader, Refusal, Write, Written},
};

/// The author that is no user.
pub(super) const SYSTEM: &str = "";

pub(super) struct World {
    trial: Trial,
    pub(super) store: Shelf,
    clock: Arc<AtomicI64>,
    names: Arc<AtomicU64>,
}

impl Trial {
    /// A new world with nothing in it.
    pub(super) async fn world(self) -> World {
        let store = self.factory.open().await;
        World {
            trial: self,
            store,
            clock: Arc::new(AtomicI64::new(1_767_323_045_678)),
            names: Arc::default(),
        }
    }
}

impl World {
    /// The same after a restart. `None`: cannot be had here.
    pub(super) async fn restart(self) -> Option<Self> {
        let Self { trial, store, clock, names } = self;
        let Some(store) = store.reopen().await else {
            trial.skip();
            return None;
        };
        Some(Self { trial, store, clock, names })
    }

    /// What gives back the data of this moment. `None`: cannot be had here.
    pub(super) async fn backup(&self) -> Option<AnyBackup> {
        let backup = self.store.backup().await;
        if backup.is_none() {
            self.trial.skip();
        }
        backup
    }

    /// The same with the data of the backup.
    pub(super) async fn restore(self, backup: AnyBackup) -> Self {
        let Self { trial, store, clock, names } = self;
        let store = store.restore(backup).await;
        Self { trial, store, clock, names }
    }

    /// Another store of the same kind, with nothing in it.
    pub(super) async fn another(&self) -> Shelf {
        self.trial.factory.open().await
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.fetch_add(1_000, Ordering::Relaxed))
    }

    /// An id that no conversation has.
    pub(super) fn nowhere(&self) -> ConversationId {
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0x5a; 16];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        ConversationId::from_bytes(bytes)
    }

    /// A group, opened by the first one named.
    pub(super) async fn group(&self, members: &[&str]) -> ConversationId {
        let open = self.opening(self.nowhere(), Kind::Group, members);
        self.opened(open).await
    }

    pub(super) async fn direct(&self, one: &str, other: &str) -> ConversationId {
        let id = ConversationId::direct(&user(one), &user(other));
        let open = self.opening(id, Kind::Direct, &[one, other]);
        self.opened(open).await
    }

    async fn opened(&self, open: Open) -> ConversationId {
        let id = open.conversation;
        let (event, fresh) = standing(self.one(Write::Open(open)).await).expect("it opens");
        assert!(fresh && event.seq == Seq::new(1), "a new conversation begins: {event:?}");
        id
    }

    pub(super) fn opening(&self, id: ConversationId, kind: Kind, members: &[&str]) -> Open {
        Open {
            conversation: id,
            kind,
            title: (kind != Kind::Direct).then(|| title("Boats")),
            by: members.first().map(|first| user(first)),
            key: None,
            members: users(members),
            at: self.now(),
        }
    }

    /// An event by this author, with the role that such an event usually requires.
    pub(super) fn append(&self, conversation: ConversationId, by: &str, body: Body) -> Append {
        let requires = match body {
            Body::Added { .. }
            | Body::Removed { .. }
            | Body::Role { .. }
            | Body::Title { .. }
            | Body::Topic { .. } => Role::Admin,
            _ => Role::Member,
        };
        let by = (by != SYSTEM).then(|| user(by));
        Append { conversation, by, requires, key: None, at: self.now(), body }
    }

    pub(super) fn keyed(
        &self,
        conversation: ConversationId,
        by: &str,
        key: &str,
        text: &str,
    ) -> Append {
        let key = Some(ClientKey::new(key).expect("a valid key"));
        Append { key, ..self.append(conversation, by, message(text)) }
    }

    pub(super) async fn batch(&self, batch: Vec<Write>) -> Vec<Written> {
        let count = batch.len();
        let written = self.store.write(batch).await.expect("the store writes");
        assert_eq!(written.len(), count, "each write of a batch is answered");
        written
    }

    pub(super) async fn one(&self, write: Write) -> Written {
        self.batch(vec![write]).await.remove(0)
    }

    /// Whether it stands in the log now, and whether it does since now.
    pub(super) async fn write(&self, append: Append) -> Result<(Event, bool), Refusal> {
        standing(self.one(Write::Append(append)).await)
    }

    /// A new event.
    pub(super) async fn put(
        &self,
        conversation: ConversationId,
        by: &str,
        body: Body,
    ) -> Result<Event, Refusal> {
        let (event, fresh) = self.write(self.append(conversation, by, body)).await?;
        assert!(fresh, "a write without a key is always new");
        Ok(event)
    }

    pub(super) async fn say(&self, conversation: ConversationId, by: &str, text: &str) -> Event {
        self.put(conversation, by, message(text)).await.expect("a member may write")
    }

    /// So many messages, "1" and so on.
    pub(super) async fn chatter(&self, conversation: ConversationId, by: &str, count: usize) {
        let writes = (1..=count)
            .map(|n| Write::Append(self.append(conversation, by, message(&n.to_string()))));
        for written in self.batch(writes.collect()).await {
            standing(written).expect("a member may write");
        }
    }

    pub(super) async fn mark(
        &self,
        conversation: ConversationId,
        who: &str,
        received: u64,
        read: u64,
    ) -> Result<(Marker, bool), Refusal> {
        let mark = Mark { conversation, user: user(who), marker: marker(received, read) };
        match self.one(Write::Mark(mark)).await {
            Written::Marker { marker, moved, crowd: _ } => Ok((marker, moved)),
            Written::Refused(refusal) => Err(refusal),
            other @ Written::Event { .. } => panic!("a mark is no event: {other:?}"),
        }
    }

    /// The whole log, checked to be gapless.
    pub(super) async fn log(&self, conversation: ConversationId) -> Vec<Event> {
        let log = self.tail(SYSTEM, conversation, 0, u64::MAX).await;
        let log = log.expect("the system reads what exists");
        let numbers: Vec<u64> = log.iter().map(|event| event.seq.get()).collect();
        let expected: Vec<u64> = (1..=log.len() as u64).collect();
        assert_eq!(numbers, expected, "a log is numbered without gaps");
        assert!(log.iter().all(|event| event.conversation == conversation));
        log
    }

    /// Everything after `after` up to `upto`, in as many reads as it takes.
    pub(super) async fn tail(
        &self,
        reader: &str,
        conversation: ConversationId,
        after: u64,
        upto: u64,
    ) -> Option<Vec<Event>> {
        let mut tail: Vec<Event> = Vec::new();
        loop {
            let after = tail.last().map_or(after, |event| event.seq.get());
            let part = self.read(reader, conversation, after, upto, 100).await?;
            if part.is_empty() {
                return Some(tail);
            }
            tail.extend(part);
            assert!(tail.len() < 1_000_000, "a log comes to an end");
        }
    }

    pub(super) async fn read(
        &self,
        reader: &str,
        conversation: ConversationId,
        after: u64,
        upto: u64,
        most: u16,
    ) -> Option<Vec<Event>> {
        let name = named(reader);
        self.store
            .read(
                as_reader(name.as_ref()),
                conversation,
                Seq::new(after),
                Seq::new(upto),
                limit(most),
            )
            .await
            .expect("the store reads")
    }

    pub(super) async fn page_for(
        &self,
        reader: &str,
        conversation: ConversationId,
        page: Page,
        only: Only,
        most: u16,
    ) -> Option<Events> {
        let name = named(reader);
        self.store
            .page(as_reader(name.as_ref()), conversation, page, only, limit(most))
            .await
            .expect("the store reads")
    }

    /// A page of everything: its numbers, and whether there are more before and after.
    pub(super) async fn page(
        &self,
        conversation: ConversationId,
        page: Page,
        most: u16,
    ) -> (Vec<u64>, bool, bool) {
        numbers(&self.page_for(SYSTEM, conversation, page, Only::Everything, most).await)
    }

    /// A page of messages, in the same way.
    pub(super) async fn messages(
        &self,
        conversation: ConversationId,
        page: Page,
        most: u16,
    ) -> (Vec<u64>, bool, bool) {
        numbers(&self.page_for(SYSTEM, conversation, page, Only::Messages, most).await)
    }

    pub(super) async fn seen(&self, who: &str, conversation: ConversationId) -> Option<Summary> {
        self.store.conversation(&user(who), conversation).await.expect("the store reads")
    }

    pub(super) async fn summary(&self, who: &str, conversation: ConversationId) -> Summary {
        self.seen(who, conversation).await.expect("a member sees the conversation")
    }

    pub(super) async fn unread(&self, who: &str, conversation: ConversationId) -> u64 {
        self.summary(who, conversation).await.unread
    }

    /// All conversations of a user, from pages of this size.
    pub(super) async fn list(&self, who: &str, most: u16) -> Vec<Summary> {
        let mut list: Vec<Summary> = Vec::new();
        loop {
            let after = list.last().map(|last| (last.updated_at, last.conversation));
            let page = self.store.conversations(&user(who), after, limit(most)).await;
            let page = page.expect("the store reads");
            assert!(page.len() <= usize::from(most), "a page holds at most its limit");
            if page.is_empty() {
                return list;
            }
            list.extend(page);
            assert!(list.len() < 100_000, "pages of conversations come to an end");
        }
    }

    /// The members with their roles, by user.
    pub(super) async fn roles(&self, conversation: ConversationId) -> Vec<(UserId, Role)> {
        let members = self.store.members(Reader::System, conversation, None, limit(10_000)).await;
        let members = members.expect("the store reads").expect("it exists");
        members.into_iter().map(|member| (member.user, member.role)).collect()
    }

    pub(super) async fn marker_of(&self, conversation: ConversationId, who: &str) -> Marker {
        let members = self.store.members(Reader::System, conversation, None, limit(10_000)).await;
        let members = members.expect("the store reads").expect("it exists");
        let found = members.iter().find(|member| member.user == user(who));
        found.expect("is a member").marker
    }

    pub(super) async fn head(&self, conversation: ConversationId) -> u64 {
        let heads = self.store.heads(&[conversation]).await.expect("the store reads");
        heads.heads.first().expect("it exists").1.get()
    }

    pub(super) async fn checkpoint(&self) -> Checkpoint {
        self.store.heads(&[]).await.expect("the store reads").checkpoint
    }

    pub(super) async fn since(&self, who: &str, since: &Checkpoint) -> Memberships {
        self.store.memberships(&user(who), Some(since)).await.expect("the store reads")
    }

    /// From where this conversation changed for this user, if it did.
    pub(super) async fn changed(
        &self,
        who: &str,
        since: &Checkpoint,
        conversation: ConversationId,
    ) -> Option<u64> {
        let current = self.since(who, since).await.current;
        let found = current.into_iter().find(|one| one.conversation == conversation);
        found.expect("is a member").changed_since.map(Seq::get)
    }

    /// A handle on the same world for another task.
    pub(super) fn share(&self) -> Self {
        Self {
            trial: self.trial.share(),
            store: self.store.share(),
            clock: Arc::clone(&self.clock),
            names: Arc::clone(&self.names),
        }
    }
}

fn named(reader: &str) -> Option<UserId> {
    (reader != SYSTEM).then(|| user(reader))
}

fn as_reader(user: Option<&UserId>) -> Reader<'_> {
    user.map_or(Reader::System, Reader::User)
}

fn numbers(page: &Option<Events>) -> (Vec<u64>, bool, bool) {
    let page = page.as_ref().expect("the system reads what exists");
    let numbers = page.events.iter().map(|event| event.seq.get()).collect();
    (numbers, page.more_before, page.more_after)
}

/// What an answer says of an event.
pub(super) fn standing(written: Written) -> Result<(Event, bool), Refusal> {
    match written {
        Written::Event { event, fresh } => Ok((event, fresh)),
        Written::Refused(refusal) => Err(refusal),
        other @ Written::Marker { .. } => panic!("an event is no marker: {other:?}"),
    }
}

pub(super) fn user(id: &str) -> UserId {
    UserId::new(id).expect("a valid user")
}

pub(super) fn users(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| user(id)).collect()
}

pub(super) fn limit(most: u16) -> NonZeroU16 {
    NonZeroU16::new(most).expect("a limit is not zero")
}

pub(super) fn marker(received: u64, read: u64) -> Marker {
    Marker { received: Seq::new(received), read: Seq::new(read) }
}

pub(super) fn message(text: &str) -> Body {
    Body::Message(Message::new(Text::new(text).expect("a valid text")))
}

pub(super) fn title(title: &str) -> Title {
    Title::new(title).expect("a valid title")
}

pub(super) fn added(ids: &[&str]) -> Body {
    Body::Added { users: users(ids), role: Role::Member }
}

pub(super) fn removed(id: &str) -> Body {
    Body::Removed { user: user(id) }
}

pub(super) fn role(id: &str, role: Role) -> Body {
    Body::Role { user: user(id), role }
}

pub(super) fn renamed(to: &str) -> Body {
    Body::Title { title: title(to) }
}

pub(super) fn about_what(topic: Option<&str>) -> Body {
    Body::Topic { topic: topic.map(|topic| Topic::new(topic).expect("a valid topic")) }
}

/// A body of a kind that this version does not know.
pub(super) fn unknown(json: &str) -> Body {
    let body: Body = serde_json::from_str(json).expect("valid JSON with a type");
    assert!(matches!(body, Body::Other(_)), "the kind is not known here");
    body
}
