//! `chat-server migrate`, and servers that leave the schema alone.

use std::{path::Path, process::Output, thread, time::Duration};

use serde_json::json;
use testbed::Postgres;

use crate::support::{Server, Start, run, text};

fn on(folder: &Path, store: &str) -> Start {
    Start::new(folder).env("CHAT_SERVER__STORE", store)
}

fn migrate(folder: &Path, store: &str) -> Output {
    on(folder, store).arg("migrate").fails()
}

fn said(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What Kubernetes shows of a Job that failed: the end of its log.
fn reason(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stderr).lines().last().unwrap().to_owned()
}

/// The versions of the tables that this program makes.
const SQLITE: u32 = 6;
const POSTGRES: u32 = 5;

fn made(version: u32) -> String {
    format!("schema {version} (was 0)\n")
}

fn nothing_to_do(version: u32) -> String {
    format!("schema {version}, nothing to do\n")
}

#[test]
fn one_role_makes_the_tables_and_another_one_serves() {
    let (postgres, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    // As docs/scaling.md says it.
    for sql in [
        "CREATE ROLE chat_owner LOGIN",
        "CREATE ROLE chat_serving LOGIN",
        "CREATE DATABASE chat OWNER chat_owner",
    ] {
        postgres.sql("postgres", sql);
    }
    for sql in [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT CREATE ON SCHEMA public TO chat_owner",
        "ALTER DEFAULT PRIVILEGES FOR ROLE chat_owner
         GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO chat_serving",
    ] {
        postgres.sql("chat", sql);
    }
    let owner = postgres.url("chat").replace("postgres@", "chat_owner@");
    let serving = postgres.url("chat").replace("postgres@", "chat_serving@");
    let serve = || on(folder.path(), &serving).env("CHAT_SERVER__POSTGRES__MIGRATE", "false");

    // Nobody has made them yet.
    let refused = reason(&serve().fails());
    let version = format!("version {POSTGRES}");
    for part in ["no tables", &version, "run chat-server migrate, or set postgres.migrate"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(postgres.sql("chat", "SELECT to_regclass('chat_schema') IS NULL").trim(), "t");
    let refused = reason(&migrate(folder.path(), &serving));
    assert!(refused.contains("right to CREATE"), "{refused}");

    assert_eq!(said(migrate(folder.path(), &owner)), made(POSTGRES));
    assert_eq!(said(migrate(folder.path(), &owner)), nothing_to_do(POSTGRES));
    assert_eq!(said(migrate(folder.path(), &serving)), nothing_to_do(POSTGRES));

    let check = |server: Server| {
        let epoch = || postgres.sql("chat", "SELECT epoch FROM chat_life");
        let before = epoch();
        let (_, alices) = server.register("alice", "correct horse");
        let (bob, _) = server.register("bob", "correct horse");
        let headers = [("Authorization", &*format!("Bearer {alices}")), ("Idempotency-Key", "k")];
        server.post("/messages", &headers, &json!({ "to": bob, "content": "hi" })).expect(201);
        server.post("/user/logout", &headers, &json!(null)).expect(204);
        // Migrating beside it changes nothing, and is no new life for devices.
        assert_eq!(said(migrate(folder.path(), &owner)), nothing_to_do(POSTGRES));
        assert_eq!(epoch(), before);
        server.stop();
    };
    check(serve().up());

    // A newer version that says who can use it.
    let newer = |compatible_from: u32| {
        let sql =
            format!("UPDATE chat_schema SET version = 900, compatible_from = {compatible_from}");
        postgres.sql("chat", &sql);
    };
    newer(1);
    serve().up().stop();
    assert_eq!(said(migrate(folder.path(), &owner)), "schema 900, nothing to do\n");
    newer(900);
    for refused in [serve().fails(), migrate(folder.path(), &owner)] {
        let refused = reason(&refused);
        assert!(refused.contains("run a newer program"), "{refused}");
    }
}

#[test]
fn a_migration_waits_for_a_database_that_starts_a_moment_later() {
    let (postgres, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
    let store = postgres.new_database();
    postgres.crash();
    let output = thread::scope(|scope| {
        let migrating = scope.spawn(|| migrate(folder.path(), &store));
        thread::sleep(Duration::from_secs(2));
        postgres.start_again();
        migrating.join().unwrap()
    });
    assert!(text(&output.stderr).contains("waiting for PostgreSQL"), "{output:?}");
    assert_eq!(said(output), made(POSTGRES));
}

#[test]
fn a_migration_names_what_it_cannot_do_on_its_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let mistaken = on(folder.path(), "mysql://db")
        .env("CHAT_SERVER__LOG__FORMAT", "xml")
        .arg("migrate")
        .fails();
    assert_eq!(mistaken.status.code(), Some(2), "{mistaken:?}");
    for name in ["CHAT_SERVER__STORE", "CHAT_SERVER__LOG__FORMAT"] {
        assert!(text(&mistaken.stderr).contains(name), "{mistaken:?}");
    }
    // PostgreSQL tells the details of this one on a second line.
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE closed");
    postgres.sql("postgres", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    postgres.sql("postgres", "CREATE ROLE plain LOGIN");
    let url = postgres.url("closed").replace("postgres@", "plain:hunter2@");
    let failed = migrate(folder.path(), &url);
    let reason = reason(&failed);
    assert!(reason.starts_with("chat-server: cannot migrate the store postgres://"), "{reason}");
    assert!(reason.contains("permission denied for database"), "{reason}");
    assert!(reason.contains("CONNECT privilege"), "{reason}");
    assert!(!text(&failed.stderr).contains("hunter2"));
}

#[test]
fn a_file_is_migrated_too_but_not_under_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = || run(folder.path(), ["migrate"]);
    assert_eq!(said(migrate()), made(SQLITE));
    assert_eq!(said(migrate()), nothing_to_do(SQLITE));
    let server = Server::start(&folder);
    server.register("alice", "correct horse");
    let refused = reason(&migrate());
    assert!(refused.contains("another chat-server"), "{refused}");
    server.stop();
    assert_eq!(said(migrate()), nothing_to_do(SQLITE));
}
