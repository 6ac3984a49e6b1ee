//! The disk of the simulation: a store that outlives the nodes, is slow, and fails before or after
//! the commit. Writes down what is committed, in its order.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroUsize},
    sync::{Arc, Mutex},
    time::Duration,
};

use chat_sdk::{
    Body, ConversationId, Epoch, Event, Link, LinkId, Listing, Marker, Member, Memberships,
    MemoryStore, Message, Seq, Store, Summary, Timestamp, Title, UserId,
    blob::BlobId,
    store::{
        Checkpoint, Events, FileChange, FileChanged, FileQuery, FileRecord, Heads, Only, Page,
        Reader, StoreError, Write, Written,
    },
};

use super::{
    history::{Body as Said, LogEvent, Recorder, What},
    rng::Rng,
};

/// How the store is at the moment. Chances are in a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreWeather {
    /// Milliseconds that a call takes at most.
    pub delay: u64,
    /// Fails without having done anything.
    pub fails_before: u64,
    /// Does it and says that it failed.
    pub fails_after: u64,
    /// Says that it failed and does it some time later.
    pub late: u64,
    /// Does not answer at all for a long time.
    pub hangs: u64,
}

/// A defect of the store itself, for the checker's own test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// A marker is what was said last.
    LastWriterWins,
    /// Pages are shown to anybody.
    LeakPages,
    /// Members are told to anybody.
    LeakMembers,
    /// Nobody ever moved.
    ForgetMoves,
}

#[derive(Clone)]
pub struct FlakyStore {
    pub disk: MemoryStore,
    pub weather: Arc<Mutex<StoreWeather>>,
    pub rng: Arc<Mutex<Rng>>,
    pub recorder: Recorder,
    pub twist: Option<Twist>,
    pub lanes: NonZeroUsize,
    pub twisted: Arc<Mutex<BTreeMap<(ConversationId, UserId), Marker>>>,
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the disk is gone".into())
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    FailsBefore,
    FailsAfter,
    Late(u64),
}

impl FlakyStore {
    fn fate(&self) -> (Fate, Duration, Duration) {
        let weather = *self.weather.lock().unwrap();
        let mut rng = self.rng.lock().unwrap();
        // The same draws whatever the weather, so that runs stay comparable.
        let (dice, late) = (rng.below(1000), rng.between(50, 3000));
        let [before, after] = [(); 2].map(|()| rng.below(weather.delay + 1));
        let [before, after] = [before, after].map(Duration::from_millis);
        let fate = match dice {
            dice if dice < weather.fails_before => Fate::FailsBefore,
            dice if dice < weather.fails_before + weather.fails_after => Fate::FailsAfter,
            dice if dice < weather.fails_before + weather.fails_after + weather.late => {
                Fate::Late(late)
            }
            dice if dice >= 1000 - weather.hangs => {
                let long = Duration::from_secs(8);
                return if dice % 2 == 0 {
                    (Fate::Well, long, after)
                } else {
                    (Fate::Well, before, long)
                };
            }
            _ => Fate::Well,
        };
        (fate, before, after)
    }

