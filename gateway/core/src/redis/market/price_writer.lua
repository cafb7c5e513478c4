-- KEYS[1] who writes prices; ARGV[1] the writer that asks, ARGV[2] for how many milliseconds, 0 to
-- give it up. Returns 1 if it is that writer, else 0.
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  if there then redis.call('DEL', KEYS[1]) end
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
