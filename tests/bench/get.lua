-- GETs, one after the other and over again; the result as one JSON line. CALLS names a file with a target
-- (path and query) on each line. CALL_PAUSE is how many milliseconds each connection waits before its next.

local pause = tonumber(os.getenv("CALL_PAUSE")) or 0
local targets = {}
for line in io.lines(os.getenv("CALLS")) do
  targets[#targets + 1] = line
end

local requests, at = {}, 0

function init()
  math.randomseed(os.time())
  at = math.random(#targets)
  for i, target in ipairs(targets) do
    requests[i] = wrk.format("GET", target)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

if pause > 0 then
  function delay()
    return pause
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"errors":%d,"p50":%.1f,"p95":%.1f,"p99":%.1f}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
