//! Everything of a store arrives in another, whatever was in it, and whatever happens on the way.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU16;

use chat_sdk::{
    Body, ClientKey, ConversationId, CredentialId, Emoji, Epoch, Event, Kind, Marker, Message,
    Role, Seq, SqliteStore, Store, Text, Timestamp, Title, Topic, UserId,
    auth::accounts::{Account, AccountRole, AccountStore, CreateWhen},
    store::{
        Append, Events, Mark, Only, Open, Page, Reader, Write, Written,
        transfer::{Export, Import, ImportError, Imported, Record},
    },
};

fn user(n: u64) -> UserId {
    UserId::new(format!("user-{n}")).unwrap()
}

/// A small generator; the same seed, the same store.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn account(n: u64) -> Account {
    Account {
        user: user(n),
        name: format!("Name{n}"),
        name_key: format!("name{n}"),
        display_name: format!("Ünï {n} 名前"),
        password_hash: format!("$argon2id${n}"),
        role: if n == 0 { AccountRole::Admin } else { AccountRole::User },
        disabled: n == 3,
        generation: n as u32 * 7,
        created_at: Timestamp::from_millis(1_700_000_000_000 + n as i64),
    }
}

/// Groups in which people come, go and come back, and read.
async fn fill(store: &(impl Store + AccountStore), seed: u64) {
    let mut dice = Dice(seed);
    for n in 0..5 {
        store.create_account(account(n), CreateWhen::NameFree).await.unwrap();
    }
    let token = CredentialId::new("revoked").unwrap();
    store.revoke_token(&token, Timestamp::from_millis(9_000_000_000_000)).await.unwrap();
    for n in 0..4u64 {
        let key = ClientKey::new(format!("group {n}")).unwrap();
        let (kind, title, conversation) = match n {
            0 => (Kind::Direct, None, ConversationId::direct(&user(0), &user(1))),
            _ => (
                if n == 1 { Kind::Channel } else { Kind::Group },
                Some(Title::new("a title").unwrap()),
                { ConversationId::group(&user(0), &key) },
            ),
        };
        let members = if n == 0 { vec![user(0), user(1)] } else { vec![user(0), user(1), user(2)] };
        let open = Open {
            conversation,
            kind,
            title,
            by: Some(user(0)),
            key: Some(key),
            members,
            at: Timestamp::from_millis(1_700_000_000_000),
        };
        store.write(vec![Write::Open(open)]).await.unwrap();
        for step in 0..160u64 {
            let by = user(dice.below(5));
            let other = user(dice.below(5));
            let message = Seq::new(dice.below(step + 2));
            let emoji = Emoji::new("👍").unwrap();
            let roles = [Role::Owner, Role::Admin, Role::Member, Role::Reader];
            let any_role = roles[dice.below(4) as usize];
            let body = match dice.below(24) {
                0 => Body::Added { users: vec![other.clone()], role: any_role },
                1 => Body::Removed { user: other.clone() },
                2 => Body::Left,
                3 => Body::Role { user: other.clone(), role: any_role },
                18 => Body::Topic {
                    topic: (step % 3 > 0).then(|| Topic::new(format!("about {step}\n…")).unwrap()),
                },
                4 => Body::Title { title: Title::new(format!("title {step}")).unwrap() },
                5 => serde_json::from_str(r#"{"type":"poll","question":"ä?"}"#).unwrap(),
                6 | 7 => Body::Edited { message, text: Text::new(format!("no, {step}")).unwrap() },
                8 if step % 2 == 0 => Body::Deleted { message },
                9..=15 => Body::Reacted { message, emoji },
                16 => Body::Unreacted { message, emoji },
                17 => Body::Pinned { message },
                _ => Body::Message(Message::new(Text::new(format!("n° {step} 🙂\n")).unwrap())),
            };
            let append = Append {
                conversation,
                by: (dice.below(9) > 0).then(|| by.clone()),
                requires: Role::Reader,
                key: (dice.below(3) > 0).then(|| ClientKey::new(format!("{step}")).unwrap()),
                at: Timestamp::from_millis(1_700_000_000_000 + step as i64),
                body,
            };
            let marker = Marker {
                received: Seq::new(dice.below(step + 2)),
                read: Seq::new(dice.below(step + 1)),
            };
            let mark = Mark { conversation, user: other, marker };
            // In a direct conversation nobody comes and goes; refusals are part of life.
            store.write(vec![Write::Append(append), Write::Mark(mark)]).await.unwrap();
        }
    }
}

async fn records(mut export: Export) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(record) = export.next().await {
        records.push(record.unwrap());
    }
    records
}

async fn import(
    store: &(impl Store + AccountStore),
    records: &[Record],
) -> Result<Imported, ImportError> {
    let mut import = Import::into(store);
    for record in records {
        // As lines of a file.
        let line = serde_json::to_string(record).unwrap();
        import.take(serde_json::from_str(&line).unwrap()).await?;
    }
    import.finish().await
}

