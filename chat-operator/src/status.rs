//! The status: the story of a cluster, made anew from one look and one decision. Pure.
//!
//! Nothing in it changes while nothing happens: no times but those of transitions, no counts that
//! move by themselves.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::Deployment,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::ResourceExt;

use crate::{
    crd::{AutoscalingSource, ChatCluster, ChatClusterStatus},
    decide::{Gate, Verdict},
    kind::Kind,
    labels,
    observe::Observed,
    pods::{self, Trouble},
};

/// Types of conditions.
pub mod condition {
    /// What was asked for is there.
    pub const READY: &str = "Ready";
    /// People can chat.
    pub const AVAILABLE: &str = "Available";
    /// On the way; only there when it is true.
    pub const RECONCILING: &str = "Reconciling";
    /// Somebody has to do something; only there when it is true.
    pub const STALLED: &str = "Stalled";
    /// The schema is that of the release.
    pub const MIGRATED: &str = "Migrated";
    /// Servers are leaving.
    pub const DRAINING: &str = "Draining";
    /// Somebody wants nothing to be changed.
    pub const PAUSED: &str = "Paused";
    /// What was asked for makes sense.
    pub const CONFIGURATION_VALID: &str = "ConfigurationValid";
    /// The number of servers follows the load.
    pub const AUTOSCALING: &str = "AutoscalingActive";
}

/// One thing that holds or does not.
#[derive(Debug, Clone)]
struct Said {
    kind: &'static str,
    holds: Option<bool>,
    reason: &'static str,
    message: String,
}

fn said(
    kind: &'static str,
    holds: impl Into<Option<bool>>,
    reason: &'static str,
    message: impl Into<String>,
) -> Said {
    Said { kind, holds: holds.into(), reason, message: message.into() }
}

/// Counts of servers, as the Deployment has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    asked: i32,
    there: i32,
    ready: i32,
    updated: i32,
    available: i32,
    leaving: i32,
    /// Whether the Deployment controller has seen the newest Deployment.
    seen: bool,
}

impl Counts {
    fn of(seen: &Observed) -> Self {
        let leaving = seen.pods.iter().filter(|pod| pods::is_leaving(pod)).count();
        let leaving = i32::try_from(leaving).unwrap_or(i32::MAX);
        let Some(deployment) = &seen.deployment else { return Self { leaving, ..Self::default() } };
        let status = deployment.status.as_ref();
        let count = |of: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| {
            status.and_then(of).unwrap_or(0)
        };
        Self {
            asked: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            there: count(|status| status.replicas),
            ready: count(|status| status.ready_replicas),
            updated: count(|status| status.updated_replicas),
            available: count(|status| status.available_replicas),
            leaving,
            seen: status.and_then(|it| it.observed_generation) >= deployment.metadata.generation,
        }
    }

    /// Whether all servers are of the newest version and count as available.
    const fn settled(self) -> bool {
        self.seen
            && self.updated == self.asked
            && self.there == self.asked
            && self.available == self.asked
    }
}

/// Tells it.
#[must_use]
pub fn tell(seen: &Observed, verdict: &Verdict, now: Timestamp) -> ChatClusterStatus {
    let cluster = &seen.cluster;
    let name = cluster.name_any();
    let counts = Counts::of(seen);
    let before = cluster.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
    let reconciling = reconciling(seen, verdict, counts);
    let conditions = [
        Some(ready(seen, verdict, counts, reconciling.as_ref())),
        Some(available(seen)),
        reconciling,
        stalled(seen, verdict, counts),
        Some(migrated(cluster, verdict)),
        Some(draining(seen, counts)),
        Some(paused(cluster)),
        Some(configuration(cluster, verdict)),
        Some(autoscaling(seen)),
    ];
    let image = running(seen.deployment.as_ref());
    ChatClusterStatus {
        observed_generation: cluster.metadata.generation,
        replicas: counts.there,
        ready_replicas: counts.ready,
        updated_replicas: counts.updated,
        terminating_replicas: counts.leaving,
        selector: Some(labels::selector_text(&name)),
        version: image.as_deref().map(version),
        image,
        service_name: seen.children.contains_key(&(Kind::Service, name.clone())).then_some(name),
        conditions: conditions
            .into_iter()
            .flatten()
            .map(|said| dated(said, cluster, before, now))
            .collect(),
    }
}

/// Whether everything is as it was asked for.
#[must_use]
pub fn is_ready(status: &ChatClusterStatus) -> bool {
    status.conditions.iter().any(|it| it.type_ == condition::READY && it.status == "True")
}

