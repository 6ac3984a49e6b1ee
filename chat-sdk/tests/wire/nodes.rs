//! Several nodes, one chat: what crosses the bus beside the log, and what happens without it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chat_sdk::{
    AuthError, Authenticator, Bus, Chat, ChatBuilder, Credentials, Identity, Limits, LocalBus,
    MemoryStore, To,
    bus::{Budget, BusError, Heard, Topic},
};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, TokenIsUser, user};

/// Quick to notice what is usually noticed in many seconds.
fn hasty() -> Limits {
    Limits {
        position_check: Duration::from_millis(100),
        membership_check: Duration::from_millis(100),
        credential_check: Duration::from_millis(100),
        presence_grace: Duration::from_millis(50),
        node_lease: Duration::from_millis(600),
        ..Limits::default()
    }
}

fn builder(store: &MemoryStore, bus: impl Bus) -> ChatBuilder {
    Chat::builder(TokenIsUser).store(store.clone()).bus(bus).limits(hasty())
}

async fn two() -> [Server; 2] {
    let (store, bus) = (MemoryStore::new(), LocalBus::new());
    let second = bus.join(1);
    [Server::start(builder(&store, bus)).await, Server::start(builder(&store, second)).await]
}

/// The next frame that says so of this user's presence.
async fn until_presence(client: &mut crate::support::Client, of: &str, online: bool) {
    loop {
        let presence = client.next_of("presence").await;
        if presence["user"] == of && presence["online"] == online {
            return;
        }
    }
}

#[tokio::test]
async fn a_user_on_another_node_is_online_and_goes_offline() {
    let [here, there] = two().await;
    let mut alice = here.connect("alice").await;
    // Watched before they come, and after.
    alice.command(json!({"type": "watch", "id": "1", "users": ["bob"]})).await;
    assert_eq!(alice.next_of("presence").await["online"], false);
    let bob = there.connect("bob").await;
    until_presence(&mut alice, "bob", true).await;
    let mut carol = here.connect("carol").await;
    carol.command(json!({"type": "watch", "id": "1", "users": ["bob"]})).await;
    assert_eq!(carol.next_of("presence").await["online"], true, "known here already");
    let _dave = there.connect("dave").await;
    carol.command(json!({"type": "watch", "id": "2", "users": ["bob", "dave"]})).await;
    until_presence(&mut carol, "dave", true).await;
    drop(bob);
    until_presence(&mut alice, "bob", false).await;
    until_presence(&mut carol, "bob", false).await;
}

#[tokio::test]
async fn a_user_who_moves_to_another_node_is_online_all_the_time() {
    let [here, there] = two().await;
    let mut alice = here.connect("alice").await;
    let bob = there.connect("bob").await;
    alice.command(json!({"type": "watch", "id": "1", "users": ["bob"]})).await;
    until_presence(&mut alice, "bob", true).await;
    let moved = here.connect("bob").await;
    drop(bob);
    // They leave the other node after the grace time; here nothing changes by it.
    there.until("bob has left", |health| health.connections == 0).await;
    tokio::time::sleep(hasty().presence_grace * 3 + Duration::from_millis(1_200)).await;
    let said = alice.so_far().await;
    assert!(said.iter().all(|frame| frame["type"] != "presence"), "{said:?}");
    drop(moved);
    until_presence(&mut alice, "bob", false).await;
}

#[test]
fn the_users_of_a_node_that_dies_go_offline() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (alive, dies) = (runtime(), runtime());
    let (store, bus) = (MemoryStore::new(), LocalBus::new());
    let second = bus.join(1);
    let there = dies.block_on(Server::start(builder(&store, second)));
    let (mut alice, bob) = alive.block_on(async {
        let here = Server::start(builder(&store, bus)).await;
        let mut alice = here.connect("alice").await;
        alice.command(json!({"type": "watch", "id": "1", "users": ["bob"]})).await;
        let bob = there.connect("bob").await;
        until_presence(&mut alice, "bob", true).await;
        (alice, bob)
    });
    // All its tasks end where they are, as those of a process that is killed.
    dies.shutdown_background();
    alive.block_on(until_presence(&mut alice, "bob", false));
    drop(bob);
}

#[tokio::test]
async fn the_users_of_a_node_that_leaves_are_not_waited_for() {
    let (store, bus) = (MemoryStore::new(), LocalBus::new());
    let second = bus.join(1);
    // A lease that nobody lives to see the end of.
    let patient = Limits { node_lease: Duration::from_secs(3_600), ..hasty() };
    let here = Server::start(builder(&store, bus).limits(patient.clone())).await;
    let there = Server::start(builder(&store, second).limits(patient)).await;
    let mut alice = here.connect("alice").await;
    alice.command(json!({"type": "watch", "id": "1", "users": ["bob"]})).await;
    let bob = there.connect("bob").await;
    until_presence(&mut alice, "bob", true).await;
    there.chat.shutdown(Duration::ZERO).await;
    until_presence(&mut alice, "bob", false).await;
    drop(bob);
}

