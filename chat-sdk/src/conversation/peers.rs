//! What is known of conversations and never changes: of which sort they are and, if direct, between whom.

use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{Mutex, PoisonError},
};

use super::error::contract;
use crate::{
    erased::Ports,
    model::{Body, ConversationId, Kind, Seq, UserId},
    store::{Reader, StoreError},
};

/// How many conversations are remembered: some megabytes. When it is full it starts anew, which
/// costs one read a conversation.
const REMEMBERED_MAX: usize = 50_000;

/// What never changes of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Between these two.
    Direct(UserId, UserId),
    /// Members come and go.
    Shared(Kind),
}

impl Setting {
    /// As the first event says.
    pub(super) fn of(first: &Body) -> Result<Self, StoreError> {
        match first {
            Body::Created { kind: Kind::Direct, members, .. } => match &members[..] {
                [one, other] => Ok(Self::Direct(one.clone(), other.clone())),
                _ => Err(contract("a direct conversation without two users")),
            },
            Body::Created { kind, .. } => Ok(Self::Shared(*kind)),
            _ => Err(contract("a log that does not begin with its creation")),
        }
    }
}

/// Remembers the [`Setting`] of conversations that exist.
#[derive(Debug, Default)]
pub struct Peers(Mutex<HashMap<ConversationId, Setting>>);

impl Peers {
    /// What is remembered.
    #[must_use]
    pub fn remembered(&self, conversation: ConversationId) -> Option<Setting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&conversation).cloned()
    }

    /// This conversation exists.
    pub fn remember(&self, conversation: ConversationId, setting: Setting) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(conversation, setting);
    }

    /// Everything that was remembered is of a life that is over.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What is remembered or, else, what the first event says. `None`: there is no such
    /// conversation.
    pub(crate) async fn of(
        &self,
        ports: &Ports,
        conversation: ConversationId,
    ) -> Result<Option<Setting>, StoreError> {
        if let Some(setting) = self.remembered(conversation) {
            return Ok(Some(setting));
        }
        let first = Seq::new(1);
        let events = ports
            .store
            .read(Reader::System, conversation, Seq::ZERO, first, NonZeroU16::MIN)
            .await?;
        let Some(first) = events.and_then(|events| events.into_iter().next()) else {
            return Ok(None);
        };
        let setting = Setting::of(&first.body)?;
        self.remember(conversation, setting.clone());
        Ok(Some(setting))
    }
}