/// But the name of the life, which is another.
fn assert_same(one: &[Record], other: &[Record]) {
    assert!(matches!((&one[0], &other[0]), (Record::Begin { .. }, Record::Begin { .. })));
    assert_ne!(one[0], other[0], "a new life");
    for (one, other) in one.iter().zip(other).skip(1) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

/// What has become of the messages of each log.
async fn pages(store: &SqliteStore, exported: &[Record]) -> Vec<Events> {
    let mut pages = Vec::new();
    for record in exported {
        let Record::Event(Event { conversation, seq, .. }) = record else { continue };
        if *seq == Seq::new(1) {
            let all = NonZeroU16::new(1_000).unwrap();
            let page = store.page(Reader::System, *conversation, Page::Newest, Only::Messages, all);
            pages.push(page.await.unwrap().unwrap());
        }
    }
    pages
}

#[tokio::test]
async fn everything_arrives_as_it_was() {
    let mut states = Vec::new();
    for seed in 1..=5 {
        let (old, new) = (SqliteStore::in_memory().unwrap(), SqliteStore::in_memory().unwrap());
        fill(&old, seed).await;
        let exported = records(old.export().await.unwrap()).await;
        let markers = exported.iter().filter(|it| matches!(it, Record::Marker { .. })).count();
        let events = exported.iter().filter(|it| matches!(it, Record::Event(_))).count();
        assert!(markers > 10 && events > 120, "{markers} {events}");
        let counts = import(&new, &exported).await.unwrap();
        assert_eq!((counts.accounts, counts.conversations, counts.known), (5, 4, 0));
        assert_eq!(counts.events, events as u64);
        assert_same(&exported, &records(new.export().await.unwrap()).await);
        let there = pages(&new, &exported).await;
        assert_eq!(there, pages(&old, &exported).await);
        states.extend(there.into_iter().flat_map(|page| page.states));

        // Twice is once.
        let again = import(&new, &exported).await.unwrap();
        assert_eq!((again.events, again.known), (counts.events, counts.events));
        assert_same(&exported, &records(new.export().await.unwrap()).await);
        // And keys hold: the first message's repetition is no second one.
        let first = exported.iter().find_map(|record| match record {
            Record::Event(event) if event.key.is_some() && event.seq.get() > 1 => Some(event),
            _ => None,
        });
        let first = first.unwrap().clone();
        let append = Append {
            conversation: first.conversation,
            by: first.from.clone(),
            requires: Role::Member,
            key: first.key.clone(),
            at: Timestamp::from_millis(0),
            body: first.body.clone(),
        };
        match &new.write(vec![Write::Append(append)]).await.unwrap()[0] {
            Written::Event { event, fresh: false } => assert_eq!(*event, first),
            // Whoever left since has no answer any more.
            Written::Refused(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(states.iter().any(|it| it.pinned) && states.iter().any(|it| it.edit.is_some()));
    assert!(states.iter().any(|it| !it.reactions.is_empty()));
}

#[tokio::test]
async fn an_import_that_was_cut_off_says_so_and_can_be_done_again() {
    let old = SqliteStore::in_memory().unwrap();
    fill(&old, 7).await;
    let exported = records(old.export().await.unwrap()).await;
    for cut in [0, 1, 3, 20, exported.len() / 2, exported.len() - 1] {
        let new = SqliteStore::in_memory().unwrap();
        let refused = import(&new, &exported[..cut]).await.unwrap_err();
        assert!(matches!(refused, ImportError::CutOff { found } if found == cut as u64));
        import(&new, &exported).await.unwrap();
        assert_same(&exported, &records(new.export().await.unwrap()).await);
    }
}

#[tokio::test]
async fn what_is_not_an_export_or_not_in_order_is_refused() {
    let old = SqliteStore::in_memory().unwrap();
    fill(&old, 9).await;
    let exported = records(old.export().await.unwrap()).await;
    let new = || SqliteStore::in_memory().unwrap();
    let newer = Record::Begin { version: 2, epoch: Epoch::new("x").unwrap() };
    for first in [newer, exported[1].clone()] {
        let refused = import(&new(), &[first]).await.unwrap_err();
        assert!(matches!(refused, ImportError::Version), "{refused}");
    }
    // A line is missing, among the events and elsewhere.
    let event = exported.iter().rposition(|it| matches!(it, Record::Event(_))).unwrap() - 1;
    for (gone, in_order) in [(event, false), (2, true)] {
        let mut holey = exported.clone();
        holey.remove(gone);
        let refused = import(&new(), &holey).await.unwrap_err();
        match refused {
            ImportError::OutOfOrder { place } => assert!(!in_order && place as usize == gone + 1),
            ImportError::CutOff { .. } => assert!(in_order),
            other => panic!("{other}"),
        }
    }
    // Something comes after the end.
    let twice: Vec<_> = exported.iter().chain(&exported[1..2]).cloned().collect();
    let refused = import(&new(), &twice).await.unwrap_err();
    assert!(matches!(refused, ImportError::OutOfOrder { .. }), "{refused}");
}

#[tokio::test]
async fn what_is_there_already_is_not_mixed_with_something_else() {
    let (old, other) = (SqliteStore::in_memory().unwrap(), SqliteStore::in_memory().unwrap());
    fill(&old, 11).await;
    fill(&other, 12).await;
    let exported = records(old.export().await.unwrap()).await;
    let before = records(other.export().await.unwrap()).await;
    let refused = import(&other, &exported).await.unwrap_err();
    assert!(matches!(refused, ImportError::OtherEvent { .. }), "{refused}");
    assert_eq!(records(other.export().await.unwrap()).await, before, "nothing has changed");

    let named = SqliteStore::in_memory().unwrap();
    let squatter = Account { user: user(77), ..account(1) };
    named.create_account(squatter, CreateWhen::NameFree).await.unwrap();
    let refused = import(&named, &exported).await.unwrap_err();
    assert!(matches!(refused, ImportError::OtherAccount { .. }), "{refused}");
}

#[tokio::test]
async fn who_does_not_want_all_of_an_export_costs_no_reader() {
    let store = SqliteStore::in_memory().unwrap();
    fill(&store, 13).await;
    for _ in 0..4 {
        let mut export = store.export().await.unwrap();
        export.next().await.unwrap().unwrap();
    }
    // It has one thread for everything.
    store.epoch().await.unwrap();
}
