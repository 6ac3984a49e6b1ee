//! Rule 13, files: a message takes those that are its author's, complete and free, once; with it they go.

use futures_util::future::join_all;

use super::{
    super::report::cases,
    Cases, Trial,
    world::{SYSTEM, World, limit, user},
};
use crate::{
    model::{
        BlobId, Body, ClientKey, ContentType, ConversationId, Event, File, FileId, FileName,
        Message, Seq, Text, Timestamp,
    },
    store::{
        DiscardWhen, FileChange, FileChanged, FilePart, FileQuery, FileQuota, FileRecord,
        FileState, Refusal, Write,
    },
};

pub(super) fn cases() -> Cases {
    cases!["files":
        an_upload_grows_and_comes_back,
        of_two_who_go_on_from_one_place_one_does,
        nobody_goes_on_with_the_upload_of_another,
        what_is_complete_changes_no_more,
        a_quota_counts_what_is_announced,
        a_quota_holds_against_many_at_once,
        only_so_many_wait,
        a_message_takes_its_files,
        a_message_cannot_take_what_is_not_there_for_it,
        a_repetition_takes_nothing_again,
        of_many_messages_one_gets_the_file,
        a_refused_message_takes_no_file,
        a_deleted_message_gives_its_files_up,
        a_message_deleted_in_its_batch_leaves_no_file,
        what_is_discarded_is_attached_no_more,
        what_is_attached_is_discarded_no_more,
        only_the_owner_discards,
        what_expired_is_found_and_the_rest_is_not,
        what_is_gone_can_be_forgotten_and_nothing_else,
        a_blob_without_a_file_is_a_stray,
        files_survive,
        a_restored_message_takes_what_is_there,
    ]
}

const PLENTY: FileQuota = FileQuota { bytes_max: 1_000_000, waiting_max: 1_000 };

fn blob(n: u8) -> BlobId {
    BlobId::from_bytes([n; 16])
}

/// An upload of a hundred bytes that has just begun.
fn upload(w: &World, n: u8, owner: &str) -> FileRecord {
    let at = w.now();
    FileRecord {
        file: File {
            id: FileId::from_bytes([n; 16]),
            name: FileName::clean("böat 🚣.png"),
            content_type: ContentType::UNKNOWN,
            size: 100,
            width: None,
            height: None,
            thumbnail: false,
        },
        owner: user(owner),
        state: FileState::Uploading,
        created_at: at,
        expires_at: Timestamp::from_millis(at.as_millis() + 1_000_000),
        version: 0,
        parts: Vec::new(),
        thumbnail: None,
    }
}

async fn change(w: &World, change: FileChange) -> FileChanged {
    w.store.change_file(change).await.expect("the store keeps files")
}

async fn found(w: &World, id: FileId) -> Option<FileRecord> {
    let mut found = w.store.files(FileQuery::Ids(vec![id])).await.expect("the store reads");
    assert!(found.len() <= 1, "one id, one file: {found:?}");
    found.pop()
}

async fn state(w: &World, id: FileId) -> Option<FileState> {
    found(w, id).await.map(|it| it.state)
}

async fn begin(w: &World, n: u8, owner: &str) -> FileRecord {
    let record = upload(w, n, owner);
    assert_eq!(change(w, FileChange::Begin(record.clone(), PLENTY)).await, FileChanged::Done);
    record
}

fn completed(mut record: FileRecord) -> FileRecord {
    let n = record.file.id.as_bytes()[0];
    record.parts = vec![FilePart { blob: blob(n), bytes: 100 }];
    record.file.content_type = ContentType::known("image/png");
    (record.file.width, record.file.height, record.file.thumbnail) = (Some(640), Some(480), true);
    record.thumbnail = Some(FilePart { blob: blob(n ^ 0x80), bytes: 7 });
    record.state = FileState::Complete;
    record
}

/// A file that is there to be sent.
async fn complete(w: &World, n: u8, owner: &str) -> File {
    let record = completed(begin(w, n, owner).await);
    let file = record.file.clone();
    assert_eq!(change(w, FileChange::Advance(record)).await, FileChanged::Done);
    file
}

fn with(files: &[&File]) -> Body {
    let mut message = Message::new(Text::none());
    message.files = files.iter().copied().cloned().collect();
    Body::Message(message)
}

