//! The Dockerfile and what goes into it, as far as that can be judged where no images are built: what
//! it copies is there, and what it says to the server the server understands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{program, run, text};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Instructions with their arguments; lines that go on are joined, comments left out.
fn instructions() -> Vec<(String, String)> {
    let file = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines: Vec<_> = file.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instructions = joined.lines().filter_map(|line| line.trim().split_once(' '));
    instructions.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// Whether `.dockerignore` keeps a path from the build: the last pattern that fits says so, and what
/// fits a folder fits what is in it.
fn is_ignored(patterns: &str, path: &str) -> bool {
    let mut ignored = false;
    for line in patterns.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (pattern, sets) = match line.strip_prefix('!') {
            Some(pattern) => (pattern, false),
            None => (line, true),
        };
        let pattern: Vec<_> = pattern.trim_matches('/').split('/').collect();
        let path: Vec<_> = path.split('/').collect();
        if (1..=path.len()).any(|upto| fits(&pattern, &path[..upto])) {
            ignored = sets;
        }
    }
    ignored
}

fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|skip| fits(rest, &path[skip..])),
        ([one, rest @ ..], [name, below @ ..]) => fits_name(one, name) && fits(rest, below),
        _ => false,
    }
}

/// With `*` for any part of a name; the other signs that Docker knows are not used here.
fn fits_name(pattern: &str, name: &str) -> bool {
    assert!(!pattern.contains(['?', '[', '\\']), "the test does not know {pattern}");
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits_name(after, &rest[at..]))
        }),
    }
}

#[test]
fn patterns_are_read_as_docker_reads_them() {
    let check = |patterns: &str, path: &str, expected: bool| {
        assert_eq!(is_ignored(patterns, path), expected, "{path} by {patterns:?}");
    };
    check("data", "data/chat.db", true);
    check("data", "src/data", false);
    check("**/data", "src/data/x", true);
    check("**/*.db-*", "a/b.db-wal", true);
    check("**/*.db", "b.db-wal", false);
    check("a/*\n!a/keep", "a/keep", false);
    check("a/*\n!a/keep", "a/lose", true);
    check("# a\n\n/a/", "a/b", true);
}

#[test]
fn everything_that_the_image_is_built_of_is_there_and_nothing_else_is() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let check_there = |path: &str| {
        assert!(root().join(path).exists(), "{path} is not there");
        assert!(!is_ignored(&ignore, path), "{path} is ignored");
    };
    let mut copied = 0;
    for (_, arguments) in instructions().iter().filter(|(word, _)| word == "COPY" || word == "ADD")
    {
        let words: Vec<_> = arguments.split_whitespace().collect();
        if words.iter().any(|word| word.starts_with("--from=")) {
            continue;
        }
        let paths: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
        for path in &paths[..paths.len() - 1] {
            check_there(path.trim_end_matches('/'));
            copied += 1;
        }
    }
    assert!(copied > 0, "nothing is copied");

    // Of what `COPY . .` stands for: what make and cargo open.
    for path in [
        "Makefile",
        "Cargo.toml",
        "Cargo.lock",
        "frontend/package.json",
        "frontend/package-lock.json",
        "frontend/.npmrc",
        "frontend/index.html",
        "frontend/src",
        "frontend/public",
    ] {
        check_there(path);
    }
    let workspace: toml::Table =
        toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        check_there(&format!("{member}/Cargo.toml"));
        check_there(member);
    }
    for source in ["chat-server/src/main.rs", "chat-sdk/src/store/postgres/schema/1.sql"] {
        check_there(source);
    }
    for path in [
        ".git/config",
        "target/release/chat-server",
        "torture/target/x",
        "frontend/node_modules/.done",
        "frontend/dist/index.html",
        "data/chat.db",
        "data/secret.key",
        "chat.db-wal",
        "tls/server.pem",
    ] {
        assert!(is_ignored(&ignore, path), "{path} would go into the build");
    }
}

#[test]
fn what_is_set_in_the_image_is_understood_and_the_programs_are_the_ones_that_make_builds() {
    let folder = tempfile::tempdir().unwrap();
    let all = instructions();
    let of = |word: &'static str| {
        all.iter().filter(move |(it, _)| it == word).map(|(_, rest)| rest.as_str())
    };
    let env = of("ENV").flat_map(str::split_whitespace).map(|it| it.split_once('=').unwrap());
    let env: Vec<_> = env.collect();
    assert!(env.contains(&("CHAT_SERVER__LISTEN", "0.0.0.0:8080")), "{env:?}");
    let mut check = program(folder.path());
    let checked = check.args(["config", "check"]).envs(env.iter().copied()).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked.stderr));

    // What an orchestrator has to know, and a shell that is not there must not be needed for.
    for user in of("USER") {
        assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    }
    let last = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    for word in ["ENTRYPOINT", "CMD"] {
        for command in of(word) {
            assert!(command.starts_with('['), "{word} {command} needs a shell");
        }
    }
    let (_, health) = all[last..].iter().find(|(word, _)| word == "HEALTHCHECK").unwrap();
    let health = &health[health.find("CMD ").expect("a command") + 4..];
    let health: Vec<String> = serde_json::from_str(health).expect("no shell");
    assert_eq!(health[0], "/usr/local/bin/chat-server");
    let known = run(folder.path(), health[1..].iter().map(String::as_str).chain(["--help"]));
    assert!(known.status.success(), "{}", text(&known.stderr));

    let make = fs::read_to_string(root().join("Makefile")).unwrap();
    let binaries = make.lines().find_map(|line| line.strip_prefix("BINARIES ?= ")).unwrap();
    let built: String = of("RUN").collect();
    assert!(built.contains("make binaries PROFILE=release"), "{built}");
    for binary in binaries.split_whitespace() {
        assert!(built.contains(&format!("target/release/{binary} ")), "{binary} is not kept");
        let copy = format!("/out/{binary} /usr/local/bin/{binary}");
        assert!(of("COPY").any(|it| it.ends_with(&copy)), "{binary} is in no image");
    }
}
