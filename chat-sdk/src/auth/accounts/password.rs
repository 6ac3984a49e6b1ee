//! Passwords: what may be one, how they are hashed, and where. Hashing takes tens of milliseconds
//! of a core on purpose, so it has threads of its own, a bounded queue, and never runs on a thread
//! that serves connections.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization as _;

/// Fewest bytes of a password (NIST SP 800-63B asks for at least 8 characters).
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Most bytes of a password: room for any pass phrase, and no cost worth sending more for.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Argon2id with 19 MiB, two passes and one lane: the least that the OWASP Password Storage Cheat
/// Sheet recommends for it. About 60 ms of a core of 2020.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What the password of somebody who does not exist is compared with: well-formed, of the same cost
/// as any other, and the hash of nothing (its output is all zeros).
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                       $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// When it may be worth coming back to a full queue: about as long as a full one takes.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakPassword {
    /// Fewer bytes than this.
    #[error("is shorter than {0} bytes")]
    TooShort(usize),
    /// More bytes than this.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// The user's own name.
    #[error("is the user name")]
    IsName,
}

/// As much hashing waits as may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overloaded {
    pub(super) retry_after: Duration,
}

/// How busy the hashing of passwords is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashingLoad {
    /// Hashes computed since the start, each to store a password or to compare with one.
    pub done: u64,
    /// Callers that wait for a hash now, those being computed included.
    pub waiting: usize,
}

/// A password that may be stored, or compared: in NFC, so that it does not matter which keyboard
/// typed it. Has no `Debug`.
#[derive(Clone)]
pub(super) struct Password(String);

impl Password {
    /// A password to be stored, for the user of this `name_key`.
    pub(super) fn new(password: &str, name_key: &str) -> Result<Self, WeakPassword> {
        if password.len() < PASSWORD_BYTES_MIN {
            return Err(WeakPassword::TooShort(PASSWORD_BYTES_MIN));
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(WeakPassword::TooLong(PASSWORD_BYTES_MAX));
        }
        if super::name::fold(password) == name_key {
            return Err(WeakPassword::IsName);
        }
        Ok(Self(password.nfc().collect()))
    }

    /// A password to be compared; `None` if it is longer than any that was stored.
    pub(super) fn attempt(password: &str) -> Option<Self> {
        (password.len() <= PASSWORD_BYTES_MAX).then(|| Self(password.nfc().collect()))
    }
}

/// Whether a password is the one that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Yes,
    /// Yes, but it was stored with other parameters than today's.
    Outdated,
}

enum Job {
    Hash { password: Password, salt: [u8; 16], answer: oneshot::Sender<String> },
    Compare { password: Password, stored: Option<String>, answer: oneshot::Sender<Match> },
}

/// Threads that hash.
///
/// A caller that gives up before its turn costs nothing: its job is dropped when its turn comes.
/// When the pool is dropped the queue closes, and each thread ends after the hash it is at.
pub(super) struct Pool {
    jobs: mpsc::SyncSender<Job>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    done: AtomicU64,
    waiting: AtomicUsize,
}

/// Counts a caller as long as it waits.
struct Waiting<'a>(&'a Load);

impl<'a> Waiting<'a> {
    fn new(load: &'a Load) -> Self {
        load.waiting.fetch_add(1, Ordering::Relaxed);
        Self(load)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// Half of the cores, so that connections keep the other half however many people log in.
    pub(super) fn threads_default() -> NonZeroUsize {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
    }

    /// Starts the threads, with room for this many jobs to wait besides the ones being done.
    pub(super) fn start(threads: NonZeroUsize, queue: usize) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(queue);
        let queue = Arc::new(Mutex::new(queue));
        let load = Arc::<Load>::default();
        for n in 0..threads.get() {
            let (queue, load) = (queue.clone(), load.clone());
            thread::Builder::new().name(format!("chat-passwords-{n}")).spawn(move || {
                loop {
                    // The lock is held while waiting, so the others wait for the lock instead.
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        Ok(job) => work(job, &load.done),
                        Err(mpsc::RecvError) => break,
                    }
                }
            })?;
        }
        Ok(Self { jobs, load })
    }

    /// A PHC string of the password.
    pub(super) async fn hash(
        &self,
        password: Password,
        salt: [u8; 16],
    ) -> Result<String, Overloaded> {
        let (answer, answered) = oneshot::channel();
        self.submit(Job::Hash { password, salt, answer }, answered).await
    }

    /// Compares with a PHC string, or with nobody's: with `None` it answers `No` after as long.
    pub(super) async fn compare(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<Match, Overloaded> {
        let (answer, answered) = oneshot::channel();
        self.submit(Job::Compare { password, stored, answer }, answered).await
    }

    pub(super) fn load(&self) -> HashingLoad {
        HashingLoad {
            done: self.load.done.load(Ordering::Relaxed),
            waiting: self.load.waiting.load(Ordering::Relaxed),
        }
    }

    async fn submit<T>(&self, job: Job, answered: oneshot::Receiver<T>) -> Result<T, Overloaded> {
        let overloaded = Overloaded { retry_after: OVERLOAD_RETRY_AFTER };
        let _waiting = Waiting::new(&self.load);
        self.jobs.try_send(job).map_err(|_| overloaded)?;
        // A job without an answer found no memory.
        answered.await.map_err(|_| overloaded)
    }
}

