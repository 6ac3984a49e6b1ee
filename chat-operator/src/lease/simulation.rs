//! Candidates, a store and a bad network under one seed: requests are late, lost or carried out
//! without an answer, processes stand still, die and come back. At no moment do two hold the lease.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use super::election::{Election, Loss, Seen, Step, Terms, TermsError, Write, splitmix};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = splitmix(self.0);
        self.0 % bound
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// The API server's one lease.
#[derive(Default)]
struct Store {
    lease: Option<Seen>,
    versions: u64,
}

impl Store {
    fn put(&mut self, write: &Write, duration: Duration) -> Option<Seen> {
        if self.lease.as_ref().map(|lease| &lease.version) != write.version.as_ref() {
            return None;
        }
        self.versions += 1;
        let seen = Seen {
            version: self.versions.to_string(),
            holder: write.holder.clone(),
            duration,
            transitions: write.transitions,
        };
        self.lease = Some(seen.clone());
        Some(seen)
    }
}

#[derive(Debug)]
enum Happens {
    /// The process asks what to do.
    Turn,
    /// A request arrives at the store.
    Arrives {
        read: bool,
        write: Option<Write>,
        sent: Instant,
        heard: bool,
    },
    /// An answer, or the end of patience.
    Answer(Answer),
    /// A process dies, or one that died is started anew.
    Dies {
        back_after: Option<Duration>,
    },
    Starts,
    /// It is asked to end in good order.
    Ends,
}

#[derive(Debug)]
enum Answer {
    Saw(Option<Seen>),
    Wrote(Instant, Seen),
    Conflict,
    Timeout,
}

struct Process {
    election: Election,
    terms: Terms,
    /// Counts its lives: what belongs to an earlier one is not heard any more.
    life: u64,
    alive: bool,
    /// Stands still until then.
    stopped_until: Instant,
    /// The request that it waits for; answers to others come too late.
    waits_for: u64,
}

/// When, its number, the process and its life, and the request that it is about.
type Appointment = (Instant, u64, usize, u64, u64);

