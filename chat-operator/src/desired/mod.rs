//! The children that a cluster should have, as pure functions of the resource: one child a file.

mod autoscaler;
mod config;
mod deployment;
mod disruption_budget;
mod migration;
mod network_policy;
pub(crate) mod pod;
mod service;
mod service_monitor;

use k8s_openapi::{
    api::core::v1::{ConfigMap, PodTemplateSpec, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

pub(crate) use self::deployment::{REVISION, TEMPLATE};
use crate::{
    crd::{ChatCluster, ChatClusterSpec},
    kind::Kind,
    labels,
};

/// An object as it should be: the fields that we mean, and no others.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// It.
    pub object: Value,
}

impl Child {
    fn new(cluster: &ChatCluster, kind: Kind, name: String, object: impl serde::Serialize) -> Self {
        let mut object = serde_json::to_value(object).expect("an object is plain data");
        let resource = kind.resource();
        object["apiVersion"] = resource.api_version.into();
        object["kind"] = resource.kind.into();
        let metadata = &mut object["metadata"];
        metadata["name"] = name.clone().into();
        metadata["namespace"] = cluster.namespace().into();
        for (key, value) in labels::common(&cluster.name_any()) {
            metadata["labels"][key] = value.into();
        }
        // Whoever deletes the cluster and waits for its children does not see it go before them.
        let owner = cluster.controller_owner_ref(&());
        let owner = owner.map(|it| OwnerReference { block_owner_deletion: Some(true), ..it });
        metadata["ownerReferences"] = json!([owner]);
        // By what is seen later that nothing has changed since: no write is needed then.
        let applied = labels::digest(&[object.to_string().as_bytes()]);
        object["metadata"]["annotations"][labels::annotation("applied")] = applied.into();
        Self { kind, name, object }
    }
}

/// What the servers of a cluster are made of, by what its user asked for.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// Differs when the user asks for other servers; not when a newer operator would make them
    /// otherwise.
    pub(crate) revision: String,
    pub(crate) template: PodTemplateSpec,
    pub(crate) config: Child,
    pub(crate) migration: Child,
}

/// Makes it.
///
/// # Errors
///
/// What is wrong with the resource, for the user.
pub(crate) fn release(
    cluster: &ChatCluster,
    serving: &str,
    migrating: &str,
) -> Result<Release, String> {
    let name = cluster.name_any();
    let file = config::file(cluster)?;
    let map = format!("{name}-config-{}", &labels::digest(&[file.as_bytes()])[..10]);
    let config = Child::new(
        cluster,
        Kind::ConfigMap,
        map.clone(),
        ConfigMap {
            data: Some([(config::FILE.to_owned(), file)].into()),
            // The name says what is in it: a pod of an older version that starts again finds what
            // it was made for.
            immutable: Some(true),
            ..ConfigMap::default()
        },
    );
    let template = pod::template(cluster, pod::Purpose::Serve, &map, serving)?;
    let asked = asked(&cluster.spec).to_string();
    let revision = labels::digest(&[asked.as_bytes(), serving.as_bytes()]);
    let migration = migration::job(cluster, &revision, &map, migrating)?;
    Ok(Release { revision, template, config, migration })
}

/// What of the spec shapes the servers, without what says no more than the default: a newer release
/// that knows more fields, or another default, changes nothing of it.
fn asked(spec: &ChatClusterSpec) -> Value {
    let whole = |spec: &ChatClusterSpec| serde_json::to_value(spec).expect("a spec is plain data");
    let mut asked = whole(spec);
    let least = json!({
        "image": { "repository": "" },
        "database": { "urlSecretRef": { "name": "", "key": "" } },
        "redis": { "urlSecretRef": { "name": "", "key": "" } },
    });
    let least = serde_json::from_value(least).expect("only these fields have no default");
    prune(&mut asked, &whole(&least));
    if let Value::Object(asked) = &mut asked {
        asked.retain(|field, _| shapes_servers(field));
    }
    asked
}

