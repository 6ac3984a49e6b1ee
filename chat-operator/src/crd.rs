//! The `ChatCluster` resource: what people ask for, and what they are told.
//!
//! Only the shape, the defaults and the rules that the API server itself can hold. What follows from
//! them is decided elsewhere.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{ResourceRequirements, Toleration},
        networking::v1::NetworkPolicyPeer,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

// The group stands here and nowhere else; the tests name what has to be generated anew when it
// changes.
/// One chat: servers that share a PostgreSQL and a Redis.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "chat.example.com",
    version = "v1alpha1",
    kind = "ChatCluster",
    plural = "chatclusters",
    shortname = "chat",
    category = "all",
    namespaced,
    cel,
    doc = "A chat: chat-server replicas that share a PostgreSQL and a Redis.",
    status = "ChatClusterStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40").message(
        "the name has at most 40 characters, because the names of its objects are made of it: choose a shorter one"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message(
        "the name begins with a letter and holds letters, digits and '-', because a Service is called so: choose another one"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ChatClusterSpec {
    /// The server's image.
    pub image: Image,
    /// How many servers. Also the field of the scale subresource: leave it out where something else
    /// scales, so that nobody writes it twice.
    #[serde(default = "defaults::replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Scales by itself between two bounds. Off if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// The PostgreSQL that keeps everything.
    pub database: Database,
    /// The Redis over which the servers hear of each other. It keeps nothing.
    pub redis: Redis,
    /// What signs log-ins. Without it the servers make a secret and keep it in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Settings of the server as in its file (`chat-server config default` prints them all), with
    /// tables as objects: `{log: {level: debug}}`. Secrets do not belong here, and what the other
    /// fields say cannot be said here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "anything")]
    pub config: Map<String, Value>,
    /// How a server leaves.
    #[serde(default)]
    pub drain: Drain,
    /// How a new version comes.
    #[serde(default)]
    pub rollout: Rollout,
    /// Nothing is changed while it is set; the status is still written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// No servers run while it is set; everything else stays, and so does `replicas`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hibernated: bool,
    /// Any other text than before restarts the servers one rollout's way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub restarted_at: String,
    /// CPU and memory of a server.
    #[serde(default = "defaults::resources")]
    pub resources: ResourceRequirements,
    /// Where servers run.
    #[serde(default)]
    pub placement: Placement,
    /// How many servers may be taken away at once by those who empty nodes.
    #[serde(default)]
    pub disruption_budget: DisruptionBudget,
    /// Who may connect to the servers.
    #[serde(default)]
    pub network_policy: NetworkPolicy,
    /// Who scrapes the metrics.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// The Service in front of the servers.
    #[serde(default)]
    pub service: Service,
    /// TLS at the servers themselves. Without it, whatever stands before them ends TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Merged over the pod template at the end, as `kubectl patch` would: labels, annotations,
    /// environment, volumes, sidecars, affinity. The server's container is called `chat-server`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "anything")]
    pub pod_template: Map<String, Value>,
}

/// A container image.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.tag) || has(self.digest)").message(
        "image needs a tag or a digest: the operator never chooses the version that you run"
    )
)]
pub struct Image {
    /// Registry and name.
    #[schemars(length(min = 1, max = 512))]
    pub repository: String,
    /// The tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"))]
    pub tag: Option<String>,
    /// The digest, which wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: Option<String>,
    /// When the image is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Names of the Secrets with which it is fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<String>,
}

/// When an image is fetched.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// If the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// A key of a Secret in the same namespace.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct SecretKeyRef {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The PostgreSQL that keeps everything.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Its URL: `postgres://user:password@host/database`.
    pub url_secret_ref: SecretKeyRef,
    /// Certificates (PEM) of the authorities that may vouch for it; the image's, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// Connections of each server that write.
    #[serde(default = "defaults::write_connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub write_connections: i32,
    /// Connections of each server for everything else.
    #[serde(default = "defaults::read_connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub read_connections: i32,
    /// How many connections the database has for this chat. If all servers of a rollout together
    /// could want more, a condition says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: Option<i32>,
    /// How the schema is brought up to date.
    #[serde(default)]
    pub migration: Migration,
}

