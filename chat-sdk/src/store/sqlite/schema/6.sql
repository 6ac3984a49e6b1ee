-- Messages carry files. Their bytes are elsewhere, in blobs.
CREATE TABLE files (
    id           BLOB    PRIMARY KEY CHECK (length(id) = 16),
    owner        TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('uploading', 'complete', 'attached', 'gone')),
    -- The message that carries it.
    conversation BLOB,
    message      INTEGER,
    -- Until when it is kept if no message carries it.
    expires_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    -- What nothing is looked for in, as JSON: name, type, and in which blobs the bytes are.
    document     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- What somebody keeps.
CREATE INDEX files_by_owner ON files (owner, state, size) WHERE state <> 'gone';
-- What goes with a message.
CREATE INDEX files_by_message ON files (conversation, message) WHERE state = 'attached';
-- What is to be collected.
CREATE INDEX files_over ON files (expires_at) WHERE state <> 'attached';

-- Whose a blob is.
CREATE TABLE file_blobs (
    blob BLOB PRIMARY KEY CHECK (length(blob) = 16),
    file BLOB NOT NULL REFERENCES files (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX file_blobs_by_file ON file_blobs (file);
