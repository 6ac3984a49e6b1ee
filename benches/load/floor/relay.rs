//! The least that a server can do with messages: read, and write the ready bytes to sockets. One
//! thread over epoll; keeps nothing but who is there and what a slow reader has not taken.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read},
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::door::{Door, LISTENER};
use crate::{
    dialect::MARKS,
    engine::write_now,
    stamp::STAMP_BYTES,
    websocket::{self, Kind},
};

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// To everybody else, one write a message and socket.
    Each,
    /// To everybody else, all messages of one read in one write a socket.
    EachCoalesced,
    /// To the one it is for.
    One,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay {
    pub(crate) to: To,
    /// Whether the sender is told.
    pub(crate) acked: bool,
}

const BUFFER_BYTES: usize = 64 * 1024;
/// What may wait for a reader; beyond, the connection ends.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Serves until the process ends.
pub(super) fn serve(relay: Relay) -> anyhow::Result<()> {
    let mut door = Door::open()?;
    let mut room = Room {
        relay,
        sockets: Vec::new(),
        numbers: HashMap::new(),
        buffer: vec![0; BUFFER_BYTES],
        frame: Vec::new(),
        batch: Vec::new(),
    };
    loop {
        door.wait()?;
        for event in door.events() {
            if event.token() == LISTENER {
                while let Some(stream) = door.accept()? {
                    room.admit(stream, door.registry())?;
                }
                continue;
            }
            let at = event.token().0;
            if event.is_writable() {
                room.write(at, &[]);
            }
            if event.is_readable() || event.is_error() {
                room.read(at);
            }
        }
    }
}

struct Room {
    relay: Relay,
    /// By token; `None` is free.
    sockets: Vec<Option<Socket>>,
    /// Where those are who said who they are.
    numbers: HashMap<u32, usize>,
    buffer: Vec<u8>,
    frame: Vec<u8>,
    batch: Vec<u8>,
}

struct Socket {
    stream: TcpStream,
    /// Said who they are.
    known: bool,
    left: Vec<u8>,
    waiting: Vec<u8>,
}

impl Room {
    fn admit(&mut self, mut stream: TcpStream, registry: &Registry) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        // An event of who was there before does no harm: nothing is there to read.
        let free = self.sockets.iter().position(Option::is_none);
        let at = free.unwrap_or(self.sockets.len());
        registry.register(&mut stream, Token(at), both)?;
        let socket = Socket { stream, known: false, left: Vec::new(), waiting: Vec::new() };
        match self.sockets.get_mut(at) {
            Some(place) => *place = Some(socket),
            None => self.sockets.push(Some(socket)),
        }
        Ok(())
    }

    fn read(&mut self, at: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(socket) = &mut self.sockets[at] {
            let old = socket.left.len();
            if old >= buffer.len() {
                self.sockets[at] = None;
                break;
            }
            buffer[..old].copy_from_slice(&socket.left);
            let new = match socket.stream.read(&mut buffer[old..]) {
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    self.sockets[at] = None;
                    break;
                }
                Ok(new) => new,
            };
            let end = old + new;
            let taken = self.take(at, &buffer[..end]);
            let Some(socket) = &mut self.sockets[at] else { break };
            socket.left.clear();
            socket.left.extend_from_slice(&buffer[taken..end]);
            if end < buffer.len() {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn take(&mut self, from: usize, bytes: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            match websocket::frame(&bytes[taken..], true) {
                Ok(Some(frame)) if frame.kind == Kind::Message => {
                    taken += frame.taken;
                    self.hear(from, frame.payload);
                }
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => {
                    self.sockets[from] = None;
                    return bytes.len();
                }
            }
        }
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.write_to_others(from, &batch);
            self.batch = batch;
            self.batch.clear();
        }
        taken
    }

    fn hear(&mut self, from: usize, payload: &[u8]) {
        let Some((mark, rest)) = payload.split_first() else { return };
        let Some((number, text)) = rest.split_first_chunk() else { return };
        let number = u32::from_be_bytes(*number);
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        if *mark == MARKS.hello {
            self.numbers.insert(number, from);
            if let Some(socket) = &mut self.sockets[from] {
                socket.known = true;
            }
            websocket::write_server_text(&[MARKS.hello], &mut frame);
            self.write(from, &frame);
        } else if *mark == MARKS.message && text.len() >= STAMP_BYTES {
            // In one piece: the mark takes the place of the number's last byte.
            let message = &payload[4..];
            websocket::write_server_text(message, &mut frame);
            let first = frame.len() - message.len();
            frame[first] = MARKS.message;
            match self.relay.to {
                To::Each => self.write_to_others(from, &frame),
                To::EachCoalesced => self.batch.extend_from_slice(&frame),
                To::One => {
                    if let Some(to) = self.numbers.get(&number) {
                        self.write(*to, &frame);
                    }
                }
            }
            if self.relay.acked {
                frame.clear();
                let mut ack = [MARKS.ack; STAMP_BYTES - 1];
                // Behind the mark of a stamp are its digits.
                ack[1..].copy_from_slice(&text[2..STAMP_BYTES]);
                websocket::write_server_text(&ack, &mut frame);
                self.write(from, &frame);
            }
        }
        self.frame = frame;
    }

    fn write_to_others(&mut self, from: usize, bytes: &[u8]) {
        for at in 0..self.sockets.len() {
            if at != from && self.sockets[at].as_ref().is_some_and(|socket| socket.known) {
                self.write(at, bytes);
            }
        }
    }

    /// Writes what waits and then these.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let Some(socket) = &mut self.sockets[at] else { return };
        let result = if socket.waiting.is_empty() {
            write_now(&mut socket.stream, bytes)
                .map(|written| socket.waiting.extend_from_slice(&bytes[written..]))
        } else {
            socket.waiting.extend_from_slice(bytes);
            write_now(&mut socket.stream, &socket.waiting).map(|written| {
                socket.waiting.drain(..written);
            })
        };
        if result.is_err() || socket.waiting.len() > WAITING_BYTES_MAX {
            self.sockets[at] = None;
        }
    }
}