fn shapes_servers(field: &str) -> bool {
    !matches!(
        field,
        "replicas"
            | "autoscaling"
            | "rollout"
            | "paused"
            | "hibernated"
            | "disruptionBudget"
            | "networkPolicy"
            | "monitoring"
            | "service"
    )
}

/// Removes what is the same as in `least`.
fn prune(value: &mut Value, least: &Value) {
    if let (Value::Object(value), Value::Object(least)) = (value, least) {
        for (field, default) in least {
            if let Some(inner) = value.get_mut(field) {
                prune(inner, default);
                let nothing_left = inner.as_object().is_some_and(serde_json::Map::is_empty);
                if inner == default || (nothing_left && default.is_object()) {
                    value.remove(field);
                }
            }
        }
    }
}

/// The Deployment.
pub(crate) fn deployment(
    cluster: &ChatCluster,
    revision: &str,
    template: &Value,
    replicas: i32,
) -> Child {
    deployment::child(cluster, revision, template, replicas)
}

/// Everything that does not depend on the way to the release: all but configuration, migration and
/// Deployment.
pub(crate) fn surroundings(
    cluster: &ChatCluster,
    operator: Option<&str>,
    monitors: bool,
) -> Vec<Child> {
    let mut children = vec![
        Child::new(
            cluster,
            Kind::ServiceAccount,
            cluster.name_any(),
            ServiceAccount {
                automount_service_account_token: Some(false),
                ..ServiceAccount::default()
            },
        ),
        service::child(cluster),
    ];
    children.extend(network_policy::child(cluster, operator));
    children.extend(disruption_budget::child(cluster));
    children.extend(monitors.then(|| service_monitor::child(cluster)).flatten());
    children.extend(autoscaler::child(cluster));
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn revision(change: impl FnOnce(&mut ChatClusterSpec)) -> String {
        let mut cluster = fixture::cluster();
        change(&mut cluster.spec);
        release(&cluster, "s", "m").unwrap().revision
    }

    #[test]
    fn what_shapes_the_servers_makes_a_revision_and_nothing_else_does() {
        let before = revision(|_| {});
        for change in [
            (|spec| spec.image.tag = Some("2".to_owned())) as fn(&mut ChatClusterSpec),
            |spec| spec.database.read_connections = 9,
            |spec| spec.drain.window_seconds = 61,
            |spec| spec.restarted_at = "now".to_owned(),
            |spec| {
                spec.config.insert("public_url".to_owned(), "https://a.example".into());
            },
            |spec| {
                spec.pod_template.insert("metadata".to_owned(), json!({ "labels": { "a": "b" } }));
            },
        ] {
            assert_ne!(revision(change), before);
        }
        for change in [
            (|spec| spec.replicas = 7) as fn(&mut ChatClusterSpec),
            |spec| spec.paused = true,
            |spec| spec.hibernated = true,
            |spec| spec.rollout.max_surge = "1".to_owned(),
            |spec| spec.disruption_budget.enabled = false,
            |spec| spec.network_policy.enabled = false,
        ] {
            assert_eq!(revision(change), before);
        }
    }

    #[test]
    fn a_newer_release_with_more_fields_and_other_defaults_asks_for_the_same() {
        let asked = asked(&fixture::spec());
        assert_eq!(
            asked,
            json!({
                "image": { "repository": "registry.example/chat-server", "tag": "1" },
                "database": { "urlSecretRef": { "name": "db", "key": "url" } },
                "redis": { "urlSecretRef": { "name": "redis", "key": "url" } },
            }),
            "something that only repeats a default is counted"
        );
    }

    #[test]
    fn a_child_is_owned_and_marked_by_what_it_holds() {
        let cluster = fixture::cluster();
        let children = surroundings(&cluster, Some("operators"), true);
        assert!(children.iter().any(|child| child.kind == Kind::ServiceMonitor));
        for child in children {
            let metadata = &child.object["metadata"];
            assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-1", "{}", child.kind);
            assert_eq!(metadata["ownerReferences"][0]["blockOwnerDeletion"], true);
            assert!(metadata["annotations"][labels::annotation("applied")].is_string());
            assert!(child.object["apiVersion"].is_string() && child.object["kind"].is_string());
        }
    }
}
