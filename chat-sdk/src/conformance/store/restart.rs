//! Rules 1 and 11: what was answered survives a restart, and a restored backup is a new life.

use super::{
    super::report::cases,
    Cases, Trial,
    model::Model,
    unread::{PEOPLE, begin, random_write},
    world::{World, added, marker, message, removed, renamed, role, title, user},
};
use crate::{
    conformance::random::Random,
    model::{Body, Epoch, Role},
    store::Refusal,
};

pub(super) fn cases() -> Cases {
    cases!["restart":
        the_epoch_stays_the_same,
        two_stores_have_two_epochs,
        the_log_survives,
        numbering_goes_on,
        members_and_roles_survive,
        markers_and_unread_survive,
        keys_survive,
        a_title_survives,
        a_checkpoint_survives,
        what_was_left_is_still_told,
        the_epoch_survives,
        a_random_history_survives_restarts,
        a_restored_backup_has_another_epoch,
        a_restored_backup_holds_what_it_held,
        a_checkpoint_from_before_a_restore_counts_as_none,
        a_restored_backup_goes_on,
    ]
}

async fn epoch(w: &World) -> Epoch {
    w.store.epoch().await.expect("the store reads")
}

async fn the_epoch_stays_the_same(trial: Trial) {
    let w = trial.world().await;
    let before = epoch(&w).await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 20).await;
    assert_eq!(epoch(&w).await, before);
}

async fn two_stores_have_two_epochs(trial: Trial) {
    let w = trial.world().await;
    let other = w.another().await;
    assert_ne!(epoch(&w).await, other.epoch().await.expect("the store reads"));
}

async fn the_log_survives(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.chatter(id, "ann", 30).await;
    w.put(id, "ann", renamed("Ships")).await.expect("an owner may");
    let before = (w.log(id).await, w.list("bob", 9).await);
    let Some(w) = w.restart().await else { return };
    assert_eq!((w.log(id).await, w.list("bob", 9).await), before);
}

async fn numbering_goes_on(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let mut w = w;
    for n in 2..6 {
        assert_eq!(w.say(id, "ann", "hi").await.seq.get(), n);
        let Some(again) = w.restart().await else {
            return;
        };
        w = again;
    }
    assert_eq!(w.log(id).await.len(), 5);
}

async fn members_and_roles_survive(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.put(id, "ann", removed("eve")).await.expect("an owner removes");
    let Some(w) = w.restart().await else { return };
    assert_eq!(w.roles(id).await, [(user("ann"), Role::Owner), (user("bob"), Role::Owner)]);
    assert_eq!(w.put(id, "eve", message("hi")).await, Err(Refusal::NotMember));
    w.put(id, "bob", added(&["eve"])).await.expect("bob is an owner");
}

async fn markers_and_unread_survive(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.chatter(id, "ann", 9).await;
    w.mark(id, "bob", 7, 4).await.expect("a member may");
    w.mark(id, "eve", 3, 3).await.expect("a member may");
    w.put(id, "eve", Body::Left).await.expect("eve leaves");
    let Some(w) = w.restart().await else { return };
    assert_eq!((w.marker_of(id, "bob").await, w.unread("bob", id).await), (marker(7, 4), 6));
    w.put(id, "ann", added(&["eve"])).await.expect("an owner adds");
    assert_eq!(w.marker_of(id, "eve").await, marker(3, 3), "also of who was out");
}

async fn keys_survive(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let append = w.keyed(id, "ann", "k", "hi");
    let (first, _) = w.write(append.clone()).await.expect("it stands");
    let Some(w) = w.restart().await else { return };
    assert_eq!(w.write(append).await, Ok((first, false)));
    let other = w.write(w.keyed(id, "ann", "k", "other")).await;
    assert_eq!(other, Err(Refusal::KeyConflict));
}

async fn a_title_survives(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", renamed("Ships")).await.expect("an owner may");
    let Some(w) = w.restart().await else { return };
    assert_eq!(w.summary("ann", id).await.title, Some(title("Ships")));
}