/// With the time of the last transition, which stays while the status does.
fn dated(said: Said, cluster: &ChatCluster, before: &[Condition], now: Timestamp) -> Condition {
    let status = match said.holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let same = before.iter().find(|it| it.type_ == said.kind && it.status == status);
    Condition {
        type_: said.kind.to_owned(),
        status: status.to_owned(),
        reason: said.reason.to_owned(),
        message: said.message,
        observed_generation: cluster.metadata.generation,
        last_transition_time: same
            .map_or_else(|| Time(whole_seconds(now)), |it| it.last_transition_time.clone()),
    }
}

/// As the API keeps times: what is written has to read the same.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The image of the Deployment's template.
fn running(deployment: Option<&Deployment>) -> Option<String> {
    let pod = deployment?.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|it| it.name == labels::CONTAINER)?.image.clone()
}

/// The tag of an image, or the beginning of its digest.
fn version(image: &str) -> String {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.chars().take(12).collect();
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or_else(|| "latest".to_owned(), |(_, tag)| tag.to_owned())
}

/// "2 of 3 servers are ready".
fn how_many(ready: i32, of: i32) -> String {
    let servers = if of == 1 { "server is" } else { "servers are" };
    format!("{ready} of {of} {servers} ready")
}

fn ready(seen: &Observed, verdict: &Verdict, counts: Counts, reconciling: Option<&Said>) -> Said {
    let spec = &seen.cluster.spec;
    let not = |reason, message: String| said(condition::READY, false, reason, message);
    if let Some(problem) = &verdict.problem {
        return not(problem.reason(), problem.message().to_owned());
    }
    if spec.paused && (!verdict.current || counts.asked != verdict.wanted) {
        return not("Paused", "the spec has changed since; unset paused to go on".to_owned());
    }
    if spec.hibernated {
        return if counts.there == 0 && counts.leaving == 0 {
            said(condition::READY, true, "Hibernated", "no servers run, as asked for")
        } else {
            let left = counts.there.max(counts.leaving);
            not("Progressing", format!("{left} servers are leaving"))
        };
    }
    let trouble = match verdict.gate {
        Gate::Running => held_up(seen),
        Gate::Passed | Gate::Skipped | Gate::Pending | Gate::Failed => None,
    };
    if let Some((reason, message)) = trouble.or_else(|| failing(seen, counts)) {
        return not(reason, message);
    }
    match reconciling {
        Some(reconciling) => not("Progressing", reconciling.message.clone()),
        None if counts.available < counts.asked => {
            let reason = if counts.available == 0 { "Unavailable" } else { "Degraded" };
            not(reason, how_many(counts.ready, counts.asked))
        }
        None => {
            let mut message = how_many(counts.ready, counts.asked);
            if verdict.newer_template {
                message += "; a newer pod template of the operator comes with the next rollout or \
                            another restartedAt";
            }
            said(condition::READY, true, "AllReplicasReady", message)
        }
    }
}

/// What the pods of the newest version say is wrong with them, if not all are well.
fn failing(seen: &Observed, counts: Counts) -> Option<(&'static str, String)> {
    if counts.settled() {
        return None;
    }
    let conditions =
        seen.deployment.as_ref().and_then(|it| it.status.as_ref()?.conditions.as_ref());
    let refused = conditions
        .into_iter()
        .flatten()
        .find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    if let Some(refused) = refused {
        return Some(taken_by_nobody("the pods", refused.message.as_deref().unwrap_or_default()));
    }
    seen.pods.iter().find_map(pods::trouble).map(|trouble| tell_of("a server", trouble))
}

/// What keeps the migration from running, as far as its pod or Kubernetes says so.
fn held_up(seen: &Observed) -> Option<(&'static str, String)> {
    if let Some(why) = &seen.migration_refused {
        return Some(taken_by_nobody("the pod of the migration", why));
    }
    match seen.migrating.iter().find_map(pods::trouble)? {
        // It has run: how it ended is about to be told by the Job.
        Trouble::Crashing(_) => None,
        trouble @ (Trouble::Unschedulable(_) | Trouble::Image(_) | Trouble::Container(_)) => {
            Some(tell_of("the migration", trouble))
        }
    }
}

fn taken_by_nobody(what: &str, why: &str) -> (&'static str, String) {
    let reason = if why.contains("exceeded quota") { "QuotaExceeded" } else { "PodsRefused" };
    (reason, format!("Kubernetes does not take {what}: {why}"))
}

fn tell_of(whom: &str, trouble: Trouble) -> (&'static str, String) {
    match trouble {
        Trouble::Unschedulable(why) => ("PodUnschedulable", format!("no node takes {whom}: {why}")),
        Trouble::Image(image) => (
            "ImagePullFailed",
            format!("the image {image} cannot be pulled: check repository, tag and pullSecrets"),
        ),
        Trouble::Container(why) => ("ContainerFailed", format!("{whom} cannot start: {why}")),
        Trouble::Crashing(how) => {
            ("PodsCrashing", format!("{whom} ends again and again, {how}; see its log"))
        }
    }
}

