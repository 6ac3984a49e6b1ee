//! Rule 7, who may decide on whom; channels, and what a conversation is about.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{
        SYSTEM, World, about_what, added, message, removed, renamed, role, standing, user, users,
    },
};
use crate::{
    model::{Body, ConversationId, Kind, Role, Seq, Summary},
    store::{Mark, Reader, Refusal, Write, Written},
};

pub(super) fn cases() -> Cases {
    cases!["roles":
        an_admin_does_the_daily_work,
        an_admin_decides_on_those_below_and_nobody_else,
        an_owner_decides_on_owners,
        everybody_may_step_down_and_nobody_up,
        a_role_that_comes_with_an_addition_is_below_the_own,
        who_is_added_as_a_reader_reads,
        a_reader_marks_and_leaves,
        in_a_channel_others_come_in_as_readers,
        an_admin_deletes_what_others_wrote,
        a_topic_is_the_one_of_the_last_event,
        a_topic_and_a_title_in_one_batch,
        in_a_crowd_markers_are_nobody_elses_business,
        receipts_of_a_crowd_are_counted,
    ]
}

/// Owner ann, admin bob, member eve, reader gus.
async fn ranks(w: &World) -> ConversationId {
    let id = w.group(&["ann", "bob", "eve", "gus"]).await;
    w.put(id, "ann", role("bob", Role::Admin)).await.expect("an owner may");
    w.put(id, "ann", role("gus", Role::Reader)).await.expect("an owner may");
    id
}

async fn an_admin_does_the_daily_work(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    let work = [
        added(&["dan"]),
        role("dan", Role::Reader),
        role("dan", Role::Member),
        removed("dan"),
        renamed("Ships"),
        about_what(Some("Sails")),
    ];
    for body in work {
        assert!(w.put(id, "bob", body.clone()).await.is_ok(), "{body:?}");
        assert_eq!(w.put(id, "eve", body).await, Err(Refusal::RoleTooLow));
    }
}

async fn an_admin_decides_on_those_below_and_nobody_else(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    w.put(id, "ann", Body::Added { users: users(&["dan"]), role: Role::Admin }).await.expect("may");
    for body in [
        removed("ann"),
        removed("dan"),
        role("ann", Role::Member),
        role("dan", Role::Member),
        role("dan", Role::Admin),
        role("eve", Role::Admin),
        role("eve", Role::Owner),
        role("bob", Role::Admin),
        role("bob", Role::Owner),
    ] {
        assert_eq!(w.put(id, "bob", body.clone()).await, Err(Refusal::RoleTooLow), "{body:?}");
    }
    assert_eq!(w.put(id, "bob", removed("nobody")).await, Err(Refusal::NoSuchMember));
}

async fn an_owner_decides_on_owners(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    for body in [
        role("bob", Role::Owner),
        role("bob", Role::Admin),
        Body::Added { users: users(&["dan"]), role: Role::Owner },
        removed("dan"),
    ] {
        w.put(id, "ann", body).await.expect("an owner may");
    }
    assert_eq!(w.put(id, "ann", role("ann", Role::Admin)).await, Err(Refusal::LastOwner));
    for body in [removed("ann"), role("ann", Role::Reader)] {
        assert_eq!(w.put(id, SYSTEM, body).await, Err(Refusal::LastOwner));
    }
}

async fn everybody_may_step_down_and_nobody_up(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    let own = |who: &str, as_what| {
        let mut append = w.append(id, who, role(who, as_what));
        append.requires = Role::Reader;
        append
    };
    assert!(w.write(own("bob", Role::Member)).await.is_ok());
    assert!(w.write(own("bob", Role::Reader)).await.is_ok());
    for (who, as_what) in
        [("bob", Role::Reader), ("bob", Role::Member), ("gus", Role::Owner), ("eve", Role::Admin)]
    {
        assert_eq!(w.write(own(who, as_what)).await, Err(Refusal::RoleTooLow));
    }
    // To leave by removing oneself is to step down, too.
    let mut append = w.append(id, "gus", removed("gus"));
    append.requires = Role::Reader;
    assert!(w.write(append).await.is_ok());
}

async fn a_role_that_comes_with_an_addition_is_below_the_own(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    for as_what in [Role::Admin, Role::Owner] {
        let body = Body::Added { users: users(&["dan"]), role: as_what };
        assert_eq!(w.put(id, "bob", body).await, Err(Refusal::RoleTooLow));
    }
    // Also where it would change nothing: who is a member keeps their role.
    let body = Body::Added { users: users(&["eve", "ann"]), role: Role::Reader };
    w.put(id, "bob", body).await.expect("an admin adds readers");
    let roles = w.roles(id).await;
    assert_eq!(roles[0], (user("ann"), Role::Owner));
    assert_eq!(roles[2], (user("eve"), Role::Member));
}

async fn who_is_added_as_a_reader_reads(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let body = Body::Added { users: users(&["bob"]), role: Role::Reader };
    w.put(id, "ann", body).await.expect("an owner adds");
    w.say(id, "ann", "hi").await;
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.role, seen.unread), (Role::Reader, 1));
    assert_eq!(w.put(id, "bob", message("no")).await, Err(Refusal::RoleTooLow));
    assert_eq!(w.log(id).await.len(), 3);
}

async fn a_reader_marks_and_leaves(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    assert!(w.mark(id, "gus", 2, 2).await.is_ok());
    let mut leaving = w.append(id, "gus", Body::Left);
    leaving.requires = Role::Reader;
    assert!(w.write(leaving).await.is_ok());
    assert_eq!(w.mark(id, "gus", 3, 3).await, Err(Refusal::NotMember));
}

