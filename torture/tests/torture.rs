//! The fault run's own test: a short run of the server as it is, which has to be flawless, and one
//! for each planted defect, which has to be caught.
//!
//! Defects that one node shows are tried with one, on a file and without a bus; those between nodes
//! with three, on a PostgreSQL and a Redis of their own.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chat_check::Rule;
use torture::{
    nemesis::Kind,
    run::{self, Options},
};

/// How many runs a defect may survive.
const RUNS_MAX: u64 = 3;

/// A defect, the fault that shows it, and the promises that it breaks, one of which is enough.
struct Row {
    defect: &'static str,
    only: Option<Kind>,
    caught_by: &'static [Rule],
    shared: bool,
}

const fn row(defect: &'static str, only: Option<Kind>, caught_by: &'static [Rule]) -> Row {
    Row { defect, only, caught_by, shared: false }
}

const fn shared(defect: &'static str, only: Option<Kind>, caught_by: &'static [Rule]) -> Row {
    Row { defect, only, caught_by, shared: true }
}

const ROWS: &[Row] = &[
    row(
        "ForgetKeys",
        Some(Kind::FramesCut), // Keys that are forgotten are not in the log either.
        &[Rule::V1, Rule::V2, Rule::V10],
    ),
    row("AnswerBeforeCommit", Some(Kind::NodeKilled), &[Rule::V1]),
    row("ResumeOffByOne", Some(Kind::ConnectionsReset), &[Rule::V5, Rule::V6]),
    row("RejoinBlindly", Some(Kind::ConnectionsReset), &[Rule::V5, Rule::V6]),
    row("PushOvertakesResume", Some(Kind::ConnectionsReset), &[Rule::V5]),
    row("KeepRemoved", None, &[Rule::V8]),
    row("DropSilently", Some(Kind::ReadersStop), &[Rule::V5, Rule::V11]),
    row("IgnoreRevocation", None, &[Rule::V14]),
    // A node asks the store only about users that it does not know yet.
    row("Unordered", Some(Kind::NodeKilled), &[Rule::Replies]),
    row("MarkerLastWriterWins", None, &[Rule::V7]),
    row("LeakToOutsiders", None, &[Rule::V8]),
    row("UnreadDrifts", None, &[Rule::V9]),
    shared("AckBeforeCommit", Some(Kind::PostgresCrashed), &[Rule::V1]),
    shared("SkipHoles", Some(Kind::SubscribersCut), &[Rule::V5, Rule::V11]),
    shared("NoPositionCheck", Some(Kind::PublishRefused), &[Rule::V11]),
    shared("SeqOutsideLock", None, &[Rule::V1, Rule::V2, Rule::V3, Rule::V5]),
    shared("LoseRevocation", None, &[Rule::V14]),
];

/// The server that was built by the same call, beside this program.
fn server() -> PathBuf {
    let server = Path::new(env!("CARGO_BIN_EXE_torture")).with_file_name("chat-server");
    assert!(
        server.is_file(),
        "{} is not there: cargo build -p chat-server --features chat-server/sabotage",
        server.display()
    );
    server
}

fn options(name: &str, seed: u64, shared: bool) -> Options {
    let folder = std::env::temp_dir().join(format!("torture-{}-{name}-{seed}", std::process::id()));
    Options {
        seed,
        chaos: Duration::from_secs(8),
        nodes: if shared { 3 } else { 1 },
        shared,
        users: 6,
        devices: 2,
        groups: 4,
        rate: 150,
        gap: 1.0,
        quiet: Duration::from_secs(if shared { 15 } else { 8 }),
        // What is said at once to one node takes no time; the run without a defect allows more.
        revocation: Duration::from_secs(if shared { 8 } else { 3 }),
        only: None,
        peaceful: false,
        sabotage: None,
        hasty: shared,
        server: server(),
        folder,
    }
}

/// A short run that has to be flawless; what it has seen is printed.
fn check_flawless(options: &Options) {
    let outcome = run::run(options).unwrap();
    let report = outcome.report.table(&outcome.found);
    println!("{report}");
    assert!(outcome.found.is_valid(), "{}\n{report}", outcome.found.tell(&outcome.history));
    assert!(outcome.schedule.single.is_none() && outcome.report.faults >= 4);
    assert!(outcome.report.counts["acknowledged"] > 500);
    // The client library was under it, and not only while all was well.
    assert!(outcome.report.counts["typed: restarts"] > 0);
    assert!(outcome.report.counts["typed: resumes"] > 0);
    let _ = std::fs::remove_dir_all(&options.folder);
}

#[test]
fn a_server_without_a_defect_keeps_every_promise() {
    // One seed that mixes all faults.
    check_flawless(&Options {
        chaos: Duration::from_secs(20),
        quiet: Duration::from_secs(60),
        revocation: Duration::from_secs(40),
        ..options("clean", 4, false)
    });
}

#[test]
fn three_servers_without_a_defect_keep_every_promise() {
    check_flawless(&Options {
        chaos: Duration::from_secs(40),
        quiet: Duration::from_secs(60),
        revocation: Duration::from_secs(40),
        hasty: false,
        ..options("three", 4, true)
    });
}

/// In which run, and by what.
fn caught(row: &Row) -> Option<(u64, Vec<Rule>)> {
    (1..=RUNS_MAX).find_map(|seed| {
        let options = Options {
            only: row.only,
            peaceful: row.only.is_none(),
            sabotage: Some(row.defect.to_owned()),
            ..options(row.defect, seed, row.shared)
        };
        let outcome = run::run(&options).unwrap();
        let _ = std::fs::remove_dir_all(options.folder);
        let broken: Vec<_> = outcome.found.counts().keys().copied().collect();
        broken.iter().any(|rule| row.caught_by.contains(rule)).then_some((seed, broken))
    })
}

#[test]
fn every_planted_defect_is_caught() {
    let only = std::env::var("DEFECT").ok();
    let rows: Vec<&Row> =
        ROWS.iter().filter(|row| only.as_deref().is_none_or(|only| only == row.defect)).collect();
    assert!(!rows.is_empty(), "no such defect");
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // Two at a time: a run waits more than it works.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let caught = caught(row);
                    let seconds = began.elapsed().as_secs_f64();
                    println!("{:<22} {caught:?} in {seconds:.0} s", row.defect);
                    if caught.is_none() {
                        missed.lock().unwrap().push(row.defect);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not caught in {RUNS_MAX} runs: {missed:?}");
}
