//! One listening socket and the connections that came in through it, until they have all ended.
//!
//! A connection that is upgraded leaves this file: from then on it is the chat's, with limits and
//! an end of its own.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use chat_sdk::store::BoxError;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    telemetry::metrics::{ACCEPT_ERRORS, ACCEPTED, HANDSHAKES_FAILED, OPEN, REFUSED},
    tls::Tls,
};

/// Headers of a request: browsers send about twenty, and proxies add a few.
const HEADERS_MAX: usize = 64;

/// Bytes of a request's head, and of what hyper reads ahead for a connection.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long the other end may leave what was sent unacknowledged before the system gives the
/// connection up. Longer than the chat's own patience with slow readers, which says goodbye.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// When the system asks whether the other end of a silent connection is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Pauses after an error of `accept` that will come again at once, like having no file descriptor
/// left: from the first to the last, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A whole answer for whom there is no room, as it goes over the wire.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Door {
    /// What it is called in metrics.
    pub(crate) name: &'static str,
    pub(crate) listener: TcpListener,
    /// Connections at a time, not counting those that were upgraded.
    pub(crate) connections_max: usize,
    /// Time for the head of a request, and so also for the next one on an idle connection. With TLS
    /// its handshake has as much before that.
    pub(crate) header_timeout: Duration,
    /// `None`: connections are not encrypted.
    pub(crate) tls: Option<Tls>,
}

impl Door {
    /// Lets connections in until `leaving` says so, then lets each finish the request it is at.
    /// Dropping the future cuts them all off.
    pub(crate) async fn serve<A, F, B>(self, answer: A, mut leaving: watch::Receiver<bool>)
    where
        A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut connections = JoinSet::new();
        let mut back_off = BACK_OFF.0;
        loop {
            let accepted = tokio::select! {
                () = is_over(&mut leaving) => break,
                Some(ended) = connections.join_next() => {
                    self.ended(ended);
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    back_off = BACK_OFF.0;
                    counter!(ACCEPTED, "door" => self.name).increment(1);
                    if connections.len() >= self.connections_max {
                        counter!(REFUSED, "door" => self.name).increment(1);
                        // With TLS there is nothing that could be said before a handshake.
                        if self.tls.is_none() {
                            refuse(&stream);
                        }
                        continue;
                    }
                    gauge!(OPEN, "door" => self.name).increment(1.0);
                    let connection = self.connection(stream, peer, answer.clone(), leaving.clone());
                    connections.spawn(connection);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    counter!(ACCEPT_ERRORS, "door" => self.name).increment(1);
                    // Once for a series of them.
                    if back_off == BACK_OFF.0 {
                        tracing::warn!(door = self.name, %error, "cannot accept connections");
                    }
                    sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF.1);
                }
            }
        }
        while let Some(ended) = connections.join_next().await {
            self.ended(ended);
        }
    }

    /// A panic was logged where it happened.
    fn ended(&self, _ended: Result<(), JoinError>) {
        gauge!(OPEN, "door" => self.name).decrement(1.0);
    }

    fn connection<A, F, B>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        answer: A,
        mut leaving: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<A, F, B>
    where
        A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        let (name, patience) = (self.name, self.header_timeout);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        async move {
            if let Err(error) = tune(&stream) {
                return tracing::debug!(%error, "a connection ended before it began");
            }
            let service = service_fn(move |request| answer(request, peer));
            let Some(acceptor) = acceptor else {
                return converse(
                    http.serve_connection(TokioIo::new(stream), service),
                    peer,
                    leaving,
                )
                .await;
            };
            let shaken = tokio::select! {
                shaken = timeout(patience, acceptor.accept(stream)) => shaken,
                () = is_over(&mut leaving) => return,
            };
            // Scanners, clients that do not trust us, plain HTTP at the wrong port.
            let failed = |why: &dyn std::fmt::Display| {
                counter!(HANDSHAKES_FAILED, "door" => name).increment(1);
                tracing::debug!(peer = %peer.ip(), %why, "no TLS");
            };
            match shaken {
                Ok(Ok(stream)) => {
                    converse(http.serve_connection(TokioIo::new(stream), service), peer, leaving)
                        .await;
                }
                Ok(Err(why)) => failed(&why),
                Err(_) => failed(&"the handshake took too long"),
            }
        }
    }
}

/// Serves a connection to its end, or to the end of the request that it is at when it is to end.
async fn converse<I, S, B>(
    connection: http1::Connection<I, S>,
    peer: SocketAddr,
    mut leaving: watch::Receiver<bool>,
) where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    let mut connection = pin!(connection.with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = is_over(&mut leaving) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // However a client ends its connection, it is no concern of the operator's.
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.ip(), %error, "a connection ended");
    }
}

/// When no more is to be served.
async fn is_over(leaving: &mut watch::Receiver<bool>) {
    // An error means that whoever would say it is gone, which says the same.
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// Answers without reading, as far as the socket takes it at once, and closes.
fn refuse(stream: &TcpStream) {
    // Whoever does not get it sees a closed connection, which says the same.
    let _ = stream.try_write(NO_ROOM);
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // An event is one write; waiting for more would only make it late.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}

/// Whether the error is about the connection that was to be accepted, and the next one may work.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
