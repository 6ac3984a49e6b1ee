//! etcd, the API server and the controllers: real processes with their own certificates.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, time::sleep};

use crate::{
    audit::Audit,
    certificates::{Authority, Pair, signing_keys},
    namespace::{NODE_ADDRESS, inside},
    tools::tool,
};

/// The services' addresses; the first one is the API server's own.
const SERVICES: &str = "10.96.0.0/16";
const API_SERVICE: &str = "10.96.0.1";

/// How long the control plane may take to start. Ten seconds are usual, several times that on a
/// machine that is busy with something else.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Who, what, when for everything, and what was sent for writes. Not for Secrets, and not for
/// reviews of tokens, which carry them.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources:
  - group: ""
    resources: [secrets, "serviceaccounts/token"]
  - group: authentication.k8s.io
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
"#;

/// A control plane of one's own; ends when it is dropped, and with the process.
pub struct ControlPlane {
    folder: TempDir,
    client: Client,
    authority: String,
    processes: Vec<(&'static str, Child)>,
}

/// A service account, as `kubectl` users write it.
#[derive(Debug, Clone, Copy)]
pub struct ServiceAccountRef<'a> {
    /// Where it is.
    pub namespace: &'a str,
    /// What it is called there.
    pub name: &'a str,
}

impl ControlPlane {
    /// Starts one and waits until pods are accepted. Only one per process: the ports are fixed, as the
    /// network is private.
    ///
    /// # Errors
    /// Something did not start; the message has the end of its log.
    ///
    /// # Panics
    /// Without [`enter`](crate::enter).
    pub async fn start() -> Result<Self> {
        assert!(inside(), "kubelab::enter() was called first in main");
        let folder = tempfile::Builder::new().prefix("kubelab-").tempdir()?;
        // Containers of other users look for their files in here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let authority = Authority::new("kubelab")?;
        let files = Files { folder: folder.path() };
        files.write(&authority)?;

        let client = client(&files.path("admin.kubeconfig")).await?;
        let authority = authority.pem().to_owned();
        let mut plane = Self { folder, client, authority, processes: Vec::new() };
        let files = Files { folder: plane.folder.path() };
        let (etcd, api_server) = (files.etcd(), files.api_server());
        for (name, mut command) in [("etcd", etcd), ("kube-apiserver", api_server)] {
            plane.processes.push((name, command.spawn().context(name)?));
        }
        plane.until("ready", async |plane| plane.raw("/readyz").await.is_ok()).await?;
        // It gives up after ten seconds without an API server, so it comes second.
        let files = Files { folder: plane.folder.path() };
        let controllers = files.controllers().spawn().context("kube-controller-manager")?;
        plane.processes.push(("kube-controller-manager", controllers));
        // Pods are refused before.
        let accounts: Api<ServiceAccount> = Api::namespaced(plane.client.clone(), "default");
        plane.until("pods", async |_| accounts.get("default").await.is_ok()).await?;
        Ok(plane)
    }

