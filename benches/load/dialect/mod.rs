//! How a kind of server is spoken to: bytes in, bytes out, no socket and no clock.

mod centrifugo;
mod chat;
mod device;
mod floor;
mod nats;
mod socket_io;
mod tinode;
mod unanswered;
mod upgraded;
mod way_in;
mod ws;

use std::time::Duration;

pub(crate) use self::{
    centrifugo::Centrifugo,
    chat::Chat,
    floor::{Floor, MARKS},
    nats::Nats,
    socket_io::SocketIo,
    tinode::{Tinode, VERSION},
    ws::Ws,
};
use crate::stamp::Stamp;

/// Somebody who may connect.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Their id on the wire.
    pub(crate) user: String,
    /// What proves who they are; empty where nobody asks.
    pub(crate) token: String,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A group by its id: to everybody who follows it.
    Group(String),
    /// A person by their id on the wire.
    Person(String),
}

/// What a server said, as far as a measurement cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// This connection is live: from now on nothing is missed. Once, and before anything of the
    /// others, except for what was missed by a device that resumes.
    Ready,
    /// A message of somebody arrived.
    Delivered(Stamp),
    /// The server answers for a message of this connection.
    Acked(Stamp),
    /// It has no room for the connection now, and says when to come back. What follows refuses it.
    Later(Duration),
    /// It refused something, and says so; before [`Ready`](Self::Ready): the connection itself.
    Refused(String),
    /// It did what it must not, and this says what.
    Wrong(String),
    /// It ends the connection, with the protocol's code, or 0 where there is none.
    Closed(u16),
}

/// What somebody lets others see without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Typing,
    /// Everything that has arrived was read.
    Read,
}

/// A kind of server. Implementations make connections; each has its own [`Talk`].
pub(crate) trait Dialect {
    /// A new connection of this person, who wants to hear what is said in the groups `follows`, where
    /// that is for the client to say. What is said first is added to `out`; it is sent as soon as the
    /// socket is connected.
    fn open(&self, person: &Person, follows: &[String], out: &mut Vec<u8>) -> Box<dyn Talk>;

    /// How often [`Talk::beat`] is to be called on each ready connection; `None`: never.
    fn heartbeat(&self) -> Option<Duration> {
        None
    }

    /// Whether a client has to say of people as well as of groups that it wants to hear them: what
    /// somebody says to one person is then heard on connections that follow the speaker's id.
    fn follows_people(&self) -> bool {
        false
    }
}

/// One connection's end of the conversation.
pub(crate) trait Talk {
    /// Takes whole frames off the front of `bytes`, adds to `heard` what they say, and to `out` what
    /// the protocol wants to be answered at once. Answers how many bytes were taken; the rest comes
    /// again at the front of the next call, with more behind it.
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) -> usize;

    /// Adds to `out` a message whose text has `size` bytes and begins with the stamp. Only when ready.
    fn send(&mut self, to: &Target, stamp: Stamp, size: usize, out: &mut Vec<u8>);

    /// Adds to `out` a sign of life.
    fn beat(&mut self, _out: &mut Vec<u8>) {}

    /// Adds to `out` a sign in this conversation, where the protocol has it. Only when ready.
    fn sign(&mut self, _conversation: &str, _sign: Sign, _out: &mut Vec<u8>) {}

    /// Adds to `out` what ends the connection in good order, where the protocol has such a thing; the
    /// other side answers with the end.
    fn say_goodbye(&mut self, _out: &mut Vec<u8>) {}
}
