//! The pod: one server, or one migration.

use std::collections::BTreeMap;

use k8s_openapi::{
    DeepMerge,
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
        HTTPGetAction, KeyToPath, LocalObjectReference, PodSecurityContext, PodSpec,
        PodTemplateSpec, Probe, ProjectedVolumeSource, SeccompProfile, SecretProjection,
        SecretVolumeSource, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
        VolumeProjection,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::ResourceExt;
use serde_json::{Map, Value};

use super::config;
use crate::{
    crd::{ChatCluster, Image, PullPolicy, SecretKeyRef, Spread},
    labels::{self, CONTAINER},
};

/// Port of the chat in a pod.
pub(crate) const HTTP: i32 = 8080;
/// Port of the metrics in a pod.
pub(crate) const METRICS: i32 = 9090;

/// Longest time that a server's start may take: it waits 15 s for its database by itself.
const START_SECONDS: i32 = 120;
const START_PERIOD_SECONDS: i32 = 2;

/// What a pod is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve.
    Serve,
    /// To bring the schema up to date, and to see whether configuration and secrets hold.
    Migrate,
}

/// The reference of an image.
pub(crate) fn image(image: &Image) -> String {
    match (&image.digest, &image.tag) {
        (Some(digest), _) => format!("{}@{digest}", image.repository),
        (None, Some(tag)) => format!("{}:{tag}", image.repository),
        (None, None) => image.repository.clone(),
    }
}

/// The secrets that a pod gets, with the names of the files.
pub(crate) fn secrets(
    cluster: &ChatCluster,
    purpose: Purpose,
) -> Vec<(&'static str, &SecretKeyRef)> {
    let spec = &cluster.spec;
    let database = match purpose {
        Purpose::Serve => &spec.database.url_secret_ref,
        Purpose::Migrate => {
            let own = spec.database.migration.url_secret_ref.as_ref();
            own.unwrap_or(&spec.database.url_secret_ref)
        }
    };
    let optional = [
        ("database-ca.crt", spec.database.ca_secret_ref.as_ref()),
        ("redis-ca.crt", spec.redis.ca_secret_ref.as_ref()),
        ("auth-secret", spec.auth.as_ref().map(|auth| &auth.secret_ref)),
    ];
    [("database-url", database), ("redis-url", &spec.redis.url_secret_ref)]
        .into_iter()
        .chain(optional.into_iter().filter_map(|(name, key)| Some((name, key?))))
        .collect()
}

/// The template, with the user's overrides.
///
/// # Errors
///
/// What is wrong with the overrides, for the user.
pub(crate) fn template(
    cluster: &ChatCluster,
    purpose: Purpose,
    config_map: &str,
    secrets_digest: &str,
) -> Result<PodTemplateSpec, String> {
    let name = cluster.name_any();
    let spec = &cluster.spec;
    let labels = match purpose {
        Purpose::Serve => labels::server(&name),
        Purpose::Migrate => labels::migration(&name),
    };
    // A rollout begins when any of these differs.
    let mut annotations =
        BTreeMap::from([(labels::annotation("secrets"), secrets_digest.to_owned())]);
    if !spec.restarted_at.is_empty() {
        annotations.insert(labels::annotation("restarted-at"), spec.restarted_at.clone());
    }
    let pod = PodSpec {
        containers: vec![container(cluster, purpose)],
        service_account_name: Some(name.clone()),
        // The server never talks to Kubernetes.
        automount_service_account_token: Some(false),
        // Variables of all Services of the namespace would only be noise.
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(spec.drain.grace_seconds()),
        restart_policy: (purpose == Purpose::Migrate).then(|| "Never".to_owned()),
        image_pull_secrets: some_unless_empty(
            spec.image
                .pull_secrets
                .iter()
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect(),
        ),
        node_selector: (!spec.placement.node_selector.is_empty())
            .then(|| spec.placement.node_selector.clone()),
        tolerations: some_unless_empty(spec.placement.tolerations.clone()),
        priority_class_name: spec.placement.priority_class_name.clone(),
        topology_spread_constraints: match purpose {
            Purpose::Serve => spread(&name, spec.placement.spread),
            Purpose::Migrate => None,
        },
        volumes: Some(volumes(cluster, purpose, config_map)),
        ..PodSpec::default()
    };
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels.clone()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    };
    template.merge_from(overrides(&spec.pod_template)?);
    // Neither would the Deployment be one any more nor the Job, if these could be overridden.
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(labels);
    if let (Purpose::Migrate, Some(pod)) = (purpose, &mut template.spec) {
        pod.restart_policy = Some("Never".to_owned());
        // A sidecar would outlive the migration.
        pod.containers.retain(|container| container.name == CONTAINER);
    }
    Ok(template)
}

