-- How people come into groups and channels by themselves, and what they then see of what was before.

ALTER TABLE {schema}.chat_conversations
    ADD COLUMN access text COLLATE "C" NOT NULL DEFAULT 'private',
    ADD COLUMN history text COLLATE "C" NOT NULL DEFAULT 'all';
CREATE INDEX chat_conversations_public ON {schema}.chat_conversations ((title COLLATE "C"), id)
    WHERE access = 'public';

-- The first event that the member may see; and whether they were removed, and nobody added them since.
ALTER TABLE {schema}.chat_members
    ADD COLUMN visible_from bigint NOT NULL DEFAULT 1,
    ADD COLUMN barred boolean NOT NULL DEFAULT false;

CREATE TABLE {schema}.chat_links (
    conversation uuid                NOT NULL,
    link         text    COLLATE "C" NOT NULL,
    -- '': the system.
    made_by      text    COLLATE "C" NOT NULL,
    made_at      bigint              NOT NULL,
    expires_at   bigint,
    uses_max     bigint,
    uses         bigint              NOT NULL,
    PRIMARY KEY (conversation, link)
);
CREATE INDEX chat_links_by_name ON {schema}.chat_links (link);
