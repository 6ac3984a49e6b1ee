//! One connection as a state machine without I/O.
//!
//! It is fed frames, answers and the time (as time since the node began), and gives back what is to
//! be sent and done. It knows no socket, no store and no hub.
//!
//! The law for its driver: after every call that takes input, call [`Session::poll_output`] until
//! it gives `None`, then look at [`Session::poll_timeout`].

pub mod cursor;
mod heartbeat;
mod rate;

use std::{collections::BTreeMap, collections::VecDeque, sync::Arc, time::Duration};

use self::{heartbeat::Heartbeat, rate::Bucket};
use crate::{
    limits::Limits,
    model::{ConversationId, Identity, Seq, UserId},
    protocol::{
        ClientFrame, CloseCode, Code, Command, CommandId, MalformedFrame, Problem, Resume,
        ServerFrame, Welcome,
    },
};

pub use self::rate::Bucket as RateBucket;

/// What the driver has to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send this.
    Send(ServerFrame),
    /// Send this when all commands before it have been answered.
    Reply(ServerFrame),
    /// Carry out this command and send its answer, in the order of the commands.
    Run(Option<CommandId>, Command),
    /// Answer a ping: with the heads of these conversations.
    Pong(BTreeMap<ConversationId, Seq>),
    /// Find out who has this token, then call [`Session::authenticated`]. A renewal is answered in
    /// the order of the commands.
    Authenticate(String),
    /// Make room for this user and call [`Session::joined`]; then load what they follow.
    Join(Box<Identity>, Option<Resume>),
    /// Send a WebSocket ping: the client cannot ping by itself.
    Ping,
    /// The credential is this one now.
    Renewed(Box<Identity>),
    /// Close the connection.
    Close(CloseCode),
}

/// Which frames the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Ours, announced by the subprotocol: the first frame is `hello`.
    Native,
    /// Those of the original clients: live from the start, pinged by the server.
    Legacy,
}

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// It does not hold, or is another user's.
    Refused,
    /// It could not be checked.
    Unavailable,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    phase: Phase,
    dialect: Dialect,
    heartbeat: Heartbeat,
    frames: Bucket,
    malformed: u32,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    /// Waits for the first frame, until then.
    Hello { identity: Option<(Box<Identity>, Option<Duration>)>, until: Duration },
    /// Its token is being checked.
    Authenticating { resume: Option<Resume>, until: Duration },
    /// What it follows is being loaded.
    Joining { identity: Box<Identity>, expiry: Expiry },
    /// Live.
    Live { identity: Box<Identity>, expiry: Expiry, renewing: Option<Option<CommandId>> },
    /// Closed by us; nothing more happens.
    Closed,
}

/// What is still to be said about the end of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Never,
    /// Announced at the first time, over at the second.
    Ahead(Duration, Duration),
    /// Announced, over at this time.
    Announced(Duration),
}

impl Expiry {
    fn new(expires_in: Option<Duration>, now: Duration, notice: Duration) -> Self {
        match expires_in {
            None => Self::Never,
            Some(left) => {
                // A short-lived credential is announced half-way, not at once.
                let notice = notice.min(left / 2);
                Self::Ahead(now + left - notice, now + left)
            }
        }
    }

    const fn deadline(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Ahead(at, _) | Self::Announced(at) => Some(at),
        }
    }
}

impl Session {
    /// A connection that was opened just now, by somebody whom the upgrade authenticated (then with
    /// the credential's remaining time) or not.
    #[must_use]
    pub fn new(
        now: Duration,
        limits: Arc<Limits>,
        dialect: Dialect,
        identity: Option<Identity>,
        expires_in: Option<Duration>,
    ) -> Self {
        let mut session = Self {
            heartbeat: Heartbeat::new(now, limits.heartbeat, limits.silence_max()),
            frames: Bucket::new(now, limits.frames_per_second, limits.frames_per_second * 10),
            phase: Phase::Hello {
                identity: identity.map(|it| (Box::new(it), expires_in.map(|left| now + left))),
                until: now + limits.hello_timeout,
            },
            dialect,
            malformed: 0,
            outputs: VecDeque::new(),
            limits,
        };
        if dialect == Dialect::Legacy {
            session.begin_legacy(now);
        }
        session
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() {
            // An idle session owns no buffer.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When [`handle_timeout`](Session::handle_timeout) wants to be called. Changes with every call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Hello { until, .. } | Phase::Authenticating { until, .. } => Some(*until),
            Phase::Joining { expiry, .. } => expiry.deadline(),
            Phase::Live { expiry, .. } => {
                let silence = self.heartbeat.deadline(self.dialect == Dialect::Legacy);
                Some(expiry.deadline().map_or(silence, |at| at.min(silence)))
            }
            Phase::Closed => None,
        }
    }

