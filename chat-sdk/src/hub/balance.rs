//! Whether this node has more than its share of the connections, and how many of them should move.
//!
//! Live connections stay where they are, so nodes that are added get none of them by themselves.
//! Knows only what the nodes say they hold; whom to tell, and how fast, is the caller's. Times are
//! given in, as time since the node began.

use std::{collections::BTreeMap, time::Duration};

use super::NodeId;

/// A surplus below this is left alone: it is chance, and no relief.
const SURPLUS_MIN: u64 = 10;

/// Whoever has been here for less than so many times the wait is left alone: as long as it takes until
/// a town with new nodes has come to rest, so that nobody is moved twice on the way there.
const SETTLED: u32 = 5;

/// How often the wait may double while moving helps nobody: with a minute, to about an hour.
const DOUBLINGS_MAX: u32 = 6;

/// What the nodes hold, and what follows for this one.
#[derive(Debug)]
pub struct Balance {
    above_percent: u32,
    after: Duration,
    others: BTreeMap<NodeId, Load>,
    /// Since when this node has had too many, without a break.
    above_since: Option<Duration>,
    /// How often in a row those who were told to move did not help.
    in_vain: u32,
}

#[derive(Debug)]
struct Load {
    connections: u64,
    /// Until when it is believed.
    until: Duration,
}

impl Balance {
    /// A node has too many if it has been more than this above the mean for this long; zero: never.
    #[must_use]
    pub const fn new(above_percent: u32, after: Duration) -> Self {
        Self { above_percent, after, others: BTreeMap::new(), above_since: None, in_vain: 0 }
    }

    /// Another node holds so many connections, which is believed until then. `None`: it takes no
    /// part, because it leaves or is of a version that does not say.
    pub fn told(&mut self, node: NodeId, connections: Option<u64>, until: Duration) {
        match connections {
            Some(connections) => self.others.insert(node, Load { connections, until }),
            None => self.others.remove(&node),
        };
    }

    /// Another node ended.
    pub fn ended(&mut self, node: NodeId) {
        self.others.remove(&node);
    }

    /// How many of this node's connections should move now: all above the mean, if it has been above
    /// for long enough, and none otherwise. To be asked about as often as nodes tell what they hold,
    /// and not while those who were told are on their way. What came of it goes to
    /// [`moved`](Self::moved).
    pub fn decide(&mut self, now: Duration, mine: u64) -> u64 {
        self.others.retain(|_, load| load.until > now);
        let surplus = self.surplus(mine);
        if surplus == 0 {
            (self.above_since, self.in_vain) = (None, 0);
            return 0;
        }
        let since = *self.above_since.get_or_insert(now);
        if now.saturating_sub(since) < self.after * 2_u32.pow(self.in_vain) {
            return 0;
        }
        // Whatever is left after this has to last as long again.
        self.above_since = None;
        surplus
    }

    /// Only who has been here since then may be told to move: who has come later may just have been
    /// moved. `None`: nobody yet.
    ///
    /// Among them those who have been here longest go first, because whoever moves comes last,
    /// wherever they land: several rounds reach everybody once before anybody twice.
    #[must_use]
    pub fn settled(&self, now: Duration) -> Option<Duration> {
        now.checked_sub(self.after * SETTLED)
    }

    /// So many were told to move and have had their time, and the node went from so many connections
    /// to so many.
    ///
    /// Of those who move, some land here again: about a quarter on four nodes, half on two. When
    /// nearly all do, the others are out of reach (a node that tells of itself and gets no clients
    /// yet, a balancer that prefers this one), and telling them again each time would only shake
    /// them. So the next time is later and later, until it helps or nothing is to be done.
    pub fn moved(&mut self, told: u64, before: u64, after: u64) {
        let helped = before.saturating_sub(after) * 4 >= told;
        self.in_vain = if helped { 0 } else { (self.in_vain + 1).min(DOUBLINGS_MAX) };
    }