/// How the schema is brought up to date.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// By whom.
    #[serde(default)]
    pub mode: MigrationMode,
    /// The URL of a role that may change the schema; the servers' own, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret_ref: Option<SecretKeyRef>,
    /// How long it may take.
    #[serde(default = "defaults::migration_seconds")]
    #[schemars(range(min = 10, max = 604_800))]
    pub deadline_seconds: i64,
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            mode: MigrationMode::default(),
            url_secret_ref: None,
            deadline_seconds: defaults::migration_seconds(),
        }
    }
}

/// Who brings the schema up to date.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default,
)]
pub enum MigrationMode {
    /// A Job, before anything is rolled out: if it fails, the old servers go on.
    #[default]
    Job,
    /// You, beforehand: `chat-server migrate`. The servers refuse a schema that is too old.
    None,
}

/// The Redis over which the servers hear of each other.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Its URL: `redis://host`, `rediss://host`, or those of a Redis Cluster's nodes with commas.
    pub url_secret_ref: SecretKeyRef,
    /// Certificates (PEM) of the authorities that may vouch for it; the image's, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// What the names of its channels begin with; made of namespace and name, if not given. Two
    /// chats that share a Redis need different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_.:-]+$"))]
    pub prefix: Option<String>,
}

/// What signs log-ins.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// At least 32 bytes.
    pub secret_ref: SecretKeyRef,
}

/// Scaling between two bounds.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas").message(
        "minReplicas is above maxReplicas: raise maxReplicas or lower minReplicas"
    ),
    validation = Rule::new("has(self.connectionsPerPod) || has(self.cpuPercent)").message(
        "autoscaling needs something to scale by: set connectionsPerPod, or cpuPercent with source HorizontalPodAutoscaler"
    ),
    validation = Rule::new("self.source != 'BuiltIn' || (has(self.connectionsPerPod) && !has(self.cpuPercent))").message(
        "the built-in autoscaler goes by connections only: set connectionsPerPod and leave cpuPercent out, or choose source HorizontalPodAutoscaler"
    ),
    validation = Rule::new("self.source != 'BuiltIn' || !has(self.behavior)").message(
        "behavior belongs to source HorizontalPodAutoscaler: leave it out"
    )
)]
pub struct Autoscaling {
    /// At least so many.
    #[serde(default = "defaults::replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Who counts.
    #[serde(default)]
    pub source: AutoscalingSource,
    /// Live connections that a server should have on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_pod: Option<i32>,
    /// CPU that a server should use on average, in percent of its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub cpu_percent: Option<i32>,
    /// `behavior` of the HorizontalPodAutoscaler as it is; if not given: down by one server in two
    /// minutes, after ten minutes in which fewer would have done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub behavior: Option<Map<String, Value>>,
}

/// Who counts what the scaling goes by.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default,
)]
pub enum AutoscalingSource {
    /// The operator asks the servers for their connections. Needs nothing else.
    #[default]
    BuiltIn,
    /// A HorizontalPodAutoscaler, which needs a metrics server (CPU) or an adapter that offers the
    /// metric `chat_connections` of pods.
    HorizontalPodAutoscaler,
}

/// How a server leaves.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.gracePeriodSeconds) || self.gracePeriodSeconds >= self.noticeSeconds + self.windowSeconds + 15").message(
        "gracePeriodSeconds is too short, servers would be killed while they drain: make it at least noticeSeconds + windowSeconds + 15, or leave it out"
    )
)]
pub struct Drain {
    /// Seconds between the server's farewell and its first client's: load balancers look elsewhere
    /// meanwhile.
    #[serde(default = "defaults::notice_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub notice_seconds: i64,
    /// Seconds over which its clients are told to move.
    #[serde(default = "defaults::window_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub window_seconds: i64,
    /// Clients that all servers together tell to move, a second.
    #[serde(default = "defaults::moves_per_second")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub moves_per_second: i32,
    /// Servers that leave at a time when there are to be fewer.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 1, max = 100))]
    pub max_pods_at_once: i32,
    /// When a server that is still there is killed; made of the above, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub grace_period_seconds: Option<i64>,
}