/// Tokens hold until the switch is thrown.
#[derive(Clone, Default)]
struct Revocable(Arc<AtomicBool>);

impl Authenticator for Revocable {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        TokenIsUser.authenticate(credentials).await
    }

    async fn still_valid(&self, _: &Identity) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_revocation_ends_the_connections_on_every_node() {
    let [here, there] = two().await;
    let mut clients = [here.connect("alice").await, there.connect("alice").await];
    let mut bob = there.connect("bob").await;
    assert_eq!(here.chat.disconnect(&user("alice"), None), 1, "one of them is here");
    for client in &mut clients {
        assert_eq!(client.close_code().await, 4502);
    }
    bob.so_far().await;
}

#[tokio::test]
async fn a_revocation_that_the_bus_lost_is_noticed_later() {
    let (store, revoked) = (MemoryStore::new(), Revocable::default());
    let limits = Limits { credential_check: Duration::from_secs(3_600), ..hasty() };
    let bus = Broken::default();
    let lost = bus.lost.clone();
    let builder = Chat::builder(revoked.clone()).store(store).bus(bus).limits(limits);
    let server = Server::start(builder).await;
    let mut alice = server.connect("alice").await;
    revoked.0.store(true, Ordering::Relaxed);
    alice.so_far().await;
    lost.notify_one();
    assert_eq!(alice.close_code().await, 4502);
}

/// Nothing goes through, and it says so when it is told to.
#[derive(Clone, Default)]
struct Broken {
    lost: Arc<tokio::sync::Notify>,
    /// How many calls are refused from now on.
    deaf: Arc<AtomicU32>,
    followed: Arc<std::sync::Mutex<Vec<Topic>>>,
    /// What is granted of the next request for a budget, once each.
    grants: Arc<std::sync::Mutex<Vec<u32>>>,
    asked: Arc<std::sync::Mutex<Vec<u32>>>,
}

impl Bus for Broken {
    async fn publish(&self, _: Vec<(Topic, Bytes)>) -> Result<(), BusError> {
        Err(BusError("broken".into()))
    }

    async fn follow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        let deaf =
            self.deaf.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if deaf.is_ok() {
            return Err(BusError("deaf".into()));
        }
        self.followed.lock().unwrap().extend(topics);
        Ok(())
    }

    async fn unfollow(&self, _: Vec<Topic>) -> Result<(), BusError> {
        Ok(())
    }

    async fn take(&self, _: Budget, wanted: u32) -> Result<u32, BusError> {
        self.asked.lock().unwrap().push(wanted);
        self.grants.lock().unwrap().pop().ok_or_else(|| BusError("nobody counts".into()))
    }

    async fn check(&self) -> Result<(), BusError> {
        Err(BusError("broken".into()))
    }

    async fn next(&self) -> Heard {
        self.lost.notified().await;
        Heard::Lost
    }
}

