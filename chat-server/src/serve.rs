//! The life of the server: start everything, say where it is, serve, and leave in good order.

use std::{
    convert::Infallible,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    assets::EMBEDDED,
    banner::{Banner, LogIn, MetricsAt, reachable},
    config::{Config, Drain, Metrics, StoreChoice},
    data_dir::{DataDir, Occupied},
    door::Door,
    health::Readiness,
    node::Node,
    router::Router,
    telemetry,
    tls::{Renewal, Tls},
};

/// Connections that may scrape at a time.
const SCRAPERS_MAX: usize = 32;

/// A server that has everything it needs and does not let anybody in yet.
pub(crate) struct Server {
    config: Config,
    /// Of a store that is one server's.
    data: Option<(DataDir, Occupied)>,
    node: Node,
    listener: TcpListener,
    metrics: MetricsAt,
    scraping: Option<(Door, PrometheusHandle)>,
    /// The certificate of the door, and what renews it.
    tls: Option<(Tls, Renewal, Signal)>,
    signals: Signals,
}

impl Server {
    /// Takes the data folder and the ports, and starts the chat.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        // From here on a signal is an orderly end, however early it comes.
        let signals = Signals::new().context("cannot listen for signals")?;
        let data = match &config.store {
            StoreChoice::Sqlite(_) => {
                let data = DataDir::open(&config.data_dir)?;
                let occupied = data.occupy()?;
                Some((data, occupied))
            }
            StoreChoice::Postgres(_) => None,
        };
        let listener = bind(config.listen).await?;
        let tls = match config.tls.clone() {
            None => None,
            Some(files) => {
                let (tls, renewal) = Renewal::begin(files).context("cannot use TLS")?;
                let hangup = signal(SignalKind::hangup()).context("cannot listen for signals")?;
                Some((tls, renewal, hangup))
            }
        };
        // Before the chat, so that it counts from its first step.
        let (metrics, scraping) = open_metrics(config.metrics, config.http.header_timeout).await?;
        let node = Node::start(&config).await?;
        Ok(Self { config, data, node, listener, metrics, scraping, tls, signals })
    }

    /// The chat.
    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    /// Lets everybody in, says where, and serves until a signal comes and all is done.
    pub(crate) async fn run(mut self, log_ins: Vec<LogIn>) -> anyhow::Result<ExitCode> {
        let listen = self.listener.local_addr()?;
        let (leave, leaving) = watch::channel(false);
        let readiness = Readiness::new(self.node.clone());
        let router = Arc::new(Router::new(
            self.node.clone(),
            Arc::clone(&readiness),
            self.config.http.trusted_proxies.clone(),
        ));
        let door = Door {
            name: "public",
            listener: self.listener,
            connections_max: self.config.http.connections_max,
            header_timeout: self.config.http.header_timeout,
            tls: self.tls.as_ref().map(|(tls, ..)| tls.clone()),
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut renewing = JoinSet::new();
        if let Some((_, renewal, hangup)) = self.tls {
            renewing.spawn(renewal.run(hangup));
        }
        let answer = move |request, peer| Arc::clone(&router).answer(request, peer);
        let mut doors = JoinSet::new();
        doors.spawn(door.serve(answer, leaving.clone()));
        if let Some((door, handle)) = self.scraping {
            let answer = move |request: Request<_>, _: SocketAddr| {
                let answer = scrape(&handle, &request);
                async { answer }
            };
            doors.spawn(door.serve(answer, leaving));
        }

        let url = self.config.public_url.clone();
        let banner = Banner {
            url: url.unwrap_or_else(|| format!("{scheme}://{}", reachable(listen))),
            listen,
            store: match &self.config.store {
                StoreChoice::Sqlite(path) => {
                    format!("SQLite, {}", std::path::absolute(path)?.display())
                }
                StoreChoice::Postgres(choice) => format!("PostgreSQL, {}", choice.url),
            },
            bus: self.config.bus.as_ref().map(|bus| format!("Redis, {bus}")),
            data_dir: self.data.as_ref().map(|(data, _)| data.path().to_owned()),
            metrics: self.metrics,
            setup_code: self.node.accounts().setup_code(),
            has_front_end: EMBEDDED.is_there(),
            dev_user_ids: self.config.auth.dev_user_ids,
            log_ins,
        };
        // Nobody may be reading; the server works all the same.
        let _ = write!(io::stdout().lock(), "{banner}").and_then(|()| io::stdout().flush());
        tracing::info!(%listen, url = banner.url, "ready");

        let stop = tokio::select! {
            stop = self.signals.next() => stop,
            // A server that nobody can reach should end, so that somebody starts it again.
            Some(ended) = doors.join_next() => {
                ended?;
                bail!("a door closed by itself");
            }
        };
        let leaving = Leaving { node: self.node, readiness, leave, doors };
        let drain = stop.patience(self.config.drain);
        tracing::info!(signal = stop.name(), "leaving; a second signal ends at once");
        tokio::select! {
            done = timeout(drain.limit, leaving.finish(drain)) => match done {
                Ok(()) => Ok(ExitCode::SUCCESS),
                Err(_) => {
                    tracing::error!(limit_ms = drain.limit.as_millis(), "left with work undone: the limit came first");
                    Ok(ExitCode::FAILURE)
                }
            },
            again = self.signals.next() => {
                tracing::warn!(signal = again.name(), "ended at once");
                Ok(ExitCode::from(again.exit_code()))
            }
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is taken: another server runs there")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("{address} may not be opened by this user")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
    })
}

