//! The PostgreSQL store with real servers that crash, stand still, are copied and locked.

// Also outside of the test functions themselves this is a test.
#![allow(clippy::unwrap_used)]

use std::{
    num::NonZeroU16,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chat_sdk::{
    Body, ClientKey, ConversationId, Entrance, Epoch, Event, Kind, Marker, Message, Role, Seq,
    Store, Text, Timestamp, TlsRoots, UserId,
    store::{
        Append, Checkpoint, Mark, Open, PostgresOptions, PostgresStore, Reader, StoreError, Write,
        Written,
    },
};
use testbed::Postgres;
use tokio_postgres::{Client, NoTls};

/// One for all tests that leave the server as it is.
static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// A node gives its store five seconds.
const NODE_PATIENCE: Duration = Duration::from_secs(5);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A conversation by its number.
fn id(number: u64) -> ConversationId {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ConversationId::from_bytes(bytes)
}

fn open(conversation: ConversationId) -> Write {
    Write::Open(Open {
        conversation,
        kind: Kind::Group,
        title: None,
        by: Some(user("ann")),
        key: None,
        members: vec![user("ann"), user("bob")],
        entrance: Entrance::default(),
        at: Timestamp::from_millis(1_000),
    })
}

fn say(conversation: ConversationId, key: &str) -> Write {
    Write::Append(Append {
        conversation,
        by: Some(user("ann")),
        requires: Role::Member,
        key: Some(ClientKey::new(key).unwrap()),
        at: Timestamp::from_millis(2_000),
        body: Body::Message(Message::new(Text::new(key).unwrap())),
    })
}

fn read_all(conversation: ConversationId, upto: u64) -> Write {
    let marker = Marker { received: Seq::new(upto), read: Seq::new(upto) };
    Write::Mark(Mark { conversation, user: user("bob"), marker })
}

/// The only answer, which is an event: its number, and whether it is new.
fn number(answers: Vec<Written>) -> (u64, bool) {
    match &answers[..] {
        [Written::Event { event, fresh }] => (event.seq.get(), *fresh),
        other => panic!("not one event: {other:?}"),
    }
}

async fn connect(url: &str) -> PostgresStore {
    PostgresStore::connect(url).await.unwrap()
}

async fn log(store: &PostgresStore, conversation: ConversationId) -> Vec<Event> {
    let mut log: Vec<Event> = Vec::new();
    loop {
        let after = log.last().map_or(Seq::ZERO, |event| event.seq);
        let page = store
            .read(Reader::System, conversation, after, Seq::MAX, NonZeroU16::new(1000).unwrap())
            .await
            .unwrap()
            .unwrap();
        if page.is_empty() {
            let numbers: Vec<u64> = log.iter().map(|event| event.seq.get()).collect();
            assert_eq!(numbers, (1..=log.len() as u64).collect::<Vec<_>>(), "no gap");
            return log;
        }
        log.extend(page);
    }
}

async fn checkpoint(store: &PostgresStore) -> Checkpoint {
    store.heads(&[]).await.unwrap().checkpoint
}

/// Since where this conversation changed for bob.
async fn changed(
    store: &PostgresStore,
    since: &Checkpoint,
    conversation: ConversationId,
) -> Option<u64> {
    let memberships = store.memberships(&user("bob"), Some(since)).await.unwrap();
    let mut current = memberships.current.into_iter();
    let found = current.find(|one| one.conversation == conversation).unwrap();
    found.changed_since.map(Seq::get)
}

/// A client of the host's.
async fn host(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn database(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}

/// How many connections of this application the database has in such a state.
fn connections(server: &Postgres, database: &str, state: &str) -> u64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' \
         AND application_name = 'chat' AND state LIKE '{state}'"
    );
    server.sql("postgres", &sql).trim().parse().unwrap()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn unavailable<T: std::fmt::Debug>(outcome: &Result<T, StoreError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(StoreError::Unavailable(_)) => true,
        Err(other) => panic!("not merely unavailable: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_make_the_tables_once() {
    let url = SERVER.new_database();
    let starting: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let options = PostgresOptions {
                    schema: "our \"chat\"".to_owned(),
                    write_connections: NonZeroU16::MIN,
                    read_connections: NonZeroU16::MIN,
                    // Many at once on a busy machine.
                    connect_timeout: Duration::from_secs(30),
                    ..PostgresOptions::default()
                };
                PostgresStore::connect_with(&url, options).await.unwrap()
            })
        })
        .collect();
    let mut epochs: Vec<Epoch> = Vec::new();
    for node in starting {
        let node = node.await.unwrap();
        node.write(vec![open(id(1))]).await.unwrap();
        epochs.push(node.epoch().await.unwrap());
        node.close().await;
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "one life");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused_unless_it_says_that_it_is_compatible() {
    let url = SERVER.new_database();
    connect(&url).await.close().await;
    let set = |version: u32, compatible_from: u32| {
        let sql = format!(
            "UPDATE chat_schema SET version = {version}, compatible_from = {compatible_from}"
        );
        SERVER.sql(database(&url), &sql);
    };
    set(900, 901);
    let error = PostgresStore::connect(&url).await.unwrap_err().to_string();
    for part in ["version 900", "version 901 or newer", "newer program"] {
        assert!(error.contains(part), "{error}");
    }
    set(900, 1);
    let store = connect(&url).await;
    store.write(vec![open(id(1))]).await.unwrap();
    assert_eq!(SERVER.sql(database(&url), "SELECT version FROM chat_schema").trim(), "900");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_the_right_to_make_tables_can_use_them() {
    let url = SERVER.new_database();
    SERVER.sql("postgres", "CREATE ROLE plain LOGIN");
    let plain = url.replace("postgres@", "plain@");
    let error = PostgresStore::connect(&plain).await.unwrap_err().to_string();
    assert!(error.contains("right to CREATE"), "{error}");

    let owner = connect(&url).await;
    SERVER.sql(
        database(&url),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain",
    );
    let store = connect(&plain).await;
    store.write(vec![open(id(1)), say(id(1), "k")]).await.unwrap();
    assert_eq!(store.epoch().await.unwrap(), owner.epoch().await.unwrap());
    assert_ne!(store.new_epoch().await.unwrap(), Epoch::new("x").unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_hold_all_text_is_refused() {
    SERVER.sql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    let error = PostgresStore::connect(&SERVER.url("latin")).await.unwrap_err().to_string();
    assert!(error.contains("UTF8"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_database_is_another_life_and_goes_on() {
    let url = SERVER.new_database();
    let store = connect(&url).await;
    store.write(vec![open(id(1)), open(id(2)), say(id(1), "kept")]).await.unwrap();
    let (epoch, before) = (store.epoch().await.unwrap(), checkpoint(&store).await);
    store.close().await;
    SERVER.sql("postgres", &format!("CREATE DATABASE copy TEMPLATE {}", database(&url)));
    // As if it came from a cluster that had counted further.
    SERVER.sql(
        "copy",
        "UPDATE chat_conversations SET changed = changed + 1000000;
         UPDATE chat_members SET since = since + 1000000;
         UPDATE chat_events SET stamp = stamp + 1000000",
    );

    let copy = connect(&SERVER.url("copy")).await;
    assert_ne!(copy.epoch().await.unwrap(), epoch);
    assert_eq!(changed(&copy, &before, id(1)).await, None, "of another life, so none");
    assert_eq!(number(copy.write(vec![say(id(1), "kept")]).await.unwrap()), (2, false));
    // What is stamped in the life before is older than every checkpoint of this one.
    let now = checkpoint(&copy).await;
    copy.write(vec![say(id(1), "new")]).await.unwrap();
    assert!(changed(&copy, &now, id(1)).await.is_some());
    assert_eq!(changed(&copy, &now, id(2)).await, None);
    assert_eq!(connect(&url).await.epoch().await.unwrap(), epoch, "the original lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_run_notice_that_the_data_came_from_elsewhere() {
    let url = SERVER.new_database();
    let (one, two) = (connect(&url).await, connect(&url).await);
    let before = one.epoch().await.unwrap();
    // As after a restore of another cluster's data under running nodes.
    SERVER.sql(database(&url), "UPDATE chat_life SET origin = 'elsewhere'");
    let (first, second) = tokio::join!(one.epoch(), two.epoch());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first, before);
    assert_eq!(first, second, "one of them begins the new life");
    assert_eq!(one.epoch().await.unwrap(), first, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_commits_after_a_checkpoint_is_told() {
    let url = SERVER.new_database();
    let store = connect(&url).await;
    store.write(vec![open(id(1)), open(id(2))]).await.unwrap();
    let mut host = host(&url).await;

    // Its transaction is older than the one that commits meanwhile.
    let slow = host.transaction().await.unwrap();
    store.write_in(&slow, vec![say(id(1), "slow")]).await.unwrap();
    store.write(vec![say(id(2), "fast")]).await.unwrap();
    let between = checkpoint(&store).await;
    assert_eq!(changed(&store, &between, id(1)).await, None);
    slow.commit().await.unwrap();
    assert_eq!(changed(&store, &between, id(1)).await, Some(1));

    // The same for a marker, and for who came in.
    let slow = host.transaction().await.unwrap();
    store.write_in(&slow, vec![read_all(id(1), 2), open(id(3))]).await.unwrap();
    store.write(vec![say(id(2), "fast again")]).await.unwrap();
    let between = checkpoint(&store).await;
    slow.commit().await.unwrap();
    assert!(changed(&store, &between, id(1)).await.is_some());
    assert_eq!(changed(&store, &between, id(3)).await, Some(0));

    // And for who left.
    let left = Write::Append(Append {
        conversation: id(3),
        by: Some(user("bob")),
        requires: Role::Member,
        key: None,
        at: Timestamp::from_millis(3_000),
        body: Body::Left,
    });
    let slow = host.transaction().await.unwrap();
    store.write_in(&slow, vec![left]).await.unwrap();
    store.write(vec![say(id(2), "fast once more")]).await.unwrap();
    let between = checkpoint(&store).await;
    slow.commit().await.unwrap();
    let memberships = store.memberships(&user("bob"), Some(&between)).await.unwrap();
    assert_eq!(memberships.left, [id(3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_life_waits_for_what_is_being_written_in_the_old_one() {
    let url = SERVER.new_database();
    let store = connect(&url).await;
    store.write(vec![open(id(1))]).await.unwrap();
    let mut host = host(&url).await;
    let slow = host.transaction().await.unwrap();
    store.write_in(&slow, vec![say(id(1), "old life")]).await.unwrap();
    assert!(unavailable(&store.new_epoch().await), "its stamp would be missed");
    slow.commit().await.unwrap();
    let before = store.epoch().await.unwrap();
    let new = store.new_epoch().await.unwrap();
    assert_ne!(new, before);
    assert_eq!(store.epoch().await.unwrap(), new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_after_a_crash_is_told_though_its_number_was_given_before() {
    // Nothing reaches the disk that nobody waits for.
    let settings = ["wal_writer_delay = 10s", "wal_writer_flush_after = 0", "autovacuum = off"];
    let server = Postgres::start_with(&testbed::PostgresOptions {
        fsync: true,
        settings: settings.map(str::to_owned).into(),
    });
    let url = server.url("postgres");
    let store = connect(&url).await;
    store.write(vec![open(id(1))]).await.unwrap();
    let mut host = host(&url).await;
    let mut given: i64 = 0;
    for _ in 0..50 {
        let transaction = host.transaction().await.unwrap();
        let row = transaction.query_one("SELECT pg_current_xact_id()::text::bigint", &[]);
        given = row.await.unwrap().get(0);
        transaction.rollback().await.unwrap();
    }
    let before = checkpoint(&store).await;
    server.crash();
    server.start_again();
    eventually("the store writes again", async || {
        !unavailable(&store.write(vec![say(id(1), "after the crash")]).await)
    })
    .await;
    let next: i64 = server
        .sql("postgres", "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        .trim()
        .parse()
        .unwrap();
    assert!(next <= given, "numbers are given again: {next}, {given}");
    assert_eq!(changed(&store, &before, id(1)).await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_the_same_conversations_leave_no_gap_and_do_not_block_each_other() {
    let url = SERVER.new_database();
    let nodes = [connect(&url).await, connect(&url).await];
    nodes[0].write((0..4).map(|n| open(id(n))).collect()).await.unwrap();
    let mut tasks = Vec::new();
    for writer in 0..6_u64 {
        let store = nodes[writer as usize % 2].clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..25_u64 {
                // All of them, in another order each time, and new ones between.
                let mut batch: Vec<_> = (0..4)
                    .map(|n| say(id((n + writer + round) % 4), &format!("{writer}-{round}-{n}")))
                    .collect();
                batch.insert(1, open(id(100 + round)));
                batch.push(read_all(id(writer % 4), round));
                if writer % 2 == 0 {
                    batch.reverse();
                }
                store.write(batch).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for n in 0..4 {
        assert_eq!(log(&nodes[0], id(n)).await.len(), 1 + 6 * 25);
    }
    for n in 100..125 {
        assert_eq!(log(&nodes[1], id(n)).await.len(), 1);
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(SERVER.sql(database(&url), deadlocks).trim(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_nothing_that_was_acknowledged_and_the_store_goes_on() {
    let server = Arc::new(Postgres::start_with(&testbed::PostgresOptions {
        fsync: true,
        settings: Vec::new(),
    }));
    let store = connect(&server.url("postgres")).await;
    store.write((0..4).map(|n| open(id(n))).collect()).await.unwrap();
    let (stop, errors) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let (store, stop, errors) = (store.clone(), Arc::clone(&stop), Arc::clone(&errors));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    let key = format!("{writer}-{n}");
                    // Until it is acknowledged, always with the same key.
                    loop {
                        let outcome = store.write(vec![say(id(writer), &key)]).await;
                        if !unavailable(&outcome) {
                            acknowledged.push((key, number(outcome.unwrap()).0));
                            break;
                        }
                        errors.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || {
            server.crash();
            server.start_again();
        })
        .await
        .unwrap();
        eventually("the store writes again", async || {
            !unavailable(&store.write(vec![open(id(77))]).await)
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(errors.load(Ordering::Relaxed) > 0, "the crashes were felt");
    for (writer, task) in writers.into_iter().enumerate() {
        let acknowledged = task.await.unwrap();
        let log = log(&store, id(writer as u64)).await;
        assert_eq!(log.len(), acknowledged.len() + 1, "each key once");
        for (key, seq) in acknowledged {
            let event = &log[usize::try_from(seq).unwrap() - 1];
            assert_eq!(event.key, ClientKey::new(&key).ok());
            assert_eq!(
                number(store.write(vec![say(id(writer as u64), &key)]).await.unwrap()),
                (seq, false)
            );
        }
    }
}

fn end_all(url: &str) {
    let sql = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
        database(url)
    );
    SERVER.sql("postgres", &sql);
}

/// On one thread, which is busy until they have ended: so nobody looks at the sockets before they
/// are used, and the first statement finds the connection dead.
#[tokio::test]
async fn nobody_notices_that_the_server_ended_idle_connections() {
    let url = SERVER.new_database();
    let store = connect(&url).await;
    store.write(vec![open(id(1))]).await.unwrap();
    for n in 0..5 {
        end_all(&url);
        let written = store.write(vec![say(id(1), &format!("idle {n}"))]).await.unwrap();
        assert_eq!(number(written), (n + 2, true));
        end_all(&url);
        assert_eq!(log(&store, id(1)).await.len() as u64, n + 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ended_are_replaced() {
    let url = SERVER.new_database();
    let store = connect(&url).await;
    store.write(vec![open(id(1))]).await.unwrap();
    // What fails is unavailable, and it is over at once.
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut errors = 0;
                for n in 0..150 {
                    let key = format!("{writer}-{n}");
                    while unavailable(&store.write(vec![say(id(1), &key)]).await) {
                        errors += 1;
                    }
                }
                errors
            })
        })
        .collect();
    end_all(&url);
    let mut errors = 0;
    for writer in writers {
        errors += writer.await.unwrap();
    }
    assert!(errors <= 4, "one for each that was in the middle of a commit, not {errors}");
    assert_eq!(log(&store, id(1)).await.len(), 1 + 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_lasts_makes_it_fail_fast_and_it_recovers() {
    let url = SERVER.new_database();
    let store = connect(&url).await;
    store.write(vec![open(id(1))]).await.unwrap();
    let mut host = host(&url).await;
    let lock = host.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE chat_conversations").await.unwrap();
    let begun = Instant::now();
    let attempts: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                if n % 2 == 0 {
                    store.write(vec![say(id(1), &format!("{n}"))]).await.map(|_| ())
                } else {
                    store.conversation(&user("bob"), id(1)).await.map(|_| ())
                }
            })
        })
        .collect();
    for attempt in attempts {
        assert!(unavailable(&attempt.await.unwrap()));
    }
    assert!(begun.elapsed() < NODE_PATIENCE, "{:?}", begun.elapsed());
    // What needs no lock goes on.
    store.epoch().await.unwrap();
    lock.rollback().await.unwrap();
    assert_eq!(number(store.write(vec![say(id(1), "0")]).await.unwrap()), (2, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_go_away_leave_no_transaction_open_and_connections_are_as_many_as_agreed() {
    let url = SERVER.new_database();
    let options = PostgresOptions {
        write_connections: NonZeroU16::new(2).unwrap(),
        read_connections: NonZeroU16::new(3).unwrap(),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect_with(&url, options).await.unwrap();
    store.write(vec![open(id(1))]).await.unwrap();
    let mut most = 0;
    for round in 0..20_u64 {
        let callers: Vec<_> = (0..40_u64)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let wait = Duration::from_micros(n * 150);
                    let key = format!("{round}-{n}");
                    if n % 2 == 0 {
                        let write = store.write(vec![say(id(1), &key)]);
                        drop(tokio::time::timeout(wait, write).await);
                    } else {
                        let bob = user("bob");
                        let read = store.conversation(&bob, id(1));
                        drop(tokio::time::timeout(wait, read).await);
                    }
                })
            })
            .collect();
        most = most.max(connections(&SERVER, database(&url), "%"));
        for caller in callers {
            caller.await.unwrap();
        }
    }
    assert!((2..=5).contains(&most), "{most} connections");
    eventually("everything is done", async || connections(&SERVER, database(&url), "active") == 0)
        .await;
    assert_eq!(connections(&SERVER, database(&url), "idle in transaction%"), 0);
    // Nor was one thrown away because somebody left in the middle: that of the start, and the five.
    let sessions = "SELECT sessions FROM pg_stat_database WHERE datname = ";
    let sessions = SERVER.sql("postgres", &format!("{sessions}'{}'", database(&url)));
    assert!((3..=6).contains(&sessions.trim().parse::<u64>().unwrap()), "{sessions}");
    store.write(vec![say(id(1), "last")]).await.unwrap();
    log(&store, id(1)).await;
    store.close().await;
    eventually("all are closed", async || connections(&SERVER, database(&url), "%") == 0).await;
    assert!(unavailable(&store.write(vec![say(id(1), "too late")]).await));
    assert!(unavailable(&store.epoch().await));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up_in_time() {
    let server = Postgres::start();
    let store = connect(&server.url("postgres")).await;
    store.write(vec![open(id(1))]).await.unwrap();
    server.pause();
    let bob = user("bob");
    for _ in 0..2 {
        let begun = Instant::now();
        let (write, read, epoch) = tokio::join!(
            store.write(vec![say(id(1), "k")]),
            store.conversation(&bob, id(1)),
            store.epoch(),
        );
        assert!(unavailable(&write) && unavailable(&read) && unavailable(&epoch));
        assert!(begun.elapsed() < NODE_PATIENCE, "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    let error = PostgresStore::connect(&server.url("postgres")).await.unwrap_err();
    assert!(begun.elapsed() < NODE_PATIENCE, "{error}");
    server.resume();
    eventually("the store writes again", async || {
        !unavailable(&store.write(vec![say(id(1), "k")]).await)
    })
    .await;
    assert_eq!(log(&store, id(1)).await.len(), 2, "the key once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_the_hosts_and_a_message_are_committed_together_or_not_at_all() {
    let url = SERVER.new_database();
    let options = PostgresOptions { schema: "chat".to_owned(), ..PostgresOptions::default() };
    let store = PostgresStore::connect_with(&url, options).await.unwrap();
    store.write(vec![open(id(1))]).await.unwrap();
    SERVER.sql(database(&url), "CREATE TABLE orders (name text)");
    let mut host = host(&url).await;
    let orders = async |host: &Client| -> i64 {
        host.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
    };

    let transaction = host.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES ('gone')", &[]).await.unwrap();
    let batch = vec![say(id(1), "gone"), open(id(2)), say(id(2), "gone")];
    assert_eq!(store.write_in(&transaction, batch).await.unwrap().len(), 3);
    transaction.rollback().await.unwrap();
    assert_eq!((orders(&host).await, log(&store, id(1)).await.len()), (0, 1));
    assert_eq!(store.heads(&[id(2)]).await.unwrap().heads, []);

    let transaction = host.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES ('kept')", &[]).await.unwrap();
    let written = store.write_in(&transaction, vec![say(id(1), "kept")]).await.unwrap();
    assert_eq!(number(written), (2, true), "no number was burnt");
    assert_eq!(log(&store, id(1)).await.len(), 1, "nobody sees it yet");
    transaction.commit().await.unwrap();
    assert_eq!((orders(&host).await, log(&store, id(1)).await.len()), (1, 2));
    assert_eq!(number(store.write(vec![say(id(1), "kept")]).await.unwrap()), (2, false));
}

/// An authority, and files with a certificate of its for `localhost`.
struct Authority {
    pem: String,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap().pem();
        Self { pem, certificate, key: key.serialize_pem() }
    }
}

/// PostgreSQL wants its key to be its own and private.
fn private_file(path: &Path, like: &Path, content: &str) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let owner = std::fs::metadata(like).unwrap();
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_the_authority_and_the_name_are_checked() {
    let (own, other) = (Authority::new(), Authority::new());
    let server = Postgres::start();
    let data = server.data();
    private_file(&data.join("server.crt"), &data.join("PG_VERSION"), &own.certificate);
    private_file(&data.join("server.key"), &data.join("PG_VERSION"), &own.key);
    let config = data.join("postgresql.conf");
    let text = std::fs::read_to_string(&config).unwrap() + "ssl = on\n";
    std::fs::write(&config, text).unwrap();
    server.sql("postgres", "CREATE ROLE secured LOGIN SUPERUSER PASSWORD 'hunter2'");
    // Without TLS nobody gets in.
    std::fs::write(data.join("pg_hba.conf"), "hostssl all all all scram-sha-256\n").unwrap();
    server.crash();
    server.start_again();

    let url = |host: &str, options: &str| {
        format!(
            "postgres://secured:hunter2@{host}:{}/postgres?hostaddr=127.0.0.1{options}",
            server.port()
        )
    };
    let attempt = async |host: &str, options: &str, roots: Option<&Authority>| {
        let roots = roots.map(|authority| TlsRoots::Pem(authority.pem.clone().into_bytes()));
        let with = PostgresOptions { roots, ..PostgresOptions::default() };
        let store = PostgresStore::connect_with(&url(host, options), with).await;
        let store = store.map_err(|error| format!("{error} {error:?}"))?;
        assert!(!format!("{store:?}").contains("hunter2"));
        let epoch = store.epoch().await.map_err(|error| format!("{error:?}"));
        store.close().await;
        epoch.map(|_| ())
    };
    let file = data.join("own.pem");
    std::fs::write(&file, &own.pem).unwrap();
    let in_url = format!("&sslmode=verify-full&sslrootcert={}", file.display());
    // With the log-in bound to the certificate.
    attempt("localhost", "&channel_binding=require", Some(&own)).await.unwrap();
    attempt("localhost", "&sslmode=require", Some(&own)).await.unwrap();
    attempt("localhost", &in_url, None).await.unwrap();
    // Opportunistic: encrypted, and that is all.
    attempt("elsewhere.example", "", None).await.unwrap();

    for (what, refused) in [
        ("another authority", attempt("localhost", "", Some(&other)).await),
        ("another name", attempt("elsewhere.example", "", Some(&own)).await),
        (
            "an authority that the machine does not know",
            attempt("localhost", "&sslmode=require", None).await,
        ),
        ("no TLS", attempt("localhost", "&sslmode=disable", None).await),
        ("another password", attempt("localhost", "&password=hunter23", Some(&own)).await),
    ] {
        let error = refused.expect_err(what);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// Not a test but a measurement: `cargo test --test postgres -- --ignored --nocapture commits`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and takes half a minute"]
async fn commits_per_second() {
    let server = Postgres::start_with(&testbed::PostgresOptions { fsync: true, settings: vec![] });
    for (lanes, conversations, batch) in [
        (1_u64, 1_u64, 1_u64),
        (1, 1, 16),
        (1, 1, 256),
        (4, 1, 1),
        (4, 256, 1),
        (4, 256, 16),
        (4, 256, 256),
    ] {
        let store = connect(&server.new_database()).await;
        store.write((0..conversations).map(|n| open(id(n))).collect()).await.unwrap();
        let begun = Instant::now();
        let writers: Vec<_> = (0..lanes)
            .map(|lane| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut commits = 0_u64;
                    while begun.elapsed() < Duration::from_secs(4) {
                        let write = |n| {
                            // Each lane has its own share, where there are enough.
                            let place = (n * lanes + lane + commits * 16) % conversations;
                            say(id(place), &format!("{lane}-{commits}-{n}"))
                        };
                        store.write((0..batch).map(write).collect()).await.unwrap();
                        commits += 1;
                    }
                    commits
                })
            })
            .collect();
        let mut commits = 0;
        for writer in writers {
            commits += writer.await.unwrap();
        }
        let rate = commits as f64 / begun.elapsed().as_secs_f64();
        println!(
            "{lanes} lanes, {conversations} conversations, {batch} a batch: {rate:.0} commits/s, \
             {:.0} events/s",
            rate * batch as f64
        );
        store.close().await;
    }
}
