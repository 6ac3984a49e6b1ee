//! Faults at a chosen system call: strace makes the n-th flush deadly, or lets it or a write fail,
//! as a full or broken disk would.

use std::{collections::BTreeMap, process::Command};

use crate::{
    fleet::{Fleet, Outcome, Town},
    process::{Home, fresh_file},
};

/// Whether system calls can be traced here. Where CI says so, they have to be.
pub(crate) fn can_trace() -> bool {
    let tried =
        Command::new("strace").args(["-D", "-f", "-qq", "-e", "trace=fdatasync", "true"]).output();
    let reason = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(why) => why.to_string(),
    };
    assert!(std::env::var_os("CI").is_none(), "strace does not work: {reason}");
    println!("SKIPPED: strace does not work here, and faults need it: {reason}");
    false
}

/// A server at rest that has two users, and perhaps a defect from now on.
pub(crate) fn settled_home(defect: Option<&str>) -> (Home, Town) {
    let mut home = Home::new();
    let server = home.start();
    let town = Town::found(home.address(), 2);
    server.stop();
    home.sabotage(defect);
    (home, town)
}

/// Two devices, each with a few messages; or one that waits for every answer.
fn short_talk(home: &Home, town: &Town, alone: bool) -> Fleet {
    Fleet::start(home.address(), town, 1, 1, |plan| {
        plan.lively = false;
        plan.sends_max = 12;
        plan.in_flight_max = 2;
        if alone {
            plan.in_flight_max = 1;
            plan.sends_max = if plan.name == "user0-0" { 20 } else { 0 };
        }
    })
}

