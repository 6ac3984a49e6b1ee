//! Gives pending pods to nodes: the next one in turn of those that its node selector matches and that
//! are not cordoned. Knows nothing of resources, affinity, taints and spreading.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::Status,
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tracing::warn;

use super::Shared;

pub(super) struct Scheduler {
    shared: Arc<Shared>,
    /// Those that no node would take, with what was said of them.
    pending: BTreeMap<(String, String), (Pod, String)>,
    turn: usize,
}

impl Scheduler {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, pending: BTreeMap::new(), turn: 0 }
    }

    pub(super) async fn consider(&mut self, pod: &Pod) {
        let key = (pod.namespace().unwrap_or_default(), pod.name_any());
        let spec = pod.spec.as_ref();
        let other = spec.and_then(|spec| spec.scheduler_name.as_deref());
        let waits = spec.is_some_and(|spec| spec.node_name.is_none())
            && pod.metadata.deletion_timestamp.is_none()
            && other.is_none_or(|name| name == "default-scheduler");
        if waits {
            let said = self.pending.remove(&key).map(|(_, said)| said).unwrap_or_default();
            self.place(key, pod.clone(), said).await;
        } else {
            self.pending.remove(&key);
        }
    }

    pub(super) fn forget(&mut self, key: &(String, String)) {
        self.pending.remove(key);
    }

    /// Whether a node takes them by now.
    pub(super) async fn try_again(&mut self) {
        for (key, (pod, said)) in std::mem::take(&mut self.pending) {
            self.place(key, pod, said).await;
        }
    }

    async fn place(&mut self, key: (String, String), pod: Pod, said: String) {
        let nodes: Api<Node> = Api::all(self.shared.client.clone());
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &key.0);
        let result = match nodes.list(&ListParams::default()).await {
            Ok(nodes) => match choose(&pod, &nodes.items, &mut self.turn) {
                Ok(node) => bind(&pods, &pod, &node).await,
                Err(message) if message == said => {
                    self.pending.insert(key, (pod, said));
                    return;
                }
                Err(message) => {
                    let result = refuse(&pods, &pod, &message).await;
                    self.pending.insert(key, (pod, message));
                    result
                }
            },
            Err(error) => {
                self.pending.insert(key, (pod, said));
                Err(error)
            }
        };
        match result {
            Ok(()) => {}
            // Gone, or bound meanwhile.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => warn!(%error, "a pod is not scheduled"),
        }
    }
}

/// The name of a node, or why there is none.
fn choose(pod: &Pod, nodes: &[Node], turn: &mut usize) -> Result<String, String> {
    let selector =
        pod.spec.as_ref().and_then(|spec| spec.node_selector.clone()).unwrap_or_default();
    let (mut cordoned, mut fits) = (0, Vec::new());
    for node in nodes {
        if !selector.iter().all(|(key, value)| node.labels().get(key) == Some(value)) {
            continue;
        }
        if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
            cordoned += 1;
            continue;
        }
        fits.push(node.name_any());
    }
    if fits.is_empty() {
        let mut reasons = Vec::new();
        let others = nodes.len() - cordoned;
        if others > 0 {
            reasons.push(format!("{others} node(s) didn't match Pod's node affinity/selector"));
        }
        if cordoned > 0 {
            reasons.push(format!("{cordoned} node(s) were unschedulable"));
        }
        return Err(format!("0/{} nodes are available: {}.", nodes.len(), reasons.join(", ")));
    }
    *turn = turn.wrapping_add(1);
    Ok(fits.swap_remove(*turn % fits.len()))
}

async fn bind(pods: &Api<Pod>, pod: &Pod, node: &str) -> Result<(), kube::Error> {
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": pod.name_any(), "uid": pod.uid() },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let name = pod.name_any();
    pods.create_subresource::<_, Status>("binding", &name, &PostParams::default(), &binding)
        .await
        .map(drop)
}

async fn refuse(pods: &Api<Pod>, pod: &Pod, message: &str) -> Result<(), kube::Error> {
    let status = json!({ "status": { "conditions": [{
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": format!("{:.0}", Timestamp::now()),
    }]}});
    let name = pod.name_any();
    pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await.map(drop)
}
