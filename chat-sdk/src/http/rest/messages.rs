//! `/messages`: the original product's history, and sending to a user.

pub(in crate::http) mod description;

use http::{Method, StatusCode, request::Parts};
use http_body::Body;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{idempotency_key, paging, shape::MessageShape};
use crate::{
    conversation::send::{Draft, To},
    http::{
        body,
        reply::{self, Reply},
        service::{Shared, query},
    },
    model::{Text, UserId},
    protocol::{Code, Problem},
    store::BoxError,
};

#[derive(Deserialize, ToSchema)]
#[schema(as = NewDirectMessage)]
#[serde(deny_unknown_fields)]
struct New {
    to: UserId,
    content: Text,
}

pub(in crate::http) async fn answer<B>(
    shared: &Shared,
    parts: &Parts,
    body: B,
    me: &UserId,
) -> Result<Reply, Problem>
where
    B: Body<Error: Into<BoxError>> + Send,
{
    let node = &shared.node;
    if parts.method == Method::GET {
        let query = query(parts);
        let with: UserId = query
            .parsed("with")?
            .ok_or_else(|| Problem::new(Code::Invalid, "with must name a user"))?;
        let limit = paging::limit(&query, &node.limits)?;
        let page = paging::page(&query)?;
        let events =
            node.page_with(me, &with, page, limit).await.map_err(|why| Problem::from(&why))?;
        let shapes = events.events.iter().filter_map(|event| {
            let edit = events.state(event.seq).and_then(|state| state.edit.as_ref());
            MessageShape::of(event, edit, me, &with)
        });
        let shapes: Vec<_> = shapes.collect();
        let mut reply = reply::json(StatusCode::OK, &shapes);
        paging::link_events(&mut reply, &events, limit, &[("with", with.as_str())]);
        return Ok(reply);
    }
    let New { to, content } = body::json(&parts.headers, body, &node.limits).await?;
    let key = idempotency_key(&parts.headers)?;
    let draft = Draft { key, ..Draft::new(me.clone(), To::User(to.clone()), content) };
    let sent = node.send(draft).await.map_err(|why| Problem::from(&why))?;
    let status = if sent.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok(reply::json(status, &MessageShape::of(&sent.event, None, me, &to)))
}
