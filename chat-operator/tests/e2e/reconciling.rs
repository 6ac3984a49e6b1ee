//! The loop itself: silent at rest, stubborn about what is its own, telling what is wrong, and held up
//! by nothing that it need not wait for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    Add,
    lab::{Lab, SYSTEM, cluster, root},
};

pub fn scenarios(add: Add<'_>) {
    add("a_rule_that_is_broken_is_refused_with_what_to_do", |lab| Box::pin(rules(lab)));
    add("a_failed_migration_leaves_the_old_servers_serving", |lab| Box::pin(migration(lab)));
    add("what_is_wrong_is_said_and_no_longer_when_it_is_mended", |lab| Box::pin(reasons(lab)));
    add("what_was_changed_by_hand_comes_back_and_orphans_are_adopted", |lab| Box::pin(hands(lab)));
    add("a_pod_that_nobody_takes_keeps_none_from_leaving", |lab| Box::pin(unschedulable(lab)));
    add("an_old_server_starts_again_with_its_own_configuration", |lab| Box::pin(half_way(lab)));
    add("each_transition_is_told_once", |lab| Box::pin(events(lab)));
    add("twenty_broken_chats_keep_quiet_and_a_healthy_one_comes", |lab| Box::pin(storm(lab)));
    add("nothing_is_written_at_rest", |lab| Box::pin(silence(lab)));
}

/// What the operator calls itself.
const OPERATOR: &str = "chat-operator/";

/// Kinds of children.
const CHILDREN: &str = "deployments,services,networkpolicies,poddisruptionbudgets,jobs,configmaps,\
                        serviceaccounts,horizontalpodautoscalers";

/// As [`Lab::generations`] has it.
const DEPLOYMENT: &str = "\"Deployment\"/\"team\"";

/// By what the children of the operator are found.
const OURS: &str = "app.kubernetes.io/managed-by=chat-operator";

async fn silence(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("silence").await?;
    lab.secrets(&namespace).await?;
    let no_migration = json!({ "migration": { "mode": "None" } });
    let nowhere = json!({ "urlSecretRef": { "name": "nowhere" } });
    let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 3, "connectionsPerPod": 100 });
    let states = [
        ("well", json!({}), "AllReplicasReady"),
        ("asleep", json!({}), "Hibernated"),
        ("paused", json!({}), "Paused"),
        ("secretless", json!({ "database": nowhere }), "SecretNotFound"),
        ("unmigrated", json!({ "image": { "tag": "cannot-migrate" } }), "MigrationFailed"),
        (
            "imageless",
            json!({ "image": { "tag": "nowhere" }, "database": no_migration }),
            "ImagePullFailed",
        ),
        ("scaling", json!({ "autoscaling": autoscaling }), "AllReplicasReady"),
        (
            "crashing",
            json!({ "image": { "tag": "crashes" }, "database": no_migration }),
            "PodsCrashing",
        ),
    ];
    for (name, spec, _) in &states {
        let mut cluster = cluster(&namespace, name, json!({ "replicas": 1 }));
        merge(&mut cluster["spec"], spec);
        lab.apply(&cluster).await?;
    }
    for name in ["asleep", "paused"] {
        lab.until_ready(&namespace, name).await?;
    }
    lab.patch(&namespace, "asleep", &json!({ "spec": { "hibernated": true } })).await?;
    let change = json!({ "spec": { "paused": true, "image": { "tag": "2" } } });
    lab.patch(&namespace, "paused", &change).await?;
    for (name, _, reason) in &states {
        lab.until_reason(&namespace, name, "Ready", reason).await?;
    }
    settle(&lab, &namespace).await?;

    let (written, passes, restarts) =
        (writes(&lab, &namespace)?.len(), passes(&lab).await?, restarts(&lab, &namespace).await?);
    sleep(Duration::from_secs(30)).await;
    let since = writes(&lab, &namespace)?.split_off(written);
    ensure!(since.is_empty(), "written at rest: {since:#?}");
    let looked = self::passes(&lab).await? - passes;
    let restarts = self::restarts(&lab, &namespace).await? - restarts;
    // Each run of a crashing container is a few changes of its pod; whoever scales is counted every
    // fifteen seconds; and each chat of the lab may have its pass of every five minutes just now.
    let chats = lab.plane.kubectl(["get", "chatclusters", "-A", "-o", "name"]).await?;
    let most = chats.lines().count() as u64 + 4 + 4 * (restarts + 1);
    println!("  {looked} passes in 30 s at rest, {restarts} restarts");
    ensure!(looked <= most, "{looked} passes, {most} would be reasonable");

    let before = versions(&lab, &namespace).await?;
    for n in 0..10 {
        force(&lab, &namespace, n).await?;
    }
    let after = versions(&lab, &namespace).await?;
    ensure!(before == after, "a pass changed something: {before:#?} {after:#?}");
    let since = writes(&lab, &namespace)?.split_off(written);
    ensure!(since.is_empty(), "written though nothing was to be changed: {since:#?}");
    leave(&lab, &namespace).await
}

