//! A device that is a program on the client library: it sees what the library hands out, and has to
//! see each number once and in order, over all connections and over restarts.
//!
//! It is told of its connections behind the events that came before, and sometimes seconds later,
//! because it does not always take what waits. So a `Hello` is written down when it hears of it,
//! with the time before which it was not said ([`What::Dialled`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chat_check::history::{Answer, Ask, Conversation, Op, Phase, Time, What};
use chat_sdk::{
    ClientKey, ConversationId, Seq, Text, UserId,
    client::{
        Client, ClientEvent, ClientEvents, ClientLimits, Closed, SendError, SentPlace, State,
    },
    protocol::{Remedy, Resume, SendTo},
};
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Desk, Outgoing};
use crate::{
    random::Random,
    town::{self, Citizen, Town, digest_of_message},
    workload,
};

/// How often it looks after what does not come by itself.
const LOOK: Duration = Duration::from_millis(250);

/// For a client to end once it is told to: it says good-bye, and does not wait long.
const CLOSE_MAX: Duration = Duration::from_secs(20);

/// What a program keeps for its next start.
#[derive(Debug, Clone, Default)]
struct Stored {
    resume: Option<Resume>,
    /// What it had been given.
    held: BTreeMap<Conversation, u64>,
}

/// The connection that was opened last.
#[derive(Debug, Clone, Copy)]
struct Dial {
    at: std::time::Instant,
    node: usize,
}

/// A client, from its start to its end.
struct Program {
    client: Client,
    events: ClientEvents,
    dial: Arc<Mutex<Dial>>,
    /// The last connection that had been opened when nothing waited any more: what is told of a
    /// connection after that is about this one or a later one.
    known: Dial,
    connected: bool,
    /// Since when its stream is live, if it is.
    synced: Option<Time>,
    /// It surely names a token when it says hello.
    token: bool,
    /// What it was given in an earlier life, and has heard nothing of in this one.
    tokened: BTreeSet<Conversation>,
}