impl Drain {
    /// Beyond notice and window: the last frames, the last commits.
    const FAREWELL_SECONDS: i64 = 10;
    /// Beyond that, so that a server which ends by itself is not killed.
    const MARGIN_SECONDS: i64 = 5;

    /// Within so many seconds a server ends by itself.
    #[must_use]
    pub const fn limit_seconds(&self) -> i64 {
        self.notice_seconds + self.window_seconds + Self::FAREWELL_SECONDS
    }

    /// After so many it is killed.
    #[must_use]
    pub fn grace_seconds(&self) -> i64 {
        self.grace_period_seconds.unwrap_or(self.limit_seconds() + Self::MARGIN_SECONDS)
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            notice_seconds: defaults::notice_seconds(),
            window_seconds: defaults::window_seconds(),
            moves_per_second: defaults::moves_per_second(),
            max_pods_at_once: defaults::one(),
            grace_period_seconds: None,
        }
    }
}

/// How a new version comes.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.maxSurge in ['0', '0%'] && self.maxUnavailable in ['0', '0%'])").message(
        "with maxSurge and maxUnavailable both 0 nothing could be replaced: allow one of them"
    )
)]
pub struct Rollout {
    /// New servers beside the old ones, as a number or a percentage. All at once by default, because
    /// then each client moves once: with fewer, clients move from one old server to the next.
    #[serde(default = "defaults::max_surge")]
    #[schemars(length(max = 5), regex(pattern = r"^(0|0%|[1-9][0-9]{0,3}|[1-9][0-9]{0,2}%)$"))]
    pub max_surge: String,
    /// Servers that may be missing meanwhile.
    #[serde(default = "defaults::max_unavailable")]
    #[schemars(length(max = 5), regex(pattern = r"^(0|0%|[1-9][0-9]{0,3}|[1-9][0-9]{0,2}%)$"))]
    pub max_unavailable: String,
    /// How long a new server has to be ready before it counts.
    #[serde(default = "defaults::min_ready_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub min_ready_seconds: i32,
    /// A rollout that gets no further for so long has failed.
    #[serde(default = "defaults::progress_seconds")]
    #[schemars(range(min = 10, max = 86_400))]
    pub progress_deadline_seconds: i32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            max_surge: defaults::max_surge(),
            max_unavailable: defaults::max_unavailable(),
            min_ready_seconds: defaults::min_ready_seconds(),
            progress_deadline_seconds: defaults::progress_seconds(),
        }
    }
}

/// Where servers run.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// How servers spread over zones and nodes.
    #[serde(default)]
    pub spread: Spread,
    /// Labels that a node has to have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that do not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// How servers spread over zones and nodes.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default,
)]
pub enum Spread {
    /// As well as it goes.
    #[default]
    Soft,
    /// Evenly, or not at all.
    Hard,
    /// Wherever.
    None,
}

/// How many servers may be taken away at once.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// Whether there is one. It never stands for a single server, which could not be moved then.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// So many, as a number or a percentage.
    #[serde(default = "defaults::max_disrupted")]
    #[schemars(length(max = 5), regex(pattern = r"^([1-9][0-9]{0,3}|[1-9][0-9]{0,2}%)$"))]
    pub max_unavailable: String,
}

impl Default for DisruptionBudget {
    fn default() -> Self {
        Self { enabled: true, max_unavailable: defaults::max_disrupted() }
    }
}

/// Who may connect to the servers.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether there is a policy: the chat's port for `ingressFrom`, the metrics' for the operator
    /// and `metricsFrom`, nothing else.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// Who may reach the chat; everybody, if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress_from: Vec<NetworkPolicyPeer>,
    /// Who may scrape, beside the operator; every pod of the Kubernetes cluster, if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics_from: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { enabled: true, ingress_from: Vec::new(), metrics_from: Vec::new() }
    }
}

