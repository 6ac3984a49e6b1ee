//! Thousands of sockets on one thread: an edge-triggered loop over readiness, one buffer to read
//! into, partial writes and a timer that does not wait for whole milliseconds. Knows no protocol.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, net::TcpStream, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use socket2::{Domain, SockRef, Socket as RawSocket, Type};

/// What is read at a time at most. A read that brings less has emptied its socket, and needs no
/// second one to be told so, unless the peer has closed it: the end is told by a read of nothing.
const BUFFER_BYTES: usize = 256 * 1024;
/// Sockets looked after between two looks at the clock.
const EVENTS_MAX: usize = 1024;
/// What may wait for a peer that does not read; beyond, the connection ends.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Loopback addresses to come from. Each has some 28,000 ports to one server.
const SOURCES: u32 = 32;
const TIMER: Token = Token(usize::MAX);

/// A socket, until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) usize);

/// Why a socket ended by itself.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer closed it.
    ByPeer,
    /// It failed, or never came to be.
    Failed(io::Error),
    /// The peer reads too little of what is written.
    Stuck,
    /// More arrived than the buffer holds and nobody took any of it.
    Unread,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer => write!(f, "closed by the peer"),
            Self::Failed(why) => write!(f, "{why}"),
            Self::Stuck => write!(f, "the peer does not read"),
            Self::Unread => write!(f, "a frame is larger than the buffer"),
        }
    }
}

/// Who is told what happens to the sockets.
pub(crate) trait Traffic {
    /// It is connected.
    fn opened(&mut self, sockets: &mut Sockets, id: Id);

    /// Bytes arrived, behind what was not taken the last time. Answers how many are taken.
    fn arrived(&mut self, sockets: &mut Sockets, id: Id, bytes: &[u8]) -> usize;

    /// It is gone; the id may stand for another one after this turn. Not told of those closed with
    /// [`Sockets::reset`].
    fn ended(&mut self, sockets: &mut Sockets, id: Id, why: Ended);
}

/// The loop.
pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    sockets: Sockets,
    buffer: Box<[u8]>,
    timer: OwnedFd,
    /// What the timer is set to.
    alarm: Option<Instant>,
    /// Looks again at once instead of sleeping.
    spins: bool,
}

/// The sockets, for whoever is told of them.
pub(crate) struct Sockets {
    registry: Registry,
    /// By id; `None` is free.
    all: Vec<Option<Socket>>,
    free: Vec<usize>,
    /// Free when this turn is over: an event of it may still be told.
    freed: Vec<usize>,
    /// Ended while they were written to.
    broken: Vec<(Id, Ended)>,
    opened: u32,
    /// Calls of the system so far: reads and writes.
    pub(crate) calls: Calls,
}

/// How often the system was asked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    /// Time spent looking while there was nothing.
    pub(crate) idle: Duration,
}

impl Calls {
    /// Those after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            idle: self.idle - before.idle,
        }
    }
}

struct Socket {
    stream: TcpStream,
    connected: bool,
    /// Read and not taken.
    left: Vec<u8>,
    /// To be written when there is room.
    waiting: Vec<u8>,
}