    fn surplus(&self, mine: u64) -> u64 {
        // Nobody to move to.
        if self.others.is_empty() || self.above_percent == 0 {
            return 0;
        }
        let nodes = self.others.len() as u64 + 1;
        let total = mine + self.others.values().map(|load| load.connections).sum::<u64>();
        let most = u128::from(total) * (100 + u128::from(self.above_percent));
        if u128::from(mine) * u128::from(nodes) * 100 <= most {
            return 0;
        }
        let surplus = mine.saturating_sub(total.div_ceil(nodes));
        if surplus < SURPLUS_MIN { 0 } else { surplus }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);
    const TICK: Duration = Duration::from_secs(5);
    const EVER: Duration = Duration::MAX;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn told(loads: &[u64]) -> Balance {
        let mut balance = Balance::new(25, AFTER);
        for (node, load) in loads.iter().enumerate() {
            balance.told(NodeId(node as u64), Some(*load), EVER);
        }
        balance
    }

    /// What is to move after the time that it takes.
    fn check(mine: u64, others: &[u64], surplus: u64) {
        let mut balance = told(others);
        assert_eq!(balance.decide(Duration::ZERO, mine), 0, "not at once");
        assert_eq!(balance.decide(AFTER - TICK, mine), 0, "not too early");
        assert_eq!(balance.decide(AFTER, mine), surplus, "{mine} beside {others:?}");
    }

    #[test]
    fn what_is_above_the_mean_moves() {
        check(300, &[300, 0, 0, 0], 180);
        check(60, &[0], 30);
        check(60, &[0, 0], 40);
        check(125, &[75], 0);
        check(126, &[74], 26);
        // The mean is no whole number.
        check(100, &[0, 1], 66);
    }

    #[test]
    fn nobody_moves_for_little_or_to_nobody() {
        check(19, &[0], 0);
        check(20, &[0], 10);
        check(1_000, &[], 0);
        check(0, &[0, 1_000], 0);
        assert_eq!(Balance::new(0, AFTER).decide(AFTER, 1_000), 0);
        let mut off = told(&[0]);
        off.above_percent = 0;
        assert_eq!((off.decide(AFTER, 1_000), off.decide(AFTER * 2, 1_000)), (0, 0));
    }

    #[test]
    fn whoever_leaves_ends_or_is_not_heard_of_is_not_counted() {
        let mut balance = told(&[]);
        let (a, b) = (NodeId(1), NodeId(2));
        balance.told(a, Some(0), secs(15));
        assert_eq!(balance.decide(secs(0), 100), 0);
        assert_eq!(balance.decide(secs(14), 100), 0);
        assert!(balance.above_since.is_some());
        // Not heard of: alone.
        assert_eq!(balance.decide(secs(15), 100), 0);
        assert!(balance.above_since.is_none() && balance.others.is_empty());
        balance.told(a, Some(0), EVER);
        balance.told(b, Some(100), EVER);
        assert_eq!(balance.surplus(100), 33);
        balance.told(a, None, EVER);
        assert_eq!(balance.surplus(100), 0);
        balance.told(a, Some(0), EVER);
        balance.ended(b);
        assert_eq!(balance.surplus(100), 50);
    }

    #[test]
    fn a_moment_above_is_not_enough() {
        let mut balance = told(&[0]);
        assert_eq!(balance.decide(secs(0), 100), 0);
        assert_eq!(balance.decide(secs(59), 5), 0);
        assert_eq!(balance.decide(secs(60), 100), 0);
        assert_eq!(balance.decide(secs(119), 100), 0);
        assert_eq!(balance.decide(secs(120), 100), 50);
        assert_eq!(balance.decide(secs(121), 100), 0, "what is left has to last again");
        assert_eq!(balance.decide(secs(181), 100), 50);
    }

