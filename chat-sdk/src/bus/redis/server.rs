//! One Redis server: where it is, and how a connection to it is made.
//!
//! The library speaks the protocol; the socket and TLS are ours, because the library takes whatever
//! cryptography the process has chosen, and panics if nobody has.

use std::{fmt, io, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, PushInfo,
    RedisConnectionInfo, RedisError, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::RedisOptionsError;
use crate::tls;

/// How long it may take until a server has greeted us: a lookup, TCP, TLS, the password.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the other end may leave what we sent unconfirmed, and silence until it is asked for
/// a sign of life: the kernel then ends the connection. Above our own deadlines, which are the
/// ones that count; this is for whatever does not wait for an answer.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("it did not answer in time")]
    TimedOut,
    #[error("no connection")]
    Socket(#[source] io::Error),
    #[error("its name cannot stand in a certificate")]
    Name,
    #[error("it refused us")]
    Refused(#[source] RedisError),
}

/// What all servers of one bus have in common: who we are, and whom we trust.
pub(super) struct Access {
    who: RedisConnectionInfo,
    tls: Option<TlsConnector>,
}

impl Access {
    /// Reads URLs: where to begin, and how to come in. What the first says about the user, the
    /// database and TLS is true of all.
    pub(super) fn read(
        urls: &[String],
        roots: &tls::TlsRoots,
    ) -> Result<(Vec<Address>, Self), RedisOptionsError> {
        let mut addresses = Vec::new();
        let mut first = None;
        for (index, url) in urls.iter().enumerate() {
            // Of what is wrong with it nothing is said, because a password stands in it.
            let read = url.as_str().into_connection_info();
            let read = read.map_err(|_| RedisOptionsError::Url { index })?;
            let (host, port, encrypted) = match read.addr() {
                ConnectionAddr::Tcp(host, port) => (host, port, false),
                ConnectionAddr::TcpTls { host, port, insecure: false, .. } => (host, port, true),
                _ => return Err(RedisOptionsError::Url { index }),
            };
            addresses.push(Address { host: host.clone(), port: *port });
            let (_, all_encrypted) =
                first.get_or_insert_with(|| (read.redis_settings().clone(), encrypted));
            if *all_encrypted != encrypted {
                return Err(RedisOptionsError::MixedTls);
            }
        }
        let (who, encrypted) = first.ok_or(RedisOptionsError::NoUrl)?;
        let who = who
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let tls = match encrypted {
            true => Some(tls::client_config(roots).map_err(RedisOptionsError::Tls)?.into()),
            false => None,
        };
        Ok((addresses, Self { who, tls }))
    }

    /// Connects and signs in, within a second. Every answer that takes longer than `patience` is an
    /// error; what the server says unasked goes to `ear`.
    pub(super) async fn connect(
        &self,
        address: &Address,
        patience: Duration,
        ear: Option<Arc<dyn Ear>>,
    ) -> Result<Connection, ConnectError> {
        let mut config = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
        if let Some(ear) = ear {
            config = config.set_push_sender(Pushes(ear));
        }
        let connecting = async {
            let socket = open(address).await.map_err(ConnectError::Socket)?;
            match &self.tls {
                None => self.greet(socket, config).await,
                Some(tls) => {
                    let name = ServerName::try_from(address.host.clone());
                    let name = name.map_err(|_| ConnectError::Name)?;
                    let socket = tls.connect(name, socket).await.map_err(ConnectError::Socket)?;
                    self.greet(socket, config).await
                }
            }
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn greet(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        config: AsyncConnectionConfig,
    ) -> Result<Connection, ConnectError> {
        let (sender, driver) = MultiplexedConnection::new_with_config(&self.who, socket, config)
            .await
            .map_err(ConnectError::Refused)?;
        let ended = CancellationToken::new();
        let ending = ended.clone().drop_guard();
        let driver = tokio::spawn(async move {
            driver.await;
            drop(ending);
        });
        Ok(Connection { sender, ended, _driver: AbortOnDropHandle::new(driver) })
    }
}

async fn open(address: &Address) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    socket.set_nodelay(true)?;
    let options = SockRef::from(&socket);
    let keepalive = TcpKeepalive::new().with_time(UNCONFIRMED_MAX);
    options.set_tcp_keepalive(&keepalive.with_interval(UNCONFIRMED_MAX / 4))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    options.set_tcp_user_timeout(Some(UNCONFIRMED_MAX))?;
    Ok(socket)
}

/// Takes what a server says unasked. Called by the task that reads the socket: must not wait.
pub(super) trait Ear: Send + Sync + 'static {
    fn hear(&self, push: PushInfo);
}

struct Pushes(Arc<dyn Ear>);

impl AsyncPushSender for Pushes {
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        self.0.hear(push);
        Ok(())
    }
}

/// A connection, closed when this is dropped. Any number of calls share it: what they ask is sent
/// at once and answered in order.
pub(super) struct Connection {
    sender: MultiplexedConnection,
    ended: CancellationToken,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    /// Asks several things in one go; the answers in order, refusals among them. An error means
    /// that the connection is of no use any more.
    pub(super) async fn ask(&self, questions: &redis::Pipeline) -> Result<Vec<Value>, RedisError> {
        self.sender.clone().send_packed_commands(questions, 0, questions.len()).await
    }

    /// For whoever wants to ask by other means.
    pub(super) fn sender(&self) -> MultiplexedConnection {
        self.sender.clone()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }
}
