//! What there is at the moment: everything that a decision needs, read from the API at once.
//!
//! Read, not remembered: a cache that lags behind one's own writes is how operators come to act
//! twice.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    batch::v1::Job,
    core::v1::{Event, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, TypeMeta},
};

use crate::{
    crd::{AutoscalingSource, ChatCluster, SecretKeyRef},
    kind::Kind,
    labels, pods,
    scrape::Scraper,
};

/// What a referenced secret is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there; differs when its value does, and tells nothing about it.
    Digest(String),
    /// There is no such Secret.
    NoSecret,
    /// The Secret has no such key, or an empty one.
    NoKey,
}

/// What there is.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The resource.
    pub cluster: ChatCluster,
    /// Every key that it names.
    pub secrets: BTreeMap<SecretKeyRef, Found>,
    /// Everything that is called like a child of it, ours or not.
    pub children: BTreeMap<(Kind, String), DynamicObject>,
    /// The servers' Deployment, if it is there.
    pub deployment: Option<Deployment>,
    /// Migrations.
    pub jobs: Vec<Job>,
    /// What the last failed migration said at its end.
    pub migration_said: Option<String>,
    /// Pods of the migration that runs.
    pub migrating: Vec<Pod>,
    /// Why it gets no pod, if it gets none.
    pub migration_refused: Option<String>,
    /// Servers.
    pub pods: Vec<Pod>,
    /// Their versions.
    pub replica_sets: Vec<ReplicaSet>,
    /// Live connections by pod, where they were asked for and answered.
    pub connections: BTreeMap<String, u64>,
}

/// A call to the API failed, and what it was for.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}")]
pub struct ObserveError {
    /// What was to be read.
    pub what: String,
    /// Why it was not.
    #[source]
    pub why: kube::Error,
}

fn reading(what: impl Into<String>) -> impl FnOnce(kube::Error) -> ObserveError {
    let what = what.into();
    move |why| ObserveError { what, why }
}

/// Pods that are asked at a time.
const ASKED_AT_ONCE: usize = 32;

/// Reads everything about one cluster. `None`: it is gone. `monitors`: whether the kind
/// `ServiceMonitor` is known.
///
/// # Errors
///
/// The first call that failed.
pub async fn observe(
    client: &Client,
    scraper: &Scraper,
    namespace: &str,
    name: &str,
    monitors: bool,
) -> Result<Option<Observed>, ObserveError> {
    let clusters: Api<ChatCluster> = Api::namespaced(client.clone(), namespace);
    let Some(cluster) = clusters.get_opt(name).await.map_err(reading("the resource"))? else {
        return Ok(None);
    };
    let secrets = secrets(client, &cluster).await?;
    let children = children(client, namespace, name, monitors).await?;
    let typed = |kind: Kind| {
        children.iter().filter(move |((of, _), _)| *of == kind).map(|(_, child)| child.clone())
    };
    let deployment = typed(Kind::Deployment).next().and_then(|it| it.try_parse().ok());
    let jobs: Vec<Job> = typed(Kind::Job).filter_map(|it| it.try_parse().ok()).collect();

    let of_cluster = ListParams::default().labels(&labels::selector_text(name));
    let all: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = all.list(&of_cluster).await.map_err(reading("pods"))?.items;
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    let replica_sets = sets.list(&of_cluster).await.map_err(reading("replicasets"))?.items;
    let migration_said = match jobs.iter().find(|job| pods::failed(job).is_some()) {
        Some(job) => of_job(&all, job).await?.iter().find_map(pods::last_words),
        None => None,
    };
    let (migrating, migration_refused) = match jobs.iter().find(|job| pods::runs(job)) {
        Some(job) => {
            let migrating = of_job(&all, job).await?;
            let refused = if migrating.is_empty() { refused(client, job).await? } else { None };
            (migrating, refused)
        }
        None => (Vec::new(), None),
    };
    let connections = if asks_for_connections(&cluster, deployment.as_ref()) {
        connections(scraper, &pods).await
    } else {
        BTreeMap::new()
    };
    Ok(Some(Observed {
        cluster,
        secrets,
        children,
        deployment,
        jobs,
        migration_said,
        migrating,
        migration_refused,
        pods,
        replica_sets,
        connections,
    }))
}

/// Every key of a Secret that the resource names.
#[must_use]
pub fn references(cluster: &ChatCluster) -> Vec<SecretKeyRef> {
    let spec = &cluster.spec;
    let key = |name: &str, key: &str| SecretKeyRef { name: name.to_owned(), key: key.to_owned() };
    let tls = spec.tls.as_ref().map(|tls| &tls.secret_name);
    [
        Some(&spec.database.url_secret_ref),
        spec.database.ca_secret_ref.as_ref(),
        spec.database.migration.url_secret_ref.as_ref(),
        Some(&spec.redis.url_secret_ref),
        spec.redis.ca_secret_ref.as_ref(),
        spec.auth.as_ref().map(|auth| &auth.secret_ref),
    ]
    .into_iter()
    .flatten()
    .cloned()
    .chain(tls.into_iter().flat_map(|name| [key(name, "tls.crt"), key(name, "tls.key")]))
    .collect()
}

