//! What each [`Write`] does to the tables. Everything is checked before anything is changed, so a
//! refusal leaves nothing behind.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    row::{self, event_columns},
    writer::Commit,
};
use crate::{
    model::{Body, ClientKey, ConversationId, Event, Kind, Marker, Role, Seq, UserId},
    sabotage::{self, Defect},
    store::{
        Append, Mark, Open, Refusal, Write, Written,
        spelling::{author_text, kind_text, place, role_text},
    },
};

pub(super) fn apply(commit: &mut Commit<'_>, write: &Write) -> rusqlite::Result<Written> {
    match write {
        Write::Open(open) => self::open(commit, open),
        Write::Append(append) => self::append(commit, append),
        Write::Mark(mark) => self::mark(commit, mark),
    }
}

fn open(commit: &mut Commit<'_>, open: &Open) -> rusqlite::Result<Written> {
    let first = commit
        .connection()
        .prepare_cached(concat!(
            "SELECT ",
            event_columns!(),
            " FROM events WHERE conversation = ?1 AND seq = 1"
        ))?
        .query_row([open.conversation.as_bytes()], |row| row::event(open.conversation, row))
        .optional()?;
    if let Some(event) = first {
        return Ok(Written::Event { event, fresh: false });
    }

    let event = Event {
        conversation: open.conversation,
        seq: Seq::new(1),
        at: open.at,
        from: open.by.clone(),
        key: open.key.clone(),
        body: Body::Created {
            kind: open.kind,
            title: open.title.clone(),
            members: open.members.clone(),
        },
    };
    let stamp = row::stamp(commit.stamp()?);
    commit
        .connection()
        .prepare_cached(
            "INSERT INTO conversations (id, kind, title, head, updated_at, changed)
             VALUES (?1, ?2, ?3, 1, ?4, ?5)",
        )?
        .execute(params![
            open.conversation.as_bytes(),
            kind_text(open.kind),
            open.title.as_ref().map(|title| title.as_str()),
            open.at.as_millis(),
            stamp,
        ])?;
    let owner = match open.kind {
        Kind::Direct => None,
        Kind::Group => {
            open.by.as_ref().filter(|by| open.members.contains(by)).or(open.members.first())
        }
    };
    for user in &open.members {
        let role = if Some(user) == owner { Role::Owner } else { Role::Member };
        seat(commit, open.conversation, user, role)?;
    }
    insert(commit, &event)?;
    Ok(Written::Event { event, fresh: true })
}

fn append(commit: &mut Commit<'_>, append: &Append) -> rusqlite::Result<Written> {
    let Append { conversation, by, requires, key, at, body } = append;
    let found = commit
        .connection()
        .prepare_cached(
            "SELECT c.head, m.role FROM conversations c
             LEFT JOIN members m ON m.conversation = c.id AND m.user = ?2
             WHERE c.id = ?1",
        )?
        // Nobody is called '', so the system finds itself no member.
        .query_row(params![conversation.as_bytes(), author_text(by.as_ref())], |row| {
            Ok((row::seq(row, 0)?, row::role(row, 1)?))
        })
        .optional()?;
    let Some((head, role)) = found else {
        return Ok(Written::Refused(Refusal::NotMember));
    };
    if by.is_some() && role.is_none() {
        return Ok(Written::Refused(Refusal::NotMember));
    }
    if let Some(key) = key
        && let Some(event) = keyed(commit.connection(), *conversation, by.as_ref(), key)?
    {
        return Ok(if event.body == *body {
            Written::Event { event, fresh: false }
        } else {
            Written::Refused(Refusal::KeyConflict)
        });
    }
    if role.is_some_and(|role| role < *requires) {
        return Ok(Written::Refused(Refusal::NotOwner));
    }
    if let Some(refusal) = impossible(commit.connection(), *conversation, by.as_ref(), body)? {
        return Ok(Written::Refused(refusal));
    }

    let event = Event {
        conversation: *conversation,
        seq: head.next(),
        at: *at,
        from: by.clone(),
        key: key.clone(),
        body: body.clone(),
    };
    insert(commit, &event)?;
    let stamp = row::stamp(commit.stamp()?);
    commit
        .connection()
        .prepare_cached(
            "UPDATE conversations SET head = ?2, updated_at = ?3, changed = ?4 WHERE id = ?1",
        )?
        .execute(params![conversation.as_bytes(), place(event.seq), at.as_millis(), stamp])?;
    match body {
        Body::Added { users } => {
            for user in users {
                seat(commit, *conversation, user, Role::Member)?;
            }
        }
        Body::Removed { user } => vacate(commit, *conversation, user)?,
        Body::Left => {
            if let Some(user) = by {
                vacate(commit, *conversation, user)?;
            }
        }
        Body::Role { user, role } => {
            commit
                .connection()
                .prepare_cached(
                    "UPDATE members SET role = ?3 WHERE conversation = ?1 AND user = ?2",
                )?
                .execute(params![conversation.as_bytes(), user.as_str(), role_text(*role)])?;
        }
        Body::Title { title } => {
            commit
                .connection()
                .prepare_cached("UPDATE conversations SET title = ?2 WHERE id = ?1")?
                .execute(params![conversation.as_bytes(), title.as_str()])?;
        }
        Body::Created { .. } | Body::Message { .. } | Body::Other(_) => {}
    }
    Ok(Written::Event { event, fresh: true })
}

