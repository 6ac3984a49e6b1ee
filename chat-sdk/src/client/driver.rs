//! The client's one task: sockets, timers and the host's token on the one side, the machine on the
//! other. It decides nothing.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, Sleep},
};
use tracing::debug;

use super::{
    Attempt, ClientEvent, ClientLimits, Ending, LinkId, SendError, TokenError,
    dial::{Dialler, Target},
    machine::{Input, Machine, Output, Settled},
    outbox::EntryId,
    socket::Socket,
    token::{Asking, DynTokenSource},
};
use crate::protocol::codec;

/// Bytes that may wait for a socket: all commands that a server lets be in flight, and more than
/// that is a server that reads nothing.
const BACKLOG_BYTES_MAX: usize = 1024 * 1024;
/// Frames taken from one socket before the others get their turn.
const FRAMES_AT_ONCE: usize = 32;

/// Who waits for a message's place.
pub(super) type Waiter = oneshot::Sender<Result<Settled, SendError>>;

/// Chooses the address of each connection.
pub(super) type Route = Box<dyn FnMut(Attempt) -> String + Send>;

/// What the handles and the task share. The lock is held for the machine's own steps alone.
pub(super) struct Shared {
    core: Mutex<Core>,
    driver: AtomicWaker,
    began: Instant,
    pub(super) ended: watch::Sender<bool>,
}

pub(super) struct Core {
    pub(super) machine: Machine,
    pub(super) waiters: HashMap<EntryId, Waiter>,
    /// Who waits for the next event.
    host: Option<Waker>,
}

impl Shared {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            core: Mutex::new(Core { machine, waiters: HashMap::new(), host: None }),
            driver: AtomicWaker::new(),
            began: Instant::now(),
            ended: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A step of the machine for the host; the task looks at what comes of it.
    pub(super) fn with<T>(&self, step: impl FnOnce(Duration, &mut Core) -> T) -> T {
        let now = self.now();
        let done = step(now, &mut self.lock());
        self.driver.wake();
        done
    }

    /// The same for the task itself, which looks anyway.
    fn feed(&self, input: Input) {
        let now = self.now();
        self.lock().machine.handle(now, input);
    }

    /// A look that changes nothing.
    pub(super) fn look<T>(&self, look: impl FnOnce(Duration, &Core) -> T) -> T {
        look(self.now(), &self.lock())
    }

    /// The next event; `None` after the last.
    pub(super) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        let now = self.now();
        let mut core = self.lock();
        match core.machine.take(now) {
            Some(event) => {
                drop(core);
                // There may be room again.
                self.driver.wake();
                Poll::Ready(Some(event))
            }
            None if core.machine.is_over() => Poll::Ready(None),
            None => {
                core.host = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// One connection as the task sees it.
struct Line {
    id: LinkId,
    at: At,
}

enum At {
    Dialling(Pin<Box<dyn Future<Output = Result<Socket, Ending>> + Send>>),
    Open {
        socket: Box<Socket>,
        out: VecDeque<String>,
        out_bytes: usize,
    },
    /// Nothing of it is heard any more.
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Ended,
}

/// The task. It ends when the machine is closed and every socket is.
pub(super) struct Driver {
    shared: Arc<Shared>,
    lines: Vec<Line>,
    asking: Option<Asking>,
    source: Arc<dyn DynTokenSource>,
    route: Route,
    dialler: Arc<Dialler>,
    limits: ClientLimits,
    sleep: Pin<Box<Sleep>>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Arc<dyn DynTokenSource>,
        route: Route,
        dialler: Arc<Dialler>,
        limits: ClientLimits,
    ) -> Self {
        let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { shared, lines: Vec::new(), asking: None, source, route, dialler, limits, sleep }
    }

    /// Lets the machine work, and does what it says. Whether the client is over.
    fn work(&mut self) -> bool {
        let shared = self.shared.clone();
        let now = shared.now();
        let mut core = shared.lock();
        if core.machine.poll_timeout().is_some_and(|at| now >= at) {
            core.machine.handle_timeout(now);
        }
        let mut outputs = Vec::new();
        while let Some(output) = core.machine.poll_output() {
            match output {
                Output::Settled(id, result) => {
                    if let Some(waiter) = core.waiters.remove(&id) {
                        // Whoever let go of it does not want to know.
                        let _ = waiter.send(result);
                    }
                }
                output => outputs.push(output),
            }
        }
        let closed = core.machine.is_closed();
        let host = if core.machine.has_news() { core.host.take() } else { None };
        drop(core);
        if let Some(host) = host {
            host.wake();
        }
        for output in outputs {
            self.carry_out(output);
        }
        closed
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::AskToken(stale) => {
                let (asking, limit) = (self.source.clone().ask(stale), self.limits.token_timeout);
                self.asking = Some(Box::pin(async move {
                    let answer = tokio::time::timeout(limit, asking).await;
                    answer.unwrap_or(Err(TokenError::Unreachable))
                }));
            }
            Output::Open(id, attempt) => {
                let url = (self.route)(attempt);
                debug!(url, number = attempt.number, moving = attempt.moving, "connecting");
                let (dialler, bytes_max) = (self.dialler.clone(), self.limits.frame_bytes_max);
                let dialling = async move {
                    let target = Target::new(&url).map_err(Ending::Unreachable)?;
                    Socket::open(&dialler, &target, bytes_max).await
                };
                self.lines.push(Line { id, at: At::Dialling(Box::pin(dialling)) });
            }
            Output::Write(id, frame) => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.id == id)
                    && let At::Open { out, out_bytes, .. } = &mut line.at
                {
                    let text = codec::encode_client(&frame);
                    *out_bytes += text.len();
                    out.push_back(text);
                }
            }
            Output::Drop(id) => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.id == id) {
                    line.at = match std::mem::replace(&mut line.at, At::Ended) {
                        At::Open { socket, out, .. } => {
                            At::Closing(Box::pin(socket.close(out.into())))
                        }
                        At::Closing(closing) => At::Closing(closing),
                        At::Dialling(_) | At::Ended => At::Ended,
                    };
                }
            }
            Output::Settled(..) => {}
        }
    }

    /// Feeds the machine with what has happened; whether anything has.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut happened = false;
        if let Some(asking) = &mut self.asking
            && let Poll::Ready(answer) = asking.as_mut().poll(cx)
        {
            self.asking = None;
            happened = true;
            self.shared.feed(Input::Token(answer));
        }
        for line in &mut self.lines {
            happened |= line.turn(&self.shared, cx);
        }
        self.lines.retain(|line| !matches!(line.at, At::Ended));
        happened
    }
}

