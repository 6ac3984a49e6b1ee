//! Messages and changes of messages that have no place in a log yet: each keeps its key until the
//! server said yes or no, over any number of connections. In a conversation one is on its way at a
//! time, so that they are committed in the order in which they were given, whatever is lost or
//! refused on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::{LinkId, link::Asked};
use crate::{
    model::{Amendment, ClientKey, ConversationId, Message, Seq, UserId},
    protocol::{Command, SendTo},
};

/// Something in the outbox, by order of arrival.
pub(super) type EntryId = u64;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Send { to: SendTo, message: Message },
    Amend { conversation: ConversationId, message: Seq, amendment: Amendment },
}

impl Deed {
    /// Of its text.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Send { message, .. } => message.text.as_str().len(),
            Self::Amend { amendment: Amendment::Edit(text), .. } => text.as_str().len(),
            Self::Amend { .. } => 0,
        }
    }

    /// Whose log it goes into.
    fn destination(&self, me: &UserId) -> ConversationId {
        match self {
            Self::Send { to: SendTo::User(user), .. } => ConversationId::direct(me, user),
            Self::Send { to: SendTo::Conversation(conversation), .. }
            | Self::Amend { conversation, .. } => *conversation,
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: ClientKey,
    deed: Deed,
    /// Where it goes, once it is known who writes: one conversation has one order, whichever way it
    /// is named.
    destination: Option<ConversationId>,
    /// The command that carries it, while it is on its way.
    flying: Option<(LinkId, u64)>,
    /// A command that carried it had no answer, or only that it shall be repeated: it may stand in
    /// the log.
    pub(super) unsure: bool,
}

impl Entry {
    /// What its answer is to be.
    pub(super) const fn asked(&self, id: EntryId) -> Asked {
        match self.deed {
            Deed::Send { .. } => Asked::Send(id),
            Deed::Amend { .. } => Asked::Amend(id),
        }
    }

    /// As it is said to the server.
    pub(super) fn command(&self) -> Command {
        let key = self.key.clone();
        match self.deed.clone() {
            Deed::Send { to, message } => {
                let files = message.files.iter().map(|file| file.id).collect();
                Command::Send { key, to, message, files }
            }
            Deed::Amend { conversation, message, amendment } => {
                Command::Amend { key: Some(key), conversation, message, amendment }
            }
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: BTreeMap<EntryId, Entry>,
    author: Option<UserId>,
    bytes: usize,
    flying: usize,
    last: EntryId,
}

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Of the texts.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many are on their way.
    pub(super) const fn flying(&self) -> usize {
        self.flying
    }

    /// Says who writes.
    pub(super) fn author(&mut self, me: &UserId) {
        if self.author.as_ref() == Some(me) {
            return;
        }
        for entry in self.entries.values_mut() {
            entry.destination = Some(entry.deed.destination(me));
        }
        self.author = Some(me.clone());
    }

    pub(super) fn put(&mut self, key: ClientKey, deed: Deed) -> EntryId {
        self.last += 1;
        self.bytes += deed.bytes();
        let destination = self.author.as_ref().map(|me| deed.destination(me));
        let entry = Entry { key, deed, destination, flying: None, unsure: false };
        self.entries.insert(self.last, entry);
        self.last
    }

    pub(super) fn remove(&mut self, id: EntryId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.bytes -= entry.deed.bytes();
        self.flying -= usize::from(entry.flying.is_some());
        Some(entry)
    }

    /// The next one that may leave: the first of its conversation, and not on its way.
    pub(super) fn next(&self) -> Option<EntryId> {
        let mut seen = BTreeSet::new();
        let next = self.entries.iter().find(|(_, entry)| {
            entry.destination.is_some_and(|it| seen.insert(it)) && entry.flying.is_none()
        });
        next.map(|(id, _)| *id)
    }

    /// It leaves with this command.
    pub(super) fn fly(&mut self, id: EntryId, link: LinkId, command: u64) -> Option<&Entry> {
        let entry = self.entries.get_mut(&id)?;
        self.flying += usize::from(entry.flying.is_none());
        entry.flying = Some((link, command));
        Some(entry)
    }

    /// The command was in vain: it leaves again. One that left with another command meanwhile stays
    /// on its way.
    pub(super) fn land(&mut self, id: EntryId, link: LinkId, command: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.unsure = true;
        if entry.flying == Some((link, command)) {
            entry.flying = None;
            self.flying -= 1;
        }
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> BTreeMap<EntryId, Entry> {
        (self.bytes, self.flying) = (0, 0);
        std::mem::take(&mut self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Text;

    fn put(outbox: &mut Outbox, key: &str, to: SendTo) -> EntryId {
        let message = Text::new("text").unwrap().into();
        outbox.put(ClientKey::new(key).unwrap(), Deed::Send { to, message })
    }

    #[test]
    fn a_conversation_has_one_order_whichever_way_it_is_named() {
        let (me, bob) = (UserId::new("me").unwrap(), UserId::new("bob").unwrap());
        let mut outbox = Outbox::default();
        let first = put(&mut outbox, "1", SendTo::User(bob.clone()));
        let second = put(&mut outbox, "2", SendTo::Conversation(ConversationId::direct(&me, &bob)));
        let other = put(&mut outbox, "3", SendTo::User(UserId::new("eve").unwrap()));
        assert_eq!(outbox.next(), None, "whose direct conversation it is, is not known yet");
        outbox.author(&me);
        assert_eq!(outbox.next(), Some(first));
        outbox.fly(first, LinkId(1), 1);
        assert_eq!(outbox.next(), Some(other), "the second waits for the first");
        outbox.fly(other, LinkId(1), 2);
        assert_eq!((outbox.next(), outbox.flying()), (None, 2));
        outbox.remove(first);
        assert_eq!((outbox.next(), outbox.flying(), outbox.bytes()), (Some(second), 1, 8));
    }

    #[test]
    fn only_the_last_command_of_a_message_can_be_in_vain() {
        let mut outbox = Outbox::default();
        outbox.author(&UserId::new("me").unwrap());
        let id = put(&mut outbox, "1", SendTo::User(UserId::new("bob").unwrap()));
        outbox.fly(id, LinkId(1), 1);
        outbox.fly(id, LinkId(2), 2);
        outbox.land(id, LinkId(1), 1);
        assert_eq!(outbox.next(), None);
        outbox.land(id, LinkId(2), 2);
        assert_eq!((outbox.next(), outbox.flying()), (Some(id), 0));
    }
}
