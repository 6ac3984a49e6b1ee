//! Several users with their devices, and what is left when they have all gone home.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    check,
    device::{self, Phase, Plan, Shared, Target},
    process::{Home, Process},
    random::Random,
    recording::{Counts, Recording},
    stored,
    wire::{self, PATIENCE},
};

/// Users and the conversations between them.
#[derive(Debug, Clone)]
pub(crate) struct Town {
    /// User id, token, what they take part in.
    citizens: Vec<(String, String, Vec<Target>)>,
}

impl Town {
    /// Makes accounts, a direct conversation of each with the next, and groups of all and of some.
    pub(crate) fn found(server: SocketAddr, users: usize) -> Self {
        let post = |path: &str, token: &str, key: Option<&str>, body: Value| {
            wire::request(server, "POST", path, token, key, Some(&body)).unwrap()
        };
        let mut citizens: Vec<(String, String, Vec<Target>)> = (0..users)
            .map(|user| {
                let body = json!({ "name": format!("user{user}"), "password": "correct horse" });
                let token = post("/user/register", "", None, body).expect(201).json();
                let text = |name: &str| token[name].as_str().unwrap().to_owned();
                (text("user_id"), text("token"), Vec::new())
            })
            .collect();
        let pairs: Vec<(usize, usize)> = match users {
            2 => vec![(0, 1)],
            _ => (0..users).map(|one| (one, (one + 1) % users)).collect(),
        };
        for (one, other) in pairs {
            let body = json!({ "kind": "direct", "user": citizens[other].0 });
            let made = post("/conversations", &citizens[one].1, None, body).expect(200).json();
            for (user, peer) in [(one, other), (other, one)] {
                let conversation = made["id"].as_str().unwrap().to_owned();
                let peer = Some(citizens[peer].0.clone());
                citizens[user].2.push(Target { conversation, peer });
            }
        }
        for (key, size) in [("all", users), ("some", users.min(3))] {
            let members: Vec<_> = citizens[1..size].iter().map(|it| it.0.clone()).collect();
            let body = json!({ "kind": "group", "title": key, "members": members });
            let made = post("/conversations", &citizens[0].1, Some(key), body).expect(201).json();
            for citizen in &mut citizens[..size] {
                let conversation = made["id"].as_str().unwrap().to_owned();
                citizen.2.push(Target { conversation, peer: None });
            }
        }
        Self { citizens }
    }

    /// A token of a member of each conversation.
    fn readers(&self) -> BTreeMap<String, String> {
        let targets = self.citizens.iter().flat_map(|(_, token, targets)| {
            targets.iter().map(move |target| (target.conversation.clone(), token.clone()))
        });
        targets.collect()
    }

    /// A device's plan, to be completed.
    fn plans(&self, seed: u64, devices: usize) -> Vec<Plan> {
        let mut random = Random::new(seed);
        let mut plans = Vec::new();
        for (index, (user, token, targets)) in self.citizens.iter().enumerate() {
            for device in 0..devices {
                plans.push(Plan {
                    name: format!("user{index}-{device}"),
                    user: user.clone(),
                    token: token.clone(),
                    targets: targets.clone(),
                    seed: random.next(),
                    sends_max: usize::MAX,
                    in_flight_max: 4,
                    lively: true,
                });
            }
        }
        plans
    }
}

/// Devices that are talking.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    devices: Vec<JoinHandle<Recording>>,
    town: Town,
}

