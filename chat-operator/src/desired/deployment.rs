//! The Deployment: the servers, and how one version of them gives way to the next.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::Child;
use crate::{crd::ChatCluster, kind::Kind, labels};

/// The annotation that says which release the servers are of.
pub(crate) const REVISION: &str = "revision";
/// The annotation that holds the template as it was rolled out, so that it can be kept as it is when
/// a newer operator would make it otherwise.
pub(crate) const TEMPLATE: &str = "template";

pub(super) fn child(
    cluster: &ChatCluster,
    revision: &str,
    template: &Value,
    replicas: i32,
) -> Child {
    let rollout = &cluster.spec.rollout;
    let name = cluster.name_any();
    let object = json!({
        "metadata": { "annotations": {
            labels::annotation(REVISION): revision,
            labels::annotation(TEMPLATE): template.to_string(),
        }},
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels::selector(&name) },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {
                    "maxSurge": count(&rollout.max_surge),
                    "maxUnavailable": count(&rollout.max_unavailable),
                },
            },
            "minReadySeconds": rollout.min_ready_seconds,
            "progressDeadlineSeconds": rollout.progress_deadline_seconds,
            "revisionHistoryLimit": 3,
            "template": template,
        },
    });
    Child::new(cluster, Kind::Deployment, name, object)
}

/// A number if it is one, else a percentage.
pub(super) fn count(text: &str) -> IntOrString {
    text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
}
