//! What is SQLite's own business: files, threads, locks. The contract is held by the suite of
//! `conformance`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{Durability, SqliteOptions, SqliteStore, connect, schema};
use crate::{
    model::{
        Body, ClientKey, ConversationId, Entrance, Kind, Marker, Message, Role, Seq, Text,
        Timestamp, UserId,
    },
    store::{Append, Open, Reader, Store, StoreError, Write, Written},
};

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("chat-sqlite-{}-{n}", std::process::id())))
    }

    fn file(&self) -> PathBuf {
        self.0.join("deep").join("chat.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn fixed() -> ConversationId {
    "0197a3f2-52a0-7c4e-9a51-3e3a1b2c4d5e".parse().unwrap()
}

fn open(id: ConversationId) -> Write {
    Write::Open(Open {
        conversation: id,
        kind: Kind::Group,
        title: None,
        by: Some(user("ann")),
        key: None,
        members: vec![user("ann")],
        entrance: Entrance::default(),
        at: Timestamp::from_millis(1),
    })
}

fn say(id: ConversationId, key: &str) -> Write {
    Write::Append(Append {
        conversation: id,
        by: Some(user("ann")),
        requires: Role::Member,
        key: Some(ClientKey::new(key).unwrap()),
        at: Timestamp::from_millis(2),
        body: Body::Message(Message::new(Text::new("hi").unwrap())),
    })
}

fn is_fresh(written: &[Written]) -> bool {
    matches!(written, [Written::Event { fresh: true, .. }])
}

async fn head(store: &SqliteStore, id: ConversationId) -> u64 {
    store.heads(&[id]).await.unwrap().heads[0].1.get()
}

/// Keeps the writer busy until the sender is dropped.
async fn occupy(store: &SqliteStore) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let writer = store.doors().unwrap().writer;
    let look = Box::new(move |_: &mut Connection| {
        let _ = begun.send(());
        let _ = released.recv();
    });
    writer.look(look).await.unwrap();
    begins.await.unwrap();
    release
}

