//! One container: a local process with a root, a user and a network of its own, that is started,
//! watched, ended, and started again.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::{self, File},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
        ContainerStateWaiting, LifecycleHandler,
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    process::Command,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::debug;

use super::{
    Image, Running, environment, lock,
    pod::Context,
    probes::{self, Finding},
};
use crate::namespace::is_root;

/// After a time this long without a crash it is started again at once.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// Between the two signals there is always this long, as on a node, even for who is given no time.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// How often something is looked for that a container waits for.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// What a container may do as root unless it drops it: what container runtimes leave it.
const CAPABILITIES: [&str; 14] = [
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "net_bind_service",
    "net_raw",
    "sys_chroot",
    "mknod",
    "audit_write",
    "setfcap",
];

/// Why a container does not run yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub reason: &'static str,
    pub message: String,
}

impl Waiting {
    pub(super) const fn config(message: String) -> Self {
        Self { reason: "CreateContainerConfigError", message }
    }

    pub(super) fn state(&self) -> ContainerState {
        let message = Some(self.message.clone()).filter(|message| !message.is_empty());
        ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(self.reason.to_owned()), message }),
            ..Default::default()
        }
    }
}

/// What is known of a container.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub state: ContainerState,
    pub last: Option<ContainerState>,
    pub restarts: i32,
    pub started: bool,
    pub ready: bool,
    pub id: Option<String>,
}

impl Record {
    pub(super) fn new(reason: &'static str) -> Self {
        let state = Waiting { reason, message: String::new() }.state();
        Self { state, last: None, restarts: 0, started: false, ready: false, id: None }
    }
}

/// When a container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// When to end, once that is decided; it can become earlier.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// Runs a container until it has ended for good, and answers whether it ended well.
pub(super) async fn run(
    context: Arc<Context>,
    container: Container,
    restart: Restart,
    stop: Stop,
) -> bool {
    let name = &container.name;
    let mut backoff = None;
    for run in 0.. {
        let Some(prepared) = prepare(&context, &container, run, &stop).await else {
            return false;
        };
        let began = Instant::now();
        let ended = match prepared.spawn(&context) {
            Ok(child) => watch_over(&context, &container, &prepared, child, &stop).await,
            Err(error) => {
                let now = Time(Timestamp::now());
                ContainerStateTerminated {
                    exit_code: 128,
                    reason: Some("StartError".to_owned()),
                    message: Some(format!("{error:#}")),
                    started_at: Some(now.clone()),
                    finished_at: Some(now),
                    ..Default::default()
                }
            }
        };
        debug!(pod = context.name, name, code = ended.exit_code, "a container ended");
        let well = ended.exit_code == 0;
        let state = ContainerState { terminated: Some(ended), ..Default::default() };
        context.record(name, |record| {
            record.state = state.clone();
            (record.started, record.ready) = (false, false);
        });
        let again = match restart {
            Restart::Always => true,
            Restart::OnFailure => !well,
            Restart::Never => false,
        };
        if !again || stop.borrow().is_some() {
            return well;
        }
        // The first time at once, then later and later.
        let options = &context.shared.options;
        let wait = match backoff {
            Some(wait) if began.elapsed() < WELL_AFTER => Duration::min(wait, options.backoff_max),
            _ => Duration::ZERO,
        };
        backoff = Some((wait * 2).max(options.backoff));
        if !wait.is_zero() {
            let Context { name: pod, namespace, uid, .. } = &*context;
            let message = format!(
                "back-off {wait:?} restarting failed container={name} pod={pod}_{namespace}({uid})"
            );
            let waiting = Waiting { reason: "CrashLoopBackOff", message };
            context.record(name, |record| {
                record.last = Some(state.clone());
                record.state = waiting.state();
            });
            tokio::select! {
                () = sleep(wait) => {}
                () = ordered(stop.clone()) => {
                    // It ended, and that is how it stays.
                    context.record(name, |record| record.state = state.clone());
                    return well;
                }
            }
        }
        context.record(name, |record| {
            record.last = Some(state);
            record.restarts += 1;
        });
    }
    unreachable!("the runs are not counted to their end")
}

