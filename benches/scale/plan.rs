//! From traffic to machines, and to the limits that are met.

use super::{
    costs::{
        FRAME_BYTES, HOT_CONVERSATION_SENDS, PG_HEAD_US, PG_MEMBERSHIPS_US, PG_MOVED_US,
        PG_POINT_US, PG_TAIL_US, PG_TRANSACTION_US, PG_WRITE_US, REDIS_SUBSCRIBE_US, ROUND_TRIP_S,
        SERVER_CONNECT_US, SERVER_DELIVERY_US, SERVER_HEAD_US, SERVER_HEARD_US, SERVER_PING_US,
        SERVER_SEND_US,
    },
    dice::Dice,
    machines::{
        CREDENTIAL_CHECK_S, CREDENTIALS_AT_ONCE, HEARTBEAT_S, MEMBERSHIP_CHECK_S, MOVES_PER_SECOND,
        NETWORK_BYTES, PG_BUSY, PG_CONNECTIONS, PG_CONNECTIONS_OF_A_SERVER, PG_CORES,
        POSITION_CHECK_CHANGED_S, POSITION_CHECK_S, REDIS_BUSY, SERVER_BUSY, SERVER_CONNECTIONS,
        SERVER_CORES,
    },
    parts::{PARTS, on_masters},
    population::{MISSED_IN, Population, WATCHED},
    storm::{self, Return},
    traffic::{Design, Traffic},
};

/// A day's conversations of a user: what a connection follows.
const FOLLOWED: f64 = 20.0;
/// A rolling update should not take longer.
const UPDATE_S: f64 = 3_600.0;
/// Sizes of a Redis Cluster that somebody would run.
const MASTERS: [usize; 12] = [1, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128];
const SEED: u64 = 1;
/// Each adds a smaller part: far more than are needed.
const ROUNDS_MAX: usize = 30;

/// What a population needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) population: Population,
    pub(crate) traffic: Traffic,
    pub(crate) server_cores: f64,
    pub(crate) postgres: PostgresCores,
    /// Microseconds of each part of the bus.
    pub(crate) parts: [f64; PARTS],
    /// How many masters, and how busy the busiest is; `None`: no number is enough.
    pub(crate) masters: Option<(usize, f64)>,
    pub(crate) dead_server: Return,
    pub(crate) moves_of_a_client: f64,
    design: Design,
}

/// Cores of PostgreSQL by what they are spent on.
#[derive(Debug, Default)]
pub(crate) struct PostgresCores {
    pub(crate) writes: f64,
    pub(crate) position_check: f64,
    pub(crate) membership_check: f64,
    pub(crate) credential_check: f64,
    pub(crate) coming: f64,
}

impl PostgresCores {
    fn of(population: &Population, traffic: &Traffic, design: Design) -> Self {
        let (every, credential) = match design {
            Design::Today => (POSITION_CHECK_S, 2.0 * PG_POINT_US),
            Design::Changed => (POSITION_CHECK_CHANGED_S, PG_MOVED_US),
        };
        let connections = population.connections();
        let writes = traffic.transactions() * PG_TRANSACTION_US + traffic.writes() * PG_WRITE_US;
        Self {
            writes: writes / 1e6,
            position_check: traffic.followed / every * PG_HEAD_US / 1e6,
            membership_check: connections / MEMBERSHIP_CHECK_S * PG_MOVED_US / 1e6,
            credential_check: connections / CREDENTIAL_CHECK_S * credential / 1e6,
            coming: traffic.connects * resume_us(population, traffic) / 1e6,
        }
    }

    pub(crate) fn all(&self) -> f64 {
        let Self { writes, position_check, membership_check, credential_check, coming } = self;
        writes + position_check + membership_check + credential_check + coming
    }
}

/// Microseconds of PostgreSQL for a client that comes back: who it is, once more when the bus listens
/// for it, its conversations, what it missed with the markers, the heads of what is newly followed.
fn resume_us(population: &Population, traffic: &Traffic) -> f64 {
    let new = traffic.followed / population.connections();
    4.0 * PG_POINT_US + PG_MEMBERSHIPS_US + MISSED_IN * 2.0 * PG_TAIL_US + new * PG_HEAD_US
}

fn server_cores(population: &Population, traffic: &Traffic, design: Design) -> f64 {
    let every = match design {
        Design::Today => POSITION_CHECK_S,
        Design::Changed => POSITION_CHECK_CHANGED_S,
    };
    let micros = traffic.frames() * SERVER_DELIVERY_US
        + traffic.writes() * SERVER_SEND_US
        + traffic.heard * SERVER_HEARD_US
        + traffic.connects * SERVER_CONNECT_US
        + population.connections() / HEARTBEAT_S * SERVER_PING_US
        + traffic.followed / every * SERVER_HEAD_US;
    micros / 1e6
}

