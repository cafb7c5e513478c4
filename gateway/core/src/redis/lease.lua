-- Leases requests of a budget. KEYS[1] is a hash: `full` is when the bucket will be full, in microseconds
-- since 1970, `each` the time in which a request was earned then; under the id of each gateway stands what it was
-- granted last.
-- ARGV[1]: microseconds in which a request is earned; ARGV[2]: the burst; ARGV[3]: requests wanted,
-- negative for those that are given back; ARGV[4]: requests sent without a lease, less those
-- that were leased and not sent; ARGV[5]: the gateway's id; ARGV[6]: the number of this question; ARGV[7]: the number of the last one it had an answer to.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, sent = tonumber(ARGV[3]), tonumber(ARGV[4])
local full = math.max(tonumber(redis.call('HGET', KEYS[1], 'full') or '0') or 0, now)
-- Another rate was configured, or is at another gateway still: as many requests as were used up stay used up.
local each = tonumber(redis.call('HGET', KEYS[1], 'each') or '')
if each and each > 0 and each ~= interval then
  full = now + (full - now) / each * interval
end
-- An answer that never came is taken back: nobody has what it granted.
local last = redis.call('HGET', KEYS[1], ARGV[5])
if last then
  local number, granted, told = string.match(last, '^(%d+) (-?%d+) (-?%d+)$')
  if number and number ~= ARGV[7] then
    full = math.max(full - (tonumber(granted) + tonumber(told)) * interval, now)
  end
end
full = math.max(full + sent * interval, now)
local granted = want
if want < 0 then
  full = math.max(full + want * interval, now)
else
  local left = math.floor(burst - (full - now) / interval + 0.0001)
  granted = math.max(math.min(want, left), 0)
  full = full + granted * interval
end
redis.call('HSET', KEYS[1], 'full', string.format('%.3f', full), 'each', ARGV[1], ARGV[5],
  ARGV[6] .. ' ' .. string.format('%d', granted) .. ' ' .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], math.ceil((full - now) / 1000) + 60000)
return { granted, math.floor(burst - (full - now) / interval + 0.0001) }
