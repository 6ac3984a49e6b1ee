//! The queries. Each runs on one snapshot, so what it answers fits together.

use std::num::NonZeroU16;

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::row::{self, event_columns};
use crate::{
    model::{
        ConversationId, Edit, Epoch, Event, Kind, Marker, Member, Membership, Memberships,
        MessageState, Reaction, Receipts, Seq, Summary, Timestamp, UserId,
    },
    store::{
        Checkpoint, Events, Heads, Only, Page,
        checkpoint::Stamps,
        spelling::{Span, place},
    },
};

/// For whom something is read; the owned twin of [`Reader`](crate::store::Reader).
#[derive(Debug, Clone)]
pub(super) enum For {
    User(UserId),
    System,
}

pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    connection.prepare_cached("SELECT epoch FROM life")?.query_row((), |row| row::epoch(row, 0))
}

/// The spelling of checkpoints in this life, and the number of the last commit.
fn moment(connection: &Connection) -> rusqlite::Result<(Stamps, u64)> {
    connection
        .prepare_cached("SELECT epoch, stamp FROM life")?
        .query_row((), |row| Ok((Stamps::of(&row::epoch(row, 0)?), row::number(row, 1)?)))
}

pub(super) fn heads(
    connection: &Connection,
    mut asked: Vec<ConversationId>,
) -> rusqlite::Result<Heads> {
    asked.sort_unstable();
    asked.dedup();
    let mut statement =
        connection.prepare_cached("SELECT head FROM conversations WHERE id = ?1")?;
    let mut heads = Vec::with_capacity(asked.len());
    for conversation in asked {
        let head =
            statement.query_row([conversation.as_bytes()], |row| row::seq(row, 0)).optional()?;
        heads.extend(head.map(|head| (conversation, head)));
    }
    let (stamps, last) = moment(connection)?;
    Ok(Heads { heads, checkpoint: stamps.checkpoint(last) })
}

pub(super) fn memberships(
    connection: &Connection,
    user: &UserId,
    since: Option<&Checkpoint>,
) -> rusqlite::Result<Memberships> {
    let since = match since {
        Some(checkpoint) => {
            let (stamps, last) = moment(connection)?;
            stamps.stamp(checkpoint, last)
        }
        None => None,
    };
    let mut seats = connection.prepare_cached(
        "SELECT m.conversation, m.role, m.since, c.head, c.changed FROM members m
         JOIN conversations c ON c.id = m.conversation
         WHERE m.user = ?1 AND (m.role IS NOT NULL OR m.since > ?2)",
    )?;
    let mut memberships = Memberships::default();
    // Without a checkpoint nothing is after it.
    let mut rows = seats.query(params![user.as_str(), since.map_or(i64::MAX, row::stamp)])?;
    while let Some(row) = rows.next()? {
        let conversation = row::conversation(row, 0)?;
        if row::role(row, 1)?.is_none() {
            memberships.left.push(conversation);
            continue;
        }
        let came = row::number(row, 2)?;
        let head = row::seq(row, 3)?;
        let changed = row::number(row, 4)?;
        let changed_since = match since {
            None => None,
            Some(since) if changed <= since => None,
            // Who came after the checkpoint has seen nothing of it yet.
            Some(since) if came > since => Some(Seq::ZERO),
            Some(since) => Some(head_at(connection, conversation, head, since)?),
        };
        memberships.current.push(Membership { conversation, head, changed_since });
    }
    Ok(memberships)
}

/// The last number that was there when the commit with this number was done. Both grow together, so
/// it is looked for from the head back in doubling steps: what that takes grows with the logarithm of
/// what came since.
fn head_at(
    connection: &Connection,
    conversation: ConversationId,
    head: Seq,
    since: u64,
) -> rusqlite::Result<Seq> {
    let mut stamp_of = connection
        .prepare_cached("SELECT stamp FROM events WHERE conversation = ?1 AND seq = ?2")?;
    let mut is_later = |seq: u64| -> rusqlite::Result<bool> {
        let stamp = stamp_of
            .query_row(params![conversation.as_bytes(), place(Seq::new(seq))], |row| {
                row::number(row, 0)
            })
            .optional()?;
        // What is not there is nothing that came since.
        Ok(stamp.is_some_and(|stamp| stamp > since))
    };
    // Whatever is at `later` or above came since, and nothing up to `then`.
    let (mut then, mut later, mut step) = (0, head.get() + 1, 1_u64);
    while then + 1 < later {
        let probe = if step < later - then { later - step } else { then + (later - then) / 2 };
        if is_later(probe)? {
            later = probe;
            step = step.saturating_mul(2);
        } else {
            then = probe;
            // Between two known places: halves from here on.
            step = u64::MAX;
        }
    }
    Ok(Seq::new(then))
}