async fn open_metrics(
    metrics: Metrics,
    header_timeout: Duration,
) -> anyhow::Result<(MetricsAt, Option<(Door, PrometheusHandle)>)> {
    let listener = match metrics {
        Metrics::Off => return Ok((MetricsAt::Off, None)),
        Metrics::At(address) => bind(address).await?,
        Metrics::Try(address) => match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%address, %error, "no metrics");
                return Ok((MetricsAt::PortTaken(address), None));
            }
        },
    };
    let at = listener.local_addr()?;
    let connections_max = SCRAPERS_MAX;
    // For those who scrape from inside; no certificate for people names that address.
    let door = Door { name: "metrics", listener, connections_max, header_timeout, tls: None };
    Ok((MetricsAt::At(at), Some((door, telemetry::metrics::start()?))))
}

fn scrape<B>(
    handle: &PrometheusHandle,
    request: &Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.uri().path() == "/metrics" {
        *response.body_mut() = Full::from(telemetry::metrics::render(handle));
        let format = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// What has to end, and in which order.
struct Leaving {
    node: Node,
    readiness: Arc<Readiness>,
    leave: watch::Sender<bool>,
    doors: JoinSet<()>,
}

impl Leaving {
    async fn finish(mut self, drain: Drain) {
        // Load balancers look elsewhere while everything still works,
        self.readiness.leave();
        sleep(drain.notice).await;
        // then clients move; requests are still answered, new ones with a refusal that says when
        // to come back,
        self.node.shut_down(drain.clients).await;
        // and at last the doors close behind the requests that are being answered.
        self.leave.send_replace(true);
        while let Some(ended) = self.doors.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a door did not close by itself");
            }
        }
        self.node.close_store().await;
        tracing::info!("done");
    }
}

/// Why the server leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// SIGTERM: somebody plans it.
    Terminate,
    /// SIGINT: somebody pressed Ctrl-C and waits.
    Interrupt,
}

impl Stop {
    const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// As shells count it: 128 and the number of the signal.
    const fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }

    /// Who waits at a terminal has no second server that clients could move to; what is in flight
    /// is finished all the same.
    const fn patience(self, drain: Drain) -> Drain {
        match self {
            Self::Terminate => drain,
            Self::Interrupt => Drain { notice: Duration::ZERO, clients: Duration::ZERO, ..drain },
        }
    }
}

/// The signals that end the server.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one. Dropping the future loses none.
    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}
