//! Rules 6 and 7, coming in by oneself, and what newcomers see.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{SYSTEM, World, added, limit, message, removed, role, standing, title, user},
};
use crate::{
    model::{
        Access, Body, ConversationId, Emoji, Entrance, History, Kind, Link, LinkId, LinkToken,
        Message, Role, Seq, Text, Timestamp,
    },
    store::{Append, Mark, Only, Page, Refusal, Write},
};

pub(super) fn cases() -> Cases {
    cases!["entrance":
        a_link_lets_people_in,
        a_link_is_found_by_its_name,
        a_link_ends_with_its_uses,
        a_link_ends_with_its_time,
        a_revoked_link_lets_nobody_in,
        a_link_leads_into_one_conversation,
        links_are_for_admins,
        who_is_in_uses_up_nothing,
        a_private_conversation_lets_nobody_in,
        a_public_one_lets_everybody_in,
        who_was_removed_has_to_be_added,
        who_left_may_come_back,
        nobody_comes_in_as_an_admin,
        the_public_ones_are_listed_by_title,
        a_listing_says_what_strangers_may_know,
        of_the_last_use_one_makes_use,
        newcomers_see_all_of_it,
        newcomers_see_what_came_since_them,
        who_was_there_sees_all_of_it,
        who_comes_back_has_lost_sight,
        what_is_not_seen_cannot_be_answered,
    ]
}

fn a_link(n: u8) -> LinkId {
    LinkToken::fresh([n; 16]).link()
}

fn linked(n: u8, expires_at: Option<Timestamp>, uses_max: Option<u32>) -> Body {
    Body::Linked { link: a_link(n), expires_at, uses_max }
}

fn joined(n: Option<u8>) -> Body {
    Body::Joined { link: n.map(a_link), role: Role::Member }
}

fn history(history: History) -> Body {
    Body::History { history }
}

async fn public(w: &World, name: &str) -> ConversationId {
    let mut open = w.opening(w.nowhere(), Kind::Group, &["ann"]);
    open.entrance = Entrance { access: Access::Public, history: History::All };
    open.title = Some(title(name));
    let id = open.conversation;
    standing(w.one(Write::Open(open)).await).expect("it opens");
    id
}

async fn links(w: &World, id: ConversationId) -> Vec<Link> {
    w.store.links(id).await.expect("the store reads")
}

async fn is_in(w: &World, who: &str, id: ConversationId) -> bool {
    w.seen(who, id).await.is_some()
}

async fn a_link_lets_people_in(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", linked(1, None, None)).await.expect("an owner makes links");
    for (who, uses) in [("eve", 1), ("fay", 2)] {
        let event = w.put(id, who, joined(Some(1))).await.expect("a link lets in");
        assert_eq!((event.from, event.body), (Some(user(who)), joined(Some(1))));
        assert_eq!(w.summary(who, id).await.role, Role::Member);
        assert_eq!(links(&w, id).await[0].uses, uses);
        w.say(id, who, "hi").await;
    }
    let reader = Body::Joined { link: Some(a_link(1)), role: Role::Reader };
    w.put(id, "gus", reader).await.expect("as what the event says");
    assert_eq!(w.summary("gus", id).await.role, Role::Reader);
}

async fn a_link_is_found_by_its_name(trial: Trial) {
    let w = trial.world().await;
    let (one, other) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    let (end, max) = (Some(Timestamp::from_millis(i64::from(u32::MAX) * 1_000)), Some(u32::MAX));
    let first = w.put(one, "ann", linked(1, end, max)).await.expect("an owner may");
    let second = w.put(one, SYSTEM, linked(2, None, None)).await.expect("the system may");
    let third = w.put(other, "ann", linked(3, None, Some(1))).await.expect("an owner may");
    let expected = |n, by: &str, at, expires_at, uses_max| Link {
        link: a_link(n),
        by: (by != SYSTEM).then(|| user(by)),
        at,
        expires_at,
        uses_max,
        uses: 0,
    };
    let expected = [
        (one, expected(1, "ann", first.at, end, max)),
        (one, expected(2, SYSTEM, second.at, None, None)),
        (other, expected(3, "ann", third.at, None, Some(1))),
    ];
    for expected in &expected {
        let found = w.store.link(&expected.1.link).await.expect("the store reads");
        assert_eq!(found.as_ref(), Some(expected));
    }
    assert_eq!(links(&w, one).await, [expected[0].1.clone(), expected[1].1.clone()]);
    assert_eq!(w.store.link(&a_link(4)).await.expect("the store reads"), None);
    assert_eq!(links(&w, w.nowhere()).await, []);
}

