//! A batch in one transaction, with two waits for the database: one for the locks and all that has
//! to be known under them, one for what changes and the commit.

use std::collections::BTreeSet;

use futures_util::future::{try_join, try_join3, try_join4, try_join5};
use tokio_postgres::{Client, Error, Row, Statement, Transaction};
use uuid::Uuid;

use super::{
    error::{Failure, defect},
    files,
    life::Flushed,
    row::{self, event_columns, link_columns},
    session::{self, Session},
};
use crate::{
    model::{ClientKey, ConversationId, LinkId, Seq, Summary, Title, Topic},
    sabotage::{self, Defect},
    store::{
        StoreError, Write, Written,
        plan::{Changes, Found, Place, Questions, Seat, apply},
        spelling::{access_text, author_text, history_text, kind_text, place, role_text},
    },
};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// What changes in this transaction is stamped with this number. Reading the table also holds off a
/// new life until this transaction has ended.
const STAMP: &str = "SELECT base + pg_current_xact_id()::text::bigint FROM {schema}.chat_life";

/// Conversations that are not there yet stand at 0 until the transaction has put its first event
/// in; nobody else sees that. Somebody else's that is not committed yet is waited for.
const OPEN: &str = "
    INSERT INTO {schema}.chat_conversations (id, kind, title, head, updated_at, changed)
    SELECT o.id, o.kind, o.title, 0, 0, 0
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS o(id, kind, title) ORDER BY o.id
    ON CONFLICT (id) DO NOTHING";

/// Always in the same order, so that no two batches wait for each other. Numbers are taken, keys
/// and members looked at only under this lock: so the order of numbers is that of commits.
const LOCK: &str = "
    SELECT id, head, access, history FROM {schema}.chat_conversations WHERE id = ANY($1::uuid[])
    ORDER BY id FOR NO KEY UPDATE";

/// The defect of taking numbers without the lock.
const NO_LOCK: &str = "
    SELECT id, head, access, history FROM {schema}.chat_conversations WHERE id = ANY($1::uuid[])
    ORDER BY id";

const FIRSTS: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", e.conversation FROM {schema}.chat_events e
    WHERE e.conversation = ANY($1::uuid[]) AND e.seq = 1"
);

const KEYED: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", e.conversation
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS k(conversation, author, key)
    JOIN {schema}.chat_events e ON e.conversation = k.conversation AND e.author = k.author
        AND e.key = k.key AND e.key IS NOT NULL"
);

const SEATS: &str = "
    SELECT m.conversation, m.member, m.role, m.received, m.read, m.visible_from, m.barred
    FROM unnest($1::uuid[], $2::text[]) AS s(conversation, member)
    JOIN {schema}.chat_members m ON m.conversation = s.conversation AND m.member = s.member";

/// Members are counted only as far as it matters whether somebody remains after this batch.
const COUNTS: &str = "
    SELECT c.id,
        (SELECT count(*) FROM (
            SELECT 1 FROM {schema}.chat_members m
            WHERE m.conversation = c.id AND m.role IS NOT NULL LIMIT $2) AS few),
        (SELECT count(*) FROM {schema}.chat_members m
            WHERE m.conversation = c.id AND m.role = 'owner')
    FROM unnest($1::uuid[]) AS c(id)";

/// Which of these have more members than a summary shows the markers of.
const CROWDS: &str = "
    SELECT c.id FROM unnest($1::uuid[]) AS c(id)
    WHERE EXISTS (SELECT 1 FROM {schema}.chat_members m
        WHERE m.conversation = c.id AND m.role IS NOT NULL OFFSET $2)";

const TOPIC: &str = "
    UPDATE {schema}.chat_conversations c SET topic = t.topic
    FROM unnest($1::uuid[], $2::text[]) AS t(id, topic) WHERE c.id = t.id";

const ENTRANCE: &str = "
    UPDATE {schema}.chat_conversations c
    SET access = coalesce(t.access, c.access), history = coalesce(t.history, c.history)
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t(id, access, history) WHERE c.id = t.id";

