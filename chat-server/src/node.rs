//! The chat itself, put together from the configuration: the only file that knows how the SDK is
//! composed.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use chat_sdk::auth::accounts::Accounts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    config::{Config, StoreChoice},
    data_dir::DataDir,
    secrets::Secret,
};

pub(crate) type ChatBody = Full<Bytes>;
pub(crate) type Database = chat_sdk::MemoryStore;

/// A running chat; a cheap clone.
#[derive(Clone)]
pub(crate) struct Node {
    store: Database,
    accounts: Accounts,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

/// Accounts and where they are kept, without a chat around them.
pub(crate) async fn open_accounts(config: &Config) -> anyhow::Result<(Accounts, Database)> {
    let StoreChoice::Sqlite(_path) = &config.store;
    let secret = match &config.auth.secret {
        Some(secret) => secret.clone(),
        None => Secret::kept_in(&DataDir::open(&config.data_dir)?.secret_path())?,
    };
    let store = Database::default();
    let accounts = Accounts::builder(store.clone(), secret.bytes())
        .sign_up(config.auth.sign_up)
        .token_lifetime(config.auth.token_lifetime)
        .start()
        .await
        .context("cannot open the accounts")?;
    Ok((accounts, store))
}

impl Node {
    /// Opens the store and starts the chat.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let (accounts, store) = open_accounts(config).await?;
        Ok(Self { store, accounts })
    }

    pub(crate) const fn store(&self) -> &Database {
        &self.store
    }

    pub(crate) const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Answers a request to the chat.
    pub(crate) async fn answer(
        &self,
        _request: Request<Incoming>,
        _client: SocketAddr,
    ) -> Response<ChatBody> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    }

    /// Whether the store answers, or why not.
    pub(crate) async fn check_store(&self) -> Result<(), String> {
        Ok(())
    }

    /// Tells clients to move, and ends.
    pub(crate) async fn shut_down(&self, _clients: Duration) {}
}