/// Who scrapes the metrics.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Whether there is a ServiceMonitor.
    #[serde(default)]
    pub service_monitor: ServiceMonitorMode,
    /// How often it scrapes: `30s`; Prometheus's own, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(ms|s|m)$"))]
    pub interval: Option<String>,
    /// Labels by which Prometheus finds it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Whether there is a ServiceMonitor.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default,
)]
pub enum ServiceMonitorMode {
    /// If the Kubernetes cluster knows the kind.
    #[default]
    Auto,
    /// No.
    Disabled,
}

/// The Service in front of the servers.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its type.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    /// For load balancers and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The port at which the chat is reached.
    #[serde(default = "defaults::service_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            kind: ServiceType::default(),
            annotations: BTreeMap::new(),
            port: defaults::service_port(),
        }
    }
}

/// The type of a Service.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default,
)]
pub enum ServiceType {
    /// Within the Kubernetes cluster.
    #[default]
    ClusterIP,
    /// On every node.
    NodePort,
    /// From outside.
    LoadBalancer,
}

/// TLS at the servers themselves.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// A Secret with `tls.crt` and `tls.key`, as cert-manager makes them. The servers read it again
    /// when it changes; nothing is rolled.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// What the operator tells. Nothing in it changes while nothing happens.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ChatClusterStatus {
    /// The generation of the resource that the rest is about; -1 before the operator has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Servers that there are.
    #[serde(default)]
    pub replicas: i32,
    /// Those that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Those of the newest version.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Those that are leaving.
    #[serde(default)]
    pub terminating_replicas: i32,
    /// The labels of the pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The image that was rolled out last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its tag, or the beginning of its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The Service at which the chat is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// What holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The definition as it is installed.
///
/// The generated one with a default status: tools that wait for the resource (kstatus, Helm 4) would
/// otherwise take one that no operator has seen yet for finished.
///
/// # Panics
///
/// Never: the generated definition has one version with a schema.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    let mut definition = ChatCluster::crd();
    let version = definition.spec.versions.first_mut().expect("the derive makes one version");
    let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut());
    let properties = schema.and_then(|it| it.properties.as_mut()).expect("the schema has fields");
    let status = properties.get_mut("status").expect("the resource has a status");
    status.nullable = None;
    status.default =
        Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON(
            json!({ "observedGeneration": -1 }),
        ));
    definition
}

