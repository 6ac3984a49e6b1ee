//! How a connection ends, and what a client does about it.

/// Why the server closes a WebSocket. The range says what a client does: 4000–4499 come back and
/// resume, 4500–4999 stay away until something was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum CloseCode {
    /// The client closed; this is the answer.
    Normal = 1000,
    /// Not WebSocket as RFC 6455 has it.
    Protocol = 1002,
    /// A binary frame.
    Unsupported = 1003,
    /// A text frame that is not UTF-8.
    NotUtf8 = 1007,
    /// Above `frame_bytes_max`.
    TooBig = 1009,
    /// A fault of the server.
    Internal = 1011,
    /// The node leaves.
    Restart = 1012,
    /// No room now.
    Overloaded = 1013,
    /// No progress in writing.
    Slow = 4000,
    /// Nothing was received for too long.
    Silent = 4001,
    /// The credential ended.
    TokenExpired = 4002,
    /// No `hello` in time.
    HelloTimeout = 4003,
    /// Far above the stated rates.
    Flooding = 4004,
    /// The store could not be read.
    Unavailable = 4005,
    /// Too many malformed frames, or a first frame other than `hello`.
    Malformed = 4500,
    /// No valid credential.
    Unauthenticated = 4501,
    /// Logged out, disabled, password changed.
    Revoked = 4502,
    /// The client's version is not spoken here.
    Version = 4503,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason on the wire, and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
            Self::NotUtf8 => "not_utf8",
            Self::TooBig => "too_big",
            Self::Internal => "internal",
            Self::Restart => "restart",
            Self::Overloaded => "overloaded",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::TokenExpired => "token_expired",
            Self::HelloTimeout => "hello_timeout",
            Self::Flooding => "flooding",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Revoked => "revoked",
            Self::Version => "version",
        }
    }
}