async fn hands(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("hands").await?;
    lab.secrets(&namespace).await?;
    let chat = cluster(&namespace, "team", json!({}));
    lab.apply(&chat).await?;
    lab.until_ready(&namespace, "team").await?;
    ensure!(lab.versions(&namespace).await? == 1, "a new chat was rolled at once");
    let n = namespace.as_str();

    let scale = format!("/apis/chat.example.com/v1alpha1/namespaces/{n}/chatclusters/team/scale");
    let scale: Value = serde_json::from_str(&lab.plane.kubectl(["get", "--raw", &scale]).await?)?;
    let selector = scale["status"]["selector"].as_str().context("a selector")?;
    let selected =
        lab.plane.kubectl(["get", "pods", "-n", n, "-l", selector, "-o", "name"]).await?;
    let selected: BTreeSet<_> = selected.lines().map(|it| it.replace("pod/", "")).collect();
    let servers: BTreeSet<_> =
        lab.pods(n, "team").await?.iter().map(ResourceExt::name_any).collect();
    ensure!(selected == servers && servers.len() == 2, "{selector}: {selected:?}, {servers:?}");

    // More and fewer than there should be: each is put back with one write, and no dance follows.
    let puts_back = || {
        let mut events = lab.plane.audit().writes_by(OPERATOR)?;
        events.retain(|it| it.namespace == namespace && it.resource == "deployments");
        let two = events.iter().filter_map(|it| it.sent.as_ref()?.pointer("/spec/replicas"));
        anyhow::Ok(two.filter(|it| **it == 2).count())
    };
    for by_hand in ["1", "3"] {
        settle(&lab, n).await?;
        let before = puts_back()?;
        let to = format!("--replicas={by_hand}");
        lab.plane.kubectl(["scale", "deployment", "team", "-n", n, &to]).await?;
        until_field(&lab, n, "deployment/team", "/spec/replicas", &json!(2)).await?;
        lab.until_ready(n, "team").await?;
        settle(&lab, n).await?;
        let times = puts_back()? - before;
        ensure!(times == 1, "{by_hand} by hand was put back {times} times");
    }

    let port = json!([{ "op": "replace", "path": "/spec/ports/0/port", "value": 81 }]).to_string();
    lab.plane.kubectl(["patch", "service", "team", "-n", n, "--type=json", "-p", &port]).await?;
    until_field(&lab, n, "service/team", "/spec/ports/0/port", &json!(80)).await?;
    until_field(&lab, n, "service/team", "/spec/ports/1", &Value::Null).await?;
    lab.until_ready(n, "team").await?;

    lab.plane.kubectl(["label", "service", "team", "-n", n, "owner=somebody"]).await?;
    let map = lab.plane.kubectl(["get", "configmaps", "-n", n, "-l", OURS, "-o", "name"]).await?;
    for gone in ["poddisruptionbudget/team", "networkpolicy/team", map.trim()] {
        let uid = object(&lab, n, gone).await?["metadata"]["uid"].clone();
        lab.plane.kubectl(["delete", gone, "-n", n]).await?;
        lab.until(&format!("{gone} comes back"), async || {
            ensure!(object(&lab, n, gone).await?["metadata"]["uid"] != uid, "it is the old one");
            Ok(())
        })
        .await?;
    }
    force(&lab, n, 0).await?;
    let service = object(&lab, n, "service/team").await?;
    ensure!(service["metadata"]["labels"]["owner"] == "somebody", "another's label was removed");
    lab.plane.kubectl(["delete", "service", "team", "-n", n]).await?;
    lab.until("the Service comes back", async || object(&lab, n, "service/team").await).await?;

    for replicas in ["--replicas=3", "--replicas=2"] {
        lab.plane.kubectl(["scale", "chatcluster", "team", "-n", n, replicas]).await?;
        lab.until_ready(n, "team").await?;
    }
    ensure!(lab.pods(n, "team").await?.len() == 2, "two were asked for");
    ensure!(lab.versions(n).await? == 1, "scaling made another version of the pods");

    let servers = uids(&lab.pods(n, "team").await?);
    lab.plane.kubectl(["delete", "chatcluster", "team", "-n", n, "--cascade=orphan"]).await?;
    ensure!(uids(&lab.pods(n, "team").await?) == servers, "the orphans were not left alone");
    lab.apply(&chat).await?;
    lab.until_ready(n, "team").await?;
    let owner = lab.cluster(n, "team").await?["metadata"]["uid"].clone();
    lab.until("every child has its owner", async || {
        for child in list(&lab, n).await? {
            let (kind, name) = (&child["kind"], &child["metadata"]["name"]);
            let found = &child["metadata"]["ownerReferences"][0]["uid"];
            ensure!(*found == owner, "{kind} {name} is nobody's");
        }
        Ok(())
    })
    .await?;
    ensure!(uids(&lab.pods(n, "team").await?) == servers, "adoption restarted servers");
    ensure!(lab.versions(n).await? == 1, "adoption made another version of the pods");
    leave(&lab, n).await
}