async fn a_link_ends_with_its_uses(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", linked(1, None, Some(2))).await.expect("an owner may");
    // In one batch, as if one after the other.
    let batch = ["bob", "eve", "fay"].map(|who| Write::Append(w.append(id, who, joined(Some(1)))));
    let answers: Vec<_> = w.batch(batch.into()).await.into_iter().map(standing).collect();
    assert!(answers[0].is_ok() && answers[1].is_ok());
    assert_eq!(answers[2], Err(Refusal::NoSuchLink));
    assert_eq!(links(&w, id).await[0].uses, 2);
    assert_eq!(w.head(id).await, 4);
}

async fn a_link_ends_with_its_time(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let end = Timestamp::from_millis(w.now().as_millis() + 10_000);
    w.put(id, "ann", linked(1, Some(end), None)).await.expect("an owner may");
    let at = |who, millis: i64| Append {
        at: Timestamp::from_millis(end.as_millis() + millis),
        ..w.append(id, who, joined(Some(1)))
    };
    assert!(w.write(at("bob", -1)).await.is_ok());
    assert_eq!(w.write(at("eve", 0)).await, Err(Refusal::NoSuchLink));
    assert!(!is_in(&w, "eve", id).await);
}

async fn a_revoked_link_lets_nobody_in(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", linked(1, None, None)).await.expect("an owner may");
    let revoked = Body::Unlinked { link: a_link(1) };
    assert_eq!(w.put(id, "ann", linked(1, None, None)).await, Err(Refusal::NoChange));
    w.put(id, "ann", revoked.clone()).await.expect("an owner may");
    assert_eq!(w.put(id, "ann", revoked).await, Err(Refusal::NoSuchLink));
    assert_eq!(w.put(id, "bob", joined(Some(1))).await, Err(Refusal::NoSuchLink));
    assert_eq!(w.put(id, "bob", joined(Some(2))).await, Err(Refusal::NoSuchLink));
    assert_eq!(links(&w, id).await, []);
    assert_eq!(w.store.link(&a_link(1)).await.expect("the store reads"), None);
}

async fn a_link_leads_into_one_conversation(trial: Trial) {
    let w = trial.world().await;
    let (one, other) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    w.put(one, "ann", linked(1, None, None)).await.expect("an owner may");
    assert_eq!(w.put(other, "bob", joined(Some(1))).await, Err(Refusal::NoSuchLink));
    assert_eq!(w.put(w.nowhere(), "bob", joined(Some(1))).await, Err(Refusal::NotMember));
}

async fn links_are_for_admins(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.put(id, "ann", role("bob", Role::Admin)).await.expect("an owner may");
    let bodies = [
        linked(1, None, None),
        Body::Unlinked { link: a_link(1) },
        Body::Access { access: Access::Public },
        history(History::SinceJoining),
    ];
    for body in bodies {
        assert_eq!(w.put(id, "eve", body.clone()).await, Err(Refusal::RoleTooLow), "{body:?}");
        assert!(w.put(id, "bob", body.clone()).await.is_ok(), "{body:?}");
    }
    let seen = w.summary("eve", id).await.entrance;
    assert_eq!(seen, Entrance { access: Access::Public, history: History::SinceJoining });
}

async fn who_is_in_uses_up_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.put(id, "ann", linked(1, None, Some(1))).await.expect("an owner may");
    assert_eq!(w.put(id, "bob", joined(Some(1))).await, Err(Refusal::NoChange));
    assert_eq!(links(&w, id).await[0].uses, 0);
    w.put(id, "eve", joined(Some(1))).await.expect("it is not used up");
    // The second attempt of who came in by it, whose first answer was lost.
    assert_eq!(w.put(id, "eve", joined(Some(1))).await, Err(Refusal::NoChange));
}

async fn a_private_conversation_lets_nobody_in(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    assert_eq!(w.put(id, "bob", joined(None)).await, Err(Refusal::NotMember));
    assert_eq!(w.put(id, SYSTEM, joined(None)).await, Err(Refusal::NotMember));
    assert_eq!(w.head(id).await, 1);
}

async fn a_public_one_lets_everybody_in(trial: Trial) {
    let w = trial.world().await;
    let id = public(&w, "Boats").await;
    w.put(id, "bob", joined(None)).await.expect("it is public");
    assert_eq!(w.put(id, "bob", joined(None)).await, Err(Refusal::NoChange));
    let private = Body::Access { access: Access::Private };
    w.put(id, "ann", private).await.expect("an owner may");
    assert_eq!(w.put(id, "eve", joined(None)).await, Err(Refusal::NotMember));
    assert!(is_in(&w, "bob", id).await, "who is in stays");
}