/// Waits until everything is there that a container needs. `None` when it is to end before.
async fn prepare(
    context: &Arc<Context>,
    container: &Container,
    run: u32,
    stop: &Stop,
) -> Option<Arc<Prepared>> {
    let mut pulled_in_vain = false;
    loop {
        if stop.borrow().is_some() {
            return None;
        }
        let mut waiting = match Prepared::new(context, container, run).await {
            Ok(prepared) => return Some(Arc::new(prepared)),
            Err(waiting) => waiting,
        };
        if waiting.reason == "ErrImagePull" {
            if pulled_in_vain {
                let image = container.image.as_deref().unwrap_or_default();
                waiting.reason = "ImagePullBackOff";
                waiting.message = format!("Back-off pulling image {image:?}: {}", waiting.message);
            }
            pulled_in_vain = true;
        }
        context.record(&container.name, |record| record.state = waiting.state());
        tokio::select! {
            () = sleep(TRY_AGAIN) => {}
            () = ordered(stop.clone()) => return None,
        }
    }
}

/// From its start to its end.
async fn watch_over(
    context: &Arc<Context>,
    container: &Container,
    prepared: &Arc<Prepared>,
    mut child: tokio::process::Child,
    stop: &Stop,
) -> ContainerStateTerminated {
    let pid = child.id().expect("nobody has waited for it yet");
    let started_at = Time(Timestamp::now());
    let key = (context.namespace.clone(), context.name.clone(), container.name.clone());
    let running = Running { pid, prepared: prepared.clone() };
    lock(&context.shared.running).insert(key.clone(), running);
    let id = format!("kubelab://{}/{}/{}", context.uid, container.name, prepared.run);
    let running = ContainerStateRunning { started_at: Some(started_at.clone()) };
    context.record(&container.name, |record| {
        record.state = ContainerState { running: Some(running), ..Default::default() };
        (record.started, record.ready) = (false, false);
        record.id = Some(id.clone());
    });

    let (sender, mut findings) = mpsc::channel(16);
    let mut probing =
        std::pin::pin!(probes::watch(context.clone(), container, prepared, pid, sender));
    let mut ending: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    let status = loop {
        let grace = context.grace(container);
        tokio::select! {
            status = child.wait() => break status,
            () = &mut probing => {}
            Some(finding) = findings.recv() => match finding {
                Finding::Started => context.record(&container.name, |it| it.started = true),
                Finding::Ready(ready) => context.record(&container.name, |it| it.ready = ready),
                Finding::Dead(why) => {
                    if ending.is_none() {
                        debug!(pod = context.name, why, "a container is ended");
                        let latest = Instant::now() + grace;
                        let end = end(container, prepared, pid, latest, stop.clone());
                        ending = Some(Box::pin(end));
                    }
                }
            },
            () = ordered(stop.clone()), if ending.is_none() => {
                // The order to stop has its own time; it can only become less.
                let latest = stop.borrow().unwrap_or_else(Instant::now);
                ending = Some(Box::pin(end(container, prepared, pid, latest, stop.clone())));
            }
            () = async { ending.as_mut().expect("it is some").await }, if ending.is_some() => {}
        }
    };
    lock(&context.shared.running).remove(&key);
    // What it has left behind; a container's end is that of all its processes.
    signal_group(pid);
    let exit_code = status.map_or(137, code);
    ContainerStateTerminated {
        exit_code,
        reason: Some(if exit_code == 0 { "Completed" } else { "Error" }.to_owned()),
        message: prepared.last_words(container, exit_code),
        started_at: Some(started_at),
        finished_at: Some(Time(Timestamp::now())),
        container_id: Some(id),
        signal: None,
    }
}

/// Waits for the order to end.
async fn ordered(mut stop: Stop) {
    if stop.wait_for(Option::is_some).await.is_err() {
        // Nobody is left who could give it.
        std::future::pending::<()>().await;
    }
}

/// As a container runtime reports it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(9))
}

