//! Rule 3, once: a key is remembered for ever.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{SYSTEM, World, added, message, removed, renamed, role, standing, unknown, user},
};
use crate::{
    model::{Body, ClientKey, ConversationId, Kind, Role},
    store::{Append, Refusal, Write},
};

pub(super) fn cases() -> Cases {
    cases!["once":
        a_repetition_is_answered_with_the_first_event,
        a_repetition_changes_nothing,
        a_repetition_much_later_is_one_too,
        another_body_is_a_conflict,
        a_conflict_does_not_use_up_the_key,
        the_key_of_another_author_is_another,
        the_key_in_another_conversation_is_another,
        the_system_is_an_author_of_its_own,
        without_a_key_every_write_is_new,
        twice_in_one_batch_is_once,
        two_bodies_with_one_key_in_one_batch_are_a_conflict,
        keys_are_compared_byte_by_byte,
        the_longest_key_is_a_key,
        the_key_of_an_opening_is_used,
        a_stranger_is_no_member_whatever_the_key,
        who_left_is_no_member_even_with_an_old_key,
        who_came_back_finds_the_first_event,
        who_lost_the_role_still_gets_the_first_answer,
        a_repeated_demotion_of_oneself_is_answered,
        a_repeated_removal_is_answered_and_not_done_again,
        a_repeated_addition_does_not_bring_anybody_back,
        a_refused_write_does_not_use_up_its_key,
        every_kind_of_event_is_kept_once,
        a_repetition_shows_the_time_of_the_first,
    ]
}

/// A write by ann, repeated with a later clock.
fn again(w: &World, append: &Append) -> Append {
    Append { at: w.now(), ..append.clone() }
}

fn with_key(append: Append, key: &str) -> Append {
    Append { key: Some(ClientKey::new(key).expect("a valid key")), ..append }
}

async fn a_repetition_is_answered_with_the_first_event(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    let (first, fresh) = w.write(append.clone()).await.expect("it stands");
    assert!(fresh, "the first write is fresh");
    for _ in 0..3 {
        assert_eq!(w.write(again(&w, &append)).await, Ok((first.clone(), false)));
    }
}

async fn a_repetition_changes_nothing(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    w.write(append.clone()).await.expect("it stands");
    let (log, seen) = (w.log(group).await, w.summary("bob", group).await);
    w.write(again(&w, &append)).await.expect("it stands");
    assert_eq!(w.log(group).await, log);
    assert_eq!(w.summary("bob", group).await, seen);
}

async fn a_repetition_much_later_is_one_too(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    let (first, _) = w.write(append.clone()).await.expect("it stands");
    for round in 0..5 {
        w.chatter(group, "bob", 100).await;
        w.write(w.keyed(group, "ann", &format!("k{round}"), "hi")).await.expect("it stands");
    }
    assert_eq!(w.write(again(&w, &append)).await, Ok((first, false)));
}

async fn another_body_is_a_conflict(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    w.write(w.keyed(group, "ann", "k", "hi")).await.expect("it stands");
    let others = [message("hi!"), message("Hi"), message("hi "), renamed("hi"), Body::Left];
    for body in others {
        let append = with_key(w.append(group, "ann", body), "k");
        assert_eq!(w.write(append.clone()).await, Err(Refusal::KeyConflict), "{append:?}");
    }
    assert_eq!(w.log(group).await.len(), 2);
}

async fn a_conflict_does_not_use_up_the_key(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    let (first, _) = w.write(append.clone()).await.expect("it stands");
    w.write(w.keyed(group, "ann", "k", "other")).await.expect_err("a conflict");
    assert_eq!(w.write(append).await, Ok((first, false)));
}

async fn the_key_of_another_author_is_another(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let (one, fresh_one) = w.write(w.keyed(group, "ann", "k", "hi")).await.expect("it stands");
    let (two, fresh_two) = w.write(w.keyed(group, "bob", "k", "hi")).await.expect("it stands");
    assert!(fresh_one && fresh_two && one.seq != two.seq);
    let repeated = w.write(w.keyed(group, "bob", "k", "hi")).await;
    assert_eq!(repeated, Ok((two, false)));
}

