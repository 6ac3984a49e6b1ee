//! What a device that comes back asks: what changed since this checkpoint? More may be said to have
//! changed than did, never less.

use super::{
    super::{random::Random, report::cases},
    Cases, Trial,
    concurrency::Busy,
    model::Model,
    unread::{PEOPLE, begin, random_write},
    world::{SYSTEM, World, added, message, removed, renamed, role, user},
};
use crate::{
    model::{Body, ConversationId, Message, Role, Seq},
    store::{Checkpoint, Write},
};

pub(super) fn cases() -> Cases {
    cases!["memberships":
        without_a_checkpoint_nothing_changed_and_nothing_was_left,
        every_conversation_has_its_head,
        an_event_is_a_change,
        every_kind_of_event_is_a_change,
        several_events_are_one_change,
        the_own_marker_is_a_change,
        the_marker_of_another_is_a_change,
        what_came_before_the_checkpoint_is_known,
        what_did_not_change_is_not_beyond_its_head,
        who_came_in_since_begins_at_zero,
        a_new_conversation_begins_at_zero,
        who_left_since_is_told,
        who_was_removed_since_is_told,
        who_came_and_left_since_is_told,
        who_left_and_came_back_is_a_member,
        who_stays_left_nothing,
        a_stranger_is_told_nothing,
        a_checkpoint_stays_good,
        a_checkpoint_is_short_and_printable,
        a_checkpoint_of_nothing_counts_as_none,
        a_checkpoint_of_another_store_counts_as_none,
        heads_and_checkpoint_are_of_one_moment,
        who_came_or_left_since_has_moved,
        after_a_checkpoint_of_nothing_everybody_has_moved,
        no_change_is_missed_in_a_random_history_1,
        no_change_is_missed_in_a_random_history_2,
        no_change_is_missed_in_a_random_history_3,
    ]
}

async fn who_came_or_left_since_has_moved(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    let everybody = ["ann", "bob", "eve", "joe", "sue"].map(user);
    let steps: [(&str, Body, &[&str]); 5] = [
        ("ann", added(&["joe"]), &["joe"]),
        ("bob", Body::Left, &["bob"]),
        ("ann", removed("eve"), &["eve"]),
        ("ann", added(&["bob", "eve"]), &["bob", "eve"]),
        ("ann", added(&["sue"]), &["sue"]),
    ];
    let beginning = w.checkpoint().await;
    for (by, body, moved) in steps {
        let checkpoint = w.checkpoint().await;
        w.put(id, by, body).await.expect("they may");
        for who in moved {
            let named = w.store.moved(&everybody, &checkpoint).await.expect("the store reads");
            assert!(named.contains(&user(who)), "{who} is not among {named:?}");
            // Only those are answered for who were asked about.
            let asked = [user(who)];
            let named = w.store.moved(&asked, &beginning).await.expect("the store reads");
            assert_eq!(named, asked);
        }
    }
    assert_eq!(w.store.moved(&[], &beginning).await.expect("the store reads"), []);
}

async fn after_a_checkpoint_of_nothing_everybody_has_moved(trial: Trial) {
    let w = trial.world().await;
    w.group(&["ann", "bob"]).await;
    let users = ["ann", "bob"].map(user);
    for odd in ["", "x", "1", "999999999-0123456789ab"] {
        let mut named =
            w.store.moved(&users, &Checkpoint(odd.to_owned())).await.expect("the store reads");
        named.sort_unstable();
        assert_eq!(named, users, "{odd:?}");
    }
}

async fn without_a_checkpoint_nothing_changed_and_nothing_was_left(trial: Trial) {
    let w = trial.world().await;
    let (stays, left) = (w.group(&["ann", "bob"]).await, w.group(&["ann", "bob"]).await);
    w.put(left, "bob", Body::Left).await.expect("bob leaves");
    let memberships = w.store.memberships(&user("bob"), None).await.expect("the store reads");
    assert_eq!(memberships.current.len(), 1);
    let one = &memberships.current[0];
    assert_eq!((one.conversation, one.changed_since), (stays, None));
    assert_eq!(memberships.left, []);
}

