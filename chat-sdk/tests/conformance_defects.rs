//! The suite finds what is wrong: for each of these defects a named case fails.

// Also outside of the test functions themselves this is a test.
#![allow(clippy::unwrap_used)]

use std::{
    num::NonZeroU16,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chat_sdk::{
    Access, Body, Bus, ClientKey, ConversationId, Epoch, Event, History, Link, LinkId, Listing,
    LocalBus, Marker, Member, Memberships, MemoryStore, Message, Role, Seq, Summary, Text,
    Timestamp, Title, UserId,
    blob::BlobId,
    bus::{BusError, Heard, Topic},
    conformance::{BusFactory, Report, Restore, StoreFactory, bus_cases, store_cases},
    store::{
        Checkpoint, DiscardWhen, Events, FileChange, FileChanged, FileQuery, FileQuota, FileRecord,
        FileState, Heads, Only, Page, Reader, Refusal, Store, StoreError, Write, Written,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    // Numbers
    NumberForARefusal,
    AnsweredNotWritten,
    HeadBehind,
    // Keys
    KeysForgotten,
    KeysOfAllAuthors,
    ConflictIsARepetition,
    KeysForgottenAtRestart,
    // Opening and order
    OpeningIsAlwaysFresh,
    BatchBackwards,
    BatchInPieces,
    // Membership and privacy
    RoleIgnored,
    EverybodyOutranks,
    EverybodyIsAddedAsAMember,
    TopicsForgotten,
    ReceiptsInACrowd,
    LinksNeverEnd,
    RemovedComeBack,
    PublicIsForGood,
    NewcomersSeeEverything,
    EverybodyReads,
    EverybodyTurnsPages,
    EverybodySeesMembers,
    LastOwnerLeaves,
    // Markers and unread
    MarkerLastWins,
    MarkerBeyondHead,
    UnreadOneMore,
    UnreadOneLess,
    UnreadCountsOwn,
    // Pages and lists
    BeforeHoldsThePlace,
    ReadHoldsThePlace,
    PageAboveLimit,
    MoreIsAlways,
    MoreIsNever,
    MessagesAreEverything,
    LastIsAnything,
    ListByName,
    ListPageRepeats,
    // Since a checkpoint
    MarkersAreNoChange,
    ChangesAreMissed,
    ChangedTooLate,
    NewcomersBeginAtTheHead,
    LeftIsForgotten,
    ForeignCheckpointsAreTaken,
    CheckpointAfterHeads,
    // Text
    TextTrimmed,
    TextInLowerCase,
    // Lives
    // Files
    NoQuota,
    UploadsOutrunEachOther,
    EverybodyDiscards,
    DeletedFilesStay,
    FilesOfOthersAreTaken,
    AllBlobsAreStrays,
    /// Who moved is asked of the last moment.
    MovesOfToday,
    EpochOfTheDay,
    EpochNewAtRestart,
    EverythingForgottenAtRestart,
    EpochKeptAtRestore,
}

const CAUGHT: &[(Defect, &str)] = &[
    (Defect::NumberForARefusal, "numbering::a_refused_write_takes_no_number"),
    (Defect::AnsweredNotWritten, "concurrency::whatever_is_answered_stands_where_it_was_said"),
    (Defect::HeadBehind, "concurrency::an_answer_comes_before_what_is_asked_later"),
    (Defect::KeysForgotten, "once::a_repetition_is_answered_with_the_first_event"),
    (Defect::KeysForgotten, "once::twice_in_one_batch_is_once"),
    (Defect::KeysForgotten, "concurrency::one_key_from_many_tasks_is_one_event"),
    (Defect::KeysOfAllAuthors, "once::the_key_of_another_author_is_another"),
    (Defect::ConflictIsARepetition, "once::another_body_is_a_conflict"),
    (Defect::ConflictIsARepetition, "text::texts_that_look_alike_are_different"),
    (Defect::KeysForgottenAtRestart, "restart::keys_survive"),
    (Defect::OpeningIsAlwaysFresh, "opening::a_second_opening_is_answered_with_the_first_event"),
    (Defect::BatchBackwards, "order::an_append_sees_the_opening_before_it"),
    (Defect::BatchInPieces, "order::a_batch_is_seen_whole_or_not_at_all"),
    (Defect::RoleIgnored, "membership::a_member_may_not_do_what_an_owner_may"),
    (Defect::EverybodyOutranks, "roles::an_admin_decides_on_those_below_and_nobody_else"),
    (Defect::EverybodyIsAddedAsAMember, "roles::who_is_added_as_a_reader_reads"),
    (Defect::TopicsForgotten, "roles::a_topic_is_the_one_of_the_last_event"),
    (Defect::ReceiptsInACrowd, "roles::in_a_crowd_markers_are_nobody_elses_business"),
    (Defect::LinksNeverEnd, "entrance::a_link_ends_with_its_uses"),
    (Defect::LinksNeverEnd, "entrance::a_link_ends_with_its_time"),
    (Defect::LinksNeverEnd, "entrance::of_the_last_use_one_makes_use"),
    (Defect::RemovedComeBack, "entrance::who_was_removed_has_to_be_added"),
    (Defect::PublicIsForGood, "entrance::a_public_one_lets_everybody_in"),
    (Defect::NewcomersSeeEverything, "entrance::newcomers_see_what_came_since_them"),
    (Defect::NewcomersSeeEverything, "entrance::what_is_not_seen_cannot_be_answered"),
    (Defect::EverybodyReads, "privacy::a_stranger_reads_no_events"),
    (Defect::EverybodyReads, "privacy::who_left_reads_nothing"),
    (Defect::EverybodyTurnsPages, "privacy::a_stranger_sees_no_page"),
    (Defect::EverybodySeesMembers, "privacy::a_stranger_sees_no_members"),
    (Defect::LastOwnerLeaves, "membership::the_last_owner_may_not_leave"),
    (Defect::LastOwnerLeaves, "concurrency::of_two_last_owners_one_stays"),
    (Defect::MarkerLastWins, "markers::a_marker_does_not_move_back"),
    (Defect::MarkerBeyondHead, "markers::a_marker_stops_at_the_head"),
    (Defect::UnreadOneMore, "unread::messages_of_others_are_unread"),
    (Defect::UnreadOneLess, "unread::reading_makes_less_unread"),
    (Defect::UnreadCountsOwn, "unread::ones_own_messages_are_never_unread"),
    (Defect::UnreadCountsOwn, "unread::a_random_history_is_that_of_the_model_1"),
    (Defect::BeforeHoldsThePlace, "pages::a_page_before_does_not_hold_the_place"),
    (Defect::ReadHoldsThePlace, "pages::a_read_is_after_and_up_to"),
    (Defect::PageAboveLimit, "pages::the_newest_page_is_the_end"),
    (Defect::MoreIsAlways, "pages::the_newest_page_of_a_short_log_is_all_of_it"),
    (Defect::MoreIsNever, "pages::turning_back_shows_everything_once"),
    (Defect::MessagesAreEverything, "pages::a_page_of_messages_holds_nothing_else"),
    (Defect::LastIsAnything, "lists::the_last_message_is_the_newest_message"),
    (Defect::ListByName, "lists::the_last_active_comes_first"),
    (Defect::ListPageRepeats, "lists::a_page_of_conversations_begins_after_the_last_one"),
    (Defect::MarkersAreNoChange, "memberships::the_marker_of_another_is_a_change"),
    (Defect::MarkersAreNoChange, "memberships::no_change_is_missed_in_a_random_history_1"),
    (Defect::ChangesAreMissed, "memberships::an_event_is_a_change"),
    (Defect::ChangedTooLate, "memberships::several_events_are_one_change"),
    (Defect::NewcomersBeginAtTheHead, "memberships::who_came_in_since_begins_at_zero"),
    (Defect::LeftIsForgotten, "memberships::who_left_since_is_told"),
    (Defect::ForeignCheckpointsAreTaken, "memberships::a_checkpoint_of_nothing_counts_as_none"),
    (Defect::CheckpointAfterHeads, "memberships::heads_and_checkpoint_are_of_one_moment"),
    (Defect::TextTrimmed, "text::spaces_and_line_ends_come_back"),
    (Defect::TextInLowerCase, "text::plain_text_comes_back"),
    (Defect::NoQuota, "files::a_quota_counts_what_is_announced"),
    (Defect::NoQuota, "files::a_quota_holds_against_many_at_once"),
    (Defect::UploadsOutrunEachOther, "files::of_two_who_go_on_from_one_place_one_does"),
    (Defect::EverybodyDiscards, "files::only_the_owner_discards"),
    (Defect::DeletedFilesStay, "files::a_deleted_message_gives_its_files_up"),
    (Defect::FilesOfOthersAreTaken, "files::a_message_cannot_take_what_is_not_there_for_it"),
    (Defect::AllBlobsAreStrays, "files::a_blob_without_a_file_is_a_stray"),
    (Defect::MovesOfToday, "memberships::who_came_or_left_since_has_moved"),
    (Defect::EpochOfTheDay, "restart::the_epoch_stays_the_same"),
    (Defect::EpochNewAtRestart, "restart::the_epoch_survives"),
    (Defect::EverythingForgottenAtRestart, "restart::the_log_survives"),
    (Defect::EpochKeptAtRestore, "restart::a_restored_backup_has_another_epoch"),
];

/// Between two halves that should be one: long enough that others get in between on a busy machine.
const PAUSE: Duration = Duration::from_millis(1);

struct Broken {
    store: MemoryStore,
    defect: Defect,
    calls: AtomicU64,
    keys: Mutex<Vec<(ClientKey, Event)>>,
    markers: Mutex<Vec<(ConversationId, UserId, Marker)>>,
    first: Checkpoint,
}

impl Broken {
    async fn new(store: MemoryStore, defect: Defect) -> Self {
        let first = store.heads(&[]).await.unwrap().checkpoint;
        Self {
            store,
            defect,
            calls: AtomicU64::new(0),
            keys: Mutex::default(),
            markers: Mutex::default(),
            first,
        }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    fn before(&self, write: &mut Write) {
        if let Write::Append(append) = write {
            if self.is(Defect::KeysForgotten) {
                append.key = None;
            }
            if self.is(Defect::RoleIgnored) {
                append.requires = Role::Member;
            }
            match &mut append.body {
                Body::Added { .. } | Body::Removed { .. } | Body::Role { .. }
                    if self.is(Defect::EverybodyOutranks) =>
                {
                    append.by = None;
                }
                Body::Added { role, .. } if self.is(Defect::EverybodyIsAddedAsAMember) => {
                    *role = Role::Member;
                }
                Body::Linked { expires_at, uses_max, .. } if self.is(Defect::LinksNeverEnd) => {
                    (*expires_at, *uses_max) = (None, None);
                }
                Body::Removed { user } if self.is(Defect::RemovedComeBack) => {
                    append.by = Some(user.clone());
                    (append.requires, append.body) = (Role::Reader, Body::Left);
                }
                Body::Access { access } if self.is(Defect::PublicIsForGood) => {
                    *access = Access::Public;
                }
                Body::History { history } if self.is(Defect::NewcomersSeeEverything) => {
                    *history = History::All;
                }
                _ => {}
            }
            if let Body::Message(Message { text, .. }) = &append.body {
                let text = match self.defect {
                    Defect::TextTrimmed => text.as_str().trim().to_owned(),
                    Defect::TextInLowerCase => text.as_str().to_lowercase(),
                    _ => return,
                };
                append.body = Body::Message(Message::new(Text::new(text).unwrap()));
            }
        }
    }

    async fn after(&self, write: &Write, written: Written) -> Written {
        match (self.defect, write, written) {
            (Defect::NumberForARefusal, Write::Append(append), refused @ Written::Refused(_)) => {
                let mut burnt = append.clone();
                (burnt.by, burnt.key) = (None, None);
                burnt.body = Body::Message(Message::new(Text::new("burnt").unwrap()));
                self.store.write(vec![Write::Append(burnt)]).await.unwrap();
                refused
            }
            (
                Defect::KeysOfAllAuthors,
                Write::Append(append),
                Written::Event { event, fresh: true },
            ) if append.key.is_some() => {
                let mut keys = self.keys.lock().unwrap();
                let key = append.key.clone().unwrap();
                match keys.iter().find(|(known, _)| *known == key) {
                    Some((_, first)) => Written::Event { event: first.clone(), fresh: false },
                    None => {
                        keys.push((key, event.clone()));
                        Written::Event { event, fresh: true }
                    }
                }
            }
            (
                Defect::ConflictIsARepetition,
                Write::Append(append),
                Written::Refused(Refusal::KeyConflict),
            ) => {
                let most = NonZeroU16::MAX;
                let log = self
                    .store
                    .read(Reader::System, append.conversation, Seq::ZERO, Seq::MAX, most)
                    .await
                    .unwrap()
                    .unwrap();
                let first = log.into_iter().find(|event| event.key == append.key).unwrap();
                Written::Event { event: first, fresh: false }
            }
            (Defect::OpeningIsAlwaysFresh, Write::Open(_), Written::Event { event, .. }) => {
                Written::Event { event, fresh: true }
            }
            (
                Defect::LastOwnerLeaves,
                Write::Append(append),
                Written::Refused(Refusal::LastOwner),
            ) => {
                // Enough of a departure: somebody else becomes the owner behind everybody's back.
                let event = Event {
                    conversation: append.conversation,
                    seq: Seq::new(2),
                    at: append.at,
                    from: append.by.clone(),
                    key: append.key.clone(),
                    body: append.body.clone(),
                };
                Written::Event { event, fresh: true }
            }
            (Defect::MarkerLastWins, Write::Mark(mark), Written::Marker { .. }) => {
                let mut markers = self.markers.lock().unwrap();
                markers.retain(|(id, user, _)| (*id, user) != (mark.conversation, &mark.user));
                markers.push((mark.conversation, mark.user.clone(), mark.marker));
                Written::Marker { marker: mark.marker, moved: true, crowd: false }
            }
            (Defect::MarkerBeyondHead, Write::Mark(mark), Written::Marker { moved, .. }) => {
                Written::Marker { marker: mark.marker, moved, crowd: false }
            }
            (Defect::ReceiptsInACrowd, Write::Mark(_), Written::Marker { marker, moved, .. }) => {
                Written::Marker { marker, moved, crowd: false }
            }
            (_, _, written) => written,
        }
    }

    async fn spoil(&self, user: &UserId, mut summary: Summary) -> Summary {
        match self.defect {
            Defect::UnreadOneMore => summary.unread += 1,
            Defect::TopicsForgotten => summary.topic = None,
            Defect::UnreadOneLess => summary.unread = summary.unread.saturating_sub(1),
            Defect::UnreadCountsOwn => {
                let (read, most) = (summary.marker.read, NonZeroU16::MAX);
                let log = self
                    .store
                    .read(Reader::User(user), summary.conversation, read, Seq::MAX, most)
                    .await
                    .unwrap()
                    .unwrap_or_default();
                summary.unread =
                    log.iter().filter(|event| event.body.counts_as_unread()).count() as u64;
            }
            Defect::LastIsAnything => {
                let most = NonZeroU16::MIN;
                let page = self
                    .store
                    .page(
                        Reader::System,
                        summary.conversation,
                        Page::Newest,
                        Only::Everything,
                        most,
                    )
                    .await
                    .unwrap()
                    .unwrap();
                summary.last = page.events.into_iter().next();
            }
            _ => {}
        }
        summary
    }
}

impl Store for Broken {
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        if self.is(Defect::EpochOfTheDay) {
            return Ok(Epoch::new(format!("day-{}", self.call())).unwrap());
        }
        self.store.epoch().await
    }

    async fn write(&self, mut batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        batch.iter_mut().for_each(|write| self.before(write));
        if self.is(Defect::AnsweredNotWritten) && self.call() % 40 == 39 {
            // Taken back when the process dies, so to say: what is answered is not there.
            let lost = MemoryStore::from_backup(&self.store.backup(), self.store.epoch().await?);
            return lost.write(batch).await;
        }
        if self.is(Defect::FilesOfOthersAreTaken) {
            // Whoever writes, the file is taken for theirs.
            for write in &mut batch {
                let Write::Append(append) = write else { continue };
                let Body::Message(message) = &append.body else { continue };
                let ids = message.files.iter().map(|file| file.id).collect();
                if let Some(file) = self.store.files(FileQuery::Ids(ids)).await?.first() {
                    append.by = Some(file.owner.clone());
                }
            }
        }
        let mut written = Vec::new();
        match self.defect {
            Defect::BatchBackwards => {
                let backwards = batch.iter().rev().cloned().collect();
                written = self.store.write(backwards).await?;
                written.reverse();
            }
            Defect::BatchInPieces => {
                for write in &batch {
                    written.extend(self.store.write(vec![write.clone()]).await?);
                    tokio::time::sleep(PAUSE).await;
                }
            }
            _ => written = self.store.write(batch.clone()).await?,
        }
        let mut answers = Vec::new();
        for (write, written) in batch.iter().zip(written) {
            answers.push(self.after(write, written).await);
        }
        Ok(answers)
    }

    async fn memberships(
        &self,
        user: &UserId,
        since: Option<&Checkpoint>,
    ) -> Result<Memberships, StoreError> {
        let mut since = since.cloned();
        if let Some(checkpoint) = &mut since
            && self.is(Defect::ForeignCheckpointsAreTaken)
            && !checkpoint.0.contains('-')
        {
            *checkpoint = self.first.clone();
        }
        let mut memberships = self.store.memberships(user, since.as_ref()).await?;
        if self.is(Defect::LeftIsForgotten) {
            memberships.left.clear();
        }
        for one in &mut memberships.current {
            one.changed_since = match (self.defect, one.changed_since) {
                (Defect::MarkersAreNoChange, Some(then)) if then == one.head => None,
                (Defect::ChangesAreMissed, _) => None,
                (Defect::ChangedTooLate, Some(then)) => Some(then.next()),
                (Defect::NewcomersBeginAtTheHead, Some(Seq::ZERO)) => Some(one.head),
                (_, then) => then,
            };
        }
        Ok(memberships)
    }

    async fn moved(&self, users: &[UserId], since: &Checkpoint) -> Result<Vec<UserId>, StoreError> {
        if self.is(Defect::MovesOfToday) {
            let now = self.store.heads(&[]).await?.checkpoint;
            return self.store.moved(users, &now).await;
        }
        self.store.moved(users, since).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Heads, StoreError> {
        let mut heads = self.store.heads(conversations).await?;
        if self.is(Defect::HeadBehind) {
            for (_, head) in &mut heads.heads {
                *head = head.previous();
            }
        }
        if self.is(Defect::CheckpointAfterHeads) {
            tokio::time::sleep(PAUSE).await;
            heads.checkpoint = self.store.heads(&[]).await?.checkpoint;
        }
        Ok(heads)
    }

    async fn read(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Seq,
        upto: Seq,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let reader = if self.is(Defect::EverybodyReads) { Reader::System } else { reader };
        let holds = self.is(Defect::ReadHoldsThePlace) && after < upto;
        let after = if holds { after.previous() } else { after };
        self.store.read(reader, conversation, after, upto, limit).await
    }

    async fn page(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        page: Page,
        only: Only,
        limit: NonZeroU16,
    ) -> Result<Option<Events>, StoreError> {
        let reader = if self.is(Defect::EverybodyTurnsPages) { Reader::System } else { reader };
        let only = if self.is(Defect::MessagesAreEverything) { Only::Everything } else { only };
        let limit = if self.is(Defect::PageAboveLimit) { limit.saturating_add(1) } else { limit };
        let page = match page {
            Page::Before(seq) if self.is(Defect::BeforeHoldsThePlace) => Page::Before(seq.next()),
            page => page,
        };
        let mut page = self.store.page(reader, conversation, page, only, limit).await?;
        if let Some(page) = &mut page {
            match self.defect {
                Defect::MoreIsAlways => (page.more_before, page.more_after) = (true, true),
                Defect::MoreIsNever => (page.more_before, page.more_after) = (false, false),
                _ => {}
            }
        }
        Ok(page)
    }

    async fn conversations(
        &self,
        user: &UserId,
        after: Option<(Timestamp, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, StoreError> {
        let after = match after {
            Some((at, id)) if self.is(Defect::ListPageRepeats) => {
                Some((Timestamp::from_millis(at.as_millis() + 1), id))
            }
            after => after,
        };
        let mut list = Vec::new();
        for summary in self.store.conversations(user, after, limit).await? {
            list.push(self.spoil(user, summary).await);
        }
        if self.is(Defect::ListByName) {
            list.sort_by_key(|one| one.conversation);
        }
        Ok(list)
    }

    async fn conversation(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> Result<Option<Summary>, StoreError> {
        match self.store.conversation(user, conversation).await? {
            Some(summary) => Ok(Some(self.spoil(user, summary).await)),
            None => Ok(None),
        }
    }

    async fn members(
        &self,
        reader: Reader<'_>,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: NonZeroU16,
    ) -> Result<Option<Vec<Member>>, StoreError> {
        let reader = if self.is(Defect::EverybodySeesMembers) { Reader::System } else { reader };
        let mut members = self.store.members(reader, conversation, after, limit).await?;
        let markers = self.markers.lock().unwrap().clone();
        for member in members.iter_mut().flatten() {
            let last =
                markers.iter().find(|(id, user, _)| (*id, user) == (conversation, &member.user));
            if let Some((_, _, marker)) = last {
                member.marker = *marker;
            }
        }
        Ok(members)
    }

    async fn listing(&self, conversation: ConversationId) -> Result<Option<Listing>, StoreError> {
        self.store.listing(conversation).await
    }

    async fn public(
        &self,
        after: Option<(Title, ConversationId)>,
        limit: NonZeroU16,
    ) -> Result<Vec<Listing>, StoreError> {
        self.store.public(after, limit).await
    }

    async fn link(&self, link: &LinkId) -> Result<Option<(ConversationId, Link)>, StoreError> {
        self.store.link(link).await
    }

    async fn links(&self, conversation: ConversationId) -> Result<Vec<Link>, StoreError> {
        self.store.links(conversation).await
    }

    async fn change_file(&self, change: FileChange) -> Result<FileChanged, StoreError> {
        let change = match change {
            FileChange::Begin(record, quota) if self.is(Defect::NoQuota) => {
                FileChange::Begin(record, FileQuota { bytes_max: u64::MAX, ..quota })
            }
            FileChange::Advance(mut record) if self.is(Defect::UploadsOutrunEachOther) => {
                let there = self.store.files(FileQuery::Ids(vec![record.file.id])).await?;
                record.version = there.first().map_or(0, |it| it.version);
                FileChange::Advance(record)
            }
            FileChange::Discard(file, _) if self.is(Defect::EverybodyDiscards) => {
                let late = Timestamp::from_millis(i64::MAX / 2);
                FileChange::Discard(file, DiscardWhen::ExpiredAt(late))
            }
            change => change,
        };
        self.store.change_file(change).await
    }

    async fn files(&self, query: FileQuery) -> Result<Vec<FileRecord>, StoreError> {
        let mut files = self.store.files(query).await?;
        if self.is(Defect::DeletedFilesStay) {
            files.retain(|it| it.state != FileState::Gone);
        }
        Ok(files)
    }

    async fn stray_blobs(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
        if self.is(Defect::AllBlobsAreStrays) {
            return Ok(blobs.to_vec());
        }
        self.store.stray_blobs(blobs).await
    }
}

struct BrokenFactory(Defect);

impl StoreFactory for BrokenFactory {
    type Store = Broken;

    async fn open(&self) -> Broken {
        Broken::new(MemoryStore::new(), self.0).await
    }

    async fn reopen(&self, store: Broken) -> Option<Broken> {
        let backup = store.store.backup();
        let epoch = store.store.epoch().await.unwrap();
        let store = match self.0 {
            Defect::EverythingForgottenAtRestart => MemoryStore::new(),
            Defect::EpochNewAtRestart => {
                MemoryStore::from_backup(&backup, Epoch::new("another").unwrap())
            }
            _ => MemoryStore::from_backup(&backup, epoch),
        };
        let defect = match self.0 {
            Defect::KeysForgottenAtRestart => Defect::KeysForgotten,
            other => other,
        };
        Some(Broken::new(store, defect).await)
    }

    async fn backup(&self, store: &Broken) -> Option<Restore<Broken>> {
        let (backup, defect) = (store.store.backup(), self.0);
        Some(Box::new(move |store| {
            Box::pin(async move {
                let epoch = match defect {
                    Defect::EpochKeptAtRestore => store.store.epoch().await.unwrap(),
                    _ => Epoch::new("restored").unwrap(),
                };
                store.store.restore(&backup, epoch);
                store
            })
        }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_without_a_defect_keeps_the_contract() {
    let report = Report::of(store_cases(BrokenFactory(Defect::None))).await;
    report.expect_conformance();
    assert_eq!(report.skipped, [""; 0], "all that can be tested was tested");
    assert!(report.passed > 200, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_defect_fails_the_case_that_is_named_after_it() {
    let mut missed = Vec::new();
    for (defect, name) in CAUGHT {
        let case =
            store_cases(BrokenFactory(*defect)).into_iter().filter(|case| case.name == *name);
        let report = Report::of(case).await;
        assert_eq!(report.failed.len() + report.passed, 1, "there is no case {name}");
        if report.failed.is_empty() {
            missed.push((defect, name));
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

#[test]
fn every_defect_is_tried() {
    // The last one counts them, because the variants are numbered in order.
    let all = Defect::EpochKeptAtRestore as usize;
    for defect in 1..=all {
        assert!(CAUGHT.iter().any(|(caught, _)| *caught as usize == defect), "defect {defect}");
    }
}

/// What is wrong with a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BusDefect {
    None,
    LossIsSilent,
    LongMessagesAreCut,
    TopicsAreMixedUp,
    WaitingTakesAMessage,
    TheDead,
}

const CAUGHT_BUS: &[(BusDefect, &str)] = &[
    (BusDefect::LossIsSilent, "bus::a_flood_that_nobody_hears_is_bounded_and_its_loss_is_told"),
    (BusDefect::LongMessagesAreCut, "bus::a_message_arrives_as_it_was_published"),
    (BusDefect::TopicsAreMixedUp, "bus::the_messages_of_a_batch_are_heard_or_their_loss_is_told"),
    (BusDefect::WaitingTakesAMessage, "bus::a_wait_given_up_loses_nothing"),
    (BusDefect::TheDead, "bus::what_is_followed_is_heard"),
];

struct BrokenBus {
    bus: LocalBus,
    defect: BusDefect,
}

impl Bus for BrokenBus {
    async fn publish(&self, mut messages: Vec<(Topic, Bytes)>) -> Result<(), BusError> {
        match self.defect {
            BusDefect::LongMessagesAreCut => {
                messages.iter_mut().for_each(|(_, bytes)| bytes.truncate(32 * 1024));
            }
            BusDefect::TopicsAreMixedUp => {
                let first = messages.first().map(|(topic, _)| topic.clone());
                messages.iter_mut().for_each(|(topic, _)| *topic = first.clone().unwrap());
            }
            BusDefect::TheDead => return Ok(()),
            _ => {}
        }
        self.bus.publish(messages).await
    }

    async fn follow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        self.bus.follow(topics).await
    }

    async fn unfollow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        self.bus.unfollow(topics).await
    }

    async fn next(&self) -> Heard {
        loop {
            let heard = self.bus.next().await;
            if self.defect == BusDefect::LossIsSilent && heard == Heard::Lost {
                continue;
            }
            if self.defect == BusDefect::WaitingTakesAMessage {
                tokio::time::sleep(PAUSE).await;
            }
            return heard;
        }
    }
}

struct BrokenBuses(BusDefect);

impl BusFactory for BrokenBuses {
    type Bus = BrokenBus;

    async fn nodes(&self, count: usize) -> Vec<BrokenBus> {
        let first = LocalBus::new();
        let others: Vec<_> = (1..count as u64).map(|node| first.join(node)).collect();
        let broken = |bus| BrokenBus { bus, defect: self.0 };
        std::iter::once(first).chain(others).map(broken).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_defect_of_a_bus_is_found() {
    for (defect, name) in CAUGHT_BUS {
        for (defect, fails) in [(BusDefect::None, 0), (*defect, 1)] {
            let case = bus_cases(BrokenBuses(defect)).into_iter().filter(|case| case.name == *name);
            let report = Report::of(case).await;
            assert_eq!(report.failed.len() + report.passed, 1, "there is no case {name}");
            assert_eq!(report.failed.len(), fails, "{defect:?}: {report}");
        }
    }
}
