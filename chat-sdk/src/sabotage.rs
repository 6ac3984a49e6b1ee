//! Defects to be switched on, so that the tests' own power can be tested.
//!
//! Without the feature `sabotage` every question here is a constant `false`, and the compiler removes
//! what would follow. With it, a test switches one on for its process by `commit`, or for a
//! server that was built with the same feature by a variable; nothing else does.

/// A deliberate defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Defect {
    /// A failed commit is acknowledged all the same.
    AckBeforeCommit = 1 << 0,
    /// Client keys are forgotten.
    ForgetKeys = 1 << 1,
    /// A resume begins one event too late.
    ResumeOffByOne = 1 << 2,
    /// A hole in a feed is skipped instead of filled.
    SkipHoles = 1 << 3,
    /// Heads are never compared with the store.
    NoPositionCheck = 1 << 4,
    /// A listener goes live without comparing numbers.
    RejoinBlindly = 1 << 5,
    /// A removed member goes on listening.
    KeepRemoved = 1 << 6,
    /// A full mailbox drops events silently.
    DropSilently = 1 << 7,
    /// A revoked session goes on.
    IgnoreRevocation = 1 << 8,
    /// Commands of a connection overtake each other.
    Unordered = 1 << 9,
    /// A full mailbox grows.
    Unbounded = 1 << 10,
    /// SQLite answers before it commits.
    AnswerBeforeCommit = 1 << 11,
    /// SQLite does not wait for the disk.
    NoFlush = 1 << 12,
    /// PostgreSQL takes numbers without the conversation's lock.
    SeqOutsideLock = 1 << 13,
    /// A marker is what was said last, not what was the most.
    MarkerLastWriterWins = 1 << 14,
    /// Whoever asks may read.
    LeakToOutsiders = 1 << 15,
    /// What is live does not wait for what is caught up on.
    PushOvertakesResume = 1 << 16,
    /// Now and then something unread is counted twice.
    UnreadDrifts = 1 << 17,
    /// A revocation does not reach the other nodes, neither at once nor later.
    LoseRevocation = 1 << 18,
}

#[cfg(feature = "sabotage")]
impl Defect {
    /// The one with this name, as it is written above.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use Defect::*;
        let all = [
            AckBeforeCommit,
            ForgetKeys,
            ResumeOffByOne,
            SkipHoles,
            NoPositionCheck,
            RejoinBlindly,
            KeepRemoved,
            DropSilently,
            IgnoreRevocation,
            Unordered,
            Unbounded,
            AnswerBeforeCommit,
            NoFlush,
            SeqOutsideLock,
            MarkerLastWriterWins,
            LeakToOutsiders,
            PushOvertakesResume,
            UnreadDrifts,
            LoseRevocation,
        ];
        all.into_iter().find(|defect| format!("{defect:?}") == name)
    }
}

#[cfg(feature = "sabotage")]
static COMMITTED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Switches exactly this defect on (or all off) for the whole process.
#[cfg(feature = "sabotage")]
pub fn commit(defect: Option<Defect>) {
    let bits = defect.map_or(0, |defect| defect as u32);
    COMMITTED.store(bits, std::sync::atomic::Ordering::SeqCst);
}

/// Whether this defect is on.
#[cfg(feature = "sabotage")]
pub(crate) fn on(defect: Defect) -> bool {
    COMMITTED.load(std::sync::atomic::Ordering::Relaxed) & defect as u32 != 0
}

/// Whether this defect is on: never.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn on(_defect: Defect) -> bool {
    false
}