async fn every_conversation_has_its_head(trial: Trial) {
    let w = trial.world().await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let id = w.group(&["ann", "bob"]).await;
        w.chatter(id, "ann", n).await;
        expected.push((id, n as u64 + 1));
    }
    expected.sort_unstable();
    let checkpoint = w.checkpoint().await;
    for since in [None, Some(&checkpoint)] {
        let memberships = w.store.memberships(&user("bob"), since).await.expect("the store reads");
        let mut found: Vec<_> =
            memberships.current.iter().map(|one| (one.conversation, one.head.get())).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

async fn an_event_is_a_change(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    w.chatter(id, "ann", 4).await;
    let checkpoint = w.checkpoint().await;
    w.say(id, "ann", "new").await;
    for who in ["ann", "bob"] {
        let since = w.changed(who, &checkpoint, id).await.expect("it changed");
        assert!(since <= 5, "from {since} on the new one at 6 is missed by nobody");
    }
}

async fn every_kind_of_event_is_a_change(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let bodies = [
        added(&["eve"]),
        role("eve", Role::Owner),
        renamed("Ships"),
        removed("eve"),
        Body::Message(Message::new(crate::model::Text::new("hi").expect("a valid text"))),
    ];
    for body in bodies {
        let (head, checkpoint) = (w.head(id).await, w.checkpoint().await);
        w.put(id, "ann", body).await.expect("an owner may");
        let since = w.changed("bob", &checkpoint, id).await.expect("it changed");
        assert!(since <= head);
    }
}

async fn several_events_are_one_change(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    w.chatter(id, "ann", 4).await;
    let checkpoint = w.checkpoint().await;
    w.chatter(id, "bob", 3).await;
    w.say(id, "ann", "hi").await;
    let memberships = w.since("ann", &checkpoint).await;
    assert_eq!(memberships.current.len(), 1);
    assert!(memberships.current[0].changed_since.expect("it changed") <= Seq::new(5));
    assert_eq!(memberships.current[0].head, Seq::new(9));
}

async fn the_own_marker_is_a_change(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    let checkpoint = w.checkpoint().await;
    w.mark(id, "bob", 1, 0).await.expect("a member may");
    let since = w.changed("bob", &checkpoint, id).await.expect("it changed");
    assert!(since <= 1);
}

async fn the_marker_of_another_is_a_change(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    for (received, read) in [(1, 0), (1, 1)] {
        let checkpoint = w.checkpoint().await;
        w.mark(id, "bob", received, read).await.expect("a member may");
        let since = w.changed("ann", &checkpoint, id).await.expect("it changed");
        assert!(since <= 1);
    }
}

async fn what_came_before_the_checkpoint_is_known(trial: Trial) {
    let w = trial.world().await;
    let (one, other) = (w.direct("ann", "bob").await, w.direct("ann", "eve").await);
    w.chatter(one, "ann", 50).await;
    let checkpoint = w.checkpoint().await;
    w.say(other, "ann", "hi").await;
    // It may be said to have changed; then from nowhere beyond its head.
    assert!(w.changed("ann", &checkpoint, one).await.unwrap_or(0) <= 51);
    assert!(w.changed("ann", &checkpoint, other).await.expect("it changed") <= 1);
}

async fn what_did_not_change_is_not_beyond_its_head(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    w.chatter(id, "ann", 3).await;
    let checkpoint = w.checkpoint().await;
    let memberships = w.since("ann", &checkpoint).await;
    assert_eq!(memberships.left, []);
    let one = &memberships.current[0];
    assert!(one.changed_since.unwrap_or_default() <= one.head);
}

async fn who_came_in_since_begins_at_zero(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 9).await;
    let checkpoint = w.checkpoint().await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.changed("bob", &checkpoint, id).await, Some(0));
    w.chatter(id, "ann", 9).await;
    assert_eq!(w.changed("bob", &checkpoint, id).await, Some(0));
    assert!(w.changed("ann", &checkpoint, id).await.expect("it changed") <= 10);
}

async fn a_new_conversation_begins_at_zero(trial: Trial) {
    let w = trial.world().await;
    let checkpoint = w.checkpoint().await;
    let (group, direct) = (w.group(&["ann", "bob"]).await, w.direct("ann", "bob").await);
    for id in [group, direct] {
        assert_eq!(w.changed("bob", &checkpoint, id).await, Some(0));
    }
}

async fn who_left_since_is_told(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let checkpoint = w.checkpoint().await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    w.say(id, "ann", "bye").await;
    let memberships = w.since("bob", &checkpoint).await;
    assert_eq!((memberships.current, memberships.left), (vec![], vec![id]));
}