const TOUCH: &str = "
    UPDATE {schema}.chat_conversations c
    SET head = t.head, updated_at = coalesce(t.at, c.updated_at),
        title = coalesce(t.title, c.title), changed = $5
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS t(id, head, at, title)
    WHERE c.id = t.id";

const INSERT: &str = "
    INSERT INTO {schema}.chat_events
        (conversation, seq, stamp, at, author, key, message, body, edits)
    SELECT e.conversation, e.seq, $9, e.at, e.author, e.key, e.message, e.body, e.edits
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[],
        $7::text[], $8::bigint[])
        AS e(conversation, seq, at, author, key, message, body, edits)";

/// The same defect goes on: what stands at its place already is overlooked.
const INSERT_BLINDLY: &str = "
    INSERT INTO {schema}.chat_events
        (conversation, seq, stamp, at, author, key, message, body, edits)
    SELECT e.conversation, e.seq, $9, e.at, e.author, e.key, e.message, e.body, e.edits
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[],
        $7::text[], $8::bigint[])
        AS e(conversation, seq, at, author, key, message, body, edits)
    ON CONFLICT (conversation, seq) DO NOTHING";

const SEAT: &str = "
    INSERT INTO {schema}.chat_members AS m
        (conversation, member, role, received, read, since, visible_from, barred)
    SELECT s.conversation, s.member, s.role, s.received, s.read,
        CASE WHEN s.since THEN $7::bigint ELSE 0 END, s.visible_from, s.barred
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[],
        $8::bigint[], $9::boolean[])
        AS s(conversation, member, role, received, read, since, visible_from, barred)
    ON CONFLICT (conversation, member) DO UPDATE
    SET role = excluded.role, received = excluded.received, read = excluded.read,
        visible_from = excluded.visible_from, barred = excluded.barred,
        since = CASE WHEN excluded.since > 0 THEN excluded.since ELSE m.since END";

/// Messages and their authors.
const MESSAGES: &str = "
    SELECT e.conversation, e.seq, e.author
    FROM unnest($1::uuid[], $2::bigint[]) AS m(conversation, message)
    JOIN {schema}.chat_events e ON e.conversation = m.conversation AND e.seq = m.message
    WHERE e.message";

const REACTIONS: &str = "
    SELECT r.conversation, r.message, r.member, r.emoji
    FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS a(conversation, message, member)
    JOIN {schema}.chat_reactions r ON r.conversation = a.conversation AND r.message = a.message
        AND r.member = a.member";

const PINS: &str = "
    SELECT p.conversation, p.message
    FROM unnest($1::uuid[], $2::bigint[]) AS a(conversation, message)
    JOIN {schema}.chat_pins p ON p.conversation = a.conversation AND p.message = a.message";

const REACT: &str = "
    WITH r AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::boolean[])
            AS r(conversation, message, member, emoji, there)
    ), gone AS (
        DELETE FROM {schema}.chat_reactions c USING r
        WHERE NOT r.there AND c.conversation = r.conversation AND c.message = r.message
            AND c.member = r.member AND c.emoji = r.emoji
    )
    INSERT INTO {schema}.chat_reactions (conversation, message, member, emoji)
    SELECT conversation, message, member, emoji FROM r WHERE there ON CONFLICT DO NOTHING";

const PIN: &str = "
    WITH p AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::boolean[])
            AS p(conversation, message, pinned)
    ), gone AS (
        DELETE FROM {schema}.chat_pins c USING p
        WHERE NOT p.pinned AND c.conversation = p.conversation AND c.message = p.message
    )
    INSERT INTO {schema}.chat_pins (conversation, message)
    SELECT conversation, message FROM p WHERE pinned ON CONFLICT DO NOTHING";