async fn who_was_removed_has_to_be_added(trial: Trial) {
    let w = trial.world().await;
    let id = public(&w, "Boats").await;
    w.put(id, "ann", linked(1, None, None)).await.expect("an owner may");
    w.put(id, "bob", joined(None)).await.expect("it is public");
    w.put(id, "ann", removed("bob")).await.expect("an owner may");
    for by in [None, Some(1)] {
        assert_eq!(w.put(id, "bob", joined(by)).await, Err(Refusal::Barred));
    }
    assert_eq!(links(&w, id).await[0].uses, 0);
    w.put(id, "ann", added(&["bob"])).await.expect("an owner may");
    w.put(id, "bob", Body::Left).await.expect("everybody may leave");
    w.put(id, "bob", joined(None)).await.expect("who was added is forgiven");
}

async fn who_left_may_come_back(trial: Trial) {
    let w = trial.world().await;
    let id = public(&w, "Boats").await;
    w.put(id, "bob", joined(None)).await.expect("it is public");
    w.mark(id, "bob", 2, 1).await.expect("a member may");
    w.put(id, "bob", Body::Left).await.expect("everybody may leave");
    w.put(id, "bob", joined(None)).await.expect("who left may come back");
    assert_eq!(w.summary("bob", id).await.marker, super::world::marker(2, 1));
}

async fn nobody_comes_in_as_an_admin(trial: Trial) {
    let w = trial.world().await;
    let id = public(&w, "Boats").await;
    for high in [Role::Admin, Role::Owner] {
        let body = Body::Joined { link: None, role: high };
        assert_eq!(w.put(id, "bob", body).await, Err(Refusal::RoleTooLow));
    }
}

async fn the_public_ones_are_listed_by_title(trial: Trial) {
    let w = trial.world().await;
    let mut expected = Vec::new();
    for name in ["boats", "Boats", "Äpfel", "Boats", "船", "a"] {
        expected.push((name.to_owned(), public(&w, name).await));
    }
    w.group(&["ann"]).await;
    expected.sort();
    for most in [1, 2, 100] {
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = w.store.public(after, limit(most)).await.expect("the store reads");
            let Some(last) = page.last() else { break };
            after = Some((last.title.clone().expect("it has one"), last.conversation));
            assert!(page.len() <= usize::from(most));
            listed
                .extend(page.into_iter().map(|it| {
                    (it.title.expect("it has one").as_str().to_owned(), it.conversation)
                }));
        }
        assert_eq!(listed, expected, "in pages of {most}");
    }
}

async fn a_listing_says_what_strangers_may_know(trial: Trial) {
    let w = trial.world().await;
    let id = public(&w, "Boats").await;
    w.put(id, "ann", super::world::about_what(Some("Sails"))).await.expect("an owner may");
    w.put(id, "bob", joined(None)).await.expect("it is public");
    w.put(id, "eve", joined(None)).await.expect("it is public");
    w.put(id, "eve", Body::Left).await.expect("everybody may leave");
    let listing = w.store.listing(id).await.expect("the store reads").expect("it is there");
    assert_eq!(
        w.store.public(None, limit(9)).await.expect("the store reads"),
        std::slice::from_ref(&listing)
    );
    let named = (listing.title.expect("it has one"), listing.topic.expect("it has one"));
    assert_eq!((named.0.as_str(), named.1.as_str()), ("Boats", "Sails"));
    assert_eq!((listing.conversation, listing.kind, listing.member_count), (id, Kind::Group, 2));
    assert_eq!(listing.access, Access::Public);
    assert_eq!(w.store.listing(w.nowhere()).await.expect("the store reads"), None);
}

/// From many tasks at once.
async fn of_the_last_use_one_makes_use(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", linked(1, None, Some(3))).await.expect("an owner may");
    let attempts = (0..12).map(|n| {
        let w = w.share();
        tokio::spawn(async move { w.put(id, &format!("user-{n}"), joined(Some(1))).await.is_ok() })
    });
    let mut came = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        came += u32::from(attempt.await.expect("it does not panic"));
    }
    assert_eq!((came, links(&w, id).await[0].uses), (3, 3));
    assert_eq!(w.roles(id).await.len(), 4);
}

async fn newcomers_see_all_of_it(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 3).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.visible_from, seen.unread), (Seq::new(1), 3));
    assert_eq!(w.tail("bob", id, 0, u64::MAX).await.expect("a member reads").len(), 5);
}