/// Ends a process: its hook, then `SIGTERM`, and when its time is over `SIGKILL`. Then never returns:
/// the process' end is somebody else's business.
async fn end(container: &Container, prepared: &Prepared, pid: u32, latest: Instant, stop: Stop) {
    let too_late = |latest: Instant, mut stop: Stop| async move {
        loop {
            let deadline = stop.borrow_and_update().map_or(latest, |stop| stop.min(latest));
            tokio::select! {
                () = sleep_until(deadline) => return,
                Ok(()) = stop.changed() => {}
            }
        }
    };
    let hook = container.lifecycle.as_ref().and_then(|it| it.pre_stop.as_ref());
    if let Some(hook) = hook {
        tokio::select! {
            () = prepared.run_hook(pid, hook) => {}
            () = too_late(latest, stop.clone()) => {}
        }
    }
    if let Some(pid) = process(pid) {
        let _ = kill_process(pid, Signal::TERM);
    }
    tokio::join!(sleep(LEAST_GRACE), too_late(latest, stop));
    signal_group(pid);
    std::future::pending::<()>().await;
}

fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn signal_group(pid: u32) {
    if let Some(pid) = process(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Everything that is decided before a container starts.
#[derive(Debug)]
pub(super) struct Prepared {
    run: u32,
    folder: PathBuf,
    script: String,
    /// What it begins with inside its root: variables, user, rights.
    wrapper: Vec<String>,
    command: Vec<String>,
}

impl Prepared {
    async fn new(context: &Context, container: &Container, run: u32) -> Result<Self, Waiting> {
        let name = container.image.as_deref().unwrap_or_default();
        let image = {
            let images = context.shared.images.read().unwrap_or_else(PoisonError::into_inner);
            images.get(name).cloned()
        };
        let image = image.ok_or_else(|| Waiting {
            reason: "ErrImagePull",
            message: format!("failed to pull and unpack image {name:?}: not found"),
        })?;
        let user = User::new(context, container, &image)?;
        let variables = environment::resolve(context, &image, container).await?;
        let expand = |texts: &Option<Vec<String>>| -> Vec<String> {
            let texts = texts.iter().flatten();
            texts.map(|text| environment::expand(text, &variables)).collect()
        };
        let mut command = expand(&container.command);
        if command.is_empty() {
            command.clone_from(&image.entrypoint);
        }
        command.extend(expand(&container.args));
        let folder = context.folder.join("containers").join(&container.name);
        let script = script(context, container, &image, &folder, run).await;
        let script = script.map_err(|error| Waiting {
            reason: "CreateContainerError",
            message: format!("{error:#}"),
        })?;
        Ok(Self { run, folder, script, wrapper: wrapper(container, &variables, &user), command })
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.run))
    }

    fn spawn(&self, context: &Context) -> Result<tokio::process::Child> {
        let log = File::create(self.log()).context("the log")?;
        Command::new("nsenter")
            .arg(format!("--net={}", context.network.path()))
            // Every step replaces the one before, so that the process is the container's own.
            .args(["--", "unshare", "--mount", "--uts", "--propagation", "private", "--"])
            .args(["sh", "-c", &self.script, "sh"])
            .args(&self.wrapper)
            .args(&self.command)
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("nsenter")
    }

    /// A command inside the running container.
    pub(super) fn exec(&self, pid: u32, command: &[String]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter
            .arg(format!("--target={pid}"))
            .args(["--mount", "--uts", "--net", "--root", "--wd", "--"])
            .args(&self.wrapper)
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        nsenter
    }

    async fn run_hook(&self, pid: u32, hook: &LifecycleHandler) {
        if let Some(nap) = &hook.sleep {
            sleep(Duration::from_secs(nap.seconds.unsigned_abs())).await;
        }
        if let Some(exec) = &hook.exec {
            let command = exec.command.as_deref().unwrap_or_default();
            // Whether it succeeds is of no consequence, as on a node.
            let _ = self.exec(pid, command).status().await;
        }
    }

    /// What it wrote into the file for that, or at the end of its log.
    fn last_words(&self, container: &Container, code: i32) -> Option<String> {
        let message = fs::read(self.folder.join("termination-log")).unwrap_or_default();
        let mut message = String::from_utf8_lossy(&message[..message.len().min(4096)]).into_owned();
        let policy = container.termination_message_policy.as_deref();
        if message.is_empty() && code != 0 && policy == Some("FallbackToLogsOnError") {
            let log = fs::read(self.log()).unwrap_or_default();
            message = String::from_utf8_lossy(&log[log.len().saturating_sub(2048)..]).into_owned();
        }
        Some(message).filter(|message| !message.is_empty())
    }
}

