//! The client as a state machine without I/O: which connections there are, what is sent on them,
//! what the host gets, and when to come back.
//!
//! It is fed values and the time (as time since the client began), and gives back what is to be
//! done. The law for its driver: after every call that takes input, call [`Machine::poll_output`]
//! until it gives `None`, then look at [`Machine::poll_timeout`]. It reads from a socket only while
//! [`Machine::reads`] says so.

use std::{collections::VecDeque, time::Duration};

use super::{
    Attempt, ClientEvent, ClientLimits, Closed, Ending, LinkId, MarkError, SendError, SentPlace,
    State, WatchError,
    backoff::{self, Dice},
    inbox::Inbox,
    link::{Asked, Link, Stage},
    marks::Marks,
    outbox::{Deed, EntryId, Outbox},
    places::{Judgement, Places},
    resume::Positions,
};
use crate::{
    model::{ClientKey, ConversationId, Event, Marker, Seq, UserId},
    protocol::{
        self, ClientFrame, Command, CommandId, Hello, Problem, Remedy, Resume, ServerFrame, Welcome,
    },
};

/// What the protocol allows in one ping.
const PING_POSITIONS_MAX: usize = 100;
/// Positions in a `hello` until a server has said its own limit.
const POSITIONS_MAX: usize = 1_000;
/// Users watched until a server has said its own limit.
const WATCH_MAX: usize = 200;
/// Commands other than sends that are on their way at a time, of each kind: they leave room for sends.
const OTHERS_IN_FLIGHT_MAX: usize = 8;
/// Conversations in which something was passed over while the host took nothing: together with what
/// waits for the host they have to fit into one `hello`.
const HOLES_MAX: usize = 500;
/// How long after a failed renewal of a live credential the host is asked again.
const RENEW_AGAIN: Duration = Duration::from_secs(5);
/// How long a refused command rests, if the server does not say.
const REST: Duration = Duration::from_secs(1);
/// The longest rest that is believed, and the longest notice of a drain.
const REST_MAX: Duration = Duration::from_secs(60);

/// What the driver tells.
#[derive(Debug)]
pub(super) enum Input {
    /// The upgrade is done.
    Opened(LinkId),
    /// A frame came; `None` is one of a type that is not known here, or a ping of WebSocket.
    Frame(LinkId, Option<ServerFrame>),
    /// The connection ended, or never came about.
    Ended(LinkId, Ending),
    /// The host's answer to [`Output::AskToken`].
    Token(Result<String, super::TokenError>),
}

/// What the driver does, in this order.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    /// Ask the host for a token: any, or another one than this, which does not hold or will not for
    /// long.
    AskToken(Option<String>),
    /// Open a connection.
    Open(LinkId, Attempt),
    /// Send this.
    Write(LinkId, ClientFrame),
    /// Close this connection; nothing of it is heard any more.
    Drop(LinkId),
    /// Tell whoever waits for this message or change.
    Settled(EntryId, Result<Settled, SendError>),
}

/// What became of something in the outbox.
#[derive(Debug, PartialEq)]
pub(super) enum Settled {
    /// A message stands there.
    Placed(SentPlace),
    /// A message is changed.
    Amended,
}

#[derive(Debug)]
enum Phase {
    /// Waits for the host's token.
    Authorizing {
        failures: u32,
        because: Option<Ending>,
    },
    Connecting {
        failures: u32,
        link: Link,
    },
    /// The main connection was welcomed.
    Open {
        failures: u32,
        since: Duration,
        link: Link,
        moving: Moving,
    },
    /// `renew`: the token that is held did not hold, or not any more.
    Waiting {
        failures: u32,
        until: Duration,
        because: Ending,
        renew: bool,
    },
    Closed(Closed),
}

/// Moving to another node while this one still works.
#[derive(Debug)]
enum Moving {
    No,
    Told {
        at: Duration,
    },
    Opening {
        link: Link,
        failures: u32,
    },
    /// The last try failed; this node still works, so there is no haste.
    Failed {
        failures: u32,
        at: Duration,
    },
    /// The new connection is in use; the old one may still owe answers.
    Leaving {
        old: Link,
        until: Duration,
        ponged: bool,
    },
}

