//! The WebSocket of one connection: the only file that knows tungstenite's state machine.
//!
//! Bytes are read onto the stack and pushed through the decoder, so that an idle connection holds
//! no buffer of ours. Control frames that the decoder answers (pongs, closes) are collected and
//! handed to the driver, which alone writes.

use std::{
    io::{self, IoSlice, Read, Write},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::{
    Error, Message,
    error::{CapacityError, ProtocolError},
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::{
    node::connection::{Received, Transport},
    protocol::CloseCode,
};

/// What is read from the socket at once, on the stack.
const READ_BYTES: usize = 8 * 1024;
/// The decoder's own buffer, which it allocates at once and grows as a frame needs it. Most frames
/// of a chat fit.
const DECODE_BYTES: usize = 256;

pub(super) struct WebSocket<S> {
    io: S,
    decoder: WebSocketContext,
    /// Read and not yet decoded: what came behind a whole frame.
    left: Vec<u8>,
    control: Vec<u8>,
    /// The other side broke a rule: nothing it says is looked at any more.
    broken: bool,
}

impl<S> WebSocket<S> {
    pub(super) fn new(io: S, frame_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(DECODE_BYTES)
            // Control frames only; they leave at once.
            .write_buffer_size(0)
            .max_write_buffer_size(4 * 1024)
            .max_message_size(Some(frame_bytes_max))
            .max_frame_size(Some(frame_bytes_max));
        Self {
            io,
            decoder: WebSocketContext::new(Role::Server, Some(config)),
            left: Vec::new(),
            control: Vec::new(),
            broken: false,
        }
    }

    /// Pushes bytes through the decoder up to the end of the first frame. `None`: more are needed.
    fn decode(&mut self, bytes: &[u8]) -> (Option<Received>, usize) {
        let mut pipe = Pipe { input: bytes, control: &mut self.control };
        let received = match self.decoder.read(&mut pipe) {
            Ok(Message::Text(text)) => Some(Received::Text(text.as_str().to_owned())),
            Ok(Message::Binary(_)) => Some(Received::Broken(CloseCode::Unsupported)),
            Ok(Message::Ping(_) | Message::Pong(_)) => {
                // The decoder keeps its pong until it is asked.
                let _ = self.decoder.flush(&mut pipe);
                Some(Received::Alive)
            }
            Ok(Message::Close(_)) => {
                // Lets the decoder write its answer; what it says of the end is no news.
                let _ = self.decoder.flush(&mut pipe);
                Some(Received::Closed)
            }
            Ok(Message::Frame(_)) => None,
            Err(Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => None,
            Err(why) => Some(broken(&why)),
        };
        self.broken |= matches!(received, Some(Received::Broken(_)));
        let rest = pipe.input.len();
        (received, bytes.len() - rest)
    }
}

fn broken(why: &Error) -> Received {
    match why {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => Received::Gone,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Received::Gone,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Received::Broken(CloseCode::TooBig)
        }
        Error::Utf8(_) => Received::Broken(CloseCode::NotUtf8),
        _ => Received::Broken(CloseCode::Protocol),
    }
}

/// What the decoder takes for its socket.
struct Pipe<'a> {
    input: &'a [u8],
    control: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for WebSocket<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let left = std::mem::take(&mut self.left);
        if !self.broken {
            // The decoder may hold whole frames of an earlier read.
            let (received, taken) = self.decode(&left);
            if taken < left.len() {
                self.left = left[taken..].to_vec();
            }
            if let Some(received) = received {
                return Poll::Ready(received);
            }
        }
        loop {
            // Also what is not looked at is read to its end: a socket that is closed with something
            // unread is reset, and our close frame may be lost with it.
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Err(_) => return Poll::Ready(Received::Gone),
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Received::Gone),
                Ok(()) if self.broken => continue,
                Ok(()) => {}
            }
            let (received, taken) = self.decode(buffer.filled());
            if let Some(received) = received {
                self.left = buffer.filled()[taken..].to_vec();
                return Poll::Ready(received);
            }
        }
    }

    fn take_control(&mut self) -> Option<Bytes> {
        (!self.control.is_empty()).then(|| std::mem::take(&mut self.control).into())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