/// Who a container is.
#[derive(Debug)]
struct User {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl User {
    fn new(context: &Context, container: &Container, image: &Image) -> Result<Self, Waiting> {
        let number = |it: i64| u32::try_from(it).ok();
        let pod = context.pod();
        let pod_wide = pod.spec.as_ref().and_then(|spec| spec.security_context.clone());
        let pod_wide = pod_wide.unwrap_or_default();
        let own = container.security_context.clone().unwrap_or_default();
        let wanted = own.run_as_user.or(pod_wide.run_as_user).and_then(number);
        let user = wanted.unwrap_or(image.user);
        if own.run_as_non_root.or(pod_wide.run_as_non_root) == Some(true) && user == 0 {
            let what = if wanted.is_some() {
                "container's runAsUser breaks non-root policy"
            } else {
                "container has runAsNonRoot and image will run as root"
            };
            let Context { name, namespace, uid, .. } = context;
            return Err(Waiting::config(format!(
                "{what} (pod: \"{name}_{namespace}({uid})\", container: {})",
                container.name
            )));
        }
        let group = own.run_as_group.or(pod_wide.run_as_group).and_then(number).unwrap_or(user);
        let groups = pod_wide.supplemental_groups.unwrap_or_default();
        let groups = groups.into_iter().chain(pod_wide.fs_group).filter_map(number).collect();
        Ok(Self { user, group, groups })
    }
}

/// `env … setpriv … `, to be followed by a command.
fn wrapper(
    container: &Container,
    variables: &BTreeMap<String, String>,
    user: &User,
) -> Vec<String> {
    let folder = container.working_dir.as_deref().filter(|it| !it.is_empty()).unwrap_or("/");
    let mut words: Vec<String> =
        ["/usr/bin/env", "-i", "-C", folder].into_iter().map(str::to_owned).collect();
    words.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
    words.push("/usr/bin/setpriv".to_owned());
    // Who is not root cannot become anybody else.
    if is_root() {
        words.push(format!("--reuid={}", user.user));
        words.push(format!("--regid={}", user.group));
        if user.groups.is_empty() {
            words.push("--clear-groups".to_owned());
        } else {
            let groups: Vec<_> = user.groups.iter().map(u32::to_string).collect();
            words.push(format!("--groups={}", groups.join(",")));
        }
    }
    let capabilities = container.security_context.as_ref().and_then(|it| it.capabilities.clone());
    let capabilities = capabilities.unwrap_or_default();
    let dropped: Vec<_> = capabilities.drop.iter().flatten().map(|it| it.to_lowercase()).collect();
    let mut kept: Vec<String> = CAPABILITIES.iter().map(|&it| it.to_owned()).collect();
    kept.retain(|it| !dropped.contains(it) && !dropped.iter().any(|it| it == "all"));
    kept.extend(capabilities.add.iter().flatten().map(|it| it.to_lowercase()));
    let mut bounding = "--bounding-set=-all".to_owned();
    for capability in kept {
        write!(bounding, ",+{capability}").expect("a String takes everything");
    }
    words.extend([
        bounding,
        "--inh-caps=-all".to_owned(),
        "--ambient-caps=-all".to_owned(),
        "--no-new-privs".to_owned(),
        "--".to_owned(),
    ]);
    words
}

/// The shell's script that makes the container's root out of the machine's folders and goes there.
async fn script(
    context: &Context,
    container: &Container,
    image: &Image,
    folder: &Path,
    run: u32,
) -> Result<String> {
    let root = folder.join("root");
    fs::create_dir_all(&root)?;
    let last_words = folder.join("termination-log");
    fs::write(&last_words, "")?;
    fs::set_permissions(&last_words, fs::Permissions::from_mode(0o666))?;
    let mut script = format!(
        "set -e\n\
         # Run {run}.\n\
         hostname {hostname} 2>/dev/null || :\n\
         R={root}\n\
         mount -t tmpfs -o mode=755 tmpfs \"$R\"\n\
         cd \"$R\"\n\
         see() {{ if [ -d \"$1\" ]; then mkdir -p \"$R$2\"; else mkdir -p \"$R$(dirname \"$2\")\"; \
         [ -e \"$R$2\" ] || : >\"$R$2\"; fi; mount --bind \"$1\" \"$R$2\"; \
         [ -z \"$3\" ] || mount -o remount,bind,ro \"$R$2\"; }}\n\
         for d in bin sbin lib lib32 lib64 libx32; do \
         if [ -L /$d ]; then cp -a /$d $d; elif [ -d /$d ]; then see /$d /$d ro; fi; done\n\
         see /usr /usr ro\n\
         mkdir etc proc dev var var/tmp home root run\n\
         mkdir -m 1777 tmp dev/shm\n\
         chmod 1777 var/tmp\n\
         mount --rbind /proc proc\n\
         for d in null zero full random urandom; do see /dev/$d /dev/$d; done\n\
         ln -s /proc/self/fd dev/fd\n\
         ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr\n\
         for f in passwd group nsswitch.conf ld.so.cache localtime services; do \
         [ ! -f /etc/$f ] || cp -L /etc/$f etc/$f; done\n\
         for d in ssl alternatives; do [ ! -d /etc/$d ] || see /etc/$d /etc/$d ro; done\n\
         see {names} /etc/lab ro\n\
         ln -s lab/hosts etc/hosts; ln -s lab/resolv.conf etc/resolv.conf\n",
        hostname = quote(&context.name),
        root = quote(&root.to_string_lossy()),
        names = quote(&context.folder.join("etc").to_string_lossy()),
    );
    let mut see = |from: &Path, to: &str, read_only: bool| {
        let from = quote(&from.to_string_lossy());
        let read_only = if read_only { "ro" } else { "''" };
        writeln!(script, "see {from} {} {read_only}", quote(to))
            .expect("a String takes everything");
    };
    let program = Path::new(&image.entrypoint[0]);
    for path in std::iter::once(program).chain(image.folders.iter().map(PathBuf::as_path)) {
        if !["/usr", "/bin", "/sbin", "/lib", "/lib64"].iter().any(|it| path.starts_with(it)) {
            see(path, &path.to_string_lossy(), true);
        }
    }
    let message = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    see(&last_words, message, false);
    let pod = context.pod();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let volumes: BTreeMap<_, _> = volumes.map(|volume| (&volume.name, volume)).collect();
    let mut mounts: Vec<_> = container.volume_mounts.iter().flatten().collect();
    // Outer ones first: what is mounted later hides what is below.
    mounts.sort_by_key(|mount| mount.mount_path.matches('/').count());
    let folders = context.volumes.lock().await;
    for mount in mounts {
        let volume = volumes.get(&mount.name).context("the API server checks that")?;
        let mut from = folders.folder(&mount.name).context("a volume is not mounted")?.to_owned();
        let writable = volume.empty_dir.is_some() || volume.persistent_volume_claim.is_some();
        if let Some(path) = mount.sub_path.as_deref().filter(|it| !it.is_empty()) {
            from.push(path);
            if writable {
                fs::create_dir_all(&from)?;
            }
            // Of what links point to now: a part of a volume is not updated.
            from = from.canonicalize().with_context(|| format!("subPath {path:?}"))?;
        }
        see(&from, &mount.mount_path, mount.read_only == Some(true) || !writable);
    }
    let security = container.security_context.as_ref();
    if let Some(folder) = container.working_dir.as_deref().filter(|it| !it.is_empty()) {
        writeln!(script, "mkdir -p \"$R\"{}", quote(folder))?;
    }
    if security.and_then(|it| it.read_only_root_filesystem) == Some(true) {
        script.push_str("mount -o remount,ro \"$R\"\n");
    }
    script.push_str("exec chroot \"$R\" \"$@\"\n");
    Ok(script)
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
