//! The lab itself: that what the operator's tests rely on is as on a real cluster.
//!
//! One control plane for all, a namespace for each. The images are a shell and this program, which
//! serves a little HTTP when it is called so.

#[path = "lab/program.rs"]
mod program;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ContainerState, ContainerStatus, Namespace, Node, Pod, Service, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams},
};
use kubelab::{ControlPlane, Image, Images, Kubelet, MetricsApi, NODE_ADDRESS, ServiceAccountRef};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};

/// Longer than anything takes on the busiest machine.
const LIMIT: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(program::CALL) {
        return program::serve();
    }
    kubelab::enter();
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let mut arguments = Arguments::from_args();
    // They mostly wait.
    arguments.test_threads.get_or_insert(8);
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let lab = if arguments.list {
        None
    } else {
        Some(Arc::new(runtime.block_on(Lab::start()).expect("the lab starts")))
    };
    let mut trials = Vec::new();
    macro_rules! trials {
        ($($test:ident),* $(,)?) => {$({
            let (runtime, lab) = (runtime.clone(), lab.clone());
            trials.push(Trial::test(stringify!($test), move || {
                let lab = lab.expect("it was started");
                runtime.block_on(async {
                    let space = lab.space(stringify!($test)).await?;
                    $test(space).await
                }).map_err(|error| format!("{error:#}").into())
            }));
        })*};
    }
    trials![
        a_deployment_becomes_available_and_answers_through_its_service,
        secrets_are_variables_and_files_and_files_are_updated,
        a_missing_secret_is_told_and_then_found,
        a_crashing_container_is_started_again_later_and_later,
        a_process_is_asked_to_end_and_then_killed,
        a_job_completes_and_another_fails_with_its_last_words,
        an_eviction_is_refused_where_the_budget_is_spent,
        an_unknown_image_is_told,
        a_claim_keeps_its_files,
        users_and_read_only_roots_hold,
        the_autoscaler_follows_a_metric_of_the_pods,
        init_containers_come_before_and_sidecars_stay_beside,
        probes_decide_who_is_ready_and_who_lives,
        a_hook_comes_before_the_signal_and_a_deadline_ends_a_pod,
        pods_go_where_their_selector_says_and_cordons_allow,
        rights_are_those_of_the_service_account,
        pods_reach_the_servers_of_the_tests,
        a_deleted_namespace_goes_with_its_pods,
        a_rollout_with_a_pause_before_the_end_fails_no_connect,
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

struct Lab {
    plane: ControlPlane,
    kubelet: Kubelet,
    _metrics: MetricsApi,
}

impl Lab {
    async fn start() -> Result<Self> {
        let began = Instant::now();
        let plane = ControlPlane::start().await?;
        eprintln!("the control plane took {:?}", began.elapsed());
        let program = std::env::current_exe()?;
        let images = Images::from([
            ("program:1".to_owned(), Image::new(program).arg(program::CALL)),
            ("shell:1".to_owned(), Image::new("/bin/sh").arg("-c")),
            ("root:1".to_owned(), Image::new("/bin/sh").arg("-c").user(0)),
        ]);
        let kubelet = Kubelet::start(&plane, images).await?;
        let metrics = MetricsApi::start(&plane, &["chat_connections"]).await?;
        eprintln!("with nodes and metrics {:?}", began.elapsed());
        Ok(Self { plane, kubelet, _metrics: metrics })
    }

    /// A namespace of its own, in which pods are accepted.
    async fn space(self: &Arc<Self>, test: &str) -> Result<Space> {
        let name = test.replace('_', "-");
        let name = name[..name.len().min(50)].trim_end_matches('-').to_owned();
        let client = self.plane.client();
        let namespace = json!({ "metadata": { "name": name } });
        let namespace = serde_json::from_value(namespace)?;
        Api::<Namespace>::all(client.clone()).create(&Default::default(), &namespace).await?;
        let space = Space { lab: self.clone(), client, name };
        let accounts: Api<ServiceAccount> = space.api();
        until("a service account", async || Ok(accounts.get_opt("default").await?)).await?;
        Ok(space)
    }
}

struct Space {
    lab: Arc<Lab>,
    client: Client,
    name: String,
}

impl Space {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    async fn apply(&self, object: Value) -> Result<()> {
        let arguments = ["apply", "-n", &self.name, "-f", "-"];
        self.lab.plane.kubectl_with(arguments, &object.to_string()).await.map(drop)
    }

    /// A pod of one container, which is called `main`.
    async fn pod(&self, name: &str, mut spec: Value, container: Value) -> Result<()> {
        let mut main = json!({ "name": "main" });
        merge(&mut main, container);
        merge(&mut spec, json!({ "containers": [main] }));
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec,
        });
        self.apply(pod).await
    }

    /// A Deployment of the program, and its Service.
    async fn deploy(&self, name: &str, replicas: u32, container: Value) -> Result<()> {
        let mut main = json!({
            "name": "main",
            "image": "program:1",
            "ports": [{ "name": "http", "containerPort": 8080 }],
            "readinessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 1 },
        });
        merge(&mut main, container);
        let labels = json!({ "app": name });
        self.apply(json!({ "apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
                "spec": {
                    "replicas": replicas,
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels },
                        "spec": { "containers": [main], "terminationGracePeriodSeconds": 5 },
                    },
                },
            },
            {
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
                "spec": { "selector": labels, "ports": [{ "port": 80, "targetPort": "http" }] },
            },
        ]}))
        .await
    }

    async fn available(&self, name: &str, replicas: i32) -> Result<()> {
        until(&format!("{name} is available"), async || {
            let status = self.api::<Deployment>().get(name).await?.status.unwrap_or_default();
            Ok((status.available_replicas == Some(replicas)).then_some(()))
        })
        .await
    }

    /// Asks a Service.
    async fn ask(&self, service: &str, path: &str) -> Result<String> {
        let service = self.api::<Service>().get(service).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("an address")?;
        ask(SocketAddr::new(address.parse()?, 80), path).await
    }

    /// Waits until the container of a pod is in a state, and answers what it was waited for.
    async fn container<T>(
        &self,
        pod: &str,
        wanted: impl Fn(&ContainerStatus) -> Option<T>,
    ) -> Result<T> {
        let mut last = None;
        let what = format!("a state of {pod}");
        let waited = until(&what, async || {
            let status = self.api::<Pod>().get(pod).await?.status;
            let status = status.and_then(|it| it.container_statuses?.into_iter().next());
            let found = status.as_ref().and_then(&wanted);
            last = status;
            Ok(found)
        })
        .await;
        waited.with_context(|| format!("it is {last:?}"))
    }

    fn logs(&self, pod: &str) -> String {
        self.lab.kubelet.logs(&self.name, pod, "main")
    }
}

