//! What the answers look like.

use serde::Serialize;

use crate::model::{
    Body, ClientKey, ConversationId, Event, Kind, Marker, Role, Seq, Summary, Text, Timestamp,
    Title, UserId,
};

/// A message as the original routes show it.
#[derive(Serialize)]
pub(super) struct MessageShape<'a> {
    id: String,
    conversation: ConversationId,
    seq: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a UserId>,
    to: &'a UserId,
    content: &'a Text,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a ClientKey>,
}

impl<'a> MessageShape<'a> {
    /// Of a message in the direct conversation of these two; `None` for other events.
    pub(super) fn of(event: &'a Event, one: &'a UserId, other: &'a UserId) -> Option<Self> {
        let Body::Message { text } = &event.body else { return None };
        Some(Self {
            id: format!("{}.{}", event.conversation, event.seq),
            conversation: event.conversation,
            seq: event.seq,
            from: event.from.as_ref(),
            to: if event.from.as_ref() == Some(one) { other } else { one },
            content: text,
            timestamp: event.at,
            key: event.key.as_ref(),
        })
    }
}

/// A conversation in a list.
#[derive(Serialize)]
pub(super) struct ConversationShape {
    id: ConversationId,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Title>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    role: Role,
    member_count: u64,
    head: Seq,
    #[serde(flatten)]
    marker: Marker,
    unread: u64,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Event>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    markers: Vec<MarkerShape>,
}

/// Somebody's marker.
#[derive(Serialize)]
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
            user: summary.other,
            role: summary.role,
            member_count: summary.member_count,
            head: summary.head,
            marker: summary.marker,
            unread: summary.unread,
            updated_at: summary.updated_at,
            last: summary.last,
            markers: markers.map(|(user, marker)| MarkerShape { user, marker }).collect(),
        }
    }
}

/// A token.
#[cfg(feature = "accounts")]
#[derive(Serialize)]
pub(super) struct TokenShape {
    pub(super) user_id: UserId,
    pub(super) token: String,
    pub(super) expires_at: Timestamp,
}