async fn who_was_removed_since_is_told(trial: Trial) {
    let w = trial.world().await;
    let (id, other) = (w.group(&["ann", "bob"]).await, w.group(&["ann", "bob"]).await);
    let checkpoint = w.checkpoint().await;
    w.put(id, "ann", removed("bob")).await.expect("an owner removes");
    let memberships = w.since("bob", &checkpoint).await;
    assert_eq!(memberships.left, [id]);
    assert_eq!(memberships.current[0].conversation, other);
}

async fn who_came_and_left_since_is_told(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let checkpoint = w.checkpoint().await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    assert_eq!(w.since("bob", &checkpoint).await.left, [id]);
}

async fn who_left_and_came_back_is_a_member(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let checkpoint = w.checkpoint().await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.since("bob", &checkpoint).await.left, []);
    assert_eq!(w.changed("bob", &checkpoint, id).await, Some(0));
}

async fn who_stays_left_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    let checkpoint = w.checkpoint().await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    w.put(id, "ann", removed("eve")).await.expect("an owner removes");
    assert_eq!(w.since("ann", &checkpoint).await.left, []);
}

async fn a_stranger_is_told_nothing(trial: Trial) {
    let w = trial.world().await;
    let checkpoint = w.checkpoint().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    let memberships = w.since("eve", &checkpoint).await;
    assert_eq!((memberships.current, memberships.left), (vec![], vec![]));
}

async fn a_checkpoint_stays_good(trial: Trial) {
    let w = trial.world().await;
    let (busy, quiet) = (w.group(&["ann", "bob"]).await, w.group(&["ann", "bob"]).await);
    let checkpoint = w.checkpoint().await;
    for _ in 0..200 {
        w.say(busy, "ann", "hi").await;
    }
    w.say(quiet, "ann", "hi").await;
    for _ in 0..3 {
        assert!(w.changed("bob", &checkpoint, busy).await.expect("it changed") <= 1);
        assert!(w.changed("bob", &checkpoint, quiet).await.expect("it changed") <= 1);
    }
}

async fn a_checkpoint_is_short_and_printable(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for _ in 0..20 {
        let Checkpoint(name) = w.checkpoint().await;
        assert!((1..=64).contains(&name.len()), "{name:?}");
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{name:?}");
        w.say(id, "ann", "hi").await;
    }
}

async fn counts_as_none(w: &World, checkpoint: &Checkpoint) {
    let memberships = w.since("bob", checkpoint).await;
    assert_eq!(memberships.current.len(), 1, "{checkpoint:?}");
    assert_eq!(memberships.current[0].changed_since, None, "{checkpoint:?}");
    assert_eq!(memberships.left, [], "{checkpoint:?}");
}

async fn a_checkpoint_of_nothing_counts_as_none(trial: Trial) {
    let w = trial.world().await;
    let (_, left) = (w.group(&["ann", "bob"]).await, w.group(&["ann", "bob"]).await);
    w.put(left, "bob", Body::Left).await.expect("bob leaves");
    let long = "9".repeat(64);
    for name in ["", " ", "x", "no such thing", "'", "%", "-1", "1e9", "\u{1f600}", &long] {
        counts_as_none(&w, &Checkpoint(name.to_owned())).await;
    }
}

async fn a_checkpoint_of_another_store_counts_as_none(trial: Trial) {
    let w = trial.world().await;
    let other = w.another().await;
    let foreign = other.heads(&[]).await.expect("the store reads").checkpoint;
    let (_, left) = (w.group(&["ann", "bob"]).await, w.group(&["ann", "bob"]).await);
    w.put(left, "bob", Body::Left).await.expect("bob leaves");
    counts_as_none(&w, &foreign).await;
}

async fn heads_and_checkpoint_are_of_one_moment(trial: Trial) {
    let w = trial.world().await;
    let group = || w.group(&["ann", "bob"]);
    let ids = [group().await, group().await, group().await, group().await];
    let mut busy = Busy::begin(&w, 2, move |w| {
        let one = |id| Write::Append(w.append(id, "ann", message("hi")));
        ids.map(one).into()
    });
    let mut moments = Vec::new();
    while busy.goes_on().await {
        moments.push(w.store.heads(&ids).await.expect("the store reads"));
    }
    busy.end().await;
    // Some of them, because there are as many as the store is fast.
    let step = moments.len() / 200 + 1;
    for moment in moments.into_iter().step_by(step) {
        for (id, then) in moment.heads {
            let since = w.changed("bob", &moment.checkpoint, id).await.map(Seq::new);
            let head = Seq::new(w.head(id).await);
            assert!(since.unwrap_or(head) <= then, "{since:?} would skip what came after {then}");
        }
    }
}

