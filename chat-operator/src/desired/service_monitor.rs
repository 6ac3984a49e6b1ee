//! The ServiceMonitor, for Prometheus Operator: a kind that not every Kubernetes cluster knows.
//!
//! It looks for pods through the Service, and scrapes a port that the Service does not offer.

use kube::ResourceExt;
use serde_json::json;

use super::Child;
use crate::{
    crd::{ChatCluster, ServiceMonitorMode},
    kind::Kind,
    labels,
};

pub(super) fn child(cluster: &ChatCluster) -> Option<Child> {
    let spec = &cluster.spec.monitoring;
    match spec.service_monitor {
        ServiceMonitorMode::Auto => {}
        ServiceMonitorMode::Disabled => return None,
    }
    let name = cluster.name_any();
    let mut endpoint = json!({ "targetPort": super::pod::METRICS, "path": "/metrics" });
    if let Some(interval) = &spec.interval {
        endpoint["interval"] = interval.clone().into();
    }
    let object = json!({
        "metadata": { "labels": spec.labels },
        "spec": {
            "selector": { "matchLabels": labels::selector(&name) },
            "endpoints": [endpoint],
        },
    });
    Some(Child::new(cluster, Kind::ServiceMonitor, name, object))
}
