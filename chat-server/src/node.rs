//! The chat itself, put together from the configuration: the only file that knows how the SDK is
//! composed.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
pub(crate) use chat_sdk::ChatBody;
use chat_sdk::{
    Chat, ChatBuilder, FolderBlobStore, Health, RedisBus, RemoteAddr, S3BlobStore, TlsRoots,
    auth::Accounts,
    blob::S3Options,
    bus::{RedisOptions, RedisOptionsError},
};
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};

use crate::{
    config::{Config, FilesChoice, RedisChoice},
    stored::Stored,
};

/// What this server answers beside the chat. A test asks it for each of them.
const DESCRIPTION: &str = include_str!("description.json");

/// A running chat; a cheap clone.
#[derive(Clone)]
pub(crate) struct Node {
    chat: Chat,
    accounts: Accounts,
    store: Stored,
}

/// Redis need not be there yet.
fn listen_to(choice: &RedisChoice) -> Result<RedisBus, RedisOptionsError> {
    let mut options = RedisOptions {
        urls: choice.urls.iter().map(|url| url.reveal().to_owned()).collect(),
        prefix: choice.prefix.clone(),
        ..RedisOptions::default()
    };
    if let Some(authorities) = &choice.authorities {
        options.tls = TlsRoots::Pem(authorities.clone());
    }
    RedisBus::connect_with(options)
}

/// With a place for files, if there is one.
async fn with_files(
    builder: ChatBuilder,
    choice: Option<&FilesChoice>,
) -> anyhow::Result<ChatBuilder> {
    Ok(match choice {
        None => builder,
        Some(FilesChoice::Folder(path)) => {
            let folder = FolderBlobStore::open(path).await;
            let folder = folder.with_context(|| format!("cannot use {} for files", path.display()));
            builder.blobs(folder?)
        }
        Some(FilesChoice::S3(choice)) => {
            let key = (&*choice.access_key_id, choice.secret_access_key.reveal());
            let mut options = S3Options::new(&*choice.bucket, key.0, key.1);
            options.prefix = choice.prefix.clone();
            options.region = choice.region.clone();
            options.endpoint = choice.endpoint.clone();
            options.virtual_hosted = choice.virtual_hosted;
            // Whoever writes it down means it.
            options.allow_http =
                choice.endpoint.as_deref().is_some_and(|it| it.starts_with("http:"));
            if let Some(authorities) = &choice.authorities {
                options.tls_roots = TlsRoots::Pem(authorities.clone());
            }
            let bucket = S3BlobStore::new(options);
            builder.blobs(bucket.with_context(|| format!("cannot use s3://{}", choice.bucket))?)
        }
    })
}

impl Node {
    /// Opens the store and starts the chat.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let store = Stored::open(config).await?;
        let accounts = store.accounts(config).await?;
        let limits = chat_sdk::Limits {
            // Told to move within the time that they have for it.
            drain_window: config.drain.clients,
            ..config.limits.clone()
        };
        let builder = Chat::builder(accounts.clone())
            .accounts(accounts.clone())
            .origins(config.http.origins.clone())
            .limits(limits)
            .described_beside(DESCRIPTION)
            .dev_user_ids(config.auth.dev_user_ids);
        let builder = match &store {
            Stored::Sqlite(store) => builder.store(store.clone()),
            Stored::Postgres(store) => builder.store(store.clone()),
        };
        let builder = match &config.bus {
            None => builder,
            Some(choice) => {
                let bus = listen_to(choice);
                builder.bus(bus.with_context(|| format!("cannot use {choice}"))?)
            }
        };
        let builder = with_files(builder, config.files.as_ref()).await?;
        // The same on all servers, as log-ins are.
        let builder = builder.file_key(store.secret(config).await?.bytes());
        let chat = builder.start().await.context("cannot start the chat")?;
        Ok(Self { chat, accounts, store })
    }

    pub(crate) const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) const fn store(&self) -> &Stored {
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

    /// How the chat is, and what it stands on.
    pub(crate) async fn check(&self) -> Health {
        self.chat.check().await
    }

    /// Lets clients move for this long, commits and answers what is in flight, and ends the chat.
    /// It goes on refusing requests.
    pub(crate) async fn shut_down(&self, clients: Duration) {
        let report = self.chat.shutdown(clients).await;
        if report.stuck > 0 {
            tracing::error!(stuck = report.stuck, "tasks did not end: a defect, please report it");
        }
    }

    /// Finishes what was begun in the store. Nothing can be written or read afterwards.
    pub(crate) async fn close_store(&self) {
        self.store.close().await;
    }
}
