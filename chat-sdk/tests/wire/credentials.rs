//! The end of a credential, and its renewal.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use chat_sdk::{
    AuthError, Authenticator, Chat, ChatBuilder, CredentialId, Credentials, Identity, Limits,
    Timestamp, UserId, env::Clock,
};
use serde_json::json;

use crate::support::{Ask, Client, Raw, Server, user};

/// A clock that stands still until it is moved.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Tokens spell what they are: `<user>/<credential>@<end in ms>`.
#[derive(Clone, Default)]
struct Spelled {
    clock: Hands,
    revoked: Arc<Mutex<HashSet<String>>>,
    away: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
}

impl Authenticator for Spelled {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(AuthError::Unavailable("nobody is in".into()));
        }
        let token = credentials.token.ok_or(AuthError::Missing)?;
        let read = || {
            let (user, rest) = token.split_once('/')?;
            let (credential, end) = rest.split_once('@')?;
            let end = Timestamp::from_millis(end.parse().ok()?);
            let identity = Identity::new(UserId::new(user).ok()?).expiring(end);
            Some(identity.by(CredentialId::new(credential).ok()?))
        };
        let identity = read().ok_or(AuthError::Refused("not spelled"))?;
        if identity.expires_at <= Some(self.clock.now()) || !self.still_valid(&identity).await {
            return Err(AuthError::Refused("over"));
        }
        Ok(identity)
    }

    async fn still_valid(&self, identity: &Identity) -> bool {
        let credential = identity.credential.as_ref().unwrap();
        !self.revoked.lock().unwrap().contains(credential.as_str())
    }
}

const LATER: &str = "999999999999";

fn chat(tokens: &Spelled, limits: Limits) -> ChatBuilder {
    Chat::builder(tokens.clone()).clock(tokens.clock.clone()).limits(limits)
}

fn limits() -> Limits {
    Limits { expiry_notice: Duration::from_secs(5), ..Limits::default() }
}

#[tokio::test]
async fn a_credential_that_ends_is_announced_and_then_closes_the_connection() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    let mut alice = server.connect_by("alice/phone@1000").await;
    assert_eq!(alice.welcome["expires_at"], "1970-01-01T00:00:01.000Z");
    let expiring = alice.next_of("expiring").await;
    assert!(expiring["in_ms"].as_u64().unwrap() <= 500, "half-way at the latest: {expiring}");
    assert_eq!(alice.close_code().await, 4002);
}

#[tokio::test]
async fn a_renewed_credential_goes_on_to_its_own_end() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    let mut alice = server.connect_by("alice/one@6000").await;
    alice.next_of("expiring").await;
    alice.command(json!({"type": "auth", "id": "a", "token": "alice/two@2000"})).await;
    assert_eq!(alice.next_of("done").await["id"], "a");
    // Announced anew, which the first one would not have been.
    alice.next_of("expiring").await;
    alice.command(json!({"type": "auth", "token": format!("alice/three@{LATER}")})).await;
    alice.so_far().await;
    // The one that counts is the last one: the others can be revoked.
    for old in ["one", "two"] {
        assert_eq!(
            server.chat.disconnect(&user("alice"), Some(&CredentialId::new(old).unwrap())),
            0
        );
    }
    assert_eq!(
        server.chat.disconnect(&user("alice"), Some(&CredentialId::new("three").unwrap())),
        1
    );
    assert_eq!(alice.close_code().await, 4502);
}

#[tokio::test]
async fn a_renewal_that_does_not_hold_is_refused_and_the_old_one_goes_on() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    let mut alice = server.connect_by(&format!("alice/one@{LATER}")).await;
    tokens.revoked.lock().unwrap().insert("stolen".to_owned());
    for token in
        [&format!("bob/x@{LATER}"), "alice/x@0", "nonsense", "", &format!("alice/stolen@{LATER}")]
    {
        alice.command(json!({"type": "auth", "id": "a", "token": token})).await;
        let error = alice.next_of("error").await;
        assert_eq!(
            (&error["id"], &error["problem"]["code"]),
            (&json!("a"), &json!("unauthenticated")),
            "{token}"
        );
    }
    tokens.away.store(true, Ordering::SeqCst);
    alice.command(json!({"type": "auth", "id": "b", "token": format!("alice/two@{LATER}")})).await;
    assert_eq!(alice.next_of("error").await["problem"]["code"], "unavailable");
    alice
        .command(json!({"type": "send", "id": "s", "key": "k", "to": "bob", "text": "still alice"}))
        .await;
    alice.next_of("ack").await;
}

