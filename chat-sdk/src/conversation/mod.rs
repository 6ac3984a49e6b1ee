//! The use-cases, one verb a file: what is asked of the policy and the directory, what is to be
//! committed, and what the answer of the store means.
//!
//! A verb that writes comes in two halves, `plan` and `conclude`; between them somebody else commits.
//! Nothing here knows of nodes, connections or the wire.

pub mod amend;
pub mod entrance;
pub mod error;
pub mod members;
pub mod open;
pub mod peers;
pub mod read;
pub mod send;

pub use self::{
    error::{AmendError, ChangeError, JoinError, OpenError, ReadError, SendError},
    peers::{Peers, Setting},
};
use crate::{
    erased::Ports,
    limits::Limits,
    model::{Kind, UserId},
    store::StoreError,
};

/// How many members a conversation of this sort may have.
const fn members_max(limits: &Limits, kind: Kind) -> usize {
    match kind {
        Kind::Channel => limits.channel_members_max,
        Kind::Direct | Kind::Group => limits.members_max,
    }
}

/// Whether all of these users exist.
async fn all_exist(ports: &Ports, users: &[UserId]) -> Result<bool, StoreError> {
    let found = ports.directory.profiles(users).await?;
    Ok(users.iter().all(|user| found.iter().any(|profile| profile.user == *user)))
}
