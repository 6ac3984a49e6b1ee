//! `/conversations` and what is in one.

pub(in crate::http) mod description;

use http::{HeaderMap, Method, StatusCode, request::Parts};
use http_body::Body;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{
    entrance, idempotency_key, paging,
    shape::{ConversationShape, MarkerShape, PageShape},
};
use crate::{
    conversation::{
        amend::Amend,
        members::Change,
        open::NewGroup,
        send::{Draft, To},
    },
    http::{
        body,
        reply::{self, Reply},
        route::Route,
        service::{Shared, query},
    },
    model::{
        Access, Amendment, ConversationId, Entrance, FileId, History, InvalidText, Marker, Message,
        Role, Seq, Text, Timestamp, Title, Topic, UserId, message::MaybeText,
    },
    protocol::{Code, Problem},
    store::{BoxError, Only},
};

#[derive(Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = NewConversation)]
enum New {
    Direct {
        user: UserId,
    },
    Group {
        title: Title,
        members: Vec<UserId>,
        #[serde(default)]
        access: Access,
        #[serde(default)]
        history: History,
    },
    Channel {
        title: Title,
        members: Vec<UserId>,
        #[serde(default)]
        access: Access,
        #[serde(default)]
        history: History,
    },
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    #[serde(default)]
    text: MaybeText,
    reply_to: Option<Seq>,
    #[serde(default)]
    files: Vec<FileId>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewText {
    text: Text,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDescription {
    title: Option<Title>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    topic: Option<Option<Topic>>,
    access: Option<Access>,
    history: Option<History>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMarker {
    received: Option<Seq>,
    read: Option<Seq>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMembers {
    users: Vec<UserId>,
    role: Option<Role>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    role: Role,
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
    let limits = &node.limits;
    let headers = &parts.headers;
    let get = parts.method == Method::GET;
    match route {
        Route::Conversations if get => list(shared, parts, me).await,
        Route::Conversations => {
            let key = idempotency_key(headers)?;
            let (opened, status) = match body::json(headers, body, limits).await? {
                New::Direct { user } => (node.open_direct(me, &user).await, StatusCode::OK),
                New::Group { title, members, access, history } => {
                    let entrance = Entrance { access, history };
                    let by = me.clone();
                    let group = NewGroup { by, title, members, key, channel: false, entrance };
                    (node.open_group(group).await, StatusCode::CREATED)
                }
                New::Channel { title, members, access, history } => {
                    let entrance = Entrance { access, history };
                    let by = me.clone();
                    let group = NewGroup { by, title, members, key, channel: true, entrance };
                    (node.open_group(group).await, StatusCode::CREATED)
                }
            };
            let (event, fresh) = opened.map_err(|why| Problem::from(&why))?;
            let status = if fresh { status } else { StatusCode::OK };
            one(shared, me, event.conversation, status).await
        }
        Route::Conversation(id) if get => one(shared, me, id, StatusCode::OK).await,
        Route::Conversation(id) => {
            let NewDescription { title, topic, access, history } =
                body::json(headers, body, limits).await?;
            let changes = [
                title.map(Change::SetTitle),
                topic.map(|topic| topic.map_or(Change::ClearTopic, Change::SetTopic)),
                access.map(Change::SetAccess),
                history.map(Change::SetHistory),
            ];
            describe(shared, me, id, changes).await
        }
        Route::Events(id) => {
            let query = query(parts);
            let limit = paging::limit(&query, limits)?;
            let page = paging::page(&query)?;
            let events = node.page(me, id, page, Only::Everything, limit).await;
            let events = events.map_err(|why| Problem::from(&why))?;
            let mut reply = reply::json(StatusCode::OK, &events.events);
            paging::link_events(&mut reply, &events, limit, &[]);
            Ok(reply)
        }
        Route::Send(id) if get => {
            let query = query(parts);
            let limit = paging::limit(&query, limits)?;
            let page = paging::page(&query)?;
            let only = match query.parsed("pinned")? {
                Some(true) => Only::Pinned,
                Some(false) | None => Only::Messages,
            };
            let events = node.page(me, id, page, only, limit).await;
            let events = events.map_err(|why| Problem::from(&why))?;
            let mut reply = reply::json(StatusCode::OK, &PageShape::from(&events));
            let pinned = [("pinned", "true")];
            let keep = if only == Only::Pinned { &pinned[..] } else { &[] };
            paging::link_events(&mut reply, &events, limit, keep);
            Ok(reply)
        }
        Route::Edits(id, message) => {
            let query = query(parts);
            let limit = paging::limit(&query, limits)?;
            let page = paging::page(&query)?;
            let events = node.page(me, id, page, Only::EditsOf(message), limit).await;
            let events = events.map_err(|why| Problem::from(&why))?;
            let mut reply = reply::json(StatusCode::OK, &events.events);
            paging::link_events(&mut reply, &events, limit, &[]);
            Ok(reply)
        }
        Route::Receipts(id, message) => {
            let receipts = node.receipts_of(me, id, message).await;
            Ok(reply::json(StatusCode::OK, &receipts.map_err(|why| Problem::from(&why))?))
        }
        Route::Message(id, message) if parts.method == Method::PATCH => {
            let NewText { text } = body::json(headers, body, limits).await?;
            amend(shared, headers, me, id, message, Amendment::Edit(text)).await
        }
        Route::Message(id, message) => {
            amend(shared, headers, me, id, message, Amendment::Delete).await
        }
        Route::Reaction(id, message, emoji) => {
            let there = parts.method == Method::PUT;
            amend(shared, headers, me, id, message, Amendment::React(emoji, there)).await
        }
        Route::Pin(id, message) => {
            let pinned = parts.method == Method::PUT;
            amend(shared, headers, me, id, message, Amendment::Pin(pinned)).await
        }
        Route::Send(id) => {
            let NewMessage { text: MaybeText(text), reply_to, files } =
                body::json(headers, body, limits).await?;
            if text.is_none() && files.is_empty() {
                return Err(Problem::new(Code::Invalid, format!("text {}", InvalidText::Empty)));
            }
            let mut message = Message::new(text);
            message.reply_to = reply_to;
            let key = idempotency_key(headers)?;
            let (from, to) = (Some(me.clone()), To::Conversation(id));
            let draft = Draft { from, to, key, message, files };
            let sent = node.send(draft).await.map_err(|why| Problem::from(&why))?;
            let status = if sent.duplicate { StatusCode::OK } else { StatusCode::CREATED };
            Ok(reply::json(status, &sent.event))
        }
        Route::Marker(id) => {
            let NewMarker { received, read } = body::json(headers, body, limits).await?;
            let marker =
                Marker { received: received.unwrap_or_default(), read: read.unwrap_or_default() };
            let marking = node.begin_mark(me, id, marker).map_err(|why| Problem::from(&why))?;
            let marker = marking.await.map_err(|why| Problem::from(&why))?;
            Ok(reply::json(StatusCode::OK, &MarkerShape { user: me.clone(), marker }))
        }
        Route::Members(id) if get => {
            let query = query(parts);
            let limit = paging::limit(&query, limits)?;
            let after: Option<UserId> = query.parsed("after")?;
            let members = node.members(me, id, after.as_ref(), limit).await;
            let members = members.map_err(|why| Problem::from(&why))?;
            let mut reply = reply::json(StatusCode::OK, &members);
            if members.len() == usize::from(limit.get())
                && let Some(last) = members.last()
            {
                let limit = limit.to_string();
                let pairs = [("after", last.user.as_str()), ("limit", &*limit)];
                paging::link_on(&mut reply, "next", &pairs);
            }
            Ok(reply)
        }
        Route::Members(id) => {
            let NewMembers { users, role } = body::json(headers, body, limits).await?;
            change(shared, me, id, Change::Add(users, role)).await
        }
        Route::Member(id, user) if parts.method == Method::PATCH => {
            let NewRole { role } = body::json(headers, body, limits).await?;
            change(shared, me, id, Change::SetRole(user, role)).await
        }
        Route::Member(id, user) => change(shared, me, id, Change::Remove(user)).await,
        // The account routes of a host that keeps no accounts.
        Route::Socket
        | Route::OpenApi
        | Route::AsyncApi
        | Route::TryIt
        | Route::LogIn
        | Route::Register
        | Route::SetUp
        | Route::Token
        | Route::LogOut
        | Route::Me
        | Route::Users
        | Route::Messages
        | Route::Files
        | Route::File(_)
        | Route::FilePart(..) => Err(Problem::new(Code::NotFound, "no such route")),
        Route::Links(_) | Route::Link(..) | Route::Enter(_) | Route::Door(_) | Route::Directory => {
            entrance::answer(shared, route, parts, body, me).await
        }
    }
}

async fn change(
    shared: &Shared,
    me: &UserId,
    id: ConversationId,
    change: Change,
) -> Result<Reply, Problem> {
    let changed = shared.node.change(Some(me), id, change).await;
    changed.map_err(|why| Problem::from(&why))?;
    Ok(reply::no_content())
}

/// One after the other: who may change one may change all.
async fn describe(
    shared: &Shared,
    me: &UserId,
    id: ConversationId,
    changes: [Option<Change>; 4],
) -> Result<Reply, Problem> {
    let mut reply =
        Err(Problem::new(Code::Invalid, "nothing to change: no title, topic, access or history"));
    for one in changes.into_iter().flatten() {
        reply = Ok(change(shared, me, id, one).await?);
    }
    reply
}

/// What is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Topic>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn amend(
    shared: &Shared,
    headers: &HeaderMap,
    me: &UserId,
    conversation: ConversationId,
    message: Seq,
    amendment: Amendment,
) -> Result<Reply, Problem> {
    let key = idempotency_key(headers)?;
    let amend = Amend { by: Some(me.clone()), conversation, message, key, amendment };
    let amending = shared.node.begin_amend(amend).await;
    amending.map_err(|why| Problem::from(&why))?.await.map_err(|why| Problem::from(&why))?;
    Ok(reply::no_content())
}

async fn one(
    shared: &Shared,
    me: &UserId,
    id: ConversationId,
    status: StatusCode,
) -> Result<Reply, Problem> {
    let summary = shared.node.conversation(me, id).await.map_err(|why| Problem::from(&why))?;
    Ok(reply::json(status, &ConversationShape::from(summary)))
}

async fn list(shared: &Shared, parts: &Parts, me: &UserId) -> Result<Reply, Problem> {
    let node = &shared.node;
    let query = query(parts);
    let limit = paging::limit(&query, &node.limits)?;
    let after = match query.text("cursor") {
        None | Some("") => None,
        Some(cursor) => Some(read_cursor(cursor).ok_or_else(|| {
            Problem::new(Code::Invalid, "cursor is not one that a Link header gave")
        })?),
    };
    let listed = node.in_time(node.ports.store.conversations(me, after, limit)).await;
    let summaries = listed.map_err(|why| Problem::from(&why))?;
    let full = summaries.len() == usize::from(limit.get());
    let last = summaries.last().map(|last| (last.updated_at, last.conversation));
    let shapes: Vec<_> = summaries.into_iter().map(ConversationShape::from).collect();
    let mut reply = reply::json(StatusCode::OK, &shapes);
    if full && let Some((at, id)) = last {
        let (cursor, limit) = (format!("{}.{id}", at.as_millis()), limit.to_string());
        let pairs = [("cursor", &*cursor), ("limit", &*limit)];
        paging::link_on(&mut reply, "prev", &pairs);
    }
    Ok(reply)
}

fn read_cursor(cursor: &str) -> Option<(Timestamp, ConversationId)> {
    let (at, id) = cursor.split_once('.')?;
    Some((Timestamp::from_millis(at.parse().ok()?), id.parse().ok()?))
}
