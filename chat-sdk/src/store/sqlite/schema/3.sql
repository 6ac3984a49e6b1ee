-- Messages can be edited, reacted to and pinned.

-- Of an edit: the number of the message. What a message says is read from its last edit, and what has to
-- go with it is found by this.
ALTER TABLE events ADD COLUMN edits INTEGER;
CREATE INDEX events_edits ON events (conversation, edits, seq) WHERE edits IS NOT NULL;

CREATE TABLE reactions (
    conversation BLOB    NOT NULL REFERENCES conversations (id),
    message      INTEGER NOT NULL,
    user         TEXT    NOT NULL,
    emoji        TEXT    NOT NULL,
    PRIMARY KEY (conversation, message, user, emoji)
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
    conversation BLOB    NOT NULL REFERENCES conversations (id),
    message      INTEGER NOT NULL,
    PRIMARY KEY (conversation, message)
) STRICT, WITHOUT ROWID;