const LINKS: &str = concat!(
    "SELECT l.conversation, ",
    link_columns!(),
    " FROM unnest($1::uuid[], $2::text[]) AS a(conversation, link)
    JOIN {schema}.chat_links l ON l.conversation = a.conversation AND l.link = a.link"
);

const LINK: &str = "
    WITH l AS (
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::boolean[])
            AS l(conversation, link, made_by, made_at, expires_at, uses_max, uses, there)
    ), gone AS (
        DELETE FROM {schema}.chat_links c USING l
        WHERE NOT l.there AND c.conversation = l.conversation AND c.link = l.link
    )
    INSERT INTO {schema}.chat_links
        (conversation, link, made_by, made_at, expires_at, uses_max, uses)
    SELECT conversation, link, made_by, made_at, expires_at, uses_max, uses FROM l WHERE there
    ON CONFLICT (conversation, link) DO UPDATE
    SET made_by = excluded.made_by, made_at = excluded.made_at,
        expires_at = excluded.expires_at, uses_max = excluded.uses_max, uses = excluded.uses";

/// Under a lock of their own, because two messages of two conversations may want the same.
const FILES: &str = "
    SELECT f.id, f.owner, f.document FROM {schema}.chat_files f
    WHERE f.id = ANY($1::uuid[]) AND f.state = 'complete' ORDER BY f.id FOR NO KEY UPDATE";

const ATTACH: &str = "
    UPDATE {schema}.chat_files f
    SET state = 'attached', conversation = a.conversation, message = a.message
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS a(id, conversation, message)
    WHERE f.id = a.id";

/// Messages, their edits, all emojis on them and their files.
const ERASE: &str = r#"
    WITH m AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS m(conversation, message)
    ), reactions AS (
        DELETE FROM {schema}.chat_reactions c USING m
        WHERE c.conversation = m.conversation AND c.message = m.message
    ), edits AS (
        UPDATE {schema}.chat_events e SET body = '{"type":"erased"}', edits = NULL FROM m
        WHERE e.conversation = m.conversation AND e.edits = m.message
    ), files AS (
        UPDATE {schema}.chat_files f SET state = 'gone', expires_at = 0 FROM m
        WHERE f.conversation = m.conversation AND f.message = m.message AND f.state = 'attached'
    )
    UPDATE {schema}.chat_events e SET body = '{"type":"erased"}', message = false FROM m
    WHERE e.conversation = m.conversation AND e.seq = m.message"#;

/// All of them, in the order in which [`Prepared`] takes them.
const STATEMENTS: [&str; 23] = [
    STAMP, OPEN, LOCK, FIRSTS, KEYED, SEATS, COUNTS, TOUCH, INSERT, SEAT, MESSAGES, REACTIONS,
    PINS, REACT, PIN, ERASE, CROWDS, TOPIC, ENTRANCE, LINKS, LINK, FILES, ATTACH,
];

struct Prepared {
    stamp: Statement,
    open: Statement,
    lock: Statement,
    firsts: Statement,
    keyed: Statement,
    seats: Statement,
    counts: Statement,
    touch: Statement,
    insert: Statement,
    seat: Statement,
    messages: Statement,
    reactions: Statement,
    pins: Statement,
    react: Statement,
    pin: Statement,
    erase: Statement,
    crowds: Statement,
    topic: Statement,
    entrance: Statement,
    links: Statement,
    link: Statement,
    files: Statement,
    attach: Statement,
}

impl Prepared {
    fn texts() -> [&'static str; 23] {
        let mut texts = STATEMENTS;
        if sabotage::on(Defect::SeqOutsideLock) {
            texts[2] = NO_LOCK;
            texts[8] = INSERT_BLINDLY;
        }
        texts
    }

