//! What stands in Secrets: keys that nobody refers to roll nothing, and a certificate is renewed while
//! people are connected.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chat_operator::pods;
use kube::ResourceExt;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use crate::{
    Add,
    lab::{Lab, cluster},
};

pub fn scenarios(add: Add<'_>) {
    add("a_certificate_is_renewed_and_a_foreign_key_changes_without_a_restart", |lab| {
        Box::pin(certificate(lab))
    });
}

/// A Secret as cert-manager makes them, with a new certificate.
async fn renew(lab: &Lab, namespace: &str) -> Result<String> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["chat.test".to_owned()])?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "door", "namespace": namespace },
        "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": cert.pem(), "tls.key": signing_key.serialize_pem() },
    });
    lab.apply(&secret).await?;
    Ok(cert.pem())
}

/// What a server says over TLS to somebody who trusts this certificate and no other.
async fn asked(lab: &Lab, namespace: &str, certificate: &str) -> Result<String> {
    let pods = lab.pods(namespace, "team").await?;
    let ip = pods[0].status.as_ref().and_then(|it| it.pod_ip.clone()).context("it runs")?;
    let file = std::env::temp_dir().join("door.pem");
    std::fs::write(&file, certificate)?;
    let answer = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "10", "--cacert"])
        .arg(&file)
        .arg("--resolve")
        .arg(format!("chat.test:8080:{ip}"))
        .arg("https://chat.test:8080/readyz")
        .output()
        .await?;
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

async fn certificate(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("door").await?;
    lab.secrets(&namespace).await?;
    let first = renew(&lab, &namespace).await?;
    let spec = json!({ "replicas": 1, "tls": { "secretName": "door" } });
    lab.apply(&cluster(&namespace, "team", spec)).await?;
    // The probes ask over TLS as well.
    lab.until_ready(&namespace, "team").await?;
    ensure!(asked(&lab, &namespace, &first).await?.contains("\"ready\""));
    let before = lab.pods(&namespace, "team").await?;

    let second = renew(&lab, &namespace).await?;
    let foreign = r#"{"stringData":{"another":"key"}}"#;
    lab.plane.kubectl(["patch", "secret", "db", "-n", &namespace, "-p", foreign]).await?;
    lab.until("the new certificate", || asked(&lab, &namespace, &second)).await?;
    ensure!(asked(&lab, &namespace, &first).await.is_err(), "the old certificate still serves");
    let after = lab.pods(&namespace, "team").await?;
    ensure!(lab.versions(&namespace).await? == 1, "a version that nobody asked for");
    ensure!(before[0].uid() == after[0].uid() && pods::is_ready(&after[0]), "it was restarted");
    lab.until_ready(&namespace, "team").await
}
