-- KEYS[1] the lane, ARGV[1] the batch, ARGV[2] the whole text, ARGV[3] its lifetime in milliseconds.
-- Batches are below 2^53, which numbers here hold exactly.
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' then
  local batch = tonumber(string.match(there, '^(%d+):'))
  if batch and batch > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
