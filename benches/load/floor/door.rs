//! How people come to the floors on epoll: a listener on loopback, in the same loop as the sockets that
//! come of it. Knows nothing of what happens to those.

use std::io::{self, ErrorKind};

use mio::{
    Events, Interest, Poll, Registry, Token,
    net::{TcpListener, TcpStream},
};

use super::say_listening;
use crate::engine::ignore_interruption;

/// What events of the listener are told by.
pub(super) const LISTENER: Token = Token(usize::MAX);
/// Told at a time.
const EVENTS_MAX: usize = 1024;

pub(super) struct Door {
    poll: Poll,
    events: Events,
    listener: TcpListener,
}

impl Door {
    /// Opens it, and says where it is.
    pub(super) fn open() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        say_listening(listener.local_addr()?);
        Ok(Self { poll, events: Events::with_capacity(EVENTS_MAX), listener })
    }

    /// Where sockets are registered.
    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Waits until something happens. Also returns without any reason.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.poll.poll(&mut self.events, None).or_else(ignore_interruption)
    }

    /// What happened.
    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// The next one who has come, if there is one.
    pub(super) fn accept(&self) -> io::Result<Option<TcpStream>> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(None),
                // It was gone before it was here.
                Err(why) if why.kind() == ErrorKind::ConnectionAborted => {}
                Err(why) => return Err(why),
            }
        }
    }
}
