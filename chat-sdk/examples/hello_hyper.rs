//! The shortest embed: a chat on plain hyper. Whoever says `Authorization: Bearer <name>` is <name>.
//!
//! `cargo run --example hello_hyper`, then
//! `curl -H 'Authorization: Bearer alice' -H 'Content-Type: application/json' -d '{"to":"bob","content":"hi"}' localhost:8080/messages`
// [embed
use chat_sdk::{Chat, MemoryStore};
use hyper_util::rt::{TokioIo, TokioTimer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(sign_in::Names).store(MemoryStore::new()).start().await?;
    let listener = tokio::net::TcpListener::bind(sign_in::address()).await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (socket, chat) = (TokioIo::new(listener.accept().await?.0), chat.service());
        let mut http = hyper::server::conn::http1::Builder::new();
        let http = http.timer(TokioTimer::new()).serve_connection(socket, chat);
        tokio::spawn(http.with_upgrades());
    }
}
// embed]

/// The app's own sign-in: here, a name is enough.
mod sign_in {
    use chat_sdk::{AuthError, Authenticator, Credentials, Identity, UserId};

    pub struct Names;

    impl Authenticator for Names {
        async fn authenticate(&self, with: Credentials<'_>) -> Result<Identity, AuthError> {
            let name = with.token.ok_or(AuthError::Missing)?;
            UserId::new(name).map(Identity::new).map_err(|_| AuthError::Refused("not a name"))
        }
    }

    pub fn address() -> String {
        std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned())
    }
}
