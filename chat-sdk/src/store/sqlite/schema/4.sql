-- What a group or channel is about. Channels, and the roles that came with them, are words in columns that
-- are there.
ALTER TABLE conversations ADD COLUMN topic TEXT;
