//! The decision: from what there is to what is to be done. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;
use serde_json::Value;

use crate::{
    crd::MigrationMode,
    desired::{self, Child, Release, pod::Purpose},
    kind::Kind,
    labels,
    observe::{Found, Observed},
    pods,
    settings::TemplateUpgrade,
};

/// What a server costs that does not say how many connections it has: more than any that does.
const COST_UNKNOWN: i64 = 1_000_000_000;
/// So many connections more or less since a cost was written change no choice.
const COST_SLACK: i64 = 10;

/// What stands around every decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The namespace that the operator runs in, if it runs in one.
    pub operator_namespace: Option<String>,
    /// When the pod templates of a newer operator are rolled out.
    pub template_upgrade: TemplateUpgrade,
    /// Whether the kind `ServiceMonitor` is known.
    pub monitors: bool,
}

/// What keeps the operator from doing what is asked for, until somebody changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The resource asks for something that cannot be.
    InvalidSpec(String),
    /// A Secret is missing.
    SecretNotFound(String),
    /// A key of a Secret is missing.
    SecretKeyNotFound(String),
    /// Something of the name of a child belongs to somebody else.
    OwnershipConflict(String),
    /// The migration failed.
    MigrationFailed(String),
    /// Kubernetes does not let the operator.
    Forbidden(String),
    /// A quota is used up.
    QuotaExceeded(String),
}

impl Problem {
    /// Its name in conditions.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec(_) => "InvalidSpec",
            Self::SecretNotFound(_) => "SecretNotFound",
            Self::SecretKeyNotFound(_) => "SecretKeyNotFound",
            Self::OwnershipConflict(_) => "OwnershipConflict",
            Self::MigrationFailed(_) => "MigrationFailed",
            Self::Forbidden(_) => "Forbidden",
            Self::QuotaExceeded(_) => "QuotaExceeded",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidSpec(message)
            | Self::SecretNotFound(message)
            | Self::SecretKeyNotFound(message)
            | Self::OwnershipConflict(message)
            | Self::MigrationFailed(message)
            | Self::Forbidden(message)
            | Self::QuotaExceeded(message) => message,
        }
    }
}

/// How far the gate before a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The servers are of the release that is asked for.
    Passed,
    /// Somebody else migrates.
    Skipped,
    /// Something has to come first.
    Pending,
    /// The migration runs.
    Running,
    /// It failed.
    Failed,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// To be applied, in this order.
    pub apply: Vec<Child>,
    /// To be deleted.
    pub delete: Vec<(Kind, String)>,
    /// What pods cost to remove; `None`: no longer anything.
    pub costs: BTreeMap<String, Option<i64>>,
    /// What the status is made of.
    pub verdict: Verdict,
}

/// What was decided, for the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is in the way.
    pub problem: Option<Problem>,
    /// How far the gate is.
    pub gate: Gate,
    /// Servers that there should be in the end.
    pub wanted: i32,
    /// Whether servers are taken away one after the other, and not all have gone.
    pub stepping: bool,
    /// Whether the servers are of what is asked for.
    pub current: bool,
    /// Whether this operator would make the pods otherwise, and waits for the next rollout.
    pub newer_template: bool,
}

