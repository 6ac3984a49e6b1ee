//! The chart of the chat, in each of its modes and with both Helms, as people install it.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client as Http, rt::TokioExecutor};
use serde_json::{Value, json};

use crate::{
    Add,
    lab::{Lab, root},
    operators,
};

pub fn scenarios(add: Add<'_>) {
    add("the_quick_start_keeps_what_was_said_with_helm_3_and_helm_4", |lab| {
        Box::pin(async move {
            tokio::try_join!(quick_start(&lab, Helm::Three), quick_start(&lab, Helm::Four))?;
            Ok(())
        })
    });
    add("several_servers_without_the_operator", |lab| Box::pin(deployment(lab)));
    add("helm_waits_for_a_chat_of_the_operators", |lab| Box::pin(waited_for(lab)));
    add("an_api_server_takes_every_example_of_the_charts", |lab| Box::pin(examples(lab)));
}

/// The lab's image of the server.
const IMAGE: [&str; 3] = [
    "--set=image.registry=registry.test",
    "--set=image.repository=chat-server",
    "--set-string=image.tag=1",
];

/// Mode cluster with the Secrets of [`Lab::secrets`].
const CLUSTER: [&str; 9] = [
    "--set=mode=cluster",
    "--set=cluster.database.urlSecretRef.name=db",
    "--set=cluster.database.urlSecretRef.key=url",
    "--set=cluster.redis.urlSecretRef.name=redis",
    "--set=cluster.redis.urlSecretRef.key=url",
    "--set=cluster.drain.noticeSeconds=1",
    "--set=cluster.drain.windowSeconds=10",
    "--set=cluster.rollout.minReadySeconds=1",
    "--wait",
];

#[derive(Debug, Clone, Copy)]
enum Helm {
    Three,
    Four,
}

impl Helm {
    async fn run(self, lab: &Lab, arguments: &[&str]) -> Result<String> {
        match self {
            Self::Three => lab.plane.helm3(arguments).await,
            Self::Four => lab.plane.helm4(arguments).await,
        }
    }
}

fn chart() -> Result<String> {
    let chart = root().join("charts/chat");
    Ok(chart.to_str().context("a path of text")?.to_owned())
}

/// Two people and what they say, over REST.
struct Talk {
    url: String,
    ann: Person,
    ben: Person,
}

struct Person {
    id: String,
    token: String,
}

impl Talk {
    /// They sign up, and Ann writes to Ben.
    async fn begin(url: &str) -> Result<Self> {
        let sign_up = async |name: &str| {
            let person = json!({ "name": name, "password": "correct horse battery" });
            let answer = rest(Method::POST, url, "/user/register", None, Some(person)).await?;
            let text = |field: &str| Some(answer[field].as_str()?.to_owned());
            let (id, token) = (text("user_id"), text("token"));
            let (id, token) = id.zip(token).context("who signs up gets an id and a token")?;
            anyhow::Ok(Person { id, token })
        };
        let (ann, ben) = (sign_up("ann").await?, sign_up("ben").await?);
        let talk = Self { url: url.to_owned(), ann, ben };
        let message = json!({ "to": talk.ben.id, "content": "hello from before" });
        rest(Method::POST, url, "/messages", Some(&talk.ann.token), Some(message)).await?;
        talk.is_kept().await?;
        Ok(talk)
    }

    /// Ben still reads it.
    async fn is_kept(&self) -> Result<()> {
        let path = format!("/messages?with={}", self.ann.id);
        let messages = rest(Method::GET, &self.url, &path, Some(&self.ben.token), None).await?;
        let one = messages.as_array().is_some_and(|all| all.len() == 1);
        ensure!(one && messages[0]["content"] == "hello from before", "{messages}");
        Ok(())
    }
}

