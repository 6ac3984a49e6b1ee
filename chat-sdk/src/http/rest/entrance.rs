//! Links, the list of public conversations, and coming in by either.

pub(in crate::http) mod description;

use http::{Method, StatusCode, request::Parts};
use http_body::Body;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{paging, shape::ConversationShape};
use crate::{
    conversation::{
        entrance::{Door, NewLink},
        members::Change,
    },
    http::{
        body,
        reply::{self, Reply},
        route::Route,
        service::{Shared, query},
    },
    model::{ConversationId, Link, Listing, Timestamp, Title, UserId},
    protocol::{Code, Problem},
    store::BoxError,
};

#[derive(Deserialize, ToSchema)]
#[schema(as = NewLink)]
#[serde(deny_unknown_fields)]
struct New {
    expires_at: Option<Timestamp>,
    uses_max: Option<u32>,
}

/// A link that was made just now: the only time that its token is told.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeLink)]
struct MadeShape<'a> {
    token: &'a str,
    #[serde(flatten)]
    link: Link,
}

/// What stands behind a link.
#[derive(Serialize, ToSchema)]
#[schema(as = BehindLink)]
struct BehindShape {
    #[serde(flatten)]
    listing: Listing,
    /// Whether who asks is in already.
    member: bool,
}

pub(in crate::http) async fn answer<B>(
    shared: &Shared,
    route: Route,
    parts: &Parts,
    body: B,
    me: &UserId,
) -> Result<Reply, Problem>
where
    B: Body<Error: Into<BoxError>> + Send,
{
    let node = &shared.node;
    let get = parts.method == Method::GET;
    match route {
        Route::Links(id) if get => {
            let links = node.links(me, id).await.map_err(|why| Problem::from(&why))?;
            Ok(reply::json(StatusCode::OK, &links))
        }
        Route::Links(conversation) => {
            let New { expires_at, uses_max } =
                body::json(&parts.headers, body, &node.limits).await?;
            let new = NewLink { by: Some(me.clone()), conversation, expires_at, uses_max };
            let made = node.make_link(new).await;
            let (token, link) = made.map_err(|why| Problem::from(&why))?;
            Ok(reply::json(StatusCode::CREATED, &MadeShape { token: token.as_str(), link }))
        }
        Route::Link(id, link) => {
            let revoked = node.change(Some(me), id, Change::RevokeLink(link)).await;
            revoked.map_err(|why| Problem::from(&why))?;
            Ok(reply::no_content())
        }
        Route::Door(token) if get => {
            let behind = node.look_in(me, &Door::Link(token)).await;
            let (listing, member) = behind.map_err(|why| Problem::from(&why))?;
            Ok(reply::json(StatusCode::OK, &BehindShape { listing, member }))
        }
        Route::Door(token) => come_in(shared, me, Door::Link(token)).await,
        Route::Enter(id) => come_in(shared, me, Door::Public(id)).await,
        _ => public(shared, parts).await,
    }
}

/// The conversation; 201 if they came in by this request.
async fn come_in(shared: &Shared, me: &UserId, door: Door) -> Result<Reply, Problem> {
    let node = &shared.node;
    let joined = node.come_in(me, door).await;
    let (conversation, event) = joined.map_err(|why| Problem::from(&why))?;
    let status = if event.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let summary = node.conversation(me, conversation).await;
    let summary = summary.map_err(|why| Problem::from(&why))?;
    Ok(reply::json(status, &ConversationShape::from(summary)))
}

async fn public(shared: &Shared, parts: &Parts) -> Result<Reply, Problem> {
    let node = &shared.node;
    let query = query(parts);
    let limit = paging::limit(&query, &node.limits)?;
    let after = match query.text("cursor") {
        None | Some("") => None,
        Some(cursor) => Some(read_cursor(cursor).ok_or_else(|| {
            Problem::new(Code::Invalid, "cursor is not one that a Link header gave")
        })?),
    };
    let listings = node.public(after, limit).await.map_err(|why| Problem::from(&why))?;
    let mut reply = reply::json(StatusCode::OK, &listings);
    if listings.len() == usize::from(limit.get())
        && let Some(Listing { conversation, title: Some(title), .. }) = listings.last()
    {
        let (cursor, limit) = (format!("{conversation}.{}", title.as_str()), limit.to_string());
        paging::link_on(&mut reply, "next", &[("cursor", &*cursor), ("limit", &*limit)]);
    }
    Ok(reply)
}

fn read_cursor(cursor: &str) -> Option<(Title, ConversationId)> {
    let (id, title) = cursor.split_once('.')?;
    Some((Title::new(title).ok()?, id.parse().ok()?))
}