fn merge(into: &mut Value, from: Value) {
    let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) else {
        panic!("both are objects");
    };
    into.extend(from);
}

fn waiting(reason: &str) -> impl Fn(&ContainerStatus) -> Option<String> {
    move |status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let message = waiting.message.clone().unwrap_or_default();
        (waiting.reason.as_deref() == Some(reason)).then_some(message)
    }
}

fn exit_code(state: Option<&ContainerState>) -> Option<i32> {
    Some(state?.terminated.as_ref()?.exit_code)
}

fn ended(status: &ContainerStatus) -> Option<i32> {
    exit_code(status.state.as_ref())
}

fn running(status: &ContainerStatus) -> Option<()> {
    status.state.as_ref()?.running.as_ref().map(drop)
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + LIMIT;
    loop {
        let found = look().await;
        match found {
            Ok(Some(found)) => return Ok(found),
            _ if Instant::now() < end => {}
            Ok(None) => bail!("not in {LIMIT:?}: {what}"),
            Err(error) => return Err(error.context(what.to_owned())),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        ensure!(head.contains(" 200 "), "{head}: {body}");
        Ok(body.to_owned())
    };
    timeout(Duration::from_secs(10), asking).await?
}

async fn a_deployment_becomes_available_and_answers_through_its_service(
    space: Space,
) -> Result<()> {
    space.deploy("web", 3, json!({})).await?;
    space.available("web", 3).await?;
    // Each of the pods gets its turn.
    let mut names = std::collections::BTreeSet::new();
    until("all three have answered", async || {
        names.insert(space.ask("web", "/env/HOSTNAME").await?);
        Ok((names.len() == 3).then_some(()))
    })
    .await?;
    // A pod finds it by its name, in a network of its own.
    let script = format!(
        "for name in web web.{0} web.{0}.svc web.{0}.svc.cluster.local all.{0}; do \
         [ $name = all.{0} ] && port=8080 || port=80; \
         tries=0; until exec 3<>/dev/tcp/$name/$port; do \
         [ $((tries += 1)) -lt 300 ] || exit 1; sleep 0.1; done; \
         echo GET /env/HOSTNAME >&3 && cat <&3 || exit 1; done",
        space.name
    );
    space
        .apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "all" },
            "spec": { "clusterIP": "None", "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
        }))
        .await?;
    space
        .pod(
            "client",
            json!({ "restartPolicy": "Never" }),
            json!({
                "image": "shell:1", "command": ["/bin/bash", "-c", script],
            }),
        )
        .await?;
    ensure!(space.container("client", ended).await? == 0, "{}", space.logs("client"));
    ensure!(names.iter().any(|name| space.logs("client").contains(name)));
    // Nobody left, nobody listens.
    let scale = json!({ "spec": { "replicas": 0 } });
    let deployments: Api<Deployment> = space.api();
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(scale)).await?;
    until("the service refuses", async || Ok(space.ask("web", "/").await.err())).await?;
    until("all pods are gone", async || {
        let pods = space.api::<Pod>().list(&ListParams::default().labels("app=web")).await?;
        Ok(pods.items.is_empty().then_some(()))
    })
    .await
}

