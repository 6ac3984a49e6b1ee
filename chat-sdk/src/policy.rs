//! The host's rules: the [`Policy`] port, questions in the host's words.
//!
//! Asked before anything is written or shown; membership itself is not its business, the store
//! keeps that.

use std::future::Future;

use crate::model::{ConversationId, UserId};

/// The host's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No; the reason is shown to the user.
    Deny(String),
}

impl Verdict {
    /// No, for this reason.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny(reason.into())
    }
}

/// Rules of the host on top of membership. Every question has a default: yes.
///
/// The answers are not cached: a rule that changes holds from the next question on. They stand on
/// the way of a send, so an answer that takes long makes that user's sends slow, and nobody else's.
///
/// ```
/// use chat_sdk::{Policy, UserId, Verdict};
///
/// /// Guests may answer, but not begin.
/// struct NoGuests;
///
/// impl Policy for NoGuests {
///     async fn may_message(&self, from: &UserId, _to: &UserId) -> Verdict {
///         if from.as_str().starts_with("guest-") {
///             Verdict::deny("guests cannot start a conversation")
///         } else {
///             Verdict::Allow
///         }
///     }
/// }
/// ```
pub trait Policy: Send + Sync + 'static {
    /// May `from` write to `to` in their direct conversation? Also asked when it is opened.
    fn may_message(&self, from: &UserId, to: &UserId) -> impl Future<Output = Verdict> + Send {
        let _ = (from, to);
        async { Verdict::Allow }
    }

    /// May this member send this text into this group?
    fn may_send(
        &self,
        from: &UserId,
        conversation: ConversationId,
        text: &str,
    ) -> impl Future<Output = Verdict> + Send {
        let _ = (from, conversation, text);
        async { Verdict::Allow }
    }

    /// May this user make a group with these members, or add them to one?
    fn may_gather(&self, by: &UserId, members: &[UserId]) -> impl Future<Output = Verdict> + Send {
        let _ = (by, members);
        async { Verdict::Allow }
    }

    /// May this user come into this conversation by themselves, by a link or because it is public?
    fn may_join(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> impl Future<Output = Verdict> + Send {
        let _ = (user, conversation);
        async { Verdict::Allow }
    }

    /// May this member read this conversation's history now?
    fn may_read(
        &self,
        user: &UserId,
        conversation: ConversationId,
    ) -> impl Future<Output = Verdict> + Send {
        let _ = (user, conversation);
        async { Verdict::Allow }
    }

    /// May `viewer` see whether `user` is online?
    fn may_see_presence(
        &self,
        viewer: &UserId,
        user: &UserId,
    ) -> impl Future<Output = Verdict> + Send {
        let _ = (viewer, user);
        async { Verdict::Allow }
    }

    /// May this user upload a file of this name (as they call it) with so many bytes? Asked before any
    /// of them is taken.
    fn may_upload(
        &self,
        user: &UserId,
        name: &str,
        bytes: u64,
    ) -> impl Future<Output = Verdict> + Send {
        let _ = (user, name, bytes);
        async { Verdict::Allow }
    }
}

/// Members only, and nothing else: all defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct MembersOnly;

impl Policy for MembersOnly {}