async fn send(
    w: &World,
    conversation: ConversationId,
    by: &str,
    files: &[&File],
) -> Result<Event, Refusal> {
    w.put(conversation, by, with(files)).await
}

async fn an_upload_grows_and_comes_back(trial: Trial) {
    let w = trial.world().await;
    let mut record = begin(&w, 1, "ann").await;
    assert_eq!(found(&w, record.file.id).await, Some(record.clone()));
    assert_eq!(change(&w, FileChange::Begin(record.clone(), PLENTY)).await, FileChanged::Refused);
    record.parts.push(FilePart { blob: blob(7), bytes: 40 });
    record.expires_at = Timestamp::from_millis(record.expires_at.as_millis() + 5);
    assert_eq!(change(&w, FileChange::Advance(record.clone())).await, FileChanged::Done);
    record.version += 1;
    assert_eq!(found(&w, record.file.id).await, Some(record.clone()));
    let mut record = completed(record);
    assert_eq!(change(&w, FileChange::Advance(record.clone())).await, FileChanged::Done);
    record.version += 1;
    assert_eq!(found(&w, record.file.id).await, Some(record));
    assert_eq!(found(&w, FileId::from_bytes([9; 16])).await, None);
}

async fn of_two_who_go_on_from_one_place_one_does(trial: Trial) {
    let w = trial.world().await;
    let record = begin(&w, 1, "ann").await;
    let goes_on = |n: u8| {
        let mut record = record.clone();
        record.parts.push(FilePart { blob: blob(n), bytes: n.into() });
        let w = w.share();
        async move { change(&w, FileChange::Advance(record)).await }
    };
    let answers = join_all((1..=8).map(goes_on)).await;
    let done = answers.iter().filter(|it| **it == FileChanged::Done).count();
    assert_eq!(done, 1, "{answers:?}");
    let now = found(&w, record.file.id).await.expect("it is there");
    let winner = answers.iter().position(|it| *it == FileChanged::Done).expect("one") as u64 + 1;
    assert_eq!((now.received(), now.version), (winner, 1));
}

async fn nobody_goes_on_with_the_upload_of_another(trial: Trial) {
    let w = trial.world().await;
    let record = begin(&w, 1, "ann").await;
    let mut stolen = completed(record.clone());
    stolen.owner = user("eve");
    assert_eq!(change(&w, FileChange::Advance(stolen)).await, FileChanged::Refused);
    assert_eq!(found(&w, record.file.id).await, Some(record));
}

async fn what_is_complete_changes_no_more(trial: Trial) {
    let w = trial.world().await;
    let file = complete(&w, 1, "ann").await;
    let mut record = found(&w, file.id).await.expect("it is there");
    record.parts.clear();
    assert_eq!(change(&w, FileChange::Advance(record)).await, FileChanged::Refused);
    assert_eq!(found(&w, file.id).await.map(|it| it.received()), Some(100));
}

async fn a_quota_counts_what_is_announced(trial: Trial) {
    let w = trial.world().await;
    let quota = FileQuota { bytes_max: 250, waiting_max: 100 };
    let tries = |n: u8, owner: &'static str| {
        let record = upload(&w, n, owner);
        let w = &w;
        async move { change(w, FileChange::Begin(record, quota)).await }
    };
    assert_eq!(tries(1, "ann").await, FileChanged::Done);
    assert_eq!(tries(2, "ann").await, FileChanged::Done);
    assert_eq!(tries(3, "ann").await, FileChanged::OverQuota);
    assert_eq!(found(&w, FileId::from_bytes([3; 16])).await, None);
    assert_eq!(tries(4, "bob").await, FileChanged::Done, "another's is another's");
    // What is gone counts no more.
    let discard =
        FileChange::Discard(FileId::from_bytes([1; 16]), DiscardWhen::OwnedBy(user("ann")));
    assert_eq!(change(&w, discard).await, FileChanged::Done);
    assert_eq!(tries(3, "ann").await, FileChanged::Done);
    // Sent is not gone.
    let group = w.group(&["cat"]).await;
    let file = complete(&w, 5, "cat").await;
    send(&w, group, "cat", &[&file]).await.expect("it is there");
    assert_eq!(tries(6, "cat").await, FileChanged::Done);
    assert_eq!(tries(7, "cat").await, FileChanged::OverQuota);
}