    #[test]
    fn what_helps_nobody_is_tried_less_and_less_often() {
        let mut balance = told(&[0]);
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let began = now;
            while balance.decide(now, 100) == 0 {
                now += TICK;
            }
            waits.push((now - began).as_secs());
            balance.moved(50, 100, 95);
            now += TICK;
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_840, 3_840, 3_840]);
        balance.moved(50, 100, 75);
        assert_eq!(balance.in_vain, 0, "half of them came back, as on two nodes");
        balance.moved(50, 100, 100);
        assert_eq!(balance.decide(now, 5), 0);
        assert_eq!(balance.in_vain, 0, "nothing is to be done");
    }

    /// A sequence that is the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }

    /// Nodes with their clients, the oldest connection first, as a balancer sees them that chooses
    /// blindly, which is the worst there is.
    struct Town {
        /// Clients with the time at which they came.
        nodes: Vec<(Balance, Vec<(usize, Duration)>)>,
        told: Vec<u32>,
        dice: Dice,
        now: Duration,
    }

    impl Town {
        fn new(seed: u64, clients: usize, nodes: usize) -> Self {
            let mut town = Self {
                nodes: Vec::new(),
                told: vec![0; clients],
                dice: Dice(seed),
                now: Duration::ZERO,
            };
            town.grow(nodes);
            for client in 0..clients {
                town.nodes[client % nodes].1.push((client, Duration::ZERO));
            }
            town
        }

        fn grow(&mut self, nodes: usize) {
            self.nodes.resize_with(nodes, || (Balance::new(25, AFTER), Vec::new()));
        }

        /// All tell, then all decide, then everybody moves who was told.
        fn tick(&mut self) {
            self.now += TICK;
            let loads: Vec<_> = self.nodes.iter().map(|(_, clients)| clients.len()).collect();
            let mut moving = Vec::new();
            let mut rounds = Vec::new();
            for (node, (balance, clients)) in self.nodes.iter_mut().enumerate() {
                for (other, load) in loads.iter().enumerate().filter(|(other, _)| *other != node) {
                    balance.told(NodeId(other as u64), Some(*load as u64), self.now + TICK * 3);
                }
                let surplus = balance.decide(self.now, clients.len() as u64) as usize;
                let settled = balance.settled(self.now);
                let oldest = clients.iter().take(surplus);
                let told = oldest.take_while(|(_, came)| Some(*came) <= settled).count();
                moving.extend(clients.drain(..told));
                rounds.push(told);
            }
            for (client, _) in moving {
                self.told[client] += 1;
                let lands = self.dice.below(self.nodes.len());
                self.nodes[lands].1.push((client, self.now));
            }
            for ((told, before), (balance, clients)) in
                rounds.into_iter().zip(loads).zip(&mut self.nodes)
            {
                if told > 0 {
                    balance.moved(told as u64, before as u64, clients.len() as u64);
                }
            }
        }

        fn largest(&self) -> usize {
            self.nodes.iter().map(|(_, clients)| clients.len()).max().unwrap()
        }

        fn run(&mut self, time: Duration) {
            let until = self.now + time;
            while self.now < until {
                self.tick();
            }
        }

        fn rest(&mut self) {
            self.run(secs(3_600));
        }
    }

    #[test]
    fn five_nodes_where_two_were_have_their_share_and_nobody_is_told_twice() {
        for seed in 1..=100 {
            let mut town = Town::new(seed, 600, 2);
            town.rest();
            assert_eq!(town.told, [0; 600], "nothing to do yet");
            town.grow(5);
            town.run(AFTER * SETTLED);
            let (largest, most) = (town.largest(), town.told.iter().max().unwrap());
            assert_eq!(*most, 1, "seed {seed}");
            assert!(largest <= 180, "{largest} where 300 were, seed {seed}");
            town.rest();
            let (largest, twice) = (town.largest(), town.told.iter().filter(|it| **it > 1).count());
            assert!(largest <= 150, "{largest}, seed {seed}");
            assert!(twice <= 60, "{twice} in all, seed {seed}");
            let told = town.told.clone();
            town.rest();
            assert_eq!(told, town.told, "it has come to rest, seed {seed}");
        }
    }

    #[test]
    fn whatever_the_nodes_it_comes_to_rest() {
        for seed in 1..=30 {
            let mut dice = Dice(seed * 7_919);
            let (clients, nodes) = (100 + dice.below(2_000), 1 + dice.below(9));
            let mut town = Town::new(seed, clients, nodes);
            town.grow(nodes + dice.below(10));
            town.rest();
            let mean = clients.div_ceil(town.nodes.len());
            let most = (mean + SURPLUS_MIN as usize).max(mean * 5 / 4 + 1);
            assert!(town.largest() <= most, "{} of {clients}, seed {seed}", town.largest());
            let told = town.told.clone();
            town.rest();
            assert_eq!(told, town.told, "seed {seed}");
        }
    }
}
