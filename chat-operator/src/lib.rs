//! The operator of [`ChatCluster`](crd::ChatCluster)s.

pub mod apply;
pub mod autoscale;
pub mod controller;
pub mod crd;
pub mod decide;
pub mod desired;
pub mod events;
#[cfg(test)]
mod fixture;
pub mod kind;
pub mod labels;
pub mod lease;
pub mod observe;
pub mod pods;
mod quantity;
pub mod scrape;
pub mod settings;
pub mod status;
pub mod telemetry;
#[cfg(test)]
mod world;
