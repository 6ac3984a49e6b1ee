//! Asks a container whether it has started, lives and is ready.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{interval, sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use tokio_util::task::AbortOnDropHandle;

use super::{container::Prepared, pod::Context};

/// What the probes have found out.
#[derive(Debug)]
pub(super) enum Finding {
    /// The startup probe has succeeded, or there is none.
    Started,
    /// The readiness probe says so, or there is none.
    Ready(bool),
    /// It must be ended: why.
    Dead(String),
}

/// Which of the three.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// Probes until dropped.
pub(super) async fn watch(
    context: Arc<Context>,
    container: &Container,
    prepared: &Prepared,
    pid: u32,
    findings: mpsc::Sender<Finding>,
) {
    let target = Target { context, container, prepared, pid };
    let tell = async |finding| {
        // Nobody listens any more when the container has ended.
        let _ = findings.send(finding).await;
    };
    if let Some(probe) = &container.startup_probe {
        target.follow(Kind::Startup, probe, &findings).await;
    }
    tell(Finding::Started).await;
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            target.follow(Kind::Liveness, probe, &findings).await;
        }
    };
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => target.follow(Kind::Readiness, probe, &findings).await,
            None => tell(Finding::Ready(true)).await,
        }
    };
    tokio::join!(liveness, readiness);
    // Whoever polls us waits for findings, not for an end.
    std::future::pending::<()>().await;
}

struct Target<'a> {
    context: Arc<Context>,
    container: &'a Container,
    prepared: &'a Prepared,
    pid: u32,
}

impl Target<'_> {
    /// Probes again and again; a startup probe until it succeeds.
    async fn follow(&self, kind: Kind, probe: &Probe, findings: &mpsc::Sender<Finding>) {
        let seconds = |it: Option<i32>, otherwise: u32| {
            let seconds = it.and_then(|it| u32::try_from(it).ok()).unwrap_or(otherwise);
            Duration::from_secs(seconds.into())
        };
        sleep(seconds(probe.initial_delay_seconds, 0)).await;
        let limit = seconds(probe.timeout_seconds.filter(|it| *it > 0), 1);
        let mut period = interval(seconds(probe.period_seconds.filter(|it| *it > 0), 10));
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut successes, mut failures) = (0, 0);
        loop {
            period.tick().await;
            let result = match timeout(limit, self.ask(probe)).await {
                Ok(result) => result,
                Err(_) => Err(anyhow::anyhow!("no answer within {limit:?}")),
            };
            match result {
                Ok(()) => (successes, failures) = (successes + 1, 0),
                Err(_) => (successes, failures) = (0, failures + 1),
            }
            let succeeded = successes >= probe.success_threshold.unwrap_or(1);
            let failed = failures >= probe.failure_threshold.unwrap_or(3);
            let finding = match (kind, &result) {
                (Kind::Startup, Ok(())) if succeeded => return,
                (Kind::Readiness, Ok(())) if succeeded => Finding::Ready(true),
                (Kind::Readiness, Err(_)) if failed => Finding::Ready(false),
                (Kind::Startup | Kind::Liveness, Err(error)) if failed => {
                    let name = match kind {
                        Kind::Startup => "startup",
                        Kind::Liveness | Kind::Readiness => "liveness",
                    };
                    let container = &self.container.name;
                    Finding::Dead(format!("Container {container} failed {name} probe: {error:#}"))
                }
                (Kind::Startup | Kind::Liveness | Kind::Readiness, _) => continue,
            };
            if findings.send(finding).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self, probe: &Probe) -> Result<()> {
        if let Some(http) = &probe.http_get {
            return self.ask_http(http).await;
        }
        if let Some(tcp) = &probe.tcp_socket {
            TcpStream::connect(self.address(&tcp.port)?).await?;
            return Ok(());
        }
        if let Some(exec) = &probe.exec {
            let command = exec.command.as_deref().unwrap_or_default();
            let status = self.prepared.exec(self.pid, command).status().await?;
            if !status.success() {
                bail!("the command failed ({status})");
            }
            return Ok(());
        }
        bail!("kubelab knows no such kind of probe")
    }

    fn address(&self, port: &IntOrString) -> Result<SocketAddr> {
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => self
                .container
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_ref() == Some(name))
                .map(|port| port.container_port),
        };
        let number = number.and_then(|it| u16::try_from(it).ok());
        let number = number.with_context(|| format!("no such port: {port:?}"))?;
        Ok((self.context.address(), number).into())
    }

    async fn ask_http(&self, get: &HTTPGetAction) -> Result<()> {
        let address = self.address(&get.port)?;
        let stream = TcpStream::connect(address).await?;
        let path = get.path.as_deref().unwrap_or("/");
        let mut request =
            http::Request::get(path).header(http::header::USER_AGENT, "kube-probe/1.35");
        let mut host = get.host.clone().unwrap_or_else(|| address.to_string());
        for header in get.http_headers.iter().flatten() {
            if header.name.eq_ignore_ascii_case("host") {
                host.clone_from(&header.value);
            } else {
                request = request.header(&header.name, &header.value);
            }
        }
        let request = request.header(http::header::HOST, host).body(Empty::<&[u8]>::new())?;
        let status = if get.scheme.as_deref() == Some("HTTPS") {
            let name = ServerName::IpAddress(self.context.address().into());
            let stream = trusting()?.connect(name, stream).await?;
            send(stream, request).await?
        } else {
            send(stream, request).await?
        };
        // Redirects count as an answer.
        if !(200..400).contains(&status) {
            bail!("HTTP probe failed with statuscode: {status}");
        }
        Ok(())
    }
}

async fn send<S>(stream: S, request: http::Request<Empty<&'static [u8]>>) -> Result<u16>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    // To its end, as some servers dislike being left.
    while let Some(frame) = answer.body_mut().frame().await {
        frame?;
    }
    Ok(status)
}

fn trusting() -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms.supported_schemes())))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Probes do not look at certificates.
#[derive(Debug)]
struct AnyCertificate(Vec<SignatureScheme>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