async fn a_quota_holds_against_many_at_once(trial: Trial) {
    let w = trial.world().await;
    let quota = FileQuota { bytes_max: 300, waiting_max: 100 };
    let tries = (1..=12).map(|n| {
        let (w, record) = (w.share(), upload(&w, n, "ann"));
        async move { change(&w, FileChange::Begin(record, quota)).await }
    });
    let answers = join_all(tries).await;
    let done = answers.iter().filter(|it| **it == FileChanged::Done).count();
    assert_eq!(done, 3, "{answers:?}");
}

async fn only_so_many_wait(trial: Trial) {
    let w = trial.world().await;
    let quota = FileQuota { bytes_max: 10_000, waiting_max: 2 };
    let group = w.group(&["ann"]).await;
    let file = complete(&w, 1, "ann").await;
    begin(&w, 2, "ann").await;
    let third = upload(&w, 3, "ann");
    let begins = FileChange::Begin(third, quota);
    assert_eq!(change(&w, begins.clone()).await, FileChanged::OverQuota);
    send(&w, group, "ann", &[&file]).await.expect("it is there");
    assert_eq!(change(&w, begins).await, FileChanged::Done);
}

async fn a_message_takes_its_files(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let (one, other) = (complete(&w, 1, "ann").await, complete(&w, 2, "ann").await);
    let event = send(&w, group, "ann", &[&other, &one]).await.expect("they are there");
    assert_eq!(event.body, with(&[&other, &one]), "in their order");
    for file in [&one, &other] {
        assert_eq!(state(&w, file.id).await, Some(FileState::Attached(group, event.seq)));
    }
    let log = w.log(group).await;
    assert_eq!(log.last(), Some(&event));
    assert_eq!(w.unread("bob", group).await, 1, "a message without text is one");
}

async fn a_message_cannot_take_what_is_not_there_for_it(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let file = complete(&w, 1, "ann").await;
    let unfinished = begin(&w, 2, "ann").await.file;
    let missing = File { id: FileId::from_bytes([9; 16]), ..file.clone() };
    let lied = File { name: FileName::clean("other.png"), ..file.clone() };
    for (by, files) in [
        ("bob", vec![&file]),
        (SYSTEM, vec![&file]),
        ("ann", vec![&unfinished]),
        ("ann", vec![&missing]),
        ("ann", vec![&lied]),
        ("ann", vec![&file, &file]),
        ("ann", vec![&file, &missing]),
    ] {
        let refused = send(&w, group, by, &files).await;
        assert_eq!(refused, Err(Refusal::NoSuchFile), "{files:?} by {by:?}");
        assert_eq!(state(&w, file.id).await, Some(FileState::Complete));
    }
    assert_eq!(w.head(group).await, 1, "a refused message takes no number");
    send(&w, group, "ann", &[&file]).await.expect("it is there still");
    let again = send(&w, group, "ann", &[&file]).await;
    assert_eq!(again, Err(Refusal::NoSuchFile), "one message a file");
}

async fn a_repetition_takes_nothing_again(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let (file, other) = (complete(&w, 1, "ann").await, complete(&w, 2, "ann").await);
    let mut append = w.append(group, "ann", with(&[&file]));
    append.key = ClientKey::new("k").ok();
    let (first, fresh) = w.write(append.clone()).await.expect("it is there");
    assert!(fresh);
    let batch = vec![Write::Append(append.clone()), Write::Append(append.clone())];
    for written in w.batch(batch).await {
        assert_eq!(super::world::standing(written), Ok((first.clone(), false)));
    }
    let conflict = crate::store::Append { body: with(&[&other]), ..append.clone() };
    assert_eq!(w.write(conflict).await, Err(Refusal::KeyConflict));
    assert_eq!(state(&w, other.id).await, Some(FileState::Complete));
    // Also when message and files are gone.
    w.put(group, "ann", Body::Deleted { message: first.seq }).await.expect("it is hers");
    let (event, fresh) = w.write(append).await.expect("the first answer");
    assert_eq!((event.seq, event.body, fresh), (first.seq, Body::Erased, false));
}