/// An object of any fields.
fn anything(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

#[allow(clippy::trivially_copy_pass_by_ref)] // What serde calls.
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What holds when nobody says. The schema carries the same, so that it can be read off an object.
mod defaults {
    use std::collections::BTreeMap;

    use k8s_openapi::{
        api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity,
    };

    /// The least at which one can go while the other serves.
    pub(super) const fn replicas() -> i32 {
        2
    }

    /// The same as the server's own.
    pub(super) const fn write_connections() -> i32 {
        4
    }

    /// The same as the server's own.
    pub(super) const fn read_connections() -> i32 {
        8
    }

    pub(super) const fn migration_seconds() -> i64 {
        1800
    }

    /// Endpoints take a second or two to come round everywhere.
    pub(super) const fn notice_seconds() -> i64 {
        5
    }

    pub(super) const fn window_seconds() -> i64 {
        60
    }

    /// The same as the server's own.
    pub(super) const fn moves_per_second() -> i32 {
        1000
    }

    pub(super) const fn one() -> i32 {
        1
    }

    pub(super) fn max_surge() -> String {
        "100%".to_owned()
    }

    pub(super) fn max_unavailable() -> String {
        "0".to_owned()
    }

    pub(super) fn max_disrupted() -> String {
        "1".to_owned()
    }

    pub(super) const fn min_ready_seconds() -> i32 {
        5
    }

    pub(super) const fn progress_seconds() -> i32 {
        600
    }

    pub(super) const fn service_port() -> i32 {
        80
    }

    pub(super) const fn yes() -> bool {
        true
    }

    /// No limit of CPU: it would slow a server down exactly when it is needed.
    pub(super) fn resources() -> ResourceRequirements {
        let quantities = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned())));
            Some(owned.collect::<BTreeMap<_, _>>())
        };
        ResourceRequirements {
            requests: quantities(&[("cpu", "250m"), ("memory", "128Mi")]),
            limits: quantities(&[("memory", "512Mi")]),
            claims: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// What the API server would say to a cluster that is changed so.
    fn refused(change: Value) -> String {
        let mut cluster = serde_json::to_value(fixture::cluster()).unwrap();
        merge(&mut cluster, change);
        let cluster: ChatCluster = serde_json::from_value(cluster).unwrap();
        match cluster.validate_cel() {
            Ok(()) => String::new(),
            Err(errors) => errors.to_string(),
        }
    }

    fn merge(into: &mut Value, from: Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    if value.is_null() {
                        into.remove(&key);
                    } else {
                        merge(into.entry(key).or_insert(Value::Null), value);
                    }
                }
            }
            (into, from) => *into = from,
        }
    }

    #[test]
    fn rules_say_what_to_do() {
        for (change, needle) in [
            (json!({ "metadata": { "name": "x".repeat(41) } }), "choose a shorter one"),
            (json!({ "metadata": { "name": "1team" } }), "begins with a letter"),
            (json!({ "spec": { "image": { "tag": null } } }), "needs a tag or a digest"),
            (
                json!({ "spec": { "drain": { "windowSeconds": 60, "gracePeriodSeconds": 79 } } }),
                "at least noticeSeconds + windowSeconds + 15",
            ),
            (
                json!({ "spec": { "rollout": { "maxSurge": "0", "maxUnavailable": "0%" } } }),
                "nothing could be replaced",
            ),
            (
                json!({ "spec": { "autoscaling":
                    { "minReplicas": 5, "maxReplicas": 4, "connectionsPerPod": 10 } } }),
                "raise maxReplicas",
            ),
            (json!({ "spec": { "autoscaling": { "maxReplicas": 4 } } }), "something to scale by"),
            (
                json!({ "spec": { "autoscaling":
                    { "maxReplicas": 4, "connectionsPerPod": 9, "cpuPercent": 50 } } }),
                "goes by connections only",
            ),
            (
                json!({ "spec": { "autoscaling":
                    { "maxReplicas": 4, "connectionsPerPod": 9, "behavior": {} } } }),
                "behavior belongs to",
            ),
        ] {
            let said = refused(change.clone());
            assert!(said.contains(needle), "{change}: {said:?}");
        }
        for change in [
            json!({}),
            json!({ "spec": { "drain": { "windowSeconds": 60, "gracePeriodSeconds": 80 } } }),
            json!({ "spec": { "autoscaling": { "maxReplicas": 4, "connectionsPerPod": 9 } } }),
            json!({ "spec": { "autoscaling": { "maxReplicas": 4, "cpuPercent": 50,
                "source": "HorizontalPodAutoscaler", "behavior": {} } } }),
        ] {
            assert_eq!(refused(change.clone()), "", "{change}");
        }
    }

    #[test]
    fn a_server_that_keeps_to_its_limit_is_not_killed() {
        let mut drain = Drain::default();
        assert!(drain.grace_seconds() > drain.limit_seconds());
        // The least that the rule allows.
        drain.grace_period_seconds = Some(drain.notice_seconds + drain.window_seconds + 15);
        assert!(drain.grace_seconds() > drain.limit_seconds());
    }

    #[test]
    fn a_resource_that_no_operator_has_seen_says_so() {
        let definition = serde_json::to_value(definition()).unwrap();
        let version = &definition["spec"]["versions"][0];
        let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(status["default"], json!({ "observedGeneration": -1 }));
        assert_eq!(status["properties"]["conditions"]["x-kubernetes-list-type"], "map");
        assert_eq!(version["subresources"]["scale"]["labelSelectorPath"], ".status.selector");
    }
}