/// As many as their work or their connections need, and one more that may be gone.
fn servers(population: &Population, cores: f64) -> usize {
    let by_cores = cores / (SERVER_CORES * SERVER_BUSY);
    let by_connections = population.connections() / SERVER_CONNECTIONS;
    by_cores.max(by_connections).ceil() as usize + 1
}

impl Plan {
    pub(crate) fn new(users: f64, design: Design, at_most: usize) -> Self {
        let population = Population { users };
        // More servers hear each message more often, which takes more servers: until it settles.
        let mut nodes = servers(&population, 0.0);
        let mut traffic = Traffic::count(&population, nodes, design, at_most, SEED);
        for _ in 0..ROUNDS_MAX {
            let wanted = servers(&population, server_cores(&population, &traffic, design));
            if wanted <= nodes {
                break;
            }
            nodes = wanted;
            traffic = Traffic::count(&population, nodes, design, at_most, SEED);
        }

        let mut parts = traffic.parts;
        // Topics are wanted and, later, not any more.
        let changes = traffic.connects * (1.0 + WATCHED + FOLLOWED) * 2.0;
        for part in &mut parts {
            *part += changes * REDIS_SUBSCRIBE_US / PARTS as f64;
        }
        let masters = MASTERS.into_iter().find_map(|masters| {
            let busiest = on_masters(&parts, masters).into_iter().fold(0.0, f64::max) / 1e6;
            (busiest <= REDIS_BUSY).then_some((masters, busiest))
        });
        let of_a_server = population.connections() / nodes as f64;
        let left = (nodes - 1).max(1);
        Self {
            server_cores: server_cores(&population, &traffic, design),
            postgres: PostgresCores::of(&population, &traffic, design),
            parts,
            masters,
            dead_server: storm::comes_back(of_a_server as u32, left, &mut Dice(SEED)),
            moves_of_a_client: storm::moves_of_a_client(nodes),
            population,
            traffic,
            design,
        }
    }

    pub(crate) fn redis_threads(&self) -> f64 {
        self.parts.iter().sum::<f64>() / 1e6
    }

    /// What no cluster can divide.
    pub(crate) fn busiest_part(&self) -> f64 {
        self.parts.iter().copied().fold(0.0, f64::max) / 1e6
    }

    /// Machines of 32 cores, by CPU alone.
    pub(crate) fn primaries(&self) -> f64 {
        (self.postgres.all() / (PG_CORES * PG_BUSY)).ceil()
    }

    pub(crate) fn postgres_connections(&self) -> f64 {
        self.traffic.nodes * PG_CONNECTIONS_OF_A_SERVER
    }

    /// Cores that the resumes of the worst second after a server's death take.
    pub(crate) fn resume_cores(&self) -> f64 {
        f64::from(self.dead_server.resumes) * resume_us(&self.population, &self.traffic) / 1e6
    }

    /// If each client moves once, as the operator does it.
    pub(crate) fn update_s(&self) -> f64 {
        self.population.connections() / MOVES_PER_SECOND
    }

    /// Bytes a second out of the busiest server.
    pub(crate) fn network_bytes(&self) -> f64 {
        self.traffic.frames() / self.traffic.nodes * self.traffic.hottest_node * FRAME_BYTES
    }

    /// One round of the position check on one server, which asks one question after the other.
    pub(crate) fn position_round_s(&self) -> f64 {
        let followed = self.traffic.followed / self.traffic.nodes;
        followed * (PG_HEAD_US + SERVER_HEAD_US) / 1e6 + followed / 1_000.0 * ROUND_TRIP_S
    }

    fn credential_round_s(&self) -> f64 {
        let connections = self.population.connections() / self.traffic.nodes;
        connections * 2.0 * (ROUND_TRIP_S + PG_POINT_US / 1e6) / CREDENTIALS_AT_ONCE
    }