async fn of_many_messages_one_gets_the_file(trial: Trial) {
    let w = trial.world().await;
    let file = complete(&w, 1, "ann").await;
    let mut groups = Vec::new();
    for _ in 0..8 {
        groups.push(w.group(&["ann"]).await);
    }
    let sends = groups.iter().map(|group| {
        let (w, file, group) = (w.share(), file.clone(), *group);
        async move { send(&w, group, "ann", &[&file]).await }
    });
    let answers = join_all(sends).await;
    let sent: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let attached = FileState::Attached(sent[0].conversation, sent[0].seq);
    assert_eq!(state(&w, file.id).await, Some(attached));
}

async fn a_refused_message_takes_no_file(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let file = complete(&w, 1, "eve").await;
    assert_eq!(send(&w, group, "eve", &[&file]).await, Err(Refusal::NotMember));
    assert_eq!(state(&w, file.id).await, Some(FileState::Complete));
}

async fn a_deleted_message_gives_its_files_up(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let (one, other) = (complete(&w, 1, "ann").await, complete(&w, 2, "ann").await);
    let sent = send(&w, group, "ann", &[&one]).await.expect("it is there");
    let kept = send(&w, group, "ann", &[&other]).await.expect("it is there");
    w.put(group, "ann", Body::Deleted { message: sent.seq }).await.expect("it is hers");
    assert_eq!(state(&w, one.id).await, Some(FileState::Gone));
    assert_eq!(state(&w, other.id).await, Some(FileState::Attached(group, kept.seq)));
    let over = over(&w, 0).await;
    assert_eq!(over, [one.id], "it is to be collected at once");
    let log = w.log(group).await;
    assert_eq!(log[1].body, Body::Erased);
}

async fn a_message_deleted_in_its_batch_leaves_no_file(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let file = complete(&w, 1, "ann").await;
    let deleted = Body::Deleted { message: Seq::new(2) };
    let batch = [with(&[&file]), deleted].map(|body| Write::Append(w.append(group, "ann", body)));
    for written in w.batch(batch.into()).await {
        super::world::standing(written).expect("both stand");
    }
    assert_eq!(state(&w, file.id).await, Some(FileState::Gone));
}

async fn what_is_discarded_is_attached_no_more(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let file = complete(&w, 1, "ann").await;
    let discard = FileChange::Discard(file.id, DiscardWhen::OwnedBy(user("ann")));
    assert_eq!(change(&w, discard.clone()).await, FileChanged::Done);
    assert_eq!(change(&w, discard).await, FileChanged::Refused, "twice is once");
    assert_eq!(send(&w, group, "ann", &[&file]).await, Err(Refusal::NoSuchFile));
}

async fn what_is_attached_is_discarded_no_more(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let file = complete(&w, 1, "ann").await;
    let event = send(&w, group, "ann", &[&file]).await.expect("it is there");
    for when in [
        DiscardWhen::OwnedBy(user("ann")),
        DiscardWhen::ExpiredAt(Timestamp::from_millis(i64::MAX / 2)),
    ] {
        let discard = FileChange::Discard(file.id, when);
        assert_eq!(change(&w, discard).await, FileChanged::Refused);
    }
    assert_eq!(state(&w, file.id).await, Some(FileState::Attached(group, event.seq)));
}

async fn only_the_owner_discards(trial: Trial) {
    let w = trial.world().await;
    let file = complete(&w, 1, "ann").await;
    let discard = FileChange::Discard(file.id, DiscardWhen::OwnedBy(user("eve")));
    assert_eq!(change(&w, discard).await, FileChanged::Refused);
    assert_eq!(state(&w, file.id).await, Some(FileState::Complete));
}

async fn over(w: &World, at: i64) -> Vec<FileId> {
    let over = FileQuery::Over(Timestamp::from_millis(at), limit(100));
    let mut over: Vec<_> =
        w.store.files(over).await.expect("the store reads").iter().map(|it| it.file.id).collect();
    over.sort_unstable();
    over
}

