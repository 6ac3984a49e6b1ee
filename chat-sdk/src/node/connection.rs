//! The driver of one connection: socket ⇄ session ⇄ node. One task, one hand-written future.
//!
//! Everything that is sent goes through the mailbox, so that there is one order: replies, events,
//! catch-up. An idle connection holds no buffer: frames are decoded from the stack, the mailbox is
//! empty, and no future is at work.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Sleep;
use tracing::debug;

use super::{
    Node,
    catch_up::Stepped,
    commands::{Commands, Finished},
    join::Joined,
    lock,
    registry::{Handshake, Place, Registered},
};
use crate::{
    auth::{AuthError, Credentials},
    hub::{Mailbox, Taken, mailbox},
    model::{ConversationId, Identity, Marker, UserId},
    protocol::{
        CloseCode, Encoded, ServerFrame, VERSION, Welcome,
        codec::{decode_client, decode_server},
        legacy::Legacy,
    },
    sabotage::{self, Defect},
    session::{
        AuthFailure, Dialect, Output, Session,
        cursor::{Cursor, Cursors},
    },
    store::{Checkpoint, StoreError},
};

/// Where others than the connection may write: for transports that take frames as they are.
pub(crate) use crate::hub::Outlet;

/// What comes out of a transport.
#[derive(Debug)]
pub(crate) enum Received {
    /// A text frame.
    Text(String),
    /// A ping, a pong: the other side lives.
    Alive,
    /// The other side closed; the answer is among the control bytes.
    Closed,
    /// The other side broke a rule; it is told this code.
    Broken(CloseCode),
    /// The connection is gone.
    Gone,
}

/// A WebSocket after its handshake, as this driver needs it.
pub(crate) trait Transport: Send + Unpin {
    /// The next frame.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received>;
    /// Control frames (pongs, the answer to a close) that have to be written, whole.
    fn take_control(&mut self) -> Option<Bytes>;
    /// Writes bytes of whole frames.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;
    /// Flushes what was written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Closes the writing side.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// How long a connection that was closed gets to take its close frame.
const LINGER: Duration = Duration::from_secs(2);
/// How long commands at work get to be answered when the node leaves.
const FINISH: Duration = Duration::from_secs(1);

/// How long a welcome waits for what follows it: most joins take less than a millisecond, and then
/// both are one write, and one packet.
const CORK: Duration = Duration::from_millis(50);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a new connection brings, beside its transport.
pub(crate) struct Opened {
    pub(crate) dialect: Dialect,
    /// Whom the upgrade authenticated.
    pub(crate) identity: Option<Identity>,
    /// When the question began that was answered with it.
    pub(crate) asked: Duration,
    pub(crate) place: Place,
    /// Given back when the connection is through its join.
    pub(crate) handshake: Handshake,
    /// Where others may write, if the socket takes frames as they are.
    pub(crate) outlet: Option<Arc<dyn Outlet>>,
}

pub(crate) struct Connection<T> {
    node: Arc<Node>,
    transport: T,
    session: Session,
    dialect: Dialect,
    mailbox: Arc<Mailbox>,
    /// Taken from the mailbox and not yet written.
    outbox: VecDeque<Bytes>,
    /// Whether the first of `outbox` has been written in part.
    partly_written: bool,
    unflushed: bool,
    stalled_since: Option<Duration>,
    user: Option<UserId>,
    /// When the last question began who this is.
    asked: Duration,
    legacy: Option<Box<Legacy>>,
    watched: Vec<UserId>,

    commands: Commands,
    authenticating: Option<Boxed<Result<Identity, AuthError>>>,
    joining: Option<Boxed<Result<Joined, StoreError>>>,
    stepping: Option<(Step, Boxed<Result<Stepped, StoreError>>)>,
    cursors: Cursors,
    receipts_due: VecDeque<ConversationId>,
    sync: Sync,
    /// Boxed, because it is soon gone.
    handshake: Option<Box<Handshake>>,
    /// Whether it counts among those who came in.
    admitted: bool,
    /// Nothing is written before its join is through, or this time.
    corked_until: Option<Duration>,
    /// When it was given its last resume token, or caught up: who came with one keeps that.
    token_at: Duration,

