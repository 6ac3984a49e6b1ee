//! Rule 8, markers: merged by maximum, never beyond the head, read ≤ received.

use super::{
    super::{random::Random, report::cases},
    Cases, Trial,
    world::{marker, user},
};
use crate::model::{Marker, Seq};

pub(super) fn cases() -> Cases {
    cases!["markers":
        a_marker_begins_at_zero,
        a_marker_moves_forward,
        a_marker_does_not_move_back,
        half_a_step_back_is_half_a_step,
        a_marker_repeated_does_not_move,
        what_is_read_counts_as_received,
        a_marker_stops_at_the_head,
        a_marker_at_the_head_moves_on_with_it,
        the_largest_place_is_no_overflow,
        the_marker_of_another_stays,
        the_marker_in_another_conversation_stays,
        a_marker_shows_everywhere,
        markers_in_any_order_end_the_same,
        markers_from_many_tasks_end_at_the_maximum,
        a_marker_is_no_activity,
    ]
}

async fn a_marker_begins_at_zero(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    for who in ["ann", "bob"] {
        assert_eq!(w.marker_of(id, who).await, Marker::default());
    }
    assert_eq!(w.mark(id, "ann", 0, 0).await, Ok((marker(0, 0), false)));
}

async fn a_marker_moves_forward(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 9).await;
    for (received, read) in [(3, 1), (4, 1), (4, 4), (7, 5)] {
        let marked = w.mark(id, "ann", received, read).await;
        assert_eq!(marked, Ok((marker(received, read), true)));
        assert_eq!(w.marker_of(id, "ann").await, marker(received, read));
    }
}

async fn a_marker_does_not_move_back(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 9).await;
    w.mark(id, "ann", 7, 5).await.expect("a member may");
    for (received, read) in [(0, 0), (6, 4), (7, 0), (0, 5), (1, 1)] {
        assert_eq!(w.mark(id, "ann", received, read).await, Ok((marker(7, 5), false)));
    }
    assert_eq!(w.marker_of(id, "ann").await, marker(7, 5));
}

async fn half_a_step_back_is_half_a_step(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 9).await;
    w.mark(id, "ann", 7, 3).await.expect("a member may");
    assert_eq!(w.mark(id, "ann", 2, 5).await, Ok((marker(7, 5), true)));
    assert_eq!(w.mark(id, "ann", 9, 1).await, Ok((marker(9, 5), true)));
}

async fn a_marker_repeated_does_not_move(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    assert_eq!(w.mark(id, "ann", 1, 1).await, Ok((marker(1, 1), true)));
    assert_eq!(w.mark(id, "ann", 1, 1).await, Ok((marker(1, 1), false)));
}

async fn what_is_read_counts_as_received(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 9).await;
    assert_eq!(w.mark(id, "ann", 0, 4).await, Ok((marker(4, 4), true)));
    assert_eq!(w.mark(id, "ann", 2, 6).await, Ok((marker(6, 6), true)));
}

async fn a_marker_stops_at_the_head(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 2).await;
    assert_eq!(w.mark(id, "ann", 100, 2).await, Ok((marker(3, 2), true)));
    assert_eq!(w.mark(id, "ann", 0, 100).await, Ok((marker(3, 3), true)));
}

async fn a_marker_at_the_head_moves_on_with_it(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.mark(id, "ann", 100, 100).await.expect("a member may");
    w.chatter(id, "ann", 5).await;
    // What was asked for beyond the head is not remembered.
    assert_eq!(w.marker_of(id, "ann").await, marker(1, 1));
    assert_eq!(w.mark(id, "ann", 100, 100).await, Ok((marker(6, 6), true)));
}

async fn the_largest_place_is_no_overflow(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let most = Seq::MAX.get();
    assert_eq!(w.mark(id, "ann", most, 0).await, Ok((marker(1, 0), true)));
    assert_eq!(w.mark(id, "ann", most, most).await, Ok((marker(1, 1), true)));
}

async fn the_marker_of_another_stays(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.mark(id, "ann", 1, 1).await.expect("a member may");
    assert_eq!(w.marker_of(id, "bob").await, Marker::default());
}

async fn the_marker_in_another_conversation_stays(trial: Trial) {
    let w = trial.world().await;
    let (one, other) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    w.mark(one, "ann", 1, 1).await.expect("a member may");
    assert_eq!(w.marker_of(other, "ann").await, Marker::default());
}

async fn a_marker_shows_everywhere(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    w.say(id, "ann", "hi").await;
    w.mark(id, "bob", 2, 1).await.expect("a member may");
    assert_eq!(w.marker_of(id, "bob").await, marker(2, 1));
    assert_eq!(w.summary("bob", id).await.marker, marker(2, 1));
    let expected = [(user("ann"), marker(0, 0)), (user("bob"), marker(2, 1))];
    assert_eq!(w.summary("ann", id).await.markers, expected);
    assert_eq!(w.list("ann", 9).await[0].markers, expected);
}

async fn markers_in_any_order_end_the_same(trial: Trial) {
    let w = trial.world().await;
    let mut random = Random::from_seed(8);
    let (one, other) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    w.chatter(one, "ann", 20).await;
    w.chatter(other, "ann", 20).await;
    let mut arrivals: Vec<_> = (0..40).map(|_| (random.below(30), random.below(30))).collect();
    let expected = arrivals.iter().fold(Marker::default(), |end, &(received, read)| {
        end.merge(marker(received, read), Seq::new(21))
    });
    for &(received, read) in &arrivals {
        w.mark(one, "ann", received, read).await.expect("a member may");
    }
    arrivals.reverse();
    for &(received, read) in &arrivals {
        w.mark(other, "ann", received, read).await.expect("a member may");
    }
    assert_eq!(w.marker_of(one, "ann").await, expected);
    assert_eq!(w.marker_of(other, "ann").await, expected);
}

async fn markers_from_many_tasks_end_at_the_maximum(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 100).await;
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let w = w.share();
            tokio::spawn(async move {
                let mut last = Marker::default();
                for step in 0..10 {
                    let at = (task * 37 + step * 13) % 90 + 1;
                    let (now, _) = w.mark(id, "ann", at + 5, at).await.expect("a member may");
                    assert!(now.read >= last.read && now.received >= last.received);
                    last = now;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task saw a marker move back");
    }
    let most = (0..100).map(|n| ((n / 10) * 37 + (n % 10) * 13) % 90 + 1).max();
    let most = most.expect("there are some");
    assert_eq!(w.marker_of(id, "ann").await, marker(most + 5, most));
}

async fn a_marker_is_no_activity(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let before = w.summary("ann", id).await.updated_at;
    w.now();
    w.mark(id, "ann", 1, 1).await.expect("a member may");
    assert_eq!(w.summary("ann", id).await.updated_at, before);
}
