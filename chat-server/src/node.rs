//! The chat itself, put together from the configuration: the only file that knows how the SDK is
//! composed.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
pub(crate) use chat_sdk::ChatBody;
use chat_sdk::{Chat, RemoteAddr, SqliteStore, auth::Accounts};
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};

use crate::{
    config::{Config, StoreChoice},
    data_dir::DataDir,
    secrets::Secret,
};

/// A running chat; a cheap clone.
#[derive(Clone)]
pub(crate) struct Node {
    chat: Chat,
    accounts: Accounts,
    store: SqliteStore,
}

/// Accounts and where they are kept, without a chat around them.
pub(crate) async fn open_accounts(config: &Config) -> anyhow::Result<(Accounts, SqliteStore)> {
    let secret = match &config.auth.secret {
        Some(secret) => secret.clone(),
        None => Secret::kept_in(&DataDir::open(&config.data_dir)?.secret_path())?,
    };
    let StoreChoice::Sqlite(path) = &config.store;
    let store = SqliteStore::open(path)
        .await
        .with_context(|| format!("cannot open the store {}", path.display()))?;
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
        let limits = chat_sdk::Limits {
            // Told to move within the time that they have for it.
            drain_window: config.drain.clients,
            ..config.limits.clone()
        };
        let chat = Chat::builder(accounts.clone())
            .accounts(accounts.clone())
            .store(store.clone())
            .origins(config.http.origins.clone())
            .limits(limits)
            .dev_user_ids(config.auth.dev_user_ids)
            .start()
            .await
            .context("cannot start the chat")?;
        Ok(Self { chat, accounts, store })
    }

    pub(crate) const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) const fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// Answers a request that comes from this client.
    pub(crate) async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<ChatBody> {
        request.extensions_mut().insert(RemoteAddr(client));
        let Ok(response) = self.chat.service().call(request).await;
        response
    }

    /// Whether the store answers, or why not.
    pub(crate) async fn check_store(&self) -> Result<(), String> {
        self.chat.check().await.store
    }

    /// Lets clients move for this long, commits and answers what is in flight, and ends the chat.
    /// It goes on refusing requests.
    pub(crate) async fn shut_down(&self, clients: Duration) {
        let report = self.chat.shutdown(clients).await;
        if report.stuck > 0 {
            tracing::error!(stuck = report.stuck, "tasks did not end: a defect, please report it");
        }
    }

    /// Takes everything into the file. Nothing can be written or read afterwards.
    pub(crate) async fn close_store(&self) {
        self.store.close().await;
    }
}
