//! Password accounts.
mod store;
pub use store::*;
pub struct Accounts;
