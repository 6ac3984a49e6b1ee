//! `/user/…`: accounts, where the server keeps them.

pub(in crate::http) mod description;

use http::{StatusCode, request::Parts};
use http_body::Body;
use serde::Deserialize;
use utoipa::ToSchema;

use super::shape::TokenShape;
use crate::{
    auth::{
        Accounts, Token,
        accounts::{LogInError, LogOutError, RefreshError, RegisterError, SetUpError},
    },
    http::{
        body,
        reply::{self, Reply},
        route::Route,
        service::{Shared, address_or_none},
    },
    model::Identity,
    protocol::{Code, Problem},
    store::BoxError,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogIn {
    /// The name.
    identifier: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    /// What people sign in with and search for: a letter or digit first, no white space.
    name: String,
    /// What is shown; the name where it is missing.
    display_name: Option<String>,
    /// At least 8 bytes.
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetUp {
    /// What the server printed when it started.
    code: String,
    name: String,
    display_name: Option<String>,
    password: String,
}

fn accounts(shared: &Shared) -> Result<&Accounts, Problem> {
    shared.accounts.as_ref().ok_or_else(|| Problem::new(Code::NotFound, "no such route"))
}

/// The routes that need no credential.
pub(in crate::http) async fn enter<B>(
    shared: &Shared,
    route: &Route,
    parts: &Parts,
    body: B,
) -> Result<Reply, Problem>
where
    B: Body<Error: Into<BoxError>> + Send,
{
    let accounts = accounts(shared)?;
    let (headers, limits) = (&parts.headers, &shared.node.limits);
    let address = address_or_none(parts);
    match route {
        Route::Register => {
            let new: Register = body::json(headers, body, limits).await?;
            let display_name = new.display_name.as_deref();
            let token = accounts.register(&new.name, display_name, &new.password, address).await;
            Ok(granted(StatusCode::CREATED, token.map_err(|why| Problem::from(&why))?))
        }
        Route::SetUp => {
            let new: SetUp = body::json(headers, body, limits).await?;
            let display_name = new.display_name.as_deref();
            let token =
                accounts.set_up(&new.code, &new.name, display_name, &new.password, address).await;
            Ok(granted(StatusCode::CREATED, token.map_err(|why| Problem::from(&why))?))
        }
        _ => {
            let LogIn { identifier, password } = body::json(headers, body, limits).await?;
            let token = accounts.log_in(&identifier, &password, address).await;
            Ok(granted(StatusCode::OK, token.map_err(|why| Problem::from(&why))?))
        }
    }
}

/// The routes for the bearer of a token.
pub(in crate::http) async fn token(
    shared: &Shared,
    route: &Route,
    identity: &Identity,
) -> Result<Reply, Problem> {
    let accounts = accounts(shared)?;
    if *route == Route::Token {
        let token = accounts.refresh(identity).await.map_err(|why| Problem::from(&why))?;
        return Ok(granted(StatusCode::OK, token));
    }
    let credential = accounts.log_out(identity).await.map_err(|why| Problem::from(&why))?;
    shared.node.disconnect(&identity.user, Some(&credential));
    Ok(reply::no_content())
}

fn granted(status: StatusCode, token: Token) -> Reply {
    let Token { user, token, expires_at, .. } = token;
    reply::json(status, &TokenShape { user_id: user, token, expires_at })
}

macro_rules! problem_from_entering {
    ($error:ident, $($special:pat => $problem:expr),* $(,)?) => {
        impl From<&$error> for Problem {
            fn from(why: &$error) -> Self {
                match why {
                    $error::RateLimited { retry_after } => {
                        Self::new(Code::RateLimited, why.to_string()).retry_after(*retry_after)
                    }
                    $error::Overloaded { retry_after } => {
                        Self::of(Code::Overloaded).retry_after(*retry_after)
                    }
                    $error::Unavailable(why) => why.into(),
                    $($special => $problem,)*
                }
            }
        }
    };
}

problem_from_entering! { LogInError,
    LogInError::WrongCredentials => Self::of(Code::WrongCredentials),
}
problem_from_entering! { RegisterError,
    RegisterError::SignUpClosed => Self::new(Code::Forbidden, "sign-up is closed on this server"),
    RegisterError::InvalidName(why) => Self::new(Code::Invalid, format!("name {why}")),
    RegisterError::InvalidDisplayName(why) => Self::new(Code::Invalid, format!("display_name {why}")),
    RegisterError::WeakPassword(why) => Self::new(Code::Invalid, format!("password {why}")),
    RegisterError::NameTaken => Self::of(Code::NameTaken),
}
problem_from_entering! { SetUpError,
    SetUpError::SetupClosed => Self::new(Code::Forbidden, "this server has an administrator"),
    SetUpError::WrongCredentials => Self::new(Code::WrongCredentials, "not the code that the server printed"),
    SetUpError::InvalidName(why) => Self::new(Code::Invalid, format!("name {why}")),
    SetUpError::InvalidDisplayName(why) => Self::new(Code::Invalid, format!("display_name {why}")),
    SetUpError::WeakPassword(why) => Self::new(Code::Invalid, format!("password {why}")),
    SetUpError::NameTaken => Self::of(Code::NameTaken),
}

impl From<&RefreshError> for Problem {
    fn from(why: &RefreshError) -> Self {
        match why {
            RefreshError::Refused => Self::of(Code::Unauthenticated),
            RefreshError::Unavailable(why) => why.into(),
        }
    }
}

impl From<&LogOutError> for Problem {
    fn from(why: &LogOutError) -> Self {
        match why {
            LogOutError::NotAToken => Self::of(Code::Unauthenticated),
            LogOutError::Unavailable(why) => why.into(),
        }
    }
}
