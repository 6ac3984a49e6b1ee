//! The operator itself: its chart, its rights, who of several works, and what becomes of chats when it
//! is gone, new, killed, or has a lot to do.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::{
    Add,
    lab::{Lab, SYSTEM},
};

pub fn scenarios(_: Add<'_>) {}

pub fn in_the_end(add: Add<'_>) {
    add("nothing_was_asked_for_without_the_right_to_it", |lab| Box::pin(denied(lab)));
}

/// Does something while no operator runs.
pub async fn without<T>(lab: &Lab, work: impl Future<Output = Result<T>>) -> Result<T> {
    scale(lab, 0).await?;
    let done = work.await;
    scale(lab, 1).await?;
    done
}

/// So many operators; when it is none, until it is gone.
async fn scale(lab: &Lab, replicas: usize) -> Result<()> {
    let to = format!("--replicas={replicas}");
    lab.plane.kubectl(["scale", "deployment", "chat-operator", "-n", SYSTEM, &to]).await?;
    lab.until("the operators are as many as that", || async {
        let pods = operators(lab, SYSTEM).await?;
        ensure!(pods.len() == replicas, "{pods:?}");
        Ok(())
    })
    .await
}

/// The operator's pods, those that are leaving too.
async fn operators(lab: &Lab, namespace: &str) -> Result<Vec<String>> {
    let chosen = "app.kubernetes.io/name=chat-operator";
    let arguments = ["get", "pods", "-n", namespace, "-l", chosen, "-o", "name"];
    let pods = lab.plane.kubectl(arguments).await?;
    Ok(pods.lines().map(|it| it.trim_start_matches("pod/").to_owned()).collect())
}

async fn denied(lab: Arc<Lab>) -> Result<()> {
    let mut denied = lab.plane.audit().denied()?;
    denied.retain(|it| it.user.ends_with(":chat-operator"));
    ensure!(denied.is_empty(), "{denied:#?}");
    Ok(())
}
