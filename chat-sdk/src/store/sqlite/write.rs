//! A batch within a commit: what has to be known is looked up, [`plan`](crate::store::plan) works out
//! what follows from it, and that is written down.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    files, read,
    row::{self, event_columns},
    writer::Commit,
};
use crate::{
    model::{
        Body, ClientKey, ConversationId, Emoji, Event, Link, LinkId, Seq, Summary, Title, Topic,
        UserId,
    },
    store::{
        Write, Written,
        plan::{self, Changes, Found, Place, Questions, Seat, Seated, Touched},
        spelling::{access_text, author_text, history_text, kind_text, place, role_text},
    },
};

pub(super) fn apply(commit: &mut Commit<'_>, batch: &[Write]) -> rusqlite::Result<Vec<Written>> {
    let found = look_up(commit.connection(), &Questions::of(batch), batch.len())?;
    let (answers, changes) = plan::apply(found, batch.to_vec());
    if changes != Changes::default() {
        put(commit, &changes)?;
    }
    Ok(answers)
}

fn look_up(connection: &Connection, asked: &Questions, writes: usize) -> rusqlite::Result<Found> {
    let mut found = Found::default();
    for conversation in &asked.conversations {
        if let Some(place) = there(connection, *conversation)? {
            found.conversations.insert(*conversation, place);
        }
    }
    for conversation in asked.opens.keys() {
        if found.conversations.contains_key(conversation) {
            found.firsts.insert(*conversation, first(connection, *conversation)?);
        }
    }
    for name @ (conversation, by, key) in &asked.keys {
        if let Some(event) = keyed(connection, *conversation, by.as_ref(), key)? {
            found.keyed.insert(name.clone(), event);
        }
    }
    for name @ (conversation, user) in &asked.seats {
        if let Some(seat) = seat(connection, *conversation, user)? {
            found.seats.insert(name.clone(), seat);
        }
    }
    for name @ (conversation, message) in &asked.messages {
        if let Some(author) = author(connection, *conversation, *message)? {
            found.messages.insert(*name, author);
        }
    }
    for name @ (conversation, message, user) in &asked.reactors {
        let reactions = reactions(connection, *conversation, *message, user)?;
        found.reactions.insert(name.clone(), reactions);
    }
    for name @ (conversation, message) in &asked.pins {
        if is_pinned(connection, *conversation, *message)? {
            found.pins.insert(*name);
        }
    }
    for name @ (conversation, link) in &asked.links {
        if let Some(link) = read::link_of(connection, *conversation, link)? {
            found.links.insert(name.clone(), link);
        }
    }
    for file in &asked.files {
        if let Some(waiting) = files::waiting(connection, *file)? {
            found.files.insert(*file, waiting);
        }
    }
    for conversation in &asked.counts {
        if let Some(place) = found.conversations.get_mut(conversation) {
            (place.members, place.owners) = counts(connection, *conversation, writes)?;
        }
    }
    for conversation in &asked.crowds {
        if let Some(place) = found.conversations.get_mut(conversation) {
            place.crowd = is_crowd(connection, *conversation)?;
        }
    }
    Ok(found)
}

fn there(connection: &Connection, conversation: ConversationId) -> rusqlite::Result<Option<Place>> {
    connection
        .prepare_cached("SELECT head, access, history FROM conversations WHERE id = ?1")?
        .query_row([conversation.as_bytes()], |row| {
            let (head, entrance) = (row::seq(row, 0)?, row::entrance(row, 1, 2)?);
            Ok(Place { head, entrance, ..Place::default() })
        })
        .optional()
}

fn first(connection: &Connection, conversation: ConversationId) -> rusqlite::Result<Event> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            event_columns!(),
            " FROM events WHERE conversation = ?1 AND seq = 1"
        ))?
        .query_row([conversation.as_bytes()], |row| row::event(conversation, row))
}

/// The event that this author wrote with this key.
fn keyed(
    connection: &Connection,
    conversation: ConversationId,
    by: Option<&UserId>,
    key: &ClientKey,
) -> rusqlite::Result<Option<Event>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            event_columns!(),
            " FROM events WHERE conversation = ?1 AND author = ?2 AND key = ?3"
        ))?
        .query_row(params![conversation.as_bytes(), author_text(by), key.as_str()], |row| {
            row::event(conversation, row)
        })
        .optional()
}

fn seat(
    connection: &Connection,
    conversation: ConversationId,
    user: &UserId,
) -> rusqlite::Result<Option<Seat>> {
    connection
        .prepare_cached(
            "SELECT role, received, read, visible_from, barred FROM members
             WHERE conversation = ?1 AND user = ?2",
        )?
        .query_row(params![conversation.as_bytes(), user.as_str()], |row| {
            Ok(Seat {
                role: row::role(row, 0)?,
                marker: row::marker(row, 1, 2)?,
                visible_from: row::seq(row, 3)?,
                barred: row.get(4)?,
            })
        })
        .optional()
}

