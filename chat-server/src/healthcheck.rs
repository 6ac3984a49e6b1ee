//! Asks a running server whether it is well, for containers that have no `curl`.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{banner::reachable, cli::Healthcheck, config::Config};

/// Time for each step; what takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are looked at: all of ours are shorter.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Fails with the reason if it is not.
pub(crate) fn run(ask: &Healthcheck, config: &Config) -> anyhow::Result<()> {
    let path = if ask.live { "/healthz" } else { "/readyz" };
    let Server { address, host, tls } = match &ask.url {
        Some(url) => resolve(url)?,
        None if config.listen.port() == 0 => {
            bail!("the server took a free port; give it with --url")
        }
        None => {
            let address = reachable(config.listen);
            Server { address, host: address.to_string(), tls: config.tls.is_some() }
        }
    };
    let answer =
        get(address, &host, tls, path).with_context(|| format!("no answer from {address}"))?;
    let (status, body) = parse(&answer).context("that is no HTTP server")?;
    if status == 200 {
        return Ok(());
    }
    bail!("{path} answered {status}: {body}")
}

/// Who is asked.
struct Server {
    address: SocketAddr,
    /// As it calls itself.
    host: String,
    tls: bool,
}

fn resolve(url: &str) -> anyhow::Result<Server> {
    let uri: http::Uri = url.parse().context("not a URL")?;
    let (tls, host) = match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => (false, authority),
        (Some("https"), Some(authority)) => (true, authority),
        (_, _) => bail!("expected a URL like http://127.0.0.1:8080"),
    };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let address = (name, host.port_u16().unwrap_or(if tls { 443 } else { 80 }))
        .to_socket_addrs()
        .with_context(|| format!("cannot find {name}"))?
        .next()
        .with_context(|| format!("{name} has no address"))?;
    Ok(Server { address, host: host.to_string(), tls })
}

fn get(address: SocketAddr, host: &str, tls: bool, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if !tls {
        return converse(stream, host, path);
    }
    let name = ServerName::IpAddress(address.ip().into());
    let tls = client().and_then(|config| ClientConnection::new(Arc::new(config), name));
    converse(StreamOwned::new(tls.map_err(io::Error::other)?, stream), host, path)
}

fn converse(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<String> {
    // In one piece: `write!` would send each part of it in a packet of its own.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn client() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Takes any certificate. What is asked is this machine itself, by an address that no certificate
/// names; nothing secret is said, and nobody learns more than that a server is well. A certificate
/// that has run out is for those who watch it: to end a server that works would mend nothing.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn parse(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_or_is_none() {
        assert_eq!(parse("HTTP/1.1 503 No\r\nA: b\r\n\r\nwhy"), Some((503, "why")));
        for bad in ["", "HTTP/1.1 2", "SSH-2.0\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
