//! The operator of [`ChatCluster`](crd::ChatCluster)s.

pub mod crd;
pub mod manifest;
pub mod settings;
pub mod client;
pub mod lease;
pub mod installed;
pub mod controller;
pub mod events;
pub mod web;
pub mod telemetry;
pub mod story;

/// Whether to write in colours where `terminal` says that somebody looks at it: not if `NO_COLOR` is
/// set.
#[must_use]
pub fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}