#[tokio::test]
async fn an_authenticator_that_is_away_is_no_refusal() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    tokens.away.store(true, Ordering::SeqCst);
    let token = format!("alice/one@{LATER}");
    let rest = server.ask(Ask::get("/conversations").bearer(&token)).await;
    assert_eq!((rest.status, rest.code()), (503, "unavailable".to_owned()));
    let upgrade = server.ask(Ask::get("/ws").upgrade().bearer(&token)).await;
    assert_eq!(upgrade.code(), "unavailable");
    tokens.away.store(false, Ordering::SeqCst);
    let mut raw =
        Raw::open(server.address, Ask::get("/ws").header("sec-websocket-protocol", "chat.v1"))
            .await;
    tokens.away.store(true, Ordering::SeqCst);
    raw.text(&json!({"type": "hello", "version": 1, "token": token}).to_string()).await;
    assert_eq!(raw.close_code().await, Some(4005));
}

#[tokio::test]
async fn an_expired_token_opens_nothing() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    server.connect_by("alice/one@5000").await;
    tokens.clock.0.store(5_000, Ordering::SeqCst);
    assert_eq!(server.ask(Ask::get("/conversations").bearer("alice/one@5000")).await.status, 401);
    assert!(Client::open(server.address, "/ws?token=alice/one@5000", true).await.is_err());
}

#[tokio::test]
async fn a_revocation_ends_the_connections_of_that_credential_and_no_others() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    let connect = |token: &str| {
        let token = format!("{token}@{LATER}");
        let server = &server;
        async move { server.connect_by(&token).await }
    };
    let (mut phone, mut again) = (connect("alice/phone").await, connect("alice/phone").await);
    let mut laptop = connect("alice/laptop").await;
    let mut bob = connect("bob/phone").await;
    assert_eq!(
        server.chat.disconnect(&user("alice"), Some(&CredentialId::new("phone").unwrap())),
        2
    );
    assert_eq!((phone.close_code().await, again.close_code().await), (4502, 4502));
    laptop.so_far().await;
    bob.so_far().await;
    drop((phone, again));
    server.until("they are gone", |health| health.connections == 2).await;
    assert_eq!(server.chat.disconnect(&user("alice"), None), 1);
    assert_eq!(laptop.close_code().await, 4502);
    bob.so_far().await;
}

#[tokio::test]
async fn a_revocation_reaches_a_connection_that_has_not_said_hello() {
    let tokens = Spelled::default();
    let server = Server::start(chat(&tokens, limits())).await;
    let ask = Ask::get("/ws")
        .bearer(&format!("alice/phone@{LATER}"))
        .header("sec-websocket-protocol", "chat.v1");
    let mut raw = Raw::open(server.address, ask).await;
    server.until("the socket is counted", |health| health.connections == 1).await;
    server.chat.disconnect(&user("alice"), None);
    assert_eq!(raw.close_code().await, Some(4502));
}

#[tokio::test]
async fn a_revocation_that_nobody_told_of_is_found_by_asking_again() {
    let tokens = Spelled::default();
    let limits = Limits { credential_check: Duration::from_millis(1), ..limits() };
    let server = Server::start(chat(&tokens, limits)).await;
    let mut alice = server.connect_by(&format!("alice/phone@{LATER}")).await;
    let mut laptop = server.connect_by(&format!("alice/laptop@{LATER}")).await;
    tokens.revoked.lock().unwrap().insert("phone".to_owned());
    assert_eq!(alice.close_code().await, 4502);
    laptop.so_far().await;
}

#[tokio::test]
async fn an_authenticator_that_hangs_keeps_no_door_half_open() {
    let tokens = Spelled::default();
    let limits =
        Limits { handshakes_max: 1, store_timeout: Duration::from_millis(100), ..limits() };
    let server = Server::start(chat(&tokens, limits)).await;
    let token = format!("alice/one@{LATER}");
    let mut alice = server.connect_by(&token).await;
    tokens.hangs.store(true, Ordering::SeqCst);
    for ask in [Ask::get("/conversations"), Ask::get("/ws").upgrade(), Ask::get("/ws").upgrade()] {
        let reply = server.ask(ask.bearer(&token)).await;
        assert_eq!((reply.status, reply.code()), (503, "unavailable".to_owned()));
    }
    alice.command(json!({"type": "auth", "id": "a", "token": token})).await;
    assert_eq!(alice.next_of("error").await["problem"]["code"], "unavailable");
    tokens.hangs.store(false, Ordering::SeqCst);
    server.connect_by(&token).await;
}
