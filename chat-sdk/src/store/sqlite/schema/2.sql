-- Stamps of a conversation grow with its numbers, so where a stamp stands is found by its numbers; the
-- index was a page more to write for each message.
DROP INDEX events_by_stamp;

-- So was this one. The unread and the pages of messages are read by the primary key, in which the author
-- and the kind stand before the body: a long body is not touched.
DROP INDEX events_messages;
