//! The wire: frames, their JSON, and one table of everything that can go wrong.
//!
//! Values in, values out; `PROTOCOL.md` is the description, and its examples are tests of this room.

pub mod client;
pub mod close;
pub mod codec;
pub mod legacy;
pub mod problem;
pub mod server;

pub use self::{
    client::{ClientFrame, Command, CommandId, Hello, Resume, SendTo},
    close::{CloseCode, Remedy},
    codec::{Encoded, MalformedFrame},
    problem::{Code, Problem},
    server::{ServerFrame, Welcome, WireLimits},
};

/// The version of the protocol that is spoken here.
pub const VERSION: u32 = 1;
/// Its WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "chat.v1";