fn fixture(path: &Path) {
    connect::create_private(path).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(include_str!("fixtures/v1.sql")).unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_version_opens_with_everything_in_it() {
    let directory = Directory::new();
    fixture(&directory.file());
    let store = SqliteStore::open(directory.file()).await.unwrap();
    assert_eq!(store.epoch().await.unwrap().as_str(), "00112233445566aa");
    let seen = store.conversation(&user("bob"), fixed()).await.unwrap().unwrap();
    assert_eq!((seen.head, seen.unread, seen.member_count), (Seq::new(5), 1, 2));
    assert_eq!(seen.marker, Marker { received: Seq::new(3), read: Seq::new(2) });
    assert_eq!(seen.title.unwrap().as_str(), "Ships");
    let log = store
        .read(Reader::System, fixed(), Seq::ZERO, Seq::MAX, 9.try_into().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(log.len(), 5);
    assert_eq!(store.conversation(&user("eve"), fixed()).await.unwrap(), None);
    // A key that was used then is used.
    let repeated = store.write(vec![say(fixed(), "k-1")]).await.unwrap();
    assert!(matches!(repeated[0], Written::Refused(crate::store::Refusal::KeyConflict)));
    assert!(is_fresh(&store.write(vec![say(fixed(), "k-2")]).await.unwrap()));
    #[cfg(feature = "accounts")]
    {
        use crate::{auth::accounts::AccountStore, model::CredentialId};
        assert_eq!(store.search_accounts("le", 9).await.unwrap()[0].name, "Ann");
        assert!(store.is_revoked(&CredentialId::new("t-1").unwrap()).await.unwrap());
    }
}

#[test]
fn an_older_file_ends_with_the_schema_of_a_new_one() {
    fn described(connection: &Connection) -> Vec<(String, String)> {
        let mut statement = connection
            .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let plain = |sql: String| {
            let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
            lines.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        rows.map(|row: rusqlite::Result<(String, String)>| row.unwrap())
            .map(|(name, sql)| (name, plain(sql)))
            .collect()
    }
    let mut old = Connection::open_in_memory().unwrap();
    old.execute_batch(include_str!("fixtures/v1.sql")).unwrap();
    schema::migrate(&mut old).unwrap();
    let mut new = Connection::open_in_memory().unwrap();
    schema::migrate(&mut new).unwrap();
    assert_eq!(described(&old), described(&new));
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    fixture(&directory.file());
    let newer = Connection::open(directory.file()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let before = fs::read(directory.file()).unwrap();
    let error = SqliteStore::open(directory.file()).await.unwrap_err().to_string();
    assert!(error.contains("version 99") && error.contains("restore a backup"), "{error}");
    assert_eq!(fs::read(directory.file()).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    connect::create_private(&directory.file()).unwrap();
    fs::write(directory.file(), "a diary, and not a database at all".repeat(100)).unwrap();
    let before = fs::read(directory.file()).unwrap();
    SqliteStore::open(directory.file()).await.unwrap_err();
    assert_eq!(fs::read(directory.file()).unwrap(), before);
    // A directory is none either.
    SqliteStore::open(&directory.0).await.unwrap_err();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = Directory::new();
    let file = directory.file();
    let store = SqliteStore::open(&file).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    assert_eq!(mode(&directory.0), 0o700);
    for end in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{end}", file.display()));
        assert_eq!(mode(&path), 0o600, "{end}");
    }
    let backup = directory.0.join("backup.db");
    store.backup(&backup).await.unwrap();
    assert_eq!(mode(&backup), 0o600);
}

#[tokio::test]
async fn a_backup_is_a_database_of_its_own_and_overwrites_nothing() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed()), say(fixed(), "k")]).await.unwrap();
    let backup = directory.0.join("backups").join("one.db");
    store.backup(&backup).await.unwrap();
    store.write(vec![say(fixed(), "later")]).await.unwrap();
    let error = store.backup(&backup).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let restored = SqliteStore::open(&backup).await.unwrap();
    assert_eq!((head(&restored, fixed()).await, head(&store, fixed()).await), (2, 3));
    // The same life until somebody says that it is another.
    assert_eq!(restored.epoch().await.unwrap(), store.epoch().await.unwrap());
    let named = restored.new_epoch().await.unwrap();
    assert_eq!(restored.epoch().await.unwrap(), named);
    assert_ne!(named, store.epoch().await.unwrap());
}

