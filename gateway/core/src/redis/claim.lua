-- Claims a call at slot ARGV[1], unless somebody has whose answer may still hold then: one claimed
-- less than ARGV[4] slots before, or later.
local there = redis.call('GET', KEYS[1])
local slot = there and tonumber(string.match(there, '^%d+'))
if slot and tonumber(ARGV[1]) < slot + tonumber(ARGV[4]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
