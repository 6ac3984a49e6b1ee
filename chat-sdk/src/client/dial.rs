//! From an address to a stream of bytes: TCP, and TLS where the address says so.

use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::tls::{self, TlsError, TlsRoots};

/// A stream to a server.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where a chat is mounted: `http`, `https`, `ws` or `wss`, and a path without the route.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Reads an address; `/ws` at its end is taken off.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|why| format!("not an address: {why}"))?;
        let secure = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            Some(_) | None => return Err("not an address of http, https, ws or wss".to_owned()),
        };
        let host = uri.host().ok_or("an address without a host")?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/ws").unwrap_or(path).to_owned();
        Ok(Self { secure, host, port, path })
    }

    /// The host and port, as the `Host` header has them.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The path of a route of the chat.
    pub(super) fn path(&self, route: &str) -> String {
        format!("{}{route}", self.path)
    }
}

/// Opens streams, all with the same trusted authorities.
#[derive(Debug)]
pub(super) struct Dialler {
    roots: TlsRoots,
    /// Made when it is needed first: the machine's authorities are files to be read.
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl Dialler {
    /// Authorities of one's own are read at once.
    pub(super) fn new(roots: TlsRoots) -> Result<Self, TlsError> {
        let config = match &roots {
            TlsRoots::System => None,
            TlsRoots::Pem(_) => Some(tls::client_config(&roots)?),
        };
        Ok(Self { roots, config: Mutex::new(config) })
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut held = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(config) => Ok(config.clone()),
            None => Ok(held.insert(tls::client_config(&self.roots)?).clone()),
        }
    }

    /// A stream, or why there is none, for people.
    pub(super) async fn dial(&self, target: &Target) -> Result<Box<dyn Io>, String> {
        let host = target.host.trim_matches(['[', ']']);
        let socket = TcpStream::connect((host, target.port));
        let socket = socket.await.map_err(|why| why.to_string())?;
        // Frames are small and somebody waits for each.
        socket.set_nodelay(true).map_err(|why| why.to_string())?;
        if !target.secure {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|why| why.to_string())?;
        let config = self.config().map_err(|why| why.to_string())?;
        let tls = tokio_rustls::TlsConnector::from(config).connect(name, socket);
        Ok(Box::new(tls.await.map_err(|why| format!("TLS: {why}"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_the_chat_is_mounted() {
        for (url, authority, ws) in [
            ("http://localhost:8080", "localhost:8080", "/ws"),
            ("wss://chat.example.org/ws", "chat.example.org:443", "/ws"),
            ("https://example.org/chat/", "example.org:443", "/chat/ws"),
            ("ws://[::1]:9", "[::1]:9", "/ws"),
        ] {
            let target = Target::new(url).unwrap();
            assert_eq!((target.authority(), target.path("/ws")), (authority.into(), ws.into()));
        }
        for odd in ["", "localhost:80", "ftp://x", "/ws"] {
            assert!(Target::new(odd).is_err(), "{odd}");
        }
    }
}