    /// Who it is, once that is known.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match &self.phase {
            Phase::Joining { identity, .. } | Phase::Live { identity, .. } => Some(&identity.user),
            Phase::Hello { .. } | Phase::Authenticating { .. } | Phase::Closed => None,
        }
    }

    /// Whether the client has been let in.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Anything at all arrived.
    pub const fn heard(&mut self, now: Duration) {
        self.heartbeat.heard(now);
    }

    /// A frame arrived: what it was decoded to.
    pub fn handle_frame(&mut self, now: Duration, frame: Result<ClientFrame, MalformedFrame>) {
        if !self.admit(now) {
            return;
        }
        match frame {
            Ok(frame) => self.accept(now, frame),
            Err(malformed) => self.refuse(malformed),
        }
    }

    /// A ping or a pong of WebSocket arrived: a sign of life, and a frame like any other.
    pub fn handle_control(&mut self, now: Duration) {
        self.admit(now);
    }

    /// One more frame: whether it is looked at.
    fn admit(&mut self, now: Duration) -> bool {
        self.heartbeat.heard(now);
        if matches!(self.phase, Phase::Closed) {
            return false;
        }
        let admitted = self.frames.take(now).is_ok();
        if !admitted {
            self.close(CloseCode::Flooding);
        }
        admitted
    }

    fn accept(&mut self, now: Duration, frame: ClientFrame) {
        match (&mut self.phase, frame) {
            (Phase::Hello { identity, until }, ClientFrame::Hello(hello)) => {
                if hello.version != crate::protocol::VERSION {
                    self.close(CloseCode::Version);
                    return;
                }
                let positions = hello.resume.as_ref().map_or(0, |resume| resume.positions.len());
                if positions > self.limits.positions_max {
                    self.close(CloseCode::Malformed);
                    return;
                }
                match (hello.token, identity.take()) {
                    // The token of the frame is the newer one.
                    (Some(token), _) => {
                        self.phase = Phase::Authenticating { resume: hello.resume, until: *until };
                        self.outputs.push_back(Output::Authenticate(token));
                    }
                    (None, Some((identity, ends))) => {
                        let left = ends.map(|at| at.saturating_sub(now));
                        self.join(now, identity, left, hello.resume);
                    }
                    (None, None) => self.close(CloseCode::Unauthenticated),
                }
            }
            (Phase::Live { .. }, ClientFrame::Ping { positions }) => {
                if positions.len() > self.limits.ping_positions_max {
                    let detail =
                        format!("more than {} positions in a ping", self.limits.ping_positions_max);
                    self.refuse(MalformedFrame::new(None, detail));
                } else {
                    self.outputs.push_back(Output::Pong(positions));
                }
            }
            (Phase::Live { identity: _, renewing, .. }, ClientFrame::Command(id, command)) => {
                match command {
                    Command::Auth { token } => {
                        if renewing.is_some() {
                            let problem = Problem::new(Code::Invalid, "a renewal is under way");
                            self.reply_error(id, problem);
                        } else {
                            *renewing = Some(id);
                            self.outputs.push_back(Output::Authenticate(token));
                        }
                    }
                    Command::Watch { users } if users.len() > self.limits.watch_max => {
                        let detail = format!("more than {} users", self.limits.watch_max);
                        self.reply_error(id, Problem::new(Code::Invalid, detail));
                    }
                    command => self.outputs.push_back(Output::Run(id, command)),
                }
            }
            (Phase::Live { .. }, ClientFrame::Hello(_)) => {
                self.refuse(MalformedFrame::new(None, "a second hello"));
            }
            // Before the welcome nothing but `hello` is looked at.
            (Phase::Hello { .. } | Phase::Authenticating { .. } | Phase::Joining { .. }, _) => {
                self.close(CloseCode::Malformed);
            }
            (Phase::Closed, _) => {}
        }
    }

    /// The answer to [`Output::Authenticate`]; `expires_in` is the credential's remaining time.
    pub fn authenticated(
        &mut self,
        now: Duration,
        answer: Result<(Identity, Option<Duration>), AuthFailure>,
    ) {
        match (&mut self.phase, answer) {
            (Phase::Authenticating { resume, .. }, Ok((identity, expires_in))) => {
                let resume = resume.take();
                self.join(now, Box::new(identity), expires_in, resume);
            }
            (Phase::Authenticating { .. }, Err(why)) => self.close(match why {
                AuthFailure::Refused => CloseCode::Unauthenticated,
                AuthFailure::Unavailable => CloseCode::Unavailable,
            }),
            (Phase::Live { identity, expiry, renewing }, Ok((renewed, expires_in)))
                if renewed.user == identity.user =>
            {
                let id = renewing.take().flatten();
                *expiry = Expiry::new(expires_in, now, self.limits.expiry_notice);
                **identity = renewed.clone();
                self.outputs.push_back(Output::Renewed(Box::new(renewed)));
                if let Some(id) = id {
                    self.outputs.push_back(Output::Reply(ServerFrame::Done { id }));
                }
            }
            // A token of somebody else, or none: the old one goes on until its end.
            (Phase::Live { renewing, .. }, answer) => {
                let id = renewing.take().flatten();
                let code = match answer {
                    Err(AuthFailure::Unavailable) => Code::Unavailable,
                    Ok(_) | Err(AuthFailure::Refused) => Code::Unauthenticated,
                };
                self.reply_error(id, Problem::of(code));
            }
            (Phase::Hello { .. } | Phase::Joining { .. } | Phase::Closed, _) => {}
        }
    }

    fn join(
        &mut self,
        now: Duration,
        identity: Box<Identity>,
        expires_in: Option<Duration>,
        resume: Option<Resume>,
    ) {
        let expiry = Expiry::new(expires_in, now, self.limits.expiry_notice);
        self.outputs.push_back(Output::Join(identity.clone(), resume));
        self.phase = Phase::Joining { identity, expiry };
    }

    fn begin_legacy(&mut self, now: Duration) {
        let Phase::Hello { identity, .. } = &mut self.phase else { return };
        match identity.take() {
            Some((identity, ends)) => {
                let left = ends.map(|at| at.saturating_sub(now));
                self.join(now, identity, left, None);
            }
            None => self.close(CloseCode::Unauthenticated),
        }
    }

    /// The answer to [`Output::Join`]: what the client is told, or why there is no room for it.
    pub fn joined(&mut self, now: Duration, welcome: Result<Welcome, CloseCode>) {
        let Phase::Joining { identity, expiry } = &self.phase else { return };
        let (identity, expiry) = (identity.clone(), *expiry);
        let welcome = match welcome {
            Ok(welcome) => welcome,
            Err(code) => {
                self.close(code);
                return;
            }
        };
        self.heartbeat.heard(now);
        self.phase = Phase::Live { identity, expiry, renewing: None };
        self.outputs.push_back(Output::Send(ServerFrame::Welcome(Box::new(welcome))));
    }

    /// The time of [`poll_timeout`](Session::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        match &mut self.phase {
            Phase::Hello { until, .. } | Phase::Authenticating { until, .. } => {
                if now >= *until {
                    self.close(CloseCode::HelloTimeout);
                }
            }
            Phase::Joining { expiry, .. } | Phase::Live { expiry, .. } => {
                match *expiry {
                    Expiry::Ahead(at, over) if now >= at => {
                        *expiry = Expiry::Announced(over);
                        let in_ms = over.saturating_sub(now).as_millis() as u64;
                        self.outputs.push_back(Output::Send(ServerFrame::Expiring { in_ms }));
                    }
                    Expiry::Announced(over) if now >= over => {
                        self.close(CloseCode::TokenExpired);
                        return;
                    }
                    Expiry::Never | Expiry::Ahead(..) | Expiry::Announced(_) => {}
                }
                if !self.is_live() {
                    return;
                }
                if self.heartbeat.is_silent(now) {
                    self.close(CloseCode::Silent);
                } else if self.dialect == Dialect::Legacy && self.heartbeat.wants_ping(now) {
                    self.outputs.push_back(Output::Ping);
                }
            }
            Phase::Closed => {}
        }
    }

    fn refuse(&mut self, malformed: MalformedFrame) {
        self.malformed += 1;
        if !self.is_live() || self.malformed >= self.limits.malformed_max {
            self.close(CloseCode::Malformed);
            return;
        }
        let MalformedFrame { id, key, detail } = malformed;
        let problem = Problem::new(Code::Malformed, detail);
        self.outputs.push_back(Output::Reply(ServerFrame::Error { id, key, problem }));
    }

    fn reply_error(&mut self, id: Option<CommandId>, problem: Problem) {
        self.outputs.push_back(Output::Reply(ServerFrame::Error { id, key: None, problem }));
    }

    fn close(&mut self, code: CloseCode) {
        self.phase = Phase::Closed;
        self.outputs.push_back(Output::Close(code));
    }
}

#[cfg(test)]
mod tests;