    fn new(statements: [Statement; 23]) -> Self {
        let [
            stamp,
            open,
            lock,
            firsts,
            keyed,
            seats,
            counts,
            touch,
            insert,
            seat,
            messages,
            reactions,
            pins,
            react,
            pin,
            erase,
            crowds,
            topic,
            entrance,
            links,
            link,
            files,
            attach,
        ] = statements;
        Self {
            stamp,
            open,
            lock,
            firsts,
            keyed,
            seats,
            counts,
            touch,
            insert,
            seat,
            messages,
            reactions,
            pins,
            react,
            pin,
            erase,
            crowds,
            topic,
            entrance,
            links,
            link,
            files,
            attach,
        }
    }
}

/// In a transaction of its own.
pub(super) async fn commit(
    session: &mut Session,
    batch: Vec<Write>,
    flushed: &Flushed,
) -> Result<Vec<Written>, Failure> {
    let prepared = Prepared::new(session.statements(Prepared::texts()).await?);
    let client = session.client();
    match transact(client, &prepared, batch, flushed).await {
        Ok(answers) => Ok(answers),
        // An answer of the database means that the connection still lives, and is in the middle of
        // a transaction.
        Err(failure) if failure.fit => {
            let rolled_back = client.batch_execute("ROLLBACK").await.is_ok();
            Err(Failure { fit: rolled_back, ..failure })
        }
        Err(failure) => Err(failure),
    }
}

async fn transact(
    client: &Client,
    prepared: &Prepared,
    batch: Vec<Write>,
    flushed: &Flushed,
) -> Result<Vec<Written>, Failure> {
    let asked = Questions::of(&batch);
    let begin = async { client.batch_execute(BEGIN).await.map_err(Failure::from) };
    let ask = ask(client, prepared, &asked, batch.len());
    let (found, stamp) = if asked.opens.is_empty() {
        // Sent together, in this order: each is sent when its future is first polled.
        try_join(begin, ask).await?.1
    } else {
        // Without its transaction, should that not begin, an opening would stand there alone.
        begin.await?;
        ask.await?
    };
    let (answers, changes) = apply(found, batch);
    if changes == Changes::default() {
        client.batch_execute("ROLLBACK").await?;
        return Ok(answers);
    }

    let rows = Rows::of(&changes)?;
    // The commit is sent behind the changes without waiting for them: if one of them fails, the
    // server rolls back instead, and says so to the one that failed.
    let put = async { put(client, prepared, &rows, stamp).await.map_err(Failure::from) };
    let commit = async { client.batch_execute("COMMIT").await.map_err(Failure::from) };
    // From here on nobody knows whether it happened.
    try_join(put, commit).await.map_err(Failure::final_)?;
    flushed.saw(u64::try_from(stamp).map_err(defect)?);
    Ok(answers)
}

/// In the transaction of somebody else's.
pub(super) async fn within(
    transaction: &Transaction<'_>,
    schema: &str,
    batch: Vec<Write>,
) -> Result<Vec<Written>, StoreError> {
    let steps = async {
        let client = transaction.client();
        let statements = session::prepare(client, schema, Prepared::texts()).await?;
        let prepared = Prepared::new(statements);
        let asked = Questions::of(&batch);
        let (found, stamp) = ask(client, &prepared, &asked, batch.len()).await?;
        let (answers, changes) = apply(found, batch);
        if changes != Changes::default() {
            put(client, &prepared, &Rows::of(&changes)?, stamp).await?;
        }
        Ok(answers)
    };
    steps.await.map_err(|failure: Failure| failure.error)
}

