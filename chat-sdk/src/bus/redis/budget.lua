-- A bucket of tokens that fills as the server's time passes.
-- KEYS[1]: the bucket. ARGV: tokens a second, tokens it holds, tokens wanted. Answers how many are given.
-- Tokens are counted in millionths, so that a microsecond is never worth nothing.
local rate, most, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000000, tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1]) or most, tonumber(bucket[2]) or now
-- A clock that was set back gives nothing for the time it repeats.
tokens = math.min(most, tokens + math.max(0, now - at) * rate)
local given = math.min(wanted, math.floor(tokens / 1000000))
-- Numbers as text, because Redis would shorten large ones.
redis.call('HSET', KEYS[1],
    'tokens', string.format('%.0f', tokens - given * 1000000),
    'at', string.format('%.0f', now))
-- Who left it alone for so long finds it full, as a bucket that is not there is.
if rate > 0 then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(most / rate / 1000) + 1000))
end
return given
