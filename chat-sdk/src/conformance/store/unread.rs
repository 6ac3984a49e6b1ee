//! Rule 9, unread is a recount; and whole random histories against the model.

use super::{
    super::{random::Random, report::cases},
    Cases, Trial,
    model::Model,
    world::{
        SYSTEM, World, about_what, added, limit, marker, removed, renamed, role, unknown, user,
        users,
    },
};
use crate::{
    model::{
        Body, ClientKey, ConversationId, Emoji, Event, Kind, Message, Role, Seq, Text, UserId,
    },
    store::{Append, Mark, Only, Page, Reader, Write},
};

pub(super) fn cases() -> Cases {
    cases!["unread":
        messages_of_others_are_unread,
        ones_own_messages_are_never_unread,
        messages_of_the_system_are_unread,
        only_messages_are_unread,
        reading_makes_less_unread,
        receiving_is_not_reading,
        what_was_there_before_one_came_is_unread,
        each_member_has_a_count_of_their_own,
        the_list_says_the_same_as_the_conversation,
        a_random_history_is_that_of_the_model_1,
        a_random_history_is_that_of_the_model_2,
        a_random_history_is_that_of_the_model_3,
        a_random_history_is_that_of_the_model_4,
    ]
}

async fn messages_of_others_are_unread(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    assert_eq!(w.unread("bob", id).await, 0);
    for n in 1..=5 {
        w.say(id, "ann", "hi").await;
        assert_eq!(w.unread("bob", id).await, n);
    }
}

async fn ones_own_messages_are_never_unread(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    w.chatter(id, "ann", 3).await;
    w.chatter(id, "bob", 2).await;
    assert_eq!((w.unread("ann", id).await, w.unread("bob", id).await), (2, 3));
}

async fn messages_of_the_system_are_unread(trial: Trial) {
    let w = trial.world().await;
    let id = w.direct("ann", "bob").await;
    w.chatter(id, SYSTEM, 3).await;
    assert_eq!((w.unread("ann", id).await, w.unread("bob", id).await), (3, 3));
}

async fn only_messages_are_unread(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    for body in [added(&["eve"]), renamed("Ships"), unknown(r#"{"type":"poll"}"#), removed("eve")] {
        w.put(id, "ann", body).await.expect("an owner may");
    }
    assert_eq!(w.unread("bob", id).await, 0);
    w.say(id, "ann", "hi").await;
    assert_eq!(w.unread("bob", id).await, 1);
}

async fn reading_makes_less_unread(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.chatter(id, "ann", 9).await;
    for read in 0..=10 {
        w.mark(id, "bob", read, read).await.expect("a member may");
        let expected = if read == 0 { 9 } else { 10 - read };
        assert_eq!(w.unread("bob", id).await, expected, "read up to {read}");
    }
}

async fn receiving_is_not_reading(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    w.chatter(id, "ann", 9).await;
    w.mark(id, "bob", 10, 4).await.expect("a member may");
    assert_eq!(w.unread("bob", id).await, 6);
}

async fn what_was_there_before_one_came_is_unread(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 4).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    assert_eq!(w.unread("bob", id).await, 4);
}

async fn each_member_has_a_count_of_their_own(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob", "eve"]).await;
    w.chatter(id, "ann", 4).await;
    w.mark(id, "bob", 3, 3).await.expect("a member may");
    w.chatter(id, "bob", 2).await;
    let counts = (w.unread("ann", id).await, w.unread("bob", id).await, w.unread("eve", id).await);
    assert_eq!(counts, (2, 2, 6));
}