/// Locks the conversations and finds out what has to be known; the stamp of the transaction.
async fn ask(
    client: &Client,
    prepared: &Prepared,
    asked: &Questions,
    writes: usize,
) -> Result<(Found, i64), Failure> {
    let ids = |some: &mut dyn Iterator<Item = ConversationId>| -> Vec<Uuid> {
        some.map(row::id).collect()
    };
    let opens = (
        ids(&mut asked.opens.keys().copied()),
        asked.opens.values().map(|(kind, _)| kind_text(*kind)).collect::<Vec<_>>(),
        asked
            .opens
            .values()
            .map(|(_, title)| title.as_ref().map(Title::as_str))
            .collect::<Vec<_>>(),
    );
    let all = ids(&mut asked.conversations.iter().copied());
    let keys = (
        ids(&mut asked.keys.iter().map(|(id, _, _)| *id)),
        asked.keys.iter().map(|(_, by, _)| author_text(by.as_ref())).collect::<Vec<_>>(),
        asked.keys.iter().map(|(_, _, key)| key.as_str()).collect::<Vec<_>>(),
    );
    let seats = (
        ids(&mut asked.seats.iter().map(|(id, _)| *id)),
        asked.seats.iter().map(|(_, user)| user.as_str()).collect::<Vec<_>>(),
    );
    let counts = ids(&mut asked.counts.iter().copied());
    let crowds = ids(&mut asked.crowds.iter().copied());
    let most = i64::try_from(writes).unwrap_or(i64::MAX).saturating_add(1);

    let none = || Ok(Vec::new());
    let stamp = client.query_one(&prepared.stamp, &[]);
    let open = async {
        if opens.0.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.open, &[&opens.0, &opens.1, &opens.2]).await
    };
    let lock = async { client.query(&prepared.lock, &[&all]).await };
    let firsts = async {
        if opens.0.is_empty() {
            return none();
        }
        client.query(&prepared.firsts, &[&opens.0]).await
    };
    let keyed = async {
        if keys.0.is_empty() {
            return none();
        }
        client.query(&prepared.keyed, &[&keys.0, &keys.1, &keys.2]).await
    };
    let seats = async {
        if seats.0.is_empty() {
            return none();
        }
        client.query(&prepared.seats, &[&seats.0, &seats.1]).await
    };
    let counts = async {
        if counts.is_empty() {
            return none();
        }
        client.query(&prepared.counts, &[&counts, &most]).await
    };
    let crowds = async {
        if crowds.is_empty() {
            return none();
        }
        client.query(&prepared.crowds, &[&crowds, &(Summary::MARKERS_MAX as i64)]).await
    };
    let wanted: Vec<_> = asked.files.iter().copied().map(files::file_id).collect();
    let waiting = async {
        if wanted.is_empty() {
            return none();
        }
        client.query(&prepared.files, &[&wanted]).await
    };
    let locks = try_join3(stamp, open, lock);
    let rest = try_join5(locks, firsts, keyed, seats, counts);
    let targets = ask_targets(client, prepared, asked);
    let (((stamp, _, locked), firsts, keyed, seats, counts), targets, crowds, waiting) =
        try_join4(rest, targets, crowds, waiting).await?;

    let mut found = found(&locked, &firsts, &keyed, &seats, &counts)?;
    for row in crowds {
        if let Some(place) = found.conversations.get_mut(&row::conversation(&row, 0)?) {
            place.crowd = true;
        }
    }
    for row in waiting {
        let (file, waiting) = files::waiting(&row)?;
        found.files.insert(file, waiting);
    }
    targets.put(&mut found)?;
    Ok((found, row::get(&stamp, 0)?))
}

/// What was found about messages and links that are answered, changed or used.
#[derive(Default)]
struct Targets {
    messages: Vec<Row>,
    reactions: Vec<Row>,
    pins: Vec<Row>,
    links: Vec<Row>,
}

/// Most batches are about none.
async fn ask_targets(
    client: &Client,
    prepared: &Prepared,
    asked: &Questions,
) -> Result<Targets, Error> {
    if !asked.links.is_empty() {
        let ids: Vec<Uuid> = asked.links.iter().map(|(id, _)| row::id(*id)).collect();
        let names: Vec<&str> = asked.links.iter().map(|(_, link)| link.as_str()).collect();
        let links = client.query(&prepared.links, &[&ids, &names]).await?;
        return Ok(Targets { links, ..ask_messages(client, prepared, asked).await? });
    }
    ask_messages(client, prepared, asked).await
}

