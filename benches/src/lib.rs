//! What the benches share: people, conversations, events; a chat in this process, and its clients.

pub mod host;
pub mod peer;

use chat_sdk::{
    Body, ClientKey, ConversationId, Event, Kind, Message, Role, Seq, Text, Timestamp, UserId,
    protocol::{ClientFrame, Command, SendTo, codec::encode_client},
    store::{Append, Open, Write},
};

/// The moment at which everything happens.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_678);

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
        at: NOW,
        from: Some(user(0)),
        key: Some(key(seq)),
        body: Body::Message(Message::new(text(bytes))),
    }
}

/// The n-th client key.
#[must_use]
pub fn key(n: u64) -> ClientKey {
    ClientKey::new(format!("0198a1f0-7d3e-7b11-8000-{n:012x}")).expect("hexadecimal")
}

/// What a client writes to send a message of this many bytes into the first conversation.
#[must_use]
pub fn send_frame(bytes: usize) -> String {
    let to = SendTo::Conversation(conversation(0));
    let command = Command::Send { key: key(1), to, message: text(bytes).into(), files: Vec::new() };
    encode_client(&ClientFrame::Command(None, command))
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
        at: NOW,
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
        at: NOW,
        body: Body::Message(Message::new(text(128))),
    })
}

/// Opens the n-th of the direct conversations of this user.
#[must_use]
pub fn open_with(user: &UserId, n: usize) -> Write {
    let other = correspondent(n);
    Write::Open(Open {
        conversation: ConversationId::direct(user, &other),
        kind: Kind::Direct,
        title: None,
        by: Some(user.clone()),
        key: None,
        members: vec![user.clone(), other],
        at: NOW,
    })
}

/// The k-th message to this user from their n-th correspondent.
#[must_use]
pub fn append_with(user: &UserId, n: usize, k: u64) -> Write {
    let other = correspondent(n);
    Write::Append(Append {
        conversation: ConversationId::direct(user, &other),
        by: Some(other),
        requires: Role::Member,
        key: Some(key(k)),
        at: NOW,
        body: Body::Message(Message::new(text(128))),
    })
}

/// With whom a user with many conversations has the n-th of them.
fn correspondent(n: usize) -> UserId {
    UserId::new(format!("other_{n}")).expect("short and plain")
}
