-- Everything lies in one schema (in the sense of PostgreSQL) and its names begin with chat_, so
-- that a host can share its database with it. Names of users are compared byte by byte, as the
-- program compares them, whatever the database's collation is.
--
-- No foreign keys: the row of a conversation is locked by whoever writes anything of it, and that
-- is stronger. Every table of the log begins its key with the conversation, so that they can be
-- partitioned or distributed by it together.

-- One row: which life of the data this is.
CREATE TABLE {schema}.chat_life (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch  text    NOT NULL,
    -- Where the data lives: cluster, database and timeline. Other words there than here: it was
    -- restored or copied.
    origin text    NOT NULL,
    -- Stamps of this life are this number and the number of the transaction. Each life begins
    -- higher than the one before can have come, because transaction numbers may begin anew.
    base   bigint  NOT NULL,
    -- Counts the starts of nodes. What matters is the writing of it.
    starts bigint  NOT NULL DEFAULT 0
);

-- Pages have room for the next version of a row, because all of these are updated with every
-- message, and neither updated_at nor changed stands in an index: such an update touches no index.
CREATE TABLE {schema}.chat_conversations (
    id         uuid   PRIMARY KEY,
    kind       text   NOT NULL,
    title      text,
    head       bigint NOT NULL,
    -- The time of the event at the head, in milliseconds since 1970.
    updated_at bigint NOT NULL,
    -- The stamp of the transaction with the last event or the last move of a marker.
    changed    bigint NOT NULL
) WITH (fillfactor = 60);

-- Who is or was a member. A row stays after they left, so that their marker is there when they
-- come back, and that their devices can be told.
CREATE TABLE {schema}.chat_members (
    conversation uuid   NOT NULL,
    member       text   COLLATE "C" NOT NULL,
    -- NULL: not a member any more.
    role         text,
    received     bigint NOT NULL,
    read         bigint NOT NULL,
    -- The stamp of the transaction in which they last came or went.
    since        bigint NOT NULL,
    PRIMARY KEY (conversation, member)
) WITH (fillfactor = 70);

-- The conversations of a user, and whether they moved, without looking at the table. What stands
-- in both changes only when somebody comes or goes.
CREATE INDEX chat_members_by_member ON {schema}.chat_members (member, conversation)
    INCLUDE (role, since);
CREATE INDEX chat_members_by_move ON {schema}.chat_members (member, since);
-- Whether another owner remains.
CREATE INDEX chat_members_owners ON {schema}.chat_members (conversation) WHERE role = 'owner';

CREATE TABLE {schema}.chat_events (
    conversation uuid    NOT NULL,
    seq          bigint  NOT NULL CHECK (seq > 0),
    -- The stamp of the transaction in which it was written.
    stamp        bigint  NOT NULL,
    at           bigint  NOT NULL,
    -- '': the system. Not NULL, because a unique index takes NULLs for different.
    author       text    COLLATE "C" NOT NULL,
    key          text    COLLATE "C",
    -- Whether it is a message: what counts as unread, and what pages of messages hold.
    message      boolean NOT NULL,
    -- The event's body as JSON. Not jsonb: it comes back as it went in.
    body         text    NOT NULL,
    -- With what it takes to count the unread and to page through messages without the table. An index
    -- of its own for that would be a fifth of what it costs to write a message.
    PRIMARY KEY (conversation, seq) INCLUDE (author, message)
);

-- A key is used once, for ever.
CREATE UNIQUE INDEX chat_events_by_key ON {schema}.chat_events (conversation, author, key)
    WHERE key IS NOT NULL;

-- What nodes keep beside the chat and have to agree on.
CREATE TABLE {schema}.chat_kept (
    name  text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE {schema}.chat_accounts (
    id            text    COLLATE "C" PRIMARY KEY,
    name          text    NOT NULL,
    name_key      text    COLLATE "C" NOT NULL UNIQUE,
    display_name  text    NOT NULL,
    password_hash text    NOT NULL,
    role          text    NOT NULL,
    disabled      boolean NOT NULL,
    generation    bigint  NOT NULL,
    created_at    bigint  NOT NULL
);

CREATE INDEX chat_accounts_admins ON {schema}.chat_accounts (id) WHERE role = 'admin';

-- The folded words of display names, for the search.
CREATE TABLE {schema}.chat_account_words (
    word    text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL REFERENCES {schema}.chat_accounts (id),
    PRIMARY KEY (word, account)
);

CREATE TABLE {schema}.chat_revoked_tokens (
    token      text   COLLATE "C" PRIMARY KEY,
    expires_at bigint NOT NULL
);

CREATE INDEX chat_revoked_tokens_by_expiry ON {schema}.chat_revoked_tokens (expires_at);