/// The overrides, if every field of them is one.
fn overrides(given: &Map<String, Value>) -> Result<PodTemplateSpec, String> {
    let given = Value::Object(given.clone());
    let read: PodTemplateSpec = serde_json::from_value(given.clone())
        .map_err(|why| format!("spec.podTemplate is not a pod template: {why}"))?;
    let back = serde_json::to_value(&read).expect("a template is plain data");
    match unknown(&given, &back, "spec.podTemplate") {
        Some(path) => Err(format!("{path} is not a field of a pod template")),
        None => Ok(read),
    }
}

/// The first field that was lost in reading.
fn unknown(given: &Value, back: &Value, path: &str) -> Option<String> {
    match (given, back) {
        (Value::Object(given), Value::Object(back)) => given.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match (value, back.get(key)) {
                (Value::Null, _) => None,
                (value, Some(back)) => unknown(value, back, &path),
                (_, None) => Some(path),
            }
        }),
        (Value::Array(given), Value::Array(back)) => {
            let pairs = given.iter().zip(back).enumerate();
            pairs
                .into_iter()
                .find_map(|(n, (given, back))| unknown(given, back, &format!("{path}[{n}]")))
        }
        _ => None,
    }
}

fn container(cluster: &ChatCluster, purpose: Purpose) -> Container {
    let spec = &cluster.spec;
    let file = format!("{}/{}", config::FOLDER, config::FILE);
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let mut args = vec!["--config".to_owned(), file];
    if purpose == Purpose::Migrate {
        args.push("migrate".to_owned());
    }
    let serves = purpose == Purpose::Serve;
    let probe = |path: &str, period, failures, patience| {
        let scheme = if spec.tls.is_some() { "HTTPS" } else { "HTTP" };
        serves.then(|| Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.to_owned()),
                port: IntOrString::String("http".to_owned()),
                scheme: Some(scheme.to_owned()),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(period),
            failure_threshold: Some(failures),
            timeout_seconds: Some(patience),
            ..Probe::default()
        })
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(image(&spec.image)),
        image_pull_policy: spec.image.pull_policy.map(|policy| {
            match policy {
                PullPolicy::Always => "Always",
                PullPolicy::IfNotPresent => "IfNotPresent",
                PullPolicy::Never => "Never",
            }
            .to_owned()
        }),
        args: Some(args),
        ports: serves.then(|| vec![port("http", HTTP), port("metrics", METRICS)]),
        startup_probe: probe(
            "/healthz",
            START_PERIOD_SECONDS,
            START_SECONDS / START_PERIOD_SECONDS,
            2,
        ),
        readiness_probe: probe("/readyz", 2, 2, 2),
        // Only the process itself: a restart mends no database.
        liveness_probe: probe("/healthz", 10, 3, 5),
        resources: Some(spec.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        // The last lines say why it ended; `kubectl describe` and the status show them.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts(cluster)),
        ..Container::default()
    }
}

fn mounts(cluster: &ChatCluster) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![mount("config", config::FOLDER), mount("secrets", config::SECRETS)];
    if cluster.spec.tls.is_some() {
        mounts.push(mount("tls", config::TLS));
    }
    mounts.push(VolumeMount { read_only: None, ..mount("tmp", "/tmp") });
    mounts
}

fn volumes(cluster: &ChatCluster, purpose: Purpose, config_map: &str) -> Vec<Volume> {
    let sources = secrets(cluster, purpose)
        .into_iter()
        .map(|(file, key)| VolumeProjection {
            secret: Some(SecretProjection {
                name: key.name.clone(),
                items: Some(vec![KeyToPath {
                    key: key.key.clone(),
                    path: file.to_owned(),
                    mode: None,
                }]),
                optional: None,
            }),
            ..VolumeProjection::default()
        })
        .collect();
    let volume = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
    let mut volumes = vec![
        Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: config_map.to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..volume("config")
        },
        Volume {
            projected: Some(ProjectedVolumeSource {
                sources: Some(sources),
                ..ProjectedVolumeSource::default()
            }),
            ..volume("secrets")
        },
    ];
    if let Some(tls) = &cluster.spec.tls {
        volumes.push(Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(tls.secret_name.clone()),
                ..SecretVolumeSource::default()
            }),
            ..volume("tls")
        });
    }
    volumes.push(Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume("tmp") });
    volumes
}