async fn reasons(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("reasons").await?;
    let full = lab.namespace("quota").await?;
    let n = namespace.as_str();
    lab.secrets(n).await?;
    lab.secrets(&full).await?;
    let quota = |pods: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": { "name": "pods", "namespace": full },
            "spec": { "hard": { "pods": pods } },
        })
    };
    lab.apply(&quota("0")).await?;
    lab.apply(&json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "taken", "namespace": n },
        "spec": { "ports": [{ "port": 7 }] },
    }))
    .await?;
    let broken = [
        (
            "secretless",
            json!({ "redis": { "urlSecretRef": { "name": "nowhere" } } }),
            ("SecretNotFound", "secret nowhere does not exist: create it with the key url"),
            json!({ "redis": { "urlSecretRef": { "name": "redis" } } }),
        ),
        (
            "keyless",
            json!({ "auth": { "secretRef": { "key": "nothing" } } }),
            ("SecretKeyNotFound", "secret auth has no key nothing"),
            json!({ "auth": { "secretRef": { "key": "key" } } }),
        ),
        (
            "imageless",
            json!({ "image": { "tag": "nowhere" } }),
            ("ImagePullFailed", "chat-server:nowhere cannot be pulled: check repository, tag"),
            json!({ "image": { "tag": "1" } }),
        ),
        (
            "fieldless",
            json!({ "podTemplate": { "spec": { "nodeSelectors": {} } } }),
            ("InvalidSpec", "spec.podTemplate.spec.nodeSelectors is not a field of a pod template"),
            json!({ "podTemplate": null }),
        ),
        (
            "refused",
            json!({ "podTemplate": { "spec": { "dnsPolicy": "Sometimes" } } }),
            ("InvalidSpec", "dnsPolicy: Unsupported value"),
            json!({ "podTemplate": null }),
        ),
        (
            "settingless",
            json!({ "config": { "public_address": "here" } }),
            ("MigrationFailed", "public_address"),
            json!({ "config": null }),
        ),
        (
            "owned",
            json!({ "config": { "listen": "0.0.0.0:1" } }),
            ("InvalidSpec", "spec.config.listen cannot be set: the operator chooses it"),
            json!({ "config": null }),
        ),
        (
            "taken",
            json!({}),
            ("OwnershipConflict", "there is a Service taken that does not belong to this"),
            json!({}),
        ),
    ];
    for (name, wrong, ..) in &broken {
        let mut cluster = cluster(n, name, json!({ "replicas": 1 }));
        merge(&mut cluster["spec"], wrong);
        lab.apply(&cluster).await?;
    }
    lab.apply(&cluster(&full, "limited", json!({ "replicas": 1 }))).await?;
    let mut wrong: Vec<_> = Vec::new();
    for (name, _, (reason, needle), _) in &broken {
        let said = lab.until_reason(n, name, "Ready", reason).await?;
        ensure!(said.contains(needle), "{name}: {said}");
        // An image may still come; everything else waits for somebody.
        if *reason != "ImagePullFailed" {
            let stalled = lab.until_reason(n, name, "Stalled", reason).await?;
            ensure!(stalled == said, "{name}: {stalled} and {said}");
        }
        wrong.push(name);
    }
    let said = lab.until_reason(&full, "limited", "Ready", "QuotaExceeded").await?;
    ensure!(said.contains("exceeded quota: pods"), "{said}");

    for (name, _, _, right) in &broken {
        lab.patch(n, name, &json!({ "spec": right })).await?;
    }
    lab.plane.kubectl(["delete", "service", "taken", "-n", n]).await?;
    lab.plane.kubectl(["delete", "resourcequota", "pods", "-n", &full]).await?;
    for name in wrong {
        well(&lab, n, name).await?;
    }
    well(&lab, &full, "limited").await?;
    // A chat that runs can no longer grow.
    lab.apply(&quota("1")).await?;
    lab.plane.kubectl(["scale", "chatcluster", "limited", "-n", &full, "--replicas=2"]).await?;
    let said = lab.until_reason(&full, "limited", "Ready", "QuotaExceeded").await?;
    ensure!(said.contains("exceeded quota: pods"), "{said}");
    lab.plane.kubectl(["delete", "resourcequota", "pods", "-n", &full]).await?;
    well(&lab, &full, "limited").await?;

    // Nothing of a feature stays behind when it is switched off again.
    let before = told(&lab, n, "keyless").await?;
    let on = json!({
        "autoscaling": { "minReplicas": 1, "maxReplicas": 3, "connectionsPerPod": 9 },
        "disruptionBudget": { "enabled": false },
        "networkPolicy": { "enabled": false },
        "database": { "connectionsMax": 1 },
    });
    lab.patch(n, "keyless", &json!({ "spec": on })).await?;
    well(&lab, n, "keyless").await?;
    ensure!(told(&lab, n, "keyless").await? != before, "switching on shows nowhere");
    let off = json!({
        "autoscaling": null,
        "disruptionBudget": null,
        "networkPolicy": null,
        "database": { "connectionsMax": null },
    });
    lab.patch(n, "keyless", &json!({ "spec": off })).await?;
    well(&lab, n, "keyless").await?;
    let after = told(&lab, n, "keyless").await?;
    ensure!(after == before, "something of a feature stays: {before:#} {after:#}");
    leave(&lab, &full).await?;
    leave(&lab, n).await
}

