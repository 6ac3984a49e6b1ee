//! Typing and presence.

use std::time::Duration;

use chat_sdk::{Chat, Limits, Policy, UserId, Verdict};
use serde_json::{Value, json};

use crate::support::{Client, Server, TokenIsUser};

fn typing(frames: &[Value]) -> usize {
    frames.iter().filter(|it| it["type"] == "typing").count()
}

async fn presence(client: &mut Client) -> (String, bool) {
    let frame = client.next_of("presence").await;
    (frame["user"].as_str().unwrap().to_owned(), frame["online"].as_bool().unwrap())
}

#[tokio::test]
async fn typing_reaches_every_other_device_and_not_the_one_that_types() {
    let server = Server::new().await;
    let group = server.group(&["alice", "bob", "carol"]).await;
    let mut alice = server.connect("alice").await;
    let mut others =
        [server.connect("alice").await, server.connect("bob").await, server.connect("carol").await];
    let mut stranger = server.connect("dave").await;
    for on in [true, false] {
        alice.command(json!({"type": "typing", "id": "t", "conversation": group, "on": on})).await;
        alice.next_of("done").await;
        for other in &mut others {
            let frame = other.next_of("typing").await;
            assert_eq!(
                frame,
                json!({"type": "typing", "conversation": group, "user": "alice", "on": on})
            );
        }
    }
    assert_eq!(typing(&alice.so_far().await), 0);
    stranger.command(json!({"type": "typing", "conversation": group, "on": true})).await;
    assert_eq!(typing(&stranger.so_far().await), 0);
    assert_eq!(typing(&others[1].so_far().await), 0, "a stranger's typing is nobody's business");
}

#[tokio::test]
async fn watching_tells_how_it_is_and_then_what_changes() {
    let limits = Limits { presence_grace: Duration::from_millis(1), ..Limits::default() };
    let server = Server::with(limits).await;
    let bob = server.connect("bob").await;
    let mut alice = server.connect("alice").await;
    alice.command(json!({"type": "watch", "id": "1", "users": ["bob", "carol", "bob"]})).await;
    let (before, _) = alice.up_to("done").await;
    assert!(before.is_empty());
    assert_eq!(presence(&mut alice).await, ("bob".to_owned(), true));
    assert_eq!(presence(&mut alice).await, ("carol".to_owned(), false));

    let carol = server.connect("carol").await;
    assert_eq!(presence(&mut alice).await, ("carol".to_owned(), true));
    // A second device is no news, and neither is its end.
    drop(server.connect("carol").await);
    drop(bob);
    assert_eq!(presence(&mut alice).await, ("bob".to_owned(), false));

    // A new list replaces the old one.
    alice.command(json!({"type": "watch", "id": "2", "users": []})).await;
    alice.next_of("done").await;
    drop(carol);
    let _bob = server.connect("bob").await;
    assert!(alice.so_far().await.iter().all(|it| it["type"] != "presence"));
}

#[tokio::test]
async fn a_reload_is_no_departure() {
    let limits = Limits { presence_grace: PATIENTLY, ..Limits::default() };
    let server = Server::with(limits).await;
    let bob = server.connect("bob").await;
    let mut alice = server.connect("alice").await;
    alice.command(json!({"type": "watch", "users": ["bob"]})).await;
    assert_eq!(presence(&mut alice).await, ("bob".to_owned(), true));
    drop(bob);
    server.until("bob is gone", |health| health.connections == 1).await;
    // Whoever looks now still finds him here, and nobody is told of his return.
    alice.command(json!({"type": "watch", "users": ["bob"]})).await;
    assert_eq!(presence(&mut alice).await, ("bob".to_owned(), true));
    let _bob = server.connect("bob").await;
    assert!(alice.so_far().await.is_empty());
}

/// Longer than any test takes.
const PATIENTLY: Duration = Duration::from_secs(600);

#[tokio::test]
async fn too_long_a_list_is_refused_and_the_old_one_stays() {
    let server = Server::with(Limits { watch_max: 2, ..Limits::default() }).await;
    let mut alice = server.connect("alice").await;
    alice.command(json!({"type": "watch", "id": "1", "users": ["bob"]})).await;
    alice.next_of("presence").await;
    alice.command(json!({"type": "watch", "id": "2", "users": ["b", "c", "d"]})).await;
    assert_eq!(alice.next_of("error").await["problem"]["code"], "invalid");
    let _bob = server.connect("bob").await;
    assert_eq!(presence(&mut alice).await, ("bob".to_owned(), true));
}

struct Discreet;

impl Policy for Discreet {
    async fn may_see_presence(&self, _: &UserId, user: &UserId) -> Verdict {
        if user.as_str() == "bob" { Verdict::deny("hidden") } else { Verdict::Allow }
    }
}

#[tokio::test]
async fn who_may_not_see_somebody_sees_nothing_of_them() {
    let server = Server::start(Chat::builder(TokenIsUser).policy(Discreet)).await;
    let _bob = server.connect("bob").await;
    let mut alice = server.connect("alice").await;
    alice.command(json!({"type": "watch", "id": "1", "users": ["bob", "carol"]})).await;
    alice.next_of("done").await;
    let seen = alice.so_far().await;
    assert!(seen.iter().all(|it| it["online"] != true), "{seen:?}");
    let _again = server.connect("bob").await;
    assert!(alice.so_far().await.is_empty());
}
