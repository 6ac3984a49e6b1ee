//! What every scenario stands on: one control plane, one PostgreSQL, one Redis, the operator from its
//! chart, and helpers to ask and to wait.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, ResourceExt, api::ListParams};
use kubelab::{ControlPlane, Image, Images, Kubelet, KubeletOptions, NODE_ADDRESS};
use serde_json::{Value, json};
use testbed::{Postgres, PostgresOptions, Redis, RedisOptions};

use crate::crowd::Door;

/// For whatever is waited for; a noisy machine may need some of it.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Signs the log-ins of all chats here.
pub const SECRET: &str = "thirty-two bytes and more, for the tests of the operator";

/// Where the operator runs.
pub const SYSTEM: &str = "chat-system";

/// The images that nodes know.
pub const SERVER: &str = "registry.test/chat-server";
/// The operator's.
pub const OPERATOR: &str = "registry.test/chat-operator";

/// It.
pub struct Lab {
    pub plane: ControlPlane,
    pub kubelet: Kubelet,
    pub client: Client,
    pub postgres: Postgres,
    pub redis: Redis,
    namespaces: AtomicUsize,
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// A binary of the workspace, built with the tests.
fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("target/debug/deps/e2e")?;
    let binary = folder.join(name);
    if !binary.exists() {
        bail!("{} is missing: run `make e2e`, which builds it", binary.display());
    }
    Ok(binary)
}

/// A server whose migrations fail, and which serves all the same if nobody asks it to migrate.
const CANNOT_MIGRATE: &str = r#"#!/bin/sh
for last; do :; done
if [ "$last" = migrate ]; then
  echo "chat-server: cannot migrate: column \"mood\" already exists" >&2
  exit 1
fi
exec "$SERVER" "$@"
"#;

impl Lab {
    /// Starts everything but the operator.
    pub async fn start() -> Result<Self> {
        let (server, operator) = (binary("chat-server")?, binary("chat-operator")?);
        let script = std::env::temp_dir().join("cannot-migrate");
        std::fs::write(&script, CANNOT_MIGRATE)?;
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut images = Images::new();
        // All the same program: what a new tag changes is the pod, and that is what is tested.
        for tag in ["1", "2", "3"] {
            images.insert(format!("{SERVER}:{tag}"), Image::new(&server));
        }
        let broken = Image::new(&script).folder(&server).env("SERVER", server.to_string_lossy());
        images.insert(format!("{SERVER}:cannot-migrate"), broken);
        images.insert(format!("{SERVER}:crashes"), Image::new("/usr/bin/false"));
        images.insert(format!("{OPERATOR}:1"), Image::new(&operator));
        images.insert(format!("{OPERATOR}:2"), Image::new(&operator));

        let options = PostgresOptions {
            settings: vec!["max_connections = 400".to_owned()],
            ..PostgresOptions::default()
        };
        let postgres = Postgres::start_on(NODE_ADDRESS, &options);
        let redis = Redis::start_on(NODE_ADDRESS, &RedisOptions::default());
        let plane = ControlPlane::start().await?;
        let options = KubeletOptions { nodes: 3, ..KubeletOptions::default() };
        let kubelet = Kubelet::start_with(&plane, images, options).await?;
        let client = plane.client();
        Ok(Self { plane, kubelet, client, postgres, redis, namespaces: AtomicUsize::new(0) })
    }

    /// The operator, from its chart, for all namespaces, in a namespace that allows nothing but the
    /// restricted profile.
    pub async fn install_operator(&self) -> Result<()> {
        self.namespace_called(SYSTEM).await?;
        let chart = root().join("charts/chat-operator");
        self.plane
            .helm4([
                "install",
                "chat-operator",
                chart.to_str().context("a path of text")?,
                "--namespace",
                SYSTEM,
                "--wait",
                "--timeout=3m",
                "--set=image.registry=registry.test",
                "--set=image.repository=chat-operator",
                "--set-string=image.tag=1",
                "--set=logLevel=debug",
                // Five minutes would be long for a test.
                "--set=extraEnv[0].name=CHAT_OPERATOR_SCALE_DOWN_WINDOW",
                "--set-string=extraEnv[0].value=30s",
            ])
            .await?;
        Ok(())
    }

    /// A new namespace under the restricted profile.
    pub async fn namespace(&self, name: &str) -> Result<String> {
        let n = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{n}");
        self.namespace_called(&name).await?;
        Ok(name)
    }

