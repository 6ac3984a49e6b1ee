//! Every limit of a client, with its unit and its reason.

use std::time::Duration;

/// The limits of one client. Change what you need and keep the rest:
///
/// ```
/// use chat_sdk::client::ClientLimits;
/// let limits = ClientLimits { events_max: 64, ..ClientLimits::default() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Messages that wait for their place in a log; one more is refused
    /// ([`SendError::Full`](super::SendError::Full)). A minute of a busy bot while its server is away.
    pub outbox_entries_max: usize,
    /// Bytes of their texts, likewise.
    pub outbox_bytes_max: usize,
    /// Events that wait for the host. Then nothing more is read from the socket, so that the server
    /// sees a slow reader; while answers to sends are due it is read on, and events without room
    /// are asked for again later. Other news (receipts, ends of a membership) may take as much again.
    pub events_max: usize,
    /// Conversations whose markers wait to be moved; one more is refused.
    pub marks_max: usize,
    /// Conversations whose position is remembered: 40 bytes each. Beyond, those are forgotten in
    /// which nothing was heard for long, and their next event is taken as it comes.
    pub conversations_max: usize,
    /// Bytes of one frame from the server. The largest there is names the 10,000 first members of a
    /// group.
    pub frame_bytes_max: usize,
    /// Time from dialling to `welcome`; the server gives a client 10 s for its half.
    pub welcome_timeout: Duration,
    /// What a sign of life may take beyond a heartbeat before the connection counts as dead
    /// (PROTOCOL.md, section 3).
    pub silence_grace: Duration,
    /// Time for the answer to a command; then it is repeated with the same key (section 3).
    pub answer_timeout: Duration,
    /// Time for the host's [`TokenSource`](super::TokenSource) to give a token.
    pub token_timeout: Duration,
    /// What the first wait is drawn from: 0 to twice this (section 5).
    pub backoff_base: Duration,
    /// The longest wait that is drawn (section 5).
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is obeyed: a server that is away for good is still asked four
    /// times an hour.
    pub retry_after_max: Duration,
    /// A connection that held this long was a good one: the back-off starts again (section 5).
    pub settled_after: Duration,
    /// How long an old node gets to answer what it still owes after the move to a new one.
    pub leave_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            outbox_entries_max: 1_024,
            outbox_bytes_max: 4 * 1024 * 1024,
            events_max: 256,
            marks_max: 1_000,
            conversations_max: 100_000,
            frame_bytes_max: 4 * 1024 * 1024,
            welcome_timeout: Duration::from_secs(15),
            silence_grace: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            token_timeout: Duration::from_secs(30),
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(20),
            retry_after_max: Duration::from_secs(15 * 60),
            settled_after: Duration::from_secs(30),
            leave_timeout: Duration::from_secs(3),
        }
    }
}
