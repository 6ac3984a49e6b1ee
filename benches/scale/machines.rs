//! What a machine is and how far it may be loaded: choices, no measurements.

/// A server of the chat: 4 cores, 8 GiB.
pub(crate) const SERVER_CORES: f64 = 4.0;
/// Half: one of two may be gone, and the balance tolerates a quarter above the mean.
pub(crate) const SERVER_BUSY: f64 = 0.5;
/// Half of `limits.connections_max`.
pub(crate) const SERVER_CONNECTIONS: f64 = 50_000.0;

/// A PostgreSQL primary: 32 cores.
pub(crate) const PG_CORES: f64 = 32.0;
/// The rest is for vacuum, checkpoints, backups and the storm after a dead server.
pub(crate) const PG_BUSY: f64 = 0.5;
/// `postgres.write_connections` + `postgres.read_connections`, and one while it starts.
pub(crate) const PG_CONNECTIONS_OF_A_SERVER: f64 = 13.0;
/// Backends that one primary is known to stand well without a pooler.
pub(crate) const PG_CONNECTIONS: f64 = 1_000.0;
/// Writing tasks of a server: `postgres.write_connections`.
pub(crate) const LANES: f64 = 4.0;
/// How long markers would wait for company.
pub(crate) const MARKERS_WAIT_S: f64 = 0.25;

/// Of its one thread. Queues grow above, and with them the delay of everything.
pub(crate) const REDIS_BUSY: f64 = 0.6;

/// A server's network, bytes a second in one direction: 10 Gbit/s, half used.
pub(crate) const NETWORK_BYTES: f64 = 10e9 / 8.0 * 0.5;

/// Settings of the chat, as `chat-sdk/src/limits.rs` has them.
pub(crate) const POSITION_CHECK_S: f64 = 10.0;
/// What a larger chat sets instead.
pub(crate) const POSITION_CHECK_CHANGED_S: f64 = 60.0;
pub(crate) const MEMBERSHIP_CHECK_S: f64 = 20.0;
pub(crate) const CREDENTIAL_CHECK_S: f64 = 30.0;
pub(crate) const CREDENTIALS_AT_ONCE: f64 = 4.0;
pub(crate) const HEARTBEAT_S: f64 = 25.0;
pub(crate) const ALIVE_S: f64 = 5.0;
pub(crate) const ADMISSIONS_PER_SECOND: u32 = 500;
pub(crate) const MOVES_PER_SECOND: f64 = 1_000.0;
pub(crate) const COMMIT_WRITES_MAX: usize = 256;
/// `Summary::MARKERS_MAX`: above it nobody is shown who has read what.
pub(crate) const MARKERS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use chat_sdk::{Limits, Summary};

    use super::*;
    use crate::parts::PARTS;

    #[test]
    fn the_settings_are_those_of_the_chat() {
        let limits = Limits::default();
        for (name, here, there) in [
            ("position check", POSITION_CHECK_S, limits.position_check.as_secs_f64()),
            ("membership check", MEMBERSHIP_CHECK_S, limits.membership_check.as_secs_f64()),
            ("credential check", CREDENTIAL_CHECK_S, limits.credential_check.as_secs_f64()),
            ("heartbeat", HEARTBEAT_S, limits.heartbeat.as_secs_f64()),
            ("signs of life", ALIVE_S, limits.node_lease.as_secs_f64() / 3.0),
            ("moves", MOVES_PER_SECOND, f64::from(limits.moves_per_second)),
            ("connections", SERVER_CONNECTIONS, limits.connections_max as f64 / 2.0),
        ] {
            assert_eq!(here, there, "{name}");
        }
        assert_eq!(ADMISSIONS_PER_SECOND, limits.admissions_per_second);
        assert_eq!(COMMIT_WRITES_MAX, limits.commit_writes_max);
        assert_eq!(MARKERS_MAX as usize, Summary::MARKERS_MAX);
    }

    /// What the crate keeps to itself is looked up in its text.
    #[test]
    fn the_constants_are_those_of_the_chat() {
        let says = |text: &str, line: String| assert!(text.contains(&line), "{line}");
        let channel = include_str!("../../chat-sdk/src/bus/redis/channel.rs");
        says(channel, format!("const PARTS: usize = {PARTS};"));
        let credentials = include_str!("../../chat-sdk/src/node/credentials.rs");
        says(credentials, format!("const ASKED_AT_ONCE: usize = {CREDENTIALS_AT_ONCE};"));
        let node = include_str!("../../chat-sdk/src/node/mod.rs");
        let seconds = crate::storm::COME_BACK;
        says(node, format!("const COME_BACK: Duration = Duration::from_secs({seconds});"));
        let config = include_str!("../../chat-server/src/config/mod.rs");
        let reads = PG_CONNECTIONS_OF_A_SERVER - 1.0 - LANES;
        says(config, format!("read_connections.get()), ({LANES}, {reads}));"));
    }
}
