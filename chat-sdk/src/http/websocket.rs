//! The WebSocket of one connection: the only file that knows tungstenite's state machine.
//!
//! Bytes are read onto the stack and taken from there frame by frame, so that an idle connection
//! holds no buffer. A whole text frame, which is nearly all that clients send, is unmasked on the
//! spot; everything else goes through tungstenite's decoder, which is there only while it is in the
//! middle of something. Control frames that it answers (pongs, closes) are collected and handed to
//! the driver, which alone writes.

use std::{
    io::{self, Cursor, IoSlice, Read, Write},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::{
    Error, Message,
    error::{CapacityError, ProtocolError},
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{
            FrameHeader,
            coding::{Data, OpCode},
        },
    },
};

use crate::{
    node::connection::{Received, Transport},
    protocol::CloseCode,
};

/// What is read from the socket at once, on the stack.
const READ_BYTES: usize = 8 * 1024;
/// The decoder's own buffer, which it allocates at once and grows as a frame needs it.
const DECODE_BYTES: usize = 256;

pub(super) struct WebSocket<S> {
    io: S,
    frame_bytes_max: usize,
    /// Read and not yet decoded: what came behind a whole frame, or the beginning of one.
    left: BytesMut,
    /// In the middle of a message that comes in fragments.
    decoder: Option<Box<WebSocketContext>>,
    control: Vec<u8>,
    hearing: Hearing,
}

/// What becomes of what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Frames,
    /// The other side broke a rule: nothing it says is looked at any more.
    Nothing,
    /// The other side said that it was the last.
    Closed,
}

/// What the first bytes of the input are.
enum Decoded {
    /// Not a whole frame.
    Partial,
    /// A frame of so many bytes, and what it means, if it means something by itself.
    Frame(usize, Option<Received>),
    /// Nothing that could be followed by a frame.
    Broken(CloseCode),
}

impl<S> WebSocket<S> {
    /// `read` is what came behind the handshake.
    pub(super) fn new(io: S, read: &[u8], frame_bytes_max: usize) -> Self {
        Self {
            io,
            frame_bytes_max,
            left: BytesMut::from(read),
            decoder: None,
            control: Vec::new(),
            hearing: Hearing::Frames,
        }
    }

    /// Decodes up to the end of the first frame that means something, and says how many bytes that
    /// took. `None`: more are needed.
    fn decode(&mut self, bytes: &[u8]) -> (Option<Received>, usize) {
        let mut taken = 0;
        loop {
            match self.decode_frame(&bytes[taken..]) {
                Decoded::Partial => return (None, taken),
                Decoded::Frame(length, None) => taken += length,
                Decoded::Frame(length, Some(received)) => {
                    match received {
                        Received::Text(_) | Received::Alive => {}
                        Received::Closed => self.hearing = Hearing::Closed,
                        Received::Broken(_) | Received::Gone => self.hearing = Hearing::Nothing,
                    }
                    return (Some(received), taken + length);
                }
                Decoded::Broken(code) => {
                    self.hearing = Hearing::Nothing;
                    return (Some(Received::Broken(code)), bytes.len());
                }
            }
        }
    }

    fn decode_frame(&mut self, bytes: &[u8]) -> Decoded {
        let mut cursor = Cursor::new(bytes);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Decoded::Partial,
            Err(_) => return Decoded::Broken(CloseCode::Protocol),
        };
        if length > self.frame_bytes_max as u64 {
            return Decoded::Broken(CloseCode::TooBig);
        }
        let start = cursor.position() as usize;
        let end = start + length as usize;
        let Some(payload) = bytes.get(start..end) else { return Decoded::Partial };
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let received = match (header.opcode, header.mask) {
            (OpCode::Data(Data::Text), Some(mask))
                if header.is_final && !reserved && self.decoder.is_none() =>
            {
                Some(unmasked(payload, mask))
            }
            _ => self.decode_otherwise(&bytes[..end], &header),
        };
        Decoded::Frame(end, received)
    }

    /// Pushes a whole frame through the decoder.
    fn decode_otherwise(&mut self, frame: &[u8], header: &FrameHeader) -> Option<Received> {
        let was_there = self.decoder.is_some();
        let mut decoder =
            self.decoder.take().unwrap_or_else(|| Box::new(decoder(self.frame_bytes_max)));
        let mut pipe = Pipe { input: frame, control: &mut self.control };
        let received = match decoder.read(&mut pipe) {
            Ok(Message::Text(text)) => Some(Received::Text(text.as_str().to_owned())),
            Ok(Message::Binary(_)) => Some(Received::Broken(CloseCode::Unsupported)),
            Ok(Message::Ping(_) | Message::Pong(_)) => {
                // The decoder keeps its pong until it is asked.
                let _ = decoder.flush(&mut pipe);
                Some(Received::Alive)
            }
            Ok(Message::Close(_)) => {
                // Lets the decoder write its answer; what it says of the end is no news.
                let _ = decoder.flush(&mut pipe);
                Some(Received::Closed)
            }
            Ok(Message::Frame(_)) => None,
            Err(Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => None,
            Err(why) => Some(broken(&why)),
        };
        let continues = match header.opcode {
            OpCode::Data(_) => !header.is_final,
            // Stands between the fragments of a message, if one was begun.
            OpCode::Control(_) => was_there,
        };
        if continues {
            self.decoder = Some(decoder);
        }
        received
    }

    /// The same as [`decode`](Self::decode), of what an earlier read left.
    fn decode_left(&mut self) -> Option<Received> {
        let mut left = std::mem::take(&mut self.left);
        let (received, taken) = self.decode(&left);
        if taken < left.len() {
            left.advance(taken);
            self.left = left;
        }
        received
    }
}

fn decoder(frame_bytes_max: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(DECODE_BYTES)
        // Control frames only; they leave at once.
        .write_buffer_size(0)
        .max_write_buffer_size(4 * 1024)
        .max_message_size(Some(frame_bytes_max))
        .max_frame_size(Some(frame_bytes_max));
    WebSocketContext::new(Role::Server, Some(config))
}

/// A text as the client meant it (RFC 6455, section 5.3).
fn unmasked(payload: &[u8], mask: [u8; 4]) -> Received {
    let mut text = payload.to_vec();
    let mut words = text.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
    String::from_utf8(text).map_or(Received::Broken(CloseCode::NotUtf8), Received::Text)
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
        match self.hearing {
            // There may be whole frames of an earlier read.
            Hearing::Frames if !self.left.is_empty() => {
                if let Some(received) = self.decode_left() {
                    return Poll::Ready(received);
                }
            }
            Hearing::Frames | Hearing::Nothing => {}
            Hearing::Closed => return Poll::Ready(Received::Gone),
        }
        loop {
            // Also what is not looked at is read to its end: a socket that is closed with something
            // unread is reset, and our close frame may be lost with it.
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
            let bytes = buffer.filled();
            if read.is_err() || bytes.is_empty() {
                return Poll::Ready(Received::Gone);
            }
            let received = if self.hearing == Hearing::Nothing {
                None
            } else if self.left.is_empty() {
                let (received, taken) = self.decode(bytes);
                self.left.extend_from_slice(&bytes[taken..]);
                received
            } else {
                self.left.extend_from_slice(bytes);
                self.decode_left()
            };
            if let Some(received) = received {
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