    async fn until(&mut self, what: &str, done: impl AsyncFn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self).await {
            for index in 0..self.processes.len() {
                let (name, process) = &mut self.processes[index];
                let name = *name;
                if let Some(status) = process.try_wait()? {
                    bail!("{name} ended ({status}):\n{}", self.log(name));
                }
            }
            if start.elapsed() > START_LIMIT {
                bail!("the control plane is not {what}:\n{}", self.log("kube-apiserver"));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn raw(&self, path: &str) -> Result<String> {
        let request = http::Request::get(path).body(Vec::new())?;
        Ok(self.client.request_text(request).await?)
    }

    /// A client that may do everything. Other than kube's usual ones it tries nothing again, so that a
    /// test sees a 429 that is meant for it.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client that calls itself something, which is how the [audit log](Self::audit) tells it from
    /// others.
    ///
    /// # Errors
    /// None that depend on the cluster.
    pub async fn client_as(&self, user_agent: &str) -> Result<Client> {
        let mut config = config(&self.kubeconfig()).await?;
        config.headers.push((http::header::USER_AGENT, user_agent.parse()?));
        Ok(Client::try_from(config)?)
    }

    /// A client with exactly the rights of a service account.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn client_for(&self, account: ServiceAccountRef<'_>) -> Result<Client> {
        client(&self.kubeconfig_for(account).await?).await
    }

    /// The file with which `kubectl` may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// A file with which `kubectl` or the operator has exactly the rights of a service account, for
    /// an hour.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn kubeconfig_for(&self, account: ServiceAccountRef<'_>) -> Result<PathBuf> {
        let ServiceAccountRef { namespace, name } = account;
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let wanted = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..Default::default() },
            ..Default::default()
        };
        let answer = api.create_token_request(name, &PostParams::default(), &wanted).await?;
        let token = answer.status.context("the API server gave no token")?.token;
        let user = json!({ "token": token });
        let file = self.folder.path().join(format!("{namespace}.{name}.kubeconfig"));
        fs::write(&file, kubeconfig(&self.authority, &user))?;
        Ok(file)
    }

    /// The address of the API server, for clients outside of pods.
    #[must_use]
    pub fn url(&self) -> String {
        url()
    }

    /// The certificate of the authority that signed the API server's, as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Where its files are: logs, kubeconfigs, and those of the pods.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who asked for what.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.folder.path().join("audit.log"))
    }

    /// The last lines that `etcd`, `kube-apiserver` or `kube-controller-manager` wrote.
    #[must_use]
    pub fn log(&self, program: &str) -> String {
        let file = self.folder.path().join(format!("{program}.log"));
        let log = fs::read(file).unwrap_or_default();
        let end = &log[log.len().saturating_sub(8192)..];
        String::from_utf8_lossy(end).into_owned()
    }

    /// The process of `etcd`, `kube-apiserver` or `kube-controller-manager`, for tests that stop it
    /// where it stands.
    #[must_use]
    pub fn pid(&self, program: &str) -> Option<u32> {
        self.processes.iter().find(|(name, _)| *name == program).map(|(_, process)| process.id())
    }

    /// Runs `kubectl` with all rights and answers what it printed.
    ///
    /// # Errors
    /// It failed; the message is what it printed.
    pub async fn kubectl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        run(self.tool("kubectl").args(arguments), "").await
    }

    /// The same, with a manifest on its standard input: `["apply", "-f", "-"]`.
    ///
    /// # Errors
    /// It failed; the message is what it printed.
    pub async fn kubectl_with<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        manifest: &str,
    ) -> Result<String> {
        run(self.tool("kubectl").args(arguments), manifest).await
    }

    /// Runs Helm 3 with all rights and answers what it printed.
    ///
    /// # Errors
    /// It failed; the message is what it printed.
    pub async fn helm3<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        run(self.tool("helm3").args(arguments), "").await
    }

    /// Runs Helm 4 with all rights and answers what it printed.
    ///
    /// # Errors
    /// It failed; the message is what it printed.
    pub async fn helm4<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        run(self.tool("helm4").args(arguments), "").await
    }

    /// One of `kubectl`, `helm3`, `helm4`, set up for this cluster, with its files in the lab's folder.
    #[must_use]
    pub fn tool(&self, name: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(tool(name));
        let home = self.folder.path().join("home");
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &home)
            .env("HELM_CACHE_HOME", home.join("helm-cache"))
            .env("HELM_CONFIG_HOME", home.join("helm-config"))
            .env("HELM_DATA_HOME", home.join("helm-data"))
            .env_remove("HELM_NAMESPACE")
            .kill_on_drop(true);
        command
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.path();
        formatter.debug_struct("ControlPlane").field("folder", &folder).finish_non_exhaustive()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // The clients of etcd before etcd.
        for (_, process) in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

async fn run(command: &mut tokio::process::Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().with_context(|| format!("{command:?}"))?;
    let mut stdin = process.stdin.take().context("it was piped")?;
    // Who does not read it has failed or does not want it.
    let (_, output) = tokio::join!(
        async move {
            let _ = stdin.write_all(input.as_bytes()).await;
        },
        process.wait_with_output()
    );
    let output = output?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} ({}): {printed}{errors}", command.as_std(), output.status);
    }
    Ok(printed)
}

