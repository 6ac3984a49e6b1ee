//! The queries. Each is one statement, so what it answers is of one moment: who may read is asked
//! in the same one as what is read.

use std::num::NonZeroU16;

use tokio_postgres::{Row, types::ToSql};

use super::{
    error::defect,
    life::{Flushed, MOMENT_COLUMNS, Moment, moment_columns},
    row::{self, event_columns, link_columns, listing_columns},
};
use crate::{
    model::{
        ConversationId, Edit, Emoji, Event, Kind, LinkId, Marker, Member, Membership, Memberships,
        MessageState, Reaction, Receipts, Seq, Summary, Timestamp, Title, UserId,
    },
    store::{
        Checkpoint, Events, Heads, Only, Page, Reader, StoreError, checkpoint,
        spelling::{Span, place},
    },
};

/// How far back from the head the event before a checkpoint is looked for. Who missed more is told
/// that they missed all of it.
macro_rules! look_back {
    () => {
        "4096"
    };
}

/// Whether the conversation $1 exists and the reader $2 may see it, and from where on; the system is
/// called ''.
macro_rules! readable {
    () => {
        "SELECT v.place IS NOT NULL AS readable, v.place AS visible_from
        FROM (SELECT CASE WHEN $2::text = ''
            THEN (SELECT 1::bigint FROM {schema}.chat_conversations WHERE id = $1)
            ELSE (SELECT visible_from FROM {schema}.chat_members
                WHERE conversation = $1 AND member = $2 AND role IS NOT NULL)
            END AS place) v"
    };
}

/// A statement and its parameters.
pub(super) struct Query {
    pub(super) sql: &'static str,
    pub(super) params: Vec<Box<dyn ToSql + Send + Sync>>,
}

/// Puts a statement and its parameters together.
macro_rules! query {
    ($sql:expr $(, $param:expr)* $(,)?) => {
        Query { sql: $sql, params: vec![$(Box::new($param)),*] }
    };
}
pub(super) use query;

pub(super) fn heads(asked: &[ConversationId]) -> Query {
    let asked: Vec<_> = asked.iter().copied().map(row::id).collect();
    query!(
        concat!(
            "SELECT ",
            moment_columns!(),
            ", c.id, c.head, c.changed FROM {schema}.chat_life l
            LEFT JOIN {schema}.chat_conversations c ON c.id = ANY($1::uuid[])"
        ),
        asked,
    )
}

pub(super) fn heads_of(rows: &[Row], flushed: &Flushed) -> Result<Heads, StoreError> {
    let moment = Moment::of(rows)?;
    let mut heads = Vec::with_capacity(rows.len());
    for row in rows {
        if row::get::<Option<uuid::Uuid>>(row, MOMENT_COLUMNS)?.is_some() {
            let head = row::seq(row, MOMENT_COLUMNS + 1)?;
            heads.push((row::conversation(row, MOMENT_COLUMNS)?, head));
            flushed.saw(row::number(row, MOMENT_COLUMNS + 2)?);
        }
    }
    Ok(Heads { heads, checkpoint: moment.checkpoint(flushed) })
}

pub(super) fn memberships(user: &UserId, since: Option<&Checkpoint>) -> Query {
    // Nothing has the largest stamp there is, or a larger one.
    let stamp = since.and_then(checkpoint::number).and_then(|stamp| i64::try_from(stamp).ok());
    query!(
        concat!(
            "SELECT ",
            moment_columns!(),
            ", m.conversation, m.role IS NOT NULL, m.since, c.head, c.changed, before.seq
            FROM {schema}.chat_life l
            LEFT JOIN {schema}.chat_members m
                ON m.member = $1 AND (m.role IS NOT NULL OR m.since >= $2)
            LEFT JOIN {schema}.chat_conversations c ON c.id = m.conversation
            LEFT JOIN LATERAL (
                SELECT e.seq FROM {schema}.chat_events e
                WHERE e.conversation = m.conversation AND e.seq > c.head - ",
            look_back!(),
            "   AND e.stamp < $2 AND c.changed >= $2 AND m.since < $2
                ORDER BY e.seq DESC LIMIT 1) before ON true"
        ),
        user.as_str().to_owned(),
        stamp.unwrap_or(i64::MAX),
    )
}