impl Line {
    fn turn(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let id = self.id;
        match &mut self.at {
            At::Dialling(dialling) => match dialling.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(socket)) => {
                    let socket = Box::new(socket);
                    self.at = At::Open { socket, out: VecDeque::new(), out_bytes: 0 };
                    shared.feed(Input::Opened(id));
                    true
                }
                Poll::Ready(Err(ending)) => self.end(shared, ending),
            },
            At::Open { socket, out, out_bytes } => {
                if let Err(ending) = write(socket, out, out_bytes, cx) {
                    return self.end(shared, ending);
                }
                for turn in 0..FRAMES_AT_ONCE {
                    if !shared.look(|_, core| core.machine.reads()) {
                        return turn > 0;
                    }
                    match socket.poll_frame(cx) {
                        Poll::Pending => return turn > 0,
                        Poll::Ready(Ok(frame)) => shared.feed(Input::Frame(id, frame)),
                        Poll::Ready(Err(ending)) => return self.end(shared, ending),
                    }
                }
                true
            }
            At::Closing(closing) => {
                if closing.as_mut().poll(cx).is_ready() {
                    self.at = At::Ended;
                    return true;
                }
                false
            }
            At::Ended => false,
        }
    }

    fn end(&mut self, shared: &Shared, ending: Ending) -> bool {
        debug!(%ending, "a connection ended");
        self.at = At::Ended;
        let id = self.id;
        shared.feed(Input::Ended(id, ending));
        true
    }
}

/// Writes what the socket takes.
fn write(
    socket: &mut Socket,
    out: &mut VecDeque<String>,
    out_bytes: &mut usize,
    cx: &mut Context<'_>,
) -> Result<(), Ending> {
    while !out.is_empty() {
        match socket.poll_ready(cx)? {
            Poll::Ready(()) => {
                if let Some(text) = out.pop_front() {
                    *out_bytes -= text.len();
                    socket.write(text)?;
                }
            }
            Poll::Pending if *out_bytes > BACKLOG_BYTES_MAX => return Err(Ending::Stuck),
            Poll::Pending => return Ok(()),
        }
    }
    // An idle line owns no buffer.
    *out = VecDeque::new();
    match socket.poll_flush(cx)? {
        Poll::Ready(()) | Poll::Pending => Ok(()),
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            // Before anything is looked at, so that nothing that changes meanwhile is missed.
            this.shared.driver.register(cx.waker());
            let closed = this.work();
            if closed && this.lines.is_empty() {
                return Poll::Ready(());
            }
            if this.turn(cx) {
                continue;
            }
            let at = this.shared.look(|_, core| core.machine.poll_timeout());
            let Some(at) = at else { return Poll::Pending };
            this.sleep.as_mut().reset(this.shared.began + at);
            if this.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Driver {
    // However the task ends: whoever waits is told.
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        core.machine.close();
        core.waiters.clear();
        let host = core.host.take();
        drop(core);
        if let Some(host) = host {
            host.wake();
        }
        self.shared.ended.send_replace(true);
    }
}