fn spread(cluster: &str, spread: Spread) -> Option<Vec<TopologySpreadConstraint>> {
    let unsatisfiable = match spread {
        Spread::Soft => "ScheduleAnyway",
        Spread::Hard => "DoNotSchedule",
        Spread::None => return None,
    };
    let over = |key: &str| TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew: 1,
        when_unsatisfiable: unsatisfiable.to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(cluster)),
            match_expressions: None,
        }),
        // Only pods of the same version count, so that a surge spreads as well.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    Some(vec![over("topology.kubernetes.io/zone"), over("kubernetes.io/hostname")])
}

fn some_unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    fn with(overrides: Value, purpose: Purpose) -> Result<PodTemplateSpec, String> {
        let mut cluster = fixture::cluster();
        cluster.spec.pod_template = serde_json::from_value(overrides).unwrap();
        template(&cluster, purpose, "team-config-1", "2")
    }

    #[test]
    fn overrides_are_merged_by_name_and_cannot_take_the_selector_away() {
        let template = with(
            json!({
                "metadata": {
                    "annotations": { "a": "b" },
                    "labels": { "team": "x", "app.kubernetes.io/instance": "another" },
                },
                "spec": {
                    "containers": [
                        { "name": "chat-server", "env": [{ "name": "TZ", "value": "UTC" }] },
                        { "name": "sidecar", "image": "side:1" },
                    ],
                    "runtimeClassName": "gvisor",
                },
            }),
            Purpose::Serve,
        )
        .unwrap();
        let metadata = template.metadata.unwrap();
        let labels = metadata.labels.unwrap();
        assert_eq!(labels["team"], "x");
        assert_eq!(labels["app.kubernetes.io/instance"], "team");
        assert_eq!(metadata.annotations.unwrap()["a"], "b");
        let pod = template.spec.unwrap();
        assert_eq!(pod.runtime_class_name.as_deref(), Some("gvisor"));
        assert_eq!(pod.containers.len(), 2);
        let server = &pod.containers[0];
        assert_eq!(server.env.as_ref().unwrap()[0].name, "TZ");
        assert_eq!(server.image.as_deref(), Some("registry.example/chat-server:1"));
        assert!(server.readiness_probe.is_some());
    }

    #[test]
    fn a_migration_has_the_environment_but_neither_sidecars_nor_ports_nor_probes() {
        let overrides = json!({ "spec": {
            "restartPolicy": "Always",
            "containers": [
                { "name": "chat-server", "env": [{ "name": "TZ", "value": "UTC" }] },
                { "name": "sidecar", "image": "side:1" },
            ],
        }});
        let pod = with(overrides, Purpose::Migrate).unwrap().spec.unwrap();
        assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
        assert_eq!(pod.containers.len(), 1);
        assert!(pod.containers[0].env.is_some());
        assert!(pod.containers[0].ports.is_none() && pod.containers[0].readiness_probe.is_none());
        assert_eq!(pod.containers[0].args.as_ref().unwrap().last().unwrap(), "migrate");
    }

    #[test]
    fn a_field_that_is_none_is_named() {
        for (overrides, needle) in [
            (json!({ "spec": { "nodeselector": {} } }), "spec.podTemplate.spec.nodeselector"),
            (json!({ "specs": {} }), "spec.podTemplate.specs"),
            (
                json!({ "spec": { "containers": [{ "name": "a", "imagee": "b" }] } }),
                "spec.podTemplate.spec.containers[0].imagee",
            ),
            (json!({ "spec": { "containers": 3 } }), "spec.podTemplate is not a pod template"),
        ] {
            let why = with(overrides, Purpose::Serve).unwrap_err();
            assert!(why.contains(needle), "{why}");
        }
    }

    #[test]
    fn the_image_is_pinned_by_its_digest_if_there_is_one() {
        let mut it = fixture::spec().image;
        assert_eq!(image(&it), "registry.example/chat-server:1");
        it.digest = Some("sha256:00".to_owned());
        assert_eq!(image(&it), "registry.example/chat-server@sha256:00");
    }
}