    async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (fate, before, after) = self.fate();
        pause(before).await;
        if fate == Fate::FailsBefore {
            return Err(unavailable());
        }
        let answer = work.await;
        pause(after).await;
        if fate == Fate::Well { answer } else { Err(unavailable()) }
    }

    /// Commits and writes down.
    async fn commit(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        let marks: Vec<_> = batch
            .iter()
            .map(|write| match write {
                Write::Mark(mark) => Some((mark.conversation, mark.user.clone(), mark.marker)),
                _ => None,
            })
            .collect();
        let mut answers = self.disk.write(batch).await?;
        for answer in &answers {
            if let Written::Event { event, fresh: true } = answer {
                let room = event.conversation.to_string();
                self.recorder.note(What::Committed { room, event: in_our_words(event) });
            }
        }
        if self.twist == Some(Twist::LastWriterWins) {
            for (answer, mark) in answers.iter_mut().zip(marks) {
                if let (Written::Marker { marker, moved, crowd: _ }, Some((room, user, said))) =
                    (answer, mark)
                {
                    (*marker, *moved) = (said, true);
                    self.twisted.lock().unwrap().insert((room, user), said);
                }
            }
        }
        Ok(answers)
    }

    fn reader<'a>(&self, reader: Reader<'a>, leak: Twist) -> Reader<'a> {
        if self.twist == Some(leak) { Reader::System } else { reader }
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// An event as the checker knows it.
pub fn in_our_words(event: &Event) -> LogEvent {
    let text = |user: &UserId| user.as_str().to_owned();
    LogEvent {
        seq: event.seq.get(),
        from: event.from.as_ref().map(text),
        key: event.key.as_ref().map(|key| key.as_str().to_owned()),
        body: match &event.body {
            Body::Created { members, .. } => Said::Created(members.iter().map(text).collect()),
            Body::Added { users, .. } => Said::Added(users.iter().map(text).collect()),
            Body::Removed { user } => Said::Removed(text(user)),
            Body::Left => Said::Left,
            Body::Message(Message { text, .. }) => Said::Message(text.as_str().to_owned()),
            Body::Role { .. } => Said::Other("role".to_owned()),
            Body::Title { .. } => Said::Other("title".to_owned()),
            Body::Topic { .. } => Said::Other("topic".to_owned()),
            Body::Erased => Said::Erased,
            Body::Edited { message, text } => amended("edited", *message, text.as_str()),
            Body::Deleted { message } => amended("deleted", *message, ""),
            Body::Reacted { message, emoji } => amended("reacted", *message, emoji.as_str()),
            Body::Unreacted { message, emoji } => amended("unreacted", *message, emoji.as_str()),
            Body::Pinned { message } => amended("pinned", *message, ""),
            Body::Unpinned { message } => amended("unpinned", *message, ""),
            _ => Said::Other("other".to_owned()),
        },
    }
}

fn amended(kind: &str, message: Seq, with: &str) -> Said {
    Said::Amended { kind: kind.to_owned(), message: message.get(), with: with.to_owned() }
}

impl Store for FlakyStore {
    fn lanes(&self) -> NonZeroUsize {
        self.lanes
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.call(self.disk.epoch()).await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        let (fate, before, after) = self.fate();
        pause(before).await;
        match fate {
            Fate::FailsBefore => return Err(unavailable()),
            Fate::Late(millis) => {
                let store = self.clone();
                tokio::spawn(async move {
                    pause(Duration::from_millis(millis)).await;
                    let _ = store.commit(batch).await;
                });
                return Err(unavailable());
            }
            Fate::Well | Fate::FailsAfter => {}
        }
        let answer = self.commit(batch).await;
        pause(after).await;
        if fate == Fate::FailsAfter { Err(unavailable()) } else { answer }
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        self.call(self.disk.memberships(user, since)).await
    }

    async fn moved(&self, users: &[UserId], since: &Checkpoint) -> Result<Vec<UserId>, StoreError> {
        if self.twist == Some(Twist::ForgetMoves) {
            return Ok(Vec::new());
        }
        self.call(self.disk.moved(users, since)).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        self.call(self.disk.heads(conversations)).await
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        self.call(self.disk.read(reader, conversation, after, upto, limit)).await
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<Events>, StoreError> {
        let reader = self.reader(reader, Twist::LeakPages);
        self.call(self.disk.page(reader, conversation, page, only, limit)).await
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        self.call(self.disk.conversations(user, after, limit)).await
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        let mut summary = self.call(self.disk.conversation(user, conversation)).await?;
        if let Some(summary) = &mut summary
            && let Some(marker) = self.twisted.lock().unwrap().get(&(conversation, user.clone()))
        {
            summary.marker = *marker;
        }
        Ok(summary)
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        let reader = self.reader(reader, Twist::LeakMembers);
        self.call(self.disk.members(reader, conversation, after, limit)).await
    }

    async fn listing(&self, conversation: ConversationId) -> Result<Option<Listing>, StoreError> {
        self.call(self.disk.listing(conversation)).await
    }

    async fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Listing>, StoreError> {
        self.call(self.disk.public(after, limit)).await
    }

    async fn link(&self, link: &LinkId) -> Result<Option<(ConversationId, Link)>, StoreError> {
        self.call(self.disk.link(link)).await
    }

    async fn links(&self, conversation: ConversationId) -> Result<Vec<Link>, StoreError> {
        self.call(self.disk.links(conversation)).await
    }

    async fn change_file(&self, change: FileChange) -> Result<FileChanged, StoreError> {
        self.call(self.disk.change_file(change)).await
    }

    async fn files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        self.call(self.disk.files(query)).await
    }

    async fn stray_blobs(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        self.call(self.disk.stray_blobs(blobs)).await
    }
}
