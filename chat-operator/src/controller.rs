//! The loop: what wakes a cluster up, one pass over it, and when to look again.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt,
        controller::{Action, Config as ControllerConfig},
        predicates,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{ApplyError, Outcome, Writer},
    autoscale::{Bounds, Load, Memory},
    crd::{AutoscalingSource, ChatCluster, ChatClusterStatus},
    decide::{Gate, Problem, Surroundings, decide},
    events::{Events, Kind as EventKind},
    kind::Kind,
    labels,
    observe::{self, ObserveError, Observed, observe},
    pods,
    scrape::Scraper,
    settings::{Settings, TemplateUpgrade},
    status,
    telemetry::{self, Pass},
    turns::Turns,
};

/// Clusters that are worked on at a time.
const CONCURRENCY: u16 = 8;
/// Changes within this time are one pass.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// How often a cluster is looked at though nothing has happened: whatever was missed is found then.
const FULL_PASS: Duration = Duration::from_secs(300);
/// How often while servers leave, because their time runs out without an event.
const DRAINING: Duration = Duration::from_secs(2);
/// How often connections are counted for scaling, and how often those ask who wait for their turn.
const COUNTING: Duration = Duration::from_secs(15);
/// After an error: at first and at most, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));
/// The first of them after what people have to mend, and how often somebody else's object is looked at
/// that is in the way: no watch tells that a quota, a right or such an object is another now.
const MENDED: Duration = Duration::from_secs(30);
/// How often it is asked whether Kubernetes knows the kind `ServiceMonitor` meanwhile.
const DISCOVERY: Duration = Duration::from_secs(300);

/// A pass failed and is to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Something could not be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Something could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Works until it is told to stop, and finishes the passes that are under way then. `client` writes
/// only while this process leads.
pub async fn run(client: Client, settings: Settings, stop: CancellationToken) {
    let scopes = Scope::all(&settings);
    let (events, publisher) = Events::start(client.clone(), settings.instance.clone());
    let context = Arc::new(Context {
        writer: Writer::new(client.clone()),
        events,
        scraper: Scraper::default(),
        settings,
        began: Instant::now(),
        kinds: tokio::sync::Mutex::new(None),
        memory: Mutex::default(),
        turns: Turns::default(),
        client,
    });
    let controllers = scopes.into_iter().map(|scope| watch(scope, context.clone(), stop.clone()));
    futures_util::future::join_all(controllers).await;
    publisher.finish().await;
}

