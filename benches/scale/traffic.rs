//! What a population does to so many servers in the busiest hour, counted over sampled conversations
//! whose members sit where a blind balancer has put them.

use super::{
    commits::writes_of_a_transaction,
    costs::{REDIS_DELIVERY_US, REDIS_PUBLISH_US},
    dice::Dice,
    machines::{ALIVE_S, COMMIT_WRITES_MAX, LANES, MARKERS_WAIT_S},
    parts::{PARTS, part_of_nodes},
    population::{
        CONNECTED_S, DEVICES, KINDS, MARKS, ONLINE, Population, Sampled, TYPING, WATCHED,
    },
};

/// What could be different from the program as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Design {
    /// As it is.
    Today,
    /// With the changes that `docs/capacity.md` names.
    Changed,
}

/// A second of the busiest hour.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    pub(crate) nodes: f64,
    pub(crate) messages: f64,
    /// Markers that are written.
    pub(crate) marks: f64,
    pub(crate) typing: f64,
    /// Frames to connections: of messages, of markers, of typing signals.
    pub(crate) delivered: f64,
    pub(crate) delivered_marks: f64,
    pub(crate) delivered_typing: f64,
    /// For how many servers a message has a follower.
    pub(crate) servers_of_a_message: f64,
    /// On the bus.
    pub(crate) published: f64,
    pub(crate) heard: f64,
    /// Of that, what servers tell each other about themselves.
    pub(crate) heard_alive: f64,
    /// Conversations that a server follows, all servers added up.
    pub(crate) followed: f64,
    /// Topics that the bus has a listener for, each server counted.
    pub(crate) subscriptions: f64,
    /// New connections.
    pub(crate) connects: f64,
    /// Writes that share a transaction.
    pub(crate) writes_of_a_transaction: f64,
    /// Frames of the busiest server against the mean.
    pub(crate) hottest_node: f64,
    /// The most that one conversation takes: messages, messages and markers, frames.
    pub(crate) hottest_sends: f64,
    pub(crate) hottest_writes: f64,
    pub(crate) hottest_delivered: f64,
    /// Microseconds of Redis that each part takes.
    pub(crate) parts: [f64; PARTS],
}

impl Traffic {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            nodes: 0.0,
            messages: 0.0,
            marks: 0.0,
            typing: 0.0,
            delivered: 0.0,
            delivered_marks: 0.0,
            delivered_typing: 0.0,
            servers_of_a_message: 0.0,
            published: 0.0,
            heard: 0.0,
            heard_alive: 0.0,
            followed: 0.0,
            subscriptions: 0.0,
            connects: 0.0,
            writes_of_a_transaction: 0.0,
            hottest_node: 0.0,
            hottest_sends: 0.0,
            hottest_writes: 0.0,
            hottest_delivered: 0.0,
            parts: [0.0; PARTS],
        }
    }

    pub(crate) fn count(
        population: &Population,
        nodes: usize,
        design: Design,
        at_most: usize,
        seed: u64,
    ) -> Self {
        let mut dice = Dice(seed);
        let mut counting = Counting {
            traffic: Self { nodes: nodes as f64, ..Self::new() },
            placing: Placing::new(nodes, dice.clone()),
            heavy: vec![0.0; nodes],
            light_mean: 0.0,
            light_variance: 0.0,
            spread: 0.0,
            design,
        };
        for kind in &KINDS {
            for sampled in population.sample(kind, at_most) {
                counting.conversation(&sampled);
            }
        }
        counting.rest(population);
        let mut traffic = counting.traffic;
        traffic.writes_of_a_transaction = traffic.shared(design, &mut dice);
        traffic
    }

    fn shared(&self, design: Design, dice: &mut Dice) -> f64 {
        let lanes = self.nodes * LANES;
        match design {
            Design::Today => writes_of_a_transaction(self.writes() / lanes, dice),
            Design::Changed => {
                let messages = self.messages / writes_of_a_transaction(self.messages / lanes, dice);
                let waiting = self.marks / lanes * MARKERS_WAIT_S;
                let marks = self.marks / waiting.clamp(1.0, COMMIT_WRITES_MAX as f64);
                self.writes() / (messages + marks)
            }
        }
    }

    pub(crate) fn writes(&self) -> f64 {
        self.messages + self.marks
    }

    pub(crate) fn transactions(&self) -> f64 {
        self.writes() / self.writes_of_a_transaction
    }

    pub(crate) fn frames(&self) -> f64 {
        self.delivered + self.delivered_marks + self.delivered_typing
    }
}

