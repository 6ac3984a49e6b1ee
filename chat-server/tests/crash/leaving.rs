//! Asked to leave, again and again, in the middle of everything.

use crate::{
    fleet::{Fleet, Town},
    process::Home,
    random::Random,
};

#[test]
fn an_orderly_end_under_load_answers_what_is_in_flight_and_loses_nothing() {
    let seed = Random::seed("leaving");
    let mut random = Random::new(seed);
    let home = Home::new();
    let mut server = home.start();
    let town = Town::found(home.address(), 3);
    let fleet = Fleet::start(home.address(), &town, random.next(), 2, |_| {});
    let rounds = 2;
    for _ in 0..rounds {
        let enough = fleet.acknowledged() + usize::try_from(20 + random.below(60)).unwrap();
        let lively = fleet.wait(|| fleet.acknowledged() >= enough);
        assert!(lively, "nobody is answered any more:\n{}", home.last_words());
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", home.last_words());
        server = home.start();
    }
    let outcome = fleet.finish(&home, server);
    println!("leaving: {rounds} times, {}", outcome.line);
    outcome.expect_right(&format!("SEED={seed}"), &home);
    // Three users with two devices each, all connected when they were told.
    assert!(outcome.counts.drains > 0, "nobody was told to move: {}", outcome.line);
}
