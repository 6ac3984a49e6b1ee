//! Rule 4, opened once, and what an opening makes.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{added, role, standing, title, user, users},
};
use crate::{
    model::{Body, Kind, Role},
    store::{Refusal, Write},
};

pub(super) fn cases() -> Cases {
    cases!["opening":
        a_second_opening_is_answered_with_the_first_event,
        a_second_opening_changes_nothing,
        a_second_opening_in_one_batch_is_none,
        another_opener_gets_the_same_first_event,
        openings_from_many_tasks_make_one_conversation,
        the_first_event_says_who_opened_what,
        the_opener_of_a_group_is_its_owner,
        the_opener_is_the_owner_wherever_they_are_named,
        the_first_member_owns_what_the_system_opens,
        in_a_direct_conversation_nobody_is_an_owner,
        a_member_named_twice_is_one_member,
        a_group_without_members_can_be_opened,
        an_opening_after_the_last_one_left_brings_nobody_back,
    ]
}

async fn a_second_opening_is_answered_with_the_first_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = w.opening(id, Kind::Group, &["ann", "bob"]);
    let (first, fresh) = standing(w.one(Write::Open(open.clone())).await).expect("it opens");
    assert!(fresh);
    w.say(id, "ann", "hi").await;
    let second = standing(w.one(Write::Open(open)).await);
    assert_eq!(second, Ok((first, false)));
}

async fn a_second_opening_changes_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let (log, seen) = (w.log(id).await, w.summary("bob", id).await);
    let mut open = w.opening(id, Kind::Direct, &["eve", "bob"]);
    open.title = Some(title("Mine"));
    let (event, fresh) = standing(w.one(Write::Open(open)).await).expect("it is there");
    assert!(!fresh);
    assert_eq!(event, log[0]);
    assert_eq!(w.log(id).await, log);
    assert_eq!(w.summary("bob", id).await, seen);
    assert_eq!(w.seen("eve", id).await, None);
}

async fn a_second_opening_in_one_batch_is_none(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = || Write::Open(w.opening(id, Kind::Group, &["ann"]));
    let written: Vec<_> = w.batch(vec![open(), open()]).await.into_iter().map(standing).collect();
    let [Ok((first, true)), Ok((second, false))] = &written[..] else {
        panic!("one opening is fresh: {written:?}");
    };
    assert_eq!(first, second);
    assert_eq!(w.log(id).await.len(), 1);
}

async fn another_opener_gets_the_same_first_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    let open = w.opening(id, Kind::Direct, &["bob", "ann"]);
    let (event, fresh) = standing(w.one(Write::Open(open)).await).expect("it is there");
    assert!(!fresh);
    assert_eq!(event.from, Some(user("ann")));
}

async fn openings_from_many_tasks_make_one_conversation(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let w = w.share();
            tokio::spawn(async move {
                let name = format!("u{n}");
                let open = w.opening(id, Kind::Group, &[&name]);
                standing(w.one(Write::Open(open)).await).expect("it stands")
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("no task panics"));
    }
    assert_eq!(answers.iter().filter(|(_, fresh)| *fresh).count(), 1);
    let log = w.log(id).await;
    assert_eq!(log.len(), 1);
    assert!(answers.iter().all(|(event, _)| *event == log[0]));
    assert_eq!(w.roles(id).await.len(), 1);
}

async fn the_first_event_says_who_opened_what(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = w.opening(id, Kind::Group, &["ann", "eve", "bob"]);
    w.one(Write::Open(open.clone())).await;
    let log = w.log(id).await;
    assert_eq!((log[0].from.as_ref(), log[0].at), (open.by.as_ref(), open.at));
    let expected = Body::Created {
        kind: Kind::Group,
        title: Some(title("Boats")),
        members: users(&["ann", "eve", "bob"]),
    };
    assert_eq!(log[0].body, expected);
}

async fn the_opener_of_a_group_is_its_owner(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["bob", "ann", "eve"]).await;
    let expected =
        [(user("ann"), Role::Member), (user("bob"), Role::Owner), (user("eve"), Role::Member)];
    assert_eq!(w.roles(id).await, expected);
    assert_eq!(w.summary("bob", id).await.role, Role::Owner);
    assert_eq!(w.summary("ann", id).await.role, Role::Member);
}

async fn the_opener_is_the_owner_wherever_they_are_named(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let mut open = w.opening(id, Kind::Group, &["ann", "bob", "eve"]);
    open.by = Some(user("eve"));
    w.one(Write::Open(open)).await;
    let owners = w.roles(id).await.into_iter().filter(|(_, role)| *role == Role::Owner);
    assert_eq!(owners.map(|(user, _)| user).collect::<Vec<_>>(), users(&["eve"]));
}

async fn the_first_member_owns_what_the_system_opens(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let mut open = w.opening(id, Kind::Group, &["bob", "ann"]);
    open.by = None;
    let (event, _) = standing(w.one(Write::Open(open)).await).expect("it opens");
    assert_eq!(event.from, None);
    assert_eq!(w.roles(id).await, [(user("ann"), Role::Member), (user("bob"), Role::Owner)]);
}

async fn in_a_direct_conversation_nobody_is_an_owner(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    assert_eq!(w.roles(id).await, [(user("ann"), Role::Member), (user("bob"), Role::Member)]);
    assert_eq!(w.put(id, "ann", added(&["eve"])).await, Err(Refusal::RoleTooLow));
}

async fn a_member_named_twice_is_one_member(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "ann", "bob"]).await;
    assert_eq!(w.roles(id).await, [(user("ann"), Role::Owner), (user("bob"), Role::Member)]);
    assert_eq!(w.summary("ann", id).await.member_count, 2);
}

async fn a_group_without_members_can_be_opened(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&[]).await;
    assert_eq!(w.roles(id).await, []);
    // The system can bring life into it.
    w.put(id, "", added(&["ann"])).await.expect("the system may always");
    w.put(id, "", role("ann", Role::Owner)).await.expect("the system may always");
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
}

async fn an_opening_after_the_last_one_left_brings_nobody_back(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", Body::Left).await.expect("the last one may leave");
    let open = w.opening(id, Kind::Group, &["ann"]);
    let (_, fresh) = standing(w.one(Write::Open(open)).await).expect("it is there");
    assert!(!fresh);
    assert_eq!(w.roles(id).await, []);
    assert_eq!(w.seen("ann", id).await, None);
}