async fn secrets_are_variables_and_files_and_files_are_updated(space: Space) -> Result<()> {
    let secret = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "door" },
            "stringData": { "key": value, "other": "unused" },
        })
    };
    space.apply(secret("one")).await?;
    space
        .apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
            "data": { "chat.toml": "a = 1", "LEVEL": "info" },
        }))
        .await?;
    space
        .pod(
            "reader",
            json!({ "volumes": [
                { "name": "door", "secret": { "secretName": "door" } },
                { "name": "all", "projected": { "sources": [
                    { "configMap": { "name": "settings",
                        "items": [{ "key": "chat.toml", "path": "deep/chat.toml" }] } },
                    { "downwardAPI": { "items": [
                        { "path": "name", "fieldRef": { "fieldPath": "metadata.name" } }] } },
                ]}},
            ]}),
            json!({
                "image": "program:1",
                "env": [
                    { "name": "KEY",
                      "valueFrom": { "secretKeyRef": { "name": "door", "key": "key" } } },
                    { "name": "ADDRESS", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
                    { "name": "URL", "value": "http://$(ADDRESS):8080/$$(x)" },
                ],
                "envFrom": [{ "configMapRef": { "name": "settings" } }],
                "volumeMounts": [
                    { "name": "door", "mountPath": "/etc/door" },
                    { "name": "all", "mountPath": "/etc/all" },
                    { "name": "all", "mountPath": "/etc/part", "subPath": "deep/chat.toml" },
                ],
            }),
        )
        .await?;
    let address = until("it serves", async || {
        let status = space.api::<Pod>().get("reader").await?.status;
        let Some(address) = status.and_then(|it| it.pod_ip) else { return Ok(None) };
        let address = SocketAddr::new(address.parse()?, 8080);
        Ok(ask(address, "/").await.ok().map(|_| address))
    })
    .await?;
    let token = "/var/run/secrets/kubernetes.io/serviceaccount";
    for (path, expected) in [
        ("/env/KEY", "one".to_owned()),
        ("/env/LEVEL", "info".to_owned()),
        ("/env/URL", format!("http://{}:8080/$(x)", address.ip())),
        ("/file/etc/door/key", "one".to_owned()),
        ("/file/etc/all/deep/chat.toml", "a = 1".to_owned()),
        ("/file/etc/all/name", "reader".to_owned()),
        ("/file/etc/part", "a = 1".to_owned()),
        (&format!("/file{token}/namespace"), space.name.clone()),
        (&format!("/file{token}/ca.crt"), space.lab.plane.authority().to_owned()),
    ] {
        let answer = ask(address, path).await.with_context(|| path.to_owned())?;
        ensure!(answer == expected, "{path}: {answer:?} instead of {expected:?}");
    }
    // The token is good for the API server, who knows whose it is.
    let token = ask(address, &format!("/file{token}/token")).await?;
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": { "token": token },
    });
    let arguments = ["create", "-f", "-", "-o", "jsonpath={.status.user.username}"];
    let user = space.lab.plane.kubectl_with(arguments, &review.to_string()).await?;
    ensure!(user == format!("system:serviceaccount:{}:default", space.name), "{user}");

    space.apply(secret("two")).await?;
    until("the file is new", async || {
        Ok((ask(address, "/file/etc/door/key").await? == "two").then_some(()))
    })
    .await?;
    ensure!(ask(address, "/env/KEY").await? == "one", "variables stay");
    Ok(())
}

async fn a_missing_secret_is_told_and_then_found(space: Space) -> Result<()> {
    let env = json!([{ "name": "KEY",
        "valueFrom": { "secretKeyRef": { "name": "late", "key": "key" } } }]);
    let container = json!({ "image": "shell:1", "args": ["echo $KEY; sleep 1000"], "env": env });
    space.pod("waits", json!({}), container).await?;
    let told = space.container("waits", waiting("CreateContainerConfigError")).await?;
    ensure!(told == "secret \"late\" not found", "{told}");
    let secret = |key: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "late" },
            "stringData": { key: "here" } })
    };
    space.apply(secret("other")).await?;
    let wanted = format!("couldn't find key key in Secret {}/late", space.name);
    space
        .container("waits", |status| {
            waiting("CreateContainerConfigError")(status).filter(|message| *message == wanted)
        })
        .await?;
    space.apply(secret("key")).await?;
    space.container("waits", running).await?;
    until("it says so", async || Ok(space.logs("waits").contains("here").then_some(()))).await?;
    // A volume's is told as an event, as its container is not looked at yet.
    let volumes = json!({ "volumes": [{ "name": "v", "secret": { "secretName": "never" } }] });
    space.pod("mounts", volumes, json!({ "image": "shell:1", "args": ["sleep 1000"] })).await?;
    let events: Api<k8s_openapi::api::core::v1::Event> = space.api();
    until("an event", async || {
        let events = events.list(&ListParams::default()).await?.items;
        let told = events.iter().find(|it| it.reason.as_deref() == Some("FailedMount"));
        let told = told.and_then(|it| it.message.clone()).unwrap_or_default();
        Ok(told.contains("secret \"never\" not found").then_some(()))
    })
    .await?;
    let creating = space.container("mounts", waiting("ContainerCreating")).await?;
    ensure!(creating.is_empty());
    Ok(())
}

async fn a_crashing_container_is_started_again_later_and_later(space: Space) -> Result<()> {
    let container = json!({ "image": "shell:1", "args": ["echo alive; exit 7"] });
    space.pod("crash", json!({}), container).await?;
    let told = space.container("crash", waiting("CrashLoopBackOff")).await?;
    ensure!(told.starts_with("back-off ") && told.contains("container=main pod=crash_"), "{told}");
    let restarts = space
        .container("crash", |it| {
            let code = exit_code(it.last_state.as_ref())?;
            (it.restart_count >= 2 && code == 7).then_some(it.restart_count)
        })
        .await?;
    until("it has run once more than it was started again", async || {
        Ok((space.logs("crash").matches("alive").count() > restarts as usize).then_some(()))
    })
    .await?;
    let phase = space.api::<Pod>().get("crash").await?.status.and_then(|it| it.phase);
    ensure!(phase.as_deref() == Some("Running"), "{phase:?}");
    Ok(())
}