async fn unschedulable(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("unschedulable").await?;
    let n = namespace.as_str();
    lab.secrets(n).await?;
    // Behind the gate the new pod is one of the migration; without it, one of the new version.
    for (name, mode) in [("gated", "Job"), ("open", "Job")] {
        let spec = json!({ "replicas": 3, "database": { "migration": { "mode": mode } } });
        lab.apply(&cluster(n, name, spec)).await?;
    }
    for name in ["gated", "open"] {
        lab.until_ready(n, name).await?;
    }
    for (name, mode) in [("gated", "Job"), ("open", "None")] {
        let spec = json!({
            "replicas": 1,
            "database": { "migration": { "mode": mode } },
            "podTemplate": { "spec": { "nodeSelector": { "nobody": "has-it" } } },
        });
        lab.patch(n, name, &json!({ "spec": spec })).await?;
    }
    for name in ["gated", "open"] {
        let said = lab.until_reason(n, name, "Ready", "PodUnschedulable").await?;
        ensure!(said.contains("no node takes"), "{said}");
        lab.until(&format!("{name} has one server that serves"), async || {
            let mut pods = lab.pods(n, name).await?;
            pods.retain(is_ready);
            ensure!(pods.len() == 1, "{} servers", pods.len());
            Ok(())
        })
        .await?;
    }
    for name in ["gated", "open"] {
        lab.patch(n, name, &json!({ "spec": { "podTemplate": null } })).await?;
    }
    for name in ["gated", "open"] {
        well(&lab, n, name).await?;
        let pods = lab.pods(n, name).await?;
        ensure!(pods.len() == 1, "{} servers of {name}", pods.len());
    }
    leave(&lab, n).await
}

async fn half_way(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("half-way").await?;
    let n = namespace.as_str();
    lab.secrets(n).await?;
    let old = json!({
        "rollout": { "maxSurge": "1", "maxUnavailable": "0" },
        "config": { "log": { "format": "pretty" } },
    });
    lab.apply(&cluster(n, "team", old)).await?;
    lab.until_ready(n, "team").await?;
    let servers = lab.pods(n, "team").await?;
    let old = map_of(&servers[0])?;
    let change = json!({
        "image": { "tag": "crashes" },
        "config": { "log": { "format": "json" } },
        "database": { "migration": { "mode": "None" } },
    });
    lab.patch(n, "team", &json!({ "spec": change })).await?;
    lab.until_reason(n, "team", "Ready", "PodsCrashing").await?;
    let now = lab.pods(n, "team").await?;
    let new = now.iter().find(|pod| !uids(&servers).contains(&pod.uid()));
    let new = map_of(new.context("one of the new version")?)?;
    ensure!(new != old, "both versions read {old}");

    // Its process dies; then another is made in its place, which has to find the old one as well.
    let victim = servers[0].name_any();
    let pid = lab.kubelet.pid(n, &victim, "chat-server").context("it runs")?;
    let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    ensure!(killed.success(), "it cannot be killed");
    lab.until("it serves again", async || {
        let another = lab.kubelet.pid(n, &victim, "chat-server").is_some_and(|it| it != pid);
        let pods = lab.pods(n, "team").await?;
        let pod = pods.iter().find(|pod| pod.name_any() == victim).context("it is there")?;
        ensure!(another && is_ready(pod), "not yet");
        serves(pod).await
    })
    .await?;
    lab.plane.kubectl(["delete", "pod", &servers[1].name_any(), "-n", n, "--wait=false"]).await?;
    let another = lab
        .until("another of the old version serves", async || {
            let pods = lab.pods(n, "team").await?;
            let known = uids(&servers);
            let of_old = |pod: &&Pod| {
                !known.contains(&pod.uid())
                    && is_ready(pod)
                    && map_of(pod).is_ok_and(|it| it == old)
            };
            let pod = pods.iter().find(of_old).context("not yet")?;
            serves(pod).await?;
            Ok(pod.clone())
        })
        .await?;
    for name in [victim, another.name_any()] {
        let log = lab.kubelet.logs(n, &name, "chat-server");
        ensure!(
            !log.is_empty() && !log.contains("\n{\""),
            "{name} has the new configuration: {log}"
        );
    }
    lab.until_reason(n, "team", "Available", "MinimumReplicasAvailable").await?;

    // What nobody reads any longer goes.
    lab.patch(n, "team", &json!({ "spec": { "image": { "tag": "2" } } })).await?;
    well(&lab, n, "team").await?;
    lab.until("the old configuration goes", async || {
        let maps =
            lab.plane.kubectl(["get", "configmaps", "-n", n, "-l", OURS, "-o", "name"]).await?;
        ensure!(maps.trim() == format!("configmap/{new}"), "{maps}");
        Ok(())
    })
    .await?;
    leave(&lab, n).await
}