async fn ask_messages(
    client: &Client,
    prepared: &Prepared,
    asked: &Questions,
) -> Result<Targets, Error> {
    if asked.messages.is_empty() {
        return Ok(Targets::default());
    }
    let columns = |names: &BTreeSet<(ConversationId, Seq)>| -> (Vec<Uuid>, Vec<i64>) {
        names.iter().map(|(id, message)| (row::id(*id), place(*message))).unzip()
    };
    let (ids, numbers) = columns(&asked.messages);
    let (pin_ids, pin_numbers) = columns(&asked.pins);
    let reactors = (
        asked.reactors.iter().map(|(id, _, _)| row::id(*id)).collect::<Vec<_>>(),
        asked.reactors.iter().map(|(_, message, _)| place(*message)).collect::<Vec<_>>(),
        asked.reactors.iter().map(|(_, _, user)| user.as_str()).collect::<Vec<_>>(),
    );
    let messages = async { client.query(&prepared.messages, &[&ids, &numbers]).await };
    let reactions =
        async { client.query(&prepared.reactions, &[&reactors.0, &reactors.1, &reactors.2]).await };
    let pins = async { client.query(&prepared.pins, &[&pin_ids, &pin_numbers]).await };
    let (messages, reactions, pins) = try_join3(messages, reactions, pins).await?;
    Ok(Targets { messages, reactions, pins, links: Vec::new() })
}

impl Targets {
    fn put(&self, found: &mut Found) -> Result<(), StoreError> {
        for row in &self.messages {
            let name = (row::conversation(row, 0)?, row::seq(row, 1)?);
            found.messages.insert(name, row::author(row, 2)?);
        }
        for row in &self.reactions {
            let name = (row::conversation(row, 0)?, row::seq(row, 1)?, row::user(row, 2)?);
            found.reactions.entry(name).or_default().insert(row::emoji(row, 3)?);
        }
        for row in &self.pins {
            found.pins.insert((row::conversation(row, 0)?, row::seq(row, 1)?));
        }
        for row in &self.links {
            let link = row::link(row, 1)?;
            found.links.insert((row::conversation(row, 0)?, link.link.clone()), link);
        }
        Ok(())
    }
}

fn found(
    locked: &[Row],
    firsts: &[Row],
    keyed: &[Row],
    seats: &[Row],
    counts: &[Row],
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for row in locked {
        let head = row::seq(row, 1)?;
        // At zero stand those that are about to be opened.
        if head.get() > 0 {
            let entrance = row::entrance(row, 2, 3)?;
            let place = Place { head, entrance, ..Place::default() };
            found.conversations.insert(row::conversation(row, 0)?, place);
        }
    }
    for row in firsts {
        let conversation = row::conversation(row, 5)?;
        found.firsts.insert(conversation, row::event(conversation, row, 0)?);
    }
    for row in keyed {
        let conversation = row::conversation(row, 5)?;
        let name = (conversation, row::author(row, 2)?, row::key(row, 3)?);
        found.keyed.insert(name, row::event(conversation, row, 0)?);
    }
    for row in seats {
        let name = (row::conversation(row, 0)?, row::user(row, 1)?);
        let seat = Seat {
            role: row::role(row, 2)?,
            marker: row::marker(row, 3, 4)?,
            visible_from: row::seq(row, 5)?,
            barred: row::get(row, 6)?,
        };
        found.seats.insert(name, seat);
    }
    for row in counts {
        if let Some(place) = found.conversations.get_mut(&row::conversation(row, 0)?) {
            place.members = row::number(row, 1)?;
            place.owners = row::number(row, 2)?;
        }
    }
    Ok(found)
}

/// Changes, as columns.
#[derive(Default)]
struct Rows<'a> {
    touched: TouchedColumns<'a>,
    events: EventColumns<'a>,
    seats: SeatColumns<'a>,
    reactions: ReactionColumns<'a>,
    pins: (Vec<Uuid>, Vec<i64>, Vec<bool>),
    files: (Vec<Uuid>, Vec<Uuid>, Vec<i64>),
    erased: (Vec<Uuid>, Vec<i64>),
    links: LinkColumns<'a>,
}

