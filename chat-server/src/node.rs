//! The chat itself, put together from the configuration: the only file that knows the SDK's
//! composition.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{config::Config, secrets::Secret};

pub(crate) type ChatBody = Full<Bytes>;

/// A running chat; a cheap clone.
#[derive(Debug, Clone)]
pub(crate) struct Node;

impl Node {
    /// Opens the store and starts the chat.
    #[expect(clippy::unused_async, reason = "the SDK's composition root awaits")]
    pub(crate) async fn start(_config: &Config, _secret: &Secret) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Answers a request to the chat.
    #[expect(clippy::unused_async, reason = "the SDK's composition root awaits")]
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
    #[expect(clippy::unused_async, reason = "the SDK's composition root awaits")]
    pub(crate) async fn check_store(&self) -> Result<(), String> {
        Ok(())
    }

    /// The one-time code that makes the first administrator, while there is none.
    #[expect(clippy::unused_async, reason = "the SDK's composition root awaits")]
    pub(crate) async fn setup_code(&self) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    /// Tells clients to move, and ends.
    #[expect(clippy::unused_async, reason = "the SDK's composition root awaits")]
    pub(crate) async fn shut_down(&self, _clients: Duration) {}
}
