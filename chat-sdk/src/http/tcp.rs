//! A plain TCP socket to which others than its connection may write, too.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::node::connection::Outlet;

/// The socket as its connection has it.
pub(super) struct Tcp {
    reading: OwnedReadHalf,
    writing: Arc<Writing>,
}

/// The half that others may write to. Always there, but taken when it is dropped.
#[derive(Debug)]
struct Writing(Option<OwnedWriteHalf>);

impl Tcp {
    pub(super) fn new(socket: TcpStream) -> Self {
        let (reading, writing) = socket.into_split();
        Self { reading, writing: Arc::new(Writing(Some(writing))) }
    }

    pub(super) fn outlet(&self) -> Arc<dyn Outlet> {
        self.writing.clone()
    }
}

impl Writing {
    fn half(&self) -> &OwnedWriteHalf {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Writing {
    /// Not shut down by itself: the socket is closed with the other half, and says the same then.
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

impl Outlet for Writing {
    fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match bytes {
            [one] => self.half().try_write(one),
            many => self.half().try_write_vectored(many),
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reading).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.writing.try_write(bytes) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(self.writing.half().as_ref().poll_write_ready(cx))?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.writing.half().as_ref()).shutdown(Shutdown::Write))
    }
}