async fn a_checkpoint_survives(trial: Trial) {
    let w = trial.world().await;
    let (one, two) = (w.direct("ann", "bob").await, w.direct("ann", "eve").await);
    w.chatter(one, "ann", 3).await;
    let checkpoint = w.checkpoint().await;
    w.say(one, "ann", "hi").await;
    let Some(w) = w.restart().await else { return };
    w.say(two, "eve", "hi").await;
    assert!(w.changed("ann", &checkpoint, one).await.expect("it changed") <= 4);
    assert!(w.changed("ann", &checkpoint, two).await.expect("it changed") <= 1);
    // One that was made before a restart is not taken for a later one.
    let later = w.checkpoint().await;
    w.say(two, "ann", "hi").await;
    assert!(w.changed("ann", &later, two).await.expect("it changed") <= 2);
}

async fn what_was_left_is_still_told(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let checkpoint = w.checkpoint().await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    let Some(w) = w.restart().await else { return };
    assert_eq!(w.since("bob", &checkpoint).await.left, [id]);
}

async fn the_epoch_survives(trial: Trial) {
    let w = trial.world().await;
    let before = epoch(&w).await;
    let Some(w) = w.restart().await else { return };
    assert_eq!(epoch(&w).await, before);
    let Some(w) = w.restart().await else { return };
    assert_eq!(epoch(&w).await, before);
}

async fn a_random_history_survives_restarts(trial: Trial) {
    let mut w = trial.world().await;
    let mut random = Random::from_seed(21);
    let mut model = Model::default();
    let ids: Vec<_> = (0..4).map(|_| w.nowhere()).collect();
    begin(&w, &mut model, &ids[1..]).await;
    for _ in 0..8 {
        for _ in 0..10 {
            let batch: Vec<_> = (0..=random.below(6))
                .map(|_| random_write(&w, &mut random, &ids, &model))
                .collect();
            let expected: Vec<_> = batch.iter().map(|write| model.write(write)).collect();
            assert_eq!(w.batch(batch).await, expected);
        }
        let Some(again) = w.restart().await else {
            return;
        };
        w = again;
        for (id, log) in &model.logs {
            assert_eq!(w.log(*id).await, log.events);
        }
        for who in PEOPLE {
            assert_eq!(w.list(who, 9).await, model.conversations(&user(who)));
        }
    }
}

async fn a_restored_backup_has_another_epoch(trial: Trial) {
    let w = trial.world().await;
    w.group(&["ann"]).await;
    let before = epoch(&w).await;
    let Some(backup) = w.backup().await else {
        return;
    };
    let w = w.restore(backup).await;
    assert_ne!(epoch(&w).await, before);
}

async fn a_restored_backup_holds_what_it_held(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.chatter(id, "ann", 5).await;
    w.mark(id, "bob", 4, 3).await.expect("a member may");
    let before = (w.log(id).await, w.list("bob", 9).await);
    let Some(backup) = w.backup().await else {
        return;
    };
    w.chatter(id, "bob", 5).await;
    let later = w.group(&["ann"]).await;
    let w = w.restore(backup).await;
    assert_eq!((w.log(id).await, w.list("bob", 9).await), before);
    assert_eq!(w.seen("ann", later).await, None);
}

async fn a_checkpoint_from_before_a_restore_counts_as_none(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    let early = w.checkpoint().await;
    w.chatter(id, "ann", 5).await;
    let Some(backup) = w.backup().await else {
        return;
    };
    w.chatter(id, "ann", 5).await;
    let late = w.checkpoint().await;
    let w = w.restore(backup).await;
    w.chatter(id, "bob", 9).await;
    for checkpoint in [early, late] {
        assert_eq!(w.changed("ann", &checkpoint, id).await, None);
    }
}

async fn a_restored_backup_goes_on(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.chatter(id, "ann", 5).await;
    let append = w.keyed(id, "ann", "k", "kept");
    let (kept, _) = w.write(append.clone()).await.expect("it stands");
    let Some(backup) = w.backup().await else {
        return;
    };
    let lost = w.keyed(id, "ann", "l", "lost");
    w.write(lost.clone()).await.expect("it stands");
    let w = w.restore(backup).await;
    assert_eq!(w.write(append).await, Ok((kept, false)));
    let (event, fresh) = w.write(lost).await.expect("it stands");
    assert!(fresh && event.seq.get() == 8, "what came after the backup is not there");
    let checkpoint = w.checkpoint().await;
    w.say(id, "bob", "hi").await;
    assert!(w.changed("ann", &checkpoint, id).await.expect("it changed") <= 8);
}