/// How often each of these calls was made by the thread that made it most: strace counts for each
/// thread by itself.
fn count_calls(trace: &str) -> BTreeMap<String, usize> {
    let mut by_thread = BTreeMap::<(&str, &str), usize>::new();
    for line in trace.lines() {
        if let Some((thread, call)) = line.split_once(' ')
            && let Some((name, _)) = call.trim_start().split_once('(')
        {
            *by_thread.entry((thread, name)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in by_thread {
        let so_far = most.entry(name.to_owned()).or_default();
        *so_far = count.max(*so_far);
    }
    most
}

fn args(of: &[&str]) -> Vec<String> {
    of.iter().map(|&arg| arg.to_owned()).collect()
}

/// What waits for the disk; which one SQLite takes depends on how it was built.
const FLUSHES: &str = "fdatasync,fsync";

/// The calls of a short talk and of the orderly end after it.
fn count(calls: &str, home: &Home, town: &Town, alone: bool) -> BTreeMap<String, usize> {
    let trace = home.folder().join("trace");
    let mut server = home.start_traced(&args(&["-e", &format!("trace={calls}")]), &trace);
    assert!(server.came_up(), "{}", home.last_words());
    let fleet = short_talk(home, town, alone);
    assert!(fleet.wait(|| fleet.is_settled()), "{}", home.last_words());
    server.signal("INT");
    server.wait();
    let outcome = fleet.finish(home, home.start());
    outcome.expect_right("without a fault", home);
    count_calls(&std::fs::read_to_string(trace).unwrap())
}

/// Which of `1..=last`: all if `ALL` is set, else some, the first and the last among them.
fn spread(last: usize, some: usize) -> Vec<usize> {
    if std::env::var_os("ALL").is_some() || last <= some {
        return (1..=last).collect();
    }
    (0..some).map(|step| 1 + step * (last - 1) / (some - 1)).collect()
}

/// The server dies at this flush (or does not come so far) and is started again; the talk goes on.
/// Whether it died, and what was wrong.
fn die_at(home: &Home, town: &Town, call: &str, when: usize) -> (bool, Outcome) {
    let inject = format!("inject={call}:signal=KILL:when={when}");
    let trace = home.folder().join("trace");
    fresh_file(&trace);
    let traced = args(&["-e", &format!("trace={call}"), "-e", &inject]);
    let mut server = home.start_traced(&traced, &trace);
    let up = server.came_up();
    let fleet = short_talk(home, town, false);
    if up {
        assert!(fleet.wait(|| fleet.is_settled() || server.ended().is_some()));
        if server.ended().is_none() {
            server.signal("INT");
        }
    }
    let died = !server.wait().success();
    let server = home.start();
    assert!(fleet.wait(|| fleet.is_settled()), "{}", home.last_words());
    (died, fleet.finish(home, server))
}

#[test]
fn the_death_at_any_flush_or_write_loses_nothing() {
    if !can_trace() {
        return;
    }
    let (home, town) = settled_home(None);
    let counts = count("fdatasync,fsync,pwrite64", &home.copy(), &town, false);
    assert!(counts.values().sum::<usize>() > 5, "it writes: {counts:?}");
    let (mut points, mut deaths, mut acknowledged) = (0, 0, 0);
    for (call, count) in &counts {
        for when in spread(*count, 6) {
            let home = home.copy();
            let (died, outcome) = die_at(&home, &town, call, when);
            outcome.expect_right(&format!("killed at {call} number {when}"), &home);
            points += 1;
            deaths += usize::from(died);
            acknowledged += outcome.acknowledged;
        }
    }
    println!(
        "flushes and writes: {counts:?}; {points} tried, {deaths} deaths, {acknowledged} messages acknowledged"
    );
    assert!(deaths * 2 > points, "{deaths} of {points} points were reached");
}

#[test]
fn the_death_at_any_flush_of_the_first_start_is_mended_by_the_next() {
    if !can_trace() {
        return;
    }
    let trace = |home: &Home| home.folder().join("trace");
    let home = Home::new();
    let mut server = home.start_traced(&args(&["-e", &format!("trace={FLUSHES}")]), &trace(&home));
    assert!(server.came_up(), "{}", home.last_words());
    server.signal("INT");
    server.wait();
    let counts = count_calls(&std::fs::read_to_string(trace(&home)).unwrap());
    assert!(!counts.is_empty());
    let (mut points, mut deaths) = (0, 0);
    for (call, count) in &counts {
        for when in spread(*count, 4) {
            let home = Home::new();
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let traced = args(&["-e", &format!("trace={call}"), "-e", &inject]);
            let mut server = home.start_traced(&traced, &trace(&home));
            if server.came_up() {
                server.signal("INT");
            }
            points += 1;
            deaths += usize::from(!server.wait().success());
            let server = home.start();
            let town = Town::found(home.address(), 2);
            let fleet = short_talk(&home, &town, false);
            assert!(fleet.wait(|| fleet.is_settled()), "{}", home.last_words());
            let outcome = fleet.finish(&home, server);
            outcome.expect_right(&format!("first start killed at {call} number {when}"), &home);
        }
    }
    println!("first start: flushes {counts:?}; {points} tried, {deaths} deaths");
    assert!(deaths > 0);
}

/// One after the other: each answer has a flush of its own before it, which is what a commit that
/// survives a power cut takes.
pub(crate) fn flushes_of_twenty(defect: Option<&str>) -> usize {
    let (home, town) = settled_home(defect);
    count(FLUSHES, &home, &town, true).values().sum()
}

#[test]
fn every_acknowledgement_waited_for_the_disk() {
    if !can_trace() {
        return;
    }
    let flushes = flushes_of_twenty(None);
    println!("20 messages one after the other: {flushes} flushes");
    assert!(flushes >= 20, "{flushes}");
}

/// A talk in which this fault happens; then the server is killed and started without it.
/// Gives it up when it was refused `enough` times.
pub(crate) fn with_fault(home: &Home, town: &Town, fault: &str, enough: usize) -> Outcome {
    let trace = home.folder().join("trace");
    let call = fault.split(':').next().unwrap();
    let traced = args(&["-e", &format!("trace={call}"), "-e", &format!("inject={fault}")]);
    let mut server = home.start_traced(&traced, &trace);
    if !server.came_up() {
        // It says what is wrong and ends, rather than serve without a store.
        let status = server.wait();
        assert_eq!(status.code(), Some(1), "{fault}: {}", home.last_words());
        let server = home.start();
        let fleet = short_talk(home, town, false);
        assert!(fleet.wait(|| fleet.is_settled()), "{}", home.last_words());
        return fleet.finish(home, server);
    }
    let fleet = short_talk(home, town, false);
    let over =
        fleet.wait(|| fleet.is_settled() || fleet.refused() >= enough || server.ended().is_some());
    assert!(over, "{fault}: nobody is answered any more:\n{}", home.last_words());
    assert!(server.ended().is_none(), "{fault}: it ended:\n{}", home.last_words());
    server.kill();
    let server = home.start();
    assert!(fleet.wait(|| fleet.is_settled()), "{}", home.last_words());
    fleet.finish(home, server)
}

#[test]
fn a_flush_that_fails_is_said_and_survived() {
    if !can_trace() {
        return;
    }
    let (home, town) = settled_home(None);
    let counts = count(FLUSHES, &home.copy(), &town, false);
    let (mut points, mut told) = (0, 0);
    for (call, count) in &counts {
        for when in spread(*count, 4) {
            let home = home.copy();
            let fault = format!("{call}:error=EIO:when={when}");
            let outcome = with_fault(&home, &town, &fault, usize::MAX);
            outcome.expect_right(&fault, &home);
            assert!(outcome.refused.keys().all(|code| code == "unavailable"), "{}", outcome.line);
            points += 1;
            told += usize::from(!outcome.refused.is_empty());
        }
    }
    println!("EIO: {points} flushes failed, {told} times the clients were told");
    assert!(told > 0, "nobody was told");
}

#[test]
fn a_full_disk_is_said_and_survived() {
    if !can_trace() {
        return;
    }
    let (home, town) = settled_home(None);
    // For good, from the n-th write of a thread on; and for a while only.
    // At the third the server is still starting.
    for when in ["3+", "40+", "90+", "40..120"] {
        let home = home.copy();
        let fault = format!("pwrite64:error=ENOSPC:when={when}");
        let enough = if when.ends_with('+') { 10 } else { usize::MAX };
        let outcome = with_fault(&home, &town, &fault, enough);
        outcome.expect_right(&fault, &home);
        println!("ENOSPC at {when}: {}", outcome.line);
        assert!(outcome.refused.keys().all(|code| code == "unavailable"), "{}", outcome.line);
        let started = when != "3+";
        assert_eq!(!outcome.refused.is_empty(), started, "who was told: {}", outcome.line);
    }
}