pub(super) fn moved(
    connection: &Connection,
    mut users: Vec<UserId>,
    since: &Checkpoint,
) -> rusqlite::Result<Vec<UserId>> {
    let (stamps, last) = moment(connection)?;
    let Some(since) = stamps.stamp(since, last).map(row::stamp) else { return Ok(users) };
    let mut later =
        connection.prepare_cached("SELECT 1 FROM members WHERE user = ?1 AND since > ?2")?;
    let mut failed = None;
    users.retain(|user| {
        later.exists(params![user.as_str(), since]).unwrap_or_else(|why| {
            failed = Some(why);
            false
        })
    });
    match failed {
        None => Ok(users),
        Some(why) => Err(why),
    }
}

/// Whether the conversation exists and this reader may see it.
fn readable(
    connection: &Connection,
    reader: &For,
    conversation: ConversationId,
) -> rusqlite::Result<bool> {
    match reader {
        For::User(user) => connection
            .prepare_cached(
                "SELECT 1 FROM members
                 WHERE conversation = ?1 AND user = ?2 AND role IS NOT NULL",
            )?
            .exists(params![conversation.as_bytes(), user.as_str()]),
        For::System => connection
            .prepare_cached("SELECT 1 FROM conversations WHERE id = ?1")?
            .exists([conversation.as_bytes()]),
    }
}

pub(super) fn read(
    connection: &Connection,
    reader: &For,
    conversation: ConversationId,
    after: Seq,
    upto: Seq,
    limit: NonZeroU16,
) -> rusqlite::Result<Option<Vec<Event>>> {
    if !readable(connection, reader, conversation)? {
        return Ok(None);
    }
    connection
        .prepare_cached(concat!(
            "SELECT ",
            event_columns!(),
            " FROM events WHERE conversation = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4"
        ))?
        .query_map(
            params![conversation.as_bytes(), place(after), place(upto), limit.get()],
            |row| row::event(conversation, row),
        )?
        .collect::<rusqlite::Result<_>>()
        .map(Some)
}

/// The events before a border and those from it on, the nearest first.
macro_rules! sides {
    ($only:literal) => {
        (
            concat!(
                "SELECT ",
                event_columns!(),
                " FROM events WHERE conversation = ?1 AND seq < ?2 ",
                $only,
                " ORDER BY seq DESC LIMIT ?3"
            ),
            concat!(
                "SELECT ",
                event_columns!(),
                " FROM events WHERE conversation = ?1 AND seq >= ?2 ",
                $only,
                " ORDER BY seq LIMIT ?3"
            ),
        )
    };
}

pub(super) fn page(
    connection: &Connection,
    reader: &For,
    conversation: ConversationId,
    page: Page,
    only: Only,
    limit: NonZeroU16,
) -> rusqlite::Result<Option<Events>> {
    if !readable(connection, reader, conversation)? {
        return Ok(None);
    }
    let Span { border, before, after } = Span::of(page, limit);
    let (older, newer) = match only {
        Only::Everything => sides!(""),
        Only::Messages => sides!("AND message = 1"),
        Only::Pinned => {
            sides!("AND seq IN (SELECT message FROM pins WHERE conversation = ?1)")
        }
        Only::EditsOf(_) => sides!("AND edits = ?4"),
    };
    let edited = match only {
        Only::EditsOf(message) => Some(place(message)),
        Only::Everything | Only::Messages | Only::Pinned => None,
    };
    let some = |sql: &str, wanted: usize| -> rusqlite::Result<(Vec<Event>, bool)> {
        // One more than wanted tells whether there are more.
        let wanted_sql = wanted as i64 + 1;
        let mut params: Vec<&dyn ToSql> = vec![conversation.as_bytes(), &border, &wanted_sql];
        if let Some(edited) = &edited {
            params.push(edited);
        }
        let mut events: Vec<_> = connection
            .prepare_cached(sql)?
            .query_map(&params[..], |row| row::event(conversation, row))?
            .collect::<rusqlite::Result<_>>()?;
        let more = events.len() > wanted;
        events.truncate(wanted);
        Ok((events, more))
    };
    let (mut events, more_before) = some(older, before)?;
    events.reverse();
    let (newer, more_after) = some(newer, after)?;
    events.extend(newer);
    let mut states = Vec::new();
    for event in events.iter().filter(|_| only.are_messages()) {
        states.extend(state(connection, reader, conversation, event.seq)?);
    }
    let head = connection
        .prepare_cached("SELECT head FROM conversations WHERE id = ?1")?
        .query_row([conversation.as_bytes()], |row| row::seq(row, 0))?;
    Ok(Some(Events { events, more_before, more_after, states, head }))
}

