//! Coming back.

use std::time::Duration;

use chat_sdk::{Change, Chat, Limits, To};
use serde_json::{Value, json};

use crate::support::{Ask, Client, Mood, Moody, PATIENCE, Server, TokenIsUser, user};

async fn say(server: &Server, to: &str, times: u64) -> String {
    let mut id = String::new();
    for n in 0..times {
        id = server.say("alice", To::User(user(to)), &n.to_string()).await.conversation.to_string();
    }
    id
}

fn events(frames: &[Value], conversation: &str) -> Vec<u64> {
    let of = frames.iter().filter(|it| it["type"] == "event" && it["conversation"] == conversation);
    of.map(|it| it["seq"].as_u64().unwrap()).collect()
}

/// Tokens follow from these two comparisons with the store.
fn quick_tokens() -> Limits {
    let soon = Duration::from_millis(20);
    Limits { position_check: soon, membership_check: soon, ..Limits::default() }
}

/// Pings until there is a resume token.
async fn token(client: &mut Client) -> Value {
    let asking = async {
        loop {
            client.send(r#"{"type":"ping"}"#).await;
            let pong = client.next_of("pong").await;
            if pong["token"].is_string() {
                return pong["token"].clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("a resume token")
}

#[tokio::test]
async fn a_first_connection_starts_with_what_comes_from_now_on() {
    let server = Server::new().await;
    let id = say(&server, "bob", 3).await;
    let mut bob = server.connect("bob").await;
    say(&server, "bob", 1).await;
    assert_eq!(events(&bob.so_far().await, &id), [5]);
}

#[tokio::test]
async fn while_messages_rush_in_a_resume_has_no_hole_and_no_overlap_at_the_seam() {
    let limits = Limits {
        sends_per_second: 100_000,
        sends_burst: 100_000,
        replay_page: 7,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let id = say(&server, "bob", 60).await;
    let epoch = server.connect("x").await.welcome["epoch"].clone();
    for round in 0..10 {
        let resume = json!({"epoch": epoch, "positions": {&id: 5}});
        let rushing = async {
            say(&server, "bob", 20).await;
        };
        let ((mut bob, before), ()) = tokio::join!(server.resume("bob", resume), rushing);
        assert_eq!(before[0]["resumed"], true);
        let mut seen = events(&before, &id);
        let head = 61 + 20 * (round + 1);
        while seen.last() != Some(&head) {
            seen.push(bob.next_of("event").await["seq"].as_u64().unwrap());
        }
        assert_eq!(seen, (6..=head).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_token_stands_for_every_conversation_that_is_not_named() {
    let server = Server::with(quick_tokens()).await;
    let [quiet, busy, named] = [
        say(&server, "bob", 3).await,
        {
            let event = server.say("carol", To::User(user("bob")), "hi").await;
            event.conversation.to_string()
        },
        {
            let event = server.say("dave", To::User(user("bob")), "hi").await;
            event.conversation.to_string()
        },
    ];
    let mut bob = server.connect("bob").await;
    let epoch = bob.welcome["epoch"].clone();
    // The token before is that of the connection; this one speaks of everything up to now.
    let first = token(&mut bob).await;
    server.say("dave", To::User(user("bob")), "seen").await;
    assert_eq!(bob.next_of("event").await["seq"], 3);
    drop(bob);

    server.say("dave", To::User(user("bob")), "missed").await;
    server.say("carol", To::User(user("bob")), "missed").await;
    server.say("carol", To::User(user("bob")), "missed").await;
    // A conversation that did not exist then.
    let new = server.say("erin", To::User(user("bob")), "missed").await.conversation.to_string();
    let resume = json!({"epoch": epoch, "token": first, "positions": {&named: 3}});
    let (mut bob, before) = server.resume("bob", resume).await;
    assert_eq!(before[0]["resumed"], true);
    assert_eq!(events(&before, &quiet), [0u64; 0]);
    assert_eq!(events(&before, &busy), [3, 4]);
    assert_eq!(events(&before, &named), [4]);
    assert_eq!(events(&before, &new), [1, 2]);
    server.say("carol", To::User(user("bob")), "live").await;
    assert_eq!(events(&bob.so_far().await, &busy), [5]);
}

#[tokio::test]
async fn a_token_that_is_not_of_this_store_is_none() {
    let server = Server::new().await;
    let id = say(&server, "bob", 3).await;
    let epoch = server.connect("x").await.welcome["epoch"].clone();
    for token in ["", "1729", "7-000000000000", "\u{1F600}", &"x".repeat(2_000)] {
        let (_bob, before) = server.resume("bob", json!({"epoch": epoch, "token": token})).await;
        assert_eq!(before[0]["resumed"], true);
        assert_eq!(events(&before, &id), [0u64; 0], "{token}");
    }
}

#[tokio::test]
async fn positions_of_another_epoch_mean_nothing() {
    let server = Server::new().await;
    let id = say(&server, "bob", 3).await;
    let resume = json!({"epoch": "another-life", "token": "1", "positions": {&id: 1}});
    let (mut bob, before) = server.resume("bob", resume).await;
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!(before[0]["resumed"], false);
    say(&server, "bob", 1).await;
    assert_eq!(events(&bob.so_far().await, &id), [5]);
}

#[tokio::test]
async fn a_position_beyond_the_head_is_reset_to_it() {
    let server = Server::new().await;
    let id = say(&server, "bob", 3).await;
    let epoch = server.connect("x").await.welcome["epoch"].clone();
    let (mut bob, before) =
        server.resume("bob", json!({"epoch": epoch, "positions": {&id: 99}})).await;
    assert!(
        before.contains(&json!({"type": "reset", "conversation": id, "head": 4})),
        "{before:?}"
    );
    say(&server, "bob", 1).await;
    assert_eq!(events(&bob.so_far().await, &id), [5]);
}

#[tokio::test]
async fn too_long_a_tail_is_a_reset_and_history_brings_the_rest() {
    let server = Server::with(Limits {
        replay_max: 10,
        replay_page: 3,
        page_max: 4,
        page_default: 4,
        ..Limits::default()
    })
    .await;
    let id = say(&server, "bob", 20).await;
    let epoch = server.connect("x").await.welcome["epoch"].clone();
    // One event more than is replayed, and exactly as many.
    let (mut bob, before) =
        server.resume("bob", json!({"epoch": epoch, "positions": {&id: 10}})).await;
    let reset = json!({"type": "reset", "conversation": id, "head": 21});
    assert!(before.contains(&reset) && events(&before, &id).is_empty(), "{before:?}");
    let (_other, before) =
        server.resume("bob", json!({"epoch": epoch, "positions": {&id: 11}})).await;
    assert_eq!(events(&before, &id), (12..=21).collect::<Vec<_>>());

    let mut held = Vec::new();
    let mut query = "?after=10".to_owned();
    loop {
        let page =
            server.ask(Ask::get(&format!("/conversations/{id}/events{query}")).by("bob")).await;
        held.extend(page.json().as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()));
        match page.link("next") {
            Some(next) => query = next,
            None => break,
        }
    }
    say(&server, "bob", 1).await;
    held.extend(events(&bob.so_far().await, &id));
    assert_eq!(held, (11..=22).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_was_removed_meanwhile_is_told_so_and_gets_nothing_of_it() {
    let server = Server::with(quick_tokens()).await;
    let named = server.group(&["alice", "bob"]).await;
    let unnamed = server.group(&["alice", "bob"]).await;
    let mut bob = server.connect("bob").await;
    let epoch = bob.welcome["epoch"].clone();
    let token = token(&mut bob).await;
    drop(bob);
    for group in [named, unnamed] {
        server.change(group, Change::Remove(user("bob"))).await;
        server.say("alice", To::Conversation(group), "without him").await;
    }
    let never = "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e";
    let resume =
        json!({"epoch": epoch, "token": token, "positions": {named.to_string(): 1, never: 4}});
    let (mut bob, before) = server.resume("bob", resume).await;
    for group in [&*named.to_string(), &*unnamed.to_string(), never] {
        let left = json!({"type": "left", "conversation": group});
        assert_eq!(before.iter().filter(|it| **it == left).count(), 1, "{before:?}");
        assert_eq!(events(&before, group), [0u64; 0]);
    }
    server.say("alice", To::Conversation(named), "still without him").await;
    assert!(bob.so_far().await.is_empty());
}

#[tokio::test]
async fn a_conversation_that_nothing_happened_in_costs_a_resume_nothing() {
    let server = Server::with(quick_tokens()).await;
    for n in 0..50 {
        server.say("bob", To::User(user(&format!("u{n}"))), "hi").await;
    }
    let mut bob = server.connect("bob").await;
    let epoch = bob.welcome["epoch"].clone();
    let token = token(&mut bob).await;
    let (_bob, before) = server.resume("bob", json!({"epoch": epoch, "token": token})).await;
    assert_eq!(before.len(), 1, "nothing but a welcome: {before:?}");
}

/// What a client reached before the last token came it names no more.
#[tokio::test]
async fn a_token_speaks_of_a_moment_after_the_last_one_was_given() {
    let store = Moody::new();
    let chat = Chat::builder(TokenIsUser).store(store.clone()).limits(quick_tokens());
    let server = Server::start(chat).await;
    say(&server, "bob", 1).await;
    let mut bob = server.connect("bob").await;
    token(&mut bob).await;

    // Looks at the heads, one after the other, each in the middle until it is let go.
    store.is(Mood::HeadsHeld);
    for look in 1..4 {
        store.heads_held(look).await;
        say(&server, "bob", 1).await;
        bob.next_of("event").await;
        store.release_heads();
    }
    store.heads_held(4).await;
    say(&server, "bob", 1).await;
    bob.next_of("event").await;
    // That of a look before the one that is in the middle, which does not know the last message.
    let given = token(&mut bob).await;
    store.release_heads();
    store.heads_held(5).await;
    for _ in 0..20 {
        bob.send(r#"{"type":"ping"}"#).await;
        let later = bob.next_of("pong").await["token"].clone();
        assert!(later.is_null() || later == given, "{later} does not speak of what came before");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.release_heads();
    store.is(Mood::Well);
    assert_ne!(token(&mut bob).await, given, "one that does is given");
}