async fn the_list_says_the_same_as_the_conversation(trial: Trial) {
    let w = trial.world().await;
    for n in 0..5 {
        let id = w.group(&["ann", "bob"]).await;
        w.chatter(id, "ann", n).await;
    }
    let list = w.list("bob", 2).await;
    assert_eq!(list.iter().map(|one| one.unread).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
    for one in list {
        assert_eq!(one, w.summary("bob", one.conversation).await);
    }
}

async fn a_random_history_is_that_of_the_model_1(trial: Trial) {
    random_history(trial, 1, 1).await;
}

async fn a_random_history_is_that_of_the_model_2(trial: Trial) {
    random_history(trial, 2, 4).await;
}

async fn a_random_history_is_that_of_the_model_3(trial: Trial) {
    random_history(trial, 3, 8).await;
}

async fn a_random_history_is_that_of_the_model_4(trial: Trial) {
    random_history(trial, 4, 16).await;
}

pub(super) const PEOPLE: [&str; 6] = ["ann", "bob", "dan", "eve", "fay", "gus"];

/// Opens these with half of the people in them, so that most of what follows is possible.
pub(super) async fn begin(w: &World, model: &mut Model, ids: &[ConversationId]) {
    for (index, id) in ids.iter().enumerate() {
        let kind = if index % 2 == 0 { Kind::Group } else { Kind::Channel };
        let open = Write::Open(w.opening(*id, kind, &PEOPLE[index..index + 3]));
        model.write(&open);
        w.one(open).await;
    }
}

/// A random write to one of these conversations, of which the model has what was written before.
pub(super) fn random_write(
    w: &World,
    random: &mut Random,
    ids: &[ConversationId],
    model: &Model,
) -> Write {
    let id = *random.pick(ids);
    let who = *random.pick(&PEOPLE);
    let other = *random.pick(&PEOPLE);
    let by = if random.once_in(8) { SYSTEM } else { who };
    let any_role = *random.pick(&[Role::Owner, Role::Admin, Role::Member, Role::Reader]);
    // A number that may be that of a message.
    let about = Seq::new(random.below(30));
    let emoji = Emoji::new(*random.pick(&["👍", ":shipit:", "👩🏽‍❤️‍💋‍👨🏿"])).expect("an emoji");
    let body = match random.below(30) {
        0 => {
            let kind = *random.pick(&[Kind::Group, Kind::Channel]);
            let mut open = w.opening(id, kind, &[who, other]);
            if random.once_in(3) {
                open.by = None;
            }
            return Write::Open(open);
        }
        1..=4 => {
            // Also backward and beyond the head.
            let marker = marker(random.below(40), random.below(40));
            return Write::Mark(Mark { conversation: id, user: user(who), marker });
        }
        5 | 6 => Body::Added { users: users(&[other, who]), role: any_role },
        7 => removed(other),
        8 if by != SYSTEM => Body::Left,
        9 => role(other, any_role),
        10 => renamed(&format!("Boats {}", random.below(9))),
        11 => unknown(r#"{"type":"poll"}"#),
        12 => Body::Message(said(random).reply_to(about)),
        13 | 14 => Body::Edited { message: about, text: said(random).text },
        15 => Body::Deleted { message: about },
        16..=18 => Body::Reacted { message: about, emoji },
        19 => Body::Unreacted { message: about, emoji },
        20 => Body::Pinned { message: about },
        21 => Body::Unpinned { message: about },
        22 => about_what(Some(&format!("Regatta {}", random.below(9)))),
        23 => about_what(None),
        _ => Body::Message(said(random)),
    };
    let mut append = w.append(id, by, body);
    if random.once_in(12) {
        let Append { conversation, by: from, at, body, .. } = append;
        let key = random.once_in(3).then(|| a_key(random));
        // Mostly the next place, as long as nothing else of the batch is in this log.
        let seq = Seq::new(model.head(id).get() + random.below(3));
        return Write::Restore(Event { conversation, seq, at, from, key, body });
    }
    if random.once_in(4) {
        append.requires = any_role;
    }
    if random.once_in(3) {
        append.key = Some(a_key(random));
    }
    Write::Append(append)
}

fn a_key(random: &mut Random) -> ClientKey {
    ClientKey::new(format!("k{}", random.below(6))).expect("a valid key")
}

fn said(random: &mut Random) -> Message {
    Message::new(Text::new(format!("hi {}", random.below(3))).expect("a valid text"))
}

async fn random_history(trial: Trial, seed: u64, batch_max: u64) {
    let w = trial.world().await;
    let mut random = Random::from_seed(seed);
    let mut model = Model::default();
    let ids: Vec<_> = (0..4).map(|_| w.nowhere()).collect();
    begin(&w, &mut model, &ids[1..]).await;
    for round in 0..120 {
        let batch: Vec<_> = (0..=random.below(batch_max))
            .map(|_| random_write(&w, &mut random, &ids, &model))
            .collect();
        let expected: Vec<_> = batch.iter().map(|write| model.write(write)).collect();
        for ((write, answer), expected) in
            batch.iter().zip(w.batch(batch.clone()).await).zip(expected)
        {
            assert_eq!(answer, expected, "seed {seed}, round {round}: {write:?}");
        }
        if round % 10 == 9 {
            compare(&w, &model, &ids, &mut random, seed).await;
        }
    }
}

/// Everything that can be read is what the model says.
async fn compare(w: &World, model: &Model, ids: &[ConversationId], random: &mut Random, seed: u64) {
    for who in PEOPLE {
        let name = user(who);
        for id in ids {
            let seen = w.seen(who, *id).await;
            assert_eq!(seen, model.summary(&name, *id), "seed {seed}: {who} in {id}");
        }
        assert_eq!(w.list(who, 3).await, model.conversations(&name), "seed {seed}: {who}");
    }
    for (id, log) in &model.logs {
        assert_eq!(w.log(*id).await, log.events, "seed {seed}");
        let members = w.store.members(Reader::System, *id, None, limit(100)).await;
        let members = members.expect("the store reads").expect("it exists");
        assert_eq!(members, log.members_with_markers(), "seed {seed}");
        for who in PEOPLE {
            let place = Seq::new(random.below(log.events.len() as u64 + 3));
            let (name, reader) = (user(who), log.members());
            let seen = w.store.receipts(Reader::User(&name), *id, place).await;
            let expected = reader.contains_key(&name).then(|| log.receipts(Some(&name), place));
            assert_eq!(seen.expect("the store reads"), expected, "seed {seed}: {who} at {place}");
            let seen = w.store.receipts(Reader::System, *id, place).await;
            let expected = Some(log.receipts(None, place));
            assert_eq!(seen.expect("the store reads"), expected, "seed {seed}: at {place}");
        }
        for _ in 0..6 {
            let place = Seq::new(random.below(log.events.len() as u64 + 3));
            let page = *random.pick(&[
                Page::Newest,
                Page::Before(place),
                Page::After(place),
                Page::Around(place),
            ]);
            let about = Seq::new(random.below(log.events.len() as u64 + 1));
            let only = *random.pick(&[
                Only::Everything,
                Only::Messages,
                Only::Pinned,
                Only::EditsOf(about),
            ]);
            // Odd, so that both halves of a page around a place are equal.
            let most = u16::try_from(random.below(9) * 2 + 1).expect("is small");
            let reader = if random.once_in(2) { None } else { members.first().map(|it| &it.user) };
            let name = reader.map_or(SYSTEM, UserId::as_str);
            let got = w.page_for(name, *id, page, only, most).await;
            let expected = log.page(reader, page, only, usize::from(most));
            assert_eq!(got, Some(expected), "seed {seed}: {name} {page:?} {only:?} {most}");
        }
    }
}