    sleep: Pin<Box<Sleep>>,
    wakes_at: Option<Duration>,
    state: State,
    /// To be closed with this code when what is at work is answered, at this time at the latest.
    finishing: Option<(CloseCode, Duration)>,
    _place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Page(Cursor),
    Receipts(ConversationId),
}

/// How far the connection is with its first catch-up.
#[derive(Debug)]
enum Sync {
    /// Has not joined.
    NotYet,
    /// Catches up; `synced` with this token follows.
    CatchingUp(Option<Checkpoint>),
    /// Was told `synced`.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A close frame is on its way; over at this time whatever happens.
    Closing(Duration),
    /// It is written; the other side gets until then to close.
    Lingering(Duration),
    Over,
}

impl Node {
    /// A connection, to be driven until it ends. Dropping the future ends it without a close frame.
    pub(crate) fn connection<T: Transport>(
        self: Arc<Self>,
        transport: T,
        opened: Opened,
    ) -> Connection<T> {
        let now = self.now();
        let Opened { dialect, identity, asked, place, handshake, outlet } = opened;
        // The upgrade counted whom it knew.
        let admitted = identity.is_some();
        let expires_in = identity.as_ref().and_then(|identity| self.expires_in(identity));
        let mailbox = Arc::new(Mailbox::with_outlet(self.limits.mailbox_bytes_max, outlet));
        self.expect(identity.clone(), &mailbox);
        let mut session = Session::new(now, self.limits.clone(), dialect, identity, expires_in);
        session.heard(now);
        Connection {
            transport,
            session,
            dialect,
            mailbox,
            outbox: VecDeque::new(),
            partly_written: false,
            unflushed: false,
            stalled_since: None,
            user: None,
            asked,
            legacy: None,
            watched: Vec::new(),
            commands: Commands::default(),
            authenticating: None,
            joining: None,
            stepping: None,
            cursors: Cursors::default(),
            receipts_due: VecDeque::new(),
            sync: Sync::NotYet,
            handshake: Some(Box::new(handshake)),
            admitted,
            corked_until: None,
            token_at: Duration::ZERO,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            wakes_at: None,
            state: State::Open,
            finishing: None,
            _place: place,
            node: self,
        }
    }

    /// How long a credential holds still.
    fn expires_in(&self, identity: &Identity) -> Option<Duration> {
        identity.expires_at.map(|at| at.since(self.ports.clock.now()))
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        match self.user.take() {
            Some(user) => self.node.unregister(&user, &self.mailbox, &self.watched),
            None => self.node.turn_away(&self.mailbox),
        }
    }
}

impl<T: Transport> Future for Connection<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let mut progress = this.poll_work(cx);
            progress |= this.poll_mailbox(cx);
            progress |= this.poll_write(cx);
            progress |= this.poll_read(cx);
            progress |= this.poll_time(cx);
            if this.state == State::Over {
                return Poll::Ready(());
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }
}

impl<T: Transport> Connection<T> {
    // --- what the session wants ---

