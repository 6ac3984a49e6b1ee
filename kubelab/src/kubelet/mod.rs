//! Nodes that run containers as local processes: registers them, gives pending pods to them, and
//! keeps one worker per pod.

mod node;
mod scheduler;
mod pod;
mod status;
mod container;
mod probes;
mod environment;
mod volumes;
mod network;

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, runtime::watcher};
use tokio::{
    sync::{mpsc, watch},
    time::interval,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{container::Prepared, network::Addresses, scheduler::Scheduler, volumes::Versions};
use crate::{
    control_plane::{ControlPlane, node_client},
    services::{Change, Services, follow},
};

/// What pods may name as their containers' images.
pub type Images = BTreeMap<String, Image>;

/// A local executable that stands for an image. Containers see the machine's `/usr` and the
/// executable itself, read-only, and nothing else of the machine.
#[derive(Debug, Clone)]
pub struct Image {
    entrypoint: Vec<String>,
    env: Vec<(String, String)>,
    folders: Vec<PathBuf>,
    user: u32,
}

impl Image {
    /// An executable, by its absolute path. Its user is 65532 (`nonroot`), as in images that are made
    /// well, unless the pod says otherwise or the tests do not run as root.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        let program = program.as_ref().to_string_lossy().into_owned();
        Self { entrypoint: vec![program], env: Vec::new(), folders: Vec::new(), user: 65532 }
    }

    /// An argument that comes before those of the container, and goes where it has a `command`.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.entrypoint.push(argument.into());
        self
    }

    /// A variable that every container of this image has.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A folder or a file of the machine that containers see at the same path, read-only: another
    /// program that a container's `command` may name, or libraries outside of `/usr`.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// The user that its containers are, unless the pod says otherwise.
    #[must_use]
    pub const fn user(mut self, user: u32) -> Self {
        self.user = user;
        self
    }
}

/// How a [`Kubelet`] behaves.
#[derive(Debug, Clone)]
pub struct KubeletOptions {
    /// How many nodes there are, in zones of their own. 1 … 14.
    pub nodes: u32,
    /// How long a container that crashed twice waits to be started again; each time twice as long.
    /// A real node begins with ten seconds.
    pub backoff: Duration,
    /// … but not longer than this.
    pub backoff_max: Duration,
}

impl Default for KubeletOptions {
    fn default() -> Self {
        let (backoff, backoff_max) = (Duration::from_secs(1), Duration::from_secs(8));
        Self { nodes: 2, backoff, backoff_max }
    }
}

/// The nodes of a cluster, its scheduler, its service proxy and the provisioner of its volumes. When
/// it is dropped all containers are killed, without a word to the API server.
pub struct Kubelet {
    shared: Arc<Shared>,
}

