//! What pods and Jobs say about themselves, in the words of the decision.

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;

use crate::labels::{COST_MANAGER, DELETION_COST};

/// Whether somebody has asked it to go.
#[must_use]
pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it should have gone by now: its node may be dead, and nobody should wait for it.
#[must_use]
pub fn is_overdue(pod: &Pod, now: Timestamp) -> bool {
    // The time of the deletion is the one at which its grace period ends.
    pod.metadata.deletion_timestamp.as_ref().is_some_and(|at| at.0 < now)
}

/// Whether it runs to its end and is not replaced in place.
#[must_use]
pub fn is_finished(pod: &Pod) -> bool {
    phase(pod).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"))
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|it| it.type_ == kind)
}

/// Whether it takes clients.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|it| it.status == "True")
}

/// Whether it takes clients and goes on doing so.
#[must_use]
pub fn serves(pod: &Pod) -> bool {
    is_ready(pod) && !is_leaving(pod)
}

/// Whether it goes because its node is emptied or the like.
#[must_use]
pub fn is_evicted(pod: &Pod) -> bool {
    condition(pod, "DisruptionTarget").is_some_and(|it| it.status == "True")
}

/// What it costs to remove it, if the operator has written that.
#[must_use]
pub fn cost(pod: &Pod) -> Option<i64> {
    let ours =
        pod.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some(COST_MANAGER));
    ours.then(|| pod.annotations().get(DELETION_COST)?.parse().ok())?
}

/// What keeps a pod from becoming ready, as far as it says so itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No node takes it.
    Unschedulable(String),
    /// Its image cannot be had.
    Image(String),
    /// Its container cannot be made: a Secret or a key is missing.
    Container(String),
    /// Its container ends again and again; what it said last.
    Crashing(String),
}

/// The first trouble of a pod that is not ready.
#[must_use]
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    if is_ready(pod) || is_leaving(pod) {
        return None;
    }
    if let Some(scheduled) = condition(pod, "PodScheduled")
        && scheduled.reason.as_deref() == Some("Unschedulable")
    {
        return Some(Trouble::Unschedulable(scheduled.message.clone().unwrap_or_default()));
    }
    let status = pod.status.as_ref()?;
    let containers = [&status.init_container_statuses, &status.container_statuses];
    containers.into_iter().flatten().flatten().find_map(of_container)
}

fn of_container(status: &ContainerStatus) -> Option<Trouble> {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    if let Some(waiting) = waiting {
        match waiting.reason.as_deref().unwrap_or_default() {
            // The two take turns; one sentence for both, so that the status stays as it is.
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                return Some(Trouble::Image(status.image.clone()));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(Trouble::Container(waiting.message.clone().unwrap_or_default()));
            }
            _ => {}
        }
    }
    // Between two attempts it may be running; it is crashing all the same.
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = now.or(last).filter(|ended| ended.exit_code != 0)?;
    let said = ended.message.as_deref().map(last_line).unwrap_or_default();
    Some(Trouble::Crashing(format!("exit code {}{said}", ended.exit_code)))
}

/// What the container of a pod that failed said at its end.
#[must_use]
pub fn last_words(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = statuses.iter().find_map(|status| {
        status.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)
    })?;
    let said = ended.message.as_deref().map(last_line).unwrap_or_default();
    Some(format!("exit code {}{said}", ended.exit_code))
}

/// Characters of a message that is passed on.
const SAID_MAX: usize = 300;

fn last_line(message: &str) -> String {
    let last = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.trim().chars().take(SAID_MAX).collect();
    if last.is_empty() { last } else { format!(": {last}") }
}

/// Why a Job failed, if it has.
#[must_use]
pub fn failed(job: &Job) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|it| it.type_ == "Failed" && it.status == "True")?;
    Some(failed.reason.clone().unwrap_or_default())
}

/// Whether a Job is neither done nor failed.
#[must_use]
pub fn runs(job: &Job) -> bool {
    !completed(job) && failed(job).is_none()
}

/// Whether a Job has done its work.
#[must_use]
pub fn completed(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|it| it.type_ == "Complete" && it.status == "True")
    })
}
