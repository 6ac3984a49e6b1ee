//! Carries a plan out: server-side apply with managers of our own, and nothing that is there already.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Value, json};

use crate::{
    crd::{ChatCluster, ChatClusterStatus},
    decide::{Plan, Problem},
    desired::Child,
    kind::Kind,
    labels::{self, COST_MANAGER, DELETION_COST, MANAGER, SCALE_MANAGER, STATUS_MANAGER},
    observe::Observed,
    quantity, telemetry,
};

/// What came of carrying it out: what was written, and what did not work. One step that fails keeps
/// no other from being taken.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Children that were made or changed.
    pub written: Vec<(Kind, String)>,
    /// Children that were deleted.
    pub deleted: Vec<(Kind, String)>,
    /// Calls that failed.
    pub errors: Vec<ApplyError>,
}

/// A write that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct ApplyError {
    /// What was to be done.
    pub what: String,
    /// Why it was not.
    #[source]
    pub why: kube::Error,
}

impl ApplyError {
    /// What people can do about it; `None`: it may pass by itself.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let kube::Error::Api(status) = &self.why else { return None };
        let message = format!("cannot {}: {}", self.what, status.message);
        match status.code {
            403 if status.message.contains("exceeded quota") => {
                Some(Problem::QuotaExceeded(message))
            }
            // What is being deleted is about to be over by itself.
            403 if status.message.contains("being terminated") => None,
            403 => Some(Problem::Forbidden(message)),
            400 | 422 => Some(Problem::InvalidSpec(message)),
            _ => None,
        }
    }
}

/// Writes. Its client is one that does so only while this operator leads.
#[derive(Clone)]
pub struct Writer(Client);

