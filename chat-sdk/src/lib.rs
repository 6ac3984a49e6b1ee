//! Real-time chat to mount in a Rust app: conversations as gapless logs, live delivery, receipts,
//! presence, and catch-up that leaves no hole, behind one hyper and tower service.
//!
//! Your app keeps its users and its sign-in; the chat takes from it who somebody is, and keeps
//! conversations in a store of your choice.
//!
//! ```no_run
//! use chat_sdk::{Chat, FromExtension, SqliteStore};
//! use hyper_util::rt::{TokioIo, TokioTimer};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("chat.db").await?;
//! let chat = Chat::builder(FromExtension).store(store).start().await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! loop {
//!     let (socket, _) = listener.accept().await?;
//!     let service = chat.service();
//!     tokio::spawn(async move {
//!         let mut http = hyper::server::conn::http1::Builder::new();
//!         let http = http.timer(TokioTimer::new());
//!         http.serve_connection(TokioIo::new(socket), service).with_upgrades().await
//!     });
//! }
//! # }
//! ```
//!
//! # The ports
//!
//! | trait | asks the host | ready-made |
//! | --- | --- | --- |
//! | [`Authenticator`] | who is this? | [`FromExtension`], [`Jwt`](auth::Jwt), [`Accounts`](auth::Accounts) |
//! | [`Directory`] | who exists, what are they called? | [`Anybody`], [`Accounts`](auth::Accounts) |
//! | [`Policy`] | may A do this? | [`MembersOnly`] |
//! | [`Store`] | keep this | [`MemoryStore`], [`SqliteStore`], `PostgresStore` |
//! | [`BlobStore`] | keep the bytes of this file | [`MemoryBlobStore`], [`FolderBlobStore`], `S3BlobStore` |
//! | [`Bus`] | tell the other nodes | [`LocalBus`], `RedisBus` |
//!
//! [`Chat`] is the handle, [`ChatService`] is what is mounted. The wire is described in
//! `PROTOCOL.md`, the inside in `ARCHITECTURE.md`, both beside this crate.
//!
//! # Features
//!
//! `sqlite`, `jwt` and `accounts` are on by default; `postgres` has the store and `redis` the bus for
//! several nodes; `object-store` has the blob store in S3; `client` has a typed client; `conformance` has the contract tests of the ports for
//! an implementation of your own.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

// In reading order.
pub mod limits;
mod model;
pub mod protocol;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod hub;
pub mod store;
pub mod blob;
pub mod bus;
pub mod auth;
pub mod directory;
pub mod policy;
pub mod env;
#[cfg(any(feature = "client", feature = "object-store", feature = "postgres", feature = "redis"))]
mod tls;
#[cfg(feature = "client")]
pub mod client;
mod erased;
mod conversation;
mod files;
mod node;
mod http;
pub mod events;
mod chat;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg_attr(not(feature = "sabotage"), allow(dead_code))]
#[doc(hidden)]
pub mod sabotage;

#[cfg(feature = "object-store")]
pub use crate::blob::S3BlobStore;
#[cfg(feature = "redis")]
pub use crate::bus::RedisBus;
#[cfg(feature = "postgres")]
pub use crate::chat::InTransaction;
#[cfg(feature = "postgres")]
pub use crate::store::PostgresStore;
#[cfg(feature = "sqlite")]
pub use crate::store::SqliteStore;
#[cfg(any(
    feature = "client",
    feature = "object-store",
    feature = "postgres",
    feature = "redis"
))]
pub use crate::tls::{TlsError, TlsRoots};
pub use crate::{
    auth::{AuthError, Authenticator, Credentials, FromExtension},
    blob::{BlobStore, FolderBlobStore, MemoryBlobStore},
    bus::{Bus, LocalBus},
    chat::{
        Amend, Change, Chat, ChatBuilder, Door, Draft, Health, NewGroup, NewLink, Sent,
        ShutdownReport, StartError, To,
    },
    conversation::{AmendError, ChangeError, JoinError, OpenError, ReadError, SendError},
    directory::{Anybody, Directory},
    events::Events,
    http::{ChatBody, ChatService, Origins, RemoteAddr},
    limits::Limits,
    model::{
        Access, Amendment, Body, ClientKey, ContentType, ConversationId, CredentialId, Edit, Emoji,
        Entrance, Epoch, Event, File, FileId, FileName, History, Identity, InvalidId, InvalidText,
        Kind, Link, LinkId, LinkToken, Listing, Marker, Member, Membership, Memberships, Message,
        MessageState, Profile, Reaction, Receipts, Role, Seq, Summary, Text, Timestamp, Title,
        Topic, UserId,
    },
    policy::{MembersOnly, Policy, Verdict},
    store::{MemoryStore, Store},
};
