//! What goes wrong in a run, drawn from its seed before it begins.

use super::{bus::BusWeather, rng::Rng, store::StoreWeather};

/// Milliseconds in which something may go wrong.
pub const CHAOS: std::ops::Range<u64> = 1_500..11_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node dies and comes back after a while.
    Crash {
        node: usize,
        down: u64,
    },
    /// A node leaves in good order and comes back.
    Drain {
        node: usize,
    },
    /// Nothing passes between a network and a node; what was under way is lost.
    Partition {
        net: usize,
        node: usize,
        millis: u64,
    },
    /// Nothing passes from a network to a node (or from the node to it).
    OneWay {
        net: usize,
        node: usize,
        out: bool,
        millis: u64,
    },
    /// Everything waits, and comes later.
    Hold {
        net: usize,
        node: usize,
        millis: u64,
    },
    Store {
        weather: StoreWeather,
        millis: u64,
    },
    Bus {
        weather: BusWeather,
        report: bool,
        millis: u64,
    },
    /// The credential of a device is revoked.
    Revoke {
        device: usize,
    },
    /// A node's clock jumps.
    Clock {
        node: usize,
        millis: i64,
    },
}

/// The set-up of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub nodes: usize,
    pub store: StoreWeather,
    pub bus: BusWeather,
    pub latency: u64,
    pub mailbox: usize,
    pub replay_max: u64,
    pub replay_page: u16,
    pub in_flight: usize,
    pub tcp_capacity: usize,
    pub commit_writes: usize,
    /// Batches that a node commits at the same time.
    pub lanes: usize,
    /// Milliseconds between two looks at all heads.
    pub position_check: u64,
    /// Everybody talks much and there is little room, so that whoever stops reading has soon missed
    /// more than a node keeps.
    pub crowded: bool,
    /// When, in milliseconds; ascending.
    pub faults: Vec<(u64, Fault)>,
}

const KINDS: u64 = 9;

impl Plan {
    pub fn draw(seed: u64, devices: usize) -> Self {
        let mut rng = Rng::new(seed, "plan");
        let nodes = *rng.pick(&[1, 1, 2, 2, 3]);
        // Faults hide each other: half of the runs know one kind only.
        let one = rng.chance(500);
        let kind = rng.below(KINDS);
        let count = if rng.chance(100) { 0 } else { rng.between(2, 10) };
        let mut faults: Vec<_> = (0..count)
            .map(|_| {
                let at = rng.between(CHAOS.start, CHAOS.end - 1);
                let kind = if one { kind } else { rng.below(KINDS) };
                (at, Self::fault(&mut rng, kind, nodes, devices))
            })
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        let store = StoreWeather {
            delay: *rng.pick(&[0, 5, 40, 200]),
            fails_before: *rng.pick(&[0, 0, 10]),
            fails_after: *rng.pick(&[0, 0, 10]),
            ..StoreWeather::default()
        };
        let bus = BusWeather {
            drops: *rng.pick(&[0, 0, 50, 300]),
            repeats: *rng.pick(&[0, 100]),
            delay: *rng.pick(&[2, 50, 400]),
            reports: *rng.pick(&[0, 200]),
            down: false,
        };
        let crowded = rng.chance(120);
        let mailboxes = if crowded { [2_600; 3] } else { [2_600, 8_000, 64_000] };
        let capacities = if crowded { [64; 2] } else { [64, 128] };
        Self {
            nodes,
            store,
            bus,
            latency: *rng.pick(&[10, 30, 80]),
            mailbox: *rng.pick(&mailboxes),
            replay_max: *rng.pick(&[15, 60, 1_000]),
            replay_page: *rng.pick(&[1, 4, 100]),
            in_flight: *rng.pick(&[2, 32]),
            tcp_capacity: *rng.pick(&capacities),
            commit_writes: *rng.pick(&[2, 256]),
            lanes: *rng.pick(&[1, 3]),
            position_check: *rng.pick(&[500, 1_000, 2_500]),
            crowded,
            faults,
        }
    }

    fn fault(rng: &mut Rng, kind: u64, nodes: usize, devices: usize) -> Fault {
        let node = rng.below(nodes as u64) as usize;
        let net = rng.below(2) as usize;
        let millis = rng.between(100, 3_000);
        match kind {
            0 => Fault::Crash { node, down: rng.between(0, 1_500) },
            1 => Fault::Drain { node },
            2 => Fault::Partition { net, node, millis },
            3 => Fault::OneWay { net, node, out: rng.chance(500), millis },
            4 => Fault::Hold { net, node, millis },
            5 => {
                let weather = StoreWeather {
                    delay: *rng.pick(&[0, 50, 500]),
                    fails_before: *rng.pick(&[0, 100, 500]),
                    fails_after: *rng.pick(&[0, 100, 500]),
                    late: *rng.pick(&[0, 0, 100]),
                    hangs: *rng.pick(&[0, 0, 50]),
                };
                Fault::Store { weather, millis }
            }
            6 => {
                let weather = BusWeather {
                    drops: *rng.pick(&[200, 500, 1_000]),
                    repeats: 100,
                    delay: *rng.pick(&[50, 1_000]),
                    reports: 0,
                    down: rng.chance(300),
                };
                Fault::Bus { weather, report: rng.chance(300), millis }
            }
            7 => Fault::Revoke { device: rng.below(devices as u64) as usize },
            _ => Fault::Clock { node, millis: rng.below(20_000) as i64 - 10_000 },
        }
    }
}
