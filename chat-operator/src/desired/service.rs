//! The Service: where the chat is reached.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use kube::ResourceExt;

use super::Child;
use crate::{
    crd::{ChatCluster, ServiceType},
    kind::Kind,
    labels,
};

pub(super) fn child(cluster: &ChatCluster) -> Child {
    let spec = &cluster.spec.service;
    let name = cluster.name_any();
    let service = Service {
        metadata: ObjectMeta {
            annotations: (!spec.annotations.is_empty()).then(|| spec.annotations.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some(
                match spec.kind {
                    ServiceType::ClusterIP => "ClusterIP",
                    ServiceType::NodePort => "NodePort",
                    ServiceType::LoadBalancer => "LoadBalancer",
                }
                .to_owned(),
            ),
            selector: Some(labels::selector(&name)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                // Meshes and gateways let live connections through by it.
                app_protocol: Some(
                    if cluster.spec.tls.is_some() {
                        "kubernetes.io/wss"
                    } else {
                        "kubernetes.io/ws"
                    }
                    .to_owned(),
                ),
                port: spec.port,
                target_port: Some(IntOrString::String("http".to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    Child::new(cluster, Kind::Service, name, service)
}