/// Works in one scope. Each has its own, because what one watch knows is not to be taken for all.
async fn watch(scope: Scope, context: Arc<Context>, stop: CancellationToken) {
    let client = context.client.clone();
    let (store, writer) = reflector::store();
    // The status is our own; a change of it is no news.
    let wanted = Predicate::<ChatCluster>::combine(predicates::generation, predicates::labels);
    let wanted = Predicate::<ChatCluster>::combine(wanted, predicates::annotations);
    let clusters = watcher(scope.api::<ChatCluster>(&client), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(wanted, PredicateConfig::default());
    let referring = store.clone();
    let controller = Controller::for_stream(clusters, store)
        .with_config(ControllerConfig::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .owns_stream(scope.children::<Deployment>(&client))
        .owns_stream(scope.children::<Job>(&client))
        .owns_stream(scope.children::<ConfigMap>(&client))
        .owns_stream(scope.children::<Service>(&client))
        .owns_stream(scope.children::<ServiceAccount>(&client))
        .owns_stream(scope.children::<NetworkPolicy>(&client))
        .owns_stream(scope.children::<PodDisruptionBudget>(&client))
        .owns_stream(scope.children::<HorizontalPodAutoscaler>(&client))
        .watches_stream(scope.children::<Pod>(&client), by_label)
        .watches_stream(
            scope.changes::<Secret>(&client, watcher::Config::default()),
            move |secret| referring_to(&referring, &secret),
        )
        .graceful_shutdown_on(async move { stop.cancelled().await });
    let mut passes = Box::pin(controller.run(pass, after_error, context));
    while let Some(ended) = passes.next().await {
        if let Err(why) = ended {
            // Those of a pass were logged with it.
            tracing::debug!(error = &why as &dyn std::error::Error, "a pass did not end well");
        }
    }
}

/// What a pass needs.
struct Context {
    client: Client,
    writer: Writer,
    events: Events,
    scraper: Scraper,
    settings: Settings,
    began: Instant,
    /// Whether there are ServiceMonitors, and since when that is known.
    kinds: tokio::sync::Mutex<Option<(Instant, bool)>>,
    memory: Mutex<HashMap<ObjectRef<ChatCluster>, Remembered>>,
    turns: Turns,
}

/// What is remembered of a cluster between passes; nothing that a restart may not forget.
#[derive(Debug, Default)]
struct Remembered {
    failures: u32,
    autoscaler: Memory,
}

/// Where to look.
#[derive(Debug, Clone)]
enum Scope {
    /// Everywhere.
    All,
    /// In one namespace.
    Namespace(String),
}

type Changes<K> = Pin<Box<dyn Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send>>;

impl Scope {
    fn all(settings: &Settings) -> Vec<Self> {
        if settings.namespaces.is_empty() {
            return vec![Self::All];
        }
        settings.namespaces.iter().cloned().map(Self::Namespace).collect()
    }

    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::All => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }

    /// Changes of objects of a kind, without what is in them: nothing of it is kept.
    fn changes<K>(&self, client: &Client, config: watcher::Config) -> Changes<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Send
            + Sync
            + serde::de::DeserializeOwned
            + 'static,
    {
        watcher(self.api::<PartialObjectMeta<K>>(client), config)
            .default_backoff()
            .touched_objects()
            .boxed()
    }

    fn children<K>(&self, client: &Client) -> Changes<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Send
            + Sync
            + serde::de::DeserializeOwned
            + 'static,
    {
        self.changes(client, watcher::Config::default().labels(&labels::managed_text()))
    }
}

/// The cluster whose name a pod or the like carries.
fn by_label<K>(object: PartialObjectMeta<K>) -> Option<ObjectRef<ChatCluster>> {
    let name = labels::cluster_of(object.metadata.labels.as_ref()?)?;
    Some(ObjectRef::new(name).within(object.metadata.namespace.as_deref()?))
}

fn referring_to(
    store: &Store<ChatCluster>,
    secret: &PartialObjectMeta<Secret>,
) -> Vec<ObjectRef<ChatCluster>> {
    let refers = |cluster: &ChatCluster| {
        cluster.namespace() == secret.metadata.namespace
            && observe::references(cluster)
                .iter()
                .any(|key| Some(&key.name) == secret.metadata.name.as_ref())
    };
    let state = store.state();
    state.iter().filter(|it| refers(it)).map(|it| ObjectRef::from_obj(it.as_ref())).collect()
}

/// One pass over a cluster.
async fn pass(cluster: Arc<ChatCluster>, context: Arc<Context>) -> Result<Action, PassError> {
    let began = Instant::now();
    let result = context.pass(&cluster).await;
    telemetry::clusters(context.known());
    telemetry::reconciled(result.as_ref().map_or(Pass::Failed, |(_, pass)| *pass), began.elapsed());
    if let Err(why) = &result {
        tracing::warn!(
            namespace = cluster.namespace(),
            cluster = cluster.name_any(),
            error = why as &dyn std::error::Error,
            cause = std::error::Error::source(why).map(tracing::field::display),
            "a pass failed and is repeated"
        );
    }
    result.map(|(action, _)| action)
}

#[allow(clippy::needless_pass_by_value)] // What the controller calls.
fn after_error(cluster: Arc<ChatCluster>, why: &PassError, context: Arc<Context>) -> Action {
    let failures = context.remember(&cluster, |it| {
        it.failures = it.failures.saturating_add(1);
        it.failures
    });
    let first = match why {
        PassError::Apply(why) if why.problem().is_some() => MENDED,
        PassError::Apply(_) | PassError::Observe(_) => BACK_OFF.0,
    };
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.min(16) - 1));
    Action::requeue(spread(doubled.min(BACK_OFF.1), &cluster))
}

