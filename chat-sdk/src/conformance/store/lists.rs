//! What a member sees of conversations and of each other.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{World, added, limit, marker, removed, renamed, role, title, unknown, user},
};
use crate::{
    model::{Body, ConversationId, Kind, Role, Summary, UserId},
    store::Reader,
};

pub(super) fn cases() -> Cases {
    cases!["lists":
        a_new_user_has_no_conversations,
        the_last_active_comes_first,
        every_event_is_activity,
        a_page_of_conversations_begins_after_the_last_one,
        conversations_active_at_once_are_all_listed,
        many_conversations_are_listed_once_each,
        a_conversation_that_was_left_is_not_listed,
        a_summary_of_a_group_is_complete,
        a_summary_of_a_direct_conversation_is_complete,
        the_last_message_is_the_newest_message,
        without_a_message_there_is_no_last_one,
        the_markers_are_sorted_by_user,
        markers_of_those_who_left_are_not_shown,
        many_members_have_no_markers_in_a_summary,
        members_come_sorted_by_the_bytes_of_their_names,
        pages_of_members_hold_each_once,
        members_after_a_name_that_is_none,
        members_show_role_and_marker,
        a_member_sees_the_other_members,
        a_title_is_that_of_its_conversation,
    ]
}

async fn ids(w: &World, who: &str, most: u16) -> Vec<ConversationId> {
    w.list(who, most).await.iter().map(|one| one.conversation).collect()
}

async fn a_new_user_has_no_conversations(trial: Trial) {
    let w = trial.world().await;
    w.group(&["ann"]).await;
    assert_eq!(w.list("new", 10).await, []);
    let memberships = w.store.memberships(&user("new"), None).await.expect("the store reads");
    assert_eq!(memberships.current, []);
}

async fn the_last_active_comes_first(trial: Trial) {
    let w = trial.world().await;
    let (one, two, three) =
        (w.group(&["ann"]).await, w.direct("ann", "bob").await, w.group(&["ann"]).await);
    assert_eq!(ids(&w, "ann", 9).await, [three, two, one]);
    w.say(one, "ann", "hi").await;
    assert_eq!(ids(&w, "ann", 9).await, [one, three, two]);
    w.say(two, "bob", "hi").await;
    assert_eq!(ids(&w, "ann", 9).await, [two, one, three]);
}

