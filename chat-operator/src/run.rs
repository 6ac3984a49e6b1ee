//! One process of the operator from its first log line to its last.

use std::time::Duration;

use anyhow::{Context, bail};
use chat_operator::{
    client, controller, installed,
    lease::{self, Candidacy, Leadership, Terms},
    settings::Settings,
    telemetry,
    web::{self, Health},
};
use kube::Client;
use tokio::{net::TcpListener, signal, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::Run;

/// For the pass in hand when the process is to end: below the 30 s after which a pod is killed, with
/// time left to release the lease.
const FINISH: Duration = Duration::from_secs(20);

/// Between two attempts to reach the API server at the start: from the first to the last, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What runs beside the work, and how it is ended.
struct Beside<T> {
    stop: CancellationToken,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Beside<T> {
    fn start<F: Future<Output = T> + Send + 'static>(
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run(stop.clone())), stop }
    }

    async fn end(self) -> anyhow::Result<T> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

/// Until SIGTERM or Ctrl-C: then the pass in hand is finished and the lease is released.
pub(crate) async fn run(options: Run) -> anyhow::Result<()> {
    telemetry::start_logging(&options.log_level, options.log_format);
    let metrics = telemetry::start_metrics()?;
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(until_told(shutdown.clone())?);
    let health = Health::default();
    let listen = options.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("cannot use {listen}"))?;
    // Tests ask for a free port and read it here.
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %listener.local_addr()?,
        "chat-operator"
    );
    let web = Beside::start({
        let health = health.clone();
        |stop| web::serve(listener, health, metrics, stop)
    });
    let worked = work(options, &health, shutdown).await;
    web.end().await?;
    signals.abort();
    if worked.is_ok() {
        tracing::info!("ended in good order");
    }
    worked
}

async fn work(options: Run, health: &Health, shutdown: CancellationToken) -> anyhow::Result<()> {
    let terms = Terms {
        lease: options.lease_duration,
        renew: options.renew_deadline,
        retry: options.retry_period,
    }
    .check()?;
    let config = client::config().await?;
    let home = options.pod_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let instance = options.pod_name.clone().unwrap_or_else(|| "chat-operator".to_owned());
    let unfenced = client::unfenced(config.clone())?;
    let namespaces: Vec<_> = options.namespaces.into_iter().filter(|it| !it.is_empty()).collect();
    let everywhere = namespaces.is_empty();
    let reached = shutdown.run_until_cancelled(reach(&unfenced, everywhere, health)).await;
    if reached.is_none() {
        return Ok(());
    }
    let settings = Settings {
        namespaces,
        template_upgrade: options.template_upgrade,
        scale_down_window: options.scale_down_window,
        operator_namespace: options.pod_namespace,
        instance: instance.clone(),
    };
    if !options.leader_elect {
        let leadership = Leadership::alone();
        let fenced = client::fenced(config, leadership.clone(), health.clone())?;
        return reconcile(fenced, settings, shutdown).await;
    }
    let candidacy = Candidacy {
        namespace: home,
        name: options.lease_name,
        identity: lease::identity(&instance),
        terms,
    };
    tracing::info!(
        identity = candidacy.identity,
        namespace = candidacy.namespace,
        lease = candidacy.name,
        "standing by"
    );
    let (campaign, mut leadership) = lease::elect(unfenced, candidacy, health.clone());
    let mut campaign = Beside::start(|stop| campaign.run(stop));
    let fenced = client::fenced(config, leadership.clone(), health.clone())?;
    let worked = tokio::select! {
        // It ends before it is told to only if something is wrong.
        ended = &mut campaign.task => return Err(match ended {
            Ok(Ok(())) => anyhow::anyhow!("the election ended by itself"),
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        }),
        worked = async {
            match shutdown.run_until_cancelled(leadership.acquired()).await {
                Some(()) => reconcile(fenced, settings, shutdown.clone()).await,
                None => Ok(()),
            }
        } => worked,
    };
    // Only now, when nothing is written any more.
    campaign.end().await??;
    worked
}

/// The work itself, and its end within bounds. Dropping the future ends it where it is; what is under
/// way then is refused as soon as the lease is released.
async fn reconcile(
    client: Client,
    settings: Settings,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(namespaces = ?settings.namespaces, "looking after chats");
    let overtime = async {
        shutdown.cancelled().await;
        sleep(FINISH).await;
    };
    tokio::select! {
        () = controller::run(client, settings, shutdown.clone()) => {
            if !shutdown.is_cancelled() {
                bail!("the controller ended by itself");
            }
        }
        () = overtime => tracing::warn!("a pass took too long to be finished, and was cut off"),
    }
    Ok(())
}

/// Returns when the API server has answered, and has told what is installed. Of that only an operator
/// of all namespaces asks: definitions are in none, so any other may not read them.
async fn reach(client: &Client, everywhere: bool, health: &Health) {
    let mut pause = BACK_OFF.0;
    loop {
        let checked = if everywhere {
            installed::check(client).await.map(drop)
        } else {
            client.apiserver_version().await.map(drop).context("the API server does not answer")
        };
        health.tried(checked.is_ok());
        match checked {
            Ok(()) => return,
            Err(error) => tracing::warn!("{error:#}"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// Listens at once, so that no signal is missed, and says so when one comes.
fn until_told(shutdown: CancellationToken) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end: finishing what is in hand");
        shutdown.cancel();
    })
}
