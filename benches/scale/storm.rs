//! What happens when servers go: one dies and its clients come back, all are replaced one by one.

use std::collections::BTreeMap;

use super::{dice::Dice, machines::ADMISSIONS_PER_SECOND};

/// How the clients of a dead server came back.
#[derive(Debug, PartialEq)]
pub(crate) struct Return {
    /// Until the last one was back.
    pub(crate) seconds: usize,
    /// Resumes in the worst second, all servers together.
    pub(crate) resumes: u32,
}

/// After so many failures a client waits for less than this, in seconds: `backoff.rs` and `limits.rs`
/// in `chat-sdk/src/client`.
fn jitter(failures: u32) -> f64 {
    (0.5 * f64::from(1 << failures.min(16))).min(20.0)
}

/// And before that for what it is told with a refusal, in seconds: from this to three times this
/// (`COME_BACK` in `chat-sdk/src/node/mod.rs`).
pub(crate) const COME_BACK: f64 = 1.0;

/// So many clients lost their server and come back to so many others.
pub(crate) fn comes_back(clients: u32, servers: usize, dice: &mut Dice) -> Return {
    // By the second in which they try: how many failures each has had.
    let mut tries: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for _ in 0..clients {
        let first = dice.fraction() * jitter(1);
        tries.entry(first as usize).or_default().push(1);
    }
    let mut back = Return { seconds: 0, resumes: 0 };
    // Each has a second's worth left over from the pause before.
    let mut room = vec![ADMISSIONS_PER_SECOND; servers];
    let mut filled = 0;
    while let Some((second, coming)) = tries.pop_first() {
        for left in &mut room {
            if second > filled + 1 {
                *left = ADMISSIONS_PER_SECOND;
            }
            *left = (*left).min(ADMISSIONS_PER_SECOND) + ADMISSIONS_PER_SECOND;
        }
        filled = second;
        let mut resumes = 0;
        for failures in coming {
            let server = dice.below(servers);
            if room[server] > 0 {
                room[server] -= 1;
                resumes += 1;
            } else {
                let told = COME_BACK * (1.0 + 2.0 * dice.fraction());
                let wait = told + dice.fraction() * jitter(failures + 1);
                tries.entry(second + wait as usize).or_default().push(failures + 1);
            }
        }
        if resumes > 0 {
            back.seconds = second + 1;
        }
        back.resumes = back.resumes.max(resumes);
    }
    back
}

/// How often a client moves while all of so many servers are replaced one after the other, each new
/// one before its old one, if the balancer sends it to any of those that are there.
pub(crate) fn moves_of_a_client(servers: usize) -> f64 {
    let mut old = vec![1.0 / servers as f64; servers];
    let mut moves = 0.0;
    for leaving in 0..servers {
        let moving = old[leaving];
        moves += moving;
        for stays in &mut old[leaving + 1..] {
            *stays += moving / servers as f64;
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_herd_is_back_at_once_and_a_large_one_is_let_in_by_and_by() {
        let back = comes_back(100, 1, &mut Dice(1));
        assert_eq!(back, Return { seconds: 1, resumes: 100 });
        // README has 8 s for 2,000 on one server, with what they missed, which is not played here.
        // In the first second come the 500 that may come at once and the 500 of that second.
        let back = comes_back(2_000, 1, &mut Dice(1));
        assert_eq!(back.resumes, 1_000);
        assert!((4..=8).contains(&back.seconds), "{}", back.seconds);
        let many = comes_back(50_000, 200, &mut Dice(1));
        assert_eq!(many, Return { seconds: 1, resumes: 50_000 });
    }

    #[test]
    fn a_client_moves_once_on_one_server_and_more_often_on_many() {
        assert_eq!(moves_of_a_client(1), 1.0);
        // Half move at once, a half of them to the one that is next.
        assert_eq!(moves_of_a_client(2), 0.5 + 0.75);
        assert!((moves_of_a_client(1_000) - 1.718).abs() < 0.002);
    }
}
