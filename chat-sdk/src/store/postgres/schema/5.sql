-- Messages carry files. Their bytes are elsewhere, in blobs.
CREATE TABLE {schema}.chat_files (
    id           uuid   PRIMARY KEY,
    owner        text   COLLATE "C" NOT NULL,
    size         bigint NOT NULL,
    state        text   COLLATE "C" NOT NULL
        CHECK (state IN ('uploading', 'complete', 'attached', 'gone')),
    -- The message that carries it.
    conversation uuid,
    message      bigint,
    -- Until when it is kept if no message carries it, in milliseconds since 1970.
    expires_at   bigint NOT NULL,
    version      bigint NOT NULL,
    -- What nothing is looked for in, as JSON: name, type, and in which blobs the bytes are.
    document     text   NOT NULL
);

-- What somebody keeps.
CREATE INDEX chat_files_by_owner ON {schema}.chat_files (owner) INCLUDE (state, size)
    WHERE state <> 'gone';
-- What goes with a message.
CREATE INDEX chat_files_by_message ON {schema}.chat_files (conversation, message)
    WHERE state = 'attached';
-- What is to be collected.
CREATE INDEX chat_files_over ON {schema}.chat_files (expires_at) WHERE state <> 'attached';

-- Whose a blob is.
CREATE TABLE {schema}.chat_file_blobs (
    blob uuid PRIMARY KEY,
    file uuid NOT NULL
);

CREATE INDEX chat_file_blobs_by_file ON {schema}.chat_file_blobs (file);
