//! The little that a client needs of the chat's HTTP: signing in, and reading history.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    TokenError, TokenSource,
    dial::{Dialler, Target},
};
use crate::{
    model::{ConversationId, Event, Seq, Timestamp, UserId},
    protocol::Problem,
    tls::{TlsError, TlsRoots},
};

/// Time for a whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for an answer to some megabytes, their way there included.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer: a page of a hundred of the longest messages, escaped.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The chat's HTTP door. One connection a request: this is for signing in and for a page of history
/// now and then.
#[derive(Debug, Clone)]
pub struct Http {
    target: Target,
    dialler: Arc<Dialler>,
}

/// The address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

/// Why there is no answer, or none of use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The server said no; the problem says whether to come back.
    #[error("refused: {}", .0.code.title())]
    Refused(Problem),
    /// There was no answer (in time): try again later.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// What came is not an answer of a chat.
    #[error("not an answer of a chat: {0}")]
    Unreadable(String),
}

/// Who signed in, and with which token.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LoggedIn {
    /// Who.
    #[serde(rename = "user_id")]
    pub user: UserId,
    /// The bearer token.
    pub token: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for LoggedIn {
    // A token is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggedIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Which page of a conversation's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// The last one.
    Newest,
    /// What lies directly before this place.
    Before(Seq),
    /// What lies directly after this place.
    After(Seq),
}

impl Http {
    /// The chat that is mounted at this address, as for [`Client::builder`](super::Client::builder).
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let target = Target::new(url).map_err(InvalidUrl)?;
        let dialler = Dialler::new(TlsRoots::System).expect("nothing is read yet");
        Ok(Self { target, dialler: Arc::new(dialler) })
    }

    /// Whose certificates are trusted; the machine's authorities if this is not called.
    ///
    /// # Errors
    /// When they are no certificates.
    pub fn tls(self, roots: TlsRoots) -> Result<Self, TlsError> {
        Ok(Self { dialler: Arc::new(Dialler::new(roots)?), ..self })
    }

    /// Signs in with a password, where the server keeps accounts.
    ///
    /// # Errors
    /// [`HttpError::Refused`] with `wrong_credentials`, and as every request.
    pub async fn log_in(&self, identifier: &str, password: &str) -> Result<LoggedIn, HttpError> {
        let body = serde_json::json!({"identifier": identifier, "password": password});
        self.ask(Method::POST, "/user/login", None, Some(body)).await
    }

    /// A page of a conversation's log, ascending; at most 100 events.
    ///
    /// # Errors
    /// [`HttpError::Refused`] with `not_found` when the user is no member, and as every request.
    pub async fn history(
        &self,
        token: &str,
        conversation: ConversationId,
        page: History,
        limit: u16,
    ) -> Result<Vec<Event>, HttpError> {
        let page = match page {
            History::Newest => String::new(),
            History::Before(seq) => format!("&before={seq}"),
            History::After(seq) => format!("&after={seq}"),
        };
        let route = format!("/conversations/{conversation}/events?limit={limit}{page}");
        self.ask(Method::GET, &route, Some(token), None).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &str,
        token: Option<&str>,
        body: Option<serde_json::Value>,
    ) -> Result<T, HttpError> {
        let mut asked = Asked { method, route, token, headers: Vec::new(), body: Bytes::new() };
        if let Some(body) = body {
            asked.headers.push((header::CONTENT_TYPE, "application/json".to_owned()));
            asked.body = body.to_string().into();
        }
        let (_, bytes) = self.answer(asked, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(unreadable)
    }

    /// What is answered, if it is not refused.
    pub(super) async fn answer(
        &self,
        asked: Asked<'_>,
        bytes_max: usize,
    ) -> Result<(HeaderMap, Bytes), HttpError> {
        let timeout = if asked.body.is_empty() { ANSWER_TIMEOUT } else { BODY_TIMEOUT };
        let answer = tokio::time::timeout(timeout, self.exchange(asked, bytes_max));
        let (head, bytes) = answer
            .await
            .unwrap_or_else(|_| Err(HttpError::Unreachable("no answer in time".to_owned())))?;
        if !head.status.is_success() {
            let problem = serde_json::from_slice(&bytes);
            return Err(problem.map_or_else(unreadable, HttpError::Refused));
        }
        Ok((head.headers, bytes))
    }

    async fn exchange(
        &self,
        asked: Asked<'_>,
        bytes_max: usize,
    ) -> Result<(http::response::Parts, Bytes), HttpError> {
        let stream = self.dialler.dial(&self.target).await.map_err(HttpError::Unreachable)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(unreachable_)?;
        let mut request = Request::builder()
            .method(asked.method)
            .uri(self.target.path(asked.route))
            .header(header::HOST, self.target.authority());
        if let Some(token) = asked.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in asked.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(asked.body)).map_err(unreadable)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(unreachable_)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, bytes_max).collect().await;
            Ok((head, body.map_err(unreachable_)?.to_bytes()))
        };
        tokio::pin!(exchange);
        // The connection is driven here, so that nothing of it outlives the request.
        tokio::select! {
            answer = &mut exchange => answer,
            ended = connection => match ended {
                // It may end right behind the answer.
                Ok(()) => exchange.await,
                Err(why) => Err(unreachable_(why)),
            },
        }
    }
}

/// A request.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) route: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
}

pub(super) fn unreachable_(why: impl std::fmt::Display) -> HttpError {
    HttpError::Unreachable(why.to_string())
}

pub(super) fn unreadable(why: impl std::fmt::Display) -> HttpError {
    HttpError::Unreadable(why.to_string())
}

/// A [`TokenSource`] that signs in with a password whenever a token is needed.
pub struct LogIn {
    http: Http,
    identifier: String,
    password: String,
}

impl std::fmt::Debug for LogIn {
    // The password is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIn").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

impl LogIn {
    /// As this user of the chat at this address.
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(
        url: &str,
        identifier: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, InvalidUrl> {
        Ok(Self { http: Http::new(url)?, identifier: identifier.into(), password: password.into() })
    }

    /// Whose certificates are trusted; the machine's authorities if this is not called.
    ///
    /// # Errors
    /// When they are no certificates.
    pub fn tls(self, roots: TlsRoots) -> Result<Self, TlsError> {
        Ok(Self { http: self.http.tls(roots)?, ..self })
    }
}

impl TokenSource for LogIn {
    async fn token(&self, _stale: Option<&str>) -> Result<String, TokenError> {
        match self.http.log_in(&self.identifier, &self.password).await {
            Ok(logged_in) => Ok(logged_in.token),
            Err(HttpError::Refused(problem)) if !problem.code.retryable() => {
                Err(TokenError::Refused)
            }
            Err(HttpError::Refused(_) | HttpError::Unreachable(_) | HttpError::Unreadable(_)) => {
                Err(TokenError::Unreachable)
            }
        }
    }
}
