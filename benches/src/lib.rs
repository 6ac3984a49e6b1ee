//! What the benches share: people, conversations, events.

use chat_sdk::{
    Body, ClientKey, ConversationId, Event, Kind, Role, Seq, Text, Timestamp, UserId,
    store::{Append, Open, Write},
};

/// The n-th user.
#[must_use]
pub fn user(n: usize) -> UserId {
    UserId::new(format!("u_{n}")).expect("short and plain")
}

/// The n-th conversation.
#[must_use]
pub fn conversation(n: usize) -> ConversationId {
    ConversationId::direct(&user(2 * n), &user(2 * n + 1))
}

/// A text of this many bytes.
#[must_use]
pub fn text(bytes: usize) -> Text {
    Text::new("lorem ipsum dolor sit amet ".repeat(bytes / 27 + 1).get(..bytes).expect("ASCII"))
        .expect("not blank")
}

/// The event with this number, with a text of this many bytes.
#[must_use]
pub fn event(seq: u64, bytes: usize) -> Event {
    Event {
        conversation: conversation(0),
        seq: Seq::new(seq),
        at: Timestamp::from_millis(1_767_323_045_678),
        from: Some(user(0)),
        key: Some(key(seq)),
        body: Body::Message { text: text(bytes) },
    }
}

/// The n-th client key.
#[must_use]
pub fn key(n: u64) -> ClientKey {
    ClientKey::new(format!("0198a1f0-7d3e-7b11-8000-{n:012x}")).expect("hexadecimal")
}

/// Opens the n-th conversation.
#[must_use]
pub fn open(n: usize) -> Write {
    Write::Open(Open {
        conversation: conversation(n),
        kind: Kind::Direct,
        title: None,
        by: Some(user(2 * n)),
        key: None,
        members: vec![user(2 * n), user(2 * n + 1)],
        at: Timestamp::from_millis(0),
    })
}

/// The k-th message in the n-th conversation.
#[must_use]
pub fn append(n: usize, k: u64) -> Write {
    Write::Append(Append {
        conversation: conversation(n),
        by: Some(user(2 * n)),
        requires: Role::Member,
        key: Some(key(k)),
        at: Timestamp::from_millis(1_767_323_045_678),
        body: Body::Message { text: text(128) },
    })
}