pub(super) fn memberships_of(
    rows: &[Row],
    since: Option<&Checkpoint>,
    flushed: &Flushed,
) -> Result<Memberships, StoreError> {
    let moment = Moment::of(rows)?;
    let since = since.and_then(|since| moment.stamp(since));
    let mut memberships = Memberships::default();
    for row in rows {
        let at = MOMENT_COLUMNS;
        if row::get::<Option<uuid::Uuid>>(row, at)?.is_none() {
            continue;
        }
        let conversation = row::conversation(row, at)?;
        let member: bool = row::get(row, at + 1)?;
        let came_or_went = row::number(row, at + 2)?;
        if !member {
            // Also those of another life's checkpoint were looked for.
            if since.is_some_and(|since| came_or_went >= since) {
                memberships.left.push(conversation);
            }
            continue;
        }
        let head = row::seq(row, at + 3)?;
        let changed = row::number(row, at + 4)?;
        flushed.saw(changed);
        // Nothing is found before the checkpoint for who came after it: everything is new to them.
        let before = row::get::<Option<i64>>(row, at + 5)?;
        let before = before.map(|_| row::seq(row, at + 5)).transpose()?.unwrap_or(Seq::ZERO);
        let changed_since = since.filter(|since| changed >= *since).map(|_| before);
        memberships.current.push(Membership { conversation, head, changed_since });
    }
    Ok(memberships)
}

pub(super) fn moved(users: &[UserId], since: &Checkpoint) -> Query {
    let users: Vec<_> = users.iter().map(|user| user.as_str().to_owned()).collect();
    let stamp = checkpoint::number(since).and_then(|stamp| i64::try_from(stamp).ok());
    query!(
        concat!(
            "SELECT ",
            moment_columns!(),
            ", m.member FROM {schema}.chat_life l
            LEFT JOIN LATERAL (
                SELECT DISTINCT member FROM {schema}.chat_members
                WHERE member = ANY($1::text[]) AND since >= $2) m ON true"
        ),
        users,
        stamp.unwrap_or(i64::MAX),
    )
}

pub(super) fn moved_of(
    rows: &[Row],
    users: &[UserId],
    since: &Checkpoint,
) -> Result<Vec<UserId>, StoreError> {
    let moment = Moment::of(rows)?;
    if moment.stamp(since).is_none() {
        return Ok(users.to_vec());
    }
    let mut moved = Vec::new();
    for row in rows {
        if row::get::<Option<&str>>(row, MOMENT_COLUMNS)?.is_some() {
            moved.push(row::user(row, MOMENT_COLUMNS)?);
        }
    }
    Ok(moved)
}

fn reader_text(reader: Reader<'_>) -> String {
    match reader {
        Reader::User(user) => user.as_str().to_owned(),
        Reader::System => String::new(),
    }
}

pub(super) fn read(
    reader: Reader<'_>,
    conversation: ConversationId,
    after: Seq,
    upto: Seq,
    limit: NonZeroU16,
) -> Query {
    query!(
        concat!(
            "SELECT r.readable, e.seq IS NOT NULL, ",
            event_columns!(),
            " FROM (",
            readable!(),
            ") r
            LEFT JOIN LATERAL (
                SELECT * FROM {schema}.chat_events e
                WHERE r.readable AND e.conversation = $1 AND e.seq > $3 AND e.seq <= $4
                    AND e.seq >= r.visible_from
                ORDER BY e.seq LIMIT $5) e ON true
            ORDER BY e.seq"
        ),
        row::id(conversation),
        reader_text(reader),
        place(after),
        place(upto),
        i64::from(limit.get()),
    )
}

pub(super) fn read_of(
    rows: &[Row],
    conversation: ConversationId,
) -> Result<Option<Vec<Event>>, StoreError> {
    readable(rows)?
        .map(|rows| rows.iter().map(|row| row::event(conversation, row, 2)).collect())
        .transpose()
}

