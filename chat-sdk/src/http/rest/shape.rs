//! What the answers look like.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    model::{
        Access, Body, ClientKey, ConversationId, Edit, Event, File, History, Kind, Marker, Message,
        Reaction, Role, Seq, Summary, Text, Timestamp, Title, Topic, UserId,
    },
    store::Events,
};

/// A message as the original routes show it.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageShape<'a> {
    id: String,
    conversation: ConversationId,
    seq: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a UserId>,
    to: &'a UserId,
    content: &'a Text,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    files: &'a [File],
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a ClientKey>,
}

impl<'a> MessageShape<'a> {
    /// Of a message in the direct conversation of these two, with what it says now; `None` for
    /// other events.
    pub(super) fn of(
        event: &'a Event,
        edit: Option<&'a Edit>,
        one: &'a UserId,
        other: &'a UserId,
    ) -> Option<Self> {
        let Body::Message(Message { text, files, .. }) = &event.body else { return None };
        let text = edit.map_or(text, |edit| &edit.text);
        Some(Self {
            id: format!("{}.{}", event.conversation, event.seq),
            conversation: event.conversation,
            seq: event.seq,
            from: event.from.as_ref(),
            to: if event.from.as_ref() == Some(one) { other } else { one },
            content: text,
            files,
            timestamp: event.at,
            key: event.key.as_ref(),
        })
    }
}

/// A page of messages, and what has become of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct PageShape<'a> {
    /// As of which place in the log.
    head: Seq,
    messages: Vec<StateShape<'a>>,
}

/// A message with what has become of it.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageInPage)]
struct StateShape<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<&'a Edit>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reactions: &'a [Reaction],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
}

impl<'a> From<&'a Events> for PageShape<'a> {
    fn from(page: &'a Events) -> Self {
        let shape = |event: &'a Event| {
            let state = page.state(event.seq);
            StateShape {
                event,
                edit: state.and_then(|it| it.edit.as_ref()),
                reactions: state.map_or(&[], |it| &it.reactions),
                pinned: state.is_some_and(|it| it.pinned),
            }
        };
        Self { head: page.head, messages: page.events.iter().map(shape).collect() }
    }
}

/// A conversation in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation)]
pub(super) struct ConversationShape {
    id: ConversationId,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Title>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    role: Role,
    #[serde(skip_serializing_if = "Access::is_private")]
    access: Access,
    #[serde(skip_serializing_if = "History::is_all")]
    history: History,
    /// Where the log begins for the reader, if it is not its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    visible_from: Option<Seq>,
    member_count: u64,
    head: Seq,
    #[serde(flatten)]
    marker: Marker,
    unread: u64,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<LastShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    markers: Vec<MarkerShape>,
}

/// The newest message, with what it says in place of what it said.
#[derive(Serialize, ToSchema)]
#[schema(as = LastMessage)]
struct LastShape {
    #[serde(flatten)]
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<Edit>,
}

/// Somebody's marker.
#[derive(Serialize, ToSchema)]
#[schema(as = Marker)]
pub(super) struct MarkerShape {
    pub(super) user: UserId,
    #[serde(flatten)]
    pub(super) marker: Marker,
}

impl From<Summary> for ConversationShape {
    fn from(summary: Summary) -> Self {
        let markers = summary.markers.into_iter();
        Self {
            id: summary.conversation,
            kind: summary.kind,
            title: summary.title,
            topic: summary.topic,
            user: summary.other,
            role: summary.role,
            access: summary.entrance.access,
            history: summary.entrance.history,
            visible_from: Some(summary.visible_from).filter(|from| *from > Seq::new(1)),
            member_count: summary.member_count,
            head: summary.head,
            marker: summary.marker,
            unread: summary.unread,
            updated_at: summary.updated_at,
            last: summary.last.map(|event| LastShape { event, edit: summary.last_edit }),
            markers: markers.map(|(user, marker)| MarkerShape { user, marker }).collect(),
        }
    }
}

/// A token.
#[cfg(feature = "accounts")]
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenShape {
    pub(super) user_id: UserId,
    pub(super) token: String,
    pub(super) expires_at: Timestamp,
}