fn available(seen: &Observed) -> Said {
    let kind = condition::AVAILABLE;
    if seen.cluster.spec.hibernated {
        return said(kind, false, "Hibernated", "no servers run, as asked for");
    }
    let found = seen.deployment.as_ref().and_then(|it| {
        it.status.as_ref()?.conditions.as_ref()?.iter().find(|it| it.type_ == "Available")
    });
    match found.map(|it| it.status.as_str()) {
        Some("True") => said(kind, true, "MinimumReplicasAvailable", "people can chat"),
        Some("False") => {
            said(kind, false, "MinimumReplicasUnavailable", "too few servers are ready")
        }
        Some(_) | None => said(kind, None, "Initializing", "there is no server yet"),
    }
}

fn reconciling(seen: &Observed, verdict: &Verdict, counts: Counts) -> Option<Said> {
    let spec = &seen.cluster.spec;
    if spec.paused {
        return None;
    }
    let on = |reason, message: String| Some(said(condition::RECONCILING, true, reason, message));
    if spec.hibernated {
        let left = counts.there.max(counts.leaving);
        return (left > 0)
            .then(|| on("Hibernating", format!("{left} servers are leaving")))
            .flatten();
    }
    match verdict.gate {
        Gate::Running => return on("MigrationRunning", "the migration runs".to_owned()),
        Gate::Pending if verdict.problem.is_none() => {
            return on("MigrationPending", "a migration has to end first".to_owned());
        }
        Gate::Passed | Gate::Skipped | Gate::Pending | Gate::Failed => {}
    }
    if verdict.stepping {
        let (now, then) = (counts.there, verdict.wanted);
        return on(
            "ScalingDown",
            format!("from {now} servers to {then}, one step after the other"),
        );
    }
    if seen.deployment.is_none() {
        return verdict
            .problem
            .is_none()
            .then(|| on("RolloutInProgress", "the first servers come".to_owned()))
            .flatten();
    }
    if gave_up(seen) {
        return None;
    }
    if !counts.seen || counts.updated < counts.asked || counts.there > counts.updated {
        let (updated, asked) = (counts.updated.min(counts.asked), counts.asked);
        if counts.there < asked && counts.there == counts.updated {
            return on("ScalingUp", how_many(counts.ready, asked));
        }
        return on(
            "RolloutInProgress",
            format!("{updated} of {asked} servers are of the newest version"),
        );
    }
    if counts.leaving > 0 {
        return on("Draining", format!("{} servers are leaving", counts.leaving));
    }
    // Servers that have been ready and are not are no progress; those that start are.
    let starting = seen
        .pods
        .iter()
        .any(|pod| !pods::is_leaving(pod) && !pods::is_ready(pod) && pods::trouble(pod).is_none());
    (counts.available < counts.asked && (starting || counts.ready == counts.asked))
        .then(|| on("ScalingUp", how_many(counts.ready, counts.asked)))
        .flatten()
}

/// Whether the Deployment got no further within its deadline.
fn gave_up(seen: &Observed) -> bool {
    let conditions =
        seen.deployment.as_ref().and_then(|it| it.status.as_ref()?.conditions.as_ref());
    conditions.into_iter().flatten().any(|it| {
        it.type_ == "Progressing" && it.reason.as_deref() == Some("ProgressDeadlineExceeded")
    })
}

fn stalled(seen: &Observed, verdict: &Verdict, counts: Counts) -> Option<Said> {
    let on = |reason, message: &str| Some(said(condition::STALLED, true, reason, message));
    if let Some(problem) = &verdict.problem {
        return on(problem.reason(), problem.message());
    }
    if gave_up(seen) && !counts.settled() && !seen.cluster.spec.hibernated {
        return match failing(seen, counts) {
            Some((reason, message)) => on(reason, &message),
            None => on(
                "ProgressDeadlineExceeded",
                "the rollout got no further within rollout.progressDeadlineSeconds; see the pods",
            ),
        };
    }
    None
}

fn migrated(cluster: &ChatCluster, verdict: &Verdict) -> Said {
    let kind = condition::MIGRATED;
    match verdict.gate {
        Gate::Passed => said(kind, true, "UpToDate", "the schema is that of the release"),
        Gate::Skipped => said(kind, true, "Skipped", "database.migration.mode is None"),
        Gate::Running => said(kind, false, "Running", "the migration runs"),
        Gate::Failed => said(kind, false, "Failed", "the migration failed"),
        Gate::Pending if cluster.spec.hibernated => {
            said(kind, false, "Pending", "it comes when the chat wakes up")
        }
        Gate::Pending => said(kind, false, "Pending", "something has to come first"),
    }
}