/// What all pods share.
struct Shared {
    client: Client,
    options: KubeletOptions,
    nodes: Vec<String>,
    folder: PathBuf,
    images: RwLock<Images>,
    services: Arc<Services>,
    versions: Versions,
    addresses: Addresses,
    /// The running containers.
    running: Mutex<BTreeMap<ContainerKey, Running>>,
    /// The folder of each pod, the gone ones too.
    folders: Mutex<BTreeMap<(String, String), PathBuf>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A container that runs: its process, and how it is entered.
struct Running {
    pid: u32,
    prepared: Arc<Prepared>,
}

/// Namespace, pod, container.
type ContainerKey = (String, String, String);

impl Kubelet {
    /// Registers two nodes and runs what is scheduled to them.
    ///
    /// # Errors
    /// The API server does not take the nodes.
    pub async fn start(plane: &ControlPlane, images: Images) -> Result<Self> {
        Self::start_with(plane, images, KubeletOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        plane: &ControlPlane,
        images: Images,
        options: KubeletOptions,
    ) -> Result<Self> {
        let client = node_client(plane).await?;
        let folder = plane.folder().join("pods");
        fs::create_dir_all(&folder)?;
        let nodes: Vec<_> = (1..=options.nodes).map(|number| format!("node-{number}")).collect();
        node::register(&client, &nodes).await.context("the nodes")?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Arc::new(Shared {
            services: Services::start(&client, &stop, &tasks),
            client,
            options,
            nodes,
            folder,
            images: RwLock::new(images),
            versions: Versions::default(),
            addresses: Addresses::default(),
            running: Mutex::default(),
            folders: Mutex::default(),
            stop,
            tasks,
        });
        for task in [
            tokio::spawn(until(shared.clone(), node::keep_alive)),
            tokio::spawn(until(shared.clone(), volumes::watch_versions)),
            tokio::spawn(until(shared.clone(), volumes::provision)),
            tokio::spawn(until(shared.clone(), run_pods)),
        ] {
            shared.tasks.spawn(task);
        }
        Ok(Self { shared })
    }

    /// What its nodes are called.
    #[must_use]
    pub fn nodes(&self) -> &[String] {
        &self.shared.nodes
    }

    /// Adds an image, or puts another program in its place for containers that start from now on.
    pub fn set_image(&self, name: impl Into<String>, image: Image) {
        let mut images = self.shared.images.write().unwrap_or_else(PoisonError::into_inner);
        images.insert(name.into(), image);
    }

    /// Everything a container has written so far, in all its runs; also of a pod that is gone, until
    /// there is another one of that name.
    #[must_use]
    pub fn logs(&self, namespace: &str, pod: &str, container: &str) -> String {
        let key = (namespace.to_owned(), pod.to_owned());
        let Some(folder) = lock(&self.shared.folders).get(&key).cloned() else {
            return String::new();
        };
        let folder = folder.join("containers").join(container);
        (0..)
            .map_while(|run| fs::read(folder.join(format!("{run}.log"))).ok())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .collect()
    }

    /// The process of a container, while it runs.
    #[must_use]
    pub fn pid(&self, namespace: &str, pod: &str, container: &str) -> Option<u32> {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        lock(&self.shared.running).get(&key).map(|running| running.pid)
    }

    /// Runs a command inside a container, as its user and with its variables, and answers what it
    /// printed.
    ///
    /// # Errors
    /// The container does not run, or the command failed; the message has what it printed.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<String> {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let mut entering = {
            let running = lock(&self.shared.running);
            let running = running.get(&key).with_context(|| format!("{key:?} does not run"))?;
            running.prepared.exec(running.pid, &command)
        };
        let output = entering.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{command:?} in {key:?} ({}): {printed}{errors}", output.status);
        }
        Ok(printed)
    }
}

impl fmt::Debug for Kubelet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kubelet").field("nodes", &self.nodes()).finish_non_exhaustive()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a task until the kubelet is dropped.
async fn until<F: Future<Output = ()>>(shared: Arc<Shared>, task: impl FnOnce(Arc<Shared>) -> F) {
    let stop = shared.stop.clone();
    tokio::select! {
        () = task(shared) => {}
        () = stop.cancelled() => {}
    }
}

/// Gives pending pods to nodes, and those of our nodes to workers.
async fn run_pods(shared: Arc<Shared>) {
    // The watch never waits for us: a change is a pointer, and the workers take the newest.
    let (sender, mut changes) = mpsc::unbounded_channel();
    let events = watcher(Api::<Pod>::all(shared.client.clone()), watcher::Config::default());
    let watching = follow(events, |change| drop(sender.send(change)));
    let deciding = async {
        let mut scheduler = Scheduler::new(shared.clone());
        let mut workers: HashMap<(String, String), Worker> = HashMap::new();
        let mut again = interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    None => return,
                    Some(Change::Put(key, pod)) => {
                        scheduler.consider(&pod).await;
                        deliver(&shared, &mut workers, key, pod);
                    }
                    Some(Change::Remove(key)) => {
                        scheduler.forget(&key);
                        workers.remove(&key);
                    }
                    Some(Change::Keep(keys)) => workers.retain(|key, _| keys.contains(key)),
                },
                _ = again.tick() => scheduler.try_again().await,
            }
        }
    };
    tokio::join!(watching, deciding);
}

/// A worker's end of the line. Dropped, the pod is gone, and the worker kills what is left.
struct Worker {
    uid: String,
    pod: watch::Sender<Arc<Pod>>,
}

fn deliver(
    shared: &Arc<Shared>,
    workers: &mut HashMap<(String, String), Worker>,
    key: (String, String),
    pod: Pod,
) {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    if !node.is_some_and(|node| shared.nodes.contains(node)) {
        return;
    }
    let uid = pod.uid().unwrap_or_default();
    let pod = Arc::new(pod);
    match workers.get(&key) {
        Some(worker) if worker.uid == uid => drop(worker.pod.send_replace(pod)),
        // New, or another one of the same name, whose predecessor was gone without our hearing.
        _ => {
            let (sender, receiver) = watch::channel(pod);
            workers.insert(key, Worker { uid, pod: sender });
            shared.tasks.spawn(pod::run(shared.clone(), receiver));
        }
    }
}
