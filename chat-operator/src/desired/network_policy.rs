//! The NetworkPolicy: who may connect to the servers. What they connect to is not restricted: where
//! PostgreSQL and Redis are stands in secrets.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::ResourceExt;

use super::{Child, pod};
use crate::{crd::ChatCluster, kind::Kind, labels};

/// `operator`: the namespace that the operator runs in, if it runs in one.
pub(super) fn child(cluster: &ChatCluster, operator: Option<&str>) -> Option<Child> {
    let spec = &cluster.spec.network_policy;
    if !spec.enabled {
        return None;
    }
    let name = cluster.name_any();
    let rule = |port: i32, from: Vec<NetworkPolicyPeer>| NetworkPolicyIngressRule {
        from: (!from.is_empty()).then_some(from),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port)),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    };
    let label = |key: &str, value: &str| LabelSelector {
        match_labels: Some([(key.to_owned(), value.to_owned())].into()),
        match_expressions: None,
    };
    let mut scrapers = spec.metrics_from.clone();
    if scrapers.is_empty() {
        scrapers.push(NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        });
    } else if let Some(namespace) = operator {
        // It asks the servers for their connections before it takes one away.
        scrapers.push(NetworkPolicyPeer {
            namespace_selector: Some(label("kubernetes.io/metadata.name", namespace)),
            pod_selector: Some(label("app.kubernetes.io/name", "chat-operator")),
            ip_block: None,
        });
    }
    let policy = NetworkPolicy {
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&name)),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                rule(pod::HTTP, spec.ingress_from.clone()),
                rule(pod::METRICS, scrapers),
            ]),
            egress: None,
        }),
        ..NetworkPolicy::default()
    };
    Some(Child::new(cluster, Kind::NetworkPolicy, name, policy))
}