async fn the_key_in_another_conversation_is_another(trial: Trial) {
    let w = trial.world().await;
    let (here, there) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    w.write(w.keyed(here, "ann", "k", "here")).await.expect("it stands");
    let (event, fresh) = w.write(w.keyed(there, "ann", "k", "there")).await.expect("it stands");
    assert!(fresh);
    assert_eq!(event.conversation, there);
}

async fn the_system_is_an_author_of_its_own(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    w.write(w.keyed(group, "ann", "k", "by ann")).await.expect("it stands");
    let append = w.keyed(group, SYSTEM, "k", "by the system");
    let (first, fresh) = w.write(append.clone()).await.expect("it stands");
    assert!(fresh);
    assert_eq!(w.write(again(&w, &append)).await, Ok((first, false)));
    let other = w.write(w.keyed(group, SYSTEM, "k", "other")).await;
    assert_eq!(other, Err(Refusal::KeyConflict));
}

async fn without_a_key_every_write_is_new(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    for by in ["ann", "ann", SYSTEM, SYSTEM] {
        w.say(group, by, "the same").await;
    }
    assert_eq!(w.log(group).await.len(), 5);
}

async fn twice_in_one_batch_is_once(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    let repeated = again(&w, &append);
    let other = w.append(group, "ann", message("between"));
    let batch = [append, other, repeated].map(Write::Append);
    let mut written = w.batch(batch.into()).await.into_iter().map(standing);
    let mut next = || written.next().expect("three answers").expect("all stand");
    let ((first, first_fresh), (_, between), (second, second_fresh)) = (next(), next(), next());
    assert!(first_fresh && between && !second_fresh);
    assert_eq!(first, second);
    assert_eq!(w.log(group).await.len(), 3);
}

async fn two_bodies_with_one_key_in_one_batch_are_a_conflict(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let batch = ["one", "two", "one"].map(|text| Write::Append(w.keyed(group, "ann", "k", text)));
    let written: Vec<_> = w.batch(batch.into()).await.into_iter().map(standing).collect();
    assert!(matches!(written[0], Ok((_, true))));
    assert_eq!(written[1], Err(Refusal::KeyConflict));
    assert!(matches!(written[2], Ok((_, false))));
    assert_eq!(w.log(group).await.len(), 2);
}

async fn keys_are_compared_byte_by_byte(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let keys = ["k", "K", "k ", " k", "kk", "%", "_", "'", "k%", "1", "01", "1.0", "NULL", "\\"];
    for key in keys {
        let (_, fresh) = w.write(w.keyed(group, "ann", key, "hi")).await.expect("it stands");
        assert!(fresh, "{key:?} is a key of its own");
    }
    for key in keys {
        let (_, fresh) = w.write(w.keyed(group, "ann", key, "hi")).await.expect("it stands");
        assert!(!fresh, "{key:?} was used");
    }
}

async fn the_longest_key_is_a_key(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let (one, two) = (format!("{}1", "k".repeat(63)), format!("{}2", "k".repeat(63)));
    for (key, expected) in [(&one, true), (&two, true), (&one, false), (&two, false)] {
        let (event, fresh) = w.write(w.keyed(group, "ann", key, "hi")).await.expect("it stands");
        assert_eq!(fresh, expected);
        assert_eq!(event.key.as_ref().map(ClientKey::as_str), Some(key.as_str()));
    }
}

async fn the_key_of_an_opening_is_used(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let mut open = w.opening(id, Kind::Group, &["ann"]);
    open.key = Some(ClientKey::new("k").expect("a valid key"));
    let (event, _) = standing(w.one(Write::Open(open.clone())).await).expect("it opens");
    assert_eq!(event.key, open.key);
    let append = w.write(w.keyed(id, "ann", "k", "hi")).await;
    assert_eq!(append, Err(Refusal::KeyConflict));
}

async fn a_stranger_is_no_member_whatever_the_key(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    w.write(w.keyed(group, "ann", "k", "hi")).await.expect("it stands");
    for text in ["hi", "other"] {
        let written = w.write(w.keyed(group, "eve", "k", text)).await;
        assert_eq!(written, Err(Refusal::NotMember));
    }
}

