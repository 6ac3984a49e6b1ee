//! A client of a chat in this process: the real HTTP upgrade and real frames over a pipe in memory,
//! so that no kernel is measured. It looks at as little of what it gets as it can, because its work
//! counts too.

use bytes::{Buf, BytesMut};
use chat_sdk::{
    Chat,
    protocol::{ClientFrame, codec::encode_client},
};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What a pipe holds: about what a kernel gives a socket, and more than any step of a workload writes.
const PIPE_BYTES: usize = 64 * 1024;
/// Any key will do; a real one is random, and the work to undo it is the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One connection.
#[derive(Debug)]
pub struct Peer {
    io: DuplexStream,
    buffer: BytesMut,
    /// Bytes at the beginning of the buffer that the caller has seen.
    seen: usize,
}

/// A masked frame, ready to be written.
#[derive(Debug, Clone)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// What a client says.
    #[must_use]
    pub fn of(frame: &ClientFrame) -> Self {
        Self::new(0x1, encode_client(frame).as_bytes())
    }

    /// RFC 6455, section 5.2: FIN, the opcode, the mask bit, the length in one or three bytes.
    fn new(opcode: u8, payload: &[u8]) -> Self {
        let mut bytes = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            medium => {
                let medium = u16::try_from(medium).expect("no workload sends 64 KiB in a frame");
                bytes.push(0x80 | 126);
                bytes.extend(medium.to_be_bytes());
            }
        }
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        Self(bytes)
    }
}

impl Peer {
    /// Upgraded, and authenticated by this token; nothing has been said yet.
    pub async fn open(chat: &Chat, token: &str) -> Self {
        let (io, server) = tokio::io::duplex(PIPE_BYTES);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new());
        let serving = http.serve_connection(TokioIo::new(server), chat.service()).with_upgrades();
        // Ends with the pipe.
        tokio::spawn(serving);
        let mut peer = Self { io, buffer: BytesMut::new(), seen: 0 };
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: chat.example.org\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat.v1\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        peer.io.write_all(request.as_bytes()).await.expect("the server reads");
        let head = loop {
            if let Some(end) = peer.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
            peer.read().await;
        };
        assert!(peer.buffer.starts_with(b"HTTP/1.1 101 "), "refused: {:?}", peer.buffer);
        peer.seen = head;
        peer
    }

    /// Writes a frame.
    pub async fn send(&mut self, frame: &Frame) {
        self.io.write_all(&frame.0).await.expect("the server reads");
    }

    /// The payload of the next frame.
    pub async fn next(&mut self) -> &[u8] {
        self.buffer.advance(std::mem::take(&mut self.seen));
        loop {
            if let Some((start, end)) = payload(&self.buffer) {
                self.seen = end;
                return &self.buffer[start..end];
            }
            self.read().await;
        }
    }

    /// The next frame, which has to be of this type.
    pub async fn expect(&mut self, kind: &str) -> &[u8] {
        let frame = self.next().await;
        assert!(is(frame, kind), "not {kind}: {}", String::from_utf8_lossy(frame));
        frame
    }

    /// Reads up to and including the next frame of this type; how many others came before.
    pub async fn skip_to(&mut self, kind: &str) -> usize {
        let mut others = 0;
        while !is(self.next().await, kind) {
            others += 1;
        }
        others
    }

    /// Says good-bye and waits until the server has said so too.
    pub async fn close(mut self) {
        self.send(&Frame::new(0x8, &1000u16.to_be_bytes())).await;
        self.buffer.clear();
        while self.io.read_buf(&mut self.buffer).await.expect("a pipe does not fail") > 0 {
            self.buffer.clear();
        }
    }

    async fn read(&mut self) {
        let read = self.io.read_buf(&mut self.buffer).await.expect("a pipe does not fail");
        assert!(read > 0, "the server hung up");
    }
}

/// Whether this is a frame of that type, which is the first that every frame of ours says.
fn is(frame: &[u8], kind: &str) -> bool {
    let rest = frame.strip_prefix(br#"{"type":""#).and_then(|it| it.strip_prefix(kind.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"\""))
}

/// Where the payload of the first frame begins and ends, if all of it is there.
fn payload(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        127 => unreachable!("no workload is sent 64 KiB in a frame"),
        length => (2, usize::from(*length)),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}