struct Counting {
    traffic: Traffic,
    placing: Placing,
    /// Frames of each server that conversations cause which stand for themselves.
    heavy: Vec<f64>,
    /// Of one server, by those that stand for many.
    light_mean: f64,
    light_variance: f64,
    /// What is on the bus and lies in no part of its own, in microseconds.
    spread: f64,
    design: Design,
}

impl Counting {
    fn conversation(&mut self, it: &Sampled) {
        let nodes = self.traffic.nodes;
        // At rest: whoever is online follows it.
        let there = self.placing.place(it.members, ONLINE, 0);
        self.traffic.followed += it.like_it * there.servers;

        // In talk: the speaker is there for certain.
        let there = self.placing.place(it.members.saturating_sub(1), it.online, 1);
        let readers = there.users - 1.0;
        let of_a_reader = (it.rate * MARKS).min(1.0);
        let marks = readers * of_a_reader;
        let typing = it.rate * TYPING;
        let shown = self.design == Design::Today || it.shows_markers();
        let told = if shown { marks } else { 0.0 };

        let frames = (it.rate + told + typing) * there.connections;
        let published = it.rate + told + typing;
        let heard = published * there.servers;
        let w = it.like_it;
        let traffic = &mut self.traffic;
        traffic.messages += w * it.rate;
        traffic.marks += w * marks;
        traffic.typing += w * typing;
        traffic.delivered += w * it.rate * there.connections;
        traffic.delivered_marks += w * told * there.connections;
        traffic.delivered_typing += w * typing * there.connections;
        traffic.published += w * published;
        traffic.heard += w * heard;
        traffic.servers_of_a_message += w * it.rate * there.servers;
        traffic.hottest_sends = traffic.hottest_sends.max(it.rate);
        traffic.hottest_writes = traffic.hottest_writes.max(it.rate + marks);
        traffic.hottest_delivered = traffic.hottest_delivered.max(frames);
        let micros = published * REDIS_PUBLISH_US + heard * REDIS_DELIVERY_US;
        if it.is_itself() {
            let part = self.placing.dice.below(PARTS);
            traffic.parts[part] += micros;
            for (server, connections) in self.placing.taken() {
                self.heavy[server] += frames / there.connections * connections;
            }
        } else {
            self.spread += w * micros;
            let each = frames / there.connections;
            self.light_mean += w * frames / nodes;
            let squares: f64 = self.placing.taken().map(|(_, n)| n * n).sum();
            self.light_variance += w * each * each * squares / nodes;
        }
    }

    /// What does not come out of conversations.
    fn rest(&mut self, population: &Population) {
        let nodes = self.traffic.nodes;
        let traffic = &mut self.traffic;
        traffic.servers_of_a_message /= traffic.messages;
        traffic.connects = population.connections() / CONNECTED_S;

        // A user who comes and one who goes: a word to those who watch them. Who watches somebody
        // new asks where they are; that is heard where they are and where somebody else watches.
        let words = traffic.connects * (2.0 + WATCHED);
        let watchers = distinct(WATCHED * ONLINE * DEVICES, nodes);
        traffic.published += words;
        traffic.heard += words * watchers;
        self.spread += words * (REDIS_PUBLISH_US + watchers * REDIS_DELIVERY_US);

        // Everybody hears everybody.
        let alive = nodes / ALIVE_S;
        traffic.heard_alive = alive * nodes;
        traffic.published += alive;
        traffic.heard += traffic.heard_alive;
        traffic.parts[part_of_nodes()] +=
            alive * REDIS_PUBLISH_US + traffic.heard_alive * REDIS_DELIVERY_US;

        let connections = population.connections();
        // Of the users, each server listens for those that are there or are watched there.
        let of_a_node = connections / nodes * (1.0 + WATCHED);
        let users = nodes * distinct(of_a_node, population.users);
        traffic.subscriptions = traffic.followed + users + nodes;

        for part in &mut traffic.parts {
            *part += self.spread / PARTS as f64;
        }
        // The largest of n that are spread by chance lies √(2 ln n) deviations above their mean.
        let deviations = (2.0 * nodes.ln()).sqrt() * self.light_variance.sqrt();
        let hottest = self.heavy.iter().copied().fold(0.0, f64::max) + self.light_mean + deviations;
        traffic.hottest_node = hottest * nodes / traffic.frames();
    }
}

/// How many different ones are hit by so many blind throws.
pub(crate) fn distinct(throws: f64, of: f64) -> f64 {
    if of <= 1.0 {
        return throws.min(1.0);
    }
    of * (1.0 - (throws * (1.0 - 1.0 / of).ln()).exp())
}

