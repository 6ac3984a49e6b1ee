//! A chat from its installation on: it grows and shrinks, gets new versions and new secrets, and
//! nobody who is connected loses anything.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use chat_operator::scrape::Scraper;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use crate::{
    Add,
    crowd::{Crowd, Span},
    lab::{Lab, cluster, root},
};

pub fn scenarios(add: Add<'_>) {
    add("six_hundred_people_through_scaling_a_new_version_and_new_secrets", |lab| {
        Box::pin(crowd(lab))
    });
}

/// How many, so that it can be tried with fewer.
fn people() -> usize {
    std::env::var("E2E_PEOPLE").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

/// So many clients are told to move a second, by all servers together.
const BUDGET: u64 = 100;

async fn crowd(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("crowd").await?;
    let database = lab.secrets(&namespace).await?;
    let drain = json!({ "noticeSeconds": 2, "windowSeconds": 30, "movesPerSecond": BUDGET });
    // So that what a new server takes over is seen while somebody looks.
    let config = json!({ "balance": { "after": "3s" } });
    let spec = json!({ "replicas": 2, "drain": drain, "config": config });
    let values = json!({
        "mode": "cluster",
        "fullnameOverride": "team",
        "cluster": cluster(&namespace, "team", spec)["spec"],
    });
    let file = std::env::temp_dir().join("team.json");
    std::fs::write(&file, values.to_string())?;
    let (chart, file) = (root().join("charts/chat"), file.display().to_string());
    let chart = chart.display().to_string();
    let install =
        ["install", "team", &chart, "-n", &namespace, "--wait", "--timeout=3m", "-f", &file];
    lab.plane.helm4(install).await?;
    // Helm has waited for it.
    let (status, ..) = lab.condition(&namespace, "team", "Ready").await?;
    ensure!(status == "True", "Helm took what was not ready for ready");
    across(&lab, &namespace, &database).await?;
    let door = lab.door(&namespace, "team", &database).await?;
    let crowd = Crowd::gather(&door, "crowd", people(), 20.0).await;
    println!("\n  {} people on {:?}", people(), spread(&lab, &namespace).await?);
    // Whoever has just come is not moved for the sake of balance; they are of old standing now.
    tokio::time::sleep(Duration::from_secs(16)).await;

    let step = async |what: &str, kubectl: &[&str]| -> Result<Span> {
        let mark = crowd.mark();
        let on = ["chatcluster", "team", "-n", &namespace];
        let arguments: Vec<_> =
            kubectl[..1].iter().chain(&on).chain(&kubectl[1..]).copied().collect();
        lab.plane.kubectl(arguments).await?;
        lab.until_ready(&namespace, "team").await?;
        // New servers get their share in one or two rounds; what of it came later would be counted
        // with the next step.
        lab.until("everybody has found a place", || async {
            settled(&crowd).await;
            let spread = spread(&lab, &namespace).await?;
            let (fullest, servers) = (spread.iter().max().unwrap_or(&0), spread.len() as u64);
            ensure!(fullest * servers * 10 <= people() as u64 * 13, "{spread:?}");
            Ok(())
        })
        .await?;
        let span = crowd.since(&mark);
        span.say(&format!("  {what}"));
        println!("    now {:?}; each second {:?}", spread(&lab, &namespace).await?, span.connects);
        ensure!(span.failures.is_empty(), "{:?}", span.failures);
        ensure!(span.broke == 0, "{} connections ended without notice", span.broke);
        // Judged by how long it took and not by single seconds: a machine that stops for a moment makes
        // it longer, never shorter.
        ensure!(span.seconds() * BUDGET * 5 / 4 >= span.moves_in_all(), "{:?}", span.connects);
        Ok(span)
    };
    let up = step("2 to 5 servers", &["scale", "--replicas=5"]).await?;
    ensure!(up.moves_most() <= 1, "{:?}", up.moves);
    for replicas in [4, 3, 2, 1] {
        let what = format!("{} to {replicas} servers", replicas + 1);
        let down = step(&what, &["scale", &format!("--replicas={replicas}")]).await?;
        ensure!(down.moves_most() <= 1, "{:?}", down.moves);
    }
    step("1 to 3 servers", &["scale", "--replicas=3"]).await?;
    ensure!(lab.versions(&namespace).await? == 1, "scaling made a new version of the pods");

    // From here on each move is one that the rollout asked for.
    let tag = r#"{"spec":{"image":{"tag":"2"},"config":{"balance":{"above":0}}}}"#;
    let roll = step("a new version", &["patch", "--type=merge", "-p", tag]).await?;
    ensure!(roll.moves.iter().all(|moves| *moves == 1), "{:?}", roll.moves);

    let before = crowd.mark();
    let url = read_secret(&lab, &namespace, "db", "url").await?;
    let rotated = json!({ "stringData": { "url": format!("{url}?application_name=rotated") } });
    let rotated = rotated.to_string();
    lab.plane.kubectl(["patch", "secret", "db", "-n", &namespace, "-p", &rotated]).await?;
    lab.until("a third version of the pods", || async {
        ensure!(lab.versions(&namespace).await? == 3);
        Ok(())
    })
    .await?;
    lab.until_ready(&namespace, "team").await?;
    settled(&crowd).await;
    let span = crowd.since(&before);
    span.say("  new secrets");
    ensure!(span.failures.is_empty(), "{:?}", span.failures);
    ensure!(span.moves.iter().all(|moves| *moves == 1), "{:?}", span.moves);
    crowd.compare().await;
    Ok(())
}

/// Two people who are on different servers, whoever the Service would send them to.
async fn across(lab: &Lab, namespace: &str, database: &str) -> Result<()> {
    let pods = lab.pods(namespace, "team").await?;
    let ips = pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone());
    let urls: Vec<_> = ips.map(|ip| format!("http://{ip}:8080")).collect();
    ensure!(urls.len() == 2, "{urls:?}");
    let door = lab.door(namespace, "team", database).await?;
    let two = Crowd::gather_at(&urls, &door, "two", 2, 5.0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(spread(lab, namespace).await? == [1, 1], "they are not on different servers");
    two.compare().await;
    Ok(())
}

/// Until nobody has moved for a while.
async fn settled(crowd: &Crowd) {
    let mut mark = crowd.mark();
    loop {
        tokio::time::sleep(Duration::from_secs(8)).await;
        if crowd.since(&mark).moves_in_all() == 0 {
            break;
        }
        mark = crowd.mark();
    }
    crowd.wait_until_everybody_is_there().await;
}

/// How many connections each server has.
async fn spread(lab: &Lab, namespace: &str) -> Result<Vec<u64>> {
    let scraper = Scraper::default();
    let mut spread = Vec::new();
    for pod in lab.pods(namespace, "team").await? {
        let ip = pod.status.and_then(|status| status.pod_ip).context("a running pod")?;
        spread.push(scraper.connections(&ip).await.context("a server tells its connections")?);
    }
    Ok(spread)
}

async fn read_secret(lab: &Lab, namespace: &str, name: &str, key: &str) -> Result<String> {
    let api: Api<Secret> = Api::namespaced(lab.client.clone(), namespace);
    let data = api.get(name).await?.data.unwrap_or_default();
    let value = data.get(key).context("the key is there")?;
    Ok(String::from_utf8(value.0.clone())?)
}