/// Decides.
#[must_use]
pub fn decide(seen: &Observed, around: &Surroundings, now: Timestamp) -> Plan {
    let cluster = &seen.cluster;
    let spec = &cluster.spec;
    let mut problem = missing_secret(seen);
    let release = match &problem {
        Some(_) => None,
        None => {
            let (serving, migrating) =
                (digest(seen, Purpose::Serve), digest(seen, Purpose::Migrate));
            match desired::release(cluster, &serving, &migrating) {
                Ok(release) => Some(release),
                Err(why) => {
                    problem = Some(Problem::InvalidSpec(why));
                    None
                }
            }
        }
    };
    let live = seen.deployment.as_ref().map(Live::of);
    let wanted = if spec.hibernated { 0 } else { spec.replicas };
    let mut plan = Plan {
        apply: Vec::new(),
        delete: Vec::new(),
        costs: BTreeMap::new(),
        verdict: Verdict {
            problem: None,
            gate: Gate::Pending,
            wanted,
            stepping: false,
            current: false,
            newer_template: false,
        },
    };
    if spec.paused {
        let same =
            |release: &Release| live.as_ref().is_some_and(|live| live.revision == release.revision);
        plan.verdict.current = release.as_ref().is_some_and(same);
        plan.verdict.gate = if plan.verdict.current { Gate::Passed } else { Gate::Pending };
        plan.verdict.problem = problem;
        return plan;
    }

    plan.apply =
        desired::surroundings(cluster, around.operator_namespace.as_deref(), around.monitors);
    let course = course(seen, around, live, release.as_ref(), &mut plan);
    if plan.verdict.gate == Gate::Failed {
        problem = problem.or_else(|| Some(migration_failed(seen, release.as_ref())));
    }
    if let Some((revision, template)) = &course {
        let replicas = step(seen, wanted, now, &mut plan);
        plan.apply.push(desired::deployment(cluster, revision, template, replicas));
    }
    plan.delete.extend(orphans(seen, &plan.apply, course.as_ref(), release.as_ref()));
    let conflict = foreign(seen, &mut plan.apply);
    plan.verdict.problem = problem.or(conflict);
    plan.apply.sort_by_key(|child| child.kind);
    plan
}

/// The Deployment as it is.
struct Live {
    revision: String,
    template: Option<Value>,
}

