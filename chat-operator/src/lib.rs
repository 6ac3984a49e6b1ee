//! The operator of [`ChatCluster`](crd::ChatCluster)s. Where things are: `ARCHITECTURE.md`.

pub mod crd;
pub mod manifest;
pub mod labels;
pub mod kind;
pub mod desired;
pub mod observe;
pub mod scrape;
pub mod pods;
pub mod decide;
pub mod autoscale;
pub mod status;
mod quantity;
pub mod apply;
mod turns;
pub mod controller;
pub mod settings;
pub mod client;
pub mod lease;
pub mod installed;
pub mod events;
pub mod web;
pub mod telemetry;
pub mod story;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod world;

/// Whether to write in colours where `terminal` says that somebody looks at it: not if `NO_COLOR` is
/// set.
#[must_use]
pub fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}
