-- KEYS[1] the price, KEYS[2] who writes prices; ARGV[1] the sealed value, ARGV[2] its lifetime in
-- milliseconds, ARGV[3] the writer. Nothing is written by one that no longer is the writer, nor over
-- a newer slot. Bytes are compared one by one: Redis compares strings by the locale it runs in.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
local there = redis.pcall('GETRANGE', KEYS[1], 0, 10)
if type(there) == 'string' and #there == 11 and string.sub(there, 1, 2) == 'PJ' then
  for place = 4, 11 do
    local old, new = string.byte(there, place), string.byte(ARGV[1], place)
    if old > new then return 0 end
    if old < new then break end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