async fn a_process_is_asked_to_end_and_then_killed(space: Space) -> Result<()> {
    let polite = "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.1; done";
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.1; done";
    for (name, script) in [("polite", polite), ("deaf", deaf)] {
        // With a finalizer the object stays to be looked at.
        space
            .apply(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": name, "finalizers": ["lab.example.com/look"] },
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{ "name": "main", "image": "shell:1", "args": [script] }],
                },
            }))
            .await?;
        until("it runs", async || Ok(space.logs(name).contains("up").then_some(()))).await?;
    }
    let pods: Api<Pod> = space.api();
    for (name, expected) in [("polite", 5), ("deaf", 137)] {
        let began = Instant::now();
        pods.delete(name, &DeleteParams::default()).await?;
        let code = space.container(name, ended).await?;
        ensure!(code == expected, "{name}: {code}");
        let patient = began.elapsed() >= Duration::from_secs(2);
        ensure!(patient == (name == "deaf"), "{name} took {:?}", began.elapsed());
        let look = json!({ "metadata": { "finalizers": null } });
        pods.patch(name, &PatchParams::default(), &Patch::Merge(look)).await?;
        until("it is gone", async || Ok(pods.get_opt(name).await?.is_none().then_some(()))).await?;
    }
    ensure!(space.logs("polite").contains("asked"));
    // Who has ten minutes loses them when somebody deletes it again with less.
    let patient = json!({ "terminationGracePeriodSeconds": 600 });
    space.pod("hurried", patient, json!({ "image": "shell:1", "args": [deaf] })).await?;
    until("it runs", async || Ok(space.logs("hurried").contains("up").then_some(()))).await?;
    pods.delete("hurried", &DeleteParams::default()).await?;
    sleep(Duration::from_secs(1)).await;
    ensure!(space.lab.kubelet.pid(&space.name, "hurried", "main").is_some());
    pods.delete("hurried", &DeleteParams::default().grace_period(1)).await?;
    until("it is gone", async || Ok(pods.get_opt("hurried").await?.is_none().then_some(()))).await
}

async fn a_job_completes_and_another_fails_with_its_last_words(space: Space) -> Result<()> {
    let job = |name: &str, script: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
            "spec": { "backoffLimit": 0, "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "main", "image": "shell:1", "args": [script],
                    "terminationMessagePolicy": "FallbackToLogsOnError" }],
            }}},
        })
    };
    space.apply(job("good", "echo done")).await?;
    space.apply(job("bad", "echo reason >/dev/termination-log; echo other; exit 3")).await?;
    space.apply(job("logs", "echo only the log; exit 4")).await?;
    let jobs: Api<Job> = space.api();
    for (name, condition) in [("good", "Complete"), ("bad", "Failed"), ("logs", "Failed")] {
        until(&format!("{name} is {condition}"), async || {
            let conditions = jobs.get(name).await?.status.and_then(|it| it.conditions);
            let is_so = conditions.iter().flatten().any(|it| it.type_ == condition);
            Ok(is_so.then_some(()))
        })
        .await?;
    }
    for (name, code, words) in [("bad", 3, "reason\n"), ("logs", 4, "only the log\n")] {
        let labels = format!("job-name={name}");
        let pods = space.api::<Pod>().list(&ListParams::default().labels(&labels)).await?;
        let pod = pods.items.first().context("its pod")?.name_any();
        let ended = space.container(&pod, |it| it.state.as_ref()?.terminated.clone()).await?;
        ensure!(ended.exit_code == code, "{ended:?}");
        ensure!(ended.message.as_deref() == Some(words), "{ended:?}");
    }
    Ok(())
}

async fn an_eviction_is_refused_where_the_budget_is_spent(space: Space) -> Result<()> {
    space.deploy("web", 2, json!({})).await?;
    space
        .apply(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
            "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": "web" } } },
        }))
        .await?;
    space.available("web", 2).await?;
    let pods: Api<Pod> = space.api();
    let names: Vec<_> =
        pods.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
    let evict = async |name: &str| match pods.evict(name, &EvictParams::default()).await {
        Ok(_) => 201,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    };
    // The controller may not have counted them yet.
    until("an eviction", async || Ok((evict(&names[0]).await == 201).then_some(()))).await?;
    let refused = evict(&names[1]).await;
    ensure!(refused == 429, "{refused}");
    space.available("web", 2).await?;
    until("the budget recovers", async || Ok((evict(&names[1]).await == 201).then_some(()))).await
}

async fn an_unknown_image_is_told(space: Space) -> Result<()> {
    space.pod("unknown", json!({}), json!({ "image": "nobody/knows:1" })).await?;
    let told = space.container("unknown", waiting("ImagePullBackOff")).await?;
    ensure!(told.contains("nobody/knows:1"), "{told}");
    let phase = space.api::<Pod>().get("unknown").await?.status.and_then(|it| it.phase);
    ensure!(phase.as_deref() == Some("Pending"), "{phase:?}");
    Ok(())
}

