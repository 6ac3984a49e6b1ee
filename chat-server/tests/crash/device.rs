//! One device: talks, repeats with the same key until it is answered, comes back with its token and
//! positions when the server was gone, and writes down what it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    random::Random,
    recording::{Acknowledged, Marked, Recording, Sent},
    wire::{self, Heard, Live},
};

/// What devices are to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Talk.
    Talk,
    /// Say nothing new, and get an answer to everything.
    Settle,
    /// Make sure that everything is there.
    Compare,
    Stop,
}

/// What the devices of a run share.
pub(crate) struct Shared {
    pub(crate) server: SocketAddr,
    pub(crate) began: Instant,
    pub(crate) phase: AtomicU8,
    /// Acknowledgements so far.
    pub(crate) acknowledged: AtomicUsize,
    /// Refusals so far.
    pub(crate) refused: AtomicUsize,
    /// Devices that have said what they wanted and are answered.
    pub(crate) settled: AtomicUsize,
    /// Devices that hold everything.
    pub(crate) complete: AtomicUsize,
}

impl Shared {
    fn phase(&self) -> Phase {
        let now = self.phase.load(Ordering::SeqCst);
        [Phase::Talk, Phase::Settle, Phase::Compare, Phase::Stop][usize::from(now)]
    }
}

/// A conversation as one user sees it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) conversation: String,
    /// The other side of a direct one.
    pub(crate) peer: Option<String>,
}

/// What a device is and does.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) token: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) seed: u64,
    /// How many messages it sends; it talks until it is told to stop, if nothing is said.
    pub(crate) sends_max: usize,
    /// How many wait for their answer at a time.
    pub(crate) in_flight_max: usize,
    /// Whether it also asks over HTTP, moves markers and repeats what was answered before.
    pub(crate) lively: bool,
}

/// A write without an answer that counts.
struct Pending {
    what: What,
    /// When it went out on this connection, if it did.
    out: Option<Instant>,
    not_before: Instant,
    /// It was out when the server told the client to move.
    before_drain: bool,
}

enum What {
    /// This one of `sent`.
    Send(usize),
    Mark(Marked),
}

struct Device<'a> {
    plan: Plan,
    shared: &'a Shared,
    random: Random,
    done: Recording,
    live: Option<Live>,
    epoch: Option<String>,
    resume_token: Option<String>,
    /// Conversations in which something arrived since the last token, and since the one before.
    recent: [BTreeSet<String>; 2],
    /// By the command's id.
    pending: BTreeMap<u64, Pending>,
    next_id: u64,
    next_key: usize,
    /// Events may be missing on this connection; asked for.
    syncing: BTreeSet<String>,
    synced: bool,
    draining: bool,
    pinged: Option<Instant>,
    settled: bool,
    complete: bool,
}

/// How long a client waits for an answer before it asks on another connection.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Between two questions whether everything is there.
const PING_PAUSE: Duration = Duration::from_millis(100);

/// Runs one until it is told to stop.
pub(crate) fn run(plan: Plan, shared: &Shared) -> Recording {
    let held = plan.targets.iter().map(|it| (it.conversation.clone(), Vec::new()));
    let done =
        Recording { device: plan.name.clone(), held: held.collect(), ..Recording::default() };
    let mut device = Device {
        random: Random::new(plan.seed),
        plan,
        shared,
        done,
        live: None,
        epoch: None,
        resume_token: None,
        recent: Default::default(),
        pending: BTreeMap::new(),
        next_id: 0,
        next_key: 0,
        syncing: BTreeSet::new(),
        synced: false,
        draining: false,
        pinged: None,
        settled: false,
        complete: false,
    };
    while shared.phase() != Phase::Stop {
        device.step();
    }
    device.done
}

