//! A chat on a real port, and clients that speak raw frames to it.
#![allow(dead_code)] // Every test binary uses another part of it.

use std::{net::SocketAddr, time::Duration};

use chat_sdk::{
    AuthError, Authenticator, Chat, ChatBuilder, Credentials, Identity, RemoteAddr, UserId,
};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest},
};

/// How long a test waits for something that must come. Never a measure of speed: only how long a
/// broken build takes to say so.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// `token <user>` is that user; everything else is refused.
#[derive(Debug, Clone, Copy)]
pub struct TokenIsUser;

impl Authenticator for TokenIsUser {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Identity, AuthError> {
        let token = credentials.token.ok_or(AuthError::Missing)?;
        let user = token.strip_prefix("token-").ok_or(AuthError::Refused("not of ours"))?;
        UserId::new(user).map(Identity::new).map_err(|_| AuthError::Refused("not a user"))
    }
}

pub fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub struct Server {
    pub chat: Chat,
    pub address: SocketAddr,
}

impl Server {
    pub async fn start(builder: ChatBuilder) -> Self {
        let chat = builder.start().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, chat.clone()));
        Self { chat, address }
    }

    pub async fn new() -> Self {
        Self::start(Chat::builder(TokenIsUser)).await
    }

    pub async fn connect(&self, user: &str) -> Client {
        let mut client = Client::open(self.address, &format!("/ws?token=token-{user}"), true).await.unwrap();
        client.send(r#"{"type":"hello","version":1}"#).await;
        assert_eq!(client.next().await["type"], "welcome");
        assert_eq!(client.next().await["type"], "synced");
        client
    }
}

async fn serve(listener: TcpListener, chat: Chat) {
    loop {
        let (socket, address) = listener.accept().await.unwrap();
        let chat = chat.service();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
                request.extensions_mut().insert(RemoteAddr(address));
                hyper::service::Service::call(&chat, request)
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service)
                .with_upgrades()
                .await;
        });
    }
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub async fn open(
        address: SocketAddr,
        path: &str,
        native: bool,
    ) -> Result<Self, Box<tungstenite::Error>> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if native {
            let subprotocol = "chat.v1".parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", subprotocol);
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self { socket })
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message, whatever it is.
    pub async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next());
        next.await.expect("something arrives in time").expect("the connection is open").unwrap()
    }

    /// The next text frame.
    pub async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("instead of a text: {other:?}"),
            }
        }
    }

    /// The next frame of this type; others are skipped.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The code with which the server closes; text frames before it are skipped.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.message().await {
                return close.expect("a code").code.into();
            }
        }
    }
}
