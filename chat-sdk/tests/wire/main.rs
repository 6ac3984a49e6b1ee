//! Raw frames and raw requests at a real port: what PROTOCOL.md promises, seen from outside.
//!
//! Nothing here measures speed. Time-outs of the node are shortened by its `Limits` where a test is
//! about them, and what must come is waited for with `support::PATIENCE`.

#[path = "../support/mod.rs"]
mod support;

// HTTP.
mod access;
mod amendments;
mod bodies;
mod files;
mod paging;
mod routes;
mod described;
// The live connection.
mod delivery;
mod handshake;
mod frames;
mod commands;
mod signals;
mod markers;
mod resume;
mod groups;
mod entrance;
mod credentials;
mod drain;
mod crowd;
mod crowding;
mod slow_reader;
mod nodes;
mod outage;
mod original_clients;
