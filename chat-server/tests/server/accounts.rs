//! `user …`, alone and beside a running server.

use std::path::Path;

use serde_json::Value;

use crate::support::{Server, run, run_with_input, text};

fn user(folder: &Path, args: &[&str], password: &str) -> (Option<i32>, String) {
    let output = run_with_input(folder, &[&["user"], args].concat(), &format!("{password}\n"));
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn done(folder: &Path, args: &[&str], password: &str) -> String {
    let (code, said) = user(folder, args, password);
    assert_eq!(code, Some(0), "{said}");
    said
}

#[test]
fn accounts_can_be_made_before_the_first_start() {
    let folder = tempfile::tempdir().unwrap();
    done(folder.path(), &["create", "root", "--admin"], "correct horse");
    let server = Server::start(&folder);
    assert_eq!(server.said("First admin"), None, "{}", server.banner);
    server.log_in("root", "correct horse").expect(200);
    server.stop();
}

#[test]
fn accounts_change_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder);
    let path = folder.path();

    done(path, &["create", "bob", "--display-name", "Bob B"], "correct horse");
    let (_, token) = server.log_in("bob", "correct horse").expect(200).user_and_token();
    let me = || server.get_with("/user", &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(me().expect(200).json()["display_name"], "Bob B");

    done(path, &["passwd", "BOB"], "battery staple");
    me().expect(401);
    server.log_in("bob", "correct horse").expect(401);
    server.log_in("bob", "battery staple").expect(200);

    done(path, &["disable", "bob"], "");
    server.log_in("bob", "battery staple").expect(401);
    done(path, &["enable", "bob"], "");
    server.log_in("bob", "battery staple").expect(200);
    server.stop();
}

#[test]
fn accounts_are_listed_for_people_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in ["carol", "alice", "bob"] {
        done(path, &["create", name], "correct horse");
    }
    done(path, &["disable", "bob"], "");

    let listed = text(&run(path, ["user", "list"]).stdout);
    let names: Vec<&str> =
        listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["alice", "bob", "carol"], "{listed}");

    let listed = text(&run(path, ["user", "list", "--json"]).stdout);
    let accounts: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(accounts.len(), 3);
    assert_eq!((&accounts[1]["name"], &accounts[1]["disabled"]), (&"bob".into(), &true.into()));
    assert!(!listed.contains("argon2"), "{listed}");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, &["create", "alice"], "correct horse");
    for (args, password, reason) in [
        (&["create", "ALICE"][..], "correct horse", "taken"),
        (&["create", "bob"], "hunter2", "shorter than 8"),
        (&["create", "b"], "correct horse", "name not allowed"),
        (&["create", "bob"], "", "no password on standard input"),
        (&["passwd", "nobody"], "correct horse", "unknown user"),
        (&["disable", "nobody"], "", "unknown user"),
    ] {
        let (code, said) = user(path, args, password);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(reason), "{reason} in {said}");
        assert!(password.is_empty() || !said.contains(password), "{said}");
    }
}