impl Fleet {
    pub(crate) fn start(
        server: SocketAddr,
        town: &Town,
        seed: u64,
        devices: usize,
        adjust: impl Fn(&mut Plan),
    ) -> Self {
        let shared = Arc::new(Shared {
            server,
            began: Instant::now(),
            phase: AtomicU8::new(Phase::Talk as u8),
            acknowledged: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            complete: AtomicUsize::new(0),
        });
        let mut plans = town.plans(seed, devices);
        plans.iter_mut().for_each(adjust);
        let devices = plans
            .into_iter()
            .map(|plan| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || device::run(plan, &shared))
            })
            .collect();
        Self { shared, devices, town: town.clone() }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Whether all have said what they wanted and are answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.shared.settled.load(Ordering::SeqCst) == self.devices.len()
    }

    fn enter(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Waits; false when it took too long, or a device has given up.
    pub(crate) fn wait(&self, until: impl FnMut() -> bool) -> bool {
        self.wait_at_most(PATIENCE, until)
    }

    pub(crate) fn wait_at_most(&self, limit: Duration, mut until: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !until() {
            if Instant::now() > deadline || self.devices.iter().any(JoinHandle::is_finished) {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Everybody gets their answers and looks whether everything is there; then the server is
    /// killed once more, and what it has is held against what it said.
    pub(crate) fn finish(self, home: &Home, server: Process) -> Outcome {
        self.enter(Phase::Settle);
        let mut wrong = Vec::new();
        if !self.wait(|| self.is_settled()) {
            wrong.push("not everything was answered in the end".to_owned());
        }
        self.enter(Phase::Compare);
        // Whoever does not hold everything is named by the checker.
        let all = self.devices.len();
        self.wait_at_most(PATIENCE / 4, || self.shared.complete.load(Ordering::SeqCst) == all);
        let by_interface = stored::over_http(home.address(), &self.town.readers()).unwrap();
        self.enter(Phase::Stop);
        let recordings: Vec<Recording> =
            self.devices.into_iter().map(|device| device.join().unwrap()).collect();
        server.kill();
        let in_file = stored::in_file(&home.database());
        if by_interface != in_file {
            wrong.push("the interface says something else than the file".to_owned());
        }
        wrong.extend(check::check(&recordings, &in_file));
        Outcome::new(&recordings, wrong)
    }
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) wrong: Vec<String>,
    pub(crate) acknowledged: usize,
    pub(crate) refused: BTreeMap<String, usize>,
    pub(crate) counts: Counts,
    pub(crate) line: String,
}

impl Outcome {
    fn new(recordings: &[Recording], wrong: Vec<String>) -> Self {
        let mut refused = BTreeMap::<String, usize>::new();
        let mut counts = Counts::default();
        for recording in recordings {
            for (code, count) in &recording.refused {
                *refused.entry(code.clone()).or_default() += count;
            }
            counts.resumes += recording.counts.resumes;
            counts.syncs += recording.counts.syncs;
            counts.resets += recording.counts.resets;
            counts.over_http += recording.counts.over_http;
            counts.drains += recording.counts.drains;
        }
        let sent = || recordings.iter().flat_map(|it| &it.sent);
        let acknowledged = sent().filter(|sent| !sent.answers.is_empty()).count();
        let answers = || sent().flat_map(|sent| &sent.answers);
        let duplicates = answers().filter(|answer| answer.duplicate).count();
        // Committed, and the server died before it could say so.
        let late = sent().filter(|it| it.answers.first().is_some_and(|it| it.duplicate)).count();
        let marks: usize = recordings.iter().map(|it| it.marked.len()).sum();
        let held: usize = recordings.iter().flat_map(|it| it.held.values()).map(Vec::len).sum();
        let line = format!(
            "{acknowledged} messages acknowledged by {} answers ({duplicates} repeated, {late} whose first answer was lost), \
             {marks} marks, {held} events held, {counts:?}, refused {refused:?}, {} complaints",
            answers().count(),
            wrong.len(),
        );
        Self { wrong, acknowledged, refused, counts, line }
    }

    /// Fails unless all is right.
    #[track_caller]
    pub(crate) fn expect_right(&self, what: &str, home: &Home) {
        let shown = self.wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
        assert!(self.wrong.is_empty(), "{what}: {}\n  {shown}\n{}", self.line, home.last_words());
    }
}