    /// How much of each limit is used: above one it is met.
    pub(crate) fn limits(&self) -> [(&'static str, f64); LIMITS] {
        let (every, credentials) = match self.design {
            Design::Today => (POSITION_CHECK_S, self.credential_round_s() / CREDENTIAL_CHECK_S),
            Design::Changed => (POSITION_CHECK_CHANGED_S, 0.0),
        };
        [
            ("one Redis: its thread", self.redis_threads() / REDIS_BUSY),
            ("Redis Cluster: its busiest part", self.busiest_part() / REDIS_BUSY),
            ("one PostgreSQL: its cores", self.postgres.all() / (PG_CORES * PG_BUSY)),
            ("one PostgreSQL: connections", self.postgres_connections() / PG_CONNECTIONS),
            ("one PostgreSQL: resumes after a dead server", self.resume_cores() / PG_CORES),
            ("a server: round of the position check", self.position_round_s() / every),
            ("a server: round of the credential check", credentials),
            ("a server: its network", self.network_bytes() / NETWORK_BYTES),
            ("all servers: an update within an hour", self.update_s() / UPDATE_S),
            (
                "the busiest conversation: its row",
                self.traffic.hottest_writes / HOT_CONVERSATION_SENDS,
            ),
        ]
    }
}

pub(crate) const LIMITS: usize = 10;

/// A limit, and with how many users it is met; `None`: not up to the largest population.
pub(crate) type Met = (&'static str, Option<f64>);

/// How many steps a power of ten has on the way up.
const STEPS: i32 = 4;

/// The limits in the order in which a growing chat meets them.
pub(crate) fn met(design: Design, at_most: usize, upto: f64) -> Vec<Met> {
    let sizes = (0..).map(|step| 1e4 * 10_f64.powf(f64::from(step) / f64::from(STEPS)));
    let sizes = sizes.take_while(|users| *users <= upto * 1.01);
    let steps: Vec<_> =
        sizes.map(|users| (users, Plan::new(users, design, at_most).limits())).collect();
    let mut met: Vec<Met> = (0..LIMITS)
        .map(|limit| {
            let used: Vec<_> = steps.iter().map(|(users, all)| (*users, all[limit].1)).collect();
            (steps[0].1[limit].0, crossing(&used))
        })
        .collect();
    met.sort_by(|a, b| a.1.unwrap_or(f64::MAX).total_cmp(&b.1.unwrap_or(f64::MAX)));
    met
}

/// Where what is used crosses one for the last time on the way up, on a line between two steps, both
/// ways logarithmic.
fn crossing(used: &[(f64, f64)]) -> Option<f64> {
    used.windows(2).rev().find_map(|step| {
        let [(users, below), (more, above)] = [step[0], step[1]];
        let crosses = below <= 1.0 && above > 1.0;
        crosses.then(|| users * (more / users).powf(-below.ln() / (above / below).ln()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Traffic {
        Traffic {
            nodes: 2.0,
            messages: 100.0,
            marks: 300.0,
            delivered: 1_000.0,
            heard: 500.0,
            followed: 10_000.0,
            connects: 10.0,
            writes_of_a_transaction: 4.0,
            ..Traffic::new()
        }
    }

    #[test]
    fn cores_are_costs_times_counts() {
        // 30,000 users: 9,750 connections.
        let population = Population { users: 30_000.0 };
        let check = |what: &str, cores: f64, by_hand_us: f64| {
            assert!((cores * 1e6 / by_hand_us - 1.0).abs() < 1e-9, "{what}: {cores}");
        };
        let cores = PostgresCores::of(&population, &small(), Design::Today);
        check("writes", cores.writes, 100.0 * PG_TRANSACTION_US + 400.0 * PG_WRITE_US);
        check("positions", cores.position_check, 1_000.0 * PG_HEAD_US);
        check("memberships", cores.membership_check, 487.5 * PG_MOVED_US);
        check("credentials", cores.credential_check, 650.0 * PG_POINT_US);
        let resume = 4.0 * PG_POINT_US
            + PG_MEMBERSHIPS_US
            + 4.0 * PG_TAIL_US
            + 10_000.0 / 9_750.0 * PG_HEAD_US;
        check("coming", cores.coming, 10.0 * resume);
        let servers = 1_000.0 * SERVER_DELIVERY_US
            + 400.0 * SERVER_SEND_US
            + 500.0 * SERVER_HEARD_US
            + 10.0 * SERVER_CONNECT_US
            + 390.0 * SERVER_PING_US
            + 1_000.0 * SERVER_HEAD_US;
        check("servers", server_cores(&population, &small(), Design::Today), servers);
    }

    #[test]
    fn servers_are_enough_for_work_and_connections_and_one_may_be_gone() {
        let million = Population { users: 1e6 };
        // 325,000 connections, 50,000 each: 6.5.
        assert_eq!(servers(&million, 0.0), 8);
        assert_eq!(servers(&million, 20.0), 11);
        assert_eq!(servers(&Population { users: 1.0 }, 0.0), 2);
    }

    #[test]
    fn a_limit_is_met_where_its_line_crosses_one() {
        assert_eq!(crossing(&[(1e4, 0.1), (1e5, 0.5)]), None);
        let square = [(1e4, 0.01), (1e5, 1.0 + 1e-12), (1e6, 100.0)];
        assert!((crossing(&square).unwrap() / 1e5 - 1.0).abs() < 1e-6);
        let linear = crossing(&[(1e4, 0.5), (1e5, 5.0)]).unwrap();
        assert!((linear / 2e4 - 1.0).abs() < 1e-9, "{linear}");
        // One more server can help once more.
        let twice = crossing(&[(1e4, 0.5), (1e5, 5.0), (1e6, 0.5), (1e7, 5.0)]).unwrap();
        assert!((twice / 2e6 - 1.0).abs() < 1e-9, "{twice}");
    }
}