async fn rules(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("rules").await?;
    let n = namespace.as_str();
    let dry = ["apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-"];
    let autoscaling = |what: Value| json!({ "autoscaling": what });
    let long = "x".repeat(41);
    for (name, spec, needle) in [
        (
            "team",
            json!({ "drain": { "windowSeconds": 60, "noticeSeconds": 5, "gracePeriodSeconds": 79 } }),
            "make it at least noticeSeconds + windowSeconds + 15, or leave it out",
        ),
        (long.as_str(), json!({}), "choose a shorter one"),
        ("1team", json!({}), "begins with a letter"),
        ("team", json!({ "image": { "tag": null } }), "image needs a tag or a digest"),
        ("team", json!({ "image": { "tag": "a b" } }), "spec.image.tag"),
        (
            "team",
            autoscaling(json!({ "minReplicas": 5, "maxReplicas": 4, "connectionsPerPod": 9 })),
            "raise maxReplicas or lower minReplicas",
        ),
        ("team", autoscaling(json!({ "maxReplicas": 4 })), "needs something to scale by"),
        (
            "team",
            autoscaling(json!({ "maxReplicas": 4, "connectionsPerPod": 9, "cpuPercent": 50 })),
            "goes by connections only",
        ),
        (
            "team",
            autoscaling(json!({ "maxReplicas": 4, "connectionsPerPod": 9, "behavior": {} })),
            "behavior belongs to source HorizontalPodAutoscaler",
        ),
        ("team", json!({ "replicas": -1 }), "spec.replicas"),
        ("team", json!({ "rollout": { "maxSurge": "many" } }), "spec.rollout.maxSurge"),
        ("team", json!({ "disruptionBudget": { "maxUnavailable": "0" } }), "maxUnavailable"),
        ("team", json!({ "databases": {} }), "databases"),
    ] {
        let mut cluster = cluster(n, name, json!({}));
        merge(&mut cluster["spec"], &spec);
        if spec["image"]["tag"].is_null() && spec["image"].is_object() {
            cluster["spec"]["image"].as_object_mut().context("an image")?.remove("tag");
        }
        let Err(why) = lab.plane.kubectl_with(dry, &cluster.to_string()).await else {
            bail!("{spec} was taken");
        };
        ensure!(why.to_string().contains(needle), "{spec}: {why}");
    }
    let mut least = cluster(n, "team", json!({}));
    for field in ["drain", "rollout", "auth"] {
        least["spec"].as_object_mut().context("a spec")?.remove(field);
    }
    let taken = lab.plane.kubectl_with(dry, &least.to_string()).await?;
    let taken: Value = serde_json::from_str(&taken)?;
    for (field, default) in [
        ("/spec/replicas", json!(2)),
        ("/spec/drain/noticeSeconds", json!(5)),
        ("/spec/drain/windowSeconds", json!(60)),
        ("/spec/drain/maxPodsAtOnce", json!(1)),
        ("/spec/rollout/maxSurge", json!("100%")),
        ("/spec/rollout/maxUnavailable", json!("0")),
        ("/spec/rollout/progressDeadlineSeconds", json!(600)),
        ("/spec/database/migration/mode", json!("Job")),
        ("/spec/disruptionBudget/enabled", json!(true)),
        ("/spec/networkPolicy/enabled", json!(true)),
        ("/spec/service/type", json!("ClusterIP")),
        ("/spec/service/port", json!(80)),
        ("/spec/placement/spread", json!("Soft")),
        ("/spec/monitoring/serviceMonitor", json!("Auto")),
        ("/spec/resources/limits/memory", json!("512Mi")),
        ("/status/observedGeneration", json!(-1)),
    ] {
        let found = taken.pointer(field);
        ensure!(found == Some(&default), "{field} is {found:?}");
    }
    leave(&lab, n).await
}

