//! What one operation costs. Whoever measures anew replaces a figure here, in its one line; nothing
//! else knows any.
//!
//! Each line says where its figure is from: *RESULTS* is a row of `benches/RESULTS.md`, *by hand* is
//! described under "Where the figures are from" in `docs/capacity.md`, *assumed* is nobody's.

/// CPU-microseconds of a server.
pub(crate) const SERVER_DELIVERY_US: f64 = 4.8; // RESULTS "Fan-out", to 5,000
pub(crate) const SERVER_SEND_US: f64 = 27.0; // RESULTS "Messages", direct on PostgreSQL, the server's
pub(crate) const SERVER_CONNECT_US: f64 = 65.0; // RESULTS "Connections"
pub(crate) const SERVER_PING_US: f64 = 10.0; // assumed: a frame in, a frame out
pub(crate) const SERVER_HEARD_US: f64 = 8.0; // assumed: what the bus brings, a frame in and a look-up
pub(crate) const SERVER_HEAD_US: f64 = 1.0; // assumed: a row of the position check

/// CPU-microseconds of PostgreSQL.
pub(crate) const PG_WRITE_US: f64 = 25.0; // RESULTS "Messages", direct on PostgreSQL, PostgreSQL's
pub(crate) const PG_TRANSACTION_US: f64 = 480.0; // by hand: beside the row in it
pub(crate) const PG_HEAD_US: f64 = 5.5; // by hand: a conversation of the position check
pub(crate) const PG_MOVED_US: f64 = 2.3; // by hand: a user of the membership check
pub(crate) const PG_POINT_US: f64 = 20.0; // by hand: a row by its key
pub(crate) const PG_MEMBERSHIPS_US: f64 = 160.0; // by hand: the 20 conversations of a user
pub(crate) const PG_TAIL_US: f64 = 55.0; // by hand: what was missed in one conversation

/// CPU-microseconds of a Redis, which has one thread.
pub(crate) const REDIS_PUBLISH_US: f64 = 2.0; // by hand: a message that nobody hears
pub(crate) const REDIS_DELIVERY_US: f64 = 8.0; // assumed: each server that gets it
pub(crate) const REDIS_SUBSCRIBE_US: f64 = 2.1; // by hand

/// Bytes.
pub(crate) const CONNECTION_BYTES: f64 = 4_000.0; // RESULTS "Connections": each follows 20 conversations
pub(crate) const SUBSCRIPTION_BYTES: f64 = 160.0; // by hand: of a Redis, each server that listens
pub(crate) const FRAME_BYTES: f64 = 360.0; // assumed: 128 of text, JSON around it, TCP and TLS
pub(crate) const BUS_BYTES: f64 = 400.0; // assumed: the same with its channel
pub(crate) const EVENT_DISK_BYTES: f64 = 485.0; // by hand: 128 of text, a key of 36, with the two indexes
pub(crate) const MEMBER_DISK_BYTES: f64 = 300.0; // by hand: with the three indexes
pub(crate) const WAL_WRITE_BYTES: f64 = 1_000.0; // assumed: without whole pages

/// Time.
pub(crate) const FLUSH_S: f64 = 0.002; // assumed: a commit on a good SSD; its round trips with it
pub(crate) const ROUND_TRIP_S: f64 = 0.0005; // assumed: a question to PostgreSQL that it need not think about

/// Sends a second into one conversation.
pub(crate) const HOT_CONVERSATION_SENDS: f64 = 9_600.0; // RESULTS "Messages", one conversation, by the clock