/// Ann says 2 to 4 and 6; bob comes with 7, eve was there.
async fn since_joining(w: &World) -> ConversationId {
    let id = w.group(&["ann", "eve"]).await;
    w.chatter(id, "ann", 3).await;
    w.put(id, "ann", history(History::SinceJoining)).await.expect("an owner may");
    w.say(id, "ann", "before").await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    id
}

async fn newcomers_see_what_came_since_them(trial: Trial) {
    let w = trial.world().await;
    let id = since_joining(&w).await;
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.visible_from, seen.unread, seen.last), (Seq::new(7), 0, None));
    assert_eq!(w.list("bob", 9).await[0].unread, 0);
    let reads = |after, upto| w.tail("bob", id, after, upto);
    let numbers = |events: Option<Vec<_>>| -> Vec<u64> {
        events
            .expect("a member reads")
            .iter()
            .map(|it: &crate::model::Event| it.seq.get())
            .collect()
    };
    assert_eq!(numbers(reads(0, u64::MAX).await), [7]);
    assert_eq!(numbers(reads(0, 6).await), Vec::<u64>::new());
    let said = w.say(id, "ann", "after").await;
    assert_eq!(numbers(reads(2, u64::MAX).await), [7, 8]);
    let seen = w.summary("bob", id).await;
    assert_eq!((seen.unread, seen.last), (1, Some(said)));
    for page in [
        Page::Newest,
        Page::Before(Seq::new(99)),
        Page::After(Seq::ZERO),
        Page::Around(Seq::new(3)),
        Page::Around(Seq::new(8)),
    ] {
        let page = w.page_for("bob", id, page, Only::Everything, 9).await.expect("a member reads");
        assert_eq!(numbers(Some(page.events)), [7, 8]);
        assert!(!page.more_before && !page.more_after);
    }
    let before = w.page_for("bob", id, Page::Before(Seq::new(7)), Only::Messages, 9).await;
    assert_eq!(numbers(before.map(|page| page.events)), Vec::<u64>::new());
    // A pin of what is not seen shows nothing of it; nor do edits from before.
    w.put(id, "ann", Body::Pinned { message: Seq::new(2) }).await.expect("an owner may");
    let pinned = |who| w.page_for(who, id, Page::Newest, Only::Pinned, 9);
    assert_eq!(numbers(pinned("bob").await.map(|page| page.events)), Vec::<u64>::new());
    assert_eq!(numbers(pinned("eve").await.map(|page| page.events)), [2]);
}

async fn who_was_there_sees_all_of_it(trial: Trial) {
    let w = trial.world().await;
    let id = since_joining(&w).await;
    assert_eq!(w.summary("eve", id).await.visible_from, Seq::new(1));
    assert_eq!(w.tail("eve", id, 0, u64::MAX).await.expect("a member reads").len(), 7);
    // Another rule later is for those who come later.
    w.put(id, "ann", history(History::All)).await.expect("an owner may");
    assert_eq!(w.summary("bob", id).await.visible_from, Seq::new(7));
    w.put(id, "ann", added(&["fay"])).await.expect("an owner adds");
    assert_eq!(w.summary("fay", id).await.visible_from, Seq::new(1));
}

async fn who_comes_back_has_lost_sight(trial: Trial) {
    let w = trial.world().await;
    let id = since_joining(&w).await;
    let mark = Mark { conversation: id, user: user("eve"), marker: super::world::marker(7, 3) };
    w.one(Write::Mark(mark)).await;
    w.put(id, "eve", Body::Left).await.expect("everybody may leave");
    w.put(id, "ann", added(&["eve"])).await.expect("an owner adds");
    let seen = w.summary("eve", id).await;
    assert_eq!((seen.visible_from, seen.unread), (Seq::new(9), 0));
    assert_eq!(w.tail("eve", id, 0, u64::MAX).await.expect("a member reads").len(), 1);
}

async fn what_is_not_seen_cannot_be_answered(trial: Trial) {
    let w = trial.world().await;
    let id = since_joining(&w).await;
    let (hidden, emoji) = (Seq::new(2), Emoji::new("👍").expect("an emoji"));
    let reply = Message::new(Text::new("what?").expect("a text")).reply_to(hidden);
    w.put(id, "ann", role("bob", Role::Admin)).await.expect("an owner may");
    for body in [
        Body::Message(reply.clone()),
        Body::Reacted { message: hidden, emoji },
        Body::Pinned { message: hidden },
        Body::Deleted { message: hidden },
    ] {
        assert_eq!(w.put(id, "bob", body.clone()).await, Err(Refusal::NoSuchMessage), "{body:?}");
    }
    assert!(w.put(id, "eve", Body::Message(reply)).await.is_ok());
    assert!(w.put(id, "bob", message("hello")).await.is_ok());
}
