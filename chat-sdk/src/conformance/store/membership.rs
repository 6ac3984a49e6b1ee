//! Rule 7, membership is what the log says.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{
        SYSTEM, World, added, marker, message, removed, renamed, role, title, unknown, user, users,
    },
};
use crate::{
    model::{Body, ConversationId, Role},
    store::Refusal,
};

pub(super) fn cases() -> Cases {
    cases!["membership":
        a_stranger_may_not_write,
        nobody_writes_where_nothing_is,
        a_member_may_not_do_what_an_owner_may,
        the_system_may_always,
        who_is_added_is_a_member,
        many_are_added_at_once,
        adding_a_member_again_keeps_role_and_marker,
        an_addition_of_nobody_is_an_event,
        who_is_removed_is_no_member,
        who_leaves_is_no_member,
        who_comes_back_keeps_their_marker,
        an_owner_who_comes_back_is_a_plain_member,
        an_owner_may_remove_themselves_if_another_stays,
        the_last_owner_may_not_leave,
        the_last_owner_may_not_be_removed,
        the_last_owner_may_not_become_a_member,
        a_refused_departure_changes_nothing,
        an_owner_may_leave_when_another_stays,
        the_last_member_may_leave,
        a_former_owner_does_not_count_as_one,
        nobody_leaves_a_direct_conversation,
        who_is_no_member_cannot_be_removed,
        who_is_no_member_cannot_be_given_a_role,
        who_left_cannot_be_removed_again,
        a_new_owner_may_do_what_owners_may,
        a_title_is_the_one_of_the_last_event,
        messages_and_unknown_events_change_no_membership,
        the_members_are_those_of_the_log,
    ]
}

async fn names(w: &World, id: ConversationId) -> Vec<String> {
    w.roles(id).await.into_iter().map(|(user, _)| user.as_str().to_owned()).collect()
}

async fn a_stranger_may_not_write(trial: Trial) {
    let w = trial.world().await;
    let (group, direct) = (w.group(&["ann"]).await, w.direct("ann", "bob").await);
    for id in [group, direct] {
        assert_eq!(w.put(id, "eve", message("hi")).await, Err(Refusal::NotMember));
        assert_eq!(w.put(id, "eve", added(&["eve"])).await, Err(Refusal::NotMember));
        assert_eq!(w.put(id, "eve", Body::Left).await, Err(Refusal::NotMember));
    }
}

async fn nobody_writes_where_nothing_is(trial: Trial) {
    let w = trial.world().await;
    for by in ["ann", SYSTEM] {
        assert_eq!(w.put(w.nowhere(), by, message("hi")).await, Err(Refusal::NotMember));
    }
}

async fn a_member_may_not_do_what_an_owner_may(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    for body in [added(&["dan"]), removed("eve"), role("bob", Role::Owner), renamed("Mine")] {
        assert_eq!(w.put(id, "bob", body).await, Err(Refusal::RoleTooLow));
    }
    assert_eq!(w.log(id).await.len(), 1);
    // What is required is said by the write, and not by the kind of its event.
    let mut append = w.append(id, "bob", message("hi"));
    append.requires = Role::Owner;
    assert_eq!(w.write(append).await, Err(Refusal::RoleTooLow));
    let mut append = w.append(id, "bob", renamed("Ours"));
    append.requires = Role::Member;
    assert!(w.write(append).await.is_ok());
}

async fn the_system_may_always(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for body in [message("hi"), added(&["bob"]), role("bob", Role::Owner), removed("ann")] {
        let event = w.put(id, SYSTEM, body).await.expect("the system may");
        assert_eq!(event.from, None);
    }
    assert_eq!(names(&w, id).await, ["bob"]);
}

async fn who_is_added_is_a_member(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.roles(id).await, [(user("ann"), Role::Owner), (user("bob"), Role::Member)]);
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.role, seen.marker), (Role::Member, marker(0, 0)));
    w.say(id, "bob", "hi").await;
}