async fn a_claim_keeps_its_files(space: Space) -> Result<()> {
    space
        .apply(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "files" },
            "spec": { "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } } },
        }))
        .await?;
    let spec = || {
        json!({
            "restartPolicy": "Never",
            "securityContext": { "fsGroup": 2000 },
            "volumes": [{ "name": "files", "persistentVolumeClaim": { "claimName": "files" } }],
        })
    };
    for (name, script) in [("writer", "echo kept >/data/file"), ("reader", "cat /data/file")] {
        let mounts = json!([{ "name": "files", "mountPath": "/data" }]);
        let container = json!({ "image": "shell:1", "args": [script], "volumeMounts": mounts });
        space.pod(name, spec(), container).await?;
        let code = space.container(name, ended).await?;
        ensure!(code == 0, "{name}: {}", space.logs(name));
        space.api::<Pod>().delete(name, &DeleteParams::default()).await?;
    }
    ensure!(space.logs("reader") == "kept\n", "{}", space.logs("reader"));
    Ok(())
}

async fn users_and_read_only_roots_hold(space: Space) -> Result<()> {
    let restricted = json!({
        "runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
    });
    let script = "id -u; touch /file 2>/dev/null || echo read-only; \
        touch /tmp/file 2>/dev/null || echo tmp as well; touch /scratch/file && echo scratch; \
        grep CapBnd /proc/self/status";
    let spec = json!({
        "restartPolicy": "Never", "volumes": [{ "name": "scratch", "emptyDir": {} }],
    });
    let mounts = json!([{ "name": "scratch", "mountPath": "/scratch" }]);
    let container = json!({ "image": "shell:1", "args": [script], "volumeMounts": mounts,
        "securityContext": restricted });
    space.pod("restricted", spec, container).await?;
    ensure!(space.container("restricted", ended).await? == 0, "{}", space.logs("restricted"));
    let said = space.logs("restricted");
    let lines: Vec<_> = said.lines().collect();
    ensure!(lines[0] != "0", "{said}");
    ensure!(lines[1..4] == ["read-only", "tmp as well", "scratch"], "{said}");
    ensure!(lines[4].ends_with("\t0000000000000000"), "{said}");

    let non_root = json!({ "runAsNonRoot": true });
    let container = json!({ "image": "root:1", "args": ["id"], "securityContext": non_root });
    space.pod("root", json!({}), container).await?;
    let told = space.container("root", waiting("CreateContainerConfigError")).await?;
    ensure!(told.starts_with("container has runAsNonRoot and image will run as root"), "{told}");
    let mut uid_0 = non_root.clone();
    merge(&mut uid_0, json!({ "runAsUser": 0 }));
    let container = json!({ "image": "shell:1", "args": ["id"], "securityContext": uid_0 });
    space.pod("uid-0", json!({}), container).await?;
    let told = space.container("uid-0", waiting("CreateContainerConfigError")).await?;
    ensure!(told.starts_with("container's runAsUser breaks non-root policy"), "{told}");
    Ok(())
}

async fn the_autoscaler_follows_a_metric_of_the_pods(space: Space) -> Result<()> {
    space
        .apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "load" },
            "data": { "connections": "300" },
        }))
        .await?;
    // What each of them says is in a file, which changes for all.
    let labels = json!({ "app": "web" });
    space
        .apply(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "volumes": [{ "name": "load", "configMap": { "name": "load" } }],
                    "containers": [{
                        "name": "main", "image": "program:1",
                        "volumeMounts": [{ "name": "load", "mountPath": "/load" }],
                    }],
                }},
            },
        }))
        .await?;
    space
        .apply(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": "web" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
                "minReplicas": 1, "maxReplicas": 3,
                "metrics": [{ "type": "Pods", "pods": {
                    "metric": { "name": "chat_connections" },
                    "target": { "type": "AverageValue", "averageValue": "100" },
                }}],
            },
        }))
        .await?;
    space.available("web", 3).await?;
    let none = json!({ "data": { "connections": "0" } });
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = space.api();
    maps.patch("load", &PatchParams::default(), &Patch::Merge(none)).await?;
    space.available("web", 1).await
}

async fn init_containers_come_before_and_sidecars_stay_beside(space: Space) -> Result<()> {
    let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let shell = |name: &str, script: &str| json!({ "name": name, "image": "shell:1", "args": [script], "volumeMounts": mounts });
    let mut beside = shell(
        "beside",
        "trap 'echo last >>/shared/log; exit 0' TERM; \
        sleep 1; echo beside >>/shared/log; while :; do sleep 0.1; done",
    );
    let probe = json!({ "exec": { "command": ["/bin/grep", "beside", "/shared/log"] },
        "periodSeconds": 1, "failureThreshold": 30 });
    merge(&mut beside, json!({ "restartPolicy": "Always", "startupProbe": probe }));
    // The first one needs a second attempt.
    let first = shell("first", "echo first >>/shared/log; [ $(grep -c first /shared/log) = 2 ]");
    let main = "cat /shared/log; echo main >>/shared/log";
    space
        .pod(
            "ordered",
            json!({
                "restartPolicy": "OnFailure",
                "initContainers": [first, beside, shell("second", "echo second >>/shared/log")],
                "volumes": [{ "name": "shared", "emptyDir": {} }],
            }),
            json!({ "image": "shell:1", "args": [main], "volumeMounts": mounts }),
        )
        .await?;
    let status = until("it has ended", async || {
        let status = space.api::<Pod>().get("ordered").await?.status.unwrap_or_default();
        Ok((status.phase.as_deref() == Some("Succeeded")).then_some(status))
    })
    .await?;
    ensure!(space.logs("ordered") == "first\nfirst\nbeside\nsecond\n", "{}", space.logs("ordered"));
    let init = status.init_container_statuses.unwrap_or_default();
    ensure!(init[0].restart_count == 1, "{init:?}");
    ensure!(exit_code(init[1].state.as_ref()) == Some(0), "the sidecar was asked to end: {init:?}");

    let init = json!({ "restartPolicy": "Never", "initContainers": [shell("fails", "exit 9")],
        "volumes": [{ "name": "shared", "emptyDir": {} }] });
    space.pod("never", init, json!({ "image": "shell:1", "args": ["echo never"] })).await?;
    until("it has failed", async || {
        let phase = space.api::<Pod>().get("never").await?.status.and_then(|it| it.phase);
        Ok((phase.as_deref() == Some("Failed")).then_some(()))
    })
    .await?;
    ensure!(space.logs("never").is_empty());
    Ok(())
}

