//! What to do about what is wrong. The conditions say what it is; here stands where to look and what
//! to change.

use kube::ResourceExt;

use super::Facts;
use crate::labels;

pub(super) const UNSEEN: &str = "no operator has looked at it";
pub(super) const BEHIND: &str = "the operator has not come to the last change";
pub(super) const NO_CONDITION: &str = "the operator has not said how it is";

/// The steps for a reason, at least one.
pub(super) fn advice(reason: &str, facts: &Facts) -> Vec<String> {
    let cluster = &facts.cluster;
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let kubectl = format!("kubectl -n {namespace}");
    let edit = format!("change it: {kubectl} edit chat {name}");
    let pods = format!("see why: {kubectl} describe pods -l {}", labels::selector_text(&name));
    let find = "see whether an operator runs: \
        kubectl get pods -A -l app.kubernetes.io/name=chat-operator";
    let steps: &[&str] = match reason {
        "Unseen" => &[
            find,
            "if one runs, see whether it looks after this namespace (its flag --namespaces), and read its log",
        ],
        "Behind" => &["nothing, if this passes within seconds", find],
        "SecretNotFound" | "SecretKeyNotFound" => &[
            "create what the message names, or name another Secret in the ChatCluster; it goes on by itself",
            &format!("see what there is: {kubectl} get secrets"),
        ],
        "MigrationFailed" => {
            let job = facts.migration.as_ref().map_or_else(
                || format!("-l app.kubernetes.io/instance={name},batch.kubernetes.io/job-name"),
                |job| format!("job/{}", job.name_any()),
            );
            return vec![
                format!("see why: {kubectl} logs {job}"),
                format!(
                    "correct the image, the database or its URL; to try the same again: {kubectl} delete {job}"
                ),
                "the servers that ran before still run".to_owned(),
            ];
        }
        "InvalidSpec" => &[&edit],
        "ProgressDeadlineExceeded" | "Unavailable" | "Degraded" | "PodsRefused" => &[&pods, &edit],
        "PodsCrashing" | "ContainerFailed" => &[
            &format!(
                "see its last words: {kubectl} logs --previous -l {}",
                labels::selector_text(&name)
            ),
            &pods,
            &edit,
        ],
        "Forbidden" => &[
            "give the operator's service account what the message names; its chart does (rbac.create)",
        ],
        "ImagePullFailed" => &[
            "see whether the image exists and pullSecrets name what it takes to get it",
            &edit,
            &pods,
        ],
        "PodUnschedulable" => {
            &[&pods, "add nodes, or ask for less: resources, placement, replicas"]
        }
        "QuotaExceeded" => {
            &["raise the namespace's quota, or ask for less: resources, replicas", &pods]
        }
        "OwnershipConflict" => &[
            "remove the object that the message names if nobody needs it, or give the chat another name",
        ],
        "Paused" => &["set paused to false when the change may be made", &edit],
        "Progressing" | "Initializing" | "MigrationPending" | "MigrationRunning"
        | "RolloutInProgress" | "ScalingUp" | "ScalingDown" | "Draining" | "Hibernating" => {
            &["nothing: it goes on by itself"]
        }
        _ => &["see what the message says, and the conditions and events below", find],
    };
    steps.iter().map(|it| (*it).to_owned()).collect()
}
