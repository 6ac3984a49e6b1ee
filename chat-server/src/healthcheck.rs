//! Asks a running server whether it is well, for containers that have no `curl`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{banner::reachable, cli::Healthcheck, config::Config};

/// Time for each step; what takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are looked at: all of ours are shorter.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Fails with the reason if it is not.
pub(crate) fn run(ask: &Healthcheck, config: &Config) -> anyhow::Result<()> {
    let path = if ask.live { "/healthz" } else { "/readyz" };
    let (address, host) = match &ask.url {
        Some(url) => resolve(url)?,
        None if config.listen.port() == 0 => {
            bail!("the server took a free port; give it with --url")
        }
        None => (reachable(config.listen), reachable(config.listen).to_string()),
    };
    let answer = get(address, &host, path).with_context(|| format!("no answer from {address}"))?;
    let (status, body) = parse(&answer).context("that is no HTTP server")?;
    if status == 200 {
        return Ok(());
    }
    bail!("{path} answered {status}: {body}")
}

fn resolve(url: &str) -> anyhow::Result<(SocketAddr, String)> {
    let uri: http::Uri = url.parse().context("not a URL")?;
    let host = match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => authority,
        (_, _) => bail!("expected a URL like http://127.0.0.1:8080"),
    };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let address = (name, host.port_u16().unwrap_or(80))
        .to_socket_addrs()
        .with_context(|| format!("cannot find {name}"))?
        .next()
        .with_context(|| format!("{name} has no address"))?;
    Ok((address, host.to_string()))
}

fn get(address: SocketAddr, host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