fn mark(commit: &mut Commit<'_>, mark: &Mark) -> rusqlite::Result<Written> {
    let found = commit
        .connection()
        .prepare_cached(
            "SELECT c.head, m.received, m.read FROM members m
             JOIN conversations c ON c.id = m.conversation
             WHERE m.conversation = ?1 AND m.user = ?2 AND m.role IS NOT NULL",
        )?
        .query_row(params![mark.conversation.as_bytes(), mark.user.as_str()], |row| {
            Ok((row::seq(row, 0)?, row::marker(row, 1, 2)?))
        })
        .optional()?;
    let Some((head, before)) = found else {
        return Ok(Written::Refused(Refusal::NotMember));
    };
    let before_that =
        if sabotage::on(Defect::MarkerLastWriterWins) { Marker::default() } else { before };
    let marker = before_that.merge(mark.marker, head);
    if marker == before {
        return Ok(Written::Marker { marker, moved: false });
    }
    let stamp = row::stamp(commit.stamp()?);
    commit
        .connection()
        .prepare_cached(
            "UPDATE members SET received = ?3, read = ?4 WHERE conversation = ?1 AND user = ?2",
        )?
        .execute(params![
            mark.conversation.as_bytes(),
            mark.user.as_str(),
            place(marker.received),
            place(marker.read),
        ])?;
    commit
        .connection()
        .prepare_cached("UPDATE conversations SET changed = ?2 WHERE id = ?1")?
        .execute(params![mark.conversation.as_bytes(), stamp])?;
    Ok(Written::Marker { marker, moved: true })
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

/// Why the change of membership that `body` means cannot be.
fn impossible(
    connection: &Connection,
    conversation: ConversationId,
    by: Option<&UserId>,
    body: &Body,
) -> rusqlite::Result<Option<Refusal>> {
    // Who it is about, and whether they stay and are an owner then.
    let (target, stays, owner) = match body {
        Body::Removed { user } => (Some(user), false, false),
        Body::Left => (by, false, false),
        Body::Role { user, role } => (Some(user), true, *role == Role::Owner),
        Body::Created { .. }
        | Body::Message { .. }
        | Body::Added { .. }
        | Body::Title { .. }
        | Body::Other(_) => return Ok(None),
    };
    let exists = |sql: &str| {
        connection
            .prepare_cached(sql)?
            .exists(params![conversation.as_bytes(), target.map(UserId::as_str)])
    };
    if !exists("SELECT 1 FROM members WHERE conversation = ?1 AND user = ?2 AND role IS NOT NULL")?
    {
        return Ok(Some(Refusal::NoSuchMember));
    }
    let an_owner_remains = owner
        || exists(
            "SELECT 1 FROM members WHERE conversation = ?1 AND user <> ?2 AND role = 'owner'",
        )?;
    let anybody_remains = stays
        || exists(
            "SELECT 1 FROM members WHERE conversation = ?1 AND user <> ?2 AND role IS NOT NULL",
        )?;
    Ok((anybody_remains && !an_owner_remains).then_some(Refusal::LastOwner))
}

fn insert(commit: &mut Commit<'_>, event: &Event) -> rusqlite::Result<()> {
    let body = serde_json::to_string(&event.body)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let stamp = row::stamp(commit.stamp()?);
    commit
        .connection()
        .prepare_cached(
            "INSERT INTO events (conversation, seq, stamp, at, author, key, message, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            event.conversation.as_bytes(),
            place(event.seq),
            stamp,
            event.at.as_millis(),
            author_text(event.from.as_ref()),
            event.key.as_ref().map(ClientKey::as_str),
            matches!(event.body, Body::Message { .. }),
            body,
        ])?;
    Ok(())
}

/// Makes a member, who keeps the marker they had; one who is a member already stays as they are.
fn seat(
    commit: &mut Commit<'_>,
    conversation: ConversationId,
    user: &UserId,
    role: Role,
) -> rusqlite::Result<()> {
    let stamp = row::stamp(commit.stamp()?);
    commit
        .connection()
        .prepare_cached(
            "INSERT INTO members (conversation, user, role, since) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (conversation, user) DO UPDATE
             SET role = excluded.role, since = excluded.since WHERE role IS NULL",
        )?
        .execute(params![conversation.as_bytes(), user.as_str(), role_text(role), stamp])?;
    Ok(())
}

fn vacate(
    commit: &mut Commit<'_>,
    conversation: ConversationId,
    user: &UserId,
) -> rusqlite::Result<()> {
    let stamp = row::stamp(commit.stamp()?);
    commit
        .connection()
        .prepare_cached(
            "UPDATE members SET role = NULL, since = ?3 WHERE conversation = ?1 AND user = ?2",
        )?
        .execute(params![conversation.as_bytes(), user.as_str(), stamp])?;
    Ok(())
}