struct World {
    random: Random,
    now: Instant,
    queue: BinaryHeap<Reverse<Appointment>>,
    happenings: HashMap<u64, Happens>,
    numbers: u64,
    store: Store,
    processes: Vec<Process>,
    /// Whether the network and the processes misbehave.
    chaos: bool,
    lives: u64,
    losses: u64,
    reigns: u64,
    released: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let now = Instant::now();
        let candidates = 2 + random.below(4);
        let mut world = Self {
            random,
            now,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            numbers: 0,
            store: Store::default(),
            processes: Vec::new(),
            chaos: true,
            lives: 0,
            losses: 0,
            reigns: 0,
            released: 0,
        };
        for process in 0..usize::try_from(candidates).unwrap() {
            // Each has times of its own, as while they are being changed: what counts for others is
            // what stands in the lease.
            // Half of it is the patience with a request, longer than a good network takes.
            let retry = world.random.millis(400, 2000);
            let renew = retry * 2 + world.random.millis(1, 8000);
            let lease = renew + world.random.millis(1, 5000);
            let terms = Terms { lease, renew, retry }.check().unwrap();
            world.processes.push(Process {
                election: Election::new(now, String::new(), terms, 0),
                terms,
                life: 0,
                alive: false,
                stopped_until: now,
                waits_for: 0,
            });
            let after = world.random.millis(0, 3000);
            world.at(after, process, Happens::Starts);
        }
        world
    }

    /// `request` 0 is none.
    fn push(&mut self, after: Duration, process: usize, request: u64, happens: Happens) {
        self.numbers += 1;
        let life = self.processes[process].life;
        self.queue.push(Reverse((self.now + after, self.numbers, process, life, request)));
        self.happenings.insert(self.numbers, happens);
    }

    fn at(&mut self, after: Duration, process: usize, happens: Happens) {
        self.push(after, process, 0, happens);
    }

    fn holders(&self) -> Vec<usize> {
        let holds = |process: &Process| {
            process.alive && process.election.leads_until().is_some_and(|until| self.now < until)
        };
        (0..self.processes.len()).filter(|it| holds(&self.processes[*it])).collect()
    }

    /// Runs for so long, or until `enough`.
    fn run(&mut self, span: Duration, enough: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + span;
        while let Some(Reverse((at, ..))) = self.queue.peek() {
            if *at > end {
                break;
            }
            let Reverse((at, number, process, life, request)) = self.queue.pop().unwrap();
            let happens = self.happenings.remove(&number).unwrap();
            self.now = at;
            self.happen(process, life, request, happens);
            assert!(self.holders().len() <= 1, "two lead: {:?}", self.holders());
            if enough(self) {
                return true;
            }
        }
        self.now = end;
        enough(self)
    }

    fn happen(&mut self, process: usize, life: u64, request: u64, happens: Happens) {
        if let Happens::Arrives { read, write, sent, heard } = happens {
            return self.arrive(process, life, request, read, write.as_ref(), sent, heard);
        }
        let this = &self.processes[process];
        if this.life != life {
            return;
        }
        if this.stopped_until > self.now {
            // What happens to one that stands still, happens when it goes on.
            let mut wait = this.stopped_until - self.now;
            if matches!(happens, Happens::Answer(Answer::Timeout)) {
                // An answer that came meanwhile is found before its time-out.
                wait += Duration::from_millis(1);
            }
            return self.push(wait, process, request, happens);
        }
        match happens {
            Happens::Arrives { .. } => unreachable!("was handled above"),
            Happens::Starts => {
                self.lives += 1;
                let (name, seed) = (format!("process-{}", self.lives), self.random.below(u64::MAX));
                let this = &mut self.processes[process];
                this.alive = true;
                this.election = Election::new(self.now, name, this.terms, seed);
                self.at(Duration::ZERO, process, Happens::Turn);
            }
            Happens::Dies { back_after } => self.die(process, back_after),
            Happens::Ends => {
                if let Some(write) = self.processes[process].election.release() {
                    self.released += 1;
                    let sent = self.now;
                    let late = self.latency();
                    let happens =
                        Happens::Arrives { read: false, write: Some(write), sent, heard: false };
                    self.push(late, process, u64::MAX, happens);
                }
                let back = self.random.millis(1000, 20_000);
                self.die(process, Some(back));
            }
            Happens::Answer(answer) => {
                if self.processes[process].waits_for != request {
                    return;
                }
                let now = self.now;
                let this = &mut self.processes[process];
                this.waits_for = 0;
                let led = this.election.leads_until().is_some();
                match answer {
                    Answer::Saw(seen) => this.election.saw(now, seen),
                    Answer::Wrote(sent, seen) => this.election.wrote(sent, now, seen),
                    Answer::Conflict => this.election.conflicted(now),
                    Answer::Timeout => this.election.failed(now),
                }
                self.reigns += u64::from(!led && this.election.leads_until().is_some());
                self.at(Duration::ZERO, process, Happens::Turn);
            }
            Happens::Turn => self.turn(process),
        }
    }

    fn die(&mut self, process: usize, back_after: Option<Duration>) {
        let this = &mut self.processes[process];
        this.alive = false;
        this.life += 1;
        if let Some(after) = back_after {
            self.at(after, process, Happens::Starts);
        }
    }

    fn latency(&mut self) -> Duration {
        if self.chaos && self.random.one_in(10) {
            self.random.millis(0, 20_000)
        } else {
            self.random.millis(1, 50)
        }
    }

    fn turn(&mut self, process: usize) {
        if self.chaos {
            if self.random.one_in(40) {
                let stop = self.random.millis(0, 30_000);
                self.processes[process].stopped_until = self.now + stop;
            }
            if self.random.one_in(60) {
                let back_after = Some(self.random.millis(10, 20_000));
                return self.happen(
                    process,
                    self.processes[process].life,
                    0,
                    Happens::Dies { back_after },
                );
            }
            if self.random.one_in(60) {
                return self.happen(process, self.processes[process].life, 0, Happens::Ends);
            }
        }
        let now = self.now;
        let this = &mut self.processes[process];
        let (read, write) = match this.election.next(now) {
            Step::Read => (true, None),
            Step::Write(write) => (false, Some(write)),
            Step::Wait(until) => {
                assert!(until > now, "a wait that does not wait");
                return self.at(until - now, process, Happens::Turn);
            }
            Step::Lost(_) => {
                self.losses += 1;
                let back = self.random.millis(10, 5000);
                return self.die(process, Some(back));
            }
        };
        let patience = this.terms.patience();
        self.numbers += 1;
        let request = self.numbers;
        self.processes[process].waits_for = request;
        self.push(patience, process, request, Happens::Answer(Answer::Timeout));
        // It stood still between asking and sending: the request goes out later, but counts from
        // the moment that was noted before.
        let held = self.processes[process].stopped_until.saturating_duration_since(now);
        let late = self.latency() + held;
        if !(self.chaos && self.random.one_in(12)) {
            let heard = !(self.chaos && self.random.one_in(12));
            let happens = Happens::Arrives { read, write, sent: now, heard };
            self.push(late, process, request, happens);
        }
    }

    #[allow(clippy::too_many_arguments)] // The fields of one happening.
    fn arrive(
        &mut self,
        process: usize,
        life: u64,
        request: u64,
        read: bool,
        write: Option<&Write>,
        sent: Instant,
        heard: bool,
    ) {
        // Leases say whole seconds, rounded up, as the driver writes them.
        let lease = self.processes[process].terms.lease;
        let duration = Duration::from_secs(lease.as_millis().div_ceil(1000).try_into().unwrap());
        let answer = match write {
            None if read => Answer::Saw(self.store.lease.clone()),
            None => unreachable!("a request reads or writes"),
            Some(write) => self
                .store
                .put(write, duration)
                .map_or(Answer::Conflict, |seen| Answer::Wrote(sent, seen)),
        };
        if self.chaos && self.random.one_in(30) {
            // It is stopped while the answer is under way.
            let stop = self.random.millis(0, 30_000);
            self.processes[process].stopped_until = self.now + stop;
        }
        if heard && self.processes[process].life == life {
            let late = self.latency();
            self.push(late, process, request, Happens::Answer(answer));
        }
    }
}

