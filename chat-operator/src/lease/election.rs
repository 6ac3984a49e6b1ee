//! Who leads, decided from what was read and written. It knows no clock and no network: the driver
//! beside it asks [`next`](Election::next) and tells how it went.
//!
//! Why there are never two leaders: a leader counts its term from *before* it sent the write that
//! renewed the lease, and gives up when `renew` has passed. A candidate counts from when it first
//! saw that write, which is later, and waits for the holder's whole `lease`, which is longer. Each
//! uses only its own monotonic clock, and each write names the version that it replaces, so that of
//! two who write at once one is refused.

use std::time::{Duration, Instant};

/// The times of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long others leave a lease alone that does not change. Written in whole seconds, rounded
    /// up.
    pub lease: Duration,
    /// A leader that could not renew its lease for so long has lost it.
    pub renew: Duration,
    /// Between two looks at the lease, and between two renewals.
    pub retry: Duration,
}

/// Times that would let two lead, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// A leader would still lead when another takes over.
    #[error("the lease's duration must be longer than the renew deadline")]
    Lease,
    /// A leader would lose its lease between two renewals.
    #[error("the renew deadline must be longer than twice the retry period")]
    Renew,
    /// It would never pause.
    #[error("the retry period must be at least 10 ms")]
    Retry,
}

impl Terms {
    /// Refuses times that would let two lead, or nobody.
    ///
    /// # Errors
    ///
    /// Which of them is to be changed.
    pub fn check(self) -> Result<Self, TermsError> {
        if self.retry < Duration::from_millis(10) {
            return Err(TermsError::Retry);
        }
        if self.renew <= self.retry * 2 {
            return Err(TermsError::Renew);
        }
        if self.lease <= self.renew {
            return Err(TermsError::Lease);
        }
        Ok(self)
    }

    /// Time for one request: several of them fit between two renewals and the deadline.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.renew / 4
    }
}

/// A lease as it was read, or as it stood after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its resourceVersion.
    pub(crate) version: String,
    /// Who holds it; empty if nobody.
    pub(crate) holder: String,
    /// How long the holder wants it left alone.
    pub(crate) duration: Duration,
    /// How often it changed hands.
    pub(crate) transitions: i32,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// The version it replaces; none if the lease is to be created.
    pub(crate) version: Option<String>,
    /// Who holds it afterwards; empty if nobody.
    pub(crate) holder: String,
    /// How often it changed hands afterwards.
    pub(crate) transitions: i32,
    /// Whether it changes hands, rather than being renewed.
    pub(crate) taken: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read the lease; answer with [`Election::saw`] or [`Election::failed`].
    Read,
    /// Write it; answer with [`Election::wrote`], [`Election::conflicted`] or [`Election::failed`].
    Write(Write),
    /// Nothing before then.
    Wait(Instant),
    /// It is over: the process must end.
    Lost(Loss),
}

/// How a leader stopped being one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It could not renew in time.
    #[error("the lease could not be renewed in time")]
    Expired,
    /// Somebody else's name stands in the lease.
    #[error("{by} took the lease")]
    Taken {
        /// Whose.
        by: String,
    },
}

#[derive(Debug)]
enum Role {
    Candidate,
    Leader { until: Instant },
    Released,
    Lost(Loss),
}

/// What is known of the lease right now.
#[derive(Debug)]
enum Known {
    /// Nothing that is worth acting on.
    Nothing,
    /// There is none.
    Absent,
    /// It stood like this.
    Lease(Seen),
}

/// Somebody else's term, on our clock.
#[derive(Debug)]
struct Rival {
    version: String,
    until: Instant,
}

/// One candidate. Identities must be unique per process, not per host: one that starts anew must
/// not take the lease of its predecessor for its own.
#[derive(Debug)]
pub(crate) struct Election {
    me: String,
    terms: Terms,
    random: u64,
    role: Role,
    known: Known,
    rival: Option<Rival>,
    wake: Instant,
}

impl Election {
    pub(crate) const fn new(now: Instant, me: String, terms: Terms, seed: u64) -> Self {
        Self {
            me,
            terms,
            random: seed,
            role: Role::Candidate,
            known: Known::Nothing,
            rival: None,
            wake: now,
        }
    }

    /// Until when it leads, unless it renews before.
    pub(crate) const fn leads_until(&self) -> Option<Instant> {
        match self.role {
            Role::Leader { until } => Some(until),
            Role::Candidate | Role::Released | Role::Lost(_) => None,
        }
    }

