//! A device that speaks raw frames, written from the protocol's document and from nothing else, so
//! that the history holds what the wire delivered, not what a good client made of it.
//!
//! A device of another making needs the same three things as this one: the [`Town`] to look at, the
//! [`Book`](crate::book::Book) to write into, and dice; it writes down `Hello`, `Welcome`, `Synced`,
//! `Event`, `Ended` for its stream and `Invoke` and its answers for what it asks, and keeps its
//! [`Standing`](crate::town::Standing) up to date. [`typed`] is one: a program on the client library.

mod deeds;
mod stream;
pub mod typed;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use chat_check::history::{Conversation, Device as Number, Op, Phase, What};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    http::{self, Request},
    random::Random,
    town::{Citizen, Town},
};

/// What a device keeps between connections.
#[derive(Debug, Clone, Default)]
struct Memory {
    epoch: Option<String>,
    token: Option<String>,
    held: BTreeMap<Conversation, u64>,
    /// Where something was reached since the last token, and between that and the one before.
    reached: BTreeSet<Conversation>,
    reached_before: BTreeSet<Conversation>,
}

impl Memory {
    fn reach(&mut self, conversation: Conversation, seq: u64) {
        self.held.insert(conversation, seq);
        self.reached.insert(conversation);
    }

    fn leave(&mut self, conversation: Conversation) {
        self.held.remove(&conversation);
        self.reached.remove(&conversation);
        self.reached_before.remove(&conversation);
    }

