-- The position and the signature stand at the head of the body, behind 32 bytes. Bytes are
-- compared one by one: Redis compares strings by the locale it runs in.
local there = redis.pcall('GETRANGE', KEYS[1], 0, 115)
if type(there) == 'string' and #there == 116 and string.sub(there, 1, 3) == 'PJ\2' then
  for place = 33, 116 do
    local old, new = string.byte(there, place), string.byte(ARGV[1], place)
    if old > new then return 0 end
    if old < new then break end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
