//! What there is of a chat, read with the rights of whoever asks. What may not be read is named
//! instead.

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;
use futures_util::{StreamExt, future::join_all, stream};
use http::Request;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod, events::v1::Event},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
    client::Body,
};
use tokio::time::timeout;

use crate::{
    client::why,
    crd::ChatCluster,
    desired::pod,
    kind::Kind,
    labels,
    scrape::{METRICS_BYTES_MAX, connections_in},
};

/// Objects of a kind; a chat has a few of each.
const OBJECTS_MAX: u32 = 500;

/// Pods that are asked for their connections, altogether and at a time.
const ASKED: (usize, usize) = (50, 8);

/// For one of them to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What there is of a chat.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The resource.
    pub cluster: ChatCluster,
    /// Its servers.
    pub pods: Vec<Pod>,
    /// Connections by the pod's name, of those that could be asked.
    pub connections: BTreeMap<String, u64>,
    /// The objects that were made for it.
    pub children: Vec<Child>,
    /// The Job that last brought its schema up to date, or tried.
    pub migration: Option<Job>,
    /// Events about it.
    pub events: Vec<Event>,
    /// What could not be read, and why.
    pub gaps: Vec<String>,
}

/// An object that was made for a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// As in `Deployment`.
    pub kind: String,
    /// As in `apps/v1`.
    pub api_version: String,
    /// Its name.
    pub name: String,
    /// How often what is asked of it changed, if the kind counts that.
    pub generation: Option<i64>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// Reads all there is of a chat; `None` if there is no such chat.
///
/// # Errors
///
/// If the chat itself cannot be read.
pub async fn read(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<Facts>> {
    let chats: Api<ChatCluster> = Api::namespaced(client.clone(), namespace);
    let cluster = match chats.get_opt(name).await {
        Ok(Some(cluster)) => cluster,
        Ok(None) => return Ok(None),
        // The kind itself is not known here.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => bail!("the ChatCluster cannot be read: {}", why(error)),
    };
    let mut facts = Facts {
        cluster,
        pods: Vec::new(),
        connections: BTreeMap::new(),
        children: Vec::new(),
        migration: None,
        events: Vec::new(),
        gaps: Vec::new(),
    };
    let objects = ListParams::default().labels(&labels::children_text(name)).limit(OBJECTS_MAX);
    let lists = Kind::ALL.into_iter().map(|kind| children(client, namespace, kind, &objects));
    for list in join_all(lists).await {
        match list {
            Ok(list) => facts.children.extend(list),
            Err(gap) => facts.gaps.push(gap),
        }
    }

    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_chat = ListParams::default().labels(&labels::selector_text(name)).limit(OBJECTS_MAX);
    match pods.list(&of_chat).await {
        // Those of Jobs are no servers.
        Ok(list) => facts.pods.extend(list.items.into_iter().filter(|it| !of_job(it))),
        Err(error) => facts.gaps.push(gap("pods", error)),
    }
    facts.pods.sort_by_key(|it| (it.creation_timestamp(), it.name_any()));
    facts.connections = connections(client, namespace, &facts.pods).await;

    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    match jobs.list(&objects).await {
        Ok(list) => {
            facts.migration = list.items.into_iter().max_by_key(ResourceExt::creation_timestamp);
        }
        Err(error) => facts.gaps.push(gap("jobs", error)),
    }

    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let about = format!("regarding.kind=ChatCluster,regarding.name={name}");
    match events.list(&ListParams::default().fields(&about).limit(OBJECTS_MAX)).await {
        Ok(list) => {
            // Not those of a chat of the same name that was there before.
            let this = facts.cluster.uid();
            let of_this = |it: &Event| it.regarding.as_ref().and_then(|it| it.uid.clone()) == this;
            facts.events.extend(list.items.into_iter().filter(of_this));
        }
        Err(error) => facts.gaps.push(gap("events", error)),
    }
    Ok(Some(facts))
}

fn of_job(pod: &Pod) -> bool {
    pod.labels().keys().any(|it| it == "batch.kubernetes.io/job-name" || it == "job-name")
}

fn gap(what: &str, error: kube::Error) -> String {
    format!("{what}: {}", why(error))
}

async fn children(
    client: &Client,
    namespace: &str,
    kind: Kind,
    params: &ListParams,
) -> Result<Vec<Child>, String> {
    let resource = kind.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let list = match api.list_metadata(params).await {
        Ok(list) => list.items,
        // Not every cluster knows every kind.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(gap(&resource.plural, error)),
    };
    let child = |metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| Child {
        kind: kind.to_string(),
        api_version: resource.api_version.clone(),
        name: metadata.name.unwrap_or_default(),
        generation: metadata.generation,
        created: metadata.creation_timestamp.map(|it| it.0),
    };
    Ok(list.into_iter().map(|it| child(it.metadata)).collect())
}

/// Asks the pods that run, through the API server, because whoever asks is rarely in their network.
/// Who may not, or gets no answer, does not hear a number.
async fn connections(client: &Client, namespace: &str, pods: &[Pod]) -> BTreeMap<String, u64> {
    let runs =
        |pod: &&Pod| pod.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running");
    let asked = pods.iter().filter(runs).take(ASKED.0).map(async |pod| {
        let name = pod.name_any();
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{name}:{}/proxy/metrics",
            metrics_port(pod)
        );
        let text = timeout(PATIENCE, text_of(client, &path)).await.ok()?.ok()?;
        Some((name, connections_in(&text)?))
    });
    let answers: Vec<Option<(String, u64)>> =
        stream::iter(asked).buffer_unordered(ASKED.1).collect().await;
    answers.into_iter().flatten().collect()
}

fn metrics_port(pod: &Pod) -> i32 {
    let containers = pod.spec.iter().flat_map(|it| &it.containers);
    let mut ports = containers.flat_map(|it| it.ports.iter().flatten());
    let named = ports.find(|it| it.name.as_deref() == Some("metrics"));
    named.map_or(pod::METRICS, |it| it.container_port)
}

async fn text_of(client: &Client, path: &str) -> anyhow::Result<String> {
    let answer = client.send(Request::get(path).body(Body::empty())?).await?;
    anyhow::ensure!(answer.status().is_success(), "refused");
    let body = Limited::new(answer.into_body(), METRICS_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}