    fn take_token(&mut self, token: &Value) {
        if let Some(token) = token.as_str() {
            self.token = Some(token.to_owned());
            self.reached_before = std::mem::take(&mut self.reached);
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
struct Outgoing {
    conversation: Conversation,
    /// The other side, if it is sent to a user instead of into a conversation.
    to: Option<String>,
    key: String,
    text: String,
    tries: u32,
    tried: Option<Instant>,
    not_before: Option<Instant>,
}

/// What a device shares with the requests that it has under way.
struct Desk {
    number: Number,
    me: Citizen,
    stranger: bool,
    town: Rc<Town>,
    outbox: RefCell<BTreeMap<Op, Outgoing>>,
    /// Questions under way other than sends.
    asking: Cell<usize>,
    /// The token of the device's own log-in.
    token: RefCell<String>,
    /// The number of that log-in.
    credential: Cell<u32>,
    /// Whether it has ended.
    revoked: Cell<bool>,
}

impl Desk {
    fn new(town: Rc<Town>, me: Citizen, stranger: bool, exact: bool) -> Rc<Self> {
        let number = town.book.device(me.user, exact);
        town.stand(number, |it| it.user = me.user);
        Rc::new(Self {
            number,
            me,
            stranger,
            town,
            outbox: RefCell::default(),
            asking: Cell::new(0),
            token: RefCell::default(),
            credential: Cell::new(0),
            revoked: Cell::new(false),
        })
    }

    fn note(&self, what: What) {
        self.town.book.note(what);
    }

    fn tell(&self) {
        let (waiting, asking) = (self.outbox.borrow().len(), self.asking.get());
        let revoked = self.revoked.get();
        self.town.stand(self.number, |it| {
            it.waiting = waiting;
            it.asking = asking;
            it.revoked = revoked && it.synced.is_some();
        });
    }

    /// Sees to it that there is a log-in.
    async fn has_token(&self, dice: &mut Random, node: usize) -> bool {
        // Whoever was logged out now and then tries it all the same.
        if self.revoked.get() && dice.chance(700) {
            self.token.borrow_mut().clear();
        }
        if !self.token.borrow().is_empty() {
            return true;
        }
        let door = self.town.doors[node];
        let request = Request::post("/user/token", &self.me.token, None);
        let token = match http::ask(door, request).await {
            Ok(reply) if reply.status == 200 => reply.json()["token"].as_str().map(str::to_owned),
            _ => None,
        };
        let Some(token) = token else { return false };
        *self.token.borrow_mut() = token;
        self.credential.set(self.town.book.credential());
        self.revoked.set(false);
        self.tell();
        true
    }
}

/// A device.
pub struct Device {
    desk: Rc<Desk>,
    dice: Random,
    memory: Memory,
    /// Of some time ago.
    copy: Option<Memory>,
    keys: u64,
    /// Whether it names its positions in pings and asks for what is missing. The others rely on the
    /// server alone.
    careful: bool,
    /// The node it was at last.
    node: usize,
}

impl Device {
    /// A device of this citizen. The name is what its dice and keys follow from.
    #[must_use]
    pub fn new(town: Rc<Town>, me: Citizen, name: &str, seed: u64, stranger: bool) -> Self {
        let mut dice = Random::new(seed, name);
        let careful = dice.chance(500);
        let node = usize::try_from(dice.below(town.doors.len() as u64)).unwrap_or(0);
        Self {
            desk: Desk::new(town, me, stranger, false),
            dice,
            memory: Memory::default(),
            copy: None,
            keys: 0,
            careful,
            node,
        }
    }

    /// Lives until the run is over.
    pub async fn live(mut self) {
        let town = self.desk.town.clone();
        let mut failures = 0;
        while town.phase.get() < Phase::Quiet {
            let began = Instant::now();
            if self.desk.has_token(&mut self.dice, self.node).await {
                self.connection().await;
            }
            town.stand(self.desk.number, |it| it.synced = None);
            failures = if began.elapsed() > Duration::from_secs(2) { 0 } else { failures + 1 };
            let wait = 50 << u32::min(failures, 4);
            sleep(Duration::from_millis(self.dice.between(5, wait))).await;
            let nodes = town.doors.len() as u64;
            if failures > 0 || self.dice.chance(500) {
                self.node = usize::try_from(self.dice.below(nodes)).unwrap_or(0);
            }
        }
        town.stand(self.desk.number, |it| it.gone = true);
    }

    /// The first frame, and what it says of what is held: the positions in it, and whether a token
    /// stands for the others.
    fn hello(&mut self) -> Value {
        use crate::workload::Return;
        let town = self.desk.town.clone();
        let chaos = town.phase.get() <= Phase::Chaos;
        let manner =
            if chaos { crate::workload::next_return(&mut self.dice) } else { Return::Proper };
        let mut far = None;
        match manner {
            Return::Proper => {}
            Return::Older => self.memory = self.copy.clone().unwrap_or_default(),
            Return::Zero => {
                for held in self.memory.held.values_mut() {
                    *held = 0;
                }
                self.memory.token = None;
            }
            Return::Beyond => {
                let rooms: Vec<_> = self.memory.held.keys().copied().collect();
                far = self.dice.pick(&rooms).copied();
            }
            Return::Empty => self.memory = Memory::default(),
        }
        if self.dice.chance(300) {
            self.copy = Some(self.memory.clone());
        }
        let mut positions = self.memory.held.clone();
        if let Some(far) = far {
            positions.insert(far, 1_000_000_000);
        }
        let mut hello = json!({"type": "hello", "version": 1});
        let (mut held, mut tokened) = (Vec::new(), Vec::new());
        let mut by_token = false;
        if let Some(epoch) = &self.memory.epoch {
            let token = self.memory.token.clone().filter(|_| self.dice.chance(600));
            by_token = token.is_some();
            let memory = &self.memory;
            let named = |room: &Conversation| {
                !by_token
                    || memory.reached.contains(room)
                    || memory.reached_before.contains(room)
                    || far == Some(*room)
            };
            let mut names: serde_json::Map<String, Value> = positions
                .iter()
                .filter(|(room, _)| named(room))
                .map(|(room, seq)| (town.book.id(*room), json!(seq)))
                .collect();
            // A stranger names what others talk about.
            if self.desk.stranger {
                let rooms = u64::from(town.book.conversations());
                let room = u32::try_from(self.dice.below(rooms)).unwrap_or(0);
                names.insert(town.book.id(room), json!(0));
            }
            hello["resume"] = json!({"epoch": epoch, "positions": names});
            if let Some(token) = token {
                hello["resume"]["token"] = json!(token);
            }
            (held, tokened) = positions.into_iter().partition(|(room, _)| named(room));
        } else {
            self.memory = Memory::default();
        }
        self.desk.note(What::Hello {
            device: self.desk.number,
            node: u32::try_from(self.node).unwrap_or(u32::MAX),
            credential: self.desk.credential.get(),
            held,
            tokened,
            token: by_token,
        });
        hello
    }
}
