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
    /// All of them, by number.
    pub const ALL: &'static [Self] = &[
        Self::Normal,
        Self::Protocol,
        Self::Unsupported,
        Self::NotUtf8,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::Overloaded,
        Self::Slow,
        Self::Silent,
        Self::TokenExpired,
        Self::HelloTimeout,
        Self::Flooding,
        Self::Unavailable,
        Self::Malformed,
        Self::Unauthenticated,
        Self::Revoked,
        Self::Version,
    ];

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

    /// Which one has this number on the wire. `None`: one that this version does not know, or that
    /// only the client's own end says (1001, 1005, 1006).
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// What a client does about it.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Normal | Self::Internal | Self::Slow | Self::Silent | Self::HelloTimeout => {
                Remedy::Resume
            }
            Self::Restart => Remedy::AtOnce,
            Self::Overloaded | Self::Flooding | Self::Unavailable => Remedy::Slowly,
            Self::TokenExpired => Remedy::Renew,
            Self::Unauthenticated | Self::Revoked => Remedy::SignIn,
            Self::Version => Remedy::Update,
            Self::Protocol | Self::Unsupported | Self::NotUtf8 | Self::TooBig | Self::Malformed => {
                Remedy::Stop
            }
        }
    }
}

/// What a client does about the end of a connection. The first four come back by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Come back after the usual wait.
    Resume,
    /// Come back with half of it: another node is ready.
    AtOnce,
    /// Come back after the longest wait: there is no room.
    Slowly,
    /// Renew the credential, then come back.
    Renew,
    /// The user signs in again.
    SignIn,
    /// The client is too old.
    Update,
    /// Stay away: a defect.
    Stop,
}

impl Remedy {
    /// Of any close code: where the code is not known here, its range decides.
    #[must_use]
    pub fn of(code: u16) -> Self {
        match (CloseCode::from_code(code), code) {
            (Some(known), _) => known.remedy(),
            // A violation of a policy: said by proxies, never by us.
            (None, 1008) | (None, 4500..=4999) => Self::Stop,
            (None, _) => Self::Resume,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_number() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(CloseCode::from_code(1006), None);
    }

    #[test]
    fn the_range_decides_about_codes_that_are_not_known() {
        assert_eq!(Remedy::of(4499), Remedy::Resume);
        assert_eq!(Remedy::of(4999), Remedy::Stop);
        for gone in [1001, 1005, 1006] {
            assert_eq!(Remedy::of(gone), Remedy::Resume);
        }
        for code in CloseCode::ALL.iter().filter(|code| code.code() >= 4500) {
            assert!(!matches!(
                code.remedy(),
                Remedy::Resume | Remedy::AtOnce | Remedy::Slowly | Remedy::Renew
            ));
        }
    }
}