    /// What to do now. Each `Read` and `Write` has to be answered before the next question.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        match &self.role {
            Role::Lost(loss) => Step::Lost(loss.clone()),
            Role::Released => Step::Wait(now + self.terms.lease),
            Role::Leader { until } if *until <= now => self.lose(Loss::Expired),
            Role::Leader { until } if now < self.wake => Step::Wait(self.wake.min(*until)),
            Role::Candidate if now < self.wake => Step::Wait(self.wake),
            Role::Leader { .. } => match &self.known {
                Known::Nothing => Step::Read,
                // Whoever deleted it did not mean another to lead: nobody else can create it now.
                Known::Absent => Step::Write(self.claim(None)),
                Known::Lease(seen) if seen.holder.is_empty() || seen.holder == self.me => {
                    Step::Write(self.claim(Some(seen)))
                }
                Known::Lease(seen) => {
                    let by = seen.holder.clone();
                    self.lose(Loss::Taken { by })
                }
            },
            Role::Candidate => {
                let seen = match &self.known {
                    Known::Nothing => return Step::Read,
                    Known::Absent => None,
                    Known::Lease(seen) => Some(seen),
                };
                match &self.rival {
                    // A deleted lease does not end the term of the one who held it: it may create
                    // it again.
                    Some(rival) if now < rival.until => {
                        let until = rival.until;
                        self.known = Known::Nothing;
                        self.wake = self.later(now, self.terms.retry).min(until);
                        Step::Wait(self.wake)
                    }
                    Some(_) | None => Step::Write(self.claim(seen)),
                }
            }
        }
    }

    /// The lease was read.
    pub(crate) fn saw(&mut self, now: Instant, seen: Option<Seen>) {
        let Some(seen) = seen else {
            self.known = Known::Absent;
            return;
        };
        if seen.holder.is_empty() || seen.holder == self.me {
            self.rival = None;
        } else if self.rival.as_ref().is_none_or(|rival| rival.version != seen.version) {
            self.rival = Some(Rival { version: seen.version.clone(), until: now + seen.duration });
        }
        self.known = Known::Lease(seen);
    }

    /// Our write was accepted. `sent` is from before it was sent.
    pub(crate) fn wrote(&mut self, sent: Instant, now: Instant, seen: Seen) {
        self.known = Known::Lease(seen);
        self.rival = None;
        let renewed = sent + self.terms.renew;
        match &self.role {
            Role::Leader { until } if *until <= now => {
                self.lose(Loss::Expired);
            }
            // Too old to lead on; the lease is ours, so it is renewed at once.
            Role::Candidate if renewed <= now => self.wake = now,
            Role::Candidate | Role::Leader { .. } => {
                self.role = Role::Leader { until: renewed };
                self.wake = self.later(now, self.terms.retry);
            }
            Role::Released | Role::Lost(_) => {}
        }
    }

    /// Our write was refused because the lease is not as we knew it: somebody was faster.
    pub(crate) fn conflicted(&mut self, now: Instant) {
        self.known = Known::Nothing;
        self.wake = match self.role {
            Role::Leader { .. } => now,
            Role::Candidate | Role::Released | Role::Lost(_) => self.later(now, self.terms.retry),
        };
    }

    /// A request failed; a write may have been carried out all the same, or may yet be.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.known = Known::Nothing;
        self.wake = self.later(now, self.terms.retry / 2);
    }

    /// Leads no more from now on. What is to be written so that the next one need not wait, if
    /// there is anything; once is enough, because the lease ends by itself.
    pub(crate) fn release(&mut self) -> Option<Write> {
        let Role::Leader { .. } = std::mem::replace(&mut self.role, Role::Released) else {
            return None;
        };
        match &self.known {
            Known::Lease(Seen { version, transitions, holder, .. }) if *holder == self.me => {
                Some(Write {
                    version: Some(version.clone()),
                    holder: String::new(),
                    transitions: *transitions,
                    taken: false,
                })
            }
            Known::Nothing | Known::Absent | Known::Lease(_) => None,
        }
    }

    fn lose(&mut self, loss: Loss) -> Step {
        self.role = Role::Lost(loss.clone());
        Step::Lost(loss)
    }

    /// Makes the lease ours, or keeps it so.
    fn claim(&self, seen: Option<&Seen>) -> Write {
        let taken = seen.is_none_or(|seen| seen.holder != self.me);
        let before = seen.map_or(0, |seen| seen.transitions);
        let changes = taken && seen.is_some();
        Write {
            version: seen.map(|seen| seen.version.clone()),
            holder: self.me.clone(),
            transitions: before.saturating_add(i32::from(changes)),
            taken,
        }
    }

    /// `after` from now, and up to a fifth more, so that candidates do not come in step.
    fn later(&mut self, now: Instant, after: Duration) -> Instant {
        self.random = splitmix(self.random);
        // Eight bits are enough to get out of step.
        let fraction = u32::from(self.random.to_be_bytes()[0]);
        now + after + after / 5 * fraction / 255
    }
}

/// The next of a row of numbers that look random (`splitmix64`).
pub(super) const fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
