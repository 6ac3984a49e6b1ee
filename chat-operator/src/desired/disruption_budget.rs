//! The PodDisruptionBudget: how many servers those may take away at once who empty nodes.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::ResourceExt;

use super::{Child, deployment::count};
use crate::{crd::ChatCluster, kind::Kind, labels};

/// None for a single server: it could never be moved.
pub(super) fn child(cluster: &ChatCluster) -> Option<Child> {
    let spec = &cluster.spec.disruption_budget;
    if !spec.enabled || cluster.spec.replicas <= 1 || cluster.spec.hibernated {
        return None;
    }
    let name = cluster.name_any();
    let budget = PodDisruptionBudget {
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(count(&spec.max_unavailable)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&name)),
                match_expressions: None,
            }),
            // A server that is broken anyway does not hold a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            min_available: None,
        }),
        ..PodDisruptionBudget::default()
    };
    Some(Child::new(cluster, Kind::PodDisruptionBudget, name, budget))
}