impl Program {
    fn dial(&self) -> Dial {
        *self.dial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a program is over.
enum Over {
    /// It starts again.
    Again,
    /// The library says so.
    Closed,
    /// The run is over.
    Gone,
}

/// A device.
pub struct Device {
    desk: Rc<Desk>,
    dice: Random,
    limits: ClientLimits,
    /// Where it is.
    stored: Stored,
    /// Where it was some time ago.
    older: Option<Stored>,
    keys: u64,
    act: Instant,
    /// Takes nothing until then.
    paused: Option<Instant>,
}

impl Device {
    /// A device of this citizen. The name is what its dice and keys follow from.
    #[must_use]
    pub fn new(town: Rc<Town>, me: Citizen, name: &str, seed: u64) -> Self {
        let mut dice = Random::new(seed, name);
        // Small ones are full at once, so that events are passed over and asked for again.
        let events_max = dice.pick(&[4, 32, 256]).copied().unwrap_or(256);
        let seconds = Duration::from_secs;
        let limits = ClientLimits {
            events_max,
            outbox_entries_max: town.waiting_max,
            // As impatient as the raw devices, so that more faults are met in the same time.
            welcome_timeout: seconds(4),
            silence_grace: seconds(4),
            answer_timeout: seconds(5),
            backoff_base: Duration::from_millis(50),
            // Who waits longer would not be back when all is quiet.
            backoff_max: seconds(2),
            retry_after_max: seconds(2),
            settled_after: seconds(5),
            ..ClientLimits::default()
        };
        Self {
            desk: Desk::new(town, me, false, true),
            dice,
            limits,
            stored: Stored::default(),
            older: None,
            keys: 0,
            act: Instant::now(),
            paused: None,
        }
    }

    /// Lives until the run is over.
    pub async fn live(mut self) {
        let town = self.desk.town.clone();
        let mut older = false;
        while town.phase.get() < Phase::Quiet {
            let node = self.any_node();
            if self.desk.has_token(&mut self.dice, node).await {
                let over = self.program(older).await;
                older = matches!(over, Over::Again) && self.dice.chance(300);
            }
            sleep(Duration::from_millis(self.dice.between(5, 100))).await;
        }
        town.stand(self.desk.number, |it| it.gone = true);
    }

    fn any_node(&mut self) -> usize {
        let nodes = self.desk.town.doors.len() as u64;
        usize::try_from(self.dice.below(nodes)).unwrap_or(0)
    }

    fn unspoken(&self, story: String) {
        self.desk.note(What::Unspoken { device: self.desk.number, story });
    }

    // --- from start to end ---

    fn start(&mut self, older: bool) -> Option<Program> {
        let book = self.desk.town.book.clone();
        if older && let Some(stored) = self.older.clone() {
            self.stored = stored;
            book.tally("typed: older restarts");
        } else if self.stored.resume.is_some() {
            book.tally("typed: restarts");
        }
        let node = self.any_node();
        let known = Dial { at: std::time::Instant::now(), node };
        let dial = Arc::new(Mutex::new(known));
        let route = {
            let (doors, dial) = (self.desk.town.doors.clone(), dial.clone());
            let mut dice = Random::new(self.dice.next(), "route");
            move |attempt: chat_sdk::client::Attempt| {
                let mut dial = dial.lock().unwrap_or_else(PoisonError::into_inner);
                let mut node = dial.node as u64;
                let nodes = doors.len() as u64;
                if attempt.moving {
                    node = (node + dice.between(1, nodes.saturating_sub(1).max(1))) % nodes;
                } else if attempt.failures > 0 || dice.chance(500) {
                    node = dice.below(nodes);
                }
                let node = usize::try_from(node).unwrap_or(0);
                *dial = Dial { at: std::time::Instant::now(), node };
                format!("http://{}", doors[node])
            }
        };
        let mut builder = Client::builder("", self.desk.token.borrow().clone())
            .route(route)
            .limits(self.limits.clone());
        let (mut token, mut tokened) = (false, BTreeSet::new());
        match &self.stored.resume {
            Some(resume) => {
                token = resume.token.is_some();
                let named: BTreeSet<_> = resume
                    .positions
                    .keys()
                    .map(|room| book.conversation(&room.to_string()))
                    .collect();
                let held = self.stored.held.keys().copied();
                tokened = held.filter(|room| token && !named.contains(room)).collect();
                builder = builder.resume(resume.clone());
            }
            None => self.stored.held.clear(),
        }
        let (client, events) = match builder.start() {
            Ok(started) => started,
            Err(why) => {
                self.unspoken(format!("a client does not start: {why}"));
                return None;
            }
        };
        let held = self.stored.held.clone();
        self.desk.town.stand(self.desk.number, |it| {
            it.synced = None;
            it.held = held;
        });
        let (connected, synced) = (false, None);
        Some(Program { client, events, dial, known, connected, synced, token, tokened })
    }

    async fn program(&mut self, older: bool) -> Over {
        let Some(mut program) = self.start(older) else { return Over::Closed };
        let over = self.run(&mut program).await;
        self.paused = None;
        if matches!(over, Over::Again) && self.dice.chance(300) {
            // To the last that it has, as a program does that is asked to stop.
            self.close(&program).await;
            while let Some(event) = program.events.next().await {
                let _ = self.take(&mut program, event);
            }
        }
        self.ended(&mut program, "stopped");
        // What was not taken was not given: where it goes on follows from that.
        self.stored.resume = program.client.resume().or(self.stored.resume.take());
        self.desk.town.stand(self.desk.number, |it| it.synced = None);
        self.desk.tell();
        self.close(&program).await;
        over
    }

    async fn close(&self, program: &Program) {
        if timeout(CLOSE_MAX, program.client.close()).await.is_err() {
            self.unspoken("a client does not end".to_owned());
        }
    }

    async fn run(&mut self, program: &mut Program) -> Over {
        let town = self.desk.town.clone();
        loop {
            if town.phase.get() == Phase::Gone {
                return Over::Gone;
            }
            let wake = self.act.min(Instant::now() + LOOK);
            self.paused = self
                .paused
                .filter(|until| Instant::now() < *until && town.phase.get() <= Phase::Chaos);
            let at_once = match self.paused {
                Some(_) => None,
                None => program.events.next().now_or_never(),
            };
            let event = match at_once {
                Some(event) => Some(event),
                None => {
                    if self.paused.is_none() {
                        self.caught_up(program);
                    }
                    tokio::select! {
                        biased;
                        event = program.events.next(), if self.paused.is_none() => Some(event),
                        () = sleep_until(wake) => None,
                    }
                }
            };
            match event {
                Some(Some(event)) => {
                    if let Err(over) = self.take(program, event) {
                        return over;
                    }
                }
                Some(None) => {
                    self.unspoken("the events ended without a word".to_owned());
                    return Over::Closed;
                }
                None => {}
            }
            // Also under a stream that never pauses.
            if Instant::now() >= wake
                && let Err(over) = self.tick(program)
            {
                return over;
            }
        }
    }

    // --- what comes ---

    fn room(&self, conversation: ConversationId) -> Conversation {
        self.desk.town.book.conversation(&conversation.to_string())
    }

    fn hello(&mut self, program: &mut Program, since: std::time::Instant) {
        let (device, book) = (self.desk.number, &self.desk.town.book);
        self.desk.note(What::Dialled { device, since: book.time(since) });
        let all = self.stored.held.iter().map(|(room, seq)| (*room, *seq));
        let (tokened, held) = all.partition(|(room, _)| program.tokened.contains(room));
        self.desk.note(What::Hello {
            device,
            node: u32::try_from(program.dial().node).unwrap_or(u32::MAX),
            credential: self.desk.credential.get(),
            held,
            tokened,
            token: program.token,
        });
        self.desk.note(What::Welcome { device });
        program.connected = true;
        program.synced = None;
    }

    fn synced(&self, program: &mut Program) {
        self.desk.note(What::Synced { device: self.desk.number });
        program.synced = Some(self.desk.town.book.now());
        // The next hello has a token, and it is one of after now.
        program.token = true;
    }

    fn ended(&self, program: &mut Program, why: &str) {
        if std::mem::take(&mut program.connected) {
            self.desk.note(What::Ended { device: self.desk.number, why: why.to_owned() });
        }
        program.synced = None;
        self.desk.town.stand(self.desk.number, |it| it.synced = None);
        self.desk.tell();
    }

    /// Nothing waits: what is told from here on is about what happens from here on.
    fn caught_up(&mut self, program: &mut Program) {
        // Who took nothing for long was not told everything that happened to the connection, and
        // can see how it stands.
        let live = match program.client.state() {
            State::Open { live, moving: _ } => {
                if !program.connected {
                    let began = program.known.at;
                    self.hello(program, began);
                }
                if live && program.synced.is_none() {
                    self.synced(program);
                }
                live
            }
            State::Connecting { .. } | State::Waiting { .. } | State::Closed(_) => {
                self.ended(program, "not open");
                false
            }
            _ => false,
        };
        program.known = program.dial();
        let synced = program.synced.filter(|_| live);
        let stood = self.desk.town.standings.borrow().get(&self.desk.number).map(|it| it.synced);
        if stood != Some(synced) {
            self.desk.town.stand(self.desk.number, |it| it.synced = synced);
            self.desk.tell();
        }
    }

    fn reach(&mut self, program: &mut Program, room: Conversation, seq: u64) {
        program.tokened.remove(&room);
        self.stored.held.insert(room, seq);
        self.desk.town.stand(self.desk.number, |it| {
            it.held.insert(room, seq);
        });
    }

    fn take(&mut self, program: &mut Program, event: ClientEvent) -> Result<(), Over> {
        let device = self.desk.number;
        let book = self.desk.town.book.clone();
        match event {
            ClientEvent::Event(event) => {
                let (conversation, seq) = (self.room(event.conversation), event.seq.get());
                let content = match serde_json::to_value(&event) {
                    Ok(frame) => town::digest(&frame),
                    Err(why) => {
                        self.unspoken(format!("an event that is no JSON: {why}"));
                        return Ok(());
                    }
                };
                let held = self.stored.held.get(&conversation);
                if program.tokened.contains(&conversation) && held.is_some_and(|held| seq <= *held)
                {
                    book.tally("typed: again by token");
                }
                self.desk.note(What::Event { device, conversation, seq, content });
                self.reach(program, conversation, seq);
            }
            ClientEvent::Receipt { conversation, user, marker } => {
                let user = book.user(user.as_str());
                let (received, read) = (marker.received.get(), marker.read.get());
                let conversation = self.room(conversation);
                self.desk.note(What::Receipt { device, conversation, user, received, read });
            }
            ClientEvent::Reset { conversation, head } => {
                let (conversation, head) = (self.room(conversation), head.get());
                self.desk.note(What::Reset { device, conversation, head });
                self.reach(program, conversation, head);
            }
            ClientEvent::Left { conversation } => {
                let conversation = self.room(conversation);
                program.tokened.remove(&conversation);
                self.stored.held.remove(&conversation);
                self.desk.note(What::Left { device, conversation });
                self.desk.town.stand(device, |it| {
                    it.held.remove(&conversation);
                });
            }
            ClientEvent::Connected { user, resumed } => {
                if user.as_str() != self.desk.me.id {
                    self.unspoken(format!("connected as {user}"));
                }
                // The store lives as long as the run: who was here before can go on.
                if program.connected || self.stored.resume.is_some() {
                    if resumed {
                        book.tally("typed: resumes");
                    } else {
                        self.unspoken("not taken up where it was".to_owned());
                    }
                }
                let since = program.known.at;
                self.hello(program, since);
                // Also if the program ends before anything else: it has a place to go on from.
                self.stored.resume = program.client.resume();
            }
            ClientEvent::Synced => {
                if !program.connected {
                    let since = program.known.at;
                    self.hello(program, since);
                }
                self.synced(program);
            }
            ClientEvent::Moved => self.desk.note(What::Moved { device }),
            ClientEvent::Disconnected { why, retry_in: _ } => self.ended(program, &why.to_string()),
            ClientEvent::Closed(because) => {
                match &because {
                    Closed::ByHost => {}
                    Closed::Ended(ending)
                        if matches!(ending.remedy(), Remedy::SignIn | Remedy::Renew) =>
                    {
                        book.tally("typed: closed for good");
                        self.desk.token.borrow_mut().clear();
                    }
                    other => self.unspoken(format!("closed for good: {other}")),
                }
                self.ended(program, &because.to_string());
                return Err(Over::Closed);
            }
            ClientEvent::Typing { .. } | ClientEvent::Presence { .. } => {}
            other => self.unspoken(format!("a new kind of event: {other:?}")),
        }
        Ok(())
    }

    // --- what it does ---

    fn tick(&mut self, program: &Program) -> Result<(), Over> {
        let now = Instant::now();
        self.push_outbox(program);
        if now < self.act {
            return Ok(());
        }
        let (phase, pause) = (self.desk.town.phase.get(), self.desk.town.pause);
        if phase > Phase::Chaos {
            self.act = now + LOOK;
            return Ok(());
        }
        // Who could not act for a while does not make up for it.
        self.act = now + Duration::from_micros(self.dice.between(pause / 2, pause * 3 / 2));
        self.act(program, phase == Phase::Chaos)
    }

    fn act(&mut self, program: &Program, chaos: bool) -> Result<(), Over> {
        let held: Vec<_> = self.stored.held.iter().map(|(room, seq)| (*room, *seq)).collect();
        let some = self.dice.pick(&held).copied();
        match self.dice.below(1000) {
            _ if self.desk.town.loud.get() => self.write(program),
            0..600 => self.write(program),
            600..640 => {
                for _ in 0..self.dice.between(3, 6) {
                    self.write(program);
                }
            }
            640..800 => {
                if let Some((room, held)) = some {
                    self.mark(program, room, held);
                }
            }
            800..850 => {
                if let Some((room, _)) = some
                    && let Ok(room) = self.desk.town.book.id(room).parse()
                {
                    let _ = program.client.typing(room, self.dice.chance(700));
                }
            }
            850..870 => {
                let citizens = &self.desk.town.citizens;
                let users = (0..3).filter_map(|_| self.dice.pick(citizens));
                let users = users.filter_map(|it| UserId::new(&it.id).ok()).collect();
                let _ = program.client.watch(users);
            }
            870..890 => {
                if let Some(resume) = program.client.resume() {
                    let held = self.stored.held.clone();
                    self.older = Some(Stored { resume: Some(resume), held });
                }
            }
            890..896 if chaos => {
                let pause = Duration::from_millis(self.dice.between(500, 6_000));
                self.paused = Some(Instant::now() + pause);
                self.desk.town.book.tally("typed: pauses");
                // Nobody knows whether it is live before it has taken what waits.
                self.desk.town.stand(self.desk.number, |it| it.synced = None);
                self.desk.tell();
            }
            896..904 if chaos => return Err(Over::Again),
            904..908 if chaos => {
                let node = self.any_node();
                self.desk.log_out(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn mark(&mut self, program: &Program, room: Conversation, held: u64) {
        let Ok(id) = self.desk.town.book.id(room).parse() else { return };
        let place = self.dice.between(1, held + 1);
        let (received, read) = if self.dice.chance(500) { (place, 0) } else { (place, place) };
        let book = &self.desk.town.book;
        let op = book.ask(self.desk.number, Ask::Mark { conversation: room, received, read });
        let marked = match read {
            0 => program.client.mark_received(id, Seq::new(place)),
            _ => program.client.mark_read(id, Seq::new(place)),
        };
        match marked {
            // It is kept until the server has it, and nobody is told when that is.
            Ok(()) => book.unknown(op, "not told"),
            Err(why) => book.note(What::Fail { op, code: why.to_string() }),
        }
    }

    fn write(&mut self, program: &Program) {
        if self.desk.outbox.borrow().len() >= self.desk.town.waiting_max {
            return;
        }
        let held: Vec<_> = self.stored.held.keys().copied().collect();
        let own = self.dice.pick(&self.desk.me.rooms).cloned();
        let place = match self.dice.pick(&held) {
            Some(room) if self.dice.chance(400) => Some((*room, None)),
            Some(_) | None => own,
        };
        let Some((conversation, to)) = place else { return };
        let text = workload::text(&mut self.dice, self.desk.town.loud.get());
        self.keys += 1;
        let key = format!("{}-{}", self.desk.number, self.keys);
        let content = digest_of_message(&self.desk.me.id, &key, &text);
        let ask = Ask::Send { conversation, key: key.clone(), content, bad: false };
        let op = self.desk.town.book.ask(self.desk.number, ask);
        let to = to.filter(|_| self.dice.chance(500));
        let outgoing =
            Outgoing { conversation, to, key, text, tries: 0, tried: None, not_before: None };
        self.desk.outbox.borrow_mut().insert(op, outgoing);
        self.desk.tell();
        self.push_outbox(program);
    }

    /// Gives the client what it does not have yet: what is new, and what an earlier one had when it
    /// ended.
    fn push_outbox(&self, program: &Program) {
        let due: Vec<(Op, Outgoing)> = {
            let outbox = self.desk.outbox.borrow();
            let due = outbox.iter().filter(|(_, it)| it.tried.is_none());
            due.map(|(op, it)| (*op, it.clone())).collect()
        };
        for (op, outgoing) in due {
            let Some((key, to, text)) = words(&self.desk, &outgoing) else {
                self.unspoken(format!("not to be said with the client: {outgoing:?}"));
                continue;
            };
            match program.client.send_with_key(key, to, text) {
                Ok(sending) => {
                    let (desk, dial) = (self.desk.clone(), program.dial.clone());
                    if outgoing.tries > 0 {
                        desk.note(What::Retry { op });
                    }
                    if let Some(it) = desk.outbox.borrow_mut().get_mut(&op) {
                        it.tries += 1;
                        it.tried = Some(Instant::now());
                    }
                    tokio::task::spawn_local(async move {
                        let told = sending.await;
                        let node = dial.lock().unwrap_or_else(PoisonError::into_inner).node;
                        desk.settled(op, node, told);
                    });
                }
                // The next tick, or the next client.
                Err(_) => return,
            }
        }
    }
}

fn words(desk: &Desk, outgoing: &Outgoing) -> Option<(ClientKey, SendTo, Text)> {
    let to = match &outgoing.to {
        Some(user) => SendTo::User(UserId::new(user).ok()?),
        None => SendTo::Conversation(desk.town.book.id(outgoing.conversation).parse().ok()?),
    };
    Some((ClientKey::new(&outgoing.key).ok()?, to, Text::new(&outgoing.text).ok()?))
}

impl Desk {
    /// The client says what became of a message.
    fn settled(&self, op: Op, node: usize, told: Result<SentPlace, SendError>) {
        let tries = self.outbox.borrow().get(&op).map_or(0, |it| it.tries);
        match told {
            Ok(place) => {
                let conversation = self.town.book.conversation(&place.conversation.to_string());
                let (seq, duplicate) = (place.seq.get(), place.duplicate);
                self.town.book.ok(op, node, Answer::Ack { conversation, seq, duplicate });
                self.outbox.borrow_mut().remove(&op);
            }
            Err(SendError::Refused { key: _, problem }) => {
                let code = problem.code.title();
                match tries {
                    // What one client repeats by itself is its own business: a refusal means that
                    // nothing was written.
                    1 => self.note(What::Fail { op, code: code.to_owned() }),
                    _ => self.town.book.unknown(op, code),
                }
                self.outbox.borrow_mut().remove(&op);
            }
            Err(SendError::Unsure { key: _, problem }) => {
                self.town.book.unknown(op, problem.code.title());
                self.outbox.borrow_mut().remove(&op);
            }
            // It may have been written: the next client asks with the same key.
            Err(_) => self.again(op, Duration::ZERO),
        }
        self.tell();
    }
}