impl Engine {
    /// One that `spins` never sleeps: for a core of its own. A server that writes to a sleeping reader on
    /// the same machine wakes it, a good part of what the write costs, and one whose readers are
    /// elsewhere does not; the busier the generator, the less of it a server would pay.
    pub(crate) fn new(spins: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let sockets = Sockets {
            registry,
            all: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            broken: Vec::new(),
            opened: 0,
            calls: Calls::default(),
        };
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            sockets,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            timer,
            alarm: None,
            spins,
        })
    }

    /// To open, write and close.
    pub(crate) fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// Waits until something happens, at most until this moment, and tells of it. Also returns
    /// without any reason.
    pub(crate) fn turn(&mut self, until: Instant, traffic: &mut impl Traffic) -> io::Result<()> {
        let began = Instant::now();
        let left = until.saturating_duration_since(began);
        if self.spins || left.is_zero() {
            self.poll.poll(&mut self.events, Some(Duration::ZERO)).or_else(ignore_interruption)?;
            if self.events.is_empty() {
                self.sockets.calls.idle += began.elapsed();
            }
        } else {
            self.set_alarm(until, left)?;
            self.poll.poll(&mut self.events, None).or_else(ignore_interruption)?;
        }
        for event in &self.events {
            if event.token() == TIMER {
                self.alarm = None;
                continue;
            }
            let id = Id(event.token().0);
            if event.is_writable() && !self.sockets.can_write(id, traffic) {
                continue;
            }
            if event.is_readable() || event.is_error() || event.is_read_closed() {
                self.sockets.can_read(id, event.is_read_closed(), &mut self.buffer, traffic);
            }
        }
        while let Some((id, why)) = self.sockets.broken.pop() {
            traffic.ended(&mut self.sockets, id, why);
        }
        self.sockets.free.append(&mut self.sockets.freed);
        Ok(())
    }

    fn set_alarm(&mut self, at: Instant, left: Duration) -> io::Result<()> {
        if self.alarm == Some(at) {
            return Ok(());
        }
        let value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.alarm = Some(at);
        Ok(())
    }
}

/// A wait that a signal ended is over without any reason.
pub(crate) fn ignore_interruption(why: io::Error) -> io::Result<()> {
    if why.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(why) }
}

