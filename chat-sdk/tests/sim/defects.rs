//! The tests' own power: with a defect switched on, the checker has to complain.

use chat_sdk::sabotage::{self, Defect};

use super::{store::Twist, world};

/// How many seeds a defect may survive. Found within this many on the day it was measured, times
/// three.
const SEEDS_MAX: u64 = 60;

/// Runs seeds until the checker complains; after how many, and about what.
fn caught(twist: Option<Twist>) -> Option<(u64, &'static str)> {
    (1..=SEEDS_MAX).find_map(|seed| {
        let violations = world::run(seed, twist).violations();
        violations.first().map(|first| (seed, first.rule))
    })
}

/// All in one, because a defect is switched on for the whole process.
#[test]
fn every_defect_is_caught() {
    let _alone = super::DEFECTS.write().unwrap();
    let mut missed = Vec::new();
    for defect in [
        Defect::AckBeforeCommit,
        Defect::ForgetKeys,
        Defect::ResumeOffByOne,
        Defect::SkipHoles,
        Defect::NoPositionCheck,
        Defect::RejoinBlindly,
        Defect::KeepRemoved,
        Defect::DropSilently,
        Defect::IgnoreRevocation,
        Defect::Unordered,
        Defect::Unbounded,
    ] {
        sabotage::commit(Some(defect));
        let caught = caught(None);
        sabotage::commit(None);
        println!("{defect:?}: {caught:?}");
        if caught.is_none() {
            missed.push(format!("{defect:?}"));
        }
    }
    for twist in [Twist::LastWriterWins, Twist::LeakPages, Twist::LeakMembers, Twist::ForgetMoves] {
        let caught = caught(Some(twist));
        println!("{twist:?}: {caught:?}");
        if caught.is_none() {
            missed.push(format!("{twist:?}"));
        }
    }
    assert!(missed.is_empty(), "not caught in {SEEDS_MAX} seeds: {missed:?}");
}