/// Every key that the resource names. Each Secret is read once, so that its keys are of one moment.
async fn secrets(
    client: &Client,
    cluster: &ChatCluster,
) -> Result<BTreeMap<SecretKeyRef, Found>, ObserveError> {
    let api: Api<Secret> =
        Api::namespaced(client.clone(), &cluster.namespace().unwrap_or_default());
    let (mut read, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for key in references(cluster) {
        if !read.contains_key(&key.name) {
            let secret = api.get_opt(&key.name).await;
            let secret = secret.map_err(reading(format!("secret {}", key.name)))?;
            read.insert(key.name.clone(), secret);
        }
        let found = find(cluster, &key, read[&key.name].as_ref());
        secrets.insert(key, found);
    }
    Ok(secrets)
}

fn find(cluster: &ChatCluster, key: &SecretKeyRef, secret: Option<&Secret>) -> Found {
    let Some(secret) = secret else { return Found::NoSecret };
    let value = secret.data.as_ref().and_then(|data| data.get(&key.key));
    match value {
        Some(value) if !value.0.is_empty() => {
            Found::Digest(digest(cluster, key.key.as_bytes(), &value.0))
        }
        Some(_) | None => Found::NoKey,
    }
}

/// With the cluster's own salt: the digest stands where more people may read than in the Secret, and
/// must not say that two clusters have the same password. Its name and not its uid, because one that
/// is made again, of a backup or over orphans, has the same servers.
fn digest(cluster: &ChatCluster, key: &[u8], value: &[u8]) -> String {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    labels::digest(&[namespace.as_bytes(), name.as_bytes(), key, value])
}

async fn children(
    client: &Client,
    namespace: &str,
    cluster: &str,
    monitors: bool,
) -> Result<BTreeMap<(Kind, String), DynamicObject>, ObserveError> {
    let mut children = BTreeMap::new();
    let hashed = ListParams::default().labels(&labels::children_text(cluster));
    for kind in Kind::ALL {
        if kind == Kind::ServiceMonitor && !monitors {
            continue;
        }
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &kind.resource());
        let found = if kind.is_hashed() {
            api.list(&hashed).await.map_err(reading(kind.name()))?.items
        } else {
            api.get_opt(cluster).await.map_err(reading(kind.name()))?.into_iter().collect()
        };
        children
            .extend(found.into_iter().map(|child| ((kind, child.name_any()), whole(kind, child))));
    }
    Ok(children)
}

/// What was listed does not say what it is, which the list has said for all; what should be there does.
fn whole(kind: Kind, child: DynamicObject) -> DynamicObject {
    let ApiResource { api_version, kind, .. } = kind.resource();
    DynamicObject { types: Some(TypeMeta { api_version, kind }), ..child }
}

async fn of_job(pods: &Api<Pod>, job: &Job) -> Result<Vec<Pod>, ObserveError> {
    let of_job = ListParams::default().labels(&format!("job-name={}", job.name_any()));
    Ok(pods.list(&of_job).await.map_err(reading("pods"))?.items)
}

/// Why Kubernetes takes no pod of a Job, which only an Event says.
async fn refused(client: &Client, job: &Job) -> Result<Option<String>, ObserveError> {
    let api: Api<Event> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let uid = job.uid().unwrap_or_default();
    let of_job = ListParams::default()
        .fields(&format!("involvedObject.uid={uid},reason=FailedCreate"))
        .limit(REFUSALS_MAX);
    let events = api.list(&of_job).await.map_err(reading("events"))?.items;
    // Each try has a name of its own; the first one stays the first, and the status as it is.
    let first = events.into_iter().min_by_key(ResourceExt::creation_timestamp);
    let message = first.and_then(|it| it.message);
    Ok(message.map(|message| match message.split_once(" is forbidden: ") {
        Some((_, why)) => why.to_owned(),
        None => message,
    }))
}

/// Refusals that are looked at. A Job tries again once a minute at most.
const REFUSALS_MAX: u32 = 100;

/// Whether a decision about this cluster needs to know how many connections each server has.
#[must_use]
pub fn asks_for_connections(cluster: &ChatCluster, deployment: Option<&Deployment>) -> bool {
    let current = deployment.and_then(|it| it.spec.as_ref()?.replicas).unwrap_or(0);
    let fewer = cluster.spec.replicas < current && !cluster.spec.hibernated;
    let counts =
        cluster.spec.autoscaling.as_ref().is_some_and(|autoscaling| match autoscaling.source {
            AutoscalingSource::BuiltIn => true,
            AutoscalingSource::HorizontalPodAutoscaler => false,
        });
    fewer || (counts && !cluster.spec.hibernated)
}

async fn connections(scraper: &Scraper, pods: &[Pod]) -> BTreeMap<String, u64> {
    let reachable: Vec<_> = pods
        .iter()
        .filter(|pod| pods::serves(pod))
        .filter_map(|pod| Some((pod.name_any(), pod.status.as_ref()?.pod_ip.clone()?)))
        .collect();
    stream::iter(reachable)
        .map(|(name, ip)| async move { (name, scraper.connections(&ip).await) })
        .buffer_unordered(ASKED_AT_ONCE)
        .filter_map(|(name, connections)| async move { Some((name, connections?)) })
        .collect()
        .await
}

/// How long a server has to answer; one that does not counts as full.
pub const ANSWER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{apply::holds, desired, fixture};

    #[test]
    fn a_secret_of_two_clusters_looks_otherwise_and_that_of_one_made_again_the_same() {
        let cluster = fixture::cluster();
        let (mut another, mut again) = (cluster.clone(), cluster.clone());
        another.metadata.name = Some("another".to_owned());
        again.metadata.uid = Some("another".to_owned());
        let digest = |cluster| digest(cluster, b"url", b"secret");
        assert_ne!(digest(&another), digest(&cluster));
        assert_eq!(digest(&again), digest(&cluster));
    }

    #[test]
    fn what_was_listed_is_not_applied_again() {
        let config = desired::release(&fixture::cluster(), "s", "m").unwrap().config;
        let mut listed: DynamicObject = serde_json::from_value(config.object.clone()).unwrap();
        listed.types = None;
        assert!(holds(&config, &whole(Kind::ConfigMap, listed)));
    }
}
