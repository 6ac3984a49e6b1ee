//! Real-time chat to mount in a Rust app.

pub mod limits;
pub mod model;
pub mod auth;
pub mod bus;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod directory;
pub mod env;
pub mod policy;
pub mod store;

pub use crate::{
    auth::{AuthError, Authenticator, Credentials, FromExtension},
    bus::{Bus, LocalBus},
    directory::{Anybody, Directory},
    limits::Limits,
    model::*,
    policy::{MembersOnly, Policy, Verdict},
    store::{MemoryStore, Store},
};
/// Placeholder until the composition root lands.
pub struct Chat;
