//! How the stores in SQL databases spell what the model has, the same in all of them.

use std::num::NonZeroU16;
#[cfg(feature = "accounts")]
use std::time::Duration;

use super::{FileState, Page};
#[cfg(feature = "accounts")]
use crate::auth::accounts::AccountRole;
use crate::model::{Access, ConversationId, History, InvalidId, Kind, Role, Seq, UserId};

/// As the log stores an author: the system has no name.
pub(super) fn author_text(by: Option<&UserId>) -> &str {
    by.map_or("", UserId::as_str)
}

pub(super) fn author(text: &str) -> Result<Option<UserId>, InvalidId> {
    if text.is_empty() { Ok(None) } else { UserId::new(text).map(Some) }
}

pub(super) const fn role_text(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

/// A member's role; `None` of one who left.
pub(super) fn role(text: Option<&str>) -> Result<Option<Role>, String> {
    match text {
        None => Ok(None),
        Some("reader") => Ok(Some(Role::Reader)),
        Some("member") => Ok(Some(Role::Member)),
        Some("admin") => Ok(Some(Role::Admin)),
        Some("owner") => Ok(Some(Role::Owner)),
        Some(other) => Err(format!("unknown role {other:?}")),
    }
}

pub(super) const fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Direct => "direct",
        Kind::Group => "group",
        Kind::Channel => "channel",
    }
}

pub(super) fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "direct" => Ok(Kind::Direct),
        "group" => Ok(Kind::Group),
        "channel" => Ok(Kind::Channel),
        other => Err(format!("unknown kind {other:?}")),
    }
}

pub(super) const fn access_text(access: Access) -> &'static str {
    match access {
        Access::Private => "private",
        Access::Public => "public",
    }
}

pub(super) fn access(text: &str) -> Result<Access, String> {
    match text {
        "private" => Ok(Access::Private),
        "public" => Ok(Access::Public),
        other => Err(format!("unknown access {other:?}")),
    }
}

pub(super) const fn history_text(history: History) -> &'static str {
    match history {
        History::All => "all",
        History::SinceJoining => "since_joining",
    }
}

pub(super) fn history(text: &str) -> Result<History, String> {
    match text {
        "all" => Ok(History::All),
        "since_joining" => Ok(History::SinceJoining),
        other => Err(format!("unknown history {other:?}")),
    }
}

pub(super) const fn file_state_text(state: FileState) -> &'static str {
    match state {
        FileState::Uploading => "uploading",
        FileState::Complete => "complete",
        FileState::Attached(..) => "attached",
        FileState::Gone => "gone",
    }
}

pub(super) fn file_state(
    text: &str,
    message: Option<(ConversationId, Seq)>,
) -> Result<FileState, String> {
    match (text, message) {
        ("uploading", _) => Ok(FileState::Uploading),
        ("complete", _) => Ok(FileState::Complete),
        ("attached", Some((conversation, message))) => {
            Ok(FileState::Attached(conversation, message))
        }
        ("gone", _) => Ok(FileState::Gone),
        (other, _) => Err(format!("a file cannot be {other:?}")),
    }
}

/// A number of bytes as a parameter.
pub(super) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A place in a log as a parameter.
pub(super) fn place(seq: Seq) -> i64 {
    i64::try_from(seq.get()).expect("a place is below 2^53")
}

/// A page lies around a border: so many at most before it, so many from it on.
pub(super) struct Span {
    pub(super) border: i64,
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Span {
    pub(super) fn of(page: Page, limit: NonZeroU16) -> Self {
        let limit = usize::from(limit.get());
        let (border, before, after) = match page {
            // One beyond the largest place: everything is before it.
            Page::Newest => (place(Seq::MAX) + 1, limit, 0),
            Page::Before(seq) => (place(seq), limit, 0),
            Page::After(seq) => (place(seq) + 1, 0, limit),
            Page::Around(seq) => {
                let before = (limit - 1) / 2;
                (place(seq), before, limit - before)
            }
        };
        Self { border, before, after }
    }
}

/// How long past its end a revoked token is still remembered, in case the clock was wrong.
#[cfg(feature = "accounts")]
pub(super) const REVOKED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(feature = "accounts")]
pub(super) const fn account_role_text(role: AccountRole) -> &'static str {
    match role {
        AccountRole::User => "user",
        AccountRole::Admin => "admin",
    }
}

#[cfg(feature = "accounts")]
pub(super) fn account_role(text: &str) -> Result<AccountRole, String> {
    match text {
        "user" => Ok(AccountRole::User),
        "admin" => Ok(AccountRole::Admin),
        other => Err(format!("unknown role {other:?}")),
    }
}

#[cfg(feature = "accounts")]
pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What comes after everything that begins with this: the largest character there is, which is
/// none that people write, appended.
#[cfg(feature = "accounts")]
pub(super) fn after_all(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}