#[test]
fn there_are_never_two_leaders_and_soon_one() {
    let (mut losses, mut reigns, mut released) = (0, 0, 0);
    for seed in 0..2000 {
        let mut world = World::new(seed);
        world.run(Duration::from_secs(300), |_| false);
        // The network is well again; requests that were sent before are still under way.
        world.chaos = false;
        let longest = world.processes.iter().map(|it| it.terms.lease).max().unwrap();
        let patience = Duration::from_secs(60) + longest;
        let led = world.run(patience, |world| world.holders().len() == 1);
        assert!(led, "nobody leads, seed {seed}");
        // It keeps leading while nothing happens.
        world.run(Duration::from_secs(60), |_| false);
        let (leader, losses_before) = (world.holders(), world.losses);
        world.run(Duration::from_secs(120), |_| false);
        assert_eq!(world.holders(), leader, "the leader changed for no reason, seed {seed}");
        assert_eq!(world.losses, losses_before, "lost for no reason, seed {seed}");
        // It vanishes without a word: another one comes once the lease has run out.
        world.die(leader[0], None);
        let terms = world.processes[leader[0]].terms;
        let wait = terms.lease + Duration::from_secs(1) + Duration::from_secs(6);
        assert!(world.run(wait, |world| world.holders().len() == 1), "no successor, seed {seed}");
        losses += world.losses;
        reigns += world.reigns;
        released += world.released;
    }
    // Otherwise nothing of the above was tried.
    assert!(losses > 500 && reigns > 5_000 && released > 500, "{losses} {reigns} {released}");
}

#[test]
fn a_released_lease_is_taken_at_the_next_look() {
    for seed in 0..500 {
        let mut world = World::new(seed);
        world.chaos = false;
        assert!(world.run(Duration::from_secs(30), |world| world.holders().len() == 1));
        let leader = world.holders()[0];
        // All others have seen it by then.
        world.run(Duration::from_secs(10), |_| false);
        // As the driver, which finishes the request in hand first.
        let idle = |world: &World| world.processes[leader].waits_for == 0;
        assert!(world.run(Duration::from_secs(5), idle));
        world.happen(leader, world.processes[leader].life, 0, Happens::Ends);
        let look = Duration::from_millis(2000 * 6 / 5 + 500);
        assert!(world.run(look, |world| world.holders().len() == 1), "seed {seed}");
    }
}

fn terms() -> Terms {
    Terms {
        lease: Duration::from_secs(15),
        renew: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    }
}

fn seen(version: &str, holder: &str) -> Seen {
    let duration = Duration::from_secs(15);
    Seen { version: version.to_owned(), holder: holder.to_owned(), duration, transitions: 3 }
}