    fn carry_out(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) => self.mailbox.put(Encoded::text(&frame)),
                Output::Reply(frame) => self.commands.reply(frame),
                Output::Run(id, command) => self.commands.run(id, command),
                Output::Pong(positions) => self.pong(positions),
                Output::Authenticate(token) => self.authenticate(token),
                Output::Join(identity, resume) => {
                    let welcome = self.welcome(&identity, resume.as_ref());
                    let welcomed = welcome.is_ok();
                    self.session.joined(self.node.now(), welcome);
                    if welcomed {
                        self.corked_until = Some(self.node.now() + CORK);
                        let (user, mailbox) = (identity.user, self.mailbox.clone());
                        self.joining =
                            Some(Box::pin(self.node.clone().join(user, mailbox, resume)));
                    }
                }
                Output::Renewed(identity) => {
                    self.node.renew(&identity, self.asked, &self.mailbox);
                }
                Output::Ping => self.mailbox.put(Encoded::ping()),
                Output::Close(code) => self.close(code),
            }
        }
    }

    fn welcome(
        &mut self,
        identity: &Identity,
        resume: Option<&crate::protocol::Resume>,
    ) -> Result<Welcome, CloseCode> {
        if self.node.is_draining() {
            return Err(CloseCode::Restart);
        }
        if let Some(handshake) = &mut self.handshake {
            handshake.is_known();
        }
        if !self.admitted && self.node.admit_one().is_err() {
            return Err(CloseCode::Overloaded);
        }
        self.admitted = true;
        match self.node.register(identity, self.asked, &self.mailbox) {
            Registered::Yes => {}
            Registered::TooMany => return Err(CloseCode::Overloaded),
            Registered::Revoked => return Err(CloseCode::Revoked),
        }
        self.user = Some(identity.user.clone());
        let mut random = [0; 16];
        self.node.ports.random.fill(&mut random);
        let [session, salt] = [&random[..8], &random[8..]]
            .map(|half| half.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)));
        if self.dialect == Dialect::Legacy {
            self.legacy = Some(Box::new(Legacy::new(identity.user.clone(), salt)));
        }
        let limits = &self.node.limits;
        let epoch = self.node.epoch();
        Ok(Welcome {
            version: VERSION,
            session: format!("{session:016x}"),
            user: identity.user.clone(),
            resumed: resume.is_some_and(|resume| resume.epoch == epoch),
            epoch,
            heartbeat_ms: limits.heartbeat.as_millis() as u64,
            typing_ms: limits.typing_interval.as_millis() as u64,
            limits: (&**limits).into(),
            expires_at: identity.expires_at,
        })
    }

    fn authenticate(&mut self, token: String) {
        self.asked = self.node.now();
        let node = self.node.clone();
        self.authenticating = Some(Box::pin(async move {
            let (headers, extensions) = (http::HeaderMap::new(), http::Extensions::new());
            let credentials = Credentials::new(Some(&token), &headers, &extensions);
            node.authenticate(credentials).await
        }));
    }

    fn pong(&mut self, positions: std::collections::BTreeMap<ConversationId, crate::model::Seq>) {
        let follows = |conversation: &ConversationId| {
            self.mailbox.follows(*conversation) && !self.cursors.contains(*conversation)
        };
        let heads = positions
            .into_keys()
            .filter(follows)
            .filter_map(|conversation| {
                let head = self.node.shards.of(conversation).head(conversation)?;
                Some((conversation, head))
            })
            .collect();
        let token = match (&self.sync, &self.user) {
            (Sync::Done, Some(user)) if self.cursors.is_empty() => {
                lock(&self.node.registry).vouched(user, &self.mailbox)
            }
            _ => None,
        };
        // The device forgets what it reached before the last token came, so this one has to speak of a
        // moment after that.
        let token = token.filter(|it| self.token_at < it.since);
        // Asked after the token was taken: whoever falls behind from here on does so above it.
        let token = token.filter(|_| !self.mailbox.is_behind()).map(|it| it.checkpoint);
        if token.is_some() {
            self.token_at = self.node.now();
        }
        self.mailbox.put(Encoded::text(&ServerFrame::Pong { heads, token }));
    }

    // --- what is at work ---

    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        if self.state != State::Open {
            return false;
        }
        let mut progress = false;
        if let Some(authenticating) = &mut self.authenticating
            && let Poll::Ready(answer) = authenticating.as_mut().poll(cx)
        {
            self.authenticating = None;
            self.authenticated(answer);
            progress = true;
        }
        if let Some(joining) = &mut self.joining
            && let Poll::Ready(answer) = joining.as_mut().poll(cx)
        {
            self.joining = None;
            self.handshake = None;
            self.joined(answer);
            progress = true;
        }
        if let Some(user) = &self.user
            && let Poll::Ready(finished) =
                self.commands.poll_next(cx, &self.node, user, &self.mailbox)
        {
            self.finished(finished);
            progress = true;
        }
        progress |= self.poll_catch_up(cx);
        self.carry_out();
        if let Some((code, _)) = self.finishing
            && self.commands.len() == 0
        {
            self.close(code);
            progress = true;
        }
        progress
    }

    fn authenticated(&mut self, answer: Result<Identity, AuthError>) {
        let answer = match answer {
            Ok(identity) => {
                let expires_in = self.node.expires_in(&identity);
                Ok((identity, expires_in))
            }
            Err(why @ AuthError::Unavailable(_)) => {
                debug!(error = &why as &dyn std::error::Error, "not authenticated");
                Err(AuthFailure::Unavailable)
            }
            Err(why) => {
                debug!(%why, "not authenticated");
                Err(AuthFailure::Refused)
            }
        };
        self.session.authenticated(self.node.now(), answer);
    }

    fn joined(&mut self, joined: Result<Joined, StoreError>) {
        self.corked_until = None;
        match joined {
            Ok(Joined { behind, changed, token }) => {
                for Cursor { conversation, delivered, known } in behind {
                    self.cursors.add_knowing(conversation, delivered, known);
                }
                // Receipts follow the events where there are some, and stand alone elsewhere.
                for conversation in changed {
                    if !self.cursors.contains(conversation) {
                        self.receipts_due.push_back(conversation);
                    }
                }
                self.sync = Sync::CatchingUp(token);
            }
            Err(why) => {
                debug!(error = &why as &dyn std::error::Error, "not joined");
                self.close(CloseCode::Unavailable);
            }
        }
    }

    fn finished(&mut self, finished: Finished) {
        let Finished { reply, watching } = finished;
        if let Some(frame) = reply {
            self.mailbox.put(Encoded::text(&frame));
        }
        if let Some(users) = watching {
            self.watch(users);
        }
    }

    fn watch(&mut self, users: Vec<UserId>) {
        let online = self.node.watch(&self.mailbox, &users, &self.watched);
        for (user, online) in users.iter().zip(online) {
            let frame = ServerFrame::Presence { user: user.clone(), online };
            self.mailbox.put(Encoded::text(&frame));
        }
        self.watched = users;
    }

    fn poll_catch_up(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        loop {
            if let Some((step, future)) = &mut self.stepping {
                let Poll::Ready(stepped) = future.as_mut().poll(cx) else { return progress };
                let step = *step;
                self.stepping = None;
                self.stepped(step, stepped);
                progress = true;
            }
            if self.state != State::Open || matches!(self.sync, Sync::NotYet) {
                return progress;
            }
            // Reads on only as fast as the other side takes it.
            if self.mailbox.above_half() {
                return progress;
            }
            let Some(user) = self.user.clone() else { return progress };
            let (node, mailbox) = (self.node.clone(), self.mailbox.clone());
            if let Some(cursor) = self.cursors.first() {
                let future = Box::pin(node.catch_up(user, mailbox, cursor));
                self.stepping = Some((Step::Page(cursor), future));
            } else if let Some(conversation) = self.receipts_due.pop_front() {
                let future = Box::pin(node.receipts(user, mailbox, conversation));
                self.stepping = Some((Step::Receipts(conversation), future));
            } else {
                if let Sync::CatchingUp(token) = &mut self.sync {
                    let token = token.take();
                    self.token_at = self.node.now();
                    self.mailbox.put(Encoded::text(&ServerFrame::Synced { token }));
                    self.sync = Sync::Done;
                    self.receipts_due = VecDeque::new();
                    progress = true;
                }
                return progress;
            }
        }
    }

    fn stepped(&mut self, step: Step, stepped: Result<Stepped, StoreError>) {
        let stepped = match stepped {
            Ok(stepped) => stepped,
            Err(why) => {
                debug!(error = &why as &dyn std::error::Error, "catch-up failed");
                self.close(CloseCode::Unavailable);
                return;
            }
        };
        let Step::Page(cursor) = step else { return };
        // A `sync` may have moved the cursor meanwhile: then it starts again from there.
        if self.cursors.first() != Some(cursor) {
            if matches!(stepped, Stepped::Live) && self.cursors.contains(cursor.conversation) {
                let conversation = cursor.conversation;
                self.node.shards.of(conversation).set_behind(conversation, &self.mailbox);
            }
            return;
        }
        match stepped {
            Stepped::To(delivered) => self.cursors.advance(delivered),
            Stepped::Live => {
                self.cursors.remove(cursor.conversation);
                self.receipts_due.push_back(cursor.conversation);
            }
            Stepped::Gone | Stepped::Receipts => self.cursors.remove(cursor.conversation),
        }
    }

    // --- out ---

    fn poll_mailbox(&mut self, cx: &mut Context<'_>) -> bool {
        // Whatever ends the waiting polls this again: the join, its time, or a close.
        if self.state != State::Open || self.corked_until.is_some() {
            return false;
        }
        let taken = if self.legacy.is_some() {
            self.poll_mailbox_translated(cx)
        } else {
            let idle = self.outbox.is_empty() && !self.unflushed && self.commands.len() == 0;
            self.mailbox.poll_take(cx, &mut self.outbox, idle)
        };
        let Poll::Ready(Taken { behind, close, partly_written }) = taken else { return false };
        self.partly_written |= partly_written;
        for (conversation, delivered) in behind {
            if !sabotage::on(Defect::DropSilently) {
                // A page that was on its way may have let it go live meanwhile.
                self.node.shards.of(conversation).set_behind(conversation, &self.mailbox);
                self.cursors.add(conversation, delivered);
            }
        }
        match close {
            // A node that leaves owes an answer to what it has begun.
            Some(code @ CloseCode::Restart) if self.commands.len() > 0 => {
                self.finishing = Some((code, self.node.now() + FINISH));
            }
            Some(code) => self.close(code),
            None => {}
        }
        true
    }

    /// For an original client: our frames, in its words.
    fn poll_mailbox_translated(&mut self, cx: &mut Context<'_>) -> Poll<Taken> {
        let mut frames = VecDeque::new();
        let taken = ready!(self.mailbox.poll_take(cx, &mut frames, false));
        let Some(legacy) = &mut self.legacy else { return Poll::Ready(taken) };
        let now = self.node.ports.clock.now();
        for bytes in frames {
            let length = bytes.len();
            let encoded = Encoded::ready(bytes.clone());
            let text = std::str::from_utf8(encoded.payload()).unwrap_or_default();
            let Ok(Some(frame)) = decode_server(text) else {
                // A ping of ours: no text, passed on as it is.
                self.outbox.push_back(bytes);
                continue;
            };
            let translated = legacy.encode(&frame, now);
            if let (Some(_), ServerFrame::Event(event), Some(user)) =
                (&translated, &frame, &self.user)
            {
                // What it is shown, it has received: it has no way to say so itself.
                let marker = Marker { received: event.seq, ..Marker::default() };
                // Not awaited: a receipt that is lost is made up for by the next.
                let _ = self.node.begin_mark(user, event.conversation, marker);
            }
            let translated = translated.map(|text| Encoded::text_raw(&text).into_bytes());
            // The mailbox counts what it gave; the rest of the way it is the translation.
            match translated {
                Some(bytes) => {
                    self.mailbox.exchanged(length, bytes.len());
                    self.outbox.push_back(bytes);
                }
                None => self.mailbox.written(length),
            }
        }
        Poll::Ready(taken)
    }

    /// What the decoder answers stands in line with everything else.
    fn queue_control(&mut self) {
        let control = self.transport.take_control();
        // Behind a close comes nothing.
        if let (Some(control), State::Open) = (control, self.state) {
            self.take_over();
            // Counted like everything else that waits, so that who pings and does not read is read
            // no further either.
            self.mailbox.exchanged(0, control.len());
            self.outbox.push_back(control);
        }
    }

    /// Before something is written that does not come out of the mailbox.
    fn take_over(&mut self) {
        if self.legacy.is_none() {
            self.partly_written |= self.mailbox.take_over(&mut self.outbox);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        self.queue_control();
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); mailbox::SLICES];
            match self.transport.poll_write(cx, mailbox::first(&self.outbox, &mut slices)) {
                Poll::Pending => {
                    if self.stalled_since.is_none() {
                        self.stalled_since = Some(self.node.now());
                        progress = true; // The time-out is new.
                    }
                    return progress;
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.state = State::Over;
                    return true;
                }
                Poll::Ready(Ok(written)) => self.written(written),
            }
            progress = true;
            self.unflushed = true;
            self.stalled_since = None;
        }
        // An idle connection keeps no buffer.
        if self.outbox.capacity() > 0 {
            self.outbox = VecDeque::new();
        }
        if self.unflushed {
            match self.transport.poll_flush(cx) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => self.state = State::Over,
            }
        }
        if let State::Closing(until) = self.state
            && self.transport.poll_shutdown(cx).is_ready()
        {
            self.state = State::Lingering(until);
            progress = true;
        }
        progress
    }

    fn written(&mut self, bytes: usize) {
        self.mailbox.written(bytes);
        self.partly_written = mailbox::advance(&mut self.outbox, bytes);
    }

    // --- in ---

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        match self.state {
            State::Open if !self.may_read() => return false,
            State::Open | State::Lingering(_) => {}
            State::Closing(_) | State::Over => return false,
        }
        let Poll::Ready(received) = self.transport.poll_receive(cx) else { return false };
        let now = self.node.now();
        if let State::Lingering(_) = self.state {
            // What comes after our close is not looked at.
            if matches!(received, Received::Closed | Received::Broken(_) | Received::Gone) {
                self.state = State::Over;
            }
            return true;
        }
        match received {
            Received::Text(text) => {
                let frame = match &mut self.legacy {
                    Some(legacy) => legacy.decode(&text),
                    None => decode_client(&text),
                };
                self.session.handle_frame(now, frame);
            }
            Received::Alive => self.session.handle_control(now),
            Received::Closed => {
                // The answer is among the control bytes, and stands behind a frame that was begun.
                self.take_over();
                self.outbox.truncate(usize::from(self.partly_written));
                self.queue_control();
                self.state = State::Closing(now + LINGER);
            }
            Received::Broken(code) => self.close(code),
            Received::Gone => self.state = State::Over,
        }
        self.carry_out();
        true
    }

    /// Whether another command may come in: not while its answers would have no room.
    fn may_read(&self) -> bool {
        self.authenticating.is_none()
            && self.finishing.is_none()
            && self.commands.len() < self.node.limits.commands_in_flight_max
            && !self.mailbox.above_half()
    }

    // --- time ---

    fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = match self.state {
            State::Closing(until) | State::Lingering(until) => Some(until),
            State::Open => {
                let stall = self.stalled_since.map(|since| since + self.node.limits.stall_timeout);
                let finish = self.finishing.map(|(_, until)| until);
                let cork = self.corked_until;
                [self.session.poll_timeout(), stall, finish, cork].into_iter().flatten().min()
            }
            State::Over => return false,
        };
        let Some(deadline) = deadline else { return false };
        // A deadline that moved away is looked at when the old one comes: cheaper than moving the
        // timer with every frame.
        if self.wakes_at.is_none_or(|at| deadline < at) {
            self.sleep.as_mut().reset(self.node.began + deadline);
            self.wakes_at = Some(deadline);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.wakes_at = None;
        let now = self.node.now();
        match self.state {
            State::Closing(until) | State::Lingering(until) => {
                if now >= until {
                    self.state = State::Over;
                }
            }
            State::Open => {
                let stall_timeout = self.node.limits.stall_timeout;
                self.corked_until = self.corked_until.filter(|until| now < *until);
                if self.stalled_since.is_some_and(|since| now >= since + stall_timeout) {
                    self.close(CloseCode::Slow);
                } else if let Some((code, until)) = self.finishing
                    && now >= until
                {
                    self.close(code);
                } else {
                    self.session.handle_timeout(now);
                    self.carry_out();
                }
            }
            State::Over => {}
        }
        true
    }

    /// Nothing more is read or begun; what was not written gives way to a close frame.
    fn close(&mut self, code: CloseCode) {
        if self.state != State::Open {
            return;
        }
        debug!(user = ?self.user, code = code.name(), "closing");
        metrics::counter!("chat_closes_total", "code" => code.name()).increment(1);
        self.queue_control();
        // Replies that are ready go out before it: take them along.
        self.take_over();
        if code == CloseCode::Slow {
            // A frame that was begun has to be finished, or the close would be inside it.
            self.outbox.truncate(usize::from(self.partly_written));
        }
        self.outbox.push_back(Encoded::close(code.code(), code.name()).into_bytes());
        self.state = State::Closing(self.node.now() + LINGER);
    }
}
