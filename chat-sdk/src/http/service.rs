//! The service that a host mounts.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body::Body;
use tracing::debug;

#[cfg(feature = "accounts")]
use super::rest::accounts;
use super::{
    ChatBody, Description, Origins, RemoteAddr,
    reply::{self, Reply},
    rest::{conversations, files, messages, users},
    route::{Query, Route},
    upgrade,
};
use crate::{
    auth::Credentials,
    model::Identity,
    node::Node,
    protocol::{Code, Problem},
    store::BoxError,
};

/// The chat as a service: a hyper [`Service`](hyper::service::Service) and a tower
/// [`Service`](tower_service::Service), for requests with any body. Cheap to clone.
///
/// It answers every request itself, also one for a path that it does not know (404), so its error is
/// [`Infallible`]; it is always ready. Paths are those below the mount: a router that nests it has to
/// take its prefix away, as axum's `nest_service` does.
///
/// The server must allow upgrades: `serve_connection(..).with_upgrades()` with hyper; axum does.
#[derive(Clone)]
pub struct ChatService {
    pub(crate) shared: Arc<Shared>,
}

/// What every request needs.
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) origins: Origins,
    #[cfg(feature = "accounts")]
    pub(crate) accounts: Option<crate::auth::Accounts>,
    pub(crate) description: Description,
    /// `/ws?user_id=` is believed: for development only.
    pub(crate) dev_user_ids: bool,
}

impl std::fmt::Debug for ChatService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatService").finish_non_exhaustive()
    }
}

/// The answer, as a future.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Response<ChatBody>, Infallible>> + Send>>;

impl<B> hyper::service::Service<Request<B>> for ChatService
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ChatBody>;
    type Error = Infallible;
    type Future = ReplyFuture;

    fn call(&self, request: Request<B>) -> ReplyFuture {
        let shared = self.shared.clone();
        Box::pin(async move { Ok(shared.answer(request).await) })
    }
}

impl<B> tower_service::Service<Request<B>> for ChatService
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ChatBody>;
    type Error = Infallible;
    type Future = ReplyFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ReplyFuture {
        hyper::service::Service::call(&*self, request)
    }
}

impl Shared {
    async fn answer<B>(&self, request: Request<B>) -> Reply
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let named = Route::of(request.uri().path());
        let Some(route) = named.filter(|it| !it.is_of_accounts() || self.keeps_accounts()) else {
            return reply::problem(&Problem::new(Code::NotFound, "no such route"));
        };
        if !route.methods().contains(request.method()) {
            let mut reply = reply::problem(&Problem::of(Code::MethodNotAllowed));
            let names: Vec<_> = route.methods().iter().map(http::Method::as_str).collect();
            if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
                reply.headers_mut().insert(header::ALLOW, allow);
            }
            return reply;
        }
        let answer = match route {
            Route::Socket => upgrade::socket(self, request).await,
            Route::OpenApi | Route::AsyncApi | Route::TryIt => {
                Ok(self.description.answer(&route, request.headers()))
            }
            route => {
                let (parts, body) = request.into_parts();
                self.rest(route, &parts, body).await
            }
        };
        answer.unwrap_or_else(|problem| {
            // Without the detail, which may repeat what was sent: in the wrong place, a password.
            debug!(code = problem.code.name(), "refused");
            reply::problem(&problem)
        })
    }

    #[cfg(feature = "accounts")]
    const fn keeps_accounts(&self) -> bool {
        self.accounts.is_some()
    }

    #[cfg(not(feature = "accounts"))]
    const fn keeps_accounts(&self) -> bool {
        false
    }

    async fn rest<B>(&self, route: Route, parts: &Parts, body: B) -> Result<Reply, Problem>
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        #[cfg(feature = "accounts")]
        if let Route::LogIn | Route::Register | Route::SetUp = route {
            return accounts::enter(self, &route, parts, body).await;
        }
        if let Route::FilePart(file, part) = route
            && let Some(user) = files::signed(self, parts, file, part)?
        {
            return files::download(self, parts, &user, file, part).await;
        }
        if route == Route::Files && parts.method == http::Method::OPTIONS {
            return Ok(files::spoken(self));
        }
        let identity = self.identify(parts).await?;
        match route {
            Route::FilePart(file, part) => {
                files::download(self, parts, &identity.user, file, part).await
            }
            Route::Files => files::all(self, parts, &identity.user).await,
            Route::File(file) => files::one(self, file, parts, body, &identity.user).await,
            #[cfg(feature = "accounts")]
            Route::Token | Route::LogOut => accounts::token(self, &route, &identity).await,
            Route::Me | Route::Users => users::answer(self, &route, parts, &identity.user).await,
            Route::Messages => messages::answer(self, parts, body, &identity.user).await,
            route => conversations::answer(self, route, parts, body, &identity.user).await,
        }
    }

    /// Who sent this request.
    async fn identify(&self, parts: &Parts) -> Result<Identity, Problem> {
        let token = bearer(parts);
        let credentials = Credentials::new(token, &parts.headers, &parts.extensions);
        let identity = self.node.authenticate(credentials).await;
        identity.map_err(|why| {
            debug!(error = &why as &dyn std::error::Error, "not authenticated");
            (&why).into()
        })
    }
}

/// The token of the `Authorization` header.
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Where the request comes from, as the host says.
pub(super) fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<RemoteAddr>().map(|remote| remote.0.ip())
}

/// The same, for limits: a host that does not say shares one.
#[cfg(feature = "accounts")]
pub(super) fn address_or_none(parts: &Parts) -> IpAddr {
    address(parts).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

/// The query, for routes.
pub(super) fn query(parts: &Parts) -> Query<'_> {
    Query::of(&parts.uri)
}
