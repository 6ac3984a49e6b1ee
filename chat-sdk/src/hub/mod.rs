//! One node's routing: what is published in a conversation reaches everybody here who follows it,
//! in order, once, and nobody waits for anybody.
//!
//! Never awaits, reads no clock, does no I/O but through an [`Outlet`] that it is given, and does not
//! look into what it carries.

pub mod balance;
pub mod feed;
pub mod mailbox;
pub mod presence;

pub use self::{
    balance::Balance,
    feed::{Aftermath, Enrolled, Feeds, Followed, Hole, Published, Rejoin},
    mailbox::{Mailbox, Outlet, Push, Taken},
    presence::{NodeId, Presence},
};
