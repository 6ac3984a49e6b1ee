//! A chat mounted under `/chat` of an axum app that has its own users and its own session cookie.
//!
//! The app's middleware reads its cookie and puts an `Identity` into the request; the chat takes it
//! from there and needs no account and no token of its own.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Path, Request},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chat_sdk::{Chat, FromExtension, Identity, MemoryStore, RemoteAddr, UserId};

/// The app's sessions: cookie → user.
#[derive(Clone, Default)]
struct Sessions(Arc<std::sync::Mutex<HashMap<String, UserId>>>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::default();
    let chat = Chat::builder(FromExtension).store(MemoryStore::new()).start().await?;

    let app = Router::new()
        .route("/", get(|| async { "the app's own page" }))
        .route("/sign-in/{name}", post(sign_in))
        .nest_service("/chat", chat.service())
        .layer(middleware::from_fn(who_is_it))
        .layer(Extension(sessions));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

/// The app's sign-in. A real one asks for more than a name.
async fn sign_in(Extension(sessions): Extension<Sessions>, Path(name): Path<String>) -> Response {
    let Ok(user) = UserId::new(&name) else { return StatusCode::BAD_REQUEST.into_response() };
    let mut sessions = sessions.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let session = format!("session-{}", sessions.len());
    sessions.insert(session.clone(), user);
    let cookie = format!("app={session}; HttpOnly; SameSite=Lax; Path=/");
    ([(header::SET_COOKIE, cookie)], StatusCode::NO_CONTENT).into_response()
}

/// The app's middleware: what it knows of the user, the chat knows.
async fn who_is_it(
    Extension(sessions): Extension<Sessions>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(user) = signed_in(request.headers(), &sessions) {
        request.extensions_mut().insert(Identity::new(user));
    }
    request.extensions_mut().insert(RemoteAddr(address));
    next.run(request).await
}

fn signed_in(headers: &HeaderMap, sessions: &Sessions) -> Option<UserId> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let session = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("app="))?;
    let sessions = sessions.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    sessions.get(session).cloned()
}