async fn what_expired_is_found_and_the_rest_is_not(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let sent = complete(&w, 1, "ann").await;
    send(&w, group, "ann", &[&sent]).await.expect("it is there");
    let (old, later) = (begin(&w, 2, "ann").await, complete(&w, 3, "bob").await);
    let until = old.expires_at.as_millis();
    assert_eq!(over(&w, until - 1).await, []);
    assert_eq!(over(&w, until).await, [old.file.id]);
    assert_eq!(over(&w, until + 1_000_000).await, [old.file.id, later.id]);
    let some = FileQuery::Over(Timestamp::from_millis(until + 1_000_000), limit(1));
    assert_eq!(w.store.files(some).await.expect("the store reads").len(), 1);
    let discard = |at: i64| {
        FileChange::Discard(old.file.id, DiscardWhen::ExpiredAt(Timestamp::from_millis(at)))
    };
    assert_eq!(change(&w, discard(until - 1)).await, FileChanged::Refused);
    assert_eq!(change(&w, discard(until)).await, FileChanged::Done);
    assert_eq!(over(&w, 0).await, [old.file.id], "what is gone is over at any time");
    let advance = completed(old.clone());
    assert_eq!(change(&w, FileChange::Advance(advance)).await, FileChanged::Refused);
}

async fn what_is_gone_can_be_forgotten_and_nothing_else(trial: Trial) {
    let w = trial.world().await;
    let file = complete(&w, 1, "ann").await;
    assert_eq!(change(&w, FileChange::Forget(file.id)).await, FileChanged::Refused);
    let discard = FileChange::Discard(file.id, DiscardWhen::OwnedBy(user("ann")));
    assert_eq!(change(&w, discard).await, FileChanged::Done);
    let gone = found(&w, file.id).await.expect("its blobs are known until it is forgotten");
    assert_eq!(gone.blobs().collect::<Vec<_>>(), [blob(1), blob(0x81)]);
    assert_eq!(change(&w, FileChange::Forget(file.id)).await, FileChanged::Done);
    assert_eq!(found(&w, file.id).await, None);
    assert_eq!(change(&w, FileChange::Forget(file.id)).await, FileChanged::Refused);
}

async fn a_blob_without_a_file_is_a_stray(trial: Trial) {
    let w = trial.world().await;
    let mut record = begin(&w, 1, "ann").await;
    record.parts.push(FilePart { blob: blob(40), bytes: 1 });
    assert_eq!(change(&w, FileChange::Advance(record)).await, FileChanged::Done);
    let file = complete(&w, 2, "ann").await;
    let all = [blob(2), blob(40), blob(41), blob(0x82), blob(42)];
    let strays = w.store.stray_blobs(&all).await.expect("the store reads");
    assert_eq!(strays, [blob(41), blob(42)]);
    // Those of what is gone are not, until it is forgotten.
    let discard = FileChange::Discard(file.id, DiscardWhen::OwnedBy(user("ann")));
    assert_eq!(change(&w, discard).await, FileChanged::Done);
    assert_eq!(w.store.stray_blobs(&all[..1]).await.expect("the store reads"), []);
    assert_eq!(change(&w, FileChange::Forget(file.id)).await, FileChanged::Done);
    assert_eq!(w.store.stray_blobs(&all[..1]).await.expect("the store reads"), [blob(2)]);
}

async fn files_survive(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let (sent, kept) = (complete(&w, 1, "ann").await, complete(&w, 2, "ann").await);
    let event = send(&w, group, "ann", &[&sent]).await.expect("it is there");
    let before = [found(&w, sent.id).await, found(&w, kept.id).await];
    let Some(w) = w.restart().await else { return };
    assert_eq!([found(&w, sent.id).await, found(&w, kept.id).await], before);
    assert_eq!(state(&w, sent.id).await, Some(FileState::Attached(group, event.seq)));
    assert_eq!(w.store.stray_blobs(&[blob(1)]).await.expect("the store reads"), []);
}

async fn a_restored_message_takes_what_is_there(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let there = complete(&w, 1, "ann").await;
    let missing = File { id: FileId::from_bytes([9; 16]), ..there.clone() };
    let event = Event {
        conversation: group,
        seq: Seq::new(2),
        at: w.now(),
        from: Some(user("ann")),
        key: None,
        body: with(&[&there, &missing]),
    };
    let restored = super::world::standing(w.one(Write::Restore(event.clone())).await);
    assert_eq!(restored, Ok((event, true)));
    assert_eq!(state(&w, there.id).await, Some(FileState::Attached(group, Seq::new(2))));
    assert_eq!(state(&w, missing.id).await, None);
}
