//! The HTTP face: one service, its routes, and the way from an upgrade to a connection.

mod body;
mod description;
mod origin;
mod reply;
mod rest;
mod route;
mod service;
mod tcp;
mod upgrade;
mod websocket;

pub use self::{body::ChatBody, origin::Origins, service::ChatService};
pub(crate) use self::{
    description::{Beside, Description},
    service::Shared,
};

/// The address of whoever sent a request, to be put into its extensions by the host: behind a
/// proxy, what the proxy says of it. Limits per address need it; without it, everybody shares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddr(pub std::net::SocketAddr);
