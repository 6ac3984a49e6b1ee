-- How people come into groups and channels by themselves, and what they then see of what was before.

ALTER TABLE conversations ADD COLUMN access TEXT NOT NULL DEFAULT 'private';
ALTER TABLE conversations ADD COLUMN history TEXT NOT NULL DEFAULT 'all';
CREATE INDEX conversations_public ON conversations (title, id) WHERE access = 'public';

-- The first event that the member may see.
ALTER TABLE members ADD COLUMN visible_from INTEGER NOT NULL DEFAULT 1;
-- Whether they were removed, and nobody added them since.
ALTER TABLE members ADD COLUMN barred INTEGER NOT NULL DEFAULT 0 CHECK (barred IN (0, 1));

CREATE TABLE links (
    conversation BLOB    NOT NULL REFERENCES conversations (id),
    link         TEXT    NOT NULL,
    -- '': the system.
    made_by      TEXT    NOT NULL,
    made_at      INTEGER NOT NULL,
    expires_at   INTEGER,
    uses_max     INTEGER,
    uses         INTEGER NOT NULL,
    PRIMARY KEY (conversation, link)
) STRICT, WITHOUT ROWID;

CREATE INDEX links_by_name ON links (link);