    async fn namespace_called(&self, name: &str) -> Result<()> {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        });
        self.apply(&namespace).await
    }

    /// `kubectl apply`.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        let text = object.to_string();
        self.plane.kubectl_with(["apply", "--server-side", "-f", "-"], &text).await?;
        Ok(())
    }

    /// `kubectl patch --type merge` of a cluster.
    pub async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        let arguments =
            ["patch", "chatcluster", name, "-n", namespace, "--type=merge", "-p", &patch];
        self.plane.kubectl(arguments).await?;
        Ok(())
    }

    /// The Secrets of a chat with a database of its own; its URL.
    pub async fn secrets(&self, namespace: &str) -> Result<String> {
        let database = self.postgres.new_database();
        let secret = |name: &str, data: Value| {
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": name, "namespace": namespace },
                "stringData": data,
            })
        };
        self.apply(&secret("db", json!({ "url": database }))).await?;
        self.apply(&secret("redis", json!({ "url": self.redis.url() }))).await?;
        self.apply(&secret("auth", json!({ "key": SECRET }))).await?;
        Ok(database)
    }

    /// Until this holds; what it said last if it never does.
    pub async fn until<T, F>(&self, what: &str, mut holds: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        loop {
            match holds().await {
                Ok(value) => return Ok(value),
                Err(why) if began.elapsed() > PATIENCE => {
                    return Err(why.context(format!("waited for: {what}")));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// A cluster as it is.
    pub async fn cluster(&self, namespace: &str, name: &str) -> Result<Value> {
        let arguments =
            ["get", "chatcluster", name, "-n", namespace, "-o", "json", "--show-managed-fields"];
        let text = self.plane.kubectl(arguments).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// A condition of the newest generation: status, reason, message.
    pub async fn condition(
        &self,
        namespace: &str,
        name: &str,
        kind: &str,
    ) -> Result<(String, String, String)> {
        let cluster = self.cluster(namespace, name).await?;
        if cluster["status"]["observedGeneration"] != cluster["metadata"]["generation"] {
            bail!("the status is of an older generation: {}", cluster["status"]);
        }
        let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let Some(found) = conditions.iter().find(|it| it["type"] == kind) else {
            bail!("no condition {kind} in {}", cluster["status"]);
        };
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok((text("status"), text("reason"), text("message")))
    }

    /// Until a condition has this reason; its message.
    pub async fn until_reason(
        &self,
        namespace: &str,
        name: &str,
        kind: &str,
        reason: &str,
    ) -> Result<String> {
        self.until(&format!("{kind} {reason} of {namespace}/{name}"), || async {
            match self.condition(namespace, name, kind).await? {
                (_, found, message) if found == reason => Ok(message),
                other => bail!("{other:?}"),
            }
        })
        .await
    }

    /// Until a cluster is what it should be.
    pub async fn until_ready(&self, namespace: &str, name: &str) -> Result<()> {
        self.until_reason(namespace, name, "Ready", "AllReplicasReady").await.map(drop)
    }

    /// The servers of a cluster that are not leaving.
    pub async fn pods(&self, namespace: &str, name: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let labels = ListParams::default().labels(&chat_operator::labels::selector_text(name));
        let mut pods = api.list(&labels).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.sort_by_key(ResourceExt::name_any);
        Ok(pods)
    }

    /// Where a chat is reached.
    pub async fn door(&self, namespace: &str, name: &str, database: &str) -> Result<Door> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let spec = api.get(name).await?.spec.context("a Service has a spec")?;
        let address = spec.cluster_ip.context("a Service has an address")?;
        let port = spec.ports.unwrap_or_default().first().map_or(80, |port| port.port);
        Ok(Door {
            url: format!("http://{address}:{port}"),
            database: database.to_owned(),
            secret: SECRET.to_owned(),
        })
    }

    /// How many versions of its pods a Deployment has had.
    pub async fn versions(&self, namespace: &str) -> Result<usize> {
        let arguments = ["get", "replicasets", "-n", namespace, "-o", "name"];
        Ok(self.plane.kubectl(arguments).await?.lines().filter(|it| !it.is_empty()).count())
    }

    /// The metadata.generation of every child that has one.
    pub async fn generations(&self, namespace: &str) -> Result<BTreeMap<String, i64>> {
        let kinds = "deployments,services,networkpolicies,poddisruptionbudgets,jobs,configmaps,\
                     serviceaccounts,horizontalpodautoscalers";
        let arguments = ["get", kinds, "-n", namespace, "-o", "json"];
        let list: Value = serde_json::from_str(&self.plane.kubectl(arguments).await?)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        Ok(items
            .iter()
            .map(|it| {
                let name = format!("{}/{}", it["kind"], it["metadata"]["name"]);
                (name, it["metadata"]["generation"].as_i64().unwrap_or(0))
            })
            .collect())
    }
}

/// A cluster of this name, with what it least needs and these changes.
pub fn cluster(namespace: &str, name: &str, spec: Value) -> Value {
    let mut cluster = json!({
        "apiVersion": "chat.example.com/v1alpha1",
        "kind": "ChatCluster",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "image": { "repository": SERVER, "tag": "1" },
            "database": { "urlSecretRef": { "name": "db", "key": "url" } },
            "redis": { "urlSecretRef": { "name": "redis", "key": "url" } },
            "auth": { "secretRef": { "name": "auth", "key": "key" } },
            "drain": { "noticeSeconds": 1, "windowSeconds": 10 },
            "rollout": { "minReadySeconds": 1 },
        },
    });
    merge(&mut cluster["spec"], spec);
    cluster
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
