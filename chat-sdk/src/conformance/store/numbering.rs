//! Rule 2, gapless: 1, 2, 3 … and nothing but events takes a number.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{SYSTEM, added, message, removed, renamed, role, unknown, user},
};
use crate::{
    model::{Body, Role},
    store::{Refusal, Write, Written},
};

pub(super) fn cases() -> Cases {
    cases!["numbering":
        the_first_event_has_number_one,
        events_are_numbered_without_gaps,
        each_conversation_has_numbers_of_its_own,
        an_answer_is_what_stands_in_the_log,
        every_kind_of_event_takes_one_number,
        a_refused_write_takes_no_number,
        a_repeated_write_takes_no_number,
        a_marker_takes_no_number,
        refused_writes_in_a_batch_leave_no_gap,
        the_head_is_the_last_number,
        heads_are_those_of_the_conversations_asked_for,
        the_clock_does_not_order_the_log,
    ]
}

async fn the_first_event_has_number_one(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let log = w.log(group).await;
    assert_eq!(log.len(), 1);
    assert!(matches!(log[0].body, Body::Created { .. }));
}

async fn events_are_numbered_without_gaps(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    for n in 2..=120 {
        let by = if n % 2 == 0 { "ann" } else { "bob" };
        assert_eq!(w.say(group, by, "hi").await.seq.get(), n);
    }
    assert_eq!(w.log(group).await.len(), 120);
}

async fn each_conversation_has_numbers_of_its_own(trial: Trial) {
    let w = trial.world().await;
    let (one, other) = (w.group(&["ann"]).await, w.direct("ann", "bob").await);
    assert_eq!(w.say(one, "ann", "hi").await.seq.get(), 2);
    assert_eq!(w.say(one, "ann", "hi").await.seq.get(), 3);
    assert_eq!(w.say(other, "bob", "hi").await.seq.get(), 2);
    assert_eq!(w.say(one, "ann", "hi").await.seq.get(), 4);
}

async fn an_answer_is_what_stands_in_the_log(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let append = w.keyed(group, "ann", "k", "hi");
    let (event, fresh) = w.write(append.clone()).await.expect("it stands");
    assert!(fresh);
    assert_eq!(event.conversation, group);
    assert_eq!(event.from, append.by);
    assert_eq!(event.key, append.key);
    assert_eq!(event.at, append.at);
    assert_eq!(event.body, append.body);
    assert_eq!(w.log(group).await[1], event);
}

async fn every_kind_of_event_takes_one_number(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    let bodies = [
        message("hi"),
        added(&["eve", "dan"]),
        role("bob", Role::Owner),
        renamed("Ships"),
        removed("eve"),
        unknown(r#"{"type":"poll","question":"?"}"#),
        Body::Left,
    ];
    for (index, body) in bodies.iter().enumerate() {
        let event = w.put(group, "ann", body.clone()).await.expect("an owner may");
        assert_eq!(event.seq.get(), index as u64 + 2);
    }
    let log: Vec<Body> = w.log(group).await.into_iter().skip(1).map(|event| event.body).collect();
    assert_eq!(log, bodies);
}

async fn a_refused_write_takes_no_number(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    w.write(w.keyed(group, "ann", "k", "first")).await.expect("it stands");
    let refused = [
        (w.append(group, "eve", message("hi")), Refusal::NotMember),
        (w.append(group, "bob", renamed("Mine")), Refusal::RoleTooLow),
        (w.keyed(group, "ann", "k", "second"), Refusal::KeyConflict),
        (w.append(group, "ann", Body::Left), Refusal::LastOwner),
        (w.append(group, "ann", removed("eve")), Refusal::NoSuchMember),
    ];
    for (append, refusal) in refused {
        assert_eq!(w.write(append).await, Err(refusal));
        assert_eq!(w.head(group).await, 2);
    }
    assert_eq!(w.say(group, "bob", "next").await.seq.get(), 3);
    assert_eq!(w.log(group).await.len(), 3);
}

async fn a_repeated_write_takes_no_number(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    for _ in 0..5 {
        w.write(w.keyed(group, "ann", "k", "hi")).await.expect("it stands");
    }
    assert_eq!(w.say(group, "ann", "next").await.seq.get(), 3);
}

async fn a_marker_takes_no_number(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    w.mark(group, "ann", 1, 1).await.expect("a member may");
    assert_eq!(w.say(group, "ann", "next").await.seq.get(), 2);
}

async fn refused_writes_in_a_batch_leave_no_gap(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let by = |n: u64| if n.is_multiple_of(3) { "ann" } else { "eve" };
    let batch = (0..30).map(|n| Write::Append(w.append(group, by(n), message("hi"))));
    let written = w.batch(batch.collect()).await;
    let refused = written.iter().filter(|one| **one == Written::Refused(Refusal::NotMember));
    assert_eq!(refused.count(), 20);
    assert_eq!(w.log(group).await.len(), 11);
}

async fn the_head_is_the_last_number(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann", "bob"]).await;
    w.chatter(group, "ann", 7).await;
    assert_eq!(w.head(group).await, 8);
    assert_eq!(w.summary("bob", group).await.head.get(), 8);
    let memberships = w.store.memberships(&user("bob"), None).await.expect("the store reads");
    assert_eq!(memberships.current[0].head.get(), 8);
}

async fn heads_are_those_of_the_conversations_asked_for(trial: Trial) {
    let w = trial.world().await;
    let (one, two, three) =
        (w.group(&["ann"]).await, w.group(&["bob"]).await, w.group(&["eve"]).await);
    w.say(two, "bob", "hi").await;
    let heads = w.store.heads(&[two, w.nowhere(), one]).await.expect("the store reads").heads;
    let mut heads: Vec<_> = heads.into_iter().map(|(id, head)| (id, head.get())).collect();
    heads.sort_unstable();
    let mut expected = vec![(one, 1), (two, 2)];
    expected.sort_unstable();
    assert_eq!(heads, expected, "the missing one and {three} are left out");
}

async fn the_clock_does_not_order_the_log(trial: Trial) {
    let w = trial.world().await;
    let group = w.group(&["ann"]).await;
    let (later, earlier) = {
        let earlier = w.append(group, SYSTEM, message("written second, an hour before"));
        (w.append(group, SYSTEM, message("written first")), earlier)
    };
    w.write(later.clone()).await.expect("the system may");
    w.write(earlier.clone()).await.expect("the system may");
    let log = w.log(group).await;
    assert_eq!((log[1].at, log[2].at), (later.at, earlier.at));
}