/// What a connection is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Next,
    Old,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Machine {
    limits: ClientLimits,
    dice: Dice,
    phase: Phase,
    token: Option<String>,
    /// A request to the host is under way.
    asking: bool,
    /// A fresh token was tried since the last welcome.
    renewed: bool,
    renew_at: Option<Duration>,
    places: Places,
    inbox: Inbox,
    /// The stream is live, and the host is not told before it has what was passed over.
    synced_due: bool,
    outbox: Outbox,
    marks: Marks,
    watched: Vec<UserId>,
    /// The watch list was not said on this connection yet.
    watch_due: bool,
    typed: Option<(ConversationId, Duration)>,
    /// Until then nothing is repeated that a server refused for now.
    rest_until: Duration,
    me: Option<UserId>,
    positions_max: usize,
    links: u64,
    commands: u64,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A client that begins now: it asks for a token first.
    pub(super) fn new(limits: ClientLimits, seed: u64, resume: Option<Resume>) -> Self {
        Self {
            dice: Dice(seed),
            phase: Phase::Authorizing { failures: 0, because: None },
            token: None,
            asking: true,
            renewed: false,
            renew_at: None,
            places: Places::new(limits.conversations_max, resume),
            inbox: Inbox::new(limits.events_max),
            synced_due: false,
            outbox: Outbox::default(),
            marks: Marks::default(),
            watched: Vec::new(),
            watch_due: false,
            typed: None,
            rest_until: Duration::ZERO,
            me: None,
            positions_max: POSITIONS_MAX,
            links: 0,
            commands: 0,
            outputs: VecDeque::from([Output::AskToken(None)]),
            limits,
        }
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() {
            // An idle client owns no buffer.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Whether something is to be done.
    #[cfg(test)]
    pub(super) fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Whether a loss in this conversation would show.
    #[cfg(test)]
    pub(super) fn knows(&self, conversation: &ConversationId) -> bool {
        self.places.position(conversation).is_some()
    }

    /// When [`handle_timeout`](Machine::handle_timeout) wants to be called. Changes with every call.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Authorizing { .. } | Phase::Connecting { .. } | Phase::Closed(_) => None,
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Open { moving, .. } => match moving {
                Moving::No | Moving::Opening { .. } => None,
                Moving::Told { at } | Moving::Failed { at, .. } => Some(*at),
                Moving::Leaving { until, .. } => Some(*until),
            },
        };
        let (reads, open) = (self.reads(), self.is_open());
        let links = self.links().flat_map(|link| {
            let quiet = reads.then(|| link.quiet_until());
            let overdue = link.overdue_at().filter(|_| reads);
            [quiet, overdue, link.beat_at()]
        });
        let holes = self.places.ask_again_at(self.limits.answer_timeout).filter(|_| open);
        // A rest that is over is not waited for again: `handle_timeout` sets it to zero.
        let rest = Some(self.rest_until).filter(|at| open && !at.is_zero());
        let renewal = self.renew_at.filter(|_| open);
        links.chain([phase, holes, rest, renewal]).flatten().min()
    }

    // --- what the host asks ---

    /// The next thing for the host, in order.
    pub(super) fn take(&mut self, now: Duration) -> Option<ClientEvent> {
        let read = self.reads();
        let taken = self.inbox.take();
        self.read_on(now, read);
        if self.inbox.is_half_empty() {
            self.fill_holes(now);
        }
        taken
    }

    /// Whether the last event was taken, and none will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.inbox.is_empty() && self.is_closed()
    }

    /// Whether no connection will be opened any more.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether something waits for the host.
    pub(super) fn has_news(&self) -> bool {
        !self.inbox.is_empty() || self.is_over()
    }

    /// Nobody takes events any more.
    pub(super) fn unheard(&mut self, now: Duration) {
        let read = self.reads();
        self.inbox.unheard();
        self.read_on(now, read);
        self.fill_holes(now);
    }

    /// Where a later run may go on: nothing counts as reached that the host has not taken.
    pub(super) fn resume(&self) -> Option<Resume> {
        self.places.resume(self.inbox.untaken(), self.positions_max)
    }

    /// Takes a message, or a change of one, until it has its place.
    pub(super) fn write(
        &mut self,
        now: Duration,
        key: ClientKey,
        deed: Deed,
    ) -> Result<EntryId, SendError> {
        if let Phase::Closed(because) = &self.phase {
            return Err(SendError::Closed { key, because: because.clone() });
        }
        let bytes = self.outbox.bytes() + deed.bytes();
        if self.outbox.len() >= self.limits.outbox_entries_max
            || bytes > self.limits.outbox_bytes_max
        {
            return Err(SendError::Full { key });
        }
        let read = self.reads();
        let id = self.outbox.put(key, deed);
        self.read_on(now, read);
        self.flush(now);
        Ok(id)
    }

    /// Wants a marker moved.
    pub(super) fn mark(
        &mut self,
        now: Duration,
        conversation: ConversationId,
        marker: Marker,
    ) -> Result<(), MarkError> {
        if let Phase::Closed(because) = &self.phase {
            return Err(MarkError::Closed(because.clone()));
        }
        if self.marks.len() >= self.limits.marks_max && !self.marks.holds(&conversation) {
            return Err(MarkError::Full);
        }
        self.marks.want(conversation, marker);
        self.flush(now);
        Ok(())
    }

    /// Says that the user types; whether it was said.
    pub(super) fn typing(&mut self, now: Duration, conversation: ConversationId, on: bool) -> bool {
        let Phase::Open { link, .. } = &self.phase else { return false };
        let (id, every) = (link.id, link.welcome().map_or(0, |welcome| welcome.typing_ms));
        let every = Duration::from_millis(every);
        let said = self.typed.filter(|(in_, at)| *in_ == conversation && now < *at + every);
        if on && said.is_some() {
            return true;
        }
        self.typed = on.then_some((conversation, now));
        let command = Command::Typing { conversation, on };
        self.outputs.push_back(Output::Write(id, ClientFrame::Command(None, command)));
        true
    }

    /// Replaces the list of the users whose presence is told.
    pub(super) fn watch(&mut self, now: Duration, users: Vec<UserId>) -> Result<(), WatchError> {
        let max = match &self.phase {
            Phase::Open { link, .. } => link.welcome().map_or(WATCH_MAX, |it| it.limits.watch_max),
            Phase::Authorizing { .. } | Phase::Connecting { .. } | Phase::Waiting { .. } => {
                WATCH_MAX
            }
            Phase::Closed(because) => return Err(WatchError::Closed(because.clone())),
        };
        if users.len() > max {
            return Err(WatchError::TooMany { max });
        }
        self.watched = users;
        self.watch_due = true;
        self.flush(now);
        Ok(())
    }

    /// Ends a wait at once: the host knows that the network is back.
    pub(super) fn retry_now(&mut self) {
        if let Phase::Waiting { until, .. } = &mut self.phase {
            *until = Duration::ZERO;
        }
    }

    /// Ends it for good.
    pub(super) fn close(&mut self) {
        self.stay_away(Closed::ByHost);
    }

    /// How it stands.
    pub(super) fn state(&self, now: Duration) -> State {
        match &self.phase {
            Phase::Authorizing { failures, .. } | Phase::Connecting { failures, .. } => {
                State::Connecting { failures: *failures }
            }
            Phase::Open { link, moving, .. } => {
                let moving = !matches!(moving, Moving::No);
                State::Open { live: link.is_live() && !self.synced_due, moving }
            }
            Phase::Waiting { failures, until, because, renew: _ } => State::Waiting {
                failures: *failures,
                retry_in: until.saturating_sub(now),
                because: because.clone(),
            },
            Phase::Closed(because) => State::Closed(because.clone()),
        }
    }

    /// Who the client is, once a server has said it.
    pub(super) fn me(&self) -> Option<&UserId> {
        self.me.as_ref()
    }

    /// Whether frames are to be read. Not, while the host has enough to take: unless answers to
    /// messages are due, because a host may well wait for one before it takes more.
    pub(super) fn reads(&self) -> bool {
        let answers_due =
            self.outbox.len() > 0 && !self.inbox.is_crammed() && self.places.holes() < HOLES_MAX;
        self.inbox.has_room() || answers_due
    }

    // --- what happens ---

    /// Something happened.
    pub(super) fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::Opened(link) => self.opened(now, link),
            Input::Frame(link, frame) => self.arrived(now, link, frame),
            Input::Ended(link, ending) => self.ended(now, link, ending),
            Input::Token(answer) => self.token(now, answer),
        }
        if self.synced_due && self.places.holes() == 0 {
            self.synced_due = false;
            self.inbox.note(ClientEvent::Synced);
        }
        self.flush(now);
    }

    /// The time of [`poll_timeout`](Machine::poll_timeout) has come.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if now >= self.rest_until {
            self.rest_until = Duration::ZERO;
        }
        self.places.ask_again(now, self.limits.answer_timeout);
        if self.renew_at.is_some_and(|at| now >= at) {
            self.renew_at = None;
            self.renew_live(now);
        }
        self.beat(now);
        if self.reads() {
            let ids: Vec<_> = self.links().map(|link| link.id).collect();
            for id in ids {
                self.watch_over(now, id);
            }
        }
        self.move_on(now);
        self.flush(now);
    }

    fn move_on(&mut self, now: Duration) {
        match &self.phase {
            Phase::Waiting { failures, until, because, renew } if now >= *until => {
                let (failures, because) = (*failures, because.clone());
                if *renew {
                    self.ask_token();
                    self.phase = Phase::Authorizing { failures, because: Some(because) };
                } else {
                    self.connect(now, failures);
                }
            }
            Phase::Open { moving: Moving::Told { at }, .. } if now >= *at => self.move_out(now, 0),
            Phase::Open { moving: Moving::Failed { at, failures }, .. } if now >= *at => {
                let failures = *failures;
                self.move_out(now, failures);
            }
            Phase::Open { moving: Moving::Leaving { until, .. }, .. } if now >= *until => {
                self.leave();
            }
            Phase::Authorizing { .. }
            | Phase::Connecting { .. }
            | Phase::Open { .. }
            | Phase::Waiting { .. }
            | Phase::Closed(_) => {}
        }
    }

    /// Silence, and answers that are overdue.
    fn watch_over(&mut self, now: Duration, id: LinkId) {
        let Some((_, link)) = self.link_mut(id) else { return };
        if now >= link.quiet_until() {
            self.outputs.push_back(Output::Drop(id));
            self.ended(now, id, Ending::Silent);
            return;
        }
        while let Some((_, link)) = self.link_mut(id)
            && let Some((command, asked)) = link.overdue(now)
        {
            self.in_vain(id, command, asked);
        }
    }

    fn beat(&mut self, now: Duration) {
        let mut due = Vec::new();
        for link in self.links_mut() {
            if link.beat(now) {
                due.push(link.id);
            }
        }
        for id in due {
            let positions = self.places.next_to_check(PING_POSITIONS_MAX);
            self.outputs.push_back(Output::Write(id, ClientFrame::Ping { positions }));
        }
    }

    // --- opening and losing ---

    fn connect(&mut self, now: Duration, failures: u32) {
        match self.dial(now, failures, false) {
            Some(link) => self.phase = Phase::Connecting { failures, link },
            None => {
                self.ask_token();
                self.phase = Phase::Authorizing { failures, because: None };
            }
        }
    }

    fn dial(&mut self, now: Duration, failures: u32, moving: bool) -> Option<Link> {
        let token = self.token.clone()?;
        self.links += 1;
        let id = LinkId(self.links);
        let attempt = Attempt { number: self.links, failures, moving };
        self.outputs.push_back(Output::Open(id, attempt));
        Some(Link::new(id, token, now, self.limits.welcome_timeout))
    }

    fn opened(&mut self, now: Duration, id: LinkId) {
        // Named by what has arrived, taken or not: what waits for the host is still there.
        let resume = self.places.resume(Positions::new(), self.positions_max);
        let Some((_, link)) = self.link_mut(id) else { return };
        if !matches!(link.stage, Stage::Dialling) {
            return;
        }
        link.heard(now);
        link.stage = Stage::Greeted;
        let token = Some(link.token.clone());
        let hello = Hello { version: protocol::VERSION, token, resume };
        self.outputs.push_back(Output::Write(id, ClientFrame::Hello(hello)));
    }

    fn ended(&mut self, now: Duration, id: LinkId, ending: Ending) {
        let Some((role, link)) = self.link_mut(id) else { return };
        let unanswered = link.unanswered();
        for (command, asked) in unanswered {
            self.in_vain(id, command, asked);
        }
        match role {
            Role::Main => self.lost(now, ending),
            Role::Next => self.not_moved(now, &ending),
            Role::Old => self.set_moving(Moving::No),
        }
    }

    /// The main connection ended.
    fn lost(&mut self, now: Duration, ending: Ending) {
        let before = std::mem::replace(&mut self.phase, Phase::Closed(Closed::ByHost));
        let (failures, moving) = match before {
            Phase::Connecting { failures, .. } => (failures, Moving::No),
            Phase::Open { failures, since, moving, .. } => {
                let settled = now >= since + self.limits.settled_after;
                (if settled { 0 } else { failures }, moving)
            }
            Phase::Authorizing { failures, .. } | Phase::Waiting { failures, .. } => {
                (failures, Moving::No)
            }
            Phase::Closed(because) => {
                self.phase = Phase::Closed(because);
                return;
            }
        };
        self.watch_due = true;
        self.typed = None;
        self.places.unasked();
        // The next connection says it anew.
        self.synced_due = false;
        match moving {
            // The old node is gone before the new one has caught up: what is on its way there is
            // the connection now.
            Moving::Opening { link, failures } => {
                self.phase = match link.stage {
                    Stage::Dialling | Stage::Greeted => Phase::Connecting { failures, link },
                    Stage::CatchingUp(..) | Stage::Live(..) => {
                        self.inbox.note(ClientEvent::Moved);
                        Phase::Open { failures, since: now, link, moving: Moving::No }
                    }
                };
                return;
            }
            Moving::Leaving { mut old, .. } => {
                self.outputs.push_back(Output::Drop(old.id));
                for (command, asked) in old.unanswered() {
                    self.in_vain(old.id, command, asked);
                }
            }
            Moving::No | Moving::Told { .. } | Moving::Failed { .. } => {}
        }
        let remedy = ending.remedy();
        let tries = match remedy {
            Remedy::Resume | Remedy::AtOnce | Remedy::Slowly | Remedy::Renew => true,
            // A fresh token may hold where this one does not; a second one will not.
            Remedy::SignIn => ending.is_of_the_token() && !self.renewed,
            Remedy::Update | Remedy::Stop => false,
        };
        if tries {
            self.wait(now, failures + 1, ending);
        } else {
            self.finish(Closed::Ended(ending));
        }
    }

    fn wait(&mut self, now: Duration, failures: u32, because: Ending) {
        let drawn = backoff::wait(&mut self.dice, &self.limits, failures, because.remedy());
        let told = because.retry_after().unwrap_or_default().min(self.limits.retry_after_max);
        // What was told is the least: the jitter comes on top, or everybody comes at that moment.
        let retry_in = drawn + told;
        self.inbox.note(ClientEvent::Disconnected { why: because.clone(), retry_in });
        let renew = because.is_of_the_token();
        self.phase = Phase::Waiting { failures, until: now + retry_in, because, renew };
    }

    fn stay_away(&mut self, because: Closed) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        let ids: Vec<_> = self.links().map(|link| link.id).collect();
        self.outputs.extend(ids.into_iter().map(Output::Drop));
        self.finish(because);
    }

    /// The end, where no connection is left.
    fn finish(&mut self, because: Closed) {
        for (id, entry) in self.outbox.drain() {
            let error = SendError::Closed { key: entry.key, because: because.clone() };
            self.outputs.push_back(Output::Settled(id, Err(error)));
        }
        self.inbox.end(ClientEvent::Closed(because.clone()));
        self.phase = Phase::Closed(because);
    }

    /// A command without an answer: whatever must not be lost is said again.
    fn in_vain(&mut self, link: LinkId, command: u64, asked: Asked) {
        match asked {
            Asked::Send(id) | Asked::Amend(id) => self.outbox.land(id, link, command),
            Asked::Mark(conversation, _) => self.marks.again(conversation),
            Asked::Watch => self.watch_due = true,
            // The hole itself knows when it was asked for.
            Asked::Sync(_) => {}
            Asked::Auth => {}
        }
    }

    // --- the credential ---

    fn ask_token(&mut self) {
        if !self.asking {
            self.asking = true;
            self.outputs.push_back(Output::AskToken(self.token.clone()));
        }
    }

    fn token(&mut self, now: Duration, answer: Result<String, super::TokenError>) {
        self.asking = false;
        // The same again is no other one.
        let answer = answer.and_then(|token| {
            let stale = self.token.as_ref() == Some(&token);
            if stale { Err(super::TokenError::Refused) } else { Ok(token) }
        });
        match (&self.phase, answer) {
            (Phase::Closed(_), _) => {}
            (Phase::Authorizing { failures, .. }, Ok(token)) => {
                let failures = *failures;
                self.renewed = self.token.is_some();
                self.token = Some(token);
                self.connect(now, failures);
            }
            (Phase::Authorizing { because, .. }, Err(super::TokenError::Refused)) => {
                let because = because.clone().map_or(Closed::NoToken, Closed::Ended);
                self.stay_away(because);
            }
            (Phase::Authorizing { failures, because }, Err(super::TokenError::Unreachable)) => {
                let failures = failures + 1;
                match because.clone() {
                    Some(because) => self.wait(now, failures, because),
                    None => {
                        let why = "no token for now".to_owned();
                        self.wait(now, failures, Ending::Unreachable(why));
                    }
                }
            }
            (Phase::Connecting { .. } | Phase::Open { .. } | Phase::Waiting { .. }, Ok(token)) => {
                self.token = Some(token);
                if let Phase::Waiting { renew, .. } = &mut self.phase {
                    self.renewed |= std::mem::take(renew);
                }
                self.show_token(now);
            }
            (_, Err(super::TokenError::Unreachable)) => self.renew_at = Some(now + RENEW_AGAIN),
            // The server closes when the old one ends, and says why.
            (_, Err(super::TokenError::Refused)) => {}
        }
    }

    /// A live credential ends soon.
    fn renew_live(&mut self, now: Duration) {
        let stale = self.links().any(|link| {
            link.expiring && self.token.as_ref().is_some_and(|token| *token == link.token)
        });
        if stale {
            self.ask_token();
        } else {
            self.show_token(now);
        }
    }

    fn show_token(&mut self, now: Duration) {
        let Some(token) = self.token.clone() else { return };
        let until = now + self.limits.answer_timeout;
        let mut shown = Vec::new();
        for link in self.links_mut() {
            if std::mem::take(&mut link.expiring) && link.token != token {
                link.token.clone_from(&token);
                shown.push(link.id);
            }
        }
        for id in shown {
            let command = Command::Auth { token: token.clone() };
            self.command(id, until, Asked::Auth, command);
        }
    }

    // --- what arrives ---

    fn arrived(&mut self, now: Duration, id: LinkId, frame: Option<ServerFrame>) {
        let Some((role, link)) = self.link_mut(id) else { return };
        link.heard(now);
        let Some(frame) = frame else { return };
        match frame {
            ServerFrame::Welcome(welcome) => self.welcomed(now, id, role, welcome),
            ServerFrame::Ack { id: command, conversation, seq, at, duplicate, key } => {
                let asked = command.and_then(|command| link.answered(&command));
                if let Some((_, Asked::Send(entry))) = asked
                    && self.outbox.remove(entry).is_some()
                {
                    let place = SentPlace { key, conversation, seq, at, duplicate };
                    self.outputs.push_back(Output::Settled(entry, Ok(Settled::Placed(place))));
                }
            }
            ServerFrame::Done { id: command } => {
                match link.answered(&command) {
                    Some((_, Asked::Mark(conversation, marker))) => {
                        self.marks.done(conversation, marker);
                    }
                    Some((_, Asked::Amend(entry))) => {
                        if self.outbox.remove(entry).is_some() {
                            self.outputs.push_back(Output::Settled(entry, Ok(Settled::Amended)));
                        }
                    }
                    // No answer to a message: it says no place.
                    Some((command, asked @ Asked::Send(_))) => self.in_vain(id, command, asked),
                    Some((_, Asked::Watch | Asked::Sync(_) | Asked::Auth)) | None => {}
                }
            }
            ServerFrame::Error { id: command, key: _, problem } => {
                // Without an id it speaks of the connection, which ends or does not.
                let asked = command.and_then(|command| link.answered(&command));
                if let Some((command, asked)) = asked {
                    self.refused(now, id, command, asked, problem);
                }
            }
            ServerFrame::Event(event) => self.event(event),
            ServerFrame::Receipt { conversation, user, marker } => {
                self.inbox.receipt(conversation, user, marker);
            }
            ServerFrame::Typing { conversation, user, on } => {
                self.inbox.signal(ClientEvent::Typing { conversation, user, on });
            }
            ServerFrame::Presence { user, online } => {
                self.inbox.signal(ClientEvent::Presence { user, online });
            }
            ServerFrame::Synced { token } => {
                link.synced();
                if let Some(token) = token {
                    self.places.first_token(token);
                }
                match role {
                    Role::Main => self.synced_due = true,
                    Role::Next => self.moved(now),
                    Role::Old => {}
                }
            }
            ServerFrame::Reset { conversation, head } => self.reset(conversation, head),
            ServerFrame::Left { conversation } => {
                let before = self.places.position(&conversation).unwrap_or_default();
                self.places.leave(conversation);
                self.inbox.put(ClientEvent::Left { conversation }, conversation, before);
            }
            ServerFrame::Pong { heads, token } => {
                for (conversation, head) in heads {
                    if let Some(position) = self.places.position(&conversation)
                        && head > position
                    {
                        self.places.miss(conversation, position, head);
                    }
                }
                // Of two connections each knows only what it brought itself.
                if let Some(token) = token
                    && !self.has_two_links()
                {
                    self.places.token(token);
                }
                if role == Role::Old {
                    self.ponged();
                }
            }
            ServerFrame::Expiring { .. } => {
                link.expiring = true;
                self.renew_live(now);
            }
            ServerFrame::Drain { after_ms, .. } => {
                if role == Role::Main {
                    self.drain(now + Duration::from_millis(after_ms).min(REST_MAX));
                }
            }
        }
    }

    fn welcomed(&mut self, now: Duration, id: LinkId, role: Role, welcome: Box<Welcome>) {
        self.positions_max = welcome.limits.positions_max;
        self.renewed = false;
        let (user, resumed) = (welcome.user.clone(), welcome.resumed);
        if self.places.enter(&welcome.epoch) {
            self.inbox.forget_positions();
        }
        self.outbox.author(&user);
        self.me = Some(user.clone());
        let grace = self.limits.silence_grace;
        let Some((_, link)) = self.link_mut(id) else { return };
        link.welcomed(now, welcome, grace);
        if role == Role::Next && resumed {
            return;
        }
        self.inbox.note(ClientEvent::Connected { user, resumed });
        let phase = std::mem::replace(&mut self.phase, Phase::Closed(Closed::ByHost));
        self.phase = match phase {
            Phase::Connecting { failures, link } => {
                self.watch_due = true;
                Phase::Open { failures, since: now, link, moving: Moving::No }
            }
            other => other,
        };
    }

    /// The one rule.
    fn event(&mut self, event: Event) {
        let (conversation, seq) = (event.conversation, event.seq);
        match self.places.judge(&conversation, seq) {
            Judgement::Known => self.places.reach_again(conversation),
            Judgement::Next(before) if self.inbox.has_room() => {
                self.inbox.put(ClientEvent::Event(event), conversation, before);
                self.places.reach(conversation, seq);
            }
            // Passed over: asked for again when there is room.
            Judgement::Next(before) => self.places.pass_over(conversation, before, seq),
            Judgement::Beyond => {
                let position = self.places.position(&conversation).unwrap_or_default();
                self.places.miss(conversation, position, seq);
            }
        }
    }

    fn reset(&mut self, conversation: ConversationId, head: Seq) {
        let before = self.places.position(&conversation);
        match before {
            Some(position) if head == position => return self.places.reach_again(conversation),
            // Of two connections one may be told of an older head; the other one goes on from here.
            Some(position) if head < position && self.has_two_links() => return,
            Some(_) | None => {}
        }
        let before = before.unwrap_or_default();
        if self.inbox.has_room() {
            self.places.reset(conversation, head);
            self.inbox.put(ClientEvent::Reset { conversation, head }, conversation, before);
        } else {
            self.places.pass_over(conversation, before, head);
        }
    }

    fn refused(
        &mut self,
        now: Duration,
        link: LinkId,
        command: u64,
        asked: Asked,
        problem: Problem,
    ) {
        if problem.code.retryable() {
            let rest = problem.retry_after.unwrap_or(REST).min(REST_MAX);
            self.rest_until = self.rest_until.max(now + rest);
            self.in_vain(link, command, asked);
            return;
        }
        match asked {
            Asked::Send(id) | Asked::Amend(id) => {
                if let Some(entry) = self.outbox.remove(id) {
                    let key = entry.key;
                    let error = match entry.unsure {
                        true => SendError::Unsure { key, problem },
                        false => SendError::Refused { key, problem },
                    };
                    self.outputs.push_back(Output::Settled(id, Err(error)));
                }
            }
            // Of a conversation that was left: nobody misses it.
            Asked::Mark(conversation, marker) => self.marks.done(conversation, marker),
            // The server closes when the old credential ends, or says `left`.
            Asked::Watch | Asked::Sync(_) | Asked::Auth => {}
        }
    }

    // --- moving to another node ---

    fn drain(&mut self, at: Duration) {
        let Phase::Open { moving, .. } = &self.phase else { return };
        match moving {
            Moving::No => self.set_moving(Moving::Told { at }),
            Moving::Leaving { .. } => {
                self.leave();
                self.set_moving(Moving::Told { at });
            }
            Moving::Told { .. } | Moving::Opening { .. } | Moving::Failed { .. } => {}
        }
    }

    fn move_out(&mut self, now: Duration, failures: u32) {
        if let Some(link) = self.dial(now, failures, true) {
            self.set_moving(Moving::Opening { link, failures });
        }
    }

    fn not_moved(&mut self, now: Duration, ending: &Ending) {
        let Phase::Open { moving: Moving::Opening { failures, .. }, .. } = &self.phase else {
            return;
        };
        let failures = failures + 1;
        if ending.is_of_the_token() {
            self.ask_token();
        }
        let drawn = backoff::wait(&mut self.dice, &self.limits, failures, ending.remedy());
        let told = ending.retry_after().unwrap_or_default().min(self.limits.retry_after_max);
        self.set_moving(Moving::Failed { failures, at: now + drawn + told });
    }

    /// The new connection has caught up: from here on it is the one, and the old one only finishes
    /// its answers.
    fn moved(&mut self, now: Duration) {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed(Closed::ByHost));
        self.phase = match phase {
            Phase::Open { link: old, moving: Moving::Opening { link, failures }, .. } => {
                // Its pong comes behind everything that it has sent.
                let ping = ClientFrame::Ping { positions: Positions::new() };
                self.outputs.push_back(Output::Write(old.id, ping));
                let until = now + self.limits.leave_timeout;
                let moving = Moving::Leaving { old, until, ponged: false };
                self.watch_due = true;
                self.places.unasked();
                self.inbox.note(ClientEvent::Moved);
                Phase::Open { failures, since: now, link, moving }
            }
            other => other,
        };
    }

    fn ponged(&mut self) {
        if let Phase::Open { moving: Moving::Leaving { ponged, .. }, .. } = &mut self.phase {
            *ponged = true;
        }
    }

    /// Lets go of the old node.
    fn leave(&mut self) {
        let Phase::Open { moving, .. } = &mut self.phase else { return };
        let Moving::Leaving { mut old, .. } = std::mem::replace(moving, Moving::No) else {
            return;
        };
        self.outputs.push_back(Output::Drop(old.id));
        for (command, asked) in old.unanswered() {
            self.in_vain(old.id, command, asked);
        }
    }

    // --- what is sent ---

    /// Sends what can be sent, and lets go of an old node that owes nothing any more.
    fn flush(&mut self, now: Duration) {
        if let Phase::Open { moving: Moving::Leaving { old, ponged: true, .. }, .. } = &self.phase
            && !old.owes()
        {
            self.leave();
        }
        self.fill_holes(now);
        let Phase::Open { link, .. } = &self.phase else { return };
        let Some(welcome) = link.welcome() else { return };
        let (id, in_flight_max) = (link.id, welcome.limits.commands_in_flight_max);
        let marks = link.count(|asked| matches!(asked, Asked::Mark(..)));
        if now < self.rest_until {
            return;
        }
        let until = now + self.limits.answer_timeout;
        if self.watch_due {
            self.watch_due = false;
            if !self.watched.is_empty() {
                let users = self.watched.clone();
                self.command(id, until, Asked::Watch, Command::Watch { users });
            }
        }
        while self.outbox.flying() < in_flight_max
            && let Some(entry) = self.outbox.next()
        {
            let number = self.commands + 1;
            let Some(flying) = self.outbox.fly(entry, id, number) else { break };
            let (asked, command) = (flying.asked(entry), flying.command());
            self.command(id, until, asked, command);
        }
        for _ in marks..OTHERS_IN_FLIGHT_MAX {
            let Some((conversation, marker)) = self.marks.next() else { break };
            let given = |seq: Seq| Some(seq).filter(|seq| *seq > Seq::ZERO);
            let (received, read) = (given(marker.received), given(marker.read));
            let command = Command::Mark { conversation, received, read };
            self.command(id, until, Asked::Mark(conversation, marker), command);
        }
    }

    /// Asks for what is missing, while the host has room for it.
    fn fill_holes(&mut self, now: Duration) {
        let Phase::Open { link, .. } = &self.phase else { return };
        if !link.is_live() || !self.inbox.is_half_empty() || now < self.rest_until {
            return;
        }
        let (id, under_way) = (link.id, link.count(|asked| matches!(asked, Asked::Sync(_))));
        let until = now + self.limits.answer_timeout;
        for _ in under_way..OTHERS_IN_FLIGHT_MAX {
            let Some((conversation, after)) = self.places.next_hole(now) else { return };
            let command = Command::Sync { conversation, after };
            self.command(id, until, Asked::Sync(conversation), command);
        }
    }

    fn command(&mut self, id: LinkId, until: Duration, asked: Asked, command: Command) {
        self.commands += 1;
        let number = self.commands;
        if let Some((_, link)) = self.link_mut(id) {
            link.asked(number, asked, until);
            let name = CommandId::new(&number.to_string()).expect("a number has 1 to 20 digits");
            self.outputs.push_back(Output::Write(id, ClientFrame::Command(Some(name), command)));
        }
    }

    // --- which connections there are ---

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    fn has_two_links(&self) -> bool {
        self.links().count() > 1
    }

    fn set_moving(&mut self, to: Moving) {
        if let Phase::Open { moving, .. } = &mut self.phase {
            *moving = to;
        }
    }

    /// The silence in which we did not listen was our own.
    fn read_on(&mut self, now: Duration, read_before: bool) {
        if !read_before && self.reads() {
            for link in self.links_mut() {
                link.heard(now);
            }
        }
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        let (main, other) = match &self.phase {
            Phase::Authorizing { .. } | Phase::Waiting { .. } | Phase::Closed(_) => (None, None),
            Phase::Connecting { link, .. } => (Some(link), None),
            Phase::Open { link, moving, .. } => match moving {
                Moving::No | Moving::Told { .. } | Moving::Failed { .. } => (Some(link), None),
                Moving::Opening { link: other, .. } | Moving::Leaving { old: other, .. } => {
                    (Some(link), Some(other))
                }
            },
        };
        main.into_iter().chain(other)
    }

    fn links_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        let (main, other) = match &mut self.phase {
            Phase::Authorizing { .. } | Phase::Waiting { .. } | Phase::Closed(_) => (None, None),
            Phase::Connecting { link, .. } => (Some(link), None),
            Phase::Open { link, moving, .. } => match moving {
                Moving::No | Moving::Told { .. } | Moving::Failed { .. } => (Some(link), None),
                Moving::Opening { link: other, .. } | Moving::Leaving { old: other, .. } => {
                    (Some(link), Some(other))
                }
            },
        };
        main.into_iter().chain(other)
    }

    fn link_mut(&mut self, id: LinkId) -> Option<(Role, &mut Link)> {
        match &mut self.phase {
            Phase::Connecting { link, .. } if link.id == id => Some((Role::Main, link)),
            Phase::Open { link, .. } if link.id == id => Some((Role::Main, link)),
            Phase::Open { moving: Moving::Opening { link, .. }, .. } if link.id == id => {
                Some((Role::Next, link))
            }
            Phase::Open { moving: Moving::Leaving { old, .. }, .. } if old.id == id => {
                Some((Role::Old, old))
            }
            Phase::Authorizing { .. }
            | Phase::Connecting { .. }
            | Phase::Open { .. }
            | Phase::Waiting { .. }
            | Phase::Closed(_) => None,
        }
    }
}
