//! The least that a server can do with connections: take them, and say so. Keeps the socket and
//! nothing else of it.

use std::io::{ErrorKind, Read, Write};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use super::say_listening;
use crate::{dialect::MARKS, websocket};

const LISTENER: Token = Token(usize::MAX);

/// Serves until the process ends.
pub(super) fn serve() -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    say_listening(listener.local_addr()?);
    let mut hello = Vec::new();
    websocket::write_server_text(&[MARKS.hello], &mut hello);
    // By token; `None` is free.
    let mut sockets: Vec<Option<TcpStream>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(why) if why.kind() == ErrorKind::Interrupted => continue,
            Err(why) => return Err(why.into()),
        }
        for event in &events {
            if event.token() != LISTENER {
                let at = event.token().0;
                if sockets[at].as_mut().is_some_and(has_ended) {
                    sockets[at] = None;
                    free.push(at);
                }
                continue;
            }
            loop {
                let mut socket = match listener.accept() {
                    Ok((socket, _)) => socket,
                    Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                    // It was gone before it was here.
                    Err(why) if why.kind() == ErrorKind::ConnectionAborted => continue,
                    Err(why) => return Err(why.into()),
                };
                // A new socket has room for a few bytes, unless it is gone already.
                if socket.write_all(&hello).is_err() {
                    continue;
                }
                let at = free.pop().unwrap_or(sockets.len());
                poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
                match sockets.get_mut(at) {
                    Some(place) => *place = Some(socket),
                    None => sockets.push(Some(socket)),
                }
            }
        }
    }
}

/// Reads what there is and forgets it.
fn has_ended(socket: &mut TcpStream) -> bool {
    loop {
        match socket.read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(why) => return why.kind() != ErrorKind::WouldBlock,
        }
    }
}