async fn probes_decide_who_is_ready_and_who_lives(space: Space) -> Result<()> {
    // What the probes look at is a ConfigMap.
    let control = async |ready: &str, alive: &str| {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "control" },
            "data": { "ready": ready, "alive": alive, "started": "yes" },
        });
        space.apply(map).await
    };
    let says_yes = |file: &str, failures: u32| {
        json!({ "exec": { "command": ["/bin/grep", "yes", format!("/control/{file}")] },
            "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": failures })
    };
    control("no", "yes").await?;
    space
        .pod(
            "probed",
            json!({ "terminationGracePeriodSeconds": 1,
                "volumes": [{ "name": "control", "configMap": { "name": "control" } }] }),
            json!({
                "image": "shell:1", "args": ["sleep 1000"],
                "volumeMounts": [{ "name": "control", "mountPath": "/control" }],
                "startupProbe": says_yes("started", 60),
                "livenessProbe": says_yes("alive", 2),
                "readinessProbe": says_yes("ready", 1),
            }),
        )
        .await?;
    space.container("probed", |it| (!it.ready && it.started == Some(true)).then_some(())).await?;
    let condition = async |wanted: &str| {
        until(&format!("ready: {wanted}"), async || {
            let status = space.api::<Pod>().get("probed").await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            Ok(conditions.into_iter().find(|it| it.type_ == "Ready" && it.status == wanted))
        })
        .await
    };
    let not_ready = condition("False").await?;
    ensure!(not_ready.reason.as_deref() == Some("ContainersNotReady"), "{not_ready:?}");
    let told = not_ready.message.as_deref();
    ensure!(told == Some("containers with unready status: [main]"), "{told:?}");
    control("yes", "yes").await?;
    condition("True").await?;
    // Not ready is not dead.
    control("no", "yes").await?;
    condition("False").await?;
    space.container("probed", |it| (it.restart_count == 0).then_some(())).await?;
    control("yes", "no").await?;
    let code = space
        .container("probed", |it| {
            exit_code(it.last_state.as_ref()).filter(|_| it.restart_count > 0)
        })
        .await?;
    ensure!(code == 143, "{code}");
    control("yes", "yes").await?;
    condition("True").await?;

    // Over HTTPS, whoever signed the certificate; over HTTP to the same port, never.
    for (name, scheme) in [("https", "HTTPS"), ("http", "HTTP")] {
        let probe = json!({ "httpGet": { "path": "/healthz", "port": 8443, "scheme": scheme },
            "periodSeconds": 1, "timeoutSeconds": 10 });
        let container = json!({ "image": "program:1", "readinessProbe": probe });
        space.pod(name, json!({ "terminationGracePeriodSeconds": 1 }), container).await?;
    }
    space.container("https", |it| it.ready.then_some(())).await?;
    space.container("http", |it| (!it.ready && it.started == Some(true)).then_some(())).await?;
    let listens = json!({ "tcpSocket": { "port": 8443 }, "periodSeconds": 1 });
    let container = json!({ "image": "program:1", "readinessProbe": listens });
    space.pod("tcp", json!({}), container).await?;
    space.container("tcp", |it| it.ready.then_some(())).await?;
    // A command of a test's own, as the container's user.
    let variable = ["/bin/sh", "-c", "echo $HOSTNAME; id -u"];
    let said = space.lab.kubelet.exec(&space.name, "tcp", "main", &variable).await?;
    ensure!(said.starts_with("tcp\n") && said != "tcp\n0\n", "{said}");
    let failed = space.lab.kubelet.exec(&space.name, "tcp", "main", &["/bin/false"]).await;
    ensure!(failed.is_err());
    Ok(())
}