impl Sockets {
    /// Begins to connect. To a loopback address from ever another one of them.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> io::Result<Id> {
        let socket = RawSocket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if to.is_ipv4() && to.ip().is_loopback() {
            let turn = self.opened % SOURCES;
            self.opened = self.opened.wrapping_add(1);
            let from = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + turn);
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(why)
                if why.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(why) => return Err(why),
        }
        let mut stream = TcpStream::from_std(socket.into());
        let id = self.free.pop().unwrap_or(self.all.len());
        // Both at once, edge-triggered: no call of the system when there is something to write.
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(id), both)?;
        let socket = Socket { stream, connected: false, left: Vec::new(), waiting: Vec::new() };
        match self.all.get_mut(id) {
            Some(place) => *place = Some(socket),
            None => self.all.push(Some(socket)),
        }
        Ok(Id(id))
    }

    /// Writes now what the peer has room for, and the rest when it has. Of a socket that has ended:
    /// nothing.
    pub(crate) fn write(&mut self, id: Id, bytes: &[u8]) {
        let Some(socket) = &mut self.all[id.0] else { return };
        if !socket.waiting.is_empty() || !socket.connected {
            if socket.waiting.len() + bytes.len() > WAITING_BYTES_MAX {
                self.fail(id, Ended::Stuck);
            } else {
                socket.waiting.extend_from_slice(bytes);
            }
            return;
        }
        self.calls.writes += 1;
        match write_now(&mut socket.stream, bytes) {
            Ok(written) => socket.waiting.extend_from_slice(&bytes[written..]),
            Err(why) => self.fail(id, Ended::Failed(why)),
        }
    }

    /// Ends it with a reset: the system forgets it at once, and remembers no port of it.
    pub(crate) fn reset(&mut self, id: Id) {
        if let Some(socket) = self.remove(id) {
            // A socket whose peer is gone already has nothing to reset.
            let _ = SockRef::from(&socket.stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn remove(&mut self, id: Id) -> Option<Socket> {
        let mut socket = self.all[id.0].take()?;
        // It leaves the loop with its descriptor in any case.
        let _ = self.registry.deregister(&mut socket.stream);
        self.freed.push(id.0);
        Some(socket)
    }

    /// Ends it, and has it told when nobody is in the middle of something.
    fn fail(&mut self, id: Id, why: Ended) {
        if self.remove(id).is_some() {
            self.broken.push((id, why));
        }
    }

    /// Whether it is still there.
    fn can_write(&mut self, id: Id, traffic: &mut impl Traffic) -> bool {
        let Some(socket) = &mut self.all[id.0] else { return false };
        if !socket.connected {
            match socket.stream.take_error() {
                Ok(None) => {}
                Ok(Some(why)) | Err(why) => {
                    self.fail(id, Ended::Failed(why));
                    return false;
                }
            }
            // Readiness may be told too early.
            if socket.stream.peer_addr().is_err() {
                return true;
            }
            socket.connected = true;
            traffic.opened(self, id);
        }
        let Some(socket) = &mut self.all[id.0] else { return false };
        if !socket.waiting.is_empty() {
            self.calls.writes += 1;
            match write_now(&mut socket.stream, &socket.waiting) {
                Ok(written) => {
                    socket.waiting.drain(..written);
                }
                Err(why) => {
                    self.fail(id, Ended::Failed(why));
                    return false;
                }
            }
        }
        true
    }

    fn can_read(&mut self, id: Id, closed: bool, buffer: &mut [u8], traffic: &mut impl Traffic) {
        loop {
            let Some(socket) = &mut self.all[id.0] else { return };
            let old = socket.left.len();
            if old == buffer.len() {
                return self.fail(id, Ended::Unread);
            }
            buffer[..old].copy_from_slice(&socket.left);
            self.calls.reads += 1;
            let new = match socket.stream.read(&mut buffer[old..]) {
                Ok(0) => return self.fail(id, Ended::ByPeer),
                Ok(new) => new,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return self.fail(id, Ended::Failed(why)),
            };
            let end = old + new;
            let taken = traffic.arrived(self, id, &buffer[..end]);
            let Some(socket) = &mut self.all[id.0] else { return };
            socket.left.clear();
            socket.left.extend_from_slice(&buffer[taken..end]);
            if end < buffer.len() && !closed {
                return;
            }
        }
    }
}

/// How much was written before the peer's buffer was full.
pub(crate) fn write_now(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(why) if why.kind() == ErrorKind::WouldBlock => break,
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// What was told, and all bytes that arrived.
    #[derive(Default)]
    struct Told {
        opened: bool,
        /// Sent as soon as it is connected.
        opening: Vec<u8>,
        bytes: Vec<u8>,
        ended: Option<Ended>,
        /// How many bytes are taken at a time, of what arrives.
        appetite: usize,
        largest: usize,
    }

    impl Traffic for Told {
        fn opened(&mut self, sockets: &mut Sockets, id: Id) {
            self.opened = true;
            sockets.write(id, &self.opening);
        }

        fn arrived(&mut self, _sockets: &mut Sockets, _id: Id, bytes: &[u8]) -> usize {
            self.largest = self.largest.max(bytes.len());
            let taken = bytes.len() / self.appetite * self.appetite;
            self.bytes.extend_from_slice(&bytes[..taken]);
            taken
        }

        fn ended(&mut self, _sockets: &mut Sockets, _id: Id, why: Ended) {
            self.ended = Some(why);
        }
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    fn turn_until(engine: &mut Engine, told: &mut Told, done: impl Fn(&Told) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(told) {
            assert!(Instant::now() < deadline, "it never happened");
            engine.turn(Instant::now() + Duration::from_millis(20), told).unwrap();
        }
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 7 + n / 256) as u8).collect()
    }

    #[test]
    fn a_peer_that_reads_late_gets_everything_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Those that are accepted have it from there: the system holds little.
        SockRef::from(&listener).set_recv_buffer_size(16 * 1024).unwrap();
        let address = listener.local_addr().unwrap();
        let sent = pattern(WAITING_BYTES_MAX - 100);
        let all = sent.len() + 3;
        let peer = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            thread::sleep(Duration::from_millis(200));
            let mut got = vec![0; all];
            socket.read_exact(&mut got).unwrap();
            got
        });
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { opening: sent.clone(), appetite: 1, ..Told::default() };
        let id = engine.sockets().connect(address).unwrap();
        turn_until(&mut engine, &mut told, |told| told.opened);
        // Behind what waits.
        let waiting = engine.sockets().all[id.0].as_ref().unwrap().waiting.len();
        assert!(waiting > 0, "the system took all of it at once");
        engine.sockets().write(id, b"end");
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        assert!(peer.join().unwrap() == [&sent[..], b"end"].concat());
        assert!(matches!(told.ended, Some(Ended::ByPeer)), "{:?}", told.ended);
    }

    #[test]
    fn a_peer_that_never_reads_is_stuck() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: 1, ..Told::default() };
        let id = engine.sockets().connect(listener.local_addr().unwrap()).unwrap();
        turn_until(&mut engine, &mut told, |told| told.opened);
        let some = pattern(1024 * 1024);
        // What the system holds for it comes on top.
        for _ in 0..64 {
            engine.sockets().write(id, &some);
        }
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        assert!(matches!(told.ended, Some(Ended::Stuck)), "{:?}", told.ended);
    }

    #[test]
    fn what_was_not_taken_comes_again_with_more_behind_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Three whole pieces, and some that nobody takes.
        let sent = pattern(3 * 1000 + 1);
        let pieces = sent.clone();
        let peer = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            for piece in pieces.chunks(700) {
                socket.write_all(piece).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: 1000, ..Told::default() };
        engine.sockets().connect(address).unwrap();
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        peer.join().unwrap();
        assert!(told.bytes == sent[..3000]);
    }

    #[test]
    fn more_than_a_buffer_is_read_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = pattern(8 * BUFFER_BYTES);
        let all = sent.clone();
        let peer = thread::spawn(move || listener.accept().unwrap().0.write_all(&all).unwrap());
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: 1, ..Told::default() };
        engine.sockets().connect(address).unwrap();
        // It piles up, and one readiness is told for all of it.
        thread::sleep(Duration::from_millis(100));
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        peer.join().unwrap();
        assert!(told.bytes == sent);
    }

    #[test]
    fn an_end_that_came_with_the_last_bytes_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: 1, ..Told::default() };
        engine.sockets().connect(listener.local_addr().unwrap()).unwrap();
        // Both are there before anybody looks: there will be no second event.
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"last").unwrap();
        drop(peer);
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        assert_eq!(told.bytes, b"last");
        assert!(matches!(told.ended, Some(Ended::ByPeer)), "{:?}", told.ended);
    }

    #[test]
    fn a_frame_that_fits_nowhere_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || {
            // It may be reset before all is written.
            let _ = listener.accept().unwrap().0.write_all(&pattern(2 * BUFFER_BYTES));
        });
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: usize::MAX, ..Told::default() };
        engine.sockets().connect(address).unwrap();
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        peer.join().unwrap();
        assert!(matches!(told.ended, Some(Ended::Unread)), "{:?}", told.ended);
        assert_eq!(told.largest, BUFFER_BYTES);
    }

    #[test]
    fn nobody_there_is_a_failure_and_no_panic() {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: 1, ..Told::default() };
        engine.sockets().connect(address).unwrap();
        turn_until(&mut engine, &mut told, |told| told.ended.is_some());
        assert!(matches!(told.ended, Some(Ended::Failed(_))), "{:?}", told.ended);
        assert!(!told.opened);
    }

    #[test]
    fn one_that_was_reset_is_told_of_no_more_and_its_id_is_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut engine = Engine::new(false).unwrap();
        let mut told = Told { appetite: 1, ..Told::default() };
        let first = engine.sockets().connect(address).unwrap();
        turn_until(&mut engine, &mut told, |told| told.opened);
        engine.sockets().reset(first);
        engine.sockets().write(first, b"nobody");
        // Before the turn is over it stands for nobody else.
        assert_ne!(engine.sockets().connect(address).unwrap(), first);
        engine.turn(Instant::now(), &mut told).unwrap();
        assert_eq!(engine.sockets().connect(address).unwrap(), first);
        assert!(told.ended.is_none());
        // The peer was told with a reset.
        let (mut peer, _) = listener.accept().unwrap();
        let why = peer.read(&mut [0; 8]).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::ConnectionReset);
    }
}
