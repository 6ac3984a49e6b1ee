//! What is known of conversations and never changes: whether they are direct, and between whom.

use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{Mutex, PoisonError},
};

use crate::{
    erased::Ports,
    model::{Body, ConversationId, Kind, Seq, UserId},
    store::{Reader, StoreError},
};

/// How many conversations are remembered: some megabytes. When it is full it starts anew, which
/// costs one read a conversation.
const REMEMBERED_MAX: usize = 50_000;

/// The two users of a direct conversation; of a group, none.
pub type Pair = Option<(UserId, UserId)>;

/// Remembers, of conversations that exist, whether they are direct and between whom.
#[derive(Debug, Default)]
pub struct Peers(Mutex<HashMap<ConversationId, Pair>>);

impl Peers {
    /// What is remembered.
    #[must_use]
    pub fn remembered(&self, conversation: ConversationId) -> Option<Pair> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&conversation).cloned()
    }

    /// This conversation exists.
    pub fn remember(&self, conversation: ConversationId, pair: Pair) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(conversation, pair);
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
    ) -> Result<Option<Pair>, StoreError> {
        if let Some(pair) = self.remembered(conversation) {
            return Ok(Some(pair));
        }
        let first = Seq::new(1);
        let events = ports
            .store
            .read(Reader::System, conversation, Seq::ZERO, first, NonZeroU16::MIN)
            .await?;
        let pair = match events.and_then(|events| events.into_iter().next()).map(|it| it.body) {
            Some(Body::Created { kind: Kind::Direct, members, .. }) => {
                match <[_; 2]>::try_from(members) {
                    Ok([one, other]) => Some((one, other)),
                    Err(_) => {
                        return Err(super::error::contract(
                            "a direct conversation without two users",
                        ));
                    }
                }
            }
            Some(_) => None,
            None => return Ok(None),
        };
        self.remember(conversation, pair.clone());
        Ok(Some(pair))
    }
}
