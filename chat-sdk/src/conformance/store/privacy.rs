//! Rule 6, members only: who is no member reads nothing, and cannot tell whether there is anything.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{SYSTEM, World, added, limit, removed, user},
};
use crate::{
    model::{Body, ConversationId, Seq},
    store::{Only, Page, Reader, Refusal},
};

pub(super) fn cases() -> Cases {
    cases!["privacy":
        a_stranger_reads_no_events,
        a_stranger_sees_no_page,
        a_stranger_sees_no_summary,
        a_stranger_sees_no_members,
        a_stranger_lists_nothing,
        who_left_reads_nothing,
        who_was_removed_reads_nothing,
        a_missing_conversation_looks_like_a_foreign_one,
        a_name_alike_is_another_user,
        who_is_added_reads_from_the_beginning,
        who_comes_back_reads_what_was_written_meanwhile,
        the_system_reads_everything,
        the_system_finds_no_missing_conversation,
        a_stranger_has_no_marker,
    ]
}

const PAGES: [Page; 4] =
    [Page::Newest, Page::Before(Seq::MAX), Page::After(Seq::ZERO), Page::Around(Seq::new(1))];

/// Holds that every way of reading is closed to this user, as if there were nothing.
async fn sees_nothing(w: &World, who: &str, id: ConversationId) {
    assert_eq!(w.read(who, id, 0, u64::MAX, 100).await, None);
    for page in PAGES {
        for only in [Only::Everything, Only::Messages] {
            assert_eq!(w.page_for(who, id, page, only, 100).await, None, "{page:?}");
        }
    }
    assert_eq!(w.seen(who, id).await, None);
    let name = user(who);
    let members = w.store.members(Reader::User(&name), id, None, limit(100)).await;
    assert_eq!(members.expect("the store reads"), None);
    assert!(w.list(who, 100).await.iter().all(|one| one.conversation != id));
    let memberships = w.store.memberships(&name, None).await.expect("the store reads");
    assert!(memberships.current.iter().all(|one| one.conversation != id));
    assert_eq!(memberships.left, [], "without a checkpoint nothing was left");
}

async fn a_stranger_reads_no_events(trial: Trial) {
    let w = trial.world().await;
    for id in [w.group(&["ann"]).await, w.direct("ann", "bob").await] {
        w.chatter(id, "ann", 3).await;
        for (after, upto) in [(0, u64::MAX), (0, 1), (9, 9), (3, 1)] {
            assert_eq!(w.read("eve", id, after, upto, 9).await, None);
        }
    }
}

async fn a_stranger_sees_no_page(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for page in PAGES {
        for only in [Only::Everything, Only::Messages] {
            assert_eq!(w.page_for("eve", id, page, only, 9).await, None);
        }
    }
}

async fn a_stranger_sees_no_summary(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    assert_eq!(w.seen("eve", id).await, None);
}

async fn a_stranger_sees_no_members(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for after in [None, Some(user("aaa"))] {
        let eve = user("eve");
        let members = w.store.members(Reader::User(&eve), id, after.as_ref(), limit(9)).await;
        assert_eq!(members.expect("the store reads"), None);
    }
}

async fn a_stranger_lists_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    sees_nothing(&w, "eve", id).await;
    assert_eq!(w.list("eve", 9).await, []);
}

async fn who_left_reads_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.say(id, "bob", "mine").await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    sees_nothing(&w, "bob", id).await;
}

async fn who_was_removed_reads_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.say(id, "bob", "mine").await;
    w.put(id, "ann", removed("bob")).await.expect("an owner removes");
    sees_nothing(&w, "bob", id).await;
}

async fn a_missing_conversation_looks_like_a_foreign_one(trial: Trial) {
    let w = trial.world().await;
    let foreign = w.group(&["ann"]).await;
    for id in [foreign, w.nowhere()] {
        sees_nothing(&w, "eve", id).await;
        assert_eq!(w.mark(id, "eve", 1, 1).await, Err(Refusal::NotMember));
        let written = w.write(w.keyed(id, "eve", "k", "hi")).await;
        assert_eq!(written, Err(Refusal::NotMember));
    }
}

async fn a_name_alike_is_another_user(trial: Trial) {
    let w = trial.world().await;
    // Case, trailing spaces, composed and decomposed letters, and wildcards.
    let id = w.group(&["é"]).await;
    for who in ["e\u{301}", "É", "é ", " é", "e", "%", "_", "*", "é%"] {
        sees_nothing(&w, who, id).await;
        w.put(id, who, Body::Left).await.expect_err("is no member");
    }
    w.say(id, "é", "hi").await;
}

async fn who_is_added_reads_from_the_beginning(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 5).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.tail("bob", id, 0, u64::MAX).await, Some(w.log(id).await));
}

async fn who_comes_back_reads_what_was_written_meanwhile(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    w.chatter(id, "ann", 5).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.tail("bob", id, 0, u64::MAX).await, Some(w.log(id).await));
}

async fn the_system_reads_everything(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 3).await;
    w.put(id, "ann", Body::Left).await.expect("the last one leaves");
    assert_eq!(w.tail(SYSTEM, id, 0, u64::MAX).await.map(|read| read.len()), Some(5));
    for page in PAGES {
        assert!(w.page_for(SYSTEM, id, page, Only::Everything, 9).await.is_some());
    }
    let members = w.store.members(Reader::System, id, None, limit(9)).await;
    assert_eq!(members.expect("the store reads"), Some(Vec::new()));
}

async fn the_system_finds_no_missing_conversation(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    assert_eq!(w.read(SYSTEM, id, 0, 9, 9).await, None);
    for page in PAGES {
        assert_eq!(w.page_for(SYSTEM, id, page, Only::Everything, 9).await, None);
    }
    let members = w.store.members(Reader::System, id, None, limit(9)).await;
    assert_eq!(members.expect("the store reads"), None);
    assert_eq!(w.store.heads(&[id]).await.expect("the store reads").heads, []);
}

async fn a_stranger_has_no_marker(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.mark(id, "bob", 1, 1).await.expect("a member may");
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    for who in ["eve", "bob"] {
        assert_eq!(w.mark(id, who, 2, 2).await, Err(Refusal::NotMember));
    }
    let seen = w.summary("ann", id).await;
    assert_eq!(seen.markers.len(), 1, "only members have a marker that shows");
}
