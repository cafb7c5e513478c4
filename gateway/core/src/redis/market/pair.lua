-- KEYS   1 the latest trade, 2 the recent trades, from 3 on candles
-- ARGV   1 the sealed latest trade or nothing, 2 its lifetime, 3 the lifetime of recent trades,
--        4 how many recent trades are kept, 5 how many follow, then these;
--        then for each key of candles: its lifetime, how many parts follow, fields and parts
-- Lifetimes are in milliseconds. Bytes are compared one by one, from place to place: Redis compares
-- strings by the locale it runs in.
local function earlier(old, new, from, to)
  for place = from, to do
    local one, other = string.byte(old, place), string.byte(new, place)
    if one ~= other then return one < other end
  end
  return true
end

local there = redis.pcall('GETRANGE', KEYS[1], 0, 115)
local ours = type(there) == 'string' and #there == 116 and string.sub(there, 1, 3) == 'PJ\2'
if ARGV[1] ~= '' and (not ours or earlier(there, ARGV[1], 33, 116)) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end

local next = 6
local last = 5 + tonumber(ARGV[5])
while next <= last do
  redis.call('ZADD', KEYS[2], 0, ARGV[next])
  next = next + 1
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[2], ARGV[3])

for key = 3, #KEYS do
  local lifetime, parts = ARGV[next], tonumber(ARGV[next + 1])
  next = next + 2
  for _ = 1, parts do
    local field, part = ARGV[next], ARGV[next + 1]
    next = next + 2
    local old = redis.call('HGET', KEYS[key], field)
    -- The version, then the batch.
    if not old or #old < 9 or string.byte(old, 1) ~= string.byte(part, 1)
      or earlier(old, part, 2, 9) then
      redis.call('HSET', KEYS[key], field, part)
    end
  end
  redis.call('PEXPIRE', KEYS[key], lifetime)
end
return 1
