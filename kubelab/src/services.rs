//! What a node's service proxy and the cluster's name server do: every port of a Service listens on
//! the Service's address and passes each connection on to one of its endpoints, and every Service has
//! its names.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, future::join};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// Connections at once through one port of a Service; further ones wait in the listener's queue.
const CONNECTIONS: usize = 4096;

/// An endpoint that does not answer for this long is gone, and so is the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// All Services of the cluster, kept up to date.
#[derive(Debug)]
pub(crate) struct Services {
    known: Mutex<Known>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Known {
    services: BTreeMap<(String, String), Service>,
    slices: BTreeMap<(String, String), EndpointSlice>,
}

impl Services {
    /// Watches until the token is cancelled.
    pub(crate) fn start(
        client: &Client,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let services = Arc::new(Self { known: Mutex::default(), changed: watch::Sender::new(()) });
        let (this, client, stop) = (services.clone(), client.clone(), stop.clone());
        let connections = tasks.clone();
        tasks.spawn(async move {
            let watching = join(
                follow(watcher(Api::all(client.clone()), watcher::Config::default()), |change| {
                    this.update(|it| &mut it.services, change);
                }),
                follow(watcher(Api::all(client), watcher::Config::default()), |change| {
                    this.update(|it| &mut it.slices, change);
                }),
            );
            tokio::select! {
                _ = watching => {}
                () = this.serve(&connections, &stop) => {}
                () = stop.cancelled() => {}
            }
        });
        services
    }