/// The files of a control plane, and the commands that name them.
struct Files<'a> {
    folder: &'a Path,
}

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, authority: &Authority) -> Result<()> {
        let put = |name: &str, text: &str| fs::write(self.path(name), text);
        let put_pair = |name: &str, pair: &Pair| {
            put(&format!("{name}.crt"), &pair.certificate)?;
            put(&format!("{name}.key"), &pair.key)
        };
        // The API server believes whoever comes with a certificate of the second authority that a
        // request is a certain user's, so it is not the one that clients have theirs from.
        let proxies = Authority::new("kubelab-front-proxy")?;
        put("ca.crt", authority.pem())?;
        put("front-proxy-ca.crt", proxies.pem())?;
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "127.0.0.1",
            API_SERVICE,
            &NODE_ADDRESS.to_string(),
        ];
        put_pair("server", &authority.server(&names)?)?;
        put_pair("front-proxy", &proxies.client("front-proxy-client", None)?)?;
        let (signing, checking) = signing_keys()?;
        put("service-accounts.key", &signing)?;
        put("service-accounts.pub", &checking)?;
        put("audit-policy.yaml", AUDIT_POLICY)?;
        for (file, user, group) in [
            ("admin.kubeconfig", "kubelab-admin", Some("system:masters")),
            ("kubelet.kubeconfig", "kubelab-kubelet", Some("system:masters")),
            ("controllers.kubeconfig", "system:kube-controller-manager", None),
        ] {
            let pair = authority.client(user, group)?;
            let user = json!({
                "client-certificate-data": base64(&pair.certificate),
                "client-key-data": base64(&pair.key),
            });
            put(file, &kubeconfig(authority.pem(), &user))?;
        }
        fs::create_dir_all(self.path("home"))?;
        Ok(())
    }

    /// One of the programs, with its output in a log.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(tool(name));
        let log = File::create(self.path(&format!("{name}.log"))).expect("a log can be written");
        let errors = log.try_clone().expect("a file can be opened twice");
        command.current_dir(self.folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        command
    }

    fn etcd(&self) -> Command {
        let mut command = self.command("etcd");
        command.arg("--data-dir=etcd").args([
            "--unsafe-no-fsync",
            "--log-level=warn",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ]);
        command
    }

    fn api_server(&self) -> Command {
        let mut command = self.command("kube-apiserver");
        command
            .args([
                "--etcd-servers=http://127.0.0.1:2379",
                "--bind-address=0.0.0.0",
                "--secure-port=6443",
                "--cert-dir=.",
                "--tls-cert-file=server.crt",
                "--tls-private-key-file=server.key",
                "--client-ca-file=ca.crt",
                "--authorization-mode=RBAC",
                // Not on by default, but some clusters have it: an owner reference that blocks the
                // owner's deletion needs the right to the owner's finalizers.
                "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                "--service-account-key-file=service-accounts.pub",
                "--service-account-signing-key-file=service-accounts.key",
                "--requestheader-client-ca-file=front-proxy-ca.crt",
                "--requestheader-allowed-names=front-proxy-client",
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                "--proxy-client-cert-file=front-proxy.crt",
                "--proxy-client-key-file=front-proxy.key",
                "--audit-policy-file=audit-policy.yaml",
                "--audit-log-path=audit.log",
                // One file, however long.
                "--audit-log-maxsize=100000",
            ])
            .arg(format!("--service-cluster-ip-range={SERVICES}"))
            .arg(format!("--advertise-address={NODE_ADDRESS}"));
        command
    }

    fn controllers(&self) -> Command {
        let mut command = self.command("kube-controller-manager");
        command.args([
            "--kubeconfig=controllers.kubeconfig",
            "--authentication-kubeconfig=controllers.kubeconfig",
            "--authorization-kubeconfig=controllers.kubeconfig",
            "--use-service-account-credentials",
            "--service-account-private-key-file=service-accounts.key",
            "--root-ca-file=ca.crt",
            "--bind-address=127.0.0.1",
            "--cert-dir=.",
            "--leader-elect=false",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            // As slow as a busy machine, so that no test loses its node.
            "--node-monitor-grace-period=300s",
            // Everything a test would otherwise wait minutes for.
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--horizontal-pod-autoscaler-downscale-stabilization=10s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
            "--pvclaimbinder-sync-period=2s",
        ]);
        command
    }
}

fn url() -> String {
    format!("https://{NODE_ADDRESS}:6443")
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

/// YAML is a superset of JSON.
fn kubeconfig(authority: &str, user: &serde_json::Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{ "name": "lab", "cluster": {
            "server": url(), "certificate-authority-data": base64(authority),
        }}],
        "users": [{ "name": "lab", "user": user }],
        "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": "lab" }}],
    })
    .to_string()
}

/// For tests: what the API server answers is what they see, without being tried again.
async fn config(kubeconfig: &Path) -> Result<Config> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(config)
}

/// For the nodes, whose requests are tried again as usual.
pub(crate) async fn node_client(plane: &ControlPlane) -> Result<Client> {
    let mut config = config(&plane.folder().join("kubelet.kubeconfig")).await?;
    config.default_retry = true;
    config.headers.push((http::header::USER_AGENT, "kubelab-kubelet".parse()?));
    Ok(Client::try_from(config)?)
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config(kubeconfig).await?)?)
}