/// Who is there of one conversation, and where.
struct Placing {
    /// For each server the round in which it was last hit, and by how many connections.
    seen: Vec<(u64, u32)>,
    round: u64,
    /// Those of this round.
    hit: Vec<usize>,
    dice: Dice,
}

struct There {
    users: f64,
    connections: f64,
    servers: f64,
}

impl Placing {
    fn new(nodes: usize, dice: Dice) -> Self {
        Self { seen: vec![(0, 0); nodes], round: 0, hit: Vec::new(), dice }
    }

    /// So many users, each there with this probability, and so many more for certain.
    fn place(&mut self, users: u32, probability: f64, certain: u32) -> There {
        self.round += 1;
        let users = self.dice.binomial(users, probability) + certain;
        let connections = users + self.dice.binomial(users, DEVICES - 1.0);
        self.hit.clear();
        for _ in 0..connections {
            let server = self.dice.below(self.seen.len());
            let (round, here) = &mut self.seen[server];
            if *round != self.round {
                (*round, *here) = (self.round, 0);
                self.hit.push(server);
            }
            *here += 1;
        }
        There {
            users: f64::from(users),
            connections: f64::from(connections),
            servers: self.hit.len() as f64,
        }
    }

    /// Where somebody is, and how many connections.
    fn taken(&self) -> impl Iterator<Item = (usize, f64)> {
        self.hit.iter().map(|server| (*server, f64::from(self.seen[*server].1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placing(nodes: usize) -> Placing {
        Placing::new(nodes, Dice(3))
    }

    #[test]
    fn one_server_follows_everything_and_many_have_one_each() {
        let there = placing(1).place(100, 1.0, 0);
        assert_eq!((there.users, there.servers), (100.0, 1.0));
        let mut placing = placing(4);
        let mut servers = 0.0;
        for _ in 0..10_000 {
            // Two users for certain, 1.3 connections each: 2.6 in the mean.
            let there = placing.place(0, 0.0, 2);
            assert_eq!(placing.taken().map(|(_, n)| n).sum::<f64>(), there.connections);
            servers += there.servers;
        }
        // By hand: 0.49 · 1.75 + 0.42 · 2.3125 + 0.09 · 2.734375.
        assert!((servers / 10_000.0 - 2.0748).abs() < 0.02, "{servers}");
        assert!((distinct(2.0, 4.0) - 1.75).abs() < 1e-9);
        assert_eq!(distinct(5.0, 1.0), 1.0);
    }

    #[test]
    fn markers_of_a_large_group_are_told_to_everybody_today() {
        let count = |members, design| {
            let mut counting = Counting {
                traffic: Traffic { nodes: 1.0, ..Traffic::new() },
                placing: placing(1),
                heavy: vec![0.0],
                light_mean: 0.0,
                light_variance: 0.0,
                spread: 0.0,
                design,
            };
            counting.conversation(&Sampled { like_it: 1.0, members, online: 0.5, rate: 0.1 });
            counting.traffic
        };
        let today = count(1_000, Design::Today);
        // 500 readers and the speaker, with 650 connections: 65 frames for messages a second, and
        // 500 · 0.13 markers, each to all.
        assert!((today.delivered / 65.0 - 1.0).abs() < 0.1, "{}", today.delivered);
        assert!((today.marks / 65.0 - 1.0).abs() < 0.1);
        assert!((today.delivered_marks / today.marks * 0.1 / today.delivered - 1.0).abs() < 1e-9);
        let changed = count(1_000, Design::Changed);
        assert_eq!((changed.marks, changed.delivered_marks), (today.marks, 0.0));
        assert!(count(100, Design::Changed).delivered_marks > 0.0);
    }

    #[test]
    fn two_sample_sizes_agree() {
        let population = Population { users: 1e8 };
        let count = |n| Traffic::count(&population, 1_000, Design::Today, n, 1);
        let (few, many) = (count(2_000), count(8_000));
        for (name, of) in [
            ("messages", (few.messages, many.messages)),
            ("delivered", (few.delivered, many.delivered)),
            ("heard", (few.heard, many.heard)),
            ("followed", (few.followed, many.followed)),
            ("marks", (few.marks, many.marks)),
            ("delivered marks", (few.delivered_marks, many.delivered_marks)),
        ] {
            assert!((of.0 / of.1 - 1.0).abs() < 0.05, "{name}: {} and {}", of.0, of.1);
        }
    }
}