fn work(job: Job, done: &AtomicU64) {
    match job {
        Job::Hash { password, salt, answer } if !answer.is_closed() => {
            done.fetch_add(1, Ordering::Relaxed);
            if let Some(hash) = hash(&password, salt) {
                let _ = answer.send(hash);
            }
        }
        Job::Compare { password, stored, answer } if !answer.is_closed() => {
            done.fetch_add(1, Ordering::Relaxed);
            if let Some(matched) = compare(&password, stored.as_deref()) {
                let _ = answer.send(matched);
            }
        }
        Job::Hash { .. } | Job::Compare { .. } => {}
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants within range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// `None`: there are no 19 MiB to be had.
fn hash(password: &Password, salt: [u8; 16]) -> Option<String> {
    match argon2().hash_password_with_salt(password.0.as_bytes(), &salt) {
        Ok(hash) => Some(hash.to_string()),
        Err(why) => {
            tracing::error!(%why, "a password could not be hashed");
            None
        }
    }
}

/// `None`: there is no memory to be had.
fn compare(password: &Password, stored: Option<&str>) -> Option<Match> {
    let parsed = PasswordHash::new(stored.unwrap_or(NOBODYS));
    let matched = parsed.map_err(password_hash::Error::from).and_then(|stored| {
        argon2().verify_password(password.0.as_bytes(), &stored)?;
        Ok(if is_current(&stored) { Match::Yes } else { Match::Outdated })
    });
    match matched {
        Ok(matched) => Some(matched),
        Err(password_hash::Error::PasswordInvalid) => Some(Match::No),
        Err(why @ password_hash::Error::OutOfMemory) => {
            tracing::error!(%why, "a password could not be compared");
            None
        }
        Err(why) => {
            tracing::error!(%why, "an account's stored password is no hash");
            Some(Match::No)
        }
    }
}

fn is_current(stored: &PasswordHash) -> bool {
    stored.algorithm == argon2::ARGON2ID_IDENT
        && stored.version == Some(Version::V0x13.into())
        && Params::try_from(stored).is_ok_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES)
        })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn nobodys_hash_costs_what_a_real_one_costs_and_matches_nothing() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        assert!(is_current(&nobodys));
        let real = hash(&Password::attempt("correct horse").unwrap(), [1; 16]).unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(nobodys.hash.map(|h| h.len()), real.hash.map(|h| h.len()));
        assert_eq!(nobodys.salt.map(|s| s.len()), real.salt.map(|s| s.len()));
        assert_eq!(compare(&Password::attempt("").unwrap(), None), Some(Match::No));
    }

    #[test]
    fn a_password_is_compared_by_what_was_typed_on_any_keyboard() {
        let stored = hash(&Password::new("pässword-é", "x").unwrap(), [1; 16]).unwrap();
        let typed = Password::attempt("pa\u{308}ssword-e\u{301}").unwrap();
        assert_eq!(compare(&typed, Some(&stored)), Some(Match::Yes));
        assert_eq!(
            compare(&Password::attempt("password-e").unwrap(), Some(&stored)),
            Some(Match::No)
        );
        assert_eq!(compare(&typed, Some("not a hash")), Some(Match::No));
    }

    #[test]
    fn other_parameters_are_noticed() {
        let cheap = Params::new(8, 1, 1, None).unwrap();
        let stored = Argon2::new(Algorithm::Argon2id, Version::V0x13, cheap)
            .hash_password_with_salt(b"correct horse", &[1; 16])
            .unwrap()
            .to_string();
        let right = Password::attempt("correct horse").unwrap();
        assert_eq!(compare(&right, Some(&stored)), Some(Match::Outdated));
    }

    #[test]
    fn passwords_have_a_length_and_are_not_the_name() {
        let check = |password: &str| Password::new(password, "alice-smith").map(|_| ());
        assert_eq!(check("1234567"), Err(WeakPassword::TooShort(8)));
        assert_eq!(check("12345678"), Ok(()));
        assert_eq!(check(&"x".repeat(256)), Ok(()));
        assert_eq!(check(&"x".repeat(257)), Err(WeakPassword::TooLong(256)));
        // Bytes: four characters of two bytes each.
        assert_eq!(check("éééé"), Ok(()));
        assert_eq!(check("Alice-Smith"), Err(WeakPassword::IsName));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_caller_that_left_costs_nothing() {
        let pool = Pool::start(NonZeroUsize::MIN, 2).unwrap();
        let attempt = || Password::attempt("correct horse").unwrap();
        let mut waiting: Vec<_> = Vec::new();
        let mut refused = 0;
        for _ in 0..20 {
            let mut call = Box::pin(pool.compare(attempt(), None));
            match (&mut call).now_or_never() {
                None => waiting.push(call),
                Some(answer) => {
                    assert_eq!(answer, Err(Overloaded { retry_after: OVERLOAD_RETRY_AFTER }));
                    refused += 1;
                }
            }
        }
        assert!(refused >= 15, "{refused}");
        assert_eq!(pool.load().waiting, 20 - refused);
        drop(waiting);
        assert_eq!(pool.load().waiting, 0);
        // The queue drains without hashing for those who left: at most the one at work then.
        while pool.compare(attempt(), None).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(pool.load().done <= 4, "{:?}", pool.load());
    }
}