async fn many_are_added_at_once(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let many: Vec<String> = (0..100).map(|n| format!("u{n:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    w.put(id, "ann", added(&many)).await.expect("an owner adds");
    assert_eq!(w.log(id).await.len(), 2);
    assert_eq!(w.summary("u042", id).await.member_count, 101);
}

async fn adding_a_member_again_keeps_role_and_marker(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.mark(id, "bob", 2, 1).await.expect("a member may");
    w.put(id, "ann", added(&["bob", "ann", "eve", "eve"])).await.expect("an owner adds");
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.role, seen.marker, seen.member_count), (Role::Owner, marker(2, 1), 3));
    assert_eq!(w.summary("ann", id).await.role, Role::Owner);
}

async fn an_addition_of_nobody_is_an_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", added(&[])).await.expect("an owner adds");
    assert_eq!((w.head(id).await, names(&w, id).await), (2, vec!["ann".to_owned()]));
}

async fn who_is_removed_is_no_member(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", removed("bob")).await.expect("an owner removes");
    assert_eq!(names(&w, id).await, ["ann"]);
    assert_eq!(w.put(id, "bob", message("hi")).await, Err(Refusal::NotMember));
    assert_eq!(w.mark(id, "bob", 1, 1).await, Err(Refusal::NotMember));
    assert_eq!(w.summary("ann", id).await.member_count, 1);
}

async fn who_leaves_is_no_member(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    assert_eq!(names(&w, id).await, ["ann"]);
    assert_eq!(w.put(id, "bob", message("hi")).await, Err(Refusal::NotMember));
    assert_eq!(w.put(id, "bob", Body::Left).await, Err(Refusal::NotMember));
}

async fn who_comes_back_keeps_their_marker(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.chatter(id, "ann", 5).await;
    w.mark(id, "bob", 4, 3).await.expect("a member may");
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    w.chatter(id, "ann", 5).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.summary("bob", id).await.marker, marker(4, 3));
    // 3 and 4 of 2 … 6 were not read, and 8 … 12 came since.
    assert_eq!(w.unread("bob", id).await, 3 + 5);
}

async fn an_owner_who_comes_back_is_a_plain_member(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.put(id, "ann", Body::Left).await.expect("another owner stays");
    w.put(id, "bob", added(&["ann"])).await.expect("an owner adds");
    assert_eq!(w.roles(id).await, [(user("ann"), Role::Member), (user("bob"), Role::Owner)]);
}

async fn an_owner_may_remove_themselves_if_another_stays(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    assert_eq!(w.put(id, "ann", removed("ann")).await, Err(Refusal::LastOwner));
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.put(id, "ann", removed("ann")).await.expect("another owner stays");
    assert_eq!(names(&w, id).await, ["bob"]);
}

async fn the_last_owner_may_not_leave(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    assert_eq!(w.put(id, "ann", Body::Left).await, Err(Refusal::LastOwner));
}

async fn the_last_owner_may_not_be_removed(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    assert_eq!(w.put(id, SYSTEM, removed("ann")).await, Err(Refusal::LastOwner));
}

async fn the_last_owner_may_not_become_a_member(trial: Trial) {
    let w = trial.world().await;
    let (pair, alone) = (w.group(&["ann", "bob"]).await, w.group(&["ann"]).await);
    for id in [pair, alone] {
        for by in ["ann", SYSTEM] {
            let demoted = w.put(id, by, role("ann", Role::Member)).await;
            assert_eq!(demoted, Err(Refusal::LastOwner));
        }
    }
}

async fn a_refused_departure_changes_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let before = (w.roles(id).await, w.log(id).await, w.summary("ann", id).await);
    w.put(id, "ann", Body::Left).await.expect_err("the last owner");
    w.put(id, "ann", role("ann", Role::Member)).await.expect_err("the last owner");
    w.put(id, "ann", removed("eve")).await.expect_err("no such member");
    assert_eq!((w.roles(id).await, w.log(id).await, w.summary("ann", id).await), before);
}

async fn an_owner_may_leave_when_another_stays(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.put(id, "ann", Body::Left).await.expect("another owner stays");
    assert_eq!(w.roles(id).await, [(user("bob"), Role::Owner)]);
    assert_eq!(w.put(id, SYSTEM, message("bye")).await.expect("the system may").seq.get(), 4);
}

