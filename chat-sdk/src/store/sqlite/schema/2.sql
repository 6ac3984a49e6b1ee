-- Stamps of a conversation grow with its numbers, so where a stamp stands is found by its numbers; the
-- index was a page more to write for each message.
DROP INDEX events_by_stamp;
