//! The whole chat in a simulation, from one seed: nodes, clients, networks, a disk and a bus that
//! fail, and a checker that knows the promises.
//!
//! `SEEDS=1000 cargo test -p chat-sdk --test sim` runs more seeds (`FROM=` another than 1); `SEED=7`
//! runs that one and prints what led to its first violation, with `ALL=1` of all devices, with
//! `LAST=500` so many entries. A seed means the same run for as long as nobody changes what is drawn.

mod bus;
mod checker;
mod client;
mod defects;
mod faults;
mod history;
mod http;
mod meter;
mod rng;
mod store;
mod workload;
mod world;

use std::{fmt::Write as _, sync::RwLock};

/// Defects are switched on for the whole process: whoever runs without one holds this for reading.
static DEFECTS: RwLock<()> = RwLock::new(());

/// How many seeds a run of the tests takes by default.
const SEEDS: u64 = 200;
/// Bad seeds that are told in full.
const WHOLE: usize = 2;
/// Entries of the history that are printed before a violation.
const LAST: usize = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The story of what went wrong with a seed, if anything did.
fn judge(seed: u64) -> Option<String> {
    let run = world::run(seed, None);
    let violations = run.violations();
    let first = violations.first()?;
    let mut story = format!(
        "seed {seed}: {} violations. Again: SEED={seed} cargo test -p chat-sdk --test sim -- seeds\n{:?}\n",
        violations.len(),
        run.plan
    );
    let end = (first.place + 1).min(run.history.len());
    let device = run.history.get(first.place).and_then(|it| it.what.device());
    let device = device.map(|it| history::user_of(it).to_owned());
    let told = run.history[..end].iter().enumerate().filter(|(_, entry)| {
        // Of other devices only what they do to the log.
        let other =
            entry.what.device().is_some_and(|it| Some(history::user_of(it)) != device.as_deref());
        !other || number("ALL").is_some()
    });
    let told: Vec<_> = told.collect();
    let last = number("LAST").map_or(LAST, |last| last as usize);
    for (place, entry) in &told[told.len().saturating_sub(last)..] {
        let _ = writeln!(story, "{place:6} {:6} ms  {:?}", entry.at, entry.what);
    }
    for violation in violations.iter().take(20) {
        let _ = writeln!(story, "{} at {}: {}", violation.rule, violation.place, violation.story);
    }
    Some(story)
}

#[test]
fn every_promise_holds_in_all_seeds() {
    let _without = DEFECTS.read().unwrap();
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => vec![seed],
        None => {
            let from = number("FROM").unwrap_or(1);
            (from..from + number("SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let began = std::time::Instant::now();
    let mut bad = Vec::new();
    for seed in &seeds {
        if let Some(story) = judge(*seed) {
            // The first ones whole, of the others what is wrong.
            let short = story.lines().rev().take_while(|line| !line.starts_with(' '));
            let short: Vec<_> = short.filter(|line| line.contains(" at ")).take(3).collect();
            if bad.len() < WHOLE {
                println!("{story}");
            } else {
                println!("seed {seed}: {}", short.join(" | "));
            }
            bad.push(*seed);
        }
    }
    println!("{} seeds in {:?}, bad: {bad:?}", seeds.len(), began.elapsed());
    assert!(bad.is_empty(), "{} of {} seeds are bad: {bad:?}", bad.len(), seeds.len());
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let _without = DEFECTS.read().unwrap();
    for seed in number("SEED").map_or(vec![3, 4], |seed| vec![seed]) {
        let (one, other) = (world::run(seed, None).history, world::run(seed, None).history);
        let differs = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(place) = differs {
            let from = place.saturating_sub(LAST);
            for (name, history) in [("one", &one), ("other", &other)] {
                println!("{name}:");
                for entry in history.iter().take(place + 10).skip(from) {
                    println!("{:6} ms  {:?}", entry.at, entry.what);
                }
            }
            println!("{:?}", faults::Plan::draw(seed, 9));
            panic!("seed {seed} differs at {place}");
        }
        assert_eq!(one.len(), other.len());
    }
}
