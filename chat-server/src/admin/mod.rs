//! Commands for whoever runs the server.

pub(crate) mod password;
pub(crate) mod transfer;
pub(crate) mod user;
