//! The least that a server can do with connections: take them, and say so. Keeps the socket and
//! nothing else of it.

use std::io::{ErrorKind, Read, Write};

use mio::{Interest, Token, net::TcpStream};

use super::door::{Door, LISTENER};
use crate::{dialect::MARKS, websocket};

/// Serves until the process ends.
pub(super) fn serve() -> anyhow::Result<()> {
    let mut door = Door::open()?;
    let mut hello = Vec::new();
    websocket::write_server_text(&[MARKS.hello], &mut hello);
    // By token; `None` is free.
    let mut sockets: Vec<Option<TcpStream>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    loop {
        door.wait()?;
        for event in door.events() {
            if event.token() != LISTENER {
                let at = event.token().0;
                if sockets[at].as_mut().is_some_and(has_ended) {
                    sockets[at] = None;
                    free.push(at);
                }
                continue;
            }
            while let Some(mut socket) = door.accept()? {
                // A new socket has room for a few bytes, unless it is gone already.
                if socket.write_all(&hello).is_err() {
                    continue;
                }
                let at = free.pop().unwrap_or(sockets.len());
                door.registry().register(&mut socket, Token(at), Interest::READABLE)?;
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
