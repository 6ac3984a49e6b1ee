//! A bus as bad as its contract allows: drops, repeats, delays, reorders, and seldom says so.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chat_sdk::bus::{Bus, BusError, Heard, Topic};
use tokio::sync::Notify;

use super::rng::Rng;

/// How the bus is at the moment. Chances are in a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusWeather {
    pub drops: u64,
    pub repeats: u64,
    /// Milliseconds that a message takes at most: later ones overtake it.
    pub delay: u64,
    /// How often a node is told that something was dropped.
    pub reports: u64,
    /// Publishing fails.
    pub down: bool,
}

/// What waits for one node at most; then it is dropped and said so.
const INBOX_MAX: usize = 1_000;

#[derive(Default)]
struct Inbox {
    /// Which life of the node this is for.
    life: u64,
    waiting: Vec<(u64, u64, Heard)>,
    followed: BTreeSet<Topic>,
    rung: Arc<Notify>,
}

/// All inboxes of one chat.
pub struct Wires {
    pub weather: BusWeather,
    rng: Rng,
    count: u64,
    inboxes: Vec<Inbox>,
    /// Whether nodes hear what they do not follow.
    chatty: bool,
}

/// The bus of one node in one of its lives.
#[derive(Clone)]
pub struct SimBus {
    wires: Arc<Mutex<Wires>>,
    node: usize,
    life: u64,
}

fn now() -> u64 {
    turmoil::sim_elapsed().map_or(0, |now| now.as_millis() as u64)
}

impl Wires {
    pub fn new(nodes: usize, mut rng: Rng) -> Arc<Mutex<Self>> {
        let inboxes = (0..nodes).map(|_| Inbox::default()).collect();
        let chatty = rng.chance(500);
        let weather = BusWeather::default();
        Arc::new(Mutex::new(Self { weather, rng, count: 0, inboxes, chatty }))
    }

    /// Tells every node that something was lost.
    pub fn report(&mut self) {
        for inbox in &mut self.inboxes {
            inbox.waiting.push((0, self.count, Heard::Lost));
            inbox.rung.notify_one();
        }
    }

    fn post(&mut self, to: usize, heard: Heard) {
        let weather = self.weather;
        let (dice, delay) = (self.rng.below(1000), self.rng.below(weather.delay + 1));
        let inbox = &mut self.inboxes[to];
        if dice < weather.drops || inbox.waiting.len() >= INBOX_MAX {
            if inbox.waiting.len() >= INBOX_MAX || self.rng.chance(weather.reports) {
                inbox.waiting.push((0, self.count, Heard::Lost));
                inbox.rung.notify_one();
            }
            return;
        }
        self.count += 1;
        inbox.waiting.push((now() + delay, self.count, heard));
        inbox.rung.notify_one();
    }
}

impl SimBus {
    /// The bus of a node that starts (again): what waited for its last life is gone.
    pub fn join(wires: &Arc<Mutex<Wires>>, node: usize) -> Self {
        let mut all = wires.lock().unwrap();
        let life = all.inboxes[node].life + 1;
        all.inboxes[node] = Inbox { life, ..Inbox::default() };
        drop(all);
        Self { wires: wires.clone(), node, life }
    }

    /// The next thing that is due, or when to look again.
    fn take(&self) -> Result<Heard, (Option<Duration>, Arc<Notify>)> {
        let mut wires = self.wires.lock().unwrap();
        let inbox = &mut wires.inboxes[self.node];
        let rung = inbox.rung.clone();
        if inbox.life != self.life {
            return Err((None, Arc::default()));
        }
        let first =
            inbox.waiting.iter().enumerate().min_by_key(|(_, (at, count, _))| (*at, *count));
        match first.map(|(place, (at, _, _))| (place, *at)) {
            Some((place, at)) if at <= now() => Ok(inbox.waiting.remove(place).2),
            Some((_, at)) => Err((Some(Duration::from_millis(at - now())), rung)),
            None => Err((None, rung)),
        }
    }
}

impl Bus for SimBus {
    async fn publish(&self, messages: Vec<(Topic, Bytes)>) -> Result<(), BusError> {
        let mut wires = self.wires.lock().unwrap();
        if wires.weather.down {
            return Err(BusError("the bus is down".into()));
        }
        for (topic, bytes) in messages {
            for node in 0..wires.inboxes.len() {
                let wanted = wires.chatty || wires.inboxes[node].followed.contains(&topic);
                if node == self.node || !wanted {
                    continue;
                }
                let repeats = wires.weather.repeats;
                let times = 1 + u64::from(wires.rng.chance(repeats));
                for _ in 0..times {
                    wires.post(node, Heard::Message(topic.clone(), bytes.clone()));
                }
            }
        }
        Ok(())
    }

    async fn follow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        self.wires.lock().unwrap().inboxes[self.node].followed.extend(topics);
        Ok(())
    }

    async fn unfollow(&self, topics: Vec<Topic>) -> Result<(), BusError> {
        let mut wires = self.wires.lock().unwrap();
        for topic in topics {
            wires.inboxes[self.node].followed.remove(&topic);
        }
        Ok(())
    }

    async fn next(&self) -> Heard {
        loop {
            match self.take() {
                Ok(heard) => return heard,
                Err((None, rung)) => rung.notified().await,
                Err((Some(time), rung)) => {
                    tokio::select! {
                        biased;
                        () = rung.notified() => {}
                        () = tokio::time::sleep(time) => {}
                    }
                }
            }
        }
    }
}
