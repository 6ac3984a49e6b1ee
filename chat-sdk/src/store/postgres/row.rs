//! Rows and parameters, as the model has them. What should not be there is a defect, never a panic.

use tokio_postgres::{Row, types::FromSql};
use uuid::Uuid;

use super::error::{defect, map};
use crate::{
    model::{
        Body, ClientKey, ConversationId, Emoji, Epoch, Event, Kind, Marker, Role, Seq, Timestamp,
        Title, Topic, UserId,
    },
    store::{StoreError, spelling},
};

/// The columns that [`event`] reads from where it is told, of a table called `e`.
macro_rules! event_columns {
    () => {
        "e.seq, e.at, e.author, e.key, e.body"
    };
}
pub(super) use event_columns;

/// An event of this conversation, from [`event_columns`] that begin at `from`.
pub(super) fn event(
    conversation: ConversationId,
    row: &Row,
    from: usize,
) -> Result<Event, StoreError> {
    Ok(Event {
        conversation,
        seq: seq(row, from)?,
        at: Timestamp::from_millis(get(row, from + 1)?),
        from: author(row, from + 2)?,
        key: column(row, from + 3, |key: Option<&str>| key.map(ClientKey::new).transpose())?,
        body: body(row, from + 4)?,
    })
}

pub(super) fn body(row: &Row, index: usize) -> Result<Body, StoreError> {
    column(row, index, |body: &str| serde_json::from_str::<Body>(body))
}

pub(super) fn author(row: &Row, index: usize) -> Result<Option<UserId>, StoreError> {
    column(row, index, |text: &str| spelling::author(text))
}

pub(super) fn user(row: &Row, index: usize) -> Result<UserId, StoreError> {
    column(row, index, |user: &str| UserId::new(user))
}

pub(super) fn key(row: &Row, index: usize) -> Result<ClientKey, StoreError> {
    column(row, index, |key: &str| ClientKey::new(key))
}

pub(super) fn epoch(row: &Row, index: usize) -> Result<Epoch, StoreError> {
    column(row, index, |epoch: &str| Epoch::new(epoch))
}

pub(super) fn emoji(row: &Row, index: usize) -> Result<Emoji, StoreError> {
    column(row, index, |emoji: &str| Emoji::new(emoji))
}

pub(super) fn title(row: &Row, index: usize) -> Result<Option<Title>, StoreError> {
    column(row, index, |title: Option<String>| title.map(Title::new).transpose())
}

pub(super) fn topic(row: &Row, index: usize) -> Result<Option<Topic>, StoreError> {
    column(row, index, |topic: Option<String>| topic.map(Topic::new).transpose())
}

pub(super) fn conversation(row: &Row, index: usize) -> Result<ConversationId, StoreError> {
    get(row, index).map(|id: Uuid| ConversationId::from_bytes(*id.as_bytes()))
}

pub(super) fn seq(row: &Row, index: usize) -> Result<Seq, StoreError> {
    number(row, index).map(Seq::new)
}

pub(super) fn marker(row: &Row, received: usize, read: usize) -> Result<Marker, StoreError> {
    Ok(Marker { received: seq(row, received)?, read: seq(row, read)? })
}

/// A number that is never negative.
pub(super) fn number(row: &Row, index: usize) -> Result<u64, StoreError> {
    unsigned(get(row, index)?)
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(defect)
}

/// A member's role; `None` of one who left.
pub(super) fn role(row: &Row, index: usize) -> Result<Option<Role>, StoreError> {
    column(row, index, spelling::role)
}

pub(super) fn kind(row: &Row, index: usize) -> Result<Kind, StoreError> {
    column(row, index, spelling::kind)
}

/// A conversation as a parameter.
pub(super) fn id(conversation: ConversationId) -> Uuid {
    Uuid::from_bytes(*conversation.as_bytes())
}

/// A column as it is.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(map)
}

/// A column, through a conversion that may fail.
pub(super) fn column<'a, T: FromSql<'a>, U, E>(
    row: &'a Row,
    index: usize,
    convert: impl FnOnce(T) -> Result<U, E>,
) -> Result<U, StoreError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    convert(get(row, index)?).map_err(defect)
}
