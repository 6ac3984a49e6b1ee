//! One pod from its arrival on the node to its deletion: network, volumes, init containers,
//! containers, and their end.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::{
    api::core::v1::{Container, Event, ObjectReference, Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{
    Shared,
    container::{self, Record, Restart},
    lock,
    network::Network,
    status::{Failure, Place, Records, compute, is_sidecar},
    volumes::Volumes,
};
use crate::namespace::NODE_ADDRESS;

/// How often something is tried again that did not work.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// What everything that belongs to a pod shares.
pub(super) struct Context {
    pub shared: Arc<Shared>,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub folder: PathBuf,
    pub network: Network,
    pub volumes: AsyncMutex<Volumes>,
    pod: watch::Receiver<Arc<Pod>>,
    records: Mutex<Records>,
    changed: watch::Sender<()>,
    place: Place,
    /// Only one status is on its way.
    publishing: AsyncMutex<Option<serde_json::Value>>,
    /// When its containers are to end; those that go on beside the others come after these.
    stop: watch::Sender<Option<Instant>>,
    stop_beside: watch::Sender<Option<Instant>>,
    containers: TaskTracker,
    beside: TaskTracker,
}

/// Runs it until it is gone.
pub(super) async fn run(shared: Arc<Shared>, pod: watch::Receiver<Arc<Pod>>) {
    let stop = shared.stop.clone();
    let context = loop {
        match Context::new(shared.clone(), pod.clone()).await {
            Ok(context) => break Arc::new(context),
            Err(error) => warn!("a pod gets no network: {error:#}"),
        }
        sleep(TRY_AGAIN).await;
    };
    tokio::select! {
        () = context.live() => {}
        () = context.publish_always() => {}
        () = context.keep_files() => {}
        () = stop.cancelled() => {}
    }
    // Whatever has not ended by now ends at once.
    let now = Some(Instant::now());
    context.stop.send_replace(now);
    context.stop_beside.send_replace(now);
    context.close().await;
    if let Err(error) = context.network.remove().await {
        debug!("a pod's network stays: {error:#}");
    }
    let _ = fs::remove_dir_all(context.folder.join("volumes"));
}

/// Why a pod ends that did not end by itself.
#[derive(Debug)]
enum End {
    /// Somebody has deleted it and gives it this long.
    Deleted(Duration),
    /// It is gone already.
    Gone,
    /// It has had its time.
    Deadline,
}

impl Context {
    async fn new(shared: Arc<Shared>, receiver: watch::Receiver<Arc<Pod>>) -> Result<Self> {
        let pod = receiver.borrow().clone();
        let uid = pod.uid().unwrap_or_default();
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let folder = shared.folder.join(&uid);
        fs::create_dir_all(folder.join("etc"))?;
        let network = Network::new(&shared.addresses).await?;
        lock(&shared.folders).insert((namespace.clone(), name.clone()), folder.clone());
        let spec = pod.spec.clone().unwrap_or_default();
        let init = spec.init_containers.iter().flatten();
        let records = Records {
            init: init.map(|_| Record::new("PodInitializing")).collect(),
            main: spec
                .containers
                .iter()
                .map(|_| match spec.init_containers.as_deref() {
                    None | Some([]) => Record::new("ContainerCreating"),
                    Some(_) => Record::new("PodInitializing"),
                })
                .collect(),
            initialized: false,
            failed: None,
            conditions: pod.status.clone().and_then(|it| it.conditions).unwrap_or_default(),
        };
        let place = Place {
            address: network.address.to_string(),
            host: NODE_ADDRESS.to_string(),
            since: Time(Timestamp::now()),
        };
        let context = Self {
            shared,
            namespace,
            name,
            uid,
            folder,
            network,
            volumes: AsyncMutex::default(),
            pod: receiver,
            records: Mutex::new(records),
            changed: watch::Sender::new(()),
            place,
            publishing: AsyncMutex::default(),
            stop: watch::Sender::new(None),
            stop_beside: watch::Sender::new(None),
            containers: TaskTracker::new(),
            beside: TaskTracker::new(),
        };
        context.write_names()?;
        Ok(context)
    }

    /// The pod as it is now.
    pub(super) fn pod(&self) -> Arc<Pod> {
        self.pod.borrow().clone()
    }

    pub(super) const fn address(&self) -> Ipv4Addr {
        self.network.address
    }

    fn spec(&self) -> PodSpec {
        self.pod().spec.clone().unwrap_or_default()
    }

    /// How long a container has that is ended for its own sake.
    pub(super) fn grace(&self, container: &Container) -> Duration {
        let probe = container.liveness_probe.as_ref();
        let seconds = probe
            .and_then(|probe| probe.termination_grace_period_seconds)
            .or_else(|| self.pod().spec.as_ref()?.termination_grace_period_seconds)
            .unwrap_or(30);
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// Changes what is known of a container.
    pub(super) fn record(&self, container: &str, change: impl FnOnce(&mut Record)) {
        let spec = self.spec();
        let records = &mut *lock(&self.records);
        let init = spec.init_containers.iter().flatten().zip(&mut records.init);
        let mut all = init.chain(spec.containers.iter().zip(&mut records.main));
        if let Some((_, record)) = all.find(|(it, _)| it.name == container) {
            change(record);
        }
        self.changed.send_replace(());
    }

    fn change(&self, change: impl FnOnce(&mut Records)) {
        change(&mut lock(&self.records));
        self.changed.send_replace(());
    }

    /// Returns when the pod is deleted, or gone.
    async fn live(self: &Arc<Self>) {
        let phase = self.pod().status.as_ref().and_then(|status| status.phase.clone());
        let over = matches!(phase.as_deref(), Some("Succeeded" | "Failed"));
        if !over {
            let end = tokio::select! {
                () = self.work() => None,
                end = self.must_end() => Some(end),
            };
            match end {
                None => {}
                Some(End::Gone) => return,
                Some(End::Deleted(grace)) => {
                    tokio::select! {
                        () = self.end(grace) => {}
                        () = self.hurry(grace) => return,
                    }
                }
                Some(End::Deadline) => {
                    self.change(|records| records.failed = Some(Failure::Deadline));
                    let seconds = self.spec().termination_grace_period_seconds.unwrap_or(30);
                    self.end(Duration::from_secs(seconds.unsigned_abs())).await;
                }
            }
            if self.publish().await.is_gone() {
                return;
            }
        }
        // It has ended; its object stays until somebody deletes it.
        if !matches!(self.deleted().await, End::Deleted(_)) {
            return;
        }
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.namespace);
        let uid = Some(self.uid.clone());
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..Default::default()
        };
        while let Err(error) = api.delete(&self.name, &now).await {
            match error {
                kube::Error::Api(status) if matches!(status.code, 404 | 409) => return,
                error => warn!(%error, pod = self.name, "a pod is not deleted"),
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// Everything from the first volume to the last container's end.
    async fn work(self: &Arc<Self>) {
        self.mount().await;
        let spec = self.spec();
        let policy = spec.restart_policy.as_deref().unwrap_or("Always");
        for (index, container) in spec.init_containers.iter().flatten().enumerate() {
            if is_sidecar(container) {
                let stop = self.stop_beside.subscribe();
                let run = container::run(self.clone(), container.clone(), Restart::Always, stop);
                self.beside.spawn(run);
                let mut changes = self.changed.subscribe();
                while !lock(&self.records).init[index].started {
                    changes.changed().await.expect("we hold its sender");
                }
                continue;
            }
            let restart = if policy == "Never" { Restart::Never } else { Restart::OnFailure };
            let stop = self.stop.subscribe();
            let run = container::run(self.clone(), container.clone(), restart, stop);
            let well = self.containers.spawn(run).await.unwrap_or(false);
            if !well {
                // Only one that is not started again ends badly, unless all is ending anyway.
                if self.stop.borrow().is_none() {
                    self.change(|records| records.failed = Some(Failure::Init));
                }
                self.end_beside().await;
                return;
            }
            self.record(&container.name, |record| record.ready = true);
        }
        self.change(|records| records.initialized = true);
        let restart = match policy {
            "Never" => Restart::Never,
            "OnFailure" => Restart::OnFailure,
            _ => Restart::Always,
        };
        for container in &spec.containers {
            let stop = self.stop.subscribe();
            let run = container::run(self.clone(), container.clone(), restart, stop);
            self.containers.spawn(run);
        }
        self.containers.close();
        self.containers.wait().await;
        self.end_beside().await;
    }

    async fn mount(&self) {
        let mut said = String::new();
        loop {
            let mounted = self.volumes.lock().await.mount(self).await;
            let Err(error) = mounted else { return };
            let message = format!("{error:#}");
            if message != said {
                self.tell("FailedMount", &message).await;
                said = message;
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// A warning that people see who ask what is wrong with the pod.
    async fn tell(&self, reason: &str, message: &str) {
        let api: Api<Event> = Api::namespaced(self.shared.client.clone(), &self.namespace);
        let now = Some(Time(Timestamp::now()));
        let event = Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}.", self.name)),
                ..Default::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(self.namespace.clone()),
                name: Some(self.name.clone()),
                uid: Some(self.uid.clone()),
                ..Default::default()
            },
            type_: Some("Warning".to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            first_timestamp: now.clone(),
            last_timestamp: now,
            count: Some(1),
            ..Default::default()
        };
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            debug!(%error, "an event is lost");
        }
    }

    /// Ends all containers and waits for them.
    async fn end(&self, grace: Duration) {
        let latest = Instant::now() + grace;
        self.stop.send_replace(Some(latest));
        self.containers.close();
        self.containers.wait().await;
        self.stop_beside.send_replace(Some(latest));
        self.beside.close();
        self.beside.wait().await;
    }

    async fn end_beside(&self) {
        let seconds = self.spec().termination_grace_period_seconds.unwrap_or(30);
        let latest = Instant::now() + Duration::from_secs(seconds.unsigned_abs());
        self.stop_beside.send_replace(Some(latest));
        self.beside.close();
        self.beside.wait().await;
    }

    async fn close(&self) {
        self.containers.close();
        self.beside.close();
        self.containers.wait().await;
        self.beside.wait().await;
    }

    async fn must_end(&self) -> End {
        let deadline = async {
            match self.spec().active_deadline_seconds {
                Some(seconds) => sleep(Duration::from_secs(seconds.unsigned_abs())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = self.deleted() => end,
            () = deadline => End::Deadline,
        }
    }

    /// Waits until somebody has deleted it.
    async fn deleted(&self) -> End {
        let mut pod = self.pod.clone();
        let deleted = pod.wait_for(|pod| pod.metadata.deletion_timestamp.is_some()).await;
        match deleted {
            Ok(pod) => End::Deleted(grace(&pod)),
            Err(_) => End::Gone,
        }
    }

    /// Follows those who delete it again with less time. Returns when it is gone.
    async fn hurry(&self, mut before: Duration) {
        let mut pod = self.pod.clone();
        while pod.changed().await.is_ok() {
            let now = grace(&pod.borrow_and_update());
            if now < before {
                before = now;
                let latest = Some(Instant::now() + now);
                self.stop.send_replace(latest);
                if self.stop_beside.borrow().is_some() {
                    self.stop_beside.send_replace(latest);
                }
            }
        }
    }

    /// Tells the API server of every change. Returns when the pod is gone.
    async fn publish_always(&self) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if self.publish().await.is_gone() {
                // The watch will say so.
                std::future::pending::<()>().await;
            }
            // Readiness gates are others' conditions.
            let mut pod = self.pod.clone();
            pod.borrow_and_update();
            tokio::select! {
                _ = changes.changed() => {}
                Ok(()) = pod.changed() => {}
            }
        }
    }

    /// Tells the API server what is known now, if it is not what it was told before.
    async fn publish(&self) -> Published {
        let mut told = self.publishing.lock().await;
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.namespace);
        loop {
            let pod = self.pod();
            let status = compute(&pod, &self.place, &mut lock(&self.records));
            let status = json!({ "metadata": { "uid": self.uid }, "status": status });
            if told.as_ref() == Some(&status) {
                return Published::Told;
            }
            // The conditions of others stay: these lists are merged by their keys.
            let patch = Patch::Strategic(&status);
            match api.patch_status(&self.name, &PatchParams::default(), &patch).await {
                Ok(_) => {
                    *told = Some(status);
                    return Published::Told;
                }
                Err(kube::Error::Api(error)) if error.code == 404 => return Published::Gone,
                // Another one of that name, or somebody was faster five times in a row.
                Err(kube::Error::Api(error)) if error.code == 409 => {
                    if let Ok(other) = api.get_metadata(&self.name).await
                        && other.uid().as_ref() != Some(&self.uid)
                    {
                        return Published::Gone;
                    }
                }
                Err(error) => warn!(%error, pod = self.name, "a status is not told"),
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// Keeps volumes and names up to date.
    async fn keep_files(&self) {
        let mut versions = self.shared.versions.changes();
        let mut services = self.shared.services.changes();
        loop {
            tokio::select! {
                Ok(()) = versions.changed() => {}
                Ok(()) = services.changed() => {
                    if let Err(error) = self.write_names() {
                        warn!(pod = self.name, "names are not updated: {error:#}");
                    }
                }
                // Tokens grow old, and labels change.
                () = sleep(Duration::from_secs(2)) => {}
            }
            self.volumes.lock().await.refresh(self).await;
            // Many changes in a row are one.
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the container's `/etc/hosts` and `/etc/resolv.conf` are links to.
    fn write_names(&self) -> Result<()> {
        let spec = self.pod().spec.clone().unwrap_or_default();
        let host = spec.hostname.unwrap_or_else(|| self.name.clone());
        let mut hosts = format!("127.0.0.1 localhost\n::1 localhost\n{} {host}\n", self.address());
        for alias in spec.host_aliases.iter().flatten() {
            let names = alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
            hosts.push_str(&format!("{} {names}\n", alias.ip));
        }
        hosts.push_str(&self.shared.services.names(&self.namespace));
        let namespace = &self.namespace;
        // Nobody answers there, and says so at once.
        let resolver = format!(
            "search {namespace}.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.96.0.10\noptions ndots:5\n"
        );
        let folder = self.folder.join("etc");
        for (name, text) in [("hosts", hosts), ("resolv.conf", resolver)] {
            let new = folder.join(format!("{name}.new"));
            fs::write(&new, text)?;
            fs::rename(&new, folder.join(name)).context("a name file")?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    Told,
    Gone,
}

impl Published {
    fn is_gone(self) -> bool {
        self == Self::Gone
    }
}

fn grace(pod: &Pod) -> Duration {
    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
    Duration::from_secs(seconds.unsigned_abs())
}
