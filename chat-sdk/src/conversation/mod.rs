//! The use-cases, one verb a file: what is asked of the policy and the directory, what is to be
//! committed, and what the answer of the store means.
//!
//! A verb that writes comes in two halves, `plan` and `conclude`; between them somebody else commits.
//! Nothing here knows of nodes, connections or the wire.

pub mod amend;
pub mod error;
pub mod members;
pub mod open;
pub mod peers;
pub mod read;
pub mod send;

pub use self::{
    error::{AmendError, ChangeError, OpenError, ReadError, SendError},
    peers::{Peers, Setting},
};
use crate::{erased::Ports, model::UserId, store::StoreError};

/// Whether all of these users exist.
async fn all_exist(ports: &Ports, users: &[UserId]) -> Result<bool, StoreError> {
    let found = ports.directory.profiles(users).await?;
    Ok(users.iter().all(|user| found.iter().any(|profile| profile.user == *user)))
}
