//! Rule 5, in order: a batch is one commit, and its writes happen one after the other.

use super::{
    super::report::cases,
    Cases, Trial,
    concurrency::Busy,
    world::{World, added, marker, message, removed, renamed, standing, user},
};
use crate::{
    model::{Body, ConversationId, Kind, Seq},
    store::{Mark, Refusal, Write, Written},
};

pub(super) fn cases() -> Cases {
    cases!["order":
        an_empty_batch_is_answered_with_nothing,
        an_append_sees_the_opening_before_it,
        an_append_does_not_see_an_opening_after_it,
        who_was_added_before_may_write,
        who_was_removed_before_may_not_write,
        a_marker_sees_the_event_before_it,
        a_marker_does_not_see_the_event_after_it,
        answers_come_in_the_order_of_the_writes,
        a_refusal_does_not_touch_the_others,
        a_batch_over_many_conversations_numbers_each,
        a_huge_batch_is_written,
        a_batch_is_seen_whole_or_not_at_all,
        what_was_answered_can_be_read,
    ]
}

fn say(w: &World, id: ConversationId, by: &str, text: &str) -> Write {
    Write::Append(w.append(id, by, message(text)))
}

fn mark(conversation: ConversationId, who: &str, read: u64) -> Write {
    Write::Mark(Mark { conversation, user: user(who), marker: marker(read, read) })
}

async fn an_empty_batch_is_answered_with_nothing(trial: Trial) {
    let w = trial.world().await;
    assert_eq!(w.batch(Vec::new()).await, []);
}

async fn an_append_sees_the_opening_before_it(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = Write::Open(w.opening(id, Kind::Direct, &["ann", "bob"]));
    let written = w.batch(vec![open, say(&w, id, "bob", "hi")]).await;
    let events: Vec<_> = written.into_iter().map(|one| standing(one).expect("it stands")).collect();
    assert_eq!((events[0].0.seq, events[1].0.seq), (Seq::new(1), Seq::new(2)));
}

async fn an_append_does_not_see_an_opening_after_it(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = Write::Open(w.opening(id, Kind::Direct, &["ann", "bob"]));
    let written = w.batch(vec![say(&w, id, "bob", "hi"), open]).await;
    assert_eq!(written[0], Written::Refused(Refusal::NotMember));
    assert_eq!(w.log(id).await.len(), 1);
}

async fn who_was_added_before_may_write(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let add = Write::Append(w.append(id, "ann", added(&["bob"])));
    let batch = vec![say(&w, id, "bob", "early"), add, say(&w, id, "bob", "hi")];
    let written: Vec<_> = w.batch(batch).await.into_iter().map(standing).collect();
    assert_eq!(written[0], Err(Refusal::NotMember));
    assert!(written[1].is_ok() && written[2].is_ok());
}

async fn who_was_removed_before_may_not_write(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let remove = Write::Append(w.append(id, "ann", removed("bob")));
    let batch =
        vec![say(&w, id, "bob", "hi"), remove, say(&w, id, "bob", "late"), mark(id, "bob", 1)];
    let written = w.batch(batch).await;
    assert!(standing(written[0].clone()).is_ok());
    assert_eq!(written[2..], [Refusal::NotMember, Refusal::NotMember].map(Written::Refused));
}

async fn a_marker_sees_the_event_before_it(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let written = w.batch(vec![say(&w, id, "ann", "hi"), mark(id, "ann", 9)]).await;
    assert_eq!(written[1], Written::Marker { marker: marker(2, 2), moved: true, crowd: false });
}

async fn a_marker_does_not_see_the_event_after_it(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let written = w.batch(vec![mark(id, "ann", 9), say(&w, id, "ann", "hi")]).await;
    assert_eq!(written[0], Written::Marker { marker: marker(1, 1), moved: true, crowd: false });
}

async fn answers_come_in_the_order_of_the_writes(trial: Trial) {
    let w = trial.world().await;
    let (one, two) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    let batch = vec![
        say(&w, two, "ann", "a"),
        mark(one, "ann", 1),
        say(&w, one, "ann", "b"),
        say(&w, two, "eve", "c"),
        say(&w, two, "ann", "d"),
    ];
    let written = w.batch(batch).await;
    let place = |written: &Written| match written {
        Written::Event { event, .. } => Some((event.conversation, event.seq.get())),
        Written::Marker { .. } | Written::Refused(_) => None,
    };
    let places: Vec<_> = written.iter().map(place).collect();
    assert_eq!(places, [Some((two, 2)), None, Some((one, 2)), None, Some((two, 3))]);
    assert!(matches!(written[1], Written::Marker { .. }));
    assert!(matches!(written[3], Written::Refused(Refusal::NotMember)));
}

async fn a_refusal_does_not_touch_the_others(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let batch = vec![
        say(&w, id, "ann", "a"),
        Write::Append(w.append(id, "bob", renamed("Mine"))),
        Write::Append(w.append(id, "ann", Body::Left)),
        say(&w, w.nowhere(), "ann", "b"),
        Write::Append(w.append(id, "ann", removed("eve"))),
        say(&w, id, "bob", "c"),
    ];
    let written: Vec<_> = w.batch(batch).await.into_iter().map(|one| standing(one).err()).collect();
    let expected = [
        None,
        Some(Refusal::RoleTooLow),
        Some(Refusal::LastOwner),
        Some(Refusal::NotMember),
        Some(Refusal::NoSuchMember),
        None,
    ];
    assert_eq!(written, expected);
    assert_eq!(w.log(id).await.len(), 3);
}

async fn a_batch_over_many_conversations_numbers_each(trial: Trial) {
    let w = trial.world().await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(w.group(&["ann"]).await);
    }
    let batch = (0..100).map(|n| say(&w, ids[n * 7 % 10], "ann", &n.to_string()));
    w.batch(batch.collect()).await;
    for id in ids {
        assert_eq!(w.log(id).await.len(), 11);
    }
}

async fn a_huge_batch_is_written(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = Write::Open(w.opening(id, Kind::Group, &["ann"]));
    let batch = std::iter::once(open)
        .chain((0..2_000).map(|n| say(&w, id, "ann", &n.to_string())))
        .collect();
    w.batch(batch).await;
    assert_eq!(w.log(id).await.len(), 2_001);
}

async fn a_batch_is_seen_whole_or_not_at_all(trial: Trial) {
    let w = trial.world().await;
    let (one, two) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    let mut busy = Busy::begin(&w, 2, move |w| {
        let pair = || [say(w, one, "ann", "a"), say(w, two, "ann", "b")];
        pair().into_iter().chain(pair()).collect()
    });
    while busy.goes_on().await {
        let heads = w.store.heads(&[one, two]).await.expect("the store reads").heads;
        assert_eq!(heads[0].1, heads[1].1, "both of a batch or none are seen");
    }
    busy.end().await;
}

async fn what_was_answered_can_be_read(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for n in 0..50 {
        let event = w.say(id, "ann", &n.to_string()).await;
        let read = w.read("ann", id, event.seq.get() - 1, event.seq.get(), 1).await;
        assert_eq!(read, Some(vec![event]), "an answer means that it is there");
    }
}
