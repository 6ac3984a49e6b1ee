//! The HorizontalPodAutoscaler. It scales the resource, never the Deployment: replicas flow one way.

use k8s_openapi::{
    api::autoscaling::v2::{
        CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
        HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec,
        MetricTarget, PodsMetricSource, ResourceMetricSource,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Resource, ResourceExt};
use serde_json::Value;

use super::Child;
use crate::{
    crd::{AutoscalingSource, ChatCluster},
    kind::Kind,
};

/// The metric of a pod by which is scaled.
const CONNECTIONS: &str = "chat_connections";

pub(super) fn child(cluster: &ChatCluster) -> Option<Child> {
    let spec = cluster.spec.autoscaling.as_ref()?;
    if cluster.spec.hibernated || spec.source != AutoscalingSource::HorizontalPodAutoscaler {
        return None;
    }
    let name = cluster.name_any();
    let connections = spec.connections_per_pod.map(|average| MetricSpec {
        type_: "Pods".to_owned(),
        pods: Some(PodsMetricSource {
            metric: MetricIdentifier { name: CONNECTIONS.to_owned(), selector: None },
            target: MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(average.to_string())),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    });
    let cpu = spec.cpu_percent.map(|percent| MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    });
    let autoscaler = HorizontalPodAutoscaler {
        spec: Some(HorizontalPodAutoscalerSpec {
            min_replicas: Some(spec.min_replicas),
            max_replicas: spec.max_replicas,
            metrics: Some(connections.into_iter().chain(cpu).collect()),
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(ChatCluster::api_version(&()).into_owned()),
                kind: ChatCluster::kind(&()).into_owned(),
                name: name.clone(),
            },
            behavior: None,
        }),
        ..HorizontalPodAutoscaler::default()
    };
    let mut object = serde_json::to_value(autoscaler).expect("an object is plain data");
    object["spec"]["behavior"] = match &spec.behavior {
        Some(given) => Value::Object(given.clone()),
        None => serde_json::to_value(unhurried()).expect("an object is plain data"),
    };
    Some(Child::new(cluster, Kind::HorizontalPodAutoscaler, name, object))
}

/// Down by one in two minutes, after ten minutes in which fewer would have done: each time, clients
/// have to move.
fn unhurried() -> HorizontalPodAutoscalerBehavior {
    HorizontalPodAutoscalerBehavior {
        scale_down: Some(HPAScalingRules {
            stabilization_window_seconds: Some(600),
            policies: Some(vec![HPAScalingPolicy {
                type_: "Pods".to_owned(),
                value: 1,
                period_seconds: 120,
            }]),
            ..HPAScalingRules::default()
        }),
        scale_up: None,
    }
}