async fn no_change_is_missed_in_a_random_history_1(trial: Trial) {
    random_checkpoints(trial, 11, 1).await;
}

async fn no_change_is_missed_in_a_random_history_2(trial: Trial) {
    random_checkpoints(trial, 12, 3).await;
}

async fn no_change_is_missed_in_a_random_history_3(trial: Trial) {
    random_checkpoints(trial, 13, 9).await;
}

async fn random_checkpoints(trial: Trial, seed: u64, batch_max: u64) {
    let w = trial.world().await;
    let mut random = Random::from_seed(seed);
    let mut model = Model::default();
    let ids: Vec<_> = (0..4).map(|_| w.nowhere()).collect();
    let mut moments: Vec<(Checkpoint, Model)> = Vec::new();
    begin(&w, &mut model, &ids[1..]).await;
    for _ in 0..100 {
        let batch: Vec<_> = (0..=random.below(batch_max))
            .map(|_| random_write(&w, &mut random, &ids, &model))
            .collect();
        for write in &batch {
            model.write(write);
        }
        w.batch(batch).await;
        if random.once_in(4) {
            moments.push((w.checkpoint().await, model.clone()));
        }
        if !moments.is_empty() {
            // Often the last one, because the longer ago, the more has changed anyway.
            let last = moments.last().filter(|_| random.once_in(2));
            let (checkpoint, then) = last.unwrap_or_else(|| random.pick(&moments));
            covers(&w, checkpoint, then, &model).await;
        }
    }
    for (checkpoint, then) in &moments {
        covers(&w, checkpoint, then, &model).await;
    }
}

/// Holds that what is answered for the checkpoint covers all that happened between `then` and
/// `now`.
async fn covers(w: &World, checkpoint: &Checkpoint, then: &Model, now: &Model) {
    for who in PEOPLE {
        let name = user(who);
        let memberships = w.since(who, checkpoint).await;
        let mut current: Vec<ConversationId> =
            memberships.current.iter().map(|one| one.conversation).collect();
        current.sort_unstable();
        let is_member = |id: &&ConversationId| now.logs[*id].members().contains_key(&name);
        let expected: Vec<ConversationId> = now.logs.keys().filter(is_member).copied().collect();
        assert_eq!(current, expected, "the conversations of {who}");

        for one in &memberships.current {
            let log = &now.logs[&one.conversation];
            assert_eq!(one.head, log.head());
            let before = then.logs.get(&one.conversation);
            let head_then = before.map_or(Seq::ZERO, |before| before.head());
            let markers_moved = PEOPLE.iter().any(|other| {
                before.is_some_and(|before| before.marker(&user(other)) != log.marker(&user(other)))
            });
            let changed = log.head() > head_then || markers_moved;
            match one.changed_since {
                None => assert!(!changed, "a change of {} is missed", one.conversation),
                Some(since) => assert!(since <= head_then, "from {since} on some are missed"),
            }
            if log.came_after(&name, head_then) {
                assert_eq!(one.changed_since, Some(Seq::ZERO), "{who} came in since");
            }
        }

        for (id, log) in &now.logs {
            let head_then = then.logs.get(id).map_or(Seq::ZERO, |before| before.head());
            let gone = !log.members().contains_key(&name);
            if gone && log.was_member_since(&name, head_then) {
                assert!(memberships.left.contains(id), "{who} left {id} and is not told");
            }
        }
        for id in &memberships.left {
            let log = now.logs.get(id).expect("what was left exists");
            assert!(!log.members().contains_key(&name), "{who} did not leave {id}");
            assert!(log.was_member_since(&name, Seq::ZERO), "{who} was never in {id}");
        }
    }
    let nobody = w.since("nobody", checkpoint).await;
    assert_eq!((nobody.current, nobody.left), (vec![], vec![]));
    assert!(w.tail(SYSTEM, w.nowhere(), 0, 1).await.is_none());
}
