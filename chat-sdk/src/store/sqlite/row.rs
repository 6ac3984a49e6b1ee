//! Rows and parameters, as the model has them. What should not be there is a conversion error,
//! never a panic.

use rusqlite::{
    Row,
    types::{FromSql, Type},
};

use crate::{
    model::{
        Body, ClientKey, ConversationId, Emoji, Epoch, Event, Kind, Marker, Role, Seq, Timestamp,
        Title, Topic, UserId,
    },
    store::spelling,
};

/// The columns that [`event`] reads.
macro_rules! event_columns {
    () => {
        "seq, at, author, key, body"
    };
}
pub(super) use event_columns;

/// An event of this conversation, selected by [`event_columns`].
pub(super) fn event(conversation: ConversationId, row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        conversation,
        seq: seq(row, 0)?,
        at: Timestamp::from_millis(row.get(1)?),
        from: author(row, 2)?,
        key: column(row, 3, |key: Option<String>| key.map(ClientKey::new).transpose())?,
        body: body(row, 4)?,
    })
}

pub(super) fn body(row: &Row<'_>, index: usize) -> rusqlite::Result<Body> {
    column(row, index, |body: String| serde_json::from_str::<Body>(&body))
}

pub(super) fn author(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<UserId>> {
    column(row, index, |text: String| spelling::author(&text))
}

pub(super) fn user(row: &Row<'_>, index: usize) -> rusqlite::Result<UserId> {
    column(row, index, |user: String| UserId::new(user))
}

pub(super) fn emoji(row: &Row<'_>, index: usize) -> rusqlite::Result<Emoji> {
    column(row, index, |emoji: String| Emoji::new(emoji))
}

pub(super) fn epoch(row: &Row<'_>, index: usize) -> rusqlite::Result<Epoch> {
    column(row, index, |epoch: String| Epoch::new(epoch))
}

pub(super) fn title(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Title>> {
    column(row, index, |title: Option<String>| title.map(Title::new).transpose())
}

pub(super) fn topic(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Topic>> {
    column(row, index, |topic: Option<String>| topic.map(Topic::new).transpose())
}

pub(super) fn conversation(row: &Row<'_>, index: usize) -> rusqlite::Result<ConversationId> {
    row.get(index).map(ConversationId::from_bytes)
}

pub(super) fn seq(row: &Row<'_>, index: usize) -> rusqlite::Result<Seq> {
    number(row, index).map(Seq::new)
}

pub(super) fn marker(row: &Row<'_>, received: usize, read: usize) -> rusqlite::Result<Marker> {
    Ok(Marker { received: seq(row, received)?, read: seq(row, read)? })
}

/// A number that is never negative.
pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    column(row, index, |number: i64| u64::try_from(number))
}

/// A member's role; `None` of one who left.
pub(super) fn role(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Role>> {
    column(row, index, |role: Option<String>| spelling::role(role.as_deref()))
}

pub(super) fn kind(row: &Row<'_>, index: usize) -> rusqlite::Result<Kind> {
    column(row, index, |kind: String| spelling::kind(&kind))
}

/// A count of commits as a parameter.
pub(super) fn stamp(stamp: u64) -> i64 {
    i64::try_from(stamp).expect("nobody commits 2^63 times")
}

/// A column, through a conversion that may fail.
pub(super) fn column<T: FromSql, U, E>(
    row: &Row<'_>,
    index: usize,
    convert: impl FnOnce(T) -> Result<U, E>,
) -> rusqlite::Result<U>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    convert(row.get(index)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Message, Text};

    #[test]
    fn what_counts_as_unread_is_what_the_column_for_messages_says() {
        let message = Body::Message(Message::new(Text::new("hi").unwrap()));
        assert!(message.counts_as_unread());
        assert!(!Body::Left.counts_as_unread());
        assert!(!serde_json::from_str::<Body>(r#"{"type":"poll"}"#).unwrap().counts_as_unread());
    }
}