async fn storm(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("storm").await?;
    let n = namespace.as_str();
    lab.secrets(n).await?;
    let broken = [
        (json!({ "database": { "urlSecretRef": { "name": "nowhere" } } }), "SecretNotFound"),
        (json!({ "podTemplate": { "spec": { "dnsPolicy": "Sometimes" } } }), "InvalidSpec"),
        (json!({ "podTemplate": { "spec": { "nodeSelectors": {} } } }), "InvalidSpec"),
        (json!({ "image": { "tag": "cannot-migrate" } }), "MigrationFailed"),
    ];
    let of = |count: usize| (0..count).map(|k| (format!("broken-{k}"), &broken[k % broken.len()]));
    let items: Vec<_> = of(20).map(|(name, (spec, _))| cluster(n, &name, spec.clone())).collect();
    lab.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items })).await?;
    for (name, (_, reason)) in of(20) {
        lab.until_reason(n, &name, "Stalled", reason).await?;
    }
    settle(&lab, n).await?;
    let before = writes(&lab, n)?.len();
    let window = async {
        sleep(Duration::from_secs(20)).await;
        let mut since = writes(&lab, n)?.split_off(before);
        since.retain(|it| !it.contains("/healthy"));
        println!("  {} writes of 20 broken chats in 20 s", since.len());
        ensure!(since.len() < 20, "20 broken chats cause {since:#?}");
        anyhow::Ok(())
    };
    let healthy = async {
        lab.apply(&cluster(n, "healthy", json!({ "replicas": 1 }))).await?;
        lab.until_ready(n, "healthy").await
    };
    tokio::try_join!(window, healthy)?;
    leave(&lab, n).await
}

async fn migration(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("migration").await?;
    let n = namespace.as_str();
    let database = lab.secrets(n).await?;
    lab.apply(&cluster(n, "team", json!({}))).await?;
    lab.until_ready(n, "team").await?;
    let (fine, story) = story(&lab, n, "team").await?;
    ensure!(fine && story.contains("AllReplicasReady") && story.contains("2 desired"), "{story}");
    let servers = uids(&lab.pods(n, "team").await?);
    let generation = lab.generations(n).await?[DEPLOYMENT];
    let address = lab.door(n, "team", &database).await?.url.replace("http://", "");
    let over = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn({
        let over = over.clone();
        async move {
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) {
                get(&address, "/healthz").await?;
                answers += 1;
                sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(answers)
        }
    });

    let change = json!({ "spec": { "image": { "tag": "cannot-migrate" } } });
    lab.patch(n, "team", &change).await?;
    for kind in ["Stalled", "Ready"] {
        let said = lab.until_reason(n, "team", kind, "MigrationFailed").await?;
        ensure!(said.contains(r#"column "mood" already exists"#), "{said}");
    }
    let (fine, told) = self::story(&lab, n, "team").await?;
    ensure!(!fine && told.contains("MigrationFailed"), "{told}");
    ensure!(
        told.contains(r#"column "mood" already exists"#) && told.contains("logs job/"),
        "{told}"
    );
    settle(&lab, n).await?;
    let now = lab.generations(n).await?[DEPLOYMENT];
    ensure!(now == generation, "the Deployment was changed");
    ensure!(uids(&lab.pods(n, "team").await?) == servers, "servers were replaced");
    let condition = lab.condition(n, "team", "Available").await?;
    ensure!(condition.0 == "True", "{condition:?}");
    over.store(true, Ordering::Relaxed);
    let answers = asking.await?.context("a request was not answered meanwhile")?;
    ensure!(answers > 10, "{answers} requests are too few to say so");

    lab.patch(n, "team", &json!({ "spec": { "image": { "tag": "2" } } })).await?;
    well(&lab, n, "team").await?;
    let (fine, told) = self::story(&lab, n, "team").await?;
    ensure!(fine && !told.contains("mood"), "{told}");
    ensure!(lab.versions(n).await? == 2, "the failed version has had pods");
    ensure!(lab.cluster(n, "team").await?["status"]["version"] == "2", "another version runs");
    leave(&lab, n).await
}

async fn events(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("events").await?;
    let n = namespace.as_str();
    lab.secrets(n).await?;
    lab.apply(&cluster(n, "team", json!({ "replicas": 1 }))).await?;
    lab.until_ready(n, "team").await?;
    for (paused, reason) in [(true, "PausedBySpec"), (false, "NotPaused")] {
        lab.patch(n, "team", &json!({ "spec": { "paused": paused } })).await?;
        lab.until_reason(n, "team", "Paused", reason).await?;
    }
    let missing = json!({ "spec": { "redis": { "urlSecretRef": { "name": "nowhere" } } } });
    lab.patch(n, "team", &missing).await?;
    lab.until_reason(n, "team", "Stalled", "SecretNotFound").await?;
    let there = json!({ "spec": { "redis": { "urlSecretRef": { "name": "redis" } } } });
    lab.patch(n, "team", &there).await?;
    lab.until_ready(n, "team").await?;
    settle(&lab, n).await?;
    let told = happened(&lab, n).await?;
    for reason in
        ["Created", "MigrationRunning", "UpToDate", "PausedBySpec", "NotPaused", "SecretNotFound"]
    {
        ensure!(told.keys().any(|(found, _)| found == reason), "no {reason} in {told:#?}");
    }
    for reason in ["PausedBySpec", "NotPaused"] {
        let times: u64 = told.iter().filter(|((it, _), _)| it == reason).map(|(_, n)| n).sum();
        ensure!(times == 1, "{reason} was told {times} times: {told:#?}");
    }
    let stalled: u64 =
        told.iter().filter(|((it, _), _)| it == "SecretNotFound").map(|(_, n)| n).sum();
    ensure!(stalled == 1, "what it was stalled by was told {stalled} times: {told:#?}");
    let created = told.iter().filter(|((reason, _), _)| reason == "Created");
    ensure!(created.clone().count() >= 6 && created.clone().all(|(_, n)| *n == 1), "{told:#?}");
    for k in 0..5 {
        force(&lab, n, k).await?;
    }
    let after = happened(&lab, n).await?;
    ensure!(after == told, "a pass that changes nothing was told: {told:#?} {after:#?}");

    let table = lab.plane.kubectl(["get", "chat", "team", "-n", n]).await?;
    let words: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(words[0] == ["NAME", "DESIRED", "READY", "VERSION", "STATUS", "AGE"], "{table}");
    ensure!(words[1][..5] == ["team", "1", "1", "1", "AllReplicasReady"], "{table}");
    let wide = lab.plane.kubectl(["get", "chat", "team", "-n", n, "-o", "wide"]).await?;
    ensure!(wide.contains("1 of 1 server is ready"), "{wide}");
    leave(&lab, n).await
}

/// What was told about chats of a namespace: reason and note, and how often.
async fn happened(lab: &Lab, namespace: &str) -> Result<BTreeMap<(String, String), u64>> {
    let arguments = ["get", "events.events.k8s.io", "-n", namespace, "-o", "json"];
    let list: Value = serde_json::from_str(&lab.plane.kubectl(arguments).await?)?;
    let mut told = BTreeMap::new();
    for event in list["items"].as_array().into_iter().flatten() {
        if event["regarding"]["kind"] == "ChatCluster" {
            let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            let count = event["series"]["count"].as_u64().unwrap_or(1);
            *told.entry((text("reason"), text("note"))).or_default() += count;
        }
    }
    Ok(told)
}

/// What `chat-operator status` says, and whether it says that all is well.
async fn story(lab: &Lab, namespace: &str, name: &str) -> Result<(bool, String)> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(std::path::Path::parent).context("target/debug/deps")?;
    let output = tokio::process::Command::new(folder.join("chat-operator"))
        .args(["status", name, "--namespace", namespace])
        .env("KUBECONFIG", lab.plane.kubeconfig())
        .current_dir(root())
        .kill_on_drop(true)
        .output()
        .await?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(!told.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), told))
}