async fn in_a_channel_others_come_in_as_readers(trial: Trial) {
    let w = trial.world().await;
    let id = w.nowhere();
    let open = w.opening(id, Kind::Channel, &["ann", "bob", "eve"]);
    standing(w.one(Write::Open(open)).await).expect("it opens");
    let expected = [("ann", Role::Owner), ("bob", Role::Reader), ("eve", Role::Reader)]
        .map(|(name, role)| (user(name), role));
    assert_eq!(w.roles(id).await, expected);
    assert_eq!(w.put(id, "bob", message("me too")).await, Err(Refusal::RoleTooLow));
    w.say(id, "ann", "news").await;
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.kind, seen.role, seen.unread), (Kind::Channel, Role::Reader, 1));
    w.put(id, "ann", role("bob", Role::Member)).await.expect("an owner may");
    w.say(id, "bob", "more news").await;
}

async fn an_admin_deletes_what_others_wrote(trial: Trial) {
    let w = trial.world().await;
    let id = ranks(&w).await;
    let said = w.say(id, "ann", "oh").await;
    let body = Body::Deleted { message: said.seq };
    for (by, refusal) in [("eve", Refusal::NotAuthor), ("gus", Refusal::RoleTooLow)] {
        assert_eq!(w.put(id, by, body.clone()).await, Err(refusal), "{by}");
    }
    w.put(id, "bob", body).await.expect("an admin may");
}

async fn a_topic_is_the_one_of_the_last_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let topic = async || w.summary("bob", id).await.topic.map(|it| it.as_str().to_owned());
    assert_eq!(topic().await, None);
    for about in [Some("Sails\nand oars"), Some("Ropes; it's \"new\""), None, Some("Tea")] {
        w.put(id, "ann", about_what(about)).await.expect("an owner may");
        w.say(id, "ann", "hi").await;
        assert_eq!(topic().await.as_deref(), about);
    }
}

async fn a_topic_and_a_title_in_one_batch(trial: Trial) {
    let w = trial.world().await;
    let (one, other) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    let writes = [
        (one, about_what(Some("a"))),
        (one, renamed("Ships")),
        (other, about_what(Some("x"))),
        (one, about_what(Some("b"))),
        (other, about_what(None)),
    ];
    let writes = writes.map(|(id, body)| Write::Append(w.append(id, "ann", body)));
    w.batch(writes.into()).await;
    let seen = w.summary("ann", one).await;
    let said =
        (seen.title.as_ref().map(|it| it.as_str()), seen.topic.as_ref().map(|it| it.as_str()));
    assert_eq!(said, (Some("Ships"), Some("b")));
    assert_eq!(w.summary("ann", other).await.topic, None);
}

async fn in_a_crowd_markers_are_nobody_elses_business(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let many: Vec<String> = (1..Summary::MARKERS_MAX).map(|n| format!("u{n:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    w.put(id, "ann", added(&many)).await.expect("an owner adds");
    let mark = async |upto| {
        let mark =
            Mark { conversation: id, user: user("u007"), marker: super::world::marker(upto, upto) };
        match w.one(Write::Mark(mark)).await {
            Written::Marker { moved, crowd, .. } => (moved, crowd),
            other => panic!("a member marks: {other:?}"),
        }
    };
    assert_eq!(mark(1).await, (true, false));
    w.put(id, "ann", added(&["one-more"])).await.expect("an owner adds");
    assert_eq!(mark(2).await, (true, true));
    assert_eq!(mark(2).await, (false, true));
    let seen = w.summary("u007", id).await;
    assert_eq!((seen.member_count, seen.markers.len()), (101, 0));
    assert_eq!(seen.marker, super::world::marker(2, 2));
    // Who left is not counted.
    w.put(id, "ann", removed("u001")).await.expect("an owner removes");
    assert_eq!(mark(3).await, (true, false));
}

async fn receipts_of_a_crowd_are_counted(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    // More than a page of the default implementation.
    for hundred in 0..11 {
        let many: Vec<String> = (0..100).map(|n| format!("u{hundred:02}{n:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        w.put(id, "ann", added(&many)).await.expect("an owner adds");
    }
    for (who, received, read) in [("u0000", 5, 5), ("u1099", 5, 4), ("u0500", 4, 4), ("ann", 5, 5)]
    {
        w.mark(id, who, received, read).await.expect("a member marks");
    }
    let receipts = async |reader: Reader<'static>, place| {
        let receipts = w.store.receipts(reader, id, Seq::new(place)).await;
        receipts.expect("the store reads").map(|it| (it.members, it.received, it.read))
    };
    assert_eq!(receipts(Reader::System, 5).await, Some((1_102, 3, 2)));
    assert_eq!(receipts(Reader::System, 4).await, Some((1_102, 4, 4)));
    assert_eq!(receipts(Reader::System, 0).await, Some((1_102, 1_102, 1_102)));
    assert_eq!(receipts(Reader::System, 6).await, Some((1_102, 0, 0)));
    let (ann, eve) = (user("ann"), user("eve"));
    let own = w.store.receipts(Reader::User(&ann), id, Seq::new(5)).await.expect("reads");
    assert_eq!(own.map(|it| (it.members, it.received, it.read)), Some((1_101, 2, 1)));
    for (reader, id) in
        [(Reader::User(&eve), id), (Reader::User(&ann), w.nowhere()), (Reader::System, w.nowhere())]
    {
        assert_eq!(w.store.receipts(reader, id, Seq::new(1)).await.expect("reads"), None);
    }
}