#[derive(Default)]
struct LinkColumns<'a> {
    conversation: Vec<Uuid>,
    link: Vec<&'a str>,
    by: Vec<&'a str>,
    at: Vec<i64>,
    expires_at: Vec<Option<i64>>,
    uses_max: Vec<Option<i64>>,
    uses: Vec<i64>,
    there: Vec<bool>,
}

#[derive(Default)]
struct ReactionColumns<'a> {
    conversation: Vec<Uuid>,
    message: Vec<i64>,
    member: Vec<&'a str>,
    emoji: Vec<&'a str>,
    there: Vec<bool>,
}

#[derive(Default)]
struct TouchedColumns<'a> {
    id: Vec<Uuid>,
    head: Vec<i64>,
    at: Vec<Option<i64>>,
    title: Vec<Option<&'a str>>,
    /// Which of them have another topic now.
    topics: (Vec<Uuid>, Vec<Option<&'a str>>),
    /// Into which of them people come otherwise now.
    entrances: (Vec<Uuid>, Vec<Option<&'a str>>, Vec<Option<&'a str>>),
}

#[derive(Default)]
struct EventColumns<'a> {
    conversation: Vec<Uuid>,
    seq: Vec<i64>,
    at: Vec<i64>,
    author: Vec<&'a str>,
    key: Vec<Option<&'a str>>,
    message: Vec<bool>,
    body: Vec<String>,
    edits: Vec<Option<i64>>,
}

#[derive(Default)]
struct SeatColumns<'a> {
    conversation: Vec<Uuid>,
    member: Vec<&'a str>,
    role: Vec<Option<&'static str>>,
    received: Vec<i64>,
    read: Vec<i64>,
    since: Vec<bool>,
    visible_from: Vec<i64>,
    barred: Vec<bool>,
}

impl<'a> Rows<'a> {
    fn of(changes: &'a Changes) -> Result<Self, StoreError> {
        let mut rows = Self::default();
        let Self { touched, events, seats, reactions, pins, files, erased, links } = &mut rows;
        for (id, it) in &changes.conversations {
            touched.id.push(row::id(*id));
            touched.head.push(place(it.head));
            touched.at.push(it.updated_at.map(|at| at.as_millis()));
            touched.title.push(it.title.as_ref().map(Title::as_str));
            if let Some(topic) = &it.topic {
                touched.topics.0.push(row::id(*id));
                touched.topics.1.push(topic.as_ref().map(Topic::as_str));
            }
            if it.access.is_some() || it.history.is_some() {
                touched.entrances.0.push(row::id(*id));
                touched.entrances.1.push(it.access.map(access_text));
                touched.entrances.2.push(it.history.map(history_text));
            }
        }
        for event in &changes.events {
            events.conversation.push(row::id(event.conversation));
            events.seq.push(place(event.seq));
            events.at.push(event.at.as_millis());
            events.author.push(author_text(event.from.as_ref()));
            events.key.push(event.key.as_ref().map(ClientKey::as_str));
            events.message.push(event.body.counts_as_unread());
            events.body.push(serde_json::to_string(&event.body).map_err(defect)?);
            events.edits.push(event.body.edits().map(place));
        }
        for ((id, user), seated) in &changes.seats {
            seats.conversation.push(row::id(*id));
            seats.member.push(user.as_str());
            seats.role.push(seated.seat.role.map(role_text));
            seats.received.push(place(seated.seat.marker.received));
            seats.read.push(place(seated.seat.marker.read));
            seats.since.push(seated.since);
            seats.visible_from.push(place(seated.seat.visible_from));
            seats.barred.push(seated.seat.barred);
        }
        for ((id, message, user, emoji), there) in &changes.reactions {
            reactions.conversation.push(row::id(*id));
            reactions.message.push(place(*message));
            reactions.member.push(user.as_str());
            reactions.emoji.push(emoji.as_str());
            reactions.there.push(*there);
        }
        for ((id, message), pinned) in &changes.pins {
            pins.0.push(row::id(*id));
            pins.1.push(place(*message));
            pins.2.push(*pinned);
        }
        for (file, (id, message)) in &changes.files {
            files.0.push(files::file_id(*file));
            files.1.push(row::id(*id));
            files.2.push(place(*message));
        }
        for (id, message) in &changes.erased {
            erased.0.push(row::id(*id));
            erased.1.push(place(*message));
        }
        for ((id, name), link) in &changes.links {
            let number = |number: u32| i64::from(number);
            links.conversation.push(row::id(*id));
            links.link.push(LinkId::as_str(name));
            links.there.push(link.is_some());
            let link = link.as_ref();
            links.by.push(author_text(link.and_then(|it| it.by.as_ref())));
            links.at.push(link.map_or(0, |it| it.at.as_millis()));
            links.expires_at.push(link.and_then(|it| Some(it.expires_at?.as_millis())));
            links.uses_max.push(link.and_then(|it| it.uses_max.map(number)));
            links.uses.push(link.map_or(0, |it| number(it.uses)));
        }
        Ok(rows)
    }
}

