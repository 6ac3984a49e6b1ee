//! Servers that come and go for other reasons than people: autoscalers, and nodes that are emptied.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, ResourceExt};
use kubelab::MetricsApi;
use serde_json::json;

use crate::{
    Add,
    crowd::Crowd,
    lab::{Lab, cluster},
};

pub fn scenarios(add: Add<'_>) {
    add("the_operator_scales_by_connections_and_down_again", |lab| Box::pin(built_in(lab)));
    add("an_autoscaler_scales_the_resource_and_nobody_fights_it", |lab| Box::pin(hpa(lab)));
    add("a_node_is_emptied_within_the_disruption_budget", |lab| Box::pin(node(lab)));
    add("a_single_server_and_a_broken_one_hold_no_node", |lab| Box::pin(budgets(lab)));
}

async fn replicas(lab: &Lab, namespace: &str) -> Result<i32> {
    let api: Api<Deployment> = Api::namespaced(lab.client.clone(), namespace);
    let spec = api.get("team").await?.spec.context("a Deployment has a spec")?;
    spec.replicas.context("replicas are set")
}

async fn until_replicas(lab: &Lab, namespace: &str, wanted: i32) -> Result<()> {
    lab.until(&format!("{wanted} servers in {namespace}"), || async {
        let now = replicas(lab, namespace).await?;
        ensure!(now == wanted, "there are {now}");
        Ok(())
    })
    .await
}

async fn built_in(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("built-in").await?;
    let database = lab.secrets(&namespace).await?;
    let autoscaling = json!({ "minReplicas": 2, "maxReplicas": 4, "connectionsPerPod": 20 });
    let drain = json!({ "noticeSeconds": 1, "windowSeconds": 6 });
    let spec = json!({ "autoscaling": autoscaling, "drain": drain });
    lab.apply(&cluster(&namespace, "team", spec)).await?;
    lab.until_ready(&namespace, "team").await?;
    let door = lab.door(&namespace, "team", &database).await?;
    let crowd = Crowd::gather(&door, "auto", 70, 5.0).await;
    until_replicas(&lab, &namespace, 4).await?;
    let cluster = lab.cluster(&namespace, "team").await?;
    ensure!(cluster["spec"]["replicas"] == 4, "written where an autoscaler writes");
    let writers: Vec<_> = cluster["metadata"]["managedFields"]
        .as_array()
        .context("fields have managers")?
        .iter()
        .filter(|it| it["manager"].as_str().is_some_and(|it| it.starts_with("chat-operator")))
        .map(|it| (it["manager"].clone(), it["subresource"].clone()))
        .collect();
    for (manager, subresource) in &writers {
        ensure!(!subresource.is_null(), "{manager} writes the resource itself: {writers:?}");
    }
    lab.until_reason(&namespace, "team", "AutoscalingActive", "ScalingActive").await?;
    crowd.compare().await;
    until_replicas(&lab, &namespace, 2).await?;
    lab.until_ready(&namespace, "team").await
}

async fn hpa(lab: Arc<Lab>) -> Result<()> {
    let metrics = MetricsApi::start(&lab.plane, &["chat_connections"]).await?;
    let scaled = scaled_by_hpa(&lab).await;
    metrics.stop().await?;
    scaled
}

