//! One WebSocket: the only file of the client that knows the library for it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::{Request, Response, header};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::client::generate_key,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    Ending,
    dial::{Dialler, Io, Target},
};
use crate::protocol::{SUBPROTOCOL, ServerFrame, codec};

/// Bytes that are read at once: a frame is mostly some hundred.
const READ_BYTES: usize = 4 * 1024;
/// Bytes that may wait in the library while the socket takes nothing: one frame of ours, which is at
/// most the text, escaped, and its head.
const WRITE_BYTES_MAX: usize = 256 * 1024;
/// How long a server gets to answer a close.
const GOODBYE: Duration = Duration::from_secs(1);

pub(super) struct Socket(WebSocketStream<Box<dyn Io>>);

impl Socket {
    /// Upgraded, and nothing said. The token is not in the address: it goes into the first frame.
    pub(super) async fn open(
        dialler: &Dialler,
        target: &Target,
        frame_bytes_max: usize,
    ) -> Result<Self, Ending> {
        let stream = dialler.dial(target).await.map_err(Ending::Unreachable)?;
        let authority = target.authority();
        let scheme = if target.secure { "wss" } else { "ws" };
        let request = Request::get(format!("{scheme}://{authority}{}", target.path("/ws")))
            .header(header::HOST, authority)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
            .body(())
            .map_err(|why| Ending::Unreachable(why.to_string()))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(Some(frame_bytes_max))
            .max_frame_size(Some(frame_bytes_max));
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(refused(&answer)),
            Err(why) => Err(Ending::Unreachable(why.to_string())),
        }
    }

    /// The next frame; `None` is one of an unknown type, or a ping.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ServerFrame>, Ending>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_next(cx)) {
            Some(Ok(Message::Text(text))) => {
                codec::decode_server(&text).map_err(|why| Ending::Unreadable(why.detail))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
            Some(Ok(Message::Close(close))) => {
                Err(Ending::Code(close.map_or(1005, |close| close.code.into())))
            }
            Some(Ok(Message::Binary(_))) => Err(Ending::Unreadable("binary".to_owned())),
            Some(Err(tungstenite::Error::Capacity(why))) => {
                Err(Ending::Unreadable(why.to_string()))
            }
            Some(Err(_)) | None => Err(Ending::Code(1006)),
        })
    }

    /// Whether another frame can be written.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(|_| Ending::Code(1006))
    }

    /// Writes it; the socket has been ready.
    pub(super) fn write(&mut self, text: String) -> Result<(), Ending> {
        Pin::new(&mut self.0).start_send(Message::text(text)).map_err(|_| Ending::Code(1006))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(|_| Ending::Code(1006))
    }

    /// Says what is left and good-bye, and does not wait long for the answer.
    pub(super) async fn close(mut self, last: Vec<String>) {
        let goodbye = async {
            for text in last {
                self.0.send(Message::text(text)).await?;
            }
            let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            self.0.close(Some(normal)).await?;
            while self.0.next().await.is_some_and(|it| it.is_ok()) {}
            Ok::<_, tungstenite::Error>(())
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

fn refused(answer: &Response<Option<Vec<u8>>>) -> Ending {
    let seconds = answer.headers().get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
    Ending::Refused {
        status: answer.status().as_u16(),
        retry_after: seconds.map(Duration::from_secs),
    }
}