#[tokio::test]
async fn a_closed_store_answers_that_it_is_and_leaves_one_file() {
    let directory = Directory::new();
    let file = directory.file();
    let store = SqliteStore::open(&file).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let other = store.clone();
    store.close().await;
    store.close().await;
    for error in [
        other.write(vec![say(fixed(), "k")]).await.unwrap_err(),
        other.heads(&[]).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    let files: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(files.len(), 1, "the log of changes was taken up");
    assert_eq!(head(&SqliteStore::open(&file).await.unwrap(), fixed()).await, 1);
}

#[tokio::test]
async fn closing_finishes_what_was_begun() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let release = occupy(&store).await;
    let begun = tokio::spawn({
        let store = store.clone();
        async move { store.write(vec![say(fixed(), "k")]).await }
    });
    tokio::task::yield_now().await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    tokio::task::yield_now().await;
    drop(release);
    assert!(is_fresh(&begun.await.unwrap().unwrap()));
    closing.await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_clone_ends_the_threads() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    drop(store.clone());
    assert_eq!(head(&store, fixed()).await, 1);
    drop(store);
    let wal = PathBuf::from(format!("{}-wal", directory.file().display()));
    assert!(!wal.exists(), "the connections are closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_senders_and_another_process_never_find_it_busy() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    // As good as another process: connections and threads of its own.
    let other = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = if task % 4 == 0 { other.clone() } else { store.clone() };
            tokio::spawn(async move {
                for n in 0..10 {
                    let written = store.write(vec![say(fixed(), &format!("{task}-{n}"))]).await;
                    assert!(is_fresh(&written.expect("is not busy")));
                    head(&store, fixed()).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(head(&store, fixed()).await, 161);
    assert_eq!(head(&other, fixed()).await, 161);
}

#[tokio::test]
async fn whatever_waits_is_committed_together() {
    let store = SqliteStore::in_memory().unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let before = store.heads(&[]).await.unwrap().checkpoint;
    let release = occupy(&store).await;
    let tasks: Vec<_> = (0..10)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.write(vec![say(fixed(), &n.to_string())]).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(release);
    for task in tasks {
        assert!(is_fresh(&task.await.unwrap().unwrap()));
    }
    let after = store.heads(&[]).await.unwrap().checkpoint;
    let number = |checkpoint: &crate::store::Checkpoint| -> u64 {
        checkpoint.0.split_once('-').unwrap().0.parse().unwrap()
    };
    assert_eq!(number(&after), number(&before) + 1, "ten writes, one commit");
}

#[tokio::test]
async fn of_those_who_share_a_commit_only_the_broken_one_fails() {
    let store = SqliteStore::in_memory().unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let release = occupy(&store).await;
    let one = tokio::spawn({
        let store = store.clone();
        async move { store.write(vec![say(fixed(), "one")]).await }
    });
    let broken = tokio::spawn({
        let store = store.clone();
        async move {
            let work = |commit: &mut super::Commit<'_>| {
                commit.stamp()?;
                commit.connection().execute("DELETE FROM events", ())?;
                commit.connection().execute("INSERT INTO life VALUES (1, 'x', 0)", ())
            };
            store.write_with(work).await
        }
    });
    let two = tokio::spawn({
        let store = store.clone();
        async move { store.write(vec![say(fixed(), "two")]).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(release);
    assert!(is_fresh(&one.await.unwrap().unwrap()));
    assert!(is_fresh(&two.await.unwrap().unwrap()));
    let error = broken.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Defect(_)), "{error:?}");
    assert_eq!(head(&store, fixed()).await, 3);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_begun() {
    let store = SqliteStore::in_memory().unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let release = occupy(&store).await;
    let given_up = store.write(vec![say(fixed(), "k")]);
    tokio::time::timeout(Duration::from_millis(20), given_up).await.unwrap_err();
    drop(release);
    assert_eq!(head(&store, fixed()).await, 1);
}

#[tokio::test]
async fn readers_do_not_wait_for_the_writer() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let _release = occupy(&store).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(head(&store, fixed()).await, 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    let deleted = store.query(|connection| connection.execute("DELETE FROM life", ())).await;
    deleted.unwrap_err();
    store.epoch().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_passes() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let limit = |pages: &'static str| {
        let writer = store.doors().unwrap().writer;
        async move {
            let look = Box::new(move |connection: &mut Connection| {
                connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
            });
            writer.look(look).await.unwrap();
        }
    };
    limit("1").await;
    let mut written = 1;
    let error = loop {
        match store.write(vec![say(fixed(), &format!("k{written}"))]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "a full disk is full");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // What was there can be read, what failed is not there, and the rest goes on by itself.
    assert_eq!(head(&store, fixed()).await, written);
    limit("1000000").await;
    assert!(is_fresh(&store.write(vec![say(fixed(), &format!("k{written}"))]).await.unwrap()));
    assert_eq!(head(&store, fixed()).await, written + 1);
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    let other = Connection::open(directory.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.write(vec![open(fixed())]).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    other.execute_batch("ROLLBACK").unwrap();
    assert!(is_fresh(&waiting.await.unwrap().unwrap()));
}

#[tokio::test]
async fn what_should_not_be_there_is_a_defect_and_no_panic() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.unwrap();
    store.write(vec![open(fixed()), say(fixed(), "k")]).await.unwrap();
    let tampering = Connection::open(directory.file()).unwrap();
    for damage in [
        "UPDATE events SET body = 'no JSON' WHERE seq = 2",
        "UPDATE events SET body = '{\"type\":\"message\"}' WHERE seq = 2",
        "UPDATE events SET author = char(10) WHERE seq = 2",
        "UPDATE members SET role = 'king'",
        "UPDATE members SET role = 'member', read = -1",
        "UPDATE conversations SET kind = 'crowd'",
    ] {
        tampering.execute_batch(damage).unwrap();
        let error = store.conversation(&user("ann"), fixed()).await.unwrap_err();
        assert!(matches!(error, StoreError::Defect(_)), "{damage}: {error:?}");
    }
    // And the threads are still there.
    assert_eq!(head(&store, fixed()).await, 2);
}

#[tokio::test]
async fn opening_with_other_options_is_the_same_store() {
    let directory = Directory::new();
    let options =
        SqliteOptions { durability: Durability::UntilPowerFails, readers: 1.try_into().unwrap() };
    let store = SqliteStore::open_with(directory.file(), options).await.unwrap();
    store.write(vec![open(fixed())]).await.unwrap();
    let synchronous = |store: SqliteStore| async move {
        let (send, receive) = tokio::sync::oneshot::channel();
        let writer = store.doors().unwrap().writer;
        let look = Box::new(move |connection: &mut Connection| {
            let value: i64 =
                connection.query_row("PRAGMA synchronous", (), |row| row.get(0)).unwrap();
            let _ = send.send(value);
        });
        writer.look(look).await.unwrap();
        receive.await.unwrap()
    };
    assert_eq!(synchronous(store.clone()).await, 1, "NORMAL");
    store.close().await;
    let store = SqliteStore::open(directory.file()).await.unwrap();
    assert_eq!(synchronous(store.clone()).await, 2, "FULL unless one asks for less");
    assert_eq!(head(&store, fixed()).await, 1);
}

#[test]
fn a_statement_is_compiled_once_whatever_is_bound() {
    let connection = connect::in_memory().unwrap();
    // A store that was closed once knows how its values are spread.
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO accounts SELECT 'u' || i, i, i, i, '', 'user', 0, 0, 0 FROM n;
             PRAGMA foreign_keys = OFF;
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO events SELECT randomblob(16), i, i, 0, 'ann', i, 1, '{}', NULL FROM n;
             ANALYZE",
        )
        .unwrap();
    let keyed = "SELECT seq FROM events WHERE conversation = ?1 AND author = ?2 AND key = ?3";
    let mut statement = connection.prepare(keyed).unwrap();
    for key in ["one", "two", "three"] {
        assert!(!statement.exists((fixed().as_bytes(), "ann", key)).unwrap());
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
}

#[test]
fn hot_queries_go_by_an_index() {
    let connection = connect::in_memory().unwrap();
    let hot = [
        "SELECT count(*) FROM events
         WHERE conversation = ?1 AND seq > ?2 AND author <> ?3 AND message = 1",
        "SELECT stamp FROM events WHERE conversation = ?1 AND seq = ?2",
        "SELECT seq, body FROM events WHERE conversation = ?1 AND author = ?2 AND key = ?3",
        "SELECT seq, body FROM events WHERE conversation = ?1 AND seq < ?2 AND message = 1
         ORDER BY seq DESC LIMIT ?3",
        "SELECT seq, body FROM events WHERE conversation = ?1 AND seq > ?2 AND seq <= ?3
         ORDER BY seq LIMIT ?4",
        "SELECT m.conversation, m.role, m.since, c.head, c.changed FROM members m
         JOIN conversations c ON c.id = m.conversation
         WHERE m.user = ?1 AND (m.role IS NOT NULL OR m.since > ?2)",
        "SELECT 1 FROM members WHERE conversation = ?1 AND user <> ?2 AND role = 'owner'",
        "SELECT 1 FROM accounts WHERE role = 'admin'",
    ];
    let plan = |query: &str| -> String {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let nothing = std::iter::repeat_n(rusqlite::types::Null, plan.parameter_count());
        let steps = plan.query_map(rusqlite::params_from_iter(nothing), |row| row.get(3)).unwrap();
        steps.collect::<rusqlite::Result<Vec<String>>>().unwrap().join("; ")
    };
    for query in hot {
        let steps = plan(query);
        let small = steps.contains("accounts_admins");
        assert!(small || !steps.contains("SCAN"), "{query}\n{steps}");
        assert!(!steps.contains("TEMP B-TREE"), "{query}\n{steps}");
    }
    assert!(plan(hot[0]).contains("PRIMARY KEY"), "{}", plan(hot[0]));
}
