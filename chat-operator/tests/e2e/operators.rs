//! The operator itself: its chart, its rights, who of several works, and what becomes of chats when it
//! is gone, new, killed, or has a lot to do.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use chat_operator::{
    crd::ChatCluster,
    lease::{self, Candidacy, Terms},
    web::Health,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    ByteString,
    api::{
        coordination::v1::Lease,
        core::v1::{Pod, Secret},
    },
};
use kube::{Api, ResourceExt, api::PostParams};
use kubelab::AuditEvent;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    Add,
    crowd::Crowd,
    lab::{Lab, PATIENCE, SYSTEM, cluster, root},
};

pub fn scenarios(add: Add<'_>) {
    add("a_newer_operator_brings_its_definition_and_rolls_nothing", |lab| Box::pin(newer(lab)));
    add("an_operator_of_one_namespace_needs_nothing_beyond_it", |lab| Box::pin(namespaced(lab)));
    add("of_two_operators_one_works", |lab| Box::pin(two(lab)));
    add("of_a_thousand_candidates_one_leads", |lab| Box::pin(thousand(lab)));
    add("what_is_deleted_goes_with_and_without_an_operator", |lab| Box::pin(deleted(lab)));
    add("an_operator_that_is_killed_all_the_time_gets_there", |lab| Box::pin(killed(lab)));
    add("many_chats_and_many_secrets_are_little_to_it", |lab| Box::pin(many(lab)));
}

/// What looks back at all others.
pub fn in_the_end(add: Add<'_>) {
    add("nothing_was_asked_for_without_the_right_to_it", |lab| Box::pin(denied(lab)));
}

/// The release, the Deployment, the Lease and the ServiceAccount of the lab's operator.
const NAME: &str = "chat-operator";
/// The same, as the audit log has it.
const USER: &str = "system:serviceaccount:chat-system:chat-operator";

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
    lab.plane.kubectl(["scale", "deployment", NAME, "-n", SYSTEM, &to]).await?;
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

/// Arguments that install or upgrade an operator with the lab's image, and wait for it.
fn release<'a>(
    verb: &'a str,
    name: &'a str,
    chart: &'a str,
    namespace: &'a str,
    more: &[&'a str],
) -> Vec<&'a str> {
    let mut arguments = vec![verb, name, chart, "-n", namespace, "--wait", "--timeout=3m"];
    arguments.extend([
        "--set=image.registry=registry.test",
        "--set=image.repository=chat-operator",
        "--set-string=image.tag=1",
        "--set=logLevel=debug",
    ]);
    arguments.extend(more);
    arguments
}

fn chart() -> Result<String> {
    let chart = root().join("charts/chat-operator");
    Ok(chart.to_str().context("a path of text")?.to_owned())
}

/// The lab's operator with other values, until the next call.
async fn reconfigure(lab: &Lab, more: &[&str]) -> Result<()> {
    let chart = chart()?;
    let mut arguments = release("upgrade", NAME, &chart, SYSTEM, more);
    // `replicas` may be kubectl's by now.
    arguments.extend(["--reset-values", "--force-conflicts"]);
    lab.plane.helm4(arguments).await?;
    Ok(())
}

/// The servers of a chat, each by the one that it is.
async fn uids(lab: &Lab, namespace: &str, name: &str) -> Result<BTreeSet<String>> {
    Ok(lab.pods(namespace, name).await?.iter().filter_map(ResourceExt::uid).collect())
}

async fn scale_chat(lab: &Lab, namespace: &str, name: &str, replicas: usize) -> Result<()> {
    let to = format!("--replicas={replicas}");
    lab.plane.kubectl(["scale", "chatcluster", name, "-n", namespace, &to]).await?;
    lab.until_ready(namespace, name).await
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.try_into()?).context("a process has a number")?;
    Ok(kill_process(pid, signal)?)
}