impl Writer {
    /// With this client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self(client)
    }

    /// Carries out everything but the status.
    pub async fn carry_out(&self, seen: &Observed, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        let namespace = seen.cluster.namespace().unwrap_or_default();
        for (pod, cost) in &plan.costs {
            let written = self.cost(&namespace, pod, *cost).await;
            outcome.note(written, || format!("write the deletion cost of pod {pod}"));
        }
        for child in &plan.apply {
            let there = seen.children.get(&(child.kind, child.name.clone()));
            if there.is_some_and(|there| holds(child, there)) {
                continue;
            }
            let written = self.apply(&namespace, child).await;
            if outcome.note(written, || format!("apply {} {}", child.kind, child.name)) {
                outcome.written.push((child.kind, child.name.clone()));
            }
        }
        for (kind, name) in &plan.delete {
            let deleted = self.delete(&namespace, *kind, name).await;
            if outcome.note(deleted, || format!("delete {kind} {name}")) {
                outcome.deleted.push((*kind, name.clone()));
            }
        }
        outcome
    }

    async fn apply(&self, namespace: &str, child: &Child) -> kube::Result<()> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.0.clone(), namespace, &child.kind.resource());
        let force = PatchParams::apply(MANAGER).force();
        match api.patch(&child.name, &force, &Patch::Apply(&child.object)).await {
            // A Service tells its ports apart by their numbers: one with another number, given by
            // hand, stands beside ours, and no two may have the same name.
            Err(kube::Error::Api(status)) if status.code == 422 && child.kind == Kind::Service => {
                let ports = json!({ "spec": { "ports": child.object["spec"]["ports"] } });
                let field_manager = Some(MANAGER.to_owned());
                let params = PatchParams { field_manager, ..PatchParams::default() };
                api.patch(&child.name, &params, &Patch::Merge(ports)).await?;
                api.patch(&child.name, &force, &Patch::Apply(&child.object)).await?;
            }
            applied => drop(applied?),
        }
        telemetry::wrote(child.kind.name(), "apply");
        Ok(())
    }

    async fn delete(&self, namespace: &str, kind: Kind, name: &str) -> kube::Result<()> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.0.clone(), namespace, &kind.resource());
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match api.delete(name, &params).await {
            Ok(_) => {
                telemetry::wrote(kind.name(), "delete");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Writes what it costs to remove a pod, or lets go of it.
    async fn cost(&self, namespace: &str, pod: &str, cost: Option<i64>) -> kube::Result<()> {
        let api: Api<Pod> = Api::namespaced(self.0.clone(), namespace);
        let annotations =
            cost.map_or_else(|| json!({}), |cost| json!({ DELETION_COST: cost.to_string() }));
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": pod, "annotations": annotations },
        });
        match api.patch(pod, &PatchParams::apply(COST_MANAGER).force(), &Patch::Apply(patch)).await
        {
            Ok(_) => {
                telemetry::wrote("Pod", "apply");
                Ok(())
            }
            // Applying to what is gone would make it: Kubernetes refuses a pod without containers.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 422) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Writes the status, if it is another than the one that stands there.
    ///
    /// # Errors
    ///
    /// The call failed; a resource that is gone is none.
    pub async fn status(
        &self,
        cluster: &ChatCluster,
        status: &ChatClusterStatus,
    ) -> Result<bool, ApplyError> {
        if cluster.status.as_ref() == Some(status) {
            return Ok(false);
        }
        let namespace = cluster.namespace().unwrap_or_default();
        let api: Api<ChatCluster> = Api::namespaced(self.0.clone(), &namespace);
        let patch = json!({
            "apiVersion": <ChatCluster as kube::Resource>::api_version(&()),
            "kind": <ChatCluster as kube::Resource>::kind(&()),
            // Of this very resource, not of a later one of its name.
            "metadata": { "name": cluster.name_any(), "uid": cluster.uid() },
            "status": status,
        });
        let force = PatchParams::apply(STATUS_MANAGER).force();
        match api.patch_status(&cluster.name_any(), &force, &Patch::Apply(patch)).await {
            Ok(_) => {
                telemetry::wrote("ChatCluster", "status");
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(why) => Err(ApplyError { what: "write the status".to_owned(), why }),
        }
    }

    /// Sets the number of servers of a cluster that scales itself.
    ///
    /// # Errors
    ///
    /// The call failed.
    pub async fn scale(&self, cluster: &ChatCluster, replicas: i32) -> Result<(), ApplyError> {
        let namespace = cluster.namespace().unwrap_or_default();
        let api: Api<ChatCluster> = Api::namespaced(self.0.clone(), &namespace);
        // With the version that was read: whoever scaled meanwhile was first.
        let patch = json!({
            "metadata": { "resourceVersion": cluster.resource_version() },
            "spec": { "replicas": replicas },
        });
        let params =
            PatchParams { field_manager: Some(SCALE_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_scale(&cluster.name_any(), &params, &Patch::Merge(patch)).await {
            Ok(_) => {
                telemetry::wrote("ChatCluster", "scale");
                Ok(())
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(why) => Err(ApplyError { what: format!("scale to {replicas}"), why }),
        }
    }
}

impl Outcome {
    fn note(&mut self, done: kube::Result<()>, what: impl FnOnce() -> String) -> bool {
        match done {
            Ok(()) => true,
            Err(why) => {
                self.errors.push(ApplyError { what: what(), why });
                false
            }
        }
    }
}

/// Whether a child is there just as it should be, so that applying it would change nothing.
pub(crate) fn holds(child: &Child, there: &DynamicObject) -> bool {
    let applied = labels::annotation("applied");
    let mark = child.object["metadata"]["annotations"][&applied].as_str();
    let same = there.annotations().get(&applied).map(String::as_str) == mark;
    // Being deleted: what is applied now would go with it.
    let leaves = there.metadata.deletion_timestamp.is_some();
    leaves || (same && within(&child.object, &serde_json::to_value(there).unwrap_or_default()))
}

/// Whether everything that we mean stands there; what others added beside it is theirs.
fn within(meant: &Value, there: &Value) -> bool {
    match (meant, there) {
        (Value::Object(meant), Value::Object(there)) => meant.iter().all(|(key, meant)| {
            match there.get(key) {
                Some(there) => within(meant, there),
                // Empty things are not kept.
                None => is_empty(meant),
            }
        }),
        (Value::Array(meant), Value::Array(there)) => {
            let named = meant.iter().all(|item| item["name"].is_string()) && !meant.is_empty();
            if named {
                meant.iter().all(|item| {
                    let same = there.iter().find(|it| it["name"] == item["name"]);
                    same.is_some_and(|same| within(item, same))
                })
            } else {
                meant.len() == there.len()
                    && meant.iter().zip(there).all(|(meant, there)| within(meant, there))
            }
        }
        (Value::String(meant), Value::String(there)) => {
            meant == there || quantity::same(meant, there)
        }
        (meant, there) => meant == there || (is_empty(meant) && there.is_null()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_has_to_stand_there_and_more_may() {
        let meant = json!({
            "spec": {
                "replicas": 3,
                "env": {},
                "containers": [{ "name": "a", "resources": { "cpu": "0.5", "memory": "1024Mi" } }],
                "args": ["x", "y"],
            },
        });
        let mut there = json!({
            "spec": {
                "replicas": 3,
                "paused": false,
                "containers": [
                    { "name": "injected" },
                    { "name": "a", "image": "i", "resources": { "cpu": "500m", "memory": "1Gi" } },
                ],
                "args": ["x", "y"],
            },
            "status": { "replicas": 1 },
        });
        assert!(within(&meant, &there));
        for (path, other) in [
            ("/spec/replicas", json!(4)),
            ("/spec/args", json!(["x"])),
            ("/spec/args/1", json!("z")),
            ("/spec/containers/1/name", json!("b")),
            ("/spec/containers/1/resources/cpu", json!("501m")),
        ] {
            let place = there.pointer_mut(path).unwrap();
            let before = std::mem::replace(place, other);
            assert!(!within(&meant, &there), "{path}");
            *there.pointer_mut(path).unwrap() = before;
        }
        there["spec"].as_object_mut().unwrap().remove("replicas");
        assert!(!within(&meant, &there));
    }
}