/// What has become of a message, if anything has.
fn state(
    connection: &Connection,
    reader: &For,
    conversation: ConversationId,
    message: Seq,
) -> rusqlite::Result<Option<MessageState>> {
    let viewer = match reader {
        For::User(user) => user.as_str(),
        For::System => "",
    };
    let name = (conversation.as_bytes(), place(message));
    let reactions: Vec<Reaction> = connection
        .prepare_cached(
            "SELECT emoji, count(*), max(user = ?3) FROM reactions
             WHERE conversation = ?1 AND message = ?2 GROUP BY emoji ORDER BY emoji",
        )?
        .query_map(params![name.0, name.1, viewer], |row| {
            let (count, mine) = (row::number(row, 1)?, row.get(2)?);
            Ok(Reaction { emoji: row::emoji(row, 0)?, count, mine })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let pinned = connection
        .prepare_cached("SELECT 1 FROM pins WHERE conversation = ?1 AND message = ?2")?
        .exists(params![name.0, name.1])?;
    let edit = last_edit(connection, conversation, message)?;
    let anything = edit.is_some() || !reactions.is_empty() || pinned;
    Ok(anything.then_some(MessageState { message, edit, reactions, pinned }))
}

pub(super) fn conversations(
    connection: &Connection,
    user: &UserId,
    after: Option<(Timestamp, ConversationId)>,
    limit: NonZeroU16,
) -> rusqlite::Result<Vec<Summary>> {
    let page: Vec<ConversationId> = connection
        .prepare_cached(
            "SELECT c.id FROM members m JOIN conversations c ON c.id = m.conversation
             WHERE m.user = ?1 AND m.role IS NOT NULL
               AND (?2 IS NULL OR (c.updated_at, c.id) < (?2, ?3))
             ORDER BY c.updated_at DESC, c.id DESC LIMIT ?4",
        )?
        .query_map(
            params![
                user.as_str(),
                after.map(|(at, _)| at.as_millis()),
                after.as_ref().map(|(_, id)| id.as_bytes()),
                limit.get(),
            ],
            |row| row::conversation(row, 0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let mut summaries = Vec::with_capacity(page.len());
    for id in page {
        summaries.extend(conversation(connection, user, id)?);
    }
    Ok(summaries)
}

pub(super) fn conversation(
    connection: &Connection,
    user: &UserId,
    conversation: ConversationId,
) -> rusqlite::Result<Option<Summary>> {
    let id = conversation.as_bytes();
    let found = connection
        .prepare_cached(
            "SELECT c.kind, c.title, m.role, c.head, m.received, m.read, c.updated_at, c.topic
             FROM members m JOIN conversations c ON c.id = m.conversation
             WHERE m.conversation = ?1 AND m.user = ?2 AND m.role IS NOT NULL",
        )?
        .query_row(params![id, user.as_str()], |row| {
            let summary = |role| -> rusqlite::Result<Summary> {
                Ok(Summary {
                    conversation,
                    kind: row::kind(row, 0)?,
                    title: row::title(row, 1)?,
                    topic: row::topic(row, 7)?,
                    other: None,
                    role,
                    member_count: 0,
                    head: row::seq(row, 3)?,
                    marker: row::marker(row, 4, 5)?,
                    unread: 0,
                    updated_at: Timestamp::from_millis(row.get(6)?),
                    last: None,
                    last_edit: None,
                    markers: Vec::new(),
                })
            };
            row::role(row, 2)?.map(summary).transpose()
        })
        .optional()?
        .flatten();
    let Some(mut summary) = found else {
        return Ok(None);
    };

    summary.markers = markers(connection, conversation)?;
    summary.member_count = summary.markers.len() as u64;
    if summary.markers.len() > Summary::MARKERS_MAX {
        summary.markers.clear();
        summary.member_count = connection
            .prepare_cached(
                "SELECT count(*) FROM members WHERE conversation = ?1 AND role IS NOT NULL",
            )?
            .query_row([id], |row| row::number(row, 0))?;
    }
    summary.unread = connection
        .prepare_cached(
            "SELECT count(*) FROM events
             WHERE conversation = ?1 AND seq > ?2 AND author <> ?3 AND message = 1",
        )?
        .query_row(params![id, place(summary.marker.read), user.as_str()], |row| {
            row::number(row, 0)
        })?;
    summary.last = connection
        .prepare_cached(concat!(
            "SELECT ",
            event_columns!(),
            " FROM events WHERE conversation = ?1 AND message = 1 ORDER BY seq DESC LIMIT 1"
        ))?
        .query_row([id], |row| row::event(conversation, row))
        .optional()?;
    if let Some(last) = &summary.last {
        summary.last_edit = last_edit(connection, conversation, last.seq)?;
    }
    if summary.kind == Kind::Direct {
        let other = connection
            .prepare_cached(
                "SELECT user FROM members WHERE conversation = ?1 AND user <> ?2 LIMIT 1",
            )?
            .query_row(params![id, user.as_str()], |row| row::user(row, 0))
            .optional()?;
        // Who talks to themselves is their own other side.
        summary.other = Some(other.unwrap_or_else(|| user.clone()));
    }
    Ok(Some(summary))
}

/// What a message says in place of what it said.
fn last_edit(
    connection: &Connection,
    conversation: ConversationId,
    message: Seq,
) -> rusqlite::Result<Option<Edit>> {
    let edit = connection
        .prepare_cached(
            "SELECT seq, at, body FROM events
             WHERE conversation = ?1 AND edits = ?2 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![conversation.as_bytes(), place(message)], |row| {
            Ok((row::seq(row, 0)?, Timestamp::from_millis(row.get(1)?), row::body(row, 2)?))
        })
        .optional()?;
    Ok(edit.and_then(|(seq, at, body)| body.into_edit(seq, at)))
}

/// The markers of the members, one more than a summary shows.
fn markers(
    connection: &Connection,
    conversation: ConversationId,
) -> rusqlite::Result<Vec<(UserId, Marker)>> {
    connection
        .prepare_cached(
            "SELECT user, received, read FROM members
             WHERE conversation = ?1 AND role IS NOT NULL ORDER BY user LIMIT ?2",
        )?
        .query_map(params![conversation.as_bytes(), Summary::MARKERS_MAX as i64 + 1], |row| {
            Ok((row::user(row, 0)?, row::marker(row, 1, 2)?))
        })?
        .collect()
}

pub(super) fn members(
    connection: &Connection,
    reader: &For,
    conversation: ConversationId,
    after: Option<&UserId>,
    limit: NonZeroU16,
) -> rusqlite::Result<Option<Vec<Member>>> {
    if !readable(connection, reader, conversation)? {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT user, role, received, read FROM members
         WHERE conversation = ?1 AND user > ?2 AND role IS NOT NULL ORDER BY user LIMIT ?3",
    )?;
    // Everybody's name comes after ''.
    let after = after.map_or("", UserId::as_str);
    let mut rows = statement.query(params![conversation.as_bytes(), after, limit.get()])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let (user, role) = (row::user(row, 0)?, row::role(row, 1)?);
        let marker = row::marker(row, 2, 3)?;
        members.extend(role.map(|role| Member { user, role, marker }));
    }
    Ok(Some(members))
}

pub(super) fn receipts(
    connection: &Connection,
    reader: &For,
    conversation: ConversationId,
    upto: Seq,
) -> rusqlite::Result<Option<Receipts>> {
    if !readable(connection, reader, conversation)? {
        return Ok(None);
    }
    // Nobody's name is ''.
    let without = match reader {
        For::User(user) => user.as_str(),
        For::System => "",
    };
    connection
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE received >= ?2),
                count(*) FILTER (WHERE read >= ?2)
             FROM members WHERE conversation = ?1 AND role IS NOT NULL AND user <> ?3",
        )?
        .query_row(params![conversation.as_bytes(), place(upto), without], |row| {
            let (members, received) = (row::number(row, 0)?, row::number(row, 1)?);
            Ok(Receipts { members, received, read: row::number(row, 2)? })
        })
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_stamp_stands_is_found_whatever_was_written_together() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE events (conversation BLOB, seq INTEGER, stamp INTEGER)")
            .unwrap();
        let conversation = ConversationId::from_bytes([7; 16]);
        // Some commits of several events, and some that were of other conversations.
        let mut stamps = Vec::new();
        for (commit, events) in (3..).step_by(2).zip([1, 4, 1, 1, 9, 2, 1, 17, 3]) {
            stamps.extend(std::iter::repeat_n(commit, events));
        }
        for (seq, stamp) in (1_usize..).zip(&stamps) {
            connection
                .execute(
                    "INSERT INTO events VALUES (?1, ?2, ?3)",
                    params![conversation.as_bytes(), seq as i64, row::stamp(*stamp)],
                )
                .unwrap();
            for since in 0..=stamp + 1 {
                let expected = stamps[..seq].iter().filter(|stamp| **stamp <= since).count();
                let head = Seq::new(seq as u64);
                let found = head_at(&connection, conversation, head, since).unwrap();
                assert_eq!(found, Seq::new(expected as u64), "since {since} of {head:?}");
            }
        }
    }
}
