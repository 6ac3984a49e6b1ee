//! The nodes as the API server sees them: registered, ready, and renewed.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Node},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::interval;
use tracing::warn;

use super::Shared;
use crate::namespace::NODE_ADDRESS;

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

pub(super) async fn register(client: &Client, nodes: &[String]) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    for (index, name) in nodes.iter().enumerate() {
        let node = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
                "topology.kubernetes.io/zone": ZONES[index % ZONES.len()],
                "topology.kubernetes.io/region": "lab",
            }},
        }))?;
        api.create(&PostParams::default(), &node).await?;
        patch_status(&api, name).await?;
    }
    Ok(())
}

/// Says every ten seconds that they live, as a node does.
pub(super) async fn keep_alive(shared: Arc<Shared>) {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let leases: Api<Lease> = Api::namespaced(shared.client.clone(), "kube-node-lease");
    let mut again = interval(Duration::from_secs(10));
    loop {
        again.tick().await;
        for name in &shared.nodes {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": { "name": name },
                "spec": {
                    "holderIdentity": name,
                    "leaseDurationSeconds": 40,
                    "renewTime": micro(Timestamp::now()),
                },
            });
            let apply = PatchParams::apply("kubelet").force();
            if let Err(error) = leases.patch(name, &apply, &Patch::Apply(&lease)).await {
                warn!(%error, name, "a node's lease is not renewed");
            }
            if let Err(error) = patch_status(&nodes, name).await {
                warn!(%error, name, "a node's status is not renewed");
            }
        }
    }
}

/// With the six digits that the API server wants.
fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

async fn patch_status(api: &Api<Node>, name: &str) -> Result<(), kube::Error> {
    let now = format!("{:.0}", Timestamp::now());
    let condition = |type_: &str, status: &str, reason: &str| -> Value {
        json!({ "type": type_, "status": status, "reason": reason, "lastHeartbeatTime": now })
    };
    let resources =
        json!({ "cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "50Gi" });
    let status = json!({ "status": {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            { "type": "InternalIP", "address": NODE_ADDRESS.to_string() },
            { "type": "Hostname", "address": name },
        ],
        "nodeInfo": {
            "kubeletVersion": "v1.35.0", "operatingSystem": "linux", "containerRuntimeVersion": "kubelab",
            "architecture": "", "bootID": "", "kernelVersion": "", "kubeProxyVersion": "",
            "machineID": name, "osImage": "kubelab", "systemUUID": name,
        },
        "conditions": [
            condition("Ready", "True", "KubeletReady"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        ],
    }});
    api.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.map(drop)
}