/// The chart as its next release may be: another version, another pod of the operator's, and a
/// definition with one more field.
fn next_chart(folder: &Path) -> Result<()> {
    copy(&root().join("charts/chat-operator"), folder)?;
    let change = |file: &str, from: &str, to: &str| -> Result<()> {
        let file = folder.join(file);
        let text = fs::read_to_string(&file)?;
        ensure!(text.contains(from), "{from} is not in {}", file.display());
        Ok(fs::write(&file, text.replacen(from, to, 1))?)
    };
    change("Chart.yaml", "\nversion: ", "\nversion: 9")?;
    change("Chart.yaml", "\nappVersion: \"", "\nappVersion: \"9")?;
    let annotation = "kubectl.kubernetes.io/default-container: chat-operator";
    let two = format!("{annotation}\n        example.com/newer: \"yes\"");
    change("templates/deployment.yaml", annotation, &two)?;
    let file = folder.join("files/crds/chatclusters.yaml");
    let mut definition = serde_json::to_value(chat_operator::crd::definition())?;
    let spec = definition
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
        .context("the definition has a spec")?;
    spec["mood"] = json!({ "type": "string", "description": "How people feel there." });
    // YAML can be JSON.
    Ok(fs::write(file, definition.to_string())?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn newer(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("newer").await?;
    lab.secrets(&namespace).await?;
    lab.apply(&cluster(&namespace, "team", json!({ "replicas": 2 }))).await?;
    lab.until_ready(&namespace, "team").await?;
    let servers = uids(&lab, &namespace, "team").await?;
    let untouched = async || {
        let now = uids(&lab, &namespace, "team").await?;
        ensure!(servers.is_subset(&now), "{servers:?} are {now:?} now");
        ensure!(lab.versions(&namespace).await? == 1, "another version of the pods was made");
        Ok(())
    };

    let folder = tempfile::tempdir()?;
    next_chart(folder.path())?;
    let next = folder.path().to_str().context("a path of text")?;
    let arguments = release("upgrade", NAME, next, SYSTEM, &["--set-string=image.tag=2"]);
    lab.plane.helm4(arguments.into_iter().chain(["--force-conflicts"])).await?;
    lab.until("the definition has the new field", || async {
        let explained = lab.plane.kubectl(["explain", "chatcluster.spec.mood"]).await?;
        ensure!(explained.contains("How people feel there."), "{explained}");
        Ok(())
    })
    .await?;
    let deployment = ["get", "deployment", NAME, "-n", SYSTEM, "-o", "json"];
    let deployment: Value = serde_json::from_str(&lab.plane.kubectl(deployment).await?)?;
    let template = &deployment["spec"]["template"];
    ensure!(template["metadata"]["annotations"]["example.com/newer"] == "yes", "{template}");
    // It is the one that works now.
    scale_chat(&lab, &namespace, "team", 3).await?;
    untouched().await?;

    // Nothing of a chat goes with the operator, and people can still change what there is.
    let chats = ["get", "chatclusters", "--all-namespaces", "-o", "name"];
    let before = lab.plane.kubectl(chats).await?;
    lab.plane.helm4(["uninstall", NAME, "-n", SYSTEM, "--wait", "--timeout=3m"]).await?;
    ensure!(lab.plane.kubectl(chats).await? == before, "chats went with the operator");
    untouched().await?;

    // In another namespace, with the other Helm, as docs/kubernetes.md has it; and back.
    let elsewhere = lab.namespace("elsewhere").await?;
    let chart = chart()?;
    let arguments = release("install", NAME, &chart, &elsewhere, &["--take-ownership"]);
    lab.plane.helm3(arguments).await?;
    scale_chat(&lab, &namespace, "team", 4).await?;
    lab.plane.helm3(["uninstall", NAME, "-n", &elsewhere, "--wait", "--timeout=3m"]).await?;
    let arguments = release("install", NAME, &chart, SYSTEM, &["--take-ownership"]);
    lab.plane.helm4(arguments).await?;
    scale_chat(&lab, &namespace, "team", 2).await?;
    ensure!(lab.versions(&namespace).await? == 1, "another version of the pods was made");
    Ok(())
}

async fn namespaced(lab: Arc<Lab>) -> Result<()> {
    let home = lab.namespace("home").await?;
    let (own, other) = (lab.namespace("own").await?, lab.namespace("other").await?);
    for namespace in [&own, &other] {
        lab.secrets(namespace).await?;
    }
    without(&lab, async {
        let chart = chart()?;
        let only = format!("--set=watch.namespaces={{{own}}}");
        let more = [only.as_str(), "--set=crds.install=false"];
        lab.plane.helm4(release("install", "small", &chart, &home, &more)).await?;
        let of_release = "app.kubernetes.io/instance=small";
        let kinds = "clusterroles,clusterrolebindings";
        let wide = lab.plane.kubectl(["get", kinds, "-l", of_release, "-o", "name"]).await?;
        ensure!(wide.is_empty(), "{wide}");
        for namespace in [&other, &own] {
            lab.apply(&cluster(namespace, "team", json!({ "replicas": 1 }))).await?;
        }
        lab.until_ready(&own, "team").await?;
        let elsewhere = lab.cluster(&other, "team").await?;
        ensure!(elsewhere["status"]["observedGeneration"] == -1, "{}", elsewhere["status"]);
        let asked = requests(&lab, &small(&home))?;
        ensure!(!asked.is_empty(), "the audit log knows nothing of it");
        for event in &asked {
            let at_home = [&own, &home].iter().any(|it| **it == event.namespace);
            ensure!(at_home || event.resource.is_empty(), "it went beyond: {event:?}");
            ensure!(!event.forbidden, "it asked for what it may not: {event:?}");
        }

        // A right that is missing is told where people look.
        let role = ["get", "role", "small-chat-operator", "-n", &own, "-o", "json"];
        let role: Value = serde_json::from_str(&lab.plane.kubectl(role).await?)?;
        let mut less = role.clone();
        let rules = less["rules"].as_array_mut().context("a role has rules")?;
        let rule = rules.iter_mut().find(|it| it["resources"][0] == "deployments");
        let verbs = rule.context("a rule for Deployments")?["verbs"].as_array_mut();
        verbs.context("a rule has verbs")?.retain(|it| it != "patch");
        lab.plane.kubectl_with(["replace", "-f", "-"], &less.to_string()).await?;
        let servers = uids(&lab, &own, "team").await?;
        lab.patch(&own, "team", &json!({ "spec": { "image": { "tag": "2" } } })).await?;
        for kind in ["Ready", "Stalled"] {
            let told = lab.until_reason(&own, "team", kind, "Forbidden").await?;
            let names = ["patch", "deployments", &own].iter().all(|it| told.contains(*it));
            ensure!(names, "{kind} does not say what is missing: {told}");
        }
        ensure!(uids(&lab, &own, "team").await? == servers, "the servers were touched");
        let mut role = role;
        role["metadata"].as_object_mut().context("metadata")?.remove("resourceVersion");
        lab.plane.kubectl_with(["replace", "-f", "-"], &role.to_string()).await?;
        lab.until_ready(&own, "team").await?;
        ensure!(uids(&lab, &own, "team").await?.is_disjoint(&servers), "nothing was rolled out");
        lab.plane.helm4(["uninstall", "small", "-n", &home, "--wait", "--timeout=3m"]).await?;
        Ok(())
    })
    .await?;
    // The one of all namespaces finds both.
    lab.until_ready(&other, "team").await?;
    scale_chat(&lab, &own, "team", 2).await?;
    ensure!(lab.versions(&own).await? == 2, "another operator rolled the servers");
    Ok(())
}

fn small(home: &str) -> String {
    format!("system:serviceaccount:{home}:small-chat-operator")
}

/// Everything that a user asked for.
fn requests(lab: &Lab, user: &str) -> Result<Vec<AuditEvent>> {
    let mut events = lab.plane.audit().events()?;
    events.retain(|event| event.user == user);
    Ok(events)
}

/// The pod that leads, and the name it leads by.
async fn leader(lab: &Lab) -> Result<(String, String)> {
    let holder = "-o=jsonpath={.spec.holderIdentity}";
    let holder = lab.plane.kubectl(["get", "lease", NAME, "-n", SYSTEM, holder]).await?;
    let (pod, _) = holder.rsplit_once('_').context("nobody leads")?;
    Ok((pod.to_owned(), holder))
}

/// Until somebody leads whom this does not mean.
async fn another_leader(lab: &Lab, than: impl Fn(&str, &str) -> bool) -> Result<(String, String)> {
    lab.until("somebody else leads", || async {
        let (pod, holder) = leader(lab).await?;
        ensure!(!than(&pod, &holder), "still {holder}");
        Ok((pod, holder))
    })
    .await
}

async fn two(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("two").await?;
    lab.secrets(&namespace).await?;
    lab.apply(&cluster(&namespace, "team", json!({ "replicas": 1 }))).await?;
    reconfigure(&lab, &["--set=replicas=2"]).await?;
    lab.until_ready(&namespace, "team").await?;
    let done = two_at_work(&lab, &namespace).await;
    reconfigure(&lab, &[]).await?;
    done
}

async fn two_at_work(lab: &Lab, namespace: &str) -> Result<()> {
    let pods = operators(lab, SYSTEM).await?;
    ensure!(pods.len() == 2, "{pods:?}");
    let (first, _) = another_leader(lab, |pod, _| !pods.iter().any(|it| it == pod)).await?;
    let api: Api<Pod> = Api::namespaced(lab.client.clone(), SYSTEM);
    let second = pods.iter().find(|it| **it != first).context("the one that stands by")?;
    let began = requests(lab, USER)?.last().map(|it| it.at.clone()).unwrap_or_default();
    let written = || -> Result<Vec<AuditEvent>> {
        let mut events = lab.plane.audit().writes_by(USER)?;
        events.retain(|it| it.at > began);
        events.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(events)
    };
    let works = async |pod: &str| {
        lab.until("the leader writes", || async {
            let own = |it: &AuditEvent| it.pod == pod && it.resource == "services";
            ensure!(written()?.iter().any(own), "{pod} has written nothing");
            Ok(())
        })
        .await
    };

    // There is always something to write.
    let ended = AtomicBool::new(false);
    let busy = async {
        let mut turn = 0_u64;
        while !ended.load(Ordering::Relaxed) {
            turn += 1;
            let annotations = json!({ "example.com/turn": turn.to_string() });
            let patch = json!({ "spec": { "service": { "annotations": annotations } } });
            lab.patch(namespace, "team", &patch).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    let handing_over = async {
        works(&first).await?;
        let pid = lab.kubelet.pid(SYSTEM, &first, NAME).context("the leader runs")?;
        let stopped = Instant::now();
        signal(pid, Signal::STOP)?;
        let taken = async {
            another_leader(lab, |pod, _| pod == first).await?;
            works(second).await
        };
        let taken = taken.await;
        // Longer than its term in any case.
        tokio::time::sleep(Duration::from_secs(20).saturating_sub(stopped.elapsed())).await;
        signal(pid, Signal::CONT)?;
        taken?;
        lab.until("the one that was stopped ends, and starts again", || async {
            let status = api.get(&first).await?.status.unwrap_or_default();
            let status = status.container_statuses.unwrap_or_default();
            let status = status.first().context("a container")?;
            let ended = status.last_state.as_ref().and_then(|it| it.terminated.as_ref());
            ensure!(ended.is_some_and(|it| it.exit_code == 1), "{status:?}");
            ensure!(status.ready && status.restart_count == 1, "{status:?}");
            Ok(())
        })
        .await?;

        // One that goes in good order lets go at once.
        lab.plane.kubectl(["delete", "pod", second, "-n", SYSTEM, "--wait=false"]).await?;
        let (third, _) = another_leader(lab, |pod, _| pod == second).await?;
        works_again(lab, &third, &written).await?;
        anyhow::Ok(third)
    };
    let handed_over = async {
        let third = handing_over.await;
        ended.store(true, Ordering::Relaxed);
        third
    };
    let (busy, third) = tokio::join!(busy, handed_over);
    let third = third?;
    busy?;
    lab.until_ready(namespace, "team").await?;

    // Who wrote, one after the other.
    let writes = written()?;
    let mut turns: Vec<&str> = Vec::new();
    for write in writes.iter().filter(|it| it.resource != "leases") {
        if turns.last() != Some(&&*write.pod) {
            turns.push(&write.pod);
        }
    }
    ensure!(turns == [&*first, second, &*third], "two wrote at once: {turns:?}");
    let leases: Vec<_> = writes.iter().filter(|it| it.resource == "leases").collect();
    let holder = |it: &AuditEvent| {
        let holder = it.sent.as_ref().and_then(|sent| sent["spec"]["holderIdentity"].as_str());
        holder.unwrap_or_default().to_owned()
    };
    let released = leases.iter().position(|it| it.pod == *second && holder(it).is_empty());
    let released = released.context("the one that was deleted did not release the lease")?;
    let next = leases[released + 1..].iter().find(|it| it.code < 300);
    ensure!(next.is_some_and(|it| it.pod == third), "{next:?}");
    Ok(())
}

/// Until this one has written after whoever wrote before it.
async fn works_again(
    lab: &Lab,
    pod: &str,
    written: &impl Fn() -> Result<Vec<AuditEvent>>,
) -> Result<()> {
    lab.until("the new leader writes", || async {
        let writes = written()?;
        let last = writes.iter().rev().find(|it| it.resource == "services");
        ensure!(last.is_some_and(|it| it.pod == pod), "{last:?}");
        Ok(())
    })
    .await
}

/// Candidates for one lease.
const CANDIDATES: usize = 1000;

async fn thousand(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("thousand").await?;
    // Nobody may lose it here, because whoever does ends the process.
    let terms = Terms {
        lease: Duration::from_secs(600),
        renew: Duration::from_secs(400),
        retry: Duration::from_secs(2),
    };
    let mut candidates = Vec::new();
    for n in 0..CANDIDATES {
        let candidacy = Candidacy {
            namespace: namespace.clone(),
            name: "one".to_owned(),
            identity: lease::identity(&format!("candidate-{n}")),
            terms,
        };
        let (campaign, leadership) = lease::elect(lab.client.clone(), candidacy, Health::default());
        let stop = CancellationToken::new();
        candidates.push((tokio::spawn(campaign.run(stop.clone())), leadership, stop));
    }
    let leading = |candidates: &[(_, lease::Leadership, _)]| {
        candidates.iter().filter(|(_, leadership, _)| leadership.holds()).count()
    };
    let asked = || -> Result<(usize, usize)> {
        let mut events = lab.plane.audit().events()?;
        events.retain(|it| it.resource == "leases" && it.namespace == namespace);
        let taken = events.iter().filter(|it| it.verb == "create" && it.code < 300);
        let refused = events.iter().filter(|it| it.is_write() && it.code == 409);
        Ok((taken.count(), refused.count()))
    };
    let judged = async {
        lab.until("somebody leads", || async {
            ensure!(leading(&candidates) > 0);
            Ok(())
        })
        .await?;
        for _ in 0..30 {
            let leaders = leading(&candidates);
            ensure!(leaders == 1, "{leaders} lead");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (taken, refused) = asked()?;
        println!("  {CANDIDATES} candidates: {taken} made the lease, {refused} came too late");
        ensure!(taken == 1, "{taken} made the lease");
        ensure!(refused > 0, "nobody came too late, so nothing was contended for");

        // The next one, when the first one goes.
        let first = candidates.iter().position(|(_, leadership, _)| leadership.holds());
        candidates[first.context("it led a moment ago")?].2.cancel();
        lab.until("another one leads", || async {
            let next = candidates.iter().position(|(_, leadership, _)| leadership.holds());
            ensure!(next.is_some() && next != first, "{next:?}");
            Ok(())
        })
        .await?;
        let leaders = leading(&candidates);
        ensure!(leaders == 1, "{leaders} lead");
        Ok(())
    };
    let judged = judged.await;
    for (_, _, stop) in &candidates {
        stop.cancel();
    }
    for (campaign, _, _) in candidates {
        campaign.await??;
    }
    judged?;

    // And plainly: all have read the same version.
    let api: Api<Lease> = Api::namespaced(lab.client.clone(), &namespace);
    let read = api.get("one").await?;
    let put = |n: usize| {
        let (api, mut lease) = (api.clone(), read.clone());
        lease.spec.get_or_insert_default().holder_identity = Some(format!("candidate-{n}"));
        async move { api.replace("one", &PostParams::default(), &lease).await }
    };
    let answers: Vec<_> =
        stream::iter((0..CANDIDATES).map(put)).buffer_unordered(CANDIDATES).collect().await;
    let winners = answers.iter().filter(|it| it.is_ok()).count();
    ensure!(winners == 1, "{winners} of {CANDIDATES} have it");
    for answer in answers {
        match answer {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(other) => bail!("{other}"),
        }
    }
    Ok(())
}

async fn deleted(lab: Arc<Lab>) -> Result<()> {
    let (own, gone) = (lab.namespace("deleted").await?, lab.namespace("gone").await?);
    for namespace in [&own, &gone] {
        lab.secrets(namespace).await?;
        lab.apply(&cluster(namespace, "team", json!({ "replicas": 2 }))).await?;
    }
    for namespace in [&own, &gone] {
        lab.until_ready(namespace, "team").await?;
    }

    // Children first, and the operator sees them go.
    let began = requests(&lab, USER)?.last().map(|it| it.at.clone()).unwrap_or_default();
    let delete = ["delete", "chatcluster", "team", "-n", &own, "--cascade=foreground"];
    lab.plane.kubectl(delete.into_iter().chain(["--timeout=3m"])).await?;
    let left = lab.generations(&own).await?;
    let left: Vec<_> = left.keys().filter(|it| it.contains("\"team")).collect();
    ensure!(left.is_empty(), "{left:?} are left, or were made again");
    let mut writes = lab.plane.audit().writes_by(USER)?;
    writes.retain(|it| it.at > began && it.namespace == own && it.resource != "events");
    ensure!(writes.is_empty(), "it wrote to what was being deleted: {writes:#?}");

    // With its namespace, and nobody there who could be waited for.
    without(&lab, async {
        lab.plane.kubectl(["delete", "namespace", &gone, "--timeout=3m"]).await?;
        Ok(())
    })
    .await
}

async fn killed(lab: Arc<Lab>) -> Result<()> {
    let namespace = lab.namespace("killed").await?;
    let database = lab.secrets(&namespace).await?;
    let config = json!({ "balance": { "after": "3s" } });
    let drain = json!({ "windowSeconds": 5 });
    let spec = json!({ "replicas": 3, "drain": drain, "config": config });
    lab.apply(&cluster(&namespace, "team", spec)).await?;
    // So that the next one takes over soon after one that could not say goodbye.
    let terms = "--set=leaderElection.leaseDuration=4s,leaderElection.renewDeadline=3s";
    reconfigure(&lab, &[terms, "--set=leaderElection.retryPeriod=1s"]).await?;
    lab.until_ready(&namespace, "team").await?;
    let door = lab.door(&namespace, "team", &database).await?;
    let crowd = Crowd::gather(&door, "killed", 40, 10.0).await;
    let done = killed_at_work(&lab, &namespace, &crowd).await;
    reconfigure(&lab, &[]).await?;
    done?;
    crowd.compare().await;
    Ok(())
}

/// How often in each phase.
const KILLS: u32 = 3;

async fn killed_at_work(lab: &Lab, namespace: &str, crowd: &Crowd) -> Result<()> {
    let mark = crowd.mark();
    lab.patch(namespace, "team", &json!({ "spec": { "image": { "tag": "2" } } })).await?;
    kill_again_and_again(lab).await?;
    lab.until_ready(namespace, "team").await?;
    let pods = lab.pods(namespace, "team").await?;
    let image = |pod: &Pod| pod.spec.as_ref()?.containers.first()?.image.clone();
    let new = pods.iter().filter(|it| image(it).is_some_and(|it| it.ends_with(":2"))).count();
    ensure!((pods.len(), new) == (3, 3), "{pods:#?}");
    crowd.wait_until_everybody_is_there().await;
    crowd.since(&mark).say("  a rollout by operators that are killed");

    lab.patch(namespace, "team", &json!({ "spec": { "replicas": 1 } })).await?;
    kill_again_and_again(lab).await?;
    lab.until_ready(namespace, "team").await?;
    crowd.wait_until_everybody_is_there().await;
    let span = crowd.since(&mark);
    span.say("  and a scale-down");
    ensure!(span.failures.is_empty(), "{:?}", span.failures);
    ensure!((span.broke, span.resets) == (0, 0), "{span:?}");
    let pods = lab.pods(namespace, "team").await?;
    ensure!(pods.len() == 1, "{pods:#?}");
    ensure!(lab.versions(namespace).await? == 2, "more was rolled out than was asked for");
    let migrations = lab.plane.kubectl(["get", "jobs", "-n", namespace, "-o", "name"]).await?;
    ensure!(migrations.lines().count() <= 1, "{migrations}");
    Ok(())
}

/// Each time a little later after it has begun to work.
async fn kill_again_and_again(lab: &Lab) -> Result<()> {
    let mut last = String::new();
    for n in 0..KILLS {
        let (pod, holder, pid) = lab
            .until("another operator works", || async {
                let (pod, holder) = leader(lab).await?;
                ensure!(holder != last, "still {holder}");
                tokio::time::sleep(Duration::from_millis(300) * n).await;
                // On a machine that is too busy it may have lost its lease by itself meanwhile.
                let pid = lab.kubelet.pid(SYSTEM, &pod, NAME).context("it has ended")?;
                Ok((pod, holder, pid))
            })
            .await?;
        signal(pid, Signal::KILL)?;
        // Started again in the same pod it would have to wait, longer each time.
        let delete = ["delete", "pod", &pod, "-n", SYSTEM, "--force", "--grace-period=0"];
        lab.plane.kubectl(delete).await?;
        last = holder;
    }
    Ok(())
}

/// Foreign Secrets for each chat.
const SECRETS_PER_CHAT: usize = 10;
/// How large they are.
const SECRET_BYTES: usize = 10 << 10;
/// What the operator may need of memory with all of them.
const RESIDENT_KIB_MAX: u64 = 64 << 10;

async fn many(lab: Arc<Lab>) -> Result<()> {
    let chats = std::env::var("E2E_CLUSTERS").ok().and_then(|text| text.parse().ok());
    let chats: usize = chats.unwrap_or(40);
    let secrets = chats * SECRETS_PER_CHAT;
    let mut namespaces = Vec::new();
    for _ in 0..4 {
        let namespace = lab.namespace("many").await?;
        lab.secrets(&namespace).await?;
        namespaces.push(namespace);
    }
    let began = Instant::now();
    let foreign = |n: usize| {
        let api: Api<Secret> =
            Api::namespaced(lab.client.clone(), &namespaces[n % namespaces.len()]);
        let data = [("blob".to_owned(), ByteString(vec![b'x'; SECRET_BYTES]))];
        let mut secret = Secret { data: Some(data.into()), ..Secret::default() };
        secret.metadata.name = Some(format!("foreign-{n}"));
        async move { api.create(&PostParams::default(), &secret).await.map(drop) }
    };
    let made = stream::iter((0..secrets).map(foreign)).buffer_unordered(16);
    made.try_collect::<()>().await?;
    println!("  {secrets} foreign Secrets were made in {:.0?}", began.elapsed());

    let operator = operators(&lab, SYSTEM).await?.pop().context("the operator's pod")?;
    let memory = |field: &str| -> Result<u64> {
        let pid = lab.kubelet.pid(SYSTEM, &operator, NAME).context("the operator runs")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|it| it.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|it| it.split_whitespace().next()).context("a number")?;
        Ok(number.parse()?)
    };
    let idle = memory("VmRSS")?;
    let began = Instant::now();
    let items: Vec<_> = (0..chats)
        .map(|n| {
            // No server, but all that is around it.
            let spec = json!({ "hibernated": true });
            cluster(&namespaces[n % namespaces.len()], &format!("chat-{n}"), spec)
        })
        .collect();
    lab.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items })).await?;
    println!("  {chats} chats were made in {:.1?}", began.elapsed());
    loop {
        let mut ready = 0;
        for namespace in &namespaces {
            let api: Api<ChatCluster> = Api::namespaced(lab.client.clone(), namespace);
            let list = api.list(&kube::api::ListParams::default()).await?;
            let told = list.items.iter().filter_map(|it| it.status.as_ref());
            ready += told.filter(|it| chat_operator::status::is_ready(it)).count();
        }
        if ready == chats {
            break;
        }
        ensure!(began.elapsed() < 5 * PATIENCE, "only {ready} of {chats} are ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = began.elapsed();

    // Then it has nothing to do.
    let (mut quiet, mut since) = (writes(&lab)?, Instant::now());
    let limit = Instant::now() + PATIENCE;
    while since.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = writes(&lab)?;
        if now != quiet {
            (quiet, since) = (now, Instant::now());
        }
        ensure!(Instant::now() < limit, "it never comes to rest");
    }
    let (resident, peak) = (memory("VmRSS")?, memory("VmHWM")?);
    println!(
        "  all ready after {took:.1?}; {quiet} writes in all; resident {idle} KiB before, \
         {resident} KiB now, {peak} KiB at most"
    );
    ensure!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
    for namespace in &namespaces {
        lab.plane.kubectl(["delete", "namespace", namespace, "--wait=false"]).await?;
    }
    Ok(())
}

/// How often the operator has written anything but its lease.
fn writes(lab: &Lab) -> Result<usize> {
    let writes = lab.plane.audit().writes_by(USER)?;
    Ok(writes.iter().filter(|it| it.resource != "leases").count())
}

async fn denied(lab: Arc<Lab>) -> Result<()> {
    let events = lab.plane.audit().events()?;
    // Helm takes the roles away while the pod is still leaving: that it cannot release its lease then,
    // or end the pass that it is in, is meant. Whoever comes next waits for the lease to run out.
    let uninstalled = |denied: &AuditEvent| {
        let bound = |it: &&AuditEvent| {
            let its = match denied.resource.as_str() {
                "leases" => it.resource == "rolebindings" && it.namespace == denied.namespace,
                _ => it.resource == "clusterrolebindings" && it.name == NAME,
            };
            its && it.is_write() && it.at < denied.at
        };
        let last = events.iter().filter(bound).max_by(|a, b| a.at.cmp(&b.at));
        last.is_some_and(|it| it.verb == "delete")
    };
    let mut denied = lab.plane.audit().denied()?;
    // The one in a namespace of its own was denied something on purpose.
    denied.retain(|it| it.user.ends_with(":chat-operator") && !uninstalled(it));
    ensure!(denied.is_empty(), "{denied:#?}");
    Ok(())
}