/// Until a chat is ready and its status is that of one with which nothing is wrong, as tools read it.
async fn well(lab: &Lab, namespace: &str, name: &str) -> Result<()> {
    lab.until_ready(namespace, name).await?;
    let cluster = lab.cluster(namespace, name).await?;
    let (generation, status) = (&cluster["metadata"]["generation"], &cluster["status"]);
    ensure!(status["observedGeneration"] == *generation, "{status:#}");
    for condition in status["conditions"].as_array().context("conditions")? {
        ensure!(condition["observedGeneration"] == *generation, "{condition}");
        ensure!(
            condition["type"] != "Stalled" && condition["type"] != "Reconciling",
            "{condition}"
        );
    }
    Ok(())
}

/// A status without what counts changes and tells their times.
async fn told(lab: &Lab, namespace: &str, name: &str) -> Result<Value> {
    let mut status = lab.cluster(namespace, name).await?["status"].clone();
    status["observedGeneration"] = Value::Null;
    for condition in status["conditions"].as_array_mut().context("conditions")? {
        condition["observedGeneration"] = Value::Null;
        condition["lastTransitionTime"] = Value::Null;
    }
    Ok(status)
}

/// The operator's writes in a namespace so far, refused ones too.
fn writes(lab: &Lab, namespace: &str) -> Result<Vec<String>> {
    let mut events = lab.plane.audit().writes_by(OPERATOR)?;
    events.retain(|it| it.namespace == namespace && it.resource != "leases");
    Ok(events
        .into_iter()
        .map(|it| format!("{} {}/{}/{} {}", it.verb, it.resource, it.name, it.subresource, it.code))
        .collect())
}

/// Until the operator has changed nothing in a namespace for three seconds; what is refused changes
/// nothing.
async fn settle(lab: &Lab, namespace: &str) -> Result<()> {
    let mut before = usize::MAX;
    let written = lab.until("the operator comes to rest", || {
        let changed = |it: &String| it.ends_with("200") || it.ends_with("201");
        let now = writes(lab, namespace).map(|it| it.into_iter().filter(changed).count());
        let same = now.as_ref().is_ok_and(|now| *now == before);
        before = *now.as_ref().unwrap_or(&before);
        async move {
            if !same {
                sleep(Duration::from_secs(3)).await;
                bail!("{:?} writes so far", now);
            }
            now
        }
    });
    written.await.map(drop)
}