fn draining(seen: &Observed, counts: Counts) -> Said {
    let kind = condition::DRAINING;
    let leaving: Vec<_> = seen.pods.iter().filter(|pod| pods::is_leaving(pod)).collect();
    if leaving.is_empty() {
        return said(kind, false, "Idle", "no server is leaving");
    }
    let version =
        |pod: &k8s_openapi::api::core::v1::Pod| pod.labels().get("pod-template-hash").cloned();
    let stays = seen.pods.iter().find(|pod| !pods::is_leaving(pod)).and_then(version);
    let of_another = |pod: &&&_| stays.is_some() && version(pod) != stays;
    let reason = if leaving.iter().any(|pod| pods::is_evicted(pod)) {
        "Eviction"
    } else if leaving.iter().any(|pod| of_another(&pod)) {
        "Rollout"
    } else {
        "ScaleDown"
    };
    said(kind, true, reason, format!("{} servers are leaving", counts.leaving))
}

fn paused(cluster: &ChatCluster) -> Said {
    if cluster.spec.paused {
        said(condition::PAUSED, true, "PausedBySpec", "nothing is changed while paused is set")
    } else {
        said(condition::PAUSED, false, "NotPaused", "")
    }
}

fn configuration(cluster: &ChatCluster, verdict: &Verdict) -> Said {
    let kind = condition::CONFIGURATION_VALID;
    if let Some(problem @ crate::decide::Problem::InvalidSpec(_)) = &verdict.problem {
        return said(kind, false, "InvalidSpec", problem.message());
    }
    let database = &cluster.spec.database;
    let most = most_servers(cluster);
    let each = database.write_connections + database.read_connections;
    let needed = most.saturating_mul(each);
    if let Some(limit) = database.connections_max
        && needed > limit
    {
        return said(
            kind,
            false,
            "RiskyValue",
            format!(
                "a rollout has up to {most} servers with {each} database connections each, {needed} \
                 in all, but database.connectionsMax is {limit}: lower them, replicas or maxSurge"
            ),
        );
    }
    said(kind, true, "Accepted", "")
}

/// Servers that there may be at once: all that may be asked for, and the surge of a rollout.
fn most_servers(cluster: &ChatCluster) -> i32 {
    let spec = &cluster.spec;
    let asked =
        spec.autoscaling.as_ref().map_or(spec.replicas, |it| it.max_replicas.max(spec.replicas));
    let surge = match spec.rollout.max_surge.strip_suffix('%') {
        Some(percent) => {
            let percent: i32 = percent.parse().unwrap_or(100);
            (asked.saturating_mul(percent) + 99) / 100
        }
        None => spec.rollout.max_surge.parse().unwrap_or(0),
    };
    asked.saturating_add(surge)
}

fn autoscaling(seen: &Observed) -> Said {
    let kind = condition::AUTOSCALING;
    let spec = &seen.cluster.spec;
    let Some(autoscaling) = &spec.autoscaling else {
        return said(kind, false, "Disabled", "");
    };
    if spec.hibernated {
        return said(kind, false, "Hibernated", "");
    }
    match autoscaling.source {
        AutoscalingSource::BuiltIn => {
            let servers = seen.pods.iter().filter(|pod| pods::serves(pod));
            let silent =
                servers.filter(|pod| !seen.connections.contains_key(&pod.name_any())).count();
            if silent == 0 {
                said(kind, true, "ScalingActive", "the operator scales by connections")
            } else {
                said(
                    kind,
                    false,
                    "NoMetrics",
                    "not every server tells its connections; does a network policy keep the operator \
                     from port 9090?",
                )
            }
        }
        AutoscalingSource::HorizontalPodAutoscaler => {
            let name = seen.cluster.name_any();
            let found = seen.children.get(&(Kind::HorizontalPodAutoscaler, name));
            let conditions = found.and_then(|it| it.data["status"]["conditions"].as_array());
            let active = conditions.into_iter().flatten().find(|it| it["type"] == "ScalingActive");
            match active {
                Some(it) if it["status"] == "True" => {
                    said(kind, true, "ScalingActive", "the HorizontalPodAutoscaler scales")
                }
                Some(it) => {
                    said(kind, false, "NoMetrics", it["message"].as_str().unwrap_or_default())
                }
                None => said(kind, None, "Initializing", "the HorizontalPodAutoscaler is new"),
            }
        }
    }
}