async fn put(
    client: &Client,
    prepared: &Prepared,
    rows: &Rows<'_>,
    stamp: i64,
) -> Result<(), Error> {
    let touch = async {
        let TouchedColumns { id, head, at, title, topics: _, entrances: _ } = &rows.touched;
        client.execute(&prepared.touch, &[id, head, at, title, &stamp]).await
    };
    let insert = async {
        let EventColumns { conversation, seq, at, author, key, message, body, edits } =
            &rows.events;
        if seq.is_empty() {
            return Ok(0);
        }
        client
            .execute(
                &prepared.insert,
                &[conversation, seq, at, author, key, message, body, edits, &stamp],
            )
            .await
    };
    let seat = async {
        let SeatColumns { conversation, member, role, received, read, .. } = &rows.seats;
        let SeatColumns { since, visible_from, barred, .. } = &rows.seats;
        if member.is_empty() {
            return Ok(0);
        }
        client
            .execute(
                &prepared.seat,
                &[conversation, member, role, received, read, since, &stamp, visible_from, barred],
            )
            .await
    };
    let react = async {
        let ReactionColumns { conversation, message, member, emoji, there } = &rows.reactions;
        if message.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.react, &[conversation, message, member, emoji, there]).await
    };
    let pin = async {
        let (conversation, message, pinned) = &rows.pins;
        if message.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.pin, &[conversation, message, pinned]).await
    };
    let attach = async {
        let (file, conversation, message) = &rows.files;
        if file.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.attach, &[file, conversation, message]).await
    };
    // Behind the events, of which some may be edits of these, and behind their files.
    let erase = async {
        let (conversation, message) = &rows.erased;
        if message.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.erase, &[conversation, message]).await
    };
    let topic = async {
        let (id, topic) = &rows.touched.topics;
        if id.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.topic, &[id, topic]).await
    };
    let entrance = async {
        let (id, access, history) = &rows.touched.entrances;
        if id.is_empty() {
            return Ok(0);
        }
        client.execute(&prepared.entrance, &[id, access, history]).await
    };
    let link = async {
        let LinkColumns { conversation, link, by, at, expires_at, uses_max, uses, there } =
            &rows.links;
        if link.is_empty() {
            return Ok(0);
        }
        client
            .execute(
                &prepared.link,
                &[conversation, link, by, at, expires_at, uses_max, uses, there],
            )
            .await
    };
    // Each is sent when its future is first polled, so in this order.
    let log = try_join3(touch, insert, seat);
    let rest = try_join3(topic, entrance, link);
    try_join3(log, try_join4(react, pin, attach, erase), rest).await.map(|_| ())
}