impl Live {
    fn of(deployment: &Deployment) -> Self {
        let annotation = |name| deployment.annotations().get(&labels::annotation(name));
        Self {
            revision: annotation(desired::REVISION).cloned().unwrap_or_default(),
            template: annotation(desired::TEMPLATE)
                .and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

/// Which revision and template the servers should have now; `None`: there should be none yet. Puts
/// into the plan what the way there needs.
fn course(
    seen: &Observed,
    around: &Surroundings,
    live: Option<Live>,
    release: Option<&Release>,
    plan: &mut Plan,
) -> Option<(String, Value)> {
    let spec = &seen.cluster.spec;
    let keep = |live: Option<Live>| {
        let live = live?;
        Some((live.revision, live.template?))
    };
    let Some(release) = release else { return keep(live) };
    let rendered = serde_json::to_value(&release.template).expect("a template is plain data");

    if let Some(Live { revision, template }) = &live
        && *revision == release.revision
    {
        plan.verdict.gate = match spec.database.migration.mode {
            MigrationMode::Job => Gate::Passed,
            MigrationMode::None => Gate::Skipped,
        };
        plan.verdict.current = true;
        let template = match template {
            Some(template) if *template == rendered => rendered,
            // Only this operator is another than the one that rolled it out.
            Some(template) => {
                let map = config_map(template);
                let is_there = map.is_some_and(|map| {
                    seen.children.contains_key(&(Kind::ConfigMap, map.to_owned()))
                });
                match around.template_upgrade {
                    TemplateUpgrade::Deferred if is_there => {
                        plan.verdict.newer_template = true;
                        template.clone()
                    }
                    TemplateUpgrade::Deferred | TemplateUpgrade::Auto => rendered,
                }
            }
            None => rendered,
        };
        if config_map(&template) == Some(release.config.name.as_str()) {
            plan.apply.push(release.config.clone());
        }
        return Some((release.revision.clone(), template));
    }
    // Nobody waits for a hibernated chat: the gate is passed when it wakes up.
    if spec.hibernated {
        return keep(live);
    }
    plan.apply.push(release.config.clone());
    match spec.database.migration.mode {
        MigrationMode::None => {
            plan.verdict.gate = Gate::Skipped;
            plan.verdict.current = true;
            Some((release.revision.clone(), rendered))
        }
        MigrationMode::Job => {
            let gate = gate(seen, release, plan);
            plan.verdict.gate = gate;
            match gate {
                Gate::Passed | Gate::Skipped => {
                    plan.verdict.current = true;
                    Some((release.revision.clone(), rendered))
                }
                Gate::Pending | Gate::Running | Gate::Failed => keep(live),
            }
        }
    }
}

fn gate(seen: &Observed, release: &Release, plan: &mut Plan) -> Gate {
    let wanted = &release.migration.name;
    match seen.jobs.iter().find(|job| job.name_any() == *wanted) {
        Some(job) if job.metadata.deletion_timestamp.is_some() => Gate::Pending,
        Some(job) if pods::completed(job) => Gate::Passed,
        Some(job) if pods::failed(job).is_some() => Gate::Failed,
        Some(_) => Gate::Running,
        // Two migrations at a time would be one too many, though the database holds a lock.
        None if seen.jobs.iter().any(pods::runs) => Gate::Pending,
        None => {
            plan.apply.push(release.migration.clone());
            Gate::Running
        }
    }
}

fn migration_failed(seen: &Observed, release: Option<&Release>) -> Problem {
    let job = release.map(|release| release.migration.name.clone()).unwrap_or_default();
    let found = seen.jobs.iter().find(|it| it.name_any() == job);
    let reason = found.and_then(pods::failed).unwrap_or_default();
    let said = match &seen.migration_said {
        Some(said) => said.clone(),
        None => reason,
    };
    Problem::MigrationFailed(format!(
        "job {job} failed ({said}); the servers are left as they were. Mend what it says and change \
         the spec, or try the same again with another restartedAt"
    ))
}

/// How many servers the Deployment should have now. With costs written before any is taken away, so
/// that the emptiest go first.
fn step(seen: &Observed, wanted: i32, now: Timestamp, plan: &mut Plan) -> i32 {
    let current = seen.deployment.as_ref().and_then(|it| it.spec.as_ref()?.replicas);
    let staying: Vec<&Pod> =
        seen.pods.iter().filter(|pod| !pods::is_leaving(pod) && !pods::is_finished(pod)).collect();
    let release_costs = |plan: &mut Plan| {
        let marked = staying.iter().filter(|pod| pods::cost(pod).is_some());
        plan.costs.extend(marked.map(|pod| (pod.name_any(), None)));
    };
    let Some(current) = current else { return wanted };
    // Whoever wants none wants no one to be moved from one to the next either.
    if wanted >= current || wanted == 0 {
        release_costs(plan);
        return wanted;
    }
    plan.verdict.stepping = true;
    let leaving = seen.pods.iter().any(|pod| pods::is_leaving(pod) && !pods::is_overdue(pod, now));
    if leaving {
        return current;
    }
    let mut all_known = true;
    for pod in staying.iter().filter(|pod| pods::is_ready(pod)) {
        let name = pod.name_any();
        let cost = seen.connections.get(&name).map_or(COST_UNKNOWN, |it| {
            i64::try_from(*it).unwrap_or(COST_UNKNOWN).min(COST_UNKNOWN)
        });
        let holds = pods::cost(pod)
            .is_some_and(|written| (written - cost).abs() <= COST_SLACK.max(cost / 10));
        if !holds {
            all_known = false;
            plan.costs.insert(name, Some(cost));
        }
    }
    if all_known { wanted.max(current - seen.cluster.spec.drain.max_pods_at_once) } else { current }
}

/// Children that no longer should be: features that were switched off, configurations that no server
/// reads, migrations that are over.
fn orphans(
    seen: &Observed,
    apply: &[Child],
    course: Option<&(String, Value)>,
    release: Option<&Release>,
) -> Vec<(Kind, String)> {
    let cluster = seen.cluster.name_any();
    let mut kept: BTreeSet<(Kind, String)> =
        apply.iter().map(|child| (child.kind, child.name.clone())).collect();
    // What the Deployment is waiting for or rolled out with is never an orphan; nor is the
    // Deployment, which only goes with the cluster.
    kept.insert((Kind::Deployment, cluster.clone()));
    let versions = seen.replica_sets.iter().filter(|set| {
        set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0) > 0
            || set.status.as_ref().is_some_and(|status| status.replicas > 0)
    });
    let in_use = versions.filter_map(|set| {
        let template = serde_json::to_value(set.spec.as_ref()?.template.as_ref()?).ok()?;
        config_map(&template).map(str::to_owned)
    });
    let rolled_out = course.and_then(|(_, template)| config_map(template).map(str::to_owned));
    kept.extend(in_use.chain(rolled_out).map(|map| (Kind::ConfigMap, map)));
    match release {
        Some(release) => {
            kept.insert((Kind::ConfigMap, release.config.name.clone()));
            let migration = &release.migration.name;
            // Of a chat that is gone, and over: nobody would take it along, and its work is done.
            let left_over = |job: &Job| {
                job.name_any() == *migration
                    && job.owner_references().is_empty()
                    && !pods::runs(job)
            };
            if !seen.jobs.iter().any(left_over) {
                kept.insert((Kind::Job, migration.clone()));
            }
        }
        // Nobody knows what is wanted: what is there may be.
        None => kept.extend(seen.children.keys().filter(|(kind, _)| kind.is_hashed()).cloned()),
    }
    seen.children
        .iter()
        .filter(|(key, child)| {
            !kept.contains(key)
                && child.metadata.deletion_timestamp.is_none()
                && labels::is_ours(child.labels(), &cluster)
                && belongs(seen, child)
        })
        .map(|(key, _)| key.clone())
        .collect()
}

/// Whether a child is the cluster's: owned by it, or made by the operator for one of its name that
/// is gone.
fn belongs(seen: &Observed, child: &kube::api::DynamicObject) -> bool {
    let uid = seen.cluster.uid();
    match child.owner_references().iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) => Some(&owner.uid) == uid.as_ref(),
        None => labels::is_ours(child.labels(), &seen.cluster.name_any()),
    }
}