async fn who_left_is_no_member_even_with_an_old_key(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let append = w.keyed(group, "bob", "k", "hi");
    w.write(append.clone()).await.expect("it stands");
    let left = with_key(w.append(group, "bob", Body::Left), "bye");
    w.write(left.clone()).await.expect("bob leaves");
    assert_eq!(w.write(append).await, Err(Refusal::NotMember));
    assert_eq!(w.write(left).await, Err(Refusal::NotMember));
}

async fn who_came_back_finds_the_first_event(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let append = w.keyed(group, "bob", "k", "hi");
    let (first, _) = w.write(append.clone()).await.expect("it stands");
    w.put(group, "bob", Body::Left).await.expect("bob leaves");
    w.put(group, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.write(append).await, Ok((first, false)));
}

async fn who_lost_the_role_still_gets_the_first_answer(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    w.put(group, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    let append = with_key(w.append(group, "bob", renamed("Ships")), "k");
    let (first, _) = w.write(append.clone()).await.expect("an owner may");
    w.put(group, "ann", role("bob", Role::Member)).await.expect("an owner may");
    assert_eq!(w.write(append).await, Ok((first, false)));
    assert_eq!(w.put(group, "bob", renamed("Mine")).await, Err(Refusal::RoleTooLow));
}

async fn a_repeated_demotion_of_oneself_is_answered(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    w.put(group, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    let append = with_key(w.append(group, "ann", role("ann", Role::Member)), "k");
    let (first, _) = w.write(append.clone()).await.expect("an owner may");
    assert_eq!(w.write(append).await, Ok((first, false)));
}

async fn a_repeated_removal_is_answered_and_not_done_again(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let append = with_key(w.append(group, "ann", removed("bob")), "k");
    let (first, _) = w.write(append.clone()).await.expect("an owner removes");
    assert_eq!(w.write(append.clone()).await, Ok((first.clone(), false)));
    w.put(group, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.write(append).await, Ok((first, false)));
    w.say(group, "bob", "still here").await;
}

async fn a_repeated_addition_does_not_bring_anybody_back(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let append = with_key(w.append(group, "ann", added(&["bob"])), "k");
    let (first, _) = w.write(append.clone()).await.expect("an owner adds");
    w.put(group, "ann", removed("bob")).await.expect("an owner removes");
    assert_eq!(w.write(append).await, Ok((first, false)));
    assert_eq!(w.roles(group).await, [(user("ann"), Role::Owner)]);
}

async fn a_refused_write_does_not_use_up_its_key(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let append = with_key(w.append(group, "bob", renamed("Ships")), "k");
    assert_eq!(w.write(append.clone()).await, Err(Refusal::RoleTooLow));
    w.put(group, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    let (_, fresh) = w.write(append).await.expect("an owner may");
    assert!(fresh);
    let alone = with_key(w.append(group, "bob", removed("eve")), "r");
    assert_eq!(w.write(alone).await, Err(Refusal::NoSuchMember));
    let (_, fresh) = w.write(w.keyed(group, "bob", "r", "free")).await.expect("the key is free");
    assert!(fresh);
}

async fn every_kind_of_event_is_kept_once(trial: Trial) {
    let w = trial.world().await;
    let group: ConversationId = w.group(&["ann", "bob"]).await;
    let bodies = [
        message("hi"),
        added(&["eve", "dan"]),
        removed("eve"),
        role("dan", Role::Owner),
        renamed("Ships"),
        unknown(r#"{"type":"poll", "options":[1, 2.0]}"#),
    ];
    for (index, body) in bodies.into_iter().enumerate() {
        let append = with_key(w.append(group, "ann", body), &format!("k{index}"));
        let (first, fresh) = w.write(append.clone()).await.expect("an owner may");
        assert!(fresh);
        assert_eq!(w.write(append).await, Ok((first, false)));
    }
}

async fn a_repetition_shows_the_time_of_the_first(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    w.write(append.clone()).await.expect("it stands");
    let (event, _) = w.write(again(&w, &append)).await.expect("it stands");
    assert_eq!(event.at, append.at);
    assert_eq!(w.summary("ann", group).await.updated_at, append.at);
}