#[tokio::test]
async fn without_a_bus_all_goes_on_and_arrives_late() {
    let store = MemoryStore::new();
    let here = Server::start(builder(&store, Broken::default())).await;
    let there = Server::start(builder(&store, Broken::default())).await;
    let health = here.chat.check().await;
    assert_eq!((health.store, health.bus.is_err()), (Ok(()), true));
    let mut alice = here.connect("alice").await;
    let mut bob = there.connect("bob").await;
    for n in 1..=3 {
        let text = n.to_string();
        alice.command(json!({"type": "send", "key": text, "to": "bob", "text": text})).await;
        alice.next_of("ack").await;
    }
    let mut seqs = Vec::new();
    while seqs.len() < 4 {
        seqs.push(bob.next_of("event").await["seq"].as_u64().unwrap());
    }
    assert_eq!(seqs, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_bus_that_could_not_be_told_of_topics_is_told_again() {
    let bus = Broken::default();
    bus.deaf.store(2, Ordering::Relaxed);
    let followed = bus.followed.clone();
    let server = Server::start(builder(&MemoryStore::new(), bus)).await;
    let _alice = server.connect("alice").await;
    let told = async {
        while !followed.lock().unwrap().contains(&Topic::User(user("alice"))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("told at last");
}

#[tokio::test]
async fn clients_are_told_to_move_no_faster_than_the_shared_budget_allows() {
    let bus = Broken::default();
    // Taken from the end: nothing at first, then one, then nothing, and then nobody counts.
    *bus.grants.lock().unwrap() = vec![0, 1, 0];
    let asked = bus.asked.clone();
    let server = Server::start(builder(&MemoryStore::new(), bus)).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.connect("alice").await);
    }
    let chat = server.chat.clone();
    let leaving = tokio::spawn(async move { chat.shutdown(PATIENCE).await });
    for client in &mut clients {
        client.next_of("drain").await;
    }
    assert_eq!(*asked.lock().unwrap(), [3, 3, 2, 2]);
    drop(clients);
    assert_eq!(leaving.await.unwrap().moved, 3);
}

#[tokio::test]
async fn a_restored_store_is_noticed_and_everybody_starts_anew() {
    let store = MemoryStore::new();
    let server = Server::start(builder(&store, LocalBus::new())).await;
    let mut alice = server.connect("alice").await;
    let say = |n: u32| json!({"type": "send", "key": n.to_string(), "to": "bob", "text": "hi"});
    alice.command(say(1)).await;
    alice.next_of("ack").await;
    let backup = store.backup();
    alice.command(say(2)).await;
    let ack = alice.next_of("ack").await;
    let epoch = alice.welcome["epoch"].clone();
    let resume = json!({
        "epoch": epoch, "positions": {ack["conversation"].as_str().unwrap(): ack["seq"]},
    });
    store.restore(&backup, chat_sdk::Epoch::new("restored").unwrap());
    assert_eq!(alice.close_code().await, 1012);

    // The old position is one of another life.
    let (mut alice, before) = server.resume("alice", resume).await;
    assert_eq!(before[0]["epoch"], "restored");
    assert_eq!(before[0]["resumed"], false);
    assert!(before.iter().all(|frame| frame["type"] != "reset"), "{before:?}");
    // The numbers of the new life are live, although the old one was further.
    let mut bob = server.connect("bob").await;
    alice.command(say(3)).await;
    assert_eq!(alice.next_of("ack").await["seq"], 3);
    assert_eq!(bob.next_of("event").await["key"], "3");
}

#[tokio::test]
async fn a_send_goes_through_on_the_node_of_ones_choice_and_keeps_its_first_answer() {
    let [here, there] = two().await;
    let mut on_a = here.connect("alice").await;
    let mut on_b = there.connect("alice").await;
    let mut bob = there.connect("bob").await;
    let send = json!({"type": "send", "key": "k", "to": "bob", "text": "hi"});
    on_a.command(send.clone()).await;
    let first = on_a.next_of("ack").await;
    on_b.command(send).await;
    let second = on_b.next_of("ack").await;
    assert_eq!((&first["seq"], &first["at"]), (&second["seq"], &second["at"]));
    assert_eq!(
        (&first["duplicate"], &second["duplicate"]),
        (&Value::from(false), &Value::from(true))
    );
    here.say("alice", To::User(user("bob")), "last").await;
    let mut events = Vec::new();
    while events.len() < 3 {
        events.push(bob.next_of("event").await["seq"].as_u64().unwrap());
    }
    assert_eq!(events, [1, 2, 3]);
}

/// Whoever comes is asked to wait at the door until it is opened.
#[derive(Clone)]
struct Slow {
    waiting: Arc<AtomicU32>,
    open: Arc<tokio::sync::Semaphore>,
}

impl Authenticator for Slow {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let identity = TokenIsUser.authenticate(credentials).await?;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _ = self.open.acquire().await;
        Ok(identity)
    }
}

#[tokio::test]
async fn whoever_is_revoked_on_their_way_in_does_not_come_in() {
    let slow = Slow { waiting: Arc::default(), open: Arc::new(tokio::sync::Semaphore::new(0)) };
    let server = Server::start(Chat::builder(slow.clone())).await;
    let address = server.address;
    // By the upgrade, and by the first frame.
    let by_upgrade = tokio::spawn(async move {
        let path = "/ws?token=token-alice";
        let mut client = crate::support::Client::open(address, path, true).await.unwrap();
        client.command(json!({"type": "hello", "version": 1})).await;
        client.close_code().await
    });
    let by_hello = tokio::spawn(async move {
        let mut client = crate::support::Client::open(address, "/ws", true).await.unwrap();
        client.command(json!({"type": "hello", "version": 1, "token": "token-alice"})).await;
        client.close_code().await
    });
    let both = async {
        while slow.waiting.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("both are at the door");
    assert_eq!(server.chat.disconnect(&user("alice"), None), 0, "nobody is in");
    slow.open.close();
    assert_eq!(by_upgrade.await.unwrap(), 4502);
    assert_eq!(by_hello.await.unwrap(), 4502);
    // Whoever asks after it is let in.
    server.connect("alice").await;
}