async fn rest(
    method: Method,
    url: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Result<Value> {
    let mut request = Request::builder().method(method).uri(format!("{url}{path}"));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header("Content-Type", "application/json").header("Idempotency-Key", "k");
    }
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let client = Http::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let answer = client.request(request.body(Full::new(body))?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !matches!(status, StatusCode::OK | StatusCode::CREATED) {
        bail!("{path}: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// The servers of a release without the operator, that are not leaving: name and uid.
async fn servers(lab: &Lab, namespace: &str) -> Result<Vec<(String, String)>> {
    let chosen = "app.kubernetes.io/name=chat,app.kubernetes.io/instance=chat";
    let arguments = ["get", "pods", "-n", namespace, "-l", chosen, "-o", "json"];
    let pods: Value = serde_json::from_str(&lab.plane.kubectl(arguments).await?)?;
    let pods = pods["items"].as_array().context("a list")?.iter().map(|it| &it["metadata"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(pods
        .filter(|it| it["deletionTimestamp"].is_null())
        .map(|it| (text(&it["name"]), text(&it["uid"])))
        .collect())
}

async fn quick_start(lab: &Lab, helm: Helm) -> Result<()> {
    let namespace = lab.namespace("quick").await?;
    let chart = chart()?;
    let put = async |verb: &str, more: &[&str]| {
        let mut arguments = vec![verb, "chat", &chart, "-n", &namespace, "--wait", "--timeout=3m"];
        arguments.extend(IMAGE);
        arguments.extend(more);
        helm.run(lab, &arguments).await
    };
    put("install", &[]).await?;
    let door = lab.door(&namespace, "chat", "").await?;
    let talk = Talk::begin(&door.url).await?;

    // A pod that is lost.
    let server = servers(lab, &namespace).await?;
    ensure!(server.len() == 1, "{server:?}");
    lab.plane.kubectl(["delete", "pod", &server[0].0, "-n", &namespace]).await?;
    lab.until("what was said before the pod was deleted", || talk.is_kept()).await?;
    let another = servers(lab, &namespace).await?;
    ensure!(another.len() == 1 && another[0].1 != server[0].1, "{another:?}");

    // Another configuration is another pod.
    put("upgrade", &["--set=config.limits.text_chars_max=4000"]).await?;
    lab.until("what was said before the upgrade", || talk.is_kept()).await?;
    let third = servers(lab, &namespace).await?;
    ensure!(third.len() == 1 && third[0].1 != another[0].1, "{third:?}");
    helm.run(lab, &["test", "chat", "-n", &namespace, "--timeout=3m"]).await?;

    // What was said stays when everything else goes, and is found again.
    helm.run(lab, &["uninstall", "chat", "-n", &namespace, "--wait", "--timeout=3m"]).await?;
    let left = ["get", "statefulsets,services,pods", "-n", &namespace, "-o", "name"];
    lab.until("everything gone", || async {
        let left = lab.plane.kubectl(left).await?;
        // The pod of the test stays for whoever wants to read why it failed.
        let left: Vec<_> = left.lines().filter(|it| *it != "pod/chat-test-ready").collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    put("install", &[]).await?;
    let door = lab.door(&namespace, "chat", "").await?;
    let talk = Talk { url: door.url, ..talk };
    talk.is_kept().await?;
    helm.run(lab, &["uninstall", "chat", "-n", &namespace]).await?;
    Ok(())
}

async fn deployment(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("deployment").await?;
    lab.secrets(&namespace).await?;
    let chart = chart()?;
    let mut arguments = vec!["install", "chat", &chart, "-n", &namespace, "--wait", "--timeout=3m"];
    arguments.extend(IMAGE);
    arguments.extend([
        "--set=mode=deployment",
        "--set=deployment.database.urlSecretRef.name=db",
        "--set=deployment.database.urlSecretRef.key=url",
        "--set=deployment.redis.urlSecretRef.name=redis",
        "--set=deployment.redis.urlSecretRef.key=url",
        "--set=deployment.minReadySeconds=1",
        "--set=drain.noticeSeconds=1",
        "--set=drain.windowSeconds=5",
    ]);
    lab.plane.helm4(&arguments).await?;
    let before = servers(&lab, &namespace).await?;
    ensure!(before.len() == 2, "{before:?}");
    lab.plane.helm4(["test", "chat", "-n", &namespace, "--timeout=3m"]).await?;
    let door = lab.door(&namespace, "chat", "").await?;
    let talk = Talk::begin(&door.url).await?;
    // Of whichever server one asks, before and after all of them are others.
    arguments[0] = "upgrade";
    arguments.push("--set-string=image.tag=2");
    lab.plane.helm4(&arguments).await?;
    let after = servers(&lab, &namespace).await?;
    ensure!(after.len() == 2 && !after.iter().any(|it| before.contains(it)), "{after:?}");
    for _ in 0..4 {
        talk.is_kept().await?;
    }
    lab.plane.helm4(["uninstall", "chat", "-n", &namespace]).await?;
    Ok(())
}

async fn waited_for(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("waited").await?;
    let chart = chart()?;
    let put = async |verb: &str, name: &str, more: &[&str]| {
        let mut arguments = vec![verb, name, &chart, "-n", &namespace];
        arguments.extend(IMAGE);
        arguments.extend(CLUSTER);
        arguments.extend(more);
        lab.plane.helm4(&arguments).await
    };

    // Somebody has to make the Secrets: that is said instead of waited out.
    let refused = put("install", "early", &["--timeout=5m", "--set=fullnameOverride=early"]).await;
    let why = format!("{:#}", refused.err().context("installed without its Secrets")?);
    ensure!(!why.contains("deadline") && !why.contains("timed out"), "it was waited out: {why}");
    let told = lab.until_reason(&namespace, "early", "Stalled", "SecretNotFound").await?;
    ensure!(told.contains("db"), "{told}");
    lab.plane.helm4(["uninstall", "early", "-n", &namespace]).await?;

    // Without an operator nobody says that all is well.
    lab.secrets(&namespace).await?;
    operators::without(&lab, async {
        let unseen = put("install", "chat", &["--timeout=5s"]).await;
        ensure!(unseen.is_err(), "installed though no operator runs: {unseen:?}");
        Ok(())
    })
    .await?;

    // The same again, and when Helm is back it is ready.
    put("upgrade", "chat", &["--timeout=3m"]).await?;
    let (status, reason, message) = lab.condition(&namespace, "chat", "Ready").await?;
    ensure!((&*status, &*reason) == ("True", "AllReplicasReady"), "{reason}: {message}");
    lab.plane.helm4(["test", "chat", "-n", &namespace, "--timeout=3m"]).await?;
    let door = lab.door(&namespace, "chat", "").await?;
    let talk = Talk::begin(&door.url).await?;

    // Whoever scales owns `replicas`.
    lab.plane.kubectl(["scale", "chatcluster", "chat", "-n", &namespace, "--replicas=3"]).await?;
    lab.until_ready(&namespace, "chat").await?;
    put("upgrade", "chat", &["--timeout=3m", "--set=cluster.service.port=8000"]).await?;
    let cluster = lab.cluster(&namespace, "chat").await?;
    ensure!(cluster["spec"]["replicas"] == 3, "{}", cluster["spec"]);
    ensure!(cluster["status"]["readyReplicas"] == 3, "{}", cluster["status"]);
    let url = lab.door(&namespace, "chat", "").await?.url;
    ensure!(url.ends_with(":8000"), "{url}");
    let talk = Talk { url, ..talk };
    lab.until("the chat at its other port", || talk.is_kept()).await?;

    lab.plane.helm4(["uninstall", "chat", "-n", &namespace]).await?;
    lab.until("all children gone", || async {
        let left = lab.generations(&namespace).await?;
        ensure!(!left.keys().any(|it| it.contains("\"chat")), "{left:?}");
        Ok(())
    })
    .await
}

/// Kinds of others that the examples have.
const FOREIGN: [(&str, &str, &str); 4] = [
    ("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com/v1", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
];

async fn examples(lab: Arc<Lab>) -> Result<()> {
    // It looks for ServiceMonitors, which there are only for a moment.
    operators::without(&lab, async {
        let mut definitions = Vec::new();
        for (api, kind, plural) in FOREIGN {
            let (group, version) = api.split_once('/').expect("a group and a version");
            definitions.push(format!("crd/{plural}.{group}"));
            lab.apply(&foreign(group, version, kind, plural)).await?;
        }
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"].map(str::to_owned);
        lab.plane.kubectl(wait.iter().chain(&definitions)).await?;
        let taken = all_examples(&lab).await;
        let delete = ["delete".to_owned()];
        lab.plane.kubectl(delete.iter().chain(&definitions)).await?;
        taken
    })
    .await
}

async fn all_examples(lab: &Lab) -> Result<()> {
    // Helm asks whether the charts' kubeVersion allows it.
    let version: Value =
        serde_json::from_str(&lab.plane.kubectl(["get", "--raw", "/version"]).await?)?;
    let version = version["gitVersion"].as_str().context("a version")?;
    ensure!(version.starts_with("v1."), "the API server calls itself {version}");
    for namespace in ["examples", "team-a", "team-b"] {
        lab.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": namespace, "labels": {
                "pod-security.kubernetes.io/enforce": "restricted",
                // What makes pods is not refused for them, but warned of.
                "pod-security.kubernetes.io/warn": "restricted",
            }},
        }))
        .await?;
    }
    let mut seen = 0;
    for chart in ["chat", "chat-operator"] {
        let chart = root().join("charts").join(chart);
        let mut files: Vec<PathBuf> = std::fs::read_dir(chart.join("ci"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|it| it == "yaml"));
        files.sort();
        for values in files {
            let what = format!("{} of {}", values.display(), chart.display());
            let (values, chart) = (values.to_string_lossy(), chart.to_string_lossy());
            let arguments = ["template", "chat", &chart, "-n", "examples", "-f", &values];
            let arguments = arguments.into_iter().chain(["--kube-version", version]);
            let rendered = lab.plane.helm4(arguments).await.context(what.clone())?;
            let dry = [
                "apply",
                "--dry-run=server",
                "--server-side",
                // The definition is there already, as Helm's.
                "--force-conflicts",
                "--warnings-as-errors",
                "-f",
                "-",
            ];
            lab.plane.kubectl_with(dry, &rendered).await.context(what)?;
            seen += 1;
        }
    }
    ensure!(seen >= 12, "only {seen} examples were found");
    Ok(())
}

/// A definition that takes everything.
fn foreign(group: &str, version: &str, kind: &str, plural: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            "annotations": { "api-approved.kubernetes.io": "unapproved, a test" },
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}
