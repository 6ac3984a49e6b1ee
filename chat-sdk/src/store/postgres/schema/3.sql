-- What a group or channel is about. Channels, and the roles that came with them, are words in columns that
-- are there.
ALTER TABLE {schema}.chat_conversations ADD COLUMN topic text;