/// Whose message it is; `None`: there is none.
fn author(
    connection: &Connection,
    conversation: ConversationId,
    message: Seq,
) -> rusqlite::Result<Option<Option<UserId>>> {
    connection
        .prepare_cached(
            "SELECT author FROM events WHERE conversation = ?1 AND seq = ?2 AND message = 1",
        )?
        .query_row(params![conversation.as_bytes(), place(message)], |row| row::author(row, 0))
        .optional()
}

/// What this user has on a message.
fn reactions(
    connection: &Connection,
    conversation: ConversationId,
    message: Seq,
    user: &UserId,
) -> rusqlite::Result<BTreeSet<Emoji>> {
    connection
        .prepare_cached(
            "SELECT emoji FROM reactions WHERE conversation = ?1 AND message = ?2 AND user = ?3",
        )?
        .query_map(params![conversation.as_bytes(), place(message), user.as_str()], |row| {
            row::emoji(row, 0)
        })?
        .collect()
}

fn is_pinned(
    connection: &Connection,
    conversation: ConversationId,
    message: Seq,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM pins WHERE conversation = ?1 AND message = ?2")?
        .exists(params![conversation.as_bytes(), place(message)])
}

/// Members and owners; members only as far as it matters whether somebody remains after this batch.
fn counts(
    connection: &Connection,
    conversation: ConversationId,
    writes: usize,
) -> rusqlite::Result<(u64, u64)> {
    connection
        .prepare_cached(
            "SELECT
                (SELECT count(*) FROM (
                    SELECT 1 FROM members WHERE conversation = ?1 AND role IS NOT NULL LIMIT ?2)),
                (SELECT count(*) FROM members WHERE conversation = ?1 AND role = 'owner')",
        )?
        .query_row(params![conversation.as_bytes(), writes as i64 + 1], |row| {
            Ok((row::number(row, 0)?, row::number(row, 1)?))
        })
}

/// Whether there are more members than a summary shows the markers of.
fn is_crowd(connection: &Connection, conversation: ConversationId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM members WHERE conversation = ?1 AND role IS NOT NULL LIMIT 1 OFFSET ?2",
        )?
        .exists(params![conversation.as_bytes(), Summary::MARKERS_MAX as i64])
}

fn put(commit: &mut Commit<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let stamp = row::stamp(commit.stamp()?);
    let connection = commit.connection();
    for event in &changes.events {
        if event.seq == Seq::new(1)
            && let Body::Created { kind, title, .. } = &event.body
        {
            connection
                .prepare_cached(
                    "INSERT INTO conversations (id, kind, title, head, updated_at, changed)
                     VALUES (?1, ?2, ?3, 0, 0, 0)",
                )?
                .execute(params![
                    event.conversation.as_bytes(),
                    kind_text(*kind),
                    title.as_ref().map(Title::as_str),
                ])?;
        }
        insert(connection, event, stamp)?;
    }
    for (conversation, touched) in &changes.conversations {
        touch(connection, *conversation, touched, stamp)?;
    }
    for ((conversation, user), seated) in &changes.seats {
        take_seat(connection, *conversation, user, seated, stamp)?;
    }
    for ((conversation, message, user, emoji), there) in &changes.reactions {
        let sql = if *there {
            "INSERT INTO reactions (conversation, message, user, emoji) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM reactions
             WHERE conversation = ?1 AND message = ?2 AND user = ?3 AND emoji = ?4"
        };
        connection.prepare_cached(sql)?.execute(params![
            conversation.as_bytes(),
            place(*message),
            user.as_str(),
            emoji.as_str(),
        ])?;
    }
    for ((conversation, message), pinned) in &changes.pins {
        let sql = if *pinned {
            "INSERT INTO pins (conversation, message) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM pins WHERE conversation = ?1 AND message = ?2"
        };
        connection
            .prepare_cached(sql)?
            .execute(params![conversation.as_bytes(), place(*message)])?;
    }
    for ((conversation, name), link) in &changes.links {
        put_link(connection, *conversation, name, link.as_ref())?;
    }
    for (file, (conversation, message)) in &changes.files {
        files::attach(connection, *file, *conversation, *message)?;
    }
    for (conversation, message) in &changes.erased {
        erase(connection, *conversation, *message)?;
    }
    Ok(())
}

