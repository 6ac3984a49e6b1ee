//! A Kubernetes control plane of real binaries, and a kubelet that runs containers as processes.
//!
//! For tests of whatever talks to Kubernetes: the API server, etcd and the controllers are the real
//! ones, a pod is a network namespace, and a container is a local process with a root, volumes,
//! probes and a grace period of its own. Everything lives in private namespaces of the test's
//! process and ends with it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use kubelab::{ControlPlane, Image, Images, Kubelet};
//!
//! kubelab::enter(); // First of all in `main`, before there are threads.
//! let plane = ControlPlane::start().await?;
//! let images = Images::from([("echo:1".to_owned(), Image::new("/usr/bin/sleep"))]);
//! let kubelet = Kubelet::start(&plane, images).await?;
//! plane.kubectl(["create", "deployment", "echo", "--image=echo:1"]).await?;
//! # Ok(()) }
//! ```
//!
//! What a node has and this one has not: images, cgroups (requests and limits are not held), network
//! policies (not enforced), taints, affinity and spreading (only node selectors and cordons are looked
//! at), `hostNetwork`, Services over UDP, session affinity, `postStart` hooks, probes over gRPC,
//! `resourceFieldRef`, volumes of further kinds, `kubectl logs`, `exec` and `port-forward` (there are
//! [`Kubelet::logs`] and [`Kubelet::exec`]).

#![allow(clippy::missing_panics_doc)] // All of it is for tests: whatever goes wrong is a panic.

mod tools;
mod namespace;
mod certificates;
mod audit;
mod control_plane;
mod services;
mod kubelet;
mod metrics_api;

pub use self::{
    audit::{Audit, AuditEvent},
    control_plane::{ControlPlane, ServiceAccountRef},
    kubelet::{Image, Images, Kubelet, KubeletOptions},
    metrics_api::MetricsApi,
    namespace::{NODE_ADDRESS, enter},
};
