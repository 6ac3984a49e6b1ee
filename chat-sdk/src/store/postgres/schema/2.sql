-- Messages can be edited, reacted to and pinned.

-- Of an edit: the number of the message. What a message says is read from its last edit, and what has to
-- go with it is found by this.
ALTER TABLE {schema}.chat_events ADD COLUMN edits bigint;
CREATE INDEX chat_events_edits ON {schema}.chat_events (conversation, edits, seq)
    WHERE edits IS NOT NULL;

CREATE TABLE {schema}.chat_reactions (
    conversation uuid   NOT NULL,
    message      bigint NOT NULL,
    member       text   COLLATE "C" NOT NULL,
    emoji        text   COLLATE "C" NOT NULL,
    PRIMARY KEY (conversation, message, member, emoji)
);

CREATE TABLE {schema}.chat_pins (
    conversation uuid   NOT NULL,
    message      bigint NOT NULL,
    PRIMARY KEY (conversation, message)
);