/// What the message said is gone with this commit, and from the file with the next time its log of
/// changes is taken up (`secure_delete`).
fn erase(
    connection: &Connection,
    conversation: ConversationId,
    message: Seq,
) -> rusqlite::Result<()> {
    let name = params![conversation.as_bytes(), place(message)];
    for sql in [
        r#"UPDATE events SET body = '{"type":"erased"}', message = 0
           WHERE conversation = ?1 AND seq = ?2"#,
        r#"UPDATE events SET body = '{"type":"erased"}', edits = NULL
           WHERE conversation = ?1 AND edits = ?2"#,
        "DELETE FROM reactions WHERE conversation = ?1 AND message = ?2",
        "UPDATE files SET state = 'gone', expires_at = 0
         WHERE conversation = ?1 AND message = ?2 AND state = 'attached'",
    ] {
        connection.prepare_cached(sql)?.execute(name)?;
    }
    Ok(())
}

fn insert(connection: &Connection, event: &Event, stamp: i64) -> rusqlite::Result<()> {
    let body = serde_json::to_string(&event.body)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    connection
        .prepare_cached(
            "INSERT INTO events (conversation, seq, stamp, at, author, key, message, body, edits)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            event.conversation.as_bytes(),
            place(event.seq),
            stamp,
            event.at.as_millis(),
            author_text(event.from.as_ref()),
            event.key.as_ref().map(ClientKey::as_str),
            event.body.counts_as_unread(),
            body,
            event.body.edits().map(place),
        ])?;
    Ok(())
}

fn touch(
    connection: &Connection,
    conversation: ConversationId,
    touched: &Touched,
    stamp: i64,
) -> rusqlite::Result<()> {
    let Touched { head, updated_at, title, topic, access, history } = touched;
    connection
        .prepare_cached(
            "UPDATE conversations
             SET head = ?2, updated_at = coalesce(?3, updated_at), title = coalesce(?4, title),
                 changed = ?5
             WHERE id = ?1",
        )?
        .execute(params![
            conversation.as_bytes(),
            place(*head),
            updated_at.map(|at| at.as_millis()),
            title.as_ref().map(Title::as_str),
            stamp,
        ])?;
    if let Some(topic) = topic {
        connection
            .prepare_cached("UPDATE conversations SET topic = ?2 WHERE id = ?1")?
            .execute(params![conversation.as_bytes(), topic.as_ref().map(Topic::as_str)])?;
    }
    if access.is_some() || history.is_some() {
        connection
            .prepare_cached(
                "UPDATE conversations
                 SET access = coalesce(?2, access), history = coalesce(?3, history) WHERE id = ?1",
            )?
            .execute(params![
                conversation.as_bytes(),
                access.map(access_text),
                history.map(history_text),
            ])?;
    }
    Ok(())
}

fn put_link(
    connection: &Connection,
    conversation: ConversationId,
    name: &LinkId,
    link: Option<&Link>,
) -> rusqlite::Result<()> {
    let Some(link) = link else {
        return connection
            .prepare_cached("DELETE FROM links WHERE conversation = ?1 AND link = ?2")?
            .execute(params![conversation.as_bytes(), name.as_str()])
            .map(|_| ());
    };
    connection
        .prepare_cached(
            "INSERT INTO links (conversation, link, made_by, made_at, expires_at, uses_max, uses)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (conversation, link) DO UPDATE
             SET made_by = excluded.made_by, made_at = excluded.made_at,
                 expires_at = excluded.expires_at, uses_max = excluded.uses_max,
                 uses = excluded.uses",
        )?
        .execute(params![
            conversation.as_bytes(),
            name.as_str(),
            author_text(link.by.as_ref()),
            link.at.as_millis(),
            link.expires_at.map(|at| at.as_millis()),
            link.uses_max,
            link.uses,
        ])
        .map(|_| ())
}

fn take_seat(
    connection: &Connection,
    conversation: ConversationId,
    user: &UserId,
    seated: &Seated,
    stamp: i64,
) -> rusqlite::Result<()> {
    let Seated { seat, role, since } = seated;
    let (received, read) = (place(seat.marker.received), place(seat.marker.read));
    if !role {
        // The indexes know nothing of markers.
        connection
            .prepare_cached(
                "UPDATE members SET received = ?3, read = ?4 WHERE conversation = ?1 AND user = ?2",
            )?
            .execute(params![conversation.as_bytes(), user.as_str(), received, read])?;
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO members
                 (conversation, user, role, received, read, since, visible_from, barred)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?8, ?9)
             ON CONFLICT (conversation, user) DO UPDATE
             SET role = excluded.role, received = excluded.received, read = excluded.read,
                 visible_from = excluded.visible_from, barred = excluded.barred,
                 since = CASE WHEN ?7 THEN excluded.since ELSE since END",
        )?
        .execute(params![
            conversation.as_bytes(),
            user.as_str(),
            seat.role.map(role_text),
            received,
            read,
            stamp,
            since,
            place(seat.visible_from),
            seat.barred,
        ])?;
    Ok(())
}
