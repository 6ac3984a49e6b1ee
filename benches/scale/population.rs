//! Who there is: users, what they are members of, how often they speak. Assumptions, but where a
//! source is named.

use super::{
    dice::{pareto, pareto_mean},
    machines::MARKERS_MAX,
};

/// Messages that a user sends in a day. WhatsApp carried 100 billion a day for somewhat more than two
/// billion users in autumn 2020.
pub(crate) const MESSAGES_PER_DAY: f64 = 45.0;
/// The busiest hour against the mean of the day.
pub(crate) const PEAK: f64 = 2.0;
/// Users with an open connection in the busiest hour.
pub(crate) const ONLINE: f64 = 0.25;
/// Connections of a user who is there: a telephone, and for some a computer.
pub(crate) const DEVICES: f64 = 1.3;
/// How long a connection lasts, in seconds: an app in the foreground.
pub(crate) const CONNECTED_S: f64 = 1_200.0;
/// Users whose presence a client watches: the list of its direct conversations.
pub(crate) const WATCHED: f64 = 12.0;
/// Conversations in which something was missed, at a resume.
pub(crate) const MISSED_IN: f64 = 2.0;
/// Typing signals for a message: it begins, is repeated every 3 s, ends.
pub(crate) const TYPING: f64 = 3.0;
/// Markers that a reader sets for a message: one that it arrived, and for some that it was read
/// later. A client of ours sends at most one a second for a conversation.
pub(crate) const MARKS: f64 = 1.3;

/// Conversations of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Of how many of them a user is a member.
    pub(crate) of_a_user: f64,
    pub(crate) size_min: f64,
    pub(crate) size_max: f64,
    /// How fast large ones become rare.
    pub(crate) size_power: f64,
    /// Of all messages.
    pub(crate) messages: f64,
    /// How many of the others are online while somebody speaks: two who talk are awake.
    pub(crate) online: f64,
}

/// 20 for each user, which is also what the connections of README's measurement follow. The largest
/// are as large as `limits.members_max` allows.
pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        of_a_user: 12.0,
        size_min: 2.0,
        size_max: 2.0,
        size_power: 1.0,
        messages: 0.55,
        online: 0.5,
    },
    Kind {
        of_a_user: 5.0,
        size_min: 3.0,
        size_max: 12.0,
        size_power: 1.5,
        messages: 0.28,
        online: 0.4,
    },
    Kind {
        of_a_user: 2.0,
        size_min: 13.0,
        size_max: 200.0,
        size_power: 1.5,
        messages: 0.14,
        online: 0.3,
    },
    Kind {
        of_a_user: 1.0,
        size_min: 201.0,
        size_max: 10_000.0,
        size_power: 1.5,
        messages: 0.03,
        online: 0.25,
    },
];

/// Within a kind, the n-th busiest conversation has n to the minus this as many messages.
const BUSY_POWER: f64 = 0.7;

/// A conversation that stands for so many like it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampled {
    pub(crate) like_it: f64,
    pub(crate) members: u32,
    pub(crate) online: f64,
    /// Messages a second in the busiest hour.
    pub(crate) rate: f64,
}

impl Sampled {
    /// Whether there is one of it only.
    pub(crate) fn is_itself(&self) -> bool {
        self.like_it <= 1.0
    }

    /// Whether clients are shown who has read what.
    pub(crate) fn shows_markers(&self) -> bool {
        self.members <= MARKERS_MAX
    }
}

/// So many users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Population {
    pub(crate) users: f64,
}

impl Population {
    /// Messages a second in the busiest hour.
    pub(crate) fn messages(&self) -> f64 {
        self.users * MESSAGES_PER_DAY * PEAK / 86_400.0
    }

    pub(crate) fn online(&self) -> f64 {
        self.users * ONLINE
    }

    pub(crate) fn connections(&self) -> f64 {
        self.online() * DEVICES
    }

    /// How many conversations of this kind there are.
    pub(crate) fn conversations(&self, kind: &Kind) -> f64 {
        let mean = match kind.size_max > kind.size_min {
            true => pareto_mean(kind.size_min, kind.size_max, kind.size_power),
            false => kind.size_min,
        };
        (self.users * kind.of_a_user / mean).max(1.0)
    }

    /// At most so many that stand for all of this kind. The busiest tenth of them stand for
    /// themselves, because the hottest is not the mean of any.
    pub(crate) fn sample(&self, kind: &Kind, at_most: usize) -> Vec<Sampled> {
        let all = self.conversations(kind).round();
        let few = (at_most as f64).min(all) as usize;
        let alone = if few as f64 == all { few } else { few / 10 };
        let like_it = (all - alone as f64) / (few - alone).max(1) as f64;
        // The largest there can be for so few users is all of them.
        let largest = kind.size_max.min(self.users);
        let mut sampled: Vec<_> = (0..few)
            .map(|n| {
                let (rank, like_it) = match n < alone {
                    true => (n as f64 + 1.0, 1.0),
                    false => (alone as f64 + ((n - alone) as f64 + 0.5) * like_it + 0.5, like_it),
                };
                // Multiples of the golden ratio fill the interval evenly, in no order: sizes have
                // their distribution in every sample, and nothing to do with who is busy.
                let below = (0.5 + n as f64 * 0.618_033_988_749_895).fract();
                let size = match largest > kind.size_min {
                    true => pareto(below, kind.size_min, largest, kind.size_power),
                    false => largest,
                };
                Sampled {
                    like_it,
                    members: size.round() as u32,
                    online: kind.online,
                    rate: rank.powf(-BUSY_POWER),
                }
            })
            .collect();
        let weights: f64 = sampled.iter().map(|it| it.rate * it.like_it).sum();
        let scale = self.messages() * kind.messages / weights;
        for it in &mut sampled {
            it.rate *= scale;
        }
        sampled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_all() {
        let population = Population { users: 1e6 };
        // By hand: 10⁶ · 45 · 2 / 86,400.
        assert!((population.messages() - 1_041.7).abs() < 0.1);
        assert_eq!(population.connections(), 325_000.0);
        assert_eq!(population.conversations(&KINDS[0]), 6e6);
        for (n, kind) in KINDS.iter().enumerate() {
            let sample = population.sample(kind, 5_000);
            let all: f64 = sample.iter().map(|it| it.like_it).sum();
            let messages: f64 = sample.iter().map(|it| it.like_it * it.rate).sum();
            let members: f64 = sample.iter().map(|it| it.like_it * f64::from(it.members)).sum();
            assert!((all / population.conversations(kind) - 1.0).abs() < 0.01, "{n}");
            assert!((messages / population.messages() / kind.messages - 1.0).abs() < 1e-9);
            let of_a_user = members / population.users / kind.of_a_user;
            assert!((of_a_user - 1.0).abs() < 0.02, "{n}: {of_a_user}");
            assert!(sample[0].is_itself() && sample[0].rate > sample.last().unwrap().rate);
        }
        assert!((KINDS.iter().map(|kind| kind.messages).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(KINDS.iter().map(|kind| kind.of_a_user).sum::<f64>(), 20.0);
    }
}