async fn every_event_is_activity(trial: Trial) {
    let w = trial.world().await;
    let (quiet, id) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    let bodies = [added(&["bob"]), renamed("Ships"), unknown(r#"{"type":"poll"}"#), removed("bob")];
    for body in bodies {
        w.say(quiet, "ann", "hi").await;
        let event = w.put(id, "ann", body).await.expect("an owner may");
        assert_eq!(ids(&w, "ann", 9).await, [id, quiet]);
        assert_eq!(w.summary("ann", id).await.updated_at, event.at);
    }
}

async fn a_page_of_conversations_begins_after_the_last_one(trial: Trial) {
    let w = trial.world().await;
    let mut opened = Vec::new();
    for _ in 0..7 {
        opened.push(w.group(&["ann"]).await);
    }
    opened.reverse();
    let whole = w.list("ann", 100).await;
    for at in 0..7 {
        let after = Some((whole[at].updated_at, whole[at].conversation));
        let page = w.store.conversations(&user("ann"), after, limit(2)).await;
        let page = page.expect("the store reads");
        assert_eq!(page, whole[at + 1..(at + 3).min(7)]);
    }
    for most in [1, 2, 3, 7, 8] {
        assert_eq!(ids(&w, "ann", most).await, opened);
    }
}

async fn conversations_active_at_once_are_all_listed(trial: Trial) {
    let w = trial.world().await;
    let at = w.now();
    let mut opened = Vec::new();
    for _ in 0..9 {
        let id = w.nowhere();
        let mut open = w.opening(id, Kind::Group, &["ann"]);
        open.at = at;
        w.one(crate::store::Write::Open(open)).await;
        opened.push(id);
    }
    opened.sort_unstable();
    for most in [1, 2, 4, 9] {
        let mut listed = ids(&w, "ann", most).await;
        listed.sort_unstable();
        assert_eq!(listed, opened, "in pages of {most}");
    }
}

async fn many_conversations_are_listed_once_each(trial: Trial) {
    let w = trial.world().await;
    let mut opened = Vec::new();
    for n in 0..130 {
        opened.push(w.direct("ann", &format!("u{n}")).await);
    }
    opened.reverse();
    assert_eq!(ids(&w, "ann", 50).await, opened);
    let memberships = w.store.memberships(&user("ann"), None).await.expect("the store reads");
    assert_eq!(memberships.current.len(), 130);
}

async fn a_conversation_that_was_left_is_not_listed(trial: Trial) {
    let w = trial.world().await;
    let (stays, left) = (w.group(&["ann", "bob"]).await, w.group(&["ann", "bob"]).await);
    w.put(left, "bob", Body::Left).await.expect("bob leaves");
    assert_eq!(ids(&w, "bob", 9).await, [stays]);
    assert_eq!(ids(&w, "ann", 9).await, [left, stays]);
}

async fn a_summary_of_a_group_is_complete(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let hello = w.say(id, "ann", "hello").await;
    let renaming = w.put(id, "ann", renamed("Ships")).await.expect("an owner may");
    w.mark(id, "bob", 2, 1).await.expect("a member may");
    let expected = Summary {
        conversation: id,
        kind: Kind::Group,
        title: Some(title("Ships")),
        topic: None,
        other: None,
        role: Role::Member,
        member_count: 2,
        head: renaming.seq,
        marker: marker(2, 1),
        unread: 1,
        updated_at: renaming.at,
        last_edit: None,
        last: Some(hello),
        markers: vec![(user("ann"), marker(0, 0)), (user("bob"), marker(2, 1))],
    };
    assert_eq!(w.summary("bob", id).await, expected);
    assert_eq!(w.list("bob", 9).await, [expected]);
}

async fn a_summary_of_a_direct_conversation_is_complete(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    for (who, other) in [("ann", "bob"), ("bob", "ann")] {
        let seen = w.summary(who, id).await;
        assert_eq!((seen.kind, seen.title, seen.other), (Kind::Direct, None, Some(user(other))));
        assert_eq!((seen.role, seen.member_count), (Role::Member, 2));
    }
}

async fn the_last_message_is_the_newest_message(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    for text in ["one", "two"] {
        let event = w.say(id, "bob", text).await;
        w.put(id, "ann", renamed(text)).await.expect("an owner may");
        w.put(id, "bob", unknown(r#"{"type":"message2","text":"hi"}"#)).await.expect("may");
        assert_eq!(w.summary("ann", id).await.last, Some(event));
    }
}

async fn without_a_message_there_is_no_last_one(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", renamed("Ships")).await.expect("an owner may");
    assert_eq!(w.summary("ann", id).await.last, None);
}

async fn the_markers_are_sorted_by_user(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["gus", "ann", "Zoe", "eve"]).await;
    let markers = w.summary("eve", id).await.markers;
    let names: Vec<_> = markers.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(names, ["Zoe", "ann", "eve", "gus"]);
}

async fn markers_of_those_who_left_are_not_shown(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.mark(id, "bob", 1, 1).await.expect("a member may");
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    assert_eq!(w.summary("ann", id).await.markers, [(user("ann"), marker(0, 0))]);
}

async fn many_members_have_no_markers_in_a_summary(trial: Trial) {
    let w = trial.world().await;
    let names: Vec<String> = (0..Summary::MARKERS_MAX).map(|n| format!("u{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = w.group(&names).await;
    let seen = w.summary("u007", id).await;
    assert_eq!((seen.member_count, seen.markers.len()), (100, 100));
    w.put(id, "u000", added(&["more"])).await.expect("an owner adds");
    let seen = w.summary("u007", id).await;
    assert_eq!((seen.member_count, seen.markers.len()), (101, 0));
    w.put(id, "more", Body::Left).await.expect("may leave");
    let seen = w.summary("u007", id).await;
    assert_eq!((seen.member_count, seen.markers.len()), (100, 100));
}

async fn names_of(w: &World, id: ConversationId, after: Option<&str>, most: u16) -> Vec<String> {
    let after = after.map(user);
    let members = w.store.members(Reader::System, id, after.as_ref(), limit(most)).await;
    let members = members.expect("the store reads").expect("it exists");
    members.into_iter().map(|member| member.user.as_str().to_owned()).collect()
}

async fn members_come_sorted_by_the_bytes_of_their_names(trial: Trial) {
    let w = trial.world().await;
    let names =
        ["é", "zoe", "Zoe", "ann", "a", "ann b", "10", "9", "\u{1f600}", "\u{ffff}", "e\u{301}"];
    let id = w.group(&names).await;
    let mut sorted = names.map(str::to_owned).to_vec();
    sorted.sort_unstable();
    assert_eq!(names_of(&w, id, None, 100).await, sorted);
}

async fn pages_of_members_hold_each_once(trial: Trial) {
    let w = trial.world().await;
    let mut names: Vec<String> = (0..57).map(|n| format!("u{}", n * 7 % 57)).collect();
    let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = w.group(&borrowed).await;
    w.put(id, "u0", removed("u13")).await.expect("an owner removes");
    names.retain(|name| name != "u13");
    names.sort_unstable();
    for most in [1, 10, 56, 57] {
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = names_of(&w, id, all.last().map(String::as_str), most).await;
            assert!(page.len() <= usize::from(most));
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        assert_eq!(all, names, "in pages of {most}");
    }
}

async fn members_after_a_name_that_is_none(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.put(id, "bob", Body::Left).await.expect("bob leaves");
    assert_eq!(names_of(&w, id, Some("b"), 9).await, ["eve"]);
    assert_eq!(names_of(&w, id, Some("bob"), 9).await, ["eve"]);
    assert_eq!(names_of(&w, id, Some("zzz"), 9).await, [""; 0]);
    assert_eq!(names_of(&w, id, Some("%"), 9).await, ["ann", "eve"]);
}

async fn members_show_role_and_marker(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
    w.mark(id, "bob", 2, 1).await.expect("a member may");
    let members = w.store.members(Reader::System, id, None, limit(9)).await;
    let members = members.expect("the store reads").expect("it exists");
    let found: Vec<_> = members.into_iter().map(|one| (one.user, one.role, one.marker)).collect();
    let expected =
        [(user("ann"), Role::Owner, marker(0, 0)), (user("bob"), Role::Owner, marker(2, 1))];
    assert_eq!(found, expected);
}

async fn a_member_sees_the_other_members(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let bob: UserId = user("bob");
    let by_bob = w.store.members(Reader::User(&bob), id, None, limit(9)).await;
    let by_system = w.store.members(Reader::System, id, None, limit(9)).await;
    let by_bob = by_bob.expect("the store reads").expect("a member sees");
    assert_eq!(Some(by_bob), by_system.expect("the store reads"));
}

async fn a_title_is_that_of_its_conversation(trial: Trial) {
    let w = trial.world().await;
    let (one, two) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    w.put(one, "ann", renamed("One")).await.expect("an owner may");
    assert_eq!(w.summary("ann", one).await.title, Some(title("One")));
    assert_eq!(w.summary("ann", two).await.title, Some(title("Boats")));
}
