//! Markers that are to be moved. Both places only grow, so that many wishes become one command, and
//! one that was lost is simply said again.

use std::collections::BTreeMap;

use crate::model::{ConversationId, Marker, Seq};

#[derive(Debug, Clone, Copy)]
struct Wish {
    want: Marker,
    /// On its way.
    asked: bool,
}

/// By conversation.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<ConversationId, Wish>);

impl Marks {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn holds(&self, conversation: &ConversationId) -> bool {
        self.0.contains_key(conversation)
    }

    /// Merges a wish into those that wait.
    pub(super) fn want(&mut self, conversation: ConversationId, marker: Marker) {
        let fresh = Wish { want: Marker::default(), asked: false };
        let wish = self.0.entry(conversation).or_insert(fresh);
        wish.want = wish.want.merge(marker, Seq::MAX);
    }

    /// The next one to be asked for; it counts as asked.
    pub(super) fn next(&mut self) -> Option<(ConversationId, Marker)> {
        let (conversation, wish) = self.0.iter_mut().find(|(_, wish)| !wish.asked)?;
        wish.asked = true;
        Some((*conversation, wish.want))
    }

    /// The server has moved it, or never will.
    pub(super) fn done(&mut self, conversation: ConversationId, marker: Marker) {
        if let Some(wish) = self.0.get_mut(&conversation) {
            wish.asked = false;
            if wish.want == marker {
                self.0.remove(&conversation);
            }
        }
    }

    /// It is to be asked again.
    pub(super) fn again(&mut self, conversation: ConversationId) {
        if let Some(wish) = self.0.get_mut(&conversation) {
            wish.asked = false;
        }
    }
}