/// What may be read. The first column says whether anything may, the second whether there is
/// anything in the row.
fn readable(rows: &[Row]) -> Result<Option<&[Row]>, StoreError> {
    let first = rows.first().ok_or_else(|| defect("a query without an answer"))?;
    if !row::get::<bool>(first, 0)? {
        return Ok(None);
    }
    Ok(Some(if row::get(first, 1)? { rows } else { &[] }))
}

macro_rules! page_sql {
    ($only:literal, $columns:literal, $states:literal) => {
        concat!(
            "SELECT r.readable, e.seq IS NOT NULL, ",
            event_columns!(),
            ", e.seq < $3, (SELECT c.head FROM {schema}.chat_conversations c WHERE c.id = $1)",
            $columns,
            " FROM (",
            readable!(),
            ") r
            LEFT JOIN LATERAL (
                (SELECT * FROM {schema}.chat_events o
                WHERE r.readable AND o.conversation = $1 AND o.seq < $3
                    AND o.seq >= r.visible_from",
            $only,
            "   ORDER BY o.seq DESC LIMIT $4)
                UNION ALL
                (SELECT * FROM {schema}.chat_events o
                WHERE r.readable AND o.conversation = $1 AND o.seq >= $3
                    AND o.seq >= r.visible_from",
            $only,
            "   ORDER BY o.seq LIMIT $5)) e ON true ",
            $states,
            "ORDER BY e.seq"
        )
    };
}

/// What has become of each message, in the same statement, so that it fits the head.
macro_rules! messages_sql {
    ($only:literal) => {
        page_sql!(
            $only,
            ", p.message IS NOT NULL, d.seq, d.at, d.body, m.emojis, m.counts, m.mine",
            "LEFT JOIN {schema}.chat_pins p ON p.conversation = $1 AND p.message = e.seq
            LEFT JOIN LATERAL (
                SELECT x.seq, x.at, x.body FROM {schema}.chat_events x
                WHERE x.conversation = $1 AND x.edits = e.seq ORDER BY x.seq DESC LIMIT 1) d ON true
            LEFT JOIN LATERAL (
                SELECT array_agg(g.emoji ORDER BY g.emoji) AS emojis,
                    array_agg(g.count ORDER BY g.emoji) AS counts,
                    array_agg(g.mine ORDER BY g.emoji) AS mine
                FROM (SELECT c.emoji, count(*) AS count, bool_or(c.member = $2) AS mine
                    FROM {schema}.chat_reactions c
                    WHERE c.conversation = $1 AND c.message = e.seq GROUP BY c.emoji) g) m ON true "
        )
    };
}

pub(super) fn page(
    reader: Reader<'_>,
    conversation: ConversationId,
    page: Page,
    only: Only,
    limit: NonZeroU16,
) -> Query {
    let Span { border, before, after } = Span::of(page, limit);
    let mut query = query!(
        match only {
            Only::Everything => page_sql!(" ", "", ""),
            Only::Messages => messages_sql!(" AND o.message "),
            Only::Pinned => messages_sql!(
                " AND o.seq IN (SELECT i.message FROM {schema}.chat_pins i WHERE i.conversation = $1) "
            ),
            Only::EditsOf(_) => page_sql!(" AND o.edits = $6 ", "", ""),
        },
        row::id(conversation),
        reader_text(reader),
        border,
        // One more than wanted tells whether there are more.
        before as i64 + 1,
        after as i64 + 1,
    );
    if let Only::EditsOf(message) = only {
        query.params.push(Box::new(place(message)));
    }
    query
}

pub(super) fn page_of(
    rows: &[Row],
    conversation: ConversationId,
    page: Page,
    only: Only,
    limit: NonZeroU16,
) -> Result<Option<Events>, StoreError> {
    let head: Option<i64> = rows.first().map_or(Ok(None), |row| row::get(row, 8))?;
    let Span { border: _, before, after } = Span::of(page, limit);
    let Some(rows) = readable(rows)? else {
        return Ok(None);
    };
    let (mut older, mut newer, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let side = if row::get(row, 7)? { &mut older } else { &mut newer };
        side.push(row::event(conversation, row, 2)?);
        if only.are_messages() {
            states.extend(state_of(row)?);
        }
    }
    let (more_before, more_after) = (older.len() > before, newer.len() > after);
    newer.truncate(after);
    let events = older.split_off(older.len().saturating_sub(before)).into_iter().chain(newer);
    let events: Vec<Event> = events.collect();
    let shown = |message: Seq| events.binary_search_by_key(&message, |event| event.seq).is_ok();
    states.retain(|state| shown(state.message));
    let head = row::unsigned(head.unwrap_or_default()).map(Seq::new)?;
    Ok(Some(Events { events, more_before, more_after, states, head }))
}

/// What has become of the message in this row, if anything has.
fn state_of(row: &Row) -> Result<Option<MessageState>, StoreError> {
    let pinned = row::get(row, 9)?;
    let edit = match row::get::<Option<i64>>(row, 10)? {
        None => None,
        Some(_) => edit_of(row, 10)?,
    };
    let emojis: Vec<String> = row::get::<Option<_>>(row, 13)?.unwrap_or_default();
    let counts: Vec<i64> = row::get::<Option<_>>(row, 14)?.unwrap_or_default();
    let mine: Vec<bool> = row::get::<Option<_>>(row, 15)?.unwrap_or_default();
    let mut reactions = Vec::with_capacity(emojis.len());
    for ((emoji, count), mine) in emojis.into_iter().zip(counts).zip(mine) {
        let emoji = Emoji::new(emoji).map_err(defect)?;
        reactions.push(Reaction { emoji, count: row::unsigned(count)?, mine });
    }
    let anything = pinned || edit.is_some() || !reactions.is_empty();
    let message = row::seq(row, 2)?;
    Ok(anything.then_some(MessageState { message, edit, reactions, pinned }))
}

/// From three columns: its place, its time, its body.
fn edit_of(row: &Row, from: usize) -> Result<Option<Edit>, StoreError> {
    let (seq, at) = (row::seq(row, from)?, Timestamp::from_millis(row::get(row, from + 1)?));
    Ok(row::body(row, from + 2)?.into_edit(seq, at))
}

/// Summaries of the conversations that `p` names. Counting and looking up is done for these few
/// only, and in the same statement, so that a summary fits together.
macro_rules! summaries {
    ($places:literal, $order:literal) => {
        concat!(
            "SELECT p.id, p.kind, p.title, p.role, p.head, p.received, p.read, p.updated_at,
                marks.users, marks.received, marks.read,
                CASE WHEN cardinality(marks.users) <= $2::bigint THEN cardinality(marks.users)::bigint
                    ELSE (SELECT count(*) FROM {schema}.chat_members n
                        WHERE n.conversation = p.id AND n.role IS NOT NULL) END,
                (SELECT count(*) FROM {schema}.chat_events u
                    WHERE u.conversation = p.id AND u.seq > p.read AND u.seq >= p.visible_from
                        AND u.author <> $1 AND u.message),
                CASE WHEN p.kind = 'direct' THEN (SELECT o.member FROM {schema}.chat_members o
                    WHERE o.conversation = p.id AND o.member <> $1 LIMIT 1) END,
                e.seq IS NOT NULL, ",
            event_columns!(),
            ", d.seq, d.at, d.body, p.topic, p.access, p.history, p.visible_from FROM (",
            $places,
            ") p
            CROSS JOIN LATERAL (
                SELECT array_agg(n.member ORDER BY n.member) AS users,
                    array_agg(n.received ORDER BY n.member) AS received,
                    array_agg(n.read ORDER BY n.member) AS read
                FROM (SELECT m.member, m.received, m.read FROM {schema}.chat_members m
                    WHERE m.conversation = p.id AND m.role IS NOT NULL
                    ORDER BY m.member LIMIT $2::bigint + 1) n) marks
            LEFT JOIN LATERAL (SELECT * FROM {schema}.chat_events l
                WHERE l.conversation = p.id AND l.message AND l.seq >= p.visible_from
                ORDER BY l.seq DESC LIMIT 1) e ON true
            LEFT JOIN LATERAL (SELECT x.seq, x.at, x.body FROM {schema}.chat_events x
                WHERE x.conversation = p.id AND x.edits = e.seq
                ORDER BY x.seq DESC LIMIT 1) d ON true ",
            $order
        )
    };
}

pub(super) fn conversations(
    user: &UserId,
    after: Option<(Timestamp, ConversationId)>,
    limit: NonZeroU16,
) -> Query {
    query!(
        summaries!(
            "SELECT c.*, m.role, m.received, m.read, m.visible_from
            FROM {schema}.chat_members m
            JOIN {schema}.chat_conversations c ON c.id = m.conversation
            WHERE m.member = $1 AND m.role IS NOT NULL
                AND ($3::bigint IS NULL OR (c.updated_at, c.id) < ($3, $4::uuid))
            ORDER BY c.updated_at DESC, c.id DESC LIMIT $5",
            "ORDER BY p.updated_at DESC, p.id DESC"
        ),
        user.as_str().to_owned(),
        MARKERS_MAX,
        after.map(|(at, _)| at.as_millis()),
        after.map(|(_, id)| row::id(id)),
        i64::from(limit.get()),
    )
}

pub(super) fn conversation(user: &UserId, conversation: ConversationId) -> Query {
    query!(
        summaries!(
            "SELECT c.*, m.role, m.received, m.read, m.visible_from
            FROM {schema}.chat_members m
            JOIN {schema}.chat_conversations c ON c.id = m.conversation
            WHERE m.conversation = $3 AND m.member = $1 AND m.role IS NOT NULL",
            ""
        ),
        user.as_str().to_owned(),
        MARKERS_MAX,
        row::id(conversation),
    )
}

const MARKERS_MAX: i64 = Summary::MARKERS_MAX as i64;

pub(super) fn summary_of(row: &Row, user: &UserId) -> Result<Summary, StoreError> {
    let conversation = row::conversation(row, 0)?;
    let kind = row::kind(row, 1)?;
    let member_count = row::number(row, 11)?;
    let markers =
        if member_count > Summary::MARKERS_MAX as u64 { Vec::new() } else { markers(row, 8)? };
    let other = match kind {
        // Who talks to themselves is their own other side.
        Kind::Direct => row::column(row, 13, |other: Option<&str>| {
            other.map_or_else(|| Ok(user.clone()), UserId::new).map(Some)
        })?,
        Kind::Group | Kind::Channel => None,
    };
    Ok(Summary {
        conversation,
        kind,
        title: row::title(row, 2)?,
        topic: row::topic(row, 23)?,
        other,
        role: row::role(row, 3)?.ok_or_else(|| defect("a member without a role"))?,
        entrance: row::entrance(row, 24, 25)?,
        visible_from: row::seq(row, 26)?,
        member_count,
        head: row::seq(row, 4)?,
        marker: row::marker(row, 5, 6)?,
        unread: row::number(row, 12)?,
        updated_at: Timestamp::from_millis(row::get(row, 7)?),
        last: if row::get(row, 14)? { Some(row::event(conversation, row, 15)?) } else { None },
        last_edit: match row::get::<Option<i64>>(row, 20)? {
            None => None,
            Some(_) => edit_of(row, 20)?,
        },
        markers,
    })
}

/// From three columns with a list each.
fn markers(row: &Row, from: usize) -> Result<Vec<(UserId, Marker)>, StoreError> {
    let users: Vec<&str> = row::get(row, from)?;
    let (received, read): (Vec<i64>, Vec<i64>) =
        (row::get(row, from + 1)?, row::get(row, from + 2)?);
    let seq = |place: i64| u64::try_from(place).map(Seq::new).map_err(defect);
    users
        .into_iter()
        .zip(received)
        .zip(read)
        .map(|((user, received), read)| {
            let user = UserId::new(user).map_err(defect)?;
            Ok((user, Marker { received: seq(received)?, read: seq(read)? }))
        })
        .collect()
}

pub(super) fn members(
    reader: Reader<'_>,
    conversation: ConversationId,
    after: Option<&UserId>,
    limit: NonZeroU16,
) -> Query {
    query!(
        concat!(
            "SELECT r.readable, m.member IS NOT NULL, m.member, m.role, m.received, m.read
            FROM (",
            readable!(),
            ") r
            LEFT JOIN LATERAL (
                SELECT * FROM {schema}.chat_members m
                WHERE r.readable AND m.conversation = $1 AND m.member > $3 AND m.role IS NOT NULL
                ORDER BY m.member LIMIT $4) m ON true
            ORDER BY m.member"
        ),
        row::id(conversation),
        reader_text(reader),
        // Everybody's name comes after ''.
        after.map_or("", UserId::as_str).to_owned(),
        i64::from(limit.get()),
    )
}

pub(super) fn members_of(rows: &[Row]) -> Result<Option<Vec<Member>>, StoreError> {
    let member = |row: &Row| {
        let role = row::role(row, 3)?.ok_or_else(|| defect("a member without a role"))?;
        Ok(Member { user: row::user(row, 2)?, role, marker: row::marker(row, 4, 5)? })
    };
    readable(rows)?.map(|rows| rows.iter().map(member).collect()).transpose()
}

pub(super) fn receipts(reader: Reader<'_>, conversation: ConversationId, upto: Seq) -> Query {
    query!(
        concat!(
            "SELECT r.readable, true, m.members, m.received, m.read
            FROM (",
            readable!(),
            ") r
            LEFT JOIN LATERAL (
                SELECT count(*) AS members, count(*) FILTER (WHERE n.received >= $3) AS received,
                    count(*) FILTER (WHERE n.read >= $3) AS read
                FROM {schema}.chat_members n
                WHERE r.readable AND n.conversation = $1 AND n.role IS NOT NULL
                    AND n.member <> $2) m ON true"
        ),
        row::id(conversation),
        reader_text(reader),
        place(upto),
    )
}

pub(super) fn receipts_of(rows: &[Row]) -> Result<Option<Receipts>, StoreError> {
    let Some([row]) = readable(rows)? else { return Ok(None) };
    let (members, received) = (row::number(row, 2)?, row::number(row, 3)?);
    Ok(Some(Receipts { members, received, read: row::number(row, 4)? }))
}

pub(super) fn listing(conversation: ConversationId) -> Query {
    query!(
        concat!(
            "SELECT ",
            listing_columns!(),
            " FROM {schema}.chat_conversations c WHERE c.id = $1"
        ),
        row::id(conversation),
    )
}

pub(super) fn public(after: Option<(Title, ConversationId)>, limit: NonZeroU16) -> Query {
    // Every title comes after ''.
    let (title, id) =
        after.map_or_else(Default::default, |(title, id)| (title.as_str().to_owned(), row::id(id)));
    query!(
        concat!(
            "SELECT ",
            listing_columns!(),
            " FROM {schema}.chat_conversations c
            WHERE c.access = 'public' AND ((c.title COLLATE \"C\"), c.id) > ($1::text, $2::uuid)
            ORDER BY c.title COLLATE \"C\", c.id LIMIT $3"
        ),
        title,
        id,
        i64::from(limit.get()),
    )
}

pub(super) fn link(link: &LinkId) -> Query {
    query!(
        concat!(
            "SELECT ",
            link_columns!(),
            ", l.conversation FROM {schema}.chat_links l WHERE l.link = $1 LIMIT 1"
        ),
        link.as_str().to_owned(),
    )
}

pub(super) fn links(conversation: ConversationId) -> Query {
    query!(
        concat!(
            "SELECT ",
            link_columns!(),
            " FROM {schema}.chat_links l WHERE l.conversation = $1 ORDER BY l.made_at, l.link"
        ),
        row::id(conversation),
    )
}
