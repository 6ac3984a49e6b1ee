-- One row: which life of the data this is, and how many commits there were.
CREATE TABLE life (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT    NOT NULL,
    stamp INTEGER NOT NULL
) STRICT;

CREATE TABLE conversations (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16),
    kind       TEXT    NOT NULL,
    title      TEXT,
    head       INTEGER NOT NULL,
    -- The time of the event at the head, in milliseconds since 1970.
    updated_at INTEGER NOT NULL,
    -- The commit of the last event or the last move of a marker.
    changed    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is or was a member. A row stays after they left, so that their marker is there when they
-- come back, and that their devices can be told.
CREATE TABLE members (
    conversation BLOB    NOT NULL REFERENCES conversations (id),
    user         TEXT    NOT NULL,
    -- NULL: not a member any more.
    role         TEXT,
    received     INTEGER NOT NULL DEFAULT 0,
    read         INTEGER NOT NULL DEFAULT 0,
    -- The commit in which they last came or went.
    since        INTEGER NOT NULL,
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;

-- The conversations of a user, without looking at the table.
CREATE INDEX members_by_user ON members (user, conversation, role, since);
-- Whether another owner remains.
CREATE INDEX members_owners ON members (conversation, user) WHERE role = 'owner';

-- The log. Without a rowid the events of a conversation lie side by side, in order.
CREATE TABLE events (
    conversation BLOB    NOT NULL REFERENCES conversations (id),
    seq          INTEGER NOT NULL CHECK (seq > 0),
    -- The commit in which it was written.
    stamp        INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    -- '': the system. Not NULL, because a unique index takes NULLs for different.
    author       TEXT    NOT NULL,
    key          TEXT,
    -- Whether it is a message: what counts as unread, and what pages of messages hold.
    message      INTEGER NOT NULL CHECK (message IN (0, 1)),
    -- The event's body as JSON.
    body         TEXT    NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

-- A key is used once, for ever.
CREATE UNIQUE INDEX events_by_key ON events (conversation, author, key) WHERE key IS NOT NULL;
-- The head at a commit.
CREATE INDEX events_by_stamp ON events (conversation, stamp, seq);
-- Counting the unread, and pages of messages.
CREATE INDEX events_messages ON events (conversation, seq, author) WHERE message = 1;

CREATE TABLE accounts (
    user          TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL,
    name_key      TEXT    NOT NULL UNIQUE,
    display_name  TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    generation    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX accounts_admins ON accounts (user) WHERE role = 'admin';

-- The folded words of display names, for the search.
CREATE TABLE account_words (
    word TEXT NOT NULL,
    user TEXT NOT NULL REFERENCES accounts (user),
    PRIMARY KEY (word, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_tokens (
    token      TEXT    PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at);