fn leader(start: Instant) -> Election {
    let mut election = Election::new(start, "me".to_owned(), terms(), 1);
    assert_eq!(election.next(start), Step::Read);
    election.saw(start, None);
    let Step::Write(Write { version: None, transitions: 0, taken: true, .. }) =
        election.next(start)
    else {
        panic!("creates it")
    };
    election.wrote(start, start, seen("1", "me"));
    assert_eq!(election.leads_until(), Some(start + terms().renew));
    election
}

#[test]
fn times_that_would_let_two_lead_are_refused() {
    let Terms { lease, renew, retry } = terms();
    assert_eq!(terms().check(), Ok(terms()));
    let check = |lease, renew, retry| Terms { lease, renew, retry }.check();
    assert_eq!(check(renew, renew, retry), Err(TermsError::Lease));
    assert_eq!(check(lease, retry * 2, retry), Err(TermsError::Renew));
    assert_eq!(check(lease, renew, Duration::ZERO), Err(TermsError::Retry));
}

#[test]
fn a_leader_that_stood_still_has_lost_whatever_it_hears_then() {
    let start = Instant::now();
    let later = start + Duration::from_secs(20);
    let mut election = leader(start);
    assert_eq!(election.next(later), Step::Lost(Loss::Expired));
    // An answer that was under way does not bring it back.
    election.wrote(later, later, seen("2", "me"));
    assert_eq!(election.leads_until(), None);

    let mut election = leader(start);
    election.wrote(start + Duration::from_secs(3), later, seen("2", "me"));
    assert_eq!(election.next(later), Step::Lost(Loss::Expired));

    // Even one that would give it some seconds more: it has been heard to be over.
    let mut election = leader(start);
    let over = start + Duration::from_secs(10);
    election.wrote(start + Duration::from_secs(9), over, seen("2", "me"));
    assert_eq!(election.next(over), Step::Lost(Loss::Expired));
}

#[test]
fn a_term_begins_before_the_write_is_sent() {
    let (sent, heard) = (Instant::now(), Instant::now() + Duration::from_secs(2));
    let mut election = Election::new(sent, "me".to_owned(), terms(), 1);
    election.saw(sent, None);
    election.wrote(sent, heard, seen("1", "me"));
    assert_eq!(election.leads_until(), Some(sent + terms().renew));
}

#[test]
fn a_leader_whose_lease_bears_another_name_has_lost() {
    let start = Instant::now();
    let mut election = leader(start);
    let now = start + Duration::from_secs(3);
    election.conflicted(now);
    assert_eq!(election.next(now), Step::Read);
    election.saw(now, Some(seen("2", "other")));
    assert_eq!(election.next(now), Step::Lost(Loss::Taken { by: "other".to_owned() }));
}

#[test]
fn a_leader_creates_a_deleted_lease_again_and_others_wait_for_it() {
    let start = Instant::now();
    let mut election = leader(start);
    let now = start + Duration::from_secs(3);
    election.conflicted(now);
    assert_eq!(election.next(now), Step::Read);
    election.saw(now, None);
    assert!(matches!(election.next(now), Step::Write(Write { version: None, .. })));

    let mut other = Election::new(start, "other".to_owned(), terms(), 2);
    other.saw(start, Some(seen("1", "me")));
    assert!(matches!(other.next(start), Step::Wait(_)));
    other.saw(now, None);
    assert!(matches!(other.next(now), Step::Wait(_)), "its holder may still lead");
    let over = start + terms().lease;
    assert_eq!(other.next(over), Step::Read);
    other.saw(over, None);
    assert!(matches!(other.next(over), Step::Write(_)));
}

#[test]
fn a_lease_that_changes_is_left_alone_whatever_its_times_say() {
    let start = Instant::now();
    let mut election = Election::new(start, "me".to_owned(), terms(), 1);
    let mut now = start;
    for version in 0..50 {
        now += Duration::from_secs(10);
        assert_eq!(election.next(now), Step::Read);
        election.saw(now, Some(seen(&version.to_string(), "other")));
        assert!(matches!(election.next(now), Step::Wait(_)));
    }
    now += Duration::from_secs(15);
    assert_eq!(election.next(now), Step::Read);
    election.saw(now, Some(seen("49", "other")));
    let Step::Write(write) = election.next(now) else { panic!("takes it") };
    assert_eq!(write.version.as_deref(), Some("49"));
    assert_eq!(write.transitions, 4);
}
