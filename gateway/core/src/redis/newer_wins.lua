-- Bytes are compared one by one: Redis compares strings by the locale it runs in.
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
