//! A chat from its installation on: it grows and shrinks, gets new versions and new secrets, and
//! nobody who is connected loses anything.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    Add,
    crowd::Crowd,
    lab::{Lab, cluster},
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

async fn crowd(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("crowd").await?;
    let database = lab.secrets(&namespace).await?;
    let people = people();
    // So many moves a second are allowed in all.
    let budget = 100;
    let drain = json!({ "noticeSeconds": 2, "windowSeconds": 30, "movesPerSecond": budget });
    let config = json!({ "balance": { "after": "3s" } });
    let spec = json!({ "replicas": 2, "drain": drain, "config": config });
    lab.apply(&cluster(&namespace, "team", spec)).await?;
    lab.until_ready(&namespace, "team").await?;
    let door = lab.door(&namespace, "team", &database).await?;
    let crowd = Crowd::gather(&door, "crowd", people, 20.0).await;
    println!("  {people} people are there");
    let scale = async |replicas: usize| -> Result<()> {
        let mark = crowd.mark();
        let to = format!("--replicas={replicas}");
        lab.plane.kubectl(["scale", "chatcluster", "team", "-n", &namespace, &to]).await?;
        lab.until_ready(&namespace, "team").await?;
        tokio::time::sleep(Duration::from_secs(30)).await;
        crowd.wait_until_everybody_is_there().await;
        let span = crowd.since(&mark);
        span.say(&format!("  to {replicas} servers"));
        ensure!(span.failures.is_empty(), "{:?}", span.failures);
        Ok(())
    };
    scale(5).await?;
    scale(1).await?;
    ensure!(lab.versions(&namespace).await? == 1, "scaling made a new version of the pods");
    crowd.compare().await;
    Ok(())
}
