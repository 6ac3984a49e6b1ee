//! What everything is called: labels, annotations, names and digests.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt};
use ring::digest::{SHA256, digest as hash};

use crate::crd::ChatCluster;

/// Who writes the children.
pub const MANAGER: &str = "chat-operator";
/// Who writes the status.
pub const STATUS_MANAGER: &str = "chat-operator-status";
/// Who writes what it costs to remove a pod, and lets go of it afterwards.
pub const COST_MANAGER: &str = "chat-operator-cost";
/// Who writes the replicas of a cluster that scales itself.
pub const SCALE_MANAGER: &str = "chat-operator-scale";

/// What Kubernetes reads when it chooses which pods to remove: the least first.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The server's container.
pub const CONTAINER: &str = "chat-server";

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
const COMPONENT: &str = "app.kubernetes.io/component";
const PART_OF: &str = "app.kubernetes.io/part-of";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

type Labels = BTreeMap<String, String>;

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// By what the servers of a cluster are found. Never changes: a Deployment's selector cannot.
#[must_use]
pub fn selector(cluster: &str) -> Labels {
    owned([(NAME, "chat-server"), (INSTANCE, cluster)])
}

/// The same as text, for the scale subresource and for queries.
#[must_use]
pub fn selector_text(cluster: &str) -> String {
    text(&selector(cluster))
}

/// What a server's pod carries.
#[must_use]
pub fn server(cluster: &str) -> Labels {
    let mut labels = common(cluster);
    labels.extend(selector(cluster));
    labels.insert(COMPONENT.to_owned(), "server".to_owned());
    labels
}

/// What the pod of a migration carries. No Service may take it for a server.
#[must_use]
pub fn migration(cluster: &str) -> Labels {
    let mut labels = common(cluster);
    labels.extend(owned([(NAME, "chat-server-migration"), (COMPONENT, "migration")]));
    labels
}

/// What every child carries.
#[must_use]
pub fn common(cluster: &str) -> Labels {
    owned([
        (NAME, "chat-server"),
        (INSTANCE, cluster),
        (PART_OF, "chat"),
        (MANAGED_BY, "chat-operator"),
    ])
}

/// By what the children of all clusters are found.
#[must_use]
pub fn managed_text() -> String {
    text(&owned([(MANAGED_BY, "chat-operator")]))
}

/// By what all children of a cluster are found.
#[must_use]
pub fn children_text(cluster: &str) -> String {
    text(&owned([(MANAGED_BY, "chat-operator"), (INSTANCE, cluster)]))
}

/// The cluster that an object belongs to by its labels.
#[must_use]
pub fn cluster_of(labels: &Labels) -> Option<&str> {
    labels.get(INSTANCE).map(String::as_str)
}

/// Whether the labels say that the operator made it for this cluster.
#[must_use]
pub fn is_ours(labels: &Labels, cluster: &str) -> bool {
    labels.get(MANAGED_BY).is_some_and(|it| it == "chat-operator")
        && cluster_of(labels) == Some(cluster)
}

fn text(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// An annotation of ours.
#[must_use]
pub fn annotation(name: &str) -> String {
    format!("{}/{name}", ChatCluster::group(&()))
}

/// What a cluster's channels in Redis begin with if nobody says.
#[must_use]
pub fn redis_prefix(cluster: &ChatCluster) -> String {
    let namespace = cluster.namespace().unwrap_or_default();
    let whole = format!("{namespace}.{}", cluster.name_any());
    if whole.len() <= 64 {
        whole
    } else {
        format!("{}.{}", &whole[..47], digest(&[whole.as_bytes()]))
    }
}

/// Sixteen digits that differ when any of the parts does.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> String {
    let mut whole = Vec::new();
    for part in parts {
        // With its length, so that no two lists of parts look the same.
        whole.extend((part.len() as u64).to_le_bytes());
        whole.extend(*part);
    }
    hash(&SHA256, &whole).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selector_is_part_of_what_pods_carry_and_of_nothing_else() {
        let (server, migration) = (server("team"), migration("team"));
        assert!(selector("team").iter().all(|(key, value)| server.get(key) == Some(value)));
        assert!(!selector("team").iter().all(|(key, value)| migration.get(key) == Some(value)));
        assert_eq!(
            selector_text("team"),
            "app.kubernetes.io/instance=team,app.kubernetes.io/name=chat-server"
        );
    }

    #[test]
    fn a_digest_knows_where_a_part_ends() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"a"]), digest(&[b"a", b""]));
        assert_eq!(digest(&[b"a"]).len(), 16);
    }

    #[test]
    fn a_long_prefix_stays_within_what_redis_buses_take() {
        let mut cluster = ChatCluster::new(&"c".repeat(40), crate::fixture::spec());
        cluster.metadata.namespace = Some("n".repeat(63));
        let prefix = redis_prefix(&cluster);
        assert_eq!(prefix.len(), 64);
        cluster.metadata.name = Some(format!("{}d", "c".repeat(39)));
        assert_ne!(redis_prefix(&cluster), prefix);
    }
}