    /// Changes whenever a name or an address may have.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The names that pods of this namespace use, as lines of `/etc/hosts`.
    pub(crate) fn names(&self, namespace: &str) -> String {
        let known = self.known();
        let mut lines = String::new();
        for ((space, name), service) in &known.services {
            let addresses = match cluster_ip(service) {
                Some(address) => vec![address],
                // A headless Service's name is that of all its endpoints.
                None => known.endpoints(space, name, None).into_iter().map(|it| it.ip()).collect(),
            };
            let mut names =
                format!("{name}.{space} {name}.{space}.svc {name}.{space}.svc.cluster.local");
            if space == namespace {
                names = format!("{name} {names}");
            }
            for address in addresses {
                writeln!(lines, "{address} {names}").expect("a String takes everything");
            }
        }
        lines
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<K>(
        &self,
        table: impl Fn(&mut Known) -> &mut BTreeMap<(String, String), K>,
        change: Change<K>,
    ) {
        let mut known = self.known();
        let table = table(&mut known);
        match change {
            Change::Put(key, object) => drop(table.insert(key, object)),
            Change::Remove(key) => drop(table.remove(&key)),
            Change::Keep(keys) => table.retain(|key, _| keys.contains(key)),
        }
        drop(known);
        self.changed.send_replace(());
    }

    /// Listens for every port that has an endpoint. One without is refused by nobody listening, as a
    /// node does it.
    async fn serve(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let mut changes = self.changes();
        let mut ports: HashMap<SocketAddr, Port> = HashMap::new();
        loop {
            let mut wanted = self.known().ports();
            ports.retain(|address, _| wanted.contains_key(address));
            for (address, endpoints) in wanted.drain() {
                if let Some(port) = ports.get(&address) {
                    port.endpoints.send_replace(endpoints);
                } else {
                    ports.insert(address, Port::listen(address, endpoints, tasks, stop));
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Known {
    fn ports(&self) -> HashMap<SocketAddr, Vec<SocketAddr>> {
        let mut ports = HashMap::new();
        for ((namespace, name), service) in &self.services {
            let Some(address) = cluster_ip(service) else { continue };
            for port in service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()) {
                if port.protocol.as_deref().is_some_and(|protocol| protocol != "TCP") {
                    continue;
                }
                let name_of_port = port.name.as_deref().unwrap_or_default();
                let endpoints = self.endpoints(namespace, name, Some(name_of_port));
                if let (false, Ok(port)) = (endpoints.is_empty(), u16::try_from(port.port)) {
                    ports.insert(SocketAddr::new(address, port), endpoints);
                }
            }
        }
        ports
    }

    /// Who takes connections: all that are ready, or, where there is nobody, those that are ending but
    /// still serve. Without a port its number is 0.
    fn endpoints(&self, namespace: &str, service: &str, port: Option<&str>) -> Vec<SocketAddr> {
        let (mut ready, mut ending) = (Vec::new(), Vec::new());
        let slices = self.slices.iter().filter(|((space, _), _)| space == namespace);
        for (_, slice) in slices {
            let labels = slice.metadata.labels.as_ref();
            let owner = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
            if owner.map(String::as_str) != Some(service) {
                continue;
            }
            let number = match port {
                None => Some(0),
                Some(name) => slice
                    .ports
                    .iter()
                    .flatten()
                    .find(|port| port.name.as_deref().unwrap_or_default() == name)
                    .and_then(|port| port.port)
                    .and_then(|port| u16::try_from(port).ok()),
            };
            let Some(number) = number else { continue };
            for endpoint in &slice.endpoints {
                let conditions = endpoint.conditions.clone().unwrap_or_default();
                let address = endpoint.addresses.first().and_then(|it| it.parse::<IpAddr>().ok());
                let Some(address) = address.map(|ip| SocketAddr::new(ip, number)) else { continue };
                if conditions.ready.unwrap_or(true) {
                    ready.push(address);
                } else if conditions.serving.unwrap_or(false) {
                    ending.push(address);
                }
            }
        }
        if ready.is_empty() { ending } else { ready }
    }
}

fn cluster_ip(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()
}

/// A listening port. Dropped, it takes no new connections; those it has go on.
struct Port {
    endpoints: watch::Sender<Vec<SocketAddr>>,
    closed: CancellationToken,
}

impl Port {
    fn listen(
        address: SocketAddr,
        endpoints: Vec<SocketAddr>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let (endpoints, targets) = watch::channel(endpoints);
        let closed = stop.child_token();
        let (token, connections, stop) = (closed.clone(), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = accept(address, targets, connections, stop) => {}
                () = token.cancelled() => {}
            }
        });
        Self { endpoints, closed }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

async fn accept(
    address: SocketAddr,
    targets: watch::Receiver<Vec<SocketAddr>>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            // The listener before this one is closed in a moment.
            Err(error) => warn!(%address, %error, "a service does not listen"),
        }
        sleep(Duration::from_millis(100)).await;
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let next = AtomicUsize::new(0);
    loop {
        let permit = room.clone().acquire_owned().await.expect("nobody closes it");
        let Ok((mut client, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let target = {
            let targets = targets.borrow();
            let turn = next.fetch_add(1, Ordering::Relaxed);
            targets.get(turn % targets.len().max(1)).copied()
        };
        let Some(target) = target else { continue };
        let stop = stop.clone();
        connections.spawn(async move {
            let _permit = permit;
            let passing = async {
                let Ok(Ok(mut server)) = timeout(CONNECT_LIMIT, TcpStream::connect(target)).await
                else {
                    return;
                };
                let _ = client.set_nodelay(true);
                let _ = server.set_nodelay(true);
                let _ = copy_bidirectional(&mut client, &mut server).await;
            };
            tokio::select! {
                () = passing => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// What a watch tells of a table.
pub(crate) enum Change<K> {
    /// This object is so.
    Put((String, String), K),
    /// It is gone.
    Remove((String, String)),
    /// Only these are left: the watch had to begin anew.
    Keep(Vec<(String, String)>),
}

/// Follows a watch, until dropped.
pub(crate) async fn follow<K: ResourceExt>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut tell: impl FnMut(Change<K>),
) {
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    let mut events = std::pin::pin!(events.default_backoff());
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                seen.push(key(&object));
                tell(Change::Put(key(&object), object));
            }
            Ok(Event::InitDone) => tell(Change::Keep(std::mem::take(&mut seen))),
            Ok(Event::Apply(object)) => tell(Change::Put(key(&object), object)),
            Ok(Event::Delete(object)) => tell(Change::Remove(key(&object))),
            Err(error) => warn!(%error, "a watch ended and begins anew"),
        }
    }
}