/// Takes out of what is to be applied what would overwrite something that is somebody else's.
fn foreign(seen: &Observed, apply: &mut Vec<Child>) -> Option<Problem> {
    let mut conflict = None;
    apply.retain(|child| {
        let Some(there) = seen.children.get(&(child.kind, child.name.clone())) else { return true };
        let ours = belongs(seen, there);
        if !ours {
            conflict.get_or_insert_with(|| {
                Problem::OwnershipConflict(format!(
                    "there is a {} {} that does not belong to this ChatCluster: rename or remove it, \
                     or give the ChatCluster another name",
                    child.kind, child.name
                ))
            });
        }
        ours
    });
    conflict
}

fn missing_secret(seen: &Observed) -> Option<Problem> {
    seen.secrets.iter().find_map(|(key, found)| match found {
        Found::Digest(_) => None,
        Found::NoSecret => Some(Problem::SecretNotFound(format!(
            "secret {} does not exist: create it with the key {}; servers that run are left as they are",
            key.name, key.key
        ))),
        Found::NoKey => Some(Problem::SecretKeyNotFound(format!(
            "secret {} has no key {}, or it is empty: add it; servers that run are left as they are",
            key.name, key.key
        ))),
    })
}

/// Differs when a secret of such a pod does.
fn digest(seen: &Observed, purpose: Purpose) -> String {
    let values: Vec<&[u8]> = desired::pod::secrets(&seen.cluster, purpose)
        .into_iter()
        .map(|(_, key)| match seen.secrets.get(key) {
            Some(Found::Digest(digest)) => digest.as_bytes(),
            Some(Found::NoSecret | Found::NoKey) | None => b"",
        })
        .collect();
    labels::digest(&values)
}

/// The configuration that a template mounts.
fn config_map(template: &Value) -> Option<&str> {
    let volumes = template["spec"]["volumes"].as_array()?;
    let config = volumes.iter().find(|volume| volume["name"] == "config")?;
    config["configMap"]["name"].as_str()
}

#[cfg(test)]
mod tests;
