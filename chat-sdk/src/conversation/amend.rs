//! What becomes of a message after it was sent: edits, deletion, emojis, pins.

use super::{AmendError, Peers, Setting, error::contract, send::check_length};
use crate::{
    erased::Ports,
    limits::Limits,
    model::{Amendment, Body, ClientKey, ConversationId, Event, Role, Seq, Timestamp, UserId},
    policy::Verdict,
    store::{Append, Refusal, Write, Written},
};

/// A change of a message that is to be made.
#[derive(Debug, Clone)]
pub struct Amend {
    /// Who; `None`: the system, which may delete and pin, and edit what it wrote itself.
    pub by: Option<UserId>,
    /// In which conversation.
    pub conversation: ConversationId,
    /// Of which message.
    pub message: Seq,
    /// The author's name for it.
    pub key: Option<ClientKey>,
    /// What.
    pub amendment: Amendment,
}

impl Amend {
    /// A change by a user.
    #[must_use]
    pub const fn new(
        by: UserId,
        conversation: ConversationId,
        message: Seq,
        amendment: Amendment,
    ) -> Self {
        Self { by: Some(by), conversation, message, key: None, amendment }
    }

    /// A change by the system.
    #[must_use]
    pub const fn system(conversation: ConversationId, message: Seq, amendment: Amendment) -> Self {
        Self { by: None, conversation, message, key: None, amendment }
    }

    /// With this name, so that it can be asked for again and is made once.
    #[must_use]
    pub fn key(mut self, key: ClientKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// What has to be committed for a change of a message.
pub(crate) async fn plan(
    ports: &Ports,
    peers: &Peers,
    limits: &Limits,
    now: Timestamp,
    amend: Amend,
) -> Result<Vec<Write>, AmendError> {
    let Amend { by, conversation, message, key, amendment } = amend;
    let setting = peers.of(ports, conversation).await?.ok_or(AmendError::NotMember)?;
    let mut requires = Role::Member;
    let body = match amendment {
        Amendment::Edit(text) => {
            check_length(&text, limits).map_err(AmendError::TooLong)?;
            if let Some(by) = &by {
                let verdict = match &setting {
                    Setting::Shared(_) => {
                        ports.policy.may_send(by, conversation, text.as_str()).await
                    }
                    Setting::Direct(one, other) => {
                        ports.policy.may_message(by, if by == one { other } else { one }).await
                    }
                };
                if let Verdict::Deny(reason) = verdict {
                    return Err(AmendError::Denied(reason));
                }
            }
            Body::Edited { message, text }
        }
        Amendment::Delete => Body::Deleted { message },
        Amendment::React(emoji, true) => Body::Reacted { message, emoji },
        Amendment::React(emoji, false) => Body::Unreacted { message, emoji },
        Amendment::Pin(pinned) => {
            if matches!(setting, Setting::Shared(_)) {
                requires = Role::Admin;
            }
            if pinned { Body::Pinned { message } } else { Body::Unpinned { message } }
        }
    };
    Ok(vec![Write::Append(Append { conversation, by, requires, key, at: now, body })])
}

/// What the store's answer means; `None`: it was so already.
pub(crate) fn conclude(written: Vec<Written>) -> Result<Option<Event>, AmendError> {
    match written.into_iter().next() {
        Some(Written::Event { event, .. }) => Ok(Some(event)),
        Some(Written::Refused(Refusal::NoChange)) => Ok(None),
        Some(Written::Refused(refusal)) => Err(refusal.into()),
        Some(Written::Marker { .. }) | None => Err(contract("no event for an amendment").into()),
    }
}
