//! A cluster for unit tests.

use serde_json::json;

use crate::crd::{ChatCluster, ChatClusterSpec};

/// The least that can be said.
pub(crate) fn spec() -> ChatClusterSpec {
    serde_json::from_value(json!({
        "image": { "repository": "registry.example/chat-server", "tag": "1" },
        "database": { "urlSecretRef": { "name": "db", "key": "url" } },
        "redis": { "urlSecretRef": { "name": "redis", "key": "url" } },
    }))
    .unwrap()
}

/// As the API server would give it.
pub(crate) fn cluster() -> ChatCluster {
    let mut cluster = ChatCluster::new("team", spec());
    cluster.metadata.namespace = Some("chat".to_owned());
    cluster.metadata.uid = Some("uid-1".to_owned());
    cluster.metadata.generation = Some(1);
    cluster
}
