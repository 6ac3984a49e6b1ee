//! Whether these tests would notice: a server that is broken on purpose has to fail them.

use crate::{faults, process::Home, random::Random, rounds::crash};

/// Within three runs.
fn is_noticed(defect: &str, sign: &str, run: impl Fn(u64) -> Vec<String>) {
    let mut random = Random::new(Random::seed(defect));
    for attempt in 1..=3 {
        let wrong = run(random.next());
        if wrong.iter().any(|it| it.contains(sign)) {
            return println!("{defect}: noticed in run {attempt} by {} complaints", wrong.len());
        }
    }
    panic!("{defect} was not noticed");
}

fn in_a_crash(defect: &str, sign: &str) {
    is_noticed(defect, sign, |seed| crash(seed, 4, &mut Home::new(), Some(defect)).wrong);
}

#[test]
fn an_answer_before_the_commit_is_noticed() {
    in_a_crash("AnswerBeforeCommit", "lost: ");
}

#[test]
fn forgotten_keys_are_noticed() {
    in_a_crash("ForgetKeys", "new twice: ");
}

#[test]
fn an_answer_in_spite_of_a_failed_commit_is_noticed() {
    if !faults::can_trace() {
        return;
    }
    is_noticed("AckBeforeCommit", "lost: ", |_| {
        let (home, town) = faults::settled_home(Some("AckBeforeCommit"));
        faults::with_fault(&home, &town, "pwrite64:error=ENOSPC:when=40..120", usize::MAX).wrong
    });
}

#[test]
fn a_store_that_does_not_wait_for_the_disk_is_noticed() {
    if !faults::can_trace() {
        return;
    }
    let flushes = faults::flushes_of_twenty(Some("NoFlush"));
    assert!(flushes < 20, "{flushes}");
}
