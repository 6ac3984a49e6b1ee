//! One table: what can go wrong ↔ its code on the wire ↔ its HTTP status ↔ what a client may do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $retryable:literal, $title:literal;)*) => {
        /// What went wrong, as programs tell it apart. Stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them, in the order of their status.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// A few words for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// Not the JSON that is expected.
    Malformed = "malformed", 400, false, "malformed request";
    /// No credential, or one that does not hold.
    Unauthenticated = "unauthenticated", 401, false, "sign in first";
    /// Unknown user or wrong password.
    WrongCredentials = "wrong_credentials", 401, false, "wrong user name or password";
    /// The host's policy or the member's role does not allow it.
    Forbidden = "forbidden", 403, false, "not allowed";
    /// A web page of another origin.
    OriginRefused = "origin_refused", 403, false, "this origin may not connect";
    /// No such route, or no such conversation for this user.
    NotFound = "not_found", 404, false, "not found";
    /// No such user.
    UnknownUser = "unknown_user", 404, false, "no such user";
    /// The route exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, false, "method not allowed";
    /// The body did not arrive in time.
    Timeout = "timeout", 408, true, "the request took too long";
    /// Somebody has this user name.
    NameTaken = "name_taken", 409, false, "this name is taken";
    /// The key was used for another content.
    KeyConflict = "key_conflict", 409, false, "this key was used for something else";
    /// The upload is at another place.
    WrongOffset = "wrong_offset", 409, false, "the upload is at another place";
    /// A group with members keeps an owner.
    LastOwner = "last_owner", 409, false, "a group needs an owner";
    /// Another version of the upload protocol.
    UploadVersion = "upload_version", 412, false, "another version of the upload protocol";
    /// The body or the text is above its limit.
    TooLarge = "too_large", 413, false, "too large";
    /// The user has as many files as they may.
    QuotaExceeded = "quota_exceeded", 413, false, "no room for another file";
    /// Not JSON, or compressed.
    UnsupportedMediaType = "unsupported_media_type", 415, false, "not a supported content type";
    /// The file has none of the bytes that are asked for.
    RangeNotSatisfiable = "range_not_satisfiable", 416, false, "no such bytes";
    /// Well-formed, but a value is not allowed.
    Invalid = "invalid", 422, false, "a value is not allowed";
    /// `/ws` without a WebSocket upgrade.
    UpgradeRequired = "upgrade_required", 426, false, "this is a WebSocket";
    /// Too much from this user or address.
    RateLimited = "rate_limited", 429, true, "too many requests";
    /// A defect of the server.
    Internal = "internal", 500, true, "something broke on the server";
    /// The store cannot be reached.
    Unavailable = "unavailable", 503, true, "temporarily unavailable";
    /// No room now.
    Overloaded = "overloaded", 503, true, "too busy right now";
    /// This node is leaving.
    Draining = "draining", 503, true, "this server is restarting";
}

/// When to come back if nothing better is known: long enough for a restart, short enough to be
/// unnoticed by a person.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Something that went wrong, as it is told to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// For programs.
    pub code: Code,
    /// For people: what exactly, never a secret and never another user's.
    pub detail: String,
    /// When to come back; always there with 429 and 503.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with its details.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = matches!(code.status(), 429 | 503).then_some(RETRY_AFTER_DEFAULT);
        Self { code, detail: detail.into(), retry_after }
    }

    /// A problem that its code says all about.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self::new(code, "")
    }

    /// Come back after this time.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_millis().div_ceil(1000).max(1) as u64)
    }
}

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Wire {
    /// `urn:chat:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// For programs.
    code: Code,
    /// The code in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What exactly, for people; may change.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// When to come back; always there with 429 and 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// What a client looks at.
#[derive(Deserialize)]
struct WireRead {
    code: String,
    #[serde(default)]
    detail: String,
    retryable: bool,
    retry_after_ms: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            kind: format!("urn:chat:problem:{}", self.code.name()),
            code: self.code,
            title: self.code.title().to_owned(),
            status: self.code.status(),
            detail: self.detail.clone(),
            retryable: self.code.retryable(),
            retry_after_ms: self.retry_after.map(|after| after.as_millis() as u64),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireRead::deserialize(deserializer)?;
        let known = Code::ALL.iter().copied().find(|code| code.name() == wire.code);
        // A code of a newer server: what a program may do about it is said beside it.
        let unknown = if wire.retryable { Code::Unavailable } else { Code::Invalid };
        Ok(Self {
            code: known.unwrap_or(unknown),
            detail: wire.detail,
            retry_after: wire.retry_after_ms.map(Duration::from_millis),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_spelled_like_its_name() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.name()));
        }
    }

    #[test]
    fn a_code_of_a_newer_server_is_taken_by_what_may_be_done_about_it() {
        let read = |retryable: bool| {
            let json = serde_json::json!({"code": "full_moon", "retryable": retryable});
            serde_json::from_value::<Problem>(json).unwrap().code
        };
        assert_eq!((read(true), read(false)), (Code::Unavailable, Code::Invalid));
    }

    #[test]
    fn whoever_is_told_to_come_back_is_told_when() {
        for code in Code::ALL {
            let told = Problem::of(*code).retry_after.is_some();
            assert_eq!(told, matches!(code.status(), 429 | 503), "{code:?}");
        }
        let soon = Problem::of(Code::RateLimited).retry_after(Duration::from_millis(1));
        assert_eq!(soon.retry_after_secs(), Some(1));
    }
}
