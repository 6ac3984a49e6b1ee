//! Killed again and again, at no particular moment.

use std::{thread, time::Duration};

use crate::{
    fleet::{Fleet, Outcome, Town},
    process::Home,
    random::Random,
};

/// Kills the server this often while four users talk on two devices each. With a defect, if one is
/// named.
pub(crate) fn crash(seed: u64, rounds: u64, home: &mut Home, defect: Option<&str>) -> Outcome {
    let mut random = Random::new(seed);
    let mut server = home.start();
    let town = Town::found(home.address(), 4);
    if defect.is_some() {
        server.stop();
        home.sabotage(defect);
        server = home.start();
    }
    let fleet = Fleet::start(home.address(), &town, random.next(), 2, |_| {});
    for _ in 0..rounds {
        // By what was done and not by the time it took: a slow machine is killed as busy as a
        // fast one.
        let enough = fleet.acknowledged() + usize::try_from(3 + random.below(60)).unwrap();
        let lively = fleet.wait(|| fleet.acknowledged() >= enough);
        assert!(lively, "nobody is answered any more:\n{}", home.last_words());
        thread::sleep(Duration::from_micros(random.below(20_000)));
        server.kill();
        // Sometimes they try in vain for a while.
        thread::sleep(Duration::from_millis(random.below(2) * random.below(300)));
        server = home.start();
    }
    fleet.finish(home, server)
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_server_is_killed() {
    let rounds = std::env::var("ROUNDS").map_or(5, |it| it.parse().expect("ROUNDS is a number"));
    let seed = Random::seed("rounds");
    let mut home = Home::new();
    let outcome = crash(seed, rounds, &mut home, None);
    println!("rounds: {rounds} kills, {}", outcome.line);
    outcome.expect_right(&format!("SEED={seed} ROUNDS={rounds}"), &home);
    assert!(outcome.acknowledged > usize::try_from(rounds).unwrap() * 2, "{}", outcome.line);
    assert!(outcome.counts.resumes > 0, "{}", outcome.line);
}