async fn a_hook_comes_before_the_signal_and_a_deadline_ends_a_pod(space: Space) -> Result<()> {
    let script = "trap 'cat /shared/hook; echo asked; exit 0' TERM; echo up; \
        while :; do sleep 0.1; done";
    // The hook finds the variables and the files of the container.
    let hook = json!({ "preStop": { "exec": {
        "command": ["/bin/sh", "-c", "echo $WORD >/shared/hook; sleep 1"] }}});
    space
        .pod(
            "hooked",
            json!({ "terminationGracePeriodSeconds": 30,
                "volumes": [{ "name": "shared", "emptyDir": {} }] }),
            json!({
                "image": "shell:1", "args": [script], "lifecycle": hook,
                "env": [{ "name": "WORD", "value": "hook" }],
                "volumeMounts": [{ "name": "shared", "mountPath": "/shared" }],
            }),
        )
        .await?;
    until("it runs", async || Ok(space.logs("hooked").contains("up").then_some(()))).await?;
    let pods: Api<Pod> = space.api();
    pods.delete("hooked", &DeleteParams::default()).await?;
    until("it is gone", async || Ok(pods.get_opt("hooked").await?.is_none().then_some(()))).await?;
    ensure!(space.logs("hooked") == "up\nhook\nasked\n", "{}", space.logs("hooked"));

    let limited = json!({ "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 0 });
    let deaf = json!({ "image": "shell:1", "args": ["trap '' TERM; while :; do sleep 0.1; done"] });
    space.pod("limited", limited, deaf).await?;
    let status = until("it has failed", async || {
        let status = pods.get("limited").await?.status.unwrap_or_default();
        Ok((status.phase.as_deref() == Some("Failed")).then_some(status))
    })
    .await?;
    ensure!(status.reason.as_deref() == Some("DeadlineExceeded"), "{status:?}");
    // Killed, unless the signal was there before the shell was deaf.
    let code = space.container("limited", ended).await?;
    ensure!(code == 137 || code == 143, "{code}");
    Ok(())
}

async fn pods_go_where_their_selector_says_and_cordons_allow(space: Space) -> Result<()> {
    let pods: Api<Pod> = space.api();
    let sleeps = || json!({ "image": "shell:1", "args": ["sleep 1000"] });
    let zone = json!({ "nodeSelector": { "topology.kubernetes.io/zone": "zone-b" } });
    space.pod("chosen", zone, sleeps()).await?;
    space.container("chosen", running).await?;
    let node = pods.get("chosen").await?.spec.and_then(|spec| spec.node_name);
    ensure!(node.as_deref() == Some("node-2"), "{node:?}");

    let nowhere = json!({ "nodeSelector": { "disk": "lab" } });
    space.pod("nowhere", nowhere, sleeps()).await?;
    let told = until("it is told", async || {
        let status = pods.get("nowhere").await?.status.unwrap_or_default();
        ensure!(status.phase.as_deref() == Some("Pending"), "{status:?}");
        Ok(status.conditions.and_then(|it| it.into_iter().find(|it| it.type_ == "PodScheduled")))
    })
    .await?;
    ensure!(told.status == "False" && told.reason.as_deref() == Some("Unschedulable"), "{told:?}");
    ensure!(told.message.unwrap_or_default().starts_with("0/2 nodes are available: 2 node(s)"));
    // A node that comes to fit takes it; one that is cordoned does not.
    let nodes: Api<Node> = Api::all(space.client.clone());
    let label = |value: Value| json!({ "metadata": { "labels": { "disk": value } } });
    let patch = async |node: &str, patch: Value| {
        nodes.patch(node, &PatchParams::default(), &Patch::Merge(patch)).await
    };
    patch("node-1", label(json!("lab"))).await?;
    space.container("nowhere", running).await?;
    nodes.cordon("node-1").await?;
    let cordoned = json!({ "nodeSelector": { "disk": "lab" } });
    space.pod("cordoned", cordoned, sleeps()).await?;
    let told = until("it is told", async || {
        let status = pods.get("cordoned").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        Ok(conditions.into_iter().find_map(|it| it.message))
    })
    .await;
    // Others want to use it.
    nodes.uncordon("node-1").await?;
    ensure!(told?.contains("1 node(s) were unschedulable"));
    space.container("cordoned", running).await?;
    patch("node-1", label(Value::Null)).await?;
    Ok(())
}

async fn rights_are_those_of_the_service_account(space: Space) -> Result<()> {
    space
        .apply(json!({ "apiVersion": "v1", "kind": "List", "items": [
            { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader" } },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": { "name": "reader" },
                "rules": [{ "apiGroups": [""], "resources": ["pods"],
                    "verbs": ["get", "list"] }],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": { "name": "reader" },
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
                "subjects": [
                    { "kind": "ServiceAccount", "name": "reader", "namespace": space.name }],
            },
        ]}))
        .await?;
    let account = ServiceAccountRef { namespace: &space.name, name: "reader" };
    let client = space.lab.plane.client_for(account).await?;
    let pods: Api<Pod> = Api::namespaced(client, &space.name);
    until("the binding", async || Ok(pods.list(&ListParams::default()).await.ok())).await?;
    let refused = pods.delete("x", &DeleteParams::default()).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(it)) if it.code == 403), "{refused:?}");
    let user = format!("system:serviceaccount:{}:reader", space.name);
    let audit = space.lab.plane.audit();
    until("the log has it", async || {
        let mine = audit.writes_by(&user)?;
        let denied = audit.denied()?.into_iter().any(|it| it.user == user && it.verb == "delete");
        Ok((denied && mine.len() == 1 && mine[0].resource == "pods").then_some(()))
    })
    .await?;
    // From inside of a pod, with nothing but what is in there: address, authority, token.
    let kubectl = space.lab.plane.tool("kubectl").as_std().get_program().to_owned();
    space.lab.kubelet.set_image("kubectl:1", Image::new(kubectl));
    for (verb, expected) in [("get", 0), ("delete", 1)] {
        let container = json!({ "image": "kubectl:1", "args": [verb, "pods", "inside-get"] });
        let account = json!({ "restartPolicy": "Never", "serviceAccountName": "reader" });
        let name = format!("inside-{verb}");
        space.pod(&name, account, container).await?;
        let code = space.container(&name, ended).await?;
        ensure!(code == expected, "{verb}: {}", space.logs(&name));
    }
    let said = space.logs("inside-delete");
    ensure!(said.contains(&format!("User \"{user}\" cannot delete resource")), "{said}");

    let named = space.lab.plane.client_as("somebody/1.0").await?;
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(named, &space.name);
    let map = serde_json::from_value(json!({ "metadata": { "name": "m" }, "data": { "a": "b" } }))?;
    maps.create(&Default::default(), &map).await?;
    let writes = audit.writes_by("somebody/")?;
    ensure!(writes.len() == 1 && writes[0].code == 201, "{writes:?}");
    let sent = writes[0].sent.as_ref().and_then(|sent| sent.pointer("/data/a"));
    ensure!(sent == Some(&json!("b")), "{writes:?}");
    for helm in
        [space.lab.plane.helm3(["version"]).await?, space.lab.plane.helm4(["version"]).await?]
    {
        ensure!(helm.contains("Version:\"v3.") || helm.contains("Version:\"v4."), "{helm}");
    }
    let version = space.lab.plane.kubectl(["version"]).await?;
    ensure!(version.contains("Server Version: v1.35"), "{version}");
    Ok(())
}