/// Passes of the operator over all chats so far.
async fn passes(lab: &Lab) -> Result<u64> {
    let name = "app.kubernetes.io/name=chat-operator";
    let ip = "jsonpath={.items[0].status.podIP}";
    let ip = lab.plane.kubectl(["get", "pods", "-n", SYSTEM, "-l", name, "-o", ip]).await?;
    let metrics = get(&format!("{ip}:8080"), "/metrics").await?;
    let counters = metrics.lines().filter(|it| it.starts_with("chat_operator_reconciles_total"));
    let counts = counters.filter_map(|it| it.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok(counts.sum())
}

/// Makes the operator look at every chat of a namespace, and waits until it has.
async fn force(lab: &Lab, namespace: &str, n: usize) -> Result<()> {
    let before = passes(lab).await?;
    let mark = format!("forced={n}");
    let arguments = ["annotate", "chatclusters", "--all", "-n", namespace, "--overwrite", &mark];
    let chats = lab.plane.kubectl(arguments).await?.lines().count() as u64;
    lab.until("the operator looks at every chat", async || {
        let now = passes(lab).await?;
        ensure!(now >= before + chats, "{before} passes then, {now} now, {chats} chats");
        Ok(())
    })
    .await
}

async fn restarts(lab: &Lab, namespace: &str) -> Result<u64> {
    let arguments = ["get", "pods", "-n", namespace, "-o", "json"];
    let list: Value = serde_json::from_str(&lab.plane.kubectl(arguments).await?)?;
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let of = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
    Ok(pods.iter().filter_map(of).sum())
}

/// All children in a namespace.
async fn list(lab: &Lab, namespace: &str) -> Result<Vec<Value>> {
    let arguments = ["get", CHILDREN, "-n", namespace, "-l", OURS, "-o", "json"];
    let list: Value = serde_json::from_str(&lab.plane.kubectl(arguments).await?)?;
    let children = list["items"].as_array().cloned().unwrap_or_default();
    ensure!(!children.is_empty(), "no children");
    Ok(children)
}

/// The resourceVersion of every child.
async fn versions(lab: &Lab, namespace: &str) -> Result<BTreeMap<String, Value>> {
    let children = list(lab, namespace).await?;
    let version = |it: &Value| {
        let metadata = &it["metadata"];
        (format!("{} {}", it["kind"], metadata["name"]), metadata["resourceVersion"].clone())
    };
    Ok(children.iter().map(version).collect())
}

async fn object(lab: &Lab, namespace: &str, which: &str) -> Result<Value> {
    let text = lab.plane.kubectl(["get", which, "-n", namespace, "-o", "json"]).await?;
    Ok(serde_json::from_str(&text)?)
}

async fn until_field(
    lab: &Lab,
    namespace: &str,
    which: &str,
    field: &str,
    value: &Value,
) -> Result<()> {
    lab.until(&format!("{field} of {which} is {value}"), async || {
        let object = object(lab, namespace, which).await?;
        let found = object.pointer(field).unwrap_or(&Value::Null);
        ensure!(
            found == value,
            "it is {found}; {}",
            lab.cluster(namespace, "team").await?["status"]
        );
        Ok(())
    })
    .await
}

fn uids(pods: &[Pod]) -> BTreeSet<Option<String>> {
    pods.iter().map(ResourceExt::uid).collect()
}

fn is_ready(pod: &Pod) -> bool {
    chat_operator::pods::is_ready(pod)
}

/// The configuration that a server reads.
fn map_of(pod: &Pod) -> Result<String> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let volume = volumes.into_iter().flatten().find(|it| it.name == "config");
    let map = volume.and_then(|it| it.config_map.as_ref()).map(|it| it.name.clone());
    map.context("a server mounts its configuration")
}

/// Whether a server answers.
async fn serves(pod: &Pod) -> Result<()> {
    let status = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref());
    get(&format!("{}:8080", status.context("an address")?), "/readyz").await.map(drop)
}

/// What is answered to a GET, if it is 200.
async fn get(address: &str, path: &str) -> Result<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        // The older version, in which bodies are not chunked.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.split(' ').nth(1) == Some("200"), "{answer}");
        Ok(answer)
    };
    timeout(Duration::from_secs(20), ask).await.context("no answer")?
}

/// Takes what a scenario has used away, for the next one's sake; nobody waits for it.
async fn leave(lab: &Lab, namespace: &str) -> Result<()> {
    lab.plane.kubectl(["delete", "namespace", namespace, "--wait=false"]).await?;
    Ok(())
}

/// Puts one object's fields over another's.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