impl Device<'_> {
    fn step(&mut self) {
        if self.live.is_none() && !self.connect() {
            thread::sleep(Duration::from_millis(10));
            return;
        }
        match self.shared.phase() {
            Phase::Talk => self.talk(),
            Phase::Settle | Phase::Stop => {}
            Phase::Compare => self.compare(),
        }
        self.write_out();
        self.listen();
        let overdue = |it: &Pending| it.out.is_some_and(|out| out.elapsed() > ANSWER_MAX);
        if self.pending.values().any(overdue) {
            self.disconnected(None);
        }
        let done =
            self.done.sent.len() >= self.plan.sends_max || self.shared.phase() >= Phase::Settle;
        if done && self.pending.is_empty() && !self.settled {
            self.settled = true;
            self.shared.settled.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn complain(&mut self, about: impl Into<String>) {
        self.done.complaints.push(about.into());
    }

    // --- connecting ---

    fn connect(&mut self) -> bool {
        let Ok(mut live) = Live::open(self.shared.server, &self.plan.token) else { return false };
        let mut hello = json!({ "type": "hello", "version": 1 });
        if let Some(epoch) = &self.epoch {
            let mut positions = serde_json::Map::new();
            for (conversation, held) in &self.done.held {
                let recent = self.recent.iter().any(|recent| recent.contains(conversation));
                // Without a token nothing else says where this device is.
                if recent || self.resume_token.is_none() {
                    positions.insert(conversation.clone(), held.len().into());
                }
            }
            hello["resume"] = json!({ "epoch": epoch, "positions": positions });
            if let Some(token) = &self.resume_token {
                hello["resume"]["token"] = token.clone().into();
            }
            self.done.counts.resumes += 1;
        }
        if live.say(&hello).is_err() {
            return false;
        }
        self.live = Some(live);
        true
    }

    fn disconnected(&mut self, code: Option<u16>) {
        self.live = None;
        self.synced = false;
        self.syncing.clear();
        self.pinged = None;
        if self.draining {
            self.draining = false;
            if code != Some(1012) {
                self.complain(format!("told to move, then closed with {code:?}"));
            }
            let left =
                self.pending.values().filter(|it| it.before_drain && it.out.is_some()).count();
            if left > 0 {
                self.complain(format!("{left} in flight were not answered by a server that left"));
            }
        }
        for pending in self.pending.values_mut() {
            pending.out = None;
            pending.before_drain = false;
        }
    }

    // --- talking ---

    fn talk(&mut self) {
        if self.draining || !self.synced || self.pending.len() >= self.plan.in_flight_max {
            return;
        }
        let lively = self.plan.lively;
        if lively && self.random.percent(20) {
            self.mark();
        } else if lively && self.random.percent(5) && !self.done.sent.is_empty() {
            // Long answered, and the same answer has to come.
            let again = self.random.below(self.done.sent.len() as u64);
            self.ask(What::Send(usize::try_from(again).unwrap()));
        } else if self.done.sent.len() < self.plan.sends_max {
            let sent = self.compose();
            if lively && self.random.percent(25) {
                self.send_over_http(sent);
            } else {
                self.ask(What::Send(sent));
            }
        }
    }

    fn compose(&mut self) -> usize {
        let target = self.random.pick(&self.plan.targets).clone();
        let key = format!("{}-{}", self.plan.name, self.next_key);
        self.next_key += 1;
        let filling = "ä".repeat(usize::try_from(self.random.below(200)).unwrap());
        self.done.sent.push(Sent {
            user: self.plan.user.clone(),
            text: format!("{key} {filling}."),
            key,
            conversation: target.conversation,
            asked: self.shared.began.elapsed(),
            answers: Vec::new(),
        });
        self.done.sent.len() - 1
    }

    fn ask(&mut self, what: What) {
        let now = Instant::now();
        let pending = Pending { what, out: None, not_before: now, before_drain: false };
        self.pending.insert(self.next_id, pending);
        self.next_id += 1;
    }

    fn mark(&mut self) {
        let target = self.random.pick(&self.plan.targets).clone();
        let held = self.done.held.get(&target.conversation).map_or(0, Vec::len) as u64;
        // Mostly old ones: they must not take a newer one back.
        let read = self.random.below(held + 1);
        let (user, conversation) = (self.plan.user.clone(), target.conversation);
        self.ask(What::Mark(Marked { user, conversation, read }));
    }

    /// Over HTTP first; if nobody knows what became of it, on the live connection.
    fn send_over_http(&mut self, sent: usize) {
        let Sent { conversation, key, text, .. } = self.done.sent[sent].clone();
        let target = self.plan.targets.iter().find(|it| it.conversation == conversation);
        let peer = target.and_then(|target| target.peer.clone());
        let (path, body) = match peer {
            Some(peer) if self.random.percent(50) => {
                ("/messages".to_owned(), json!({ "to": peer, "content": text }))
            }
            _ => (format!("/conversations/{conversation}/messages"), json!({ "text": text })),
        };
        let (server, token) = (self.shared.server, &self.plan.token);
        let answer = wire::request(server, "POST", &path, token, Some(&key), Some(&body));
        self.done.counts.over_http += 1;
        match answer {
            Ok(answer) if [200, 201].contains(&answer.status) => {
                let mut told = answer.json();
                told["duplicate"] = (answer.status == 200).into();
                if let Some(at) = told.get("timestamp").cloned() {
                    told["at"] = at;
                }
                self.acknowledged(sent, &told);
            }
            Ok(answer) => {
                self.refused(&answer.json());
                self.ask(What::Send(sent));
            }
            Err(_) => self.ask(What::Send(sent)),
        }
    }

    fn write_out(&mut self) {
        if self.draining || !self.synced {
            return;
        }
        let now = Instant::now();
        let mut frames = Vec::new();
        for (id, pending) in &mut self.pending {
            if pending.out.is_some() || pending.not_before > now {
                continue;
            }
            pending.out = Some(now);
            let id = id.to_string();
            frames.push(match &pending.what {
                What::Send(sent) => {
                    let Sent { conversation, key, text, .. } = &self.done.sent[*sent];
                    let (kind, to) = match self.plan.targets.iter().find_map(|it| {
                        (it.conversation == *conversation).then_some(it.peer.as_ref()).flatten()
                    }) {
                        Some(peer) if self.random.percent(50) => ("to", peer),
                        _ => ("conversation", conversation),
                    };
                    json!({ "type": "send", "id": id, "key": key, kind: to, "text": text })
                }
                What::Mark(Marked { conversation, read, .. }) => {
                    json!({ "type": "mark", "id": id, "conversation": conversation, "read": read })
                }
            });
        }
        let Some(live) = &mut self.live else { return };
        if frames.iter().any(|frame| live.say(frame).is_err()) {
            // What it still has to say, a close code among it, is heard before it is given up.
            self.listen();
        }
    }

    fn acknowledged(&mut self, sent: usize, told: &Value) {
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let answer = Acknowledged {
            when: self.shared.began.elapsed(),
            conversation: text("conversation"),
            seq: told["seq"].as_u64().unwrap_or(0),
            at: text("at"),
            duplicate: told["duplicate"] == true,
        };
        self.done.sent[sent].answers.push(answer);
        self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether it may be asked for again.
    fn refused(&mut self, problem: &Value) {
        let code = problem["code"].as_str().unwrap_or("without a code").to_owned();
        if problem["retryable"] != true {
            self.complain(format!("refused for good: {problem}"));
        }
        self.shared.refused.fetch_add(1, Ordering::SeqCst);
        *self.done.refused.entry(code).or_default() += 1;
    }

    // --- listening ---

    fn listen(&mut self) {
        // As much as is there, but not for ever.
        for _ in 0..64 {
            let Some(live) = &mut self.live else { return };
            match live.hear() {
                Heard::Frame(frame) => self.frame(frame),
                Heard::Nothing => return,
                Heard::Closed(code) => return self.disconnected(code),
            }
        }
    }

    fn frame(&mut self, mut frame: Value) {
        let kind = frame["type"].take();
        match kind.as_str().unwrap_or_default() {
            "welcome" => self.welcome(&frame),
            "event" => self.event(frame),
            "synced" => {
                self.synced = true;
                self.token(&frame);
            }
            "pong" => {
                self.token(&frame);
                self.pong(&frame);
            }
            "ack" | "done" | "error" => self.reply(&kind, &frame),
            "receipt" => {
                let name =
                    ["conversation", "user"].map(|it| frame[it].as_str().unwrap().to_owned());
                let [received, read] = ["received", "read"].map(|it| frame[it].as_u64().unwrap());
                let shown = self.done.receipts.entry(name.into()).or_default();
                *shown = (shown.0.max(received), shown.1.max(read));
            }
            "drain" => {
                self.done.counts.drains += 1;
                self.draining = true;
                for pending in self.pending.values_mut() {
                    pending.before_drain = pending.out.is_some();
                }
            }
            "reset" => self.reset(&frame),
            "presence" | "typing" => {}
            other => self.complain(format!("unexpected {other}: {frame}")),
        }
    }

    fn welcome(&mut self, welcome: &Value) {
        let epoch = welcome["epoch"].as_str().unwrap().to_owned();
        if let Some(known) = &self.epoch
            && (*known != epoch || welcome["resumed"] != true)
        {
            self.complain(format!("not resumed: {welcome}"));
        }
        self.epoch = Some(epoch);
    }

    /// With a new token, what lies before the one before can be forgotten.
    fn token(&mut self, frame: &Value) {
        if let Some(token) = frame["token"].as_str() {
            self.resume_token = Some(token.to_owned());
            self.recent.swap(0, 1);
            self.recent[0].clear();
        }
    }

    fn event(&mut self, mut event: Value) {
        let conversation = event["conversation"].as_str().unwrap().to_owned();
        let seq = usize::try_from(event["seq"].as_u64().unwrap()).unwrap();
        event.as_object_mut().unwrap().remove("type");
        let Some(held) = self.done.held.get_mut(&conversation) else {
            return self.complain(format!("of a conversation of others: {event}"));
        };
        if seq == held.len() + 1 {
            held.push(event);
            self.recent[0].insert(conversation.clone());
            self.syncing.remove(&conversation);
        } else if seq <= held.len() {
            if held[seq - 1] != event {
                let before = held[seq - 1].clone();
                self.complain(format!("was {before}, is {event}"));
            }
        } else {
            self.sync(&conversation);
        }
    }

    fn sync(&mut self, conversation: &str) {
        if self.syncing.insert(conversation.to_owned()) {
            self.done.counts.syncs += 1;
            let after = self.done.held[conversation].len();
            let frame = json!({ "type": "sync", "conversation": conversation, "after": after });
            self.say(&frame);
        }
    }

    fn say(&mut self, frame: &Value) {
        if let Some(live) = &mut self.live {
            // If it is gone, listening will tell.
            let _ = live.say(frame);
        }
    }

    /// Too much was missed: the rest is read over HTTP.
    fn reset(&mut self, frame: &Value) {
        self.done.counts.resets += 1;
        let conversation = frame["conversation"].as_str().unwrap();
        let head = usize::try_from(frame["head"].as_u64().unwrap()).unwrap();
        match wire::read_log(self.shared.server, &self.plan.token, conversation) {
            Ok(mut log) => {
                log.truncate(head);
                self.done.held.insert(conversation.to_owned(), log);
                self.recent[0].insert(conversation.to_owned());
            }
            // The next connection begins where this one did.
            Err(_) => self.disconnected(Some(1012)),
        }
    }

    fn reply(&mut self, kind: &Value, frame: &Value) {
        let id = frame["id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id else {
            return self.complain(format!("{kind} without a question: {frame}"));
        };
        let Some(mut pending) = self.pending.remove(&id) else {
            return self.complain(format!("{kind} to nothing: {frame}"));
        };
        match (kind.as_str(), &pending.what) {
            (Some("ack"), What::Send(sent)) => {
                let sent = *sent;
                if frame["key"] != *self.done.sent[sent].key {
                    self.complain(format!("another key: {frame}"));
                }
                self.acknowledged(sent, frame);
            }
            (Some("done"), What::Mark(mark)) => self.done.marked.push(mark.clone()),
            (Some("error"), _) => {
                self.refused(&frame["problem"]);
                if frame["problem"]["retryable"] == true {
                    let wait =
                        frame["problem"]["retry_after_ms"].as_u64().unwrap_or(0).clamp(20, 200);
                    pending.out = None;
                    pending.before_drain = false;
                    pending.not_before = Instant::now() + Duration::from_millis(wait);
                    self.pending.insert(id, pending);
                }
            }
            _ => self.complain(format!("{kind} to something else: {frame}")),
        }
    }

    // --- comparing ---

    /// Asks for the heads until they are what this device holds.
    fn compare(&mut self) {
        if self.complete || !self.synced || self.pinged.is_some_and(|at| at.elapsed() < PING_PAUSE)
        {
            return;
        }
        let positions: BTreeMap<_, _> =
            self.done.held.iter().map(|(conversation, held)| (conversation, held.len())).collect();
        let frame = json!({ "type": "ping", "positions": positions });
        self.say(&frame);
        self.pinged = Some(Instant::now());
    }

    fn pong(&mut self, frame: &Value) {
        let heads = frame["heads"].as_object().cloned().unwrap_or_default();
        let mut equal = heads.len() == self.done.held.len();
        for (conversation, head) in heads {
            let held = self.done.held.get(&conversation).map_or(0, Vec::len) as u64;
            let head = head.as_u64().unwrap_or(0);
            equal &= head == held;
            if head > held {
                self.sync(&conversation);
            }
        }
        if equal && self.shared.phase() == Phase::Compare && !self.complete {
            self.complete = true;
            self.shared.complete.fetch_add(1, Ordering::SeqCst);
        }
    }
}
