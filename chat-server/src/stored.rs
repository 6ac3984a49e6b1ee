//! Where everything is kept: the stores that the server knows, and the secret beside them.

use std::time::Duration;

use anyhow::Context;
use chat_sdk::{
    PostgresStore, SqliteStore, TlsRoots,
    auth::{Accounts, accounts::AccountStore},
    store::{Migrated, PostgresError, PostgresOptions},
};
use tokio::time::{Instant, sleep};

use crate::{
    config::{Config, PostgresChoice, StoreChoice},
    data_dir::DataDir,
    secrets::Secret,
};

/// How long a start waits for PostgreSQL; then somebody should know.
const PATIENCE: Duration = Duration::from_secs(15);

/// How the secret is called among what the database keeps beside the chat.
const SECRET: &str = "auth.secret";

/// An open store.
#[derive(Clone)]
pub(crate) enum Stored {
    /// One server's.
    Sqlite(SqliteStore),
    /// Any number of servers'.
    Postgres(PostgresStore),
}

impl Stored {
    /// Opens what the configuration names.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        match &config.store {
            StoreChoice::Sqlite(path) => SqliteStore::open(path)
                .await
                .with_context(|| format!("cannot open the store {}", path.display()))
                .map(Self::Sqlite),
            StoreChoice::Postgres(choice) => connect(choice)
                .await
                .with_context(|| format!("cannot open the store {}", choice.url))
                .map(Self::Postgres),
        }
    }

    /// Brings what the configuration names to the newest schema, and opens nothing.
    pub(crate) async fn migrate(config: &Config) -> anyhow::Result<Migrated> {
        match &config.store {
            StoreChoice::Sqlite(path) => {
                // A server that runs on the file may be of a version that the newer tables exclude.
                let _occupied = DataDir::open(&config.data_dir)?.occupy()?;
                SqliteStore::migrate(path)
                    .await
                    .with_context(|| format!("cannot migrate the store {}", path.display()))
            }
            StoreChoice::Postgres(choice) => {
                let (url, options) = (choice.url.reveal(), options(choice));
                patiently(async || PostgresStore::migrate(url, options.clone()).await)
                    .await
                    .with_context(|| format!("cannot migrate the store {}", choice.url))
            }
        }
    }

    /// Finishes what was begun. Nothing can be written or read afterwards.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }

    /// What signs: given by somebody, or kept with the data. All servers of a chat have the same.
    pub(crate) async fn secret(&self, config: &Config) -> anyhow::Result<Secret> {
        if let Some(secret) = &config.auth.secret {
            return Ok(secret.clone());
        }
        match self {
            Self::Sqlite(_) => {
                Ok(Secret::kept_in(&DataDir::open(&config.data_dir)?.secret_path())?)
            }
            Self::Postgres(store) => {
                let kept = store.keep(SECRET, &Secret::fresh_text()).await;
                Ok(Secret::from_text(&kept.context("cannot read the signing secret")?)?)
            }
        }
    }

    /// The accounts that are kept in it.
    pub(crate) async fn accounts(&self, config: &Config) -> anyhow::Result<Accounts> {
        let secret = self.secret(config).await?;
        match self {
            Self::Sqlite(store) => accounts(store.clone(), &secret, config).await,
            Self::Postgres(store) => accounts(store.clone(), &secret, config).await,
        }
    }
}

fn options(choice: &PostgresChoice) -> PostgresOptions {
    PostgresOptions {
        migrate: choice.migrate,
        write_connections: choice.write_connections,
        read_connections: choice.read_connections,
        roots: choice.authorities.clone().map(TlsRoots::Pem),
        ..PostgresOptions::default()
    }
}

async fn connect(choice: &PostgresChoice) -> anyhow::Result<PostgresStore> {
    let (url, options) = (choice.url.reveal(), options(choice));
    let connected =
        patiently(async || PostgresStore::connect_with(url, options.clone()).await).await;
    connected.map_err(|error| {
        if error.is_older() {
            anyhow::anyhow!("{error}: run chat-server migrate, or set postgres.migrate")
        } else {
            error.into()
        }
    })
}

/// Tries again while it may pass: whoever starts everything at once starts the database a moment
/// too late.
async fn patiently<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, PostgresError>,
) -> Result<T, PostgresError> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(why) if why.may_pass() && Instant::now() < patience => {
                tracing::warn!(error = &why as &dyn std::error::Error, "waiting for PostgreSQL");
                sleep(Duration::from_secs(1)).await;
            }
            result => return result,
        }
    }
}

async fn accounts(
    store: impl AccountStore,
    secret: &Secret,
    config: &Config,
) -> anyhow::Result<Accounts> {
    Accounts::builder(store, secret.bytes())
        .sign_up(config.auth.sign_up)
        .token_lifetime(config.auth.token_lifetime)
        .start()
        .await
        .context("cannot open the accounts")
}