async fn pods_reach_the_servers_of_the_tests(space: Space) -> Result<()> {
    let redis = tokio::task::spawn_blocking(|| {
        testbed::Redis::start_on(NODE_ADDRESS, &testbed::RedisOptions::default())
    });
    let postgres = tokio::task::spawn_blocking(|| {
        let options = testbed::PostgresOptions::default();
        testbed::Postgres::start_on(NODE_ADDRESS, &options)
    });
    let (redis, postgres) = (redis.await?, postgres.await?);
    ensure!(redis.cli(&["PING"]) == "PONG");
    let script = "exec 3<>/dev/tcp/$REDIS && echo PING >&3 && read -r answer <&3 && echo $answer && \
        psql -XAt -c 'SELECT 6 * 7' $POSTGRES";
    space
        .pod("client", json!({ "restartPolicy": "Never" }), json!({
            "image": "shell:1", "command": ["/bin/bash", "-c", script],
            "env": [
                { "name": "REDIS", "value": redis.url().replace("redis://", "").replace(':', "/") },
                { "name": "POSTGRES", "value": postgres.url("postgres") },
            ],
        }))
        .await?;
    let code = space.container("client", ended).await?;
    let said = space.logs("client");
    ensure!(code == 0 && said == "+PONG\r\n42\n", "{code}: {said:?}");
    tokio::task::spawn_blocking(|| drop((redis, postgres))).await?;
    Ok(())
}

async fn a_deleted_namespace_goes_with_its_pods(space: Space) -> Result<()> {
    space.deploy("web", 2, json!({})).await?;
    space.available("web", 2).await?;
    let pods = space.api::<Pod>().list(&ListParams::default()).await?;
    let pid = |pod: &Pod| space.lab.kubelet.pid(&space.name, &pod.name_any(), "main");
    ensure!(pods.iter().all(|pod| pid(pod).is_some()));
    let namespaces: Api<Namespace> = Api::all(space.client.clone());
    namespaces.delete(&space.name, &DeleteParams::default()).await?;
    until("it is gone", async || {
        Ok(namespaces.get_opt(&space.name).await?.is_none().then_some(()))
    })
    .await?;
    ensure!(pods.iter().all(|pod| pid(pod).is_none()));
    Ok(())
}

async fn a_rollout_with_a_pause_before_the_end_fails_no_connect(space: Space) -> Result<()> {
    // Longer than it takes to tell everybody that a pod is ending.
    let pause = json!({ "preStop": { "sleep": { "seconds": 4 } } });
    space.deploy("web", 4, json!({ "lifecycle": pause })).await?;
    let surge = json!({ "spec": {
        "strategy": { "rollingUpdate": { "maxSurge": "100%", "maxUnavailable": 0 } },
        "template": { "spec": { "terminationGracePeriodSeconds": 60 } },
    }});
    let deployments: Api<Deployment> = space.api();
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(surge)).await?;
    space.lab.plane.kubectl(["rollout", "status", "deployment/web", "-n", &space.name]).await?;
    let service = space.api::<Service>().get("web").await?.spec.and_then(|spec| spec.cluster_ip);
    let service = SocketAddr::new(service.context("an address")?.parse()?, 80);
    until("it answers", async || Ok(ask(service, "/").await.ok())).await?;
    let names = async || -> Result<Vec<String>> {
        let pods = space.api::<Pod>().list(&ListParams::default()).await?;
        Ok(pods.iter().map(ResourceExt::name_any).collect())
    };
    let before = names().await?;
    space.lab.plane.kubectl(["rollout", "restart", "deployment/web", "-n", &space.name]).await?;
    let mut answers = 0;
    until("none of the old ones is left", async || {
        for _ in 0..20 {
            if let Err(error) = ask(service, "/").await {
                panic!("after {answers} answers: {error:#}");
            }
            answers += 1;
        }
        let now = names().await?;
        Ok((now.len() == 4 && now.iter().all(|name| !before.contains(name))).then_some(()))
    })
    .await
}