/// Up to a fifth longer, by the cluster: those that begin together do not go on together.
fn spread(time: Duration, cluster: &ChatCluster) -> Duration {
    let digest = labels::digest(&[cluster.uid().unwrap_or_default().as_bytes()]);
    let part = u32::from_str_radix(&digest[..4], 16).unwrap_or(0);
    time + time.mul_f64(f64::from(part) / f64::from(u16::MAX) / 5.0)
}

impl Context {
    fn remember<T>(&self, cluster: &ChatCluster, with: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        with(memory.entry(ObjectRef::from_obj(cluster)).or_default())
    }

    /// Whether this cluster gets a newer operator's pod template now.
    fn may_upgrade(&self, cluster: &ChatCluster) -> bool {
        match self.settings.template_upgrade {
            TemplateUpgrade::Deferred => false,
            TemplateUpgrade::Auto => self.turns.take(&ObjectRef::from_obj(cluster)),
        }
    }

    /// Clusters that there are.
    fn known(&self) -> usize {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn forget(&self, cluster: &ChatCluster) {
        self.turns.done(&ObjectRef::from_obj(cluster));
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.remove(&ObjectRef::from_obj(cluster));
    }

    async fn pass(&self, cluster: &ChatCluster) -> Result<(Action, Pass), PassError> {
        let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
        let monitors = self.knows_monitors().await;
        let seen = observe(&self.client, &self.scraper, &namespace, &name, monitors).await?;
        let Some(seen) = seen.filter(|it| it.cluster.metadata.deletion_timestamp.is_none()) else {
            // Garbage collection takes the children; whatever is made now would only be in its way.
            self.forget(cluster);
            return Ok((Action::await_change(), Pass::Settled));
        };
        let around = Surroundings {
            operator_namespace: self.settings.operator_namespace.clone(),
            template_upgrade: TemplateUpgrade::Deferred,
            monitors,
        };
        let mut plan = decide(&seen, &around, Timestamp::now());
        if plan.verdict.newer_template && self.may_upgrade(&seen.cluster) {
            let around = Surroundings { template_upgrade: TemplateUpgrade::Auto, ..around };
            plan = decide(&seen, &around, Timestamp::now());
        }
        let outcome = self.writer.carry_out(&seen, &plan).await;
        let known: HashSet<_> = seen.children.keys().cloned().collect();
        let problem = outcome.errors.iter().find_map(ApplyError::problem);
        plan.verdict.problem = plan.verdict.problem.or(problem);

        // What was written has changed what there is: nobody may be told that all is well because it
        // was before.
        let seen = if outcome.written.is_empty() && outcome.deleted.is_empty() {
            seen
        } else {
            match observe(&self.client, &self.scraper, &namespace, &name, monitors).await? {
                Some(seen) => seen,
                None => return Ok((Action::await_change(), Pass::Settled)),
            }
        };
        let told = status::tell(&seen, &plan.verdict, Timestamp::now());
        self.writer.status(&seen.cluster, &told).await?;
        if !plan.verdict.newer_template && status::is_ready(&told) {
            self.turns.done(&ObjectRef::from_obj(&seen.cluster));
        }
        self.report(&seen.cluster, &known, &outcome, &told);
        let scaling = self.autoscale(&seen).await?;

        if let Some(error) = outcome.errors.into_iter().next() {
            return Err(error.into());
        }
        self.remember(&seen.cluster, |it| it.failures = 0);
        let leaving = seen.pods.iter().any(pods::is_leaving) || plan.verdict.stepping;
        let waits =
            plan.verdict.newer_template && self.settings.template_upgrade == TemplateUpgrade::Auto;
        // Only Events say so, and no watch tells of them.
        let refused = seen.migrating.is_empty() && plan.verdict.gate == Gate::Running;
        let again = if leaving {
            DRAINING
        } else if scaling || waits || refused {
            COUNTING
        } else if matches!(plan.verdict.problem, Some(Problem::OwnershipConflict(_))) {
            MENDED
        } else {
            FULL_PASS
        };
        let pass = match status::is_ready(&told) {
            true => Pass::Settled,
            false if plan.verdict.problem.is_some() => Pass::Stalled,
            false => Pass::UnderWay,
        };
        Ok((Action::requeue(spread(again, &seen.cluster)), pass))
    }

    /// Tells once about each thing that has become otherwise.
    fn report(
        &self,
        cluster: &ChatCluster,
        known: &HashSet<(Kind, String)>,
        outcome: &Outcome,
        told: &ChatClusterStatus,
    ) {
        for child in &outcome.written {
            let reason = if known.contains(child) { "Updated" } else { "Created" };
            self.events.record(
                cluster,
                EventKind::Normal,
                reason,
                format!("{} {}", child.0, child.1),
            );
        }
        for (kind, name) in &outcome.deleted {
            self.events.record(cluster, EventKind::Normal, "Deleted", format!("{kind} {name}"));
        }
        let before = cluster.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
        let stalled = told.conditions.iter().find(|it| it.type_ == status::condition::STALLED);
        for now in &told.conditions {
            let then = before.iter().find(|it| it.type_ == now.type_);
            if then.is_some_and(|it| it.status == now.status && it.reason == now.reason) {
                continue;
            }
            match now.type_.as_str() {
                status::condition::STALLED => {
                    let note = now.message.clone();
                    self.events.record(cluster, EventKind::Warning, &now.reason, note);
                }
                // The same as what it is stalled by, which is told already.
                status::condition::READY if stalled.is_some_and(|it| it.reason == now.reason) => {}
                status::condition::READY
                | status::condition::RECONCILING
                | status::condition::DRAINING
                | status::condition::MIGRATED
                | status::condition::PAUSED
                    if then.is_some() || now.status == "True" =>
                {
                    let note = now.message.clone();
                    self.events.record(cluster, EventKind::Normal, &now.reason, note);
                }
                _ => {}
            }
        }
    }

    /// Scales a cluster that asks the operator to; whether it does.
    async fn autoscale(&self, seen: &Observed) -> Result<bool, ApplyError> {
        let spec = &seen.cluster.spec;
        let Some(autoscaling) = &spec.autoscaling else { return Ok(false) };
        match autoscaling.source {
            AutoscalingSource::BuiltIn => {}
            AutoscalingSource::HorizontalPodAutoscaler => return Ok(false),
        }
        if spec.hibernated || spec.paused {
            return Ok(false);
        }
        let servers = seen.pods.iter().filter(|pod| pods::serves(pod));
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let load = Load {
            connections: seen.connections.values().sum(),
            answered: count(seen.connections.len()),
            servers: count(servers.count()),
        };
        let per_server = autoscaling.connections_per_pod.unwrap_or(i32::MAX);
        let bounds = Bounds {
            min: autoscaling.min_replicas,
            max: autoscaling.max_replicas,
            per_server: u32::try_from(per_server).unwrap_or(u32::MAX),
        };
        let wanted = self.remember(&seen.cluster, |it| {
            let window = self.settings.scale_down_window;
            it.autoscaler.recommend(self.began.elapsed(), window, spec.replicas, load, bounds)
        });
        if wanted != spec.replicas {
            self.writer.scale(&seen.cluster, wanted).await?;
            let (from, all) = (spec.replicas, load.connections);
            let note = format!("from {from} to {wanted} servers for {all} connections");
            self.events.record(&seen.cluster, EventKind::Normal, "Scaled", note);
        }
        Ok(true)
    }

    /// Whether Kubernetes knows ServiceMonitors. Asked now and then, because it may learn.
    async fn knows_monitors(&self) -> bool {
        let mut kinds = self.kinds.lock().await;
        if let Some((at, known)) = *kinds
            && at.elapsed() < DISCOVERY
        {
            return known;
        }
        // By discovery, which everybody may use; a definition not everybody may read.
        let resource = Kind::ServiceMonitor.resource();
        let served = self.client.list_api_group_resources(&resource.api_version).await;
        let known = served.is_ok_and(|it| it.resources.iter().any(|it| it.kind == resource.kind));
        *kinds = Some((Instant::now(), known));
        known
    }
}