async fn scaled_by_hpa(lab: &Lab) -> Result<()> {
    let namespace = lab.namespace("hpa").await?;
    let database = lab.secrets(&namespace).await?;
    let autoscaling = json!({
        "source": "HorizontalPodAutoscaler",
        "minReplicas": 2,
        "maxReplicas": 4,
        "connectionsPerPod": 20,
    });
    lab.apply(&cluster(&namespace, "team", json!({ "autoscaling": autoscaling }))).await?;
    lab.until_ready(&namespace, "team").await?;
    let door = lab.door(&namespace, "team", &database).await?;
    let crowd = Crowd::gather(&door, "hpa", 120, 5.0).await;
    until_replicas(lab, &namespace, 4).await?;
    lab.until_ready(&namespace, "team").await?;
    lab.until_reason(&namespace, "team", "AutoscalingActive", "ScalingActive").await?;
    // At its upper bound, with changes of everything else around it: nobody takes a server away.
    for round in 0..40 {
        let now = replicas(lab, &namespace).await?;
        ensure!(now == 4, "{now} servers in the middle");
        if round % 8 == 0 {
            let note = format!("round={round}");
            let annotate =
                ["annotate", "chatcluster", "team", "-n", &namespace, "--overwrite", &note];
            lab.plane.kubectl(annotate).await?;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // Whoever scales the Deployment by hand is put back, once, by the one to whom it belongs.
    let by_hand = ["scale", "deployment", "team", "-n", &namespace, "--replicas=6"];
    lab.plane.kubectl(by_hand).await?;
    until_replicas(lab, &namespace, 4).await?;
    lab.until_ready(&namespace, "team").await?;
    crowd.compare().await;
    Ok(())
}

async fn node(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("node").await?;
    let database = lab.secrets(&namespace).await?;
    let drain = json!({ "noticeSeconds": 1, "windowSeconds": 6 });
    let spec = json!({ "replicas": 3, "drain": drain });
    lab.apply(&cluster(&namespace, "team", spec)).await?;
    lab.until_ready(&namespace, "team").await?;
    let door = lab.door(&namespace, "team", &database).await?;
    let crowd = Crowd::gather(&door, "node", 60, 10.0).await;
    let mark = crowd.mark();
    // All nodes but one have to let go of their servers, so that at least two are wanted at once.
    let nodes = lab.kubelet.nodes();
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(fewest(lab.clone(), namespace.clone(), over.clone()));
    for node in &nodes[1..] {
        let selector = "--pod-selector=app.kubernetes.io/instance=team";
        let empty = [
            "drain",
            node,
            selector,
            "--delete-emptydir-data",
            "--ignore-daemonsets",
            "--timeout=120s",
        ];
        lab.plane.kubectl(empty).await.with_context(|| format!("emptying {node}"))?;
    }
    over.store(true, Ordering::Relaxed);
    let fewest = watching.await??;
    lab.until_ready(&namespace, "team").await?;
    for node in &nodes[1..] {
        lab.plane.kubectl(["uncordon", node.as_str()]).await?;
    }
    let pods = lab.pods(&namespace, "team").await?;
    let on = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    ensure!(pods.iter().all(|pod| on(pod).as_ref() == Some(&nodes[0])), "servers are left behind");
    ensure!(fewest >= 2, "only {fewest} of 3 servers were ready at a time");
    let span = crowd.since(&mark);
    span.say("\n  two of three nodes emptied");
    ensure!(span.failures.is_empty() && span.broke == 0, "{span:?}");
    crowd.compare().await;
    Ok(())
}

/// The least servers that were ready at any moment.
async fn fewest(lab: Arc<Lab>, namespace: String, over: Arc<AtomicBool>) -> Result<usize> {
    let mut fewest = usize::MAX;
    while !over.load(Ordering::Relaxed) {
        let pods = lab.pods(&namespace, "team").await?;
        fewest = fewest.min(pods.iter().filter(|pod| chat_operator::pods::is_ready(pod)).count());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(fewest)
}

/// What the API says to an eviction.
async fn evict(lab: &Lab, namespace: &str, pod: &str) -> Result<u16> {
    let api: Api<Pod> = Api::namespaced(lab.client.clone(), namespace);
    match api.evict(pod, &kube::api::EvictParams::default()).await {
        Ok(_) => Ok(201),
        Err(kube::Error::Api(status)) => Ok(status.code),
        Err(why) => Err(why.into()),
    }
}

async fn budgets(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("budgets").await?;
    lab.secrets(&namespace).await?;
    let drain = json!({ "noticeSeconds": 0, "windowSeconds": 1 });
    let spec = |replicas: i32| json!({ "replicas": replicas, "drain": drain });
    lab.apply(&cluster(&namespace, "team", spec(2))).await?;
    lab.until_ready(&namespace, "team").await?;
    let names = |pods: Vec<Pod>| pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
    // The budget's controller may not have counted them yet.
    let pods = names(lab.pods(&namespace, "team").await?);
    lab.until("the first of two may go", || async {
        match evict(&lab, &namespace, &pods[0]).await? {
            201 => Ok(()),
            code => bail!("{code}"),
        }
    })
    .await?;
    ensure!(evict(&lab, &namespace, &pods[1]).await? == 429, "both went at once");
    lab.until_ready(&namespace, "team").await?;

    // A single one has no budget: it could never be moved.
    lab.patch(&namespace, "team", &json!({ "spec": { "replicas": 1 } })).await?;
    lab.until_ready(&namespace, "team").await?;
    lab.until("one server", || async {
        ensure!(lab.pods(&namespace, "team").await?.len() == 1);
        Ok(())
    })
    .await?;
    let pods = names(lab.pods(&namespace, "team").await?);
    ensure!(evict(&lab, &namespace, &pods[0]).await? == 201, "a single server holds its node");
    lab.until_ready(&namespace, "team").await?;

    // Servers that are broken anyway hold no node either.
    let broken = json!({ "spec": {
        "replicas": 2,
        "image": { "tag": "crashes" },
        "database": { "migration": { "mode": "None" } },
        "rollout": { "maxSurge": "0", "maxUnavailable": "100%" },
    }});
    lab.patch(&namespace, "team", &broken).await?;
    lab.until_reason(&namespace, "team", "Ready", "PodsCrashing").await?;
    let pods = names(lab.pods(&namespace, "team").await?);
    lab.until("all broken ones may go", || async {
        for pod in &pods {
            match evict(&lab, &namespace, pod).await? {
                201 | 404 => {}
                code => bail!("{pod}: {code}"),
            }
        }
        Ok(())
    })
    .await
}