async fn the_last_member_may_leave(trial: Trial) {
    let w = trial.world().await;
    let (left, emptied) = (w.group(&["ann"]).await, w.group(&["ann", "bob"]).await);
    w.put(left, "ann", Body::Left).await.expect("nobody remains without an owner");
    w.put(emptied, "ann", removed("bob")).await.expect("an owner removes");
    w.put(emptied, SYSTEM, removed("ann")).await.expect("nobody remains without an owner");
    for id in [left, emptied] {
        assert_eq!(w.roles(id).await, []);
        assert!(w.read(SYSTEM, id, 0, 9, 9).await.is_some(), "the log stays");
    }
}

async fn a_former_owner_does_not_count_as_one(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.put(id, "bob", Body::Left).await.expect("another owner stays");
    assert_eq!(w.put(id, "ann", Body::Left).await, Err(Refusal::LastOwner));
}

async fn nobody_leaves_a_direct_conversation(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    assert_eq!(w.put(id, "ann", Body::Left).await, Err(Refusal::LastOwner));
    assert_eq!(w.put(id, SYSTEM, removed("bob")).await, Err(Refusal::LastOwner));
    w.say(id, "ann", "still here").await;
}

async fn who_is_no_member_cannot_be_removed(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for by in ["ann", SYSTEM] {
        assert_eq!(w.put(id, by, removed("eve")).await, Err(Refusal::NoSuchMember));
    }
}

async fn who_is_no_member_cannot_be_given_a_role(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    for who in ["eve", "bob"] {
        for given in [Role::Owner, Role::Member] {
            assert_eq!(w.put(id, "ann", role(who, given)).await, Err(Refusal::NoSuchMember));
        }
    }
    assert_eq!(names(&w, id).await, ["ann"]);
}

async fn who_left_cannot_be_removed_again(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    w.put(id, "ann", removed("eve")).await.expect("an owner removes");
    for who in ["bob", "eve"] {
        assert_eq!(w.put(id, "ann", removed(who)).await, Err(Refusal::NoSuchMember));
    }
}

async fn a_new_owner_may_do_what_owners_may(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.put(id, "bob", added(&["eve"])).await.expect("bob is an owner");
    w.put(id, "bob", role("ann", Role::Member)).await.expect("bob is an owner");
    assert_eq!(w.put(id, "ann", renamed("Mine")).await, Err(Refusal::RoleTooLow));
}

async fn a_title_is_the_one_of_the_last_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    assert_eq!(w.summary("bob", id).await.title, Some(title("Boats")));
    for name in ["Ships", "Ships and boats", "⛵"] {
        w.put(id, "ann", renamed(name)).await.expect("an owner may");
        assert_eq!(w.summary("bob", id).await.title, Some(title(name)));
    }
    // The log keeps what was.
    let Body::Created { title: first, .. } = &w.log(id).await[0].body else {
        panic!("a log begins with its creation");
    };
    assert_eq!(*first, Some(title("Boats")));
}

async fn messages_and_unknown_events_change_no_membership(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let before = w.roles(id).await;
    w.say(id, "bob", r#"{"type":"removed","user":"ann"}"#).await;
    let odd = unknown(r#"{"type":"kicked","user":"ann","users":["eve"],"role":"owner"}"#);
    w.put(id, "bob", odd).await.expect("a member may");
    assert_eq!(w.roles(id).await, before);
}

async fn the_members_are_those_of_the_log(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let story = [
        ("ann", added(&["eve", "dan"])),
        ("eve", Body::Left),
        ("ann", role("dan", Role::Owner)),
        ("dan", removed("bob")),
        ("ann", Body::Left),
        ("dan", added(&["bob", "ann"])),
        ("dan", role("ann", Role::Owner)),
        ("ann", role("dan", Role::Member)),
    ];
    for (by, body) in story {
        w.put(id, by, body).await.expect("they may");
    }
    let expected = users(&["ann", "bob", "dan"])
        .into_iter()
        .zip([Role::Owner, Role::Member, Role::Member])
        .collect::<Vec<_>>();
    assert_eq!(w.roles(id).await, expected);
    for who in ["ann", "bob", "dan", "eve"] {
        let expected = usize::from(who != "eve");
        let memberships = w.store.memberships(&user(who), None).await.expect("the store reads");
        assert_eq!(memberships.current.len(), expected, "{who}");
    }
}
