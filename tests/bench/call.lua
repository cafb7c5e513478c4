-- JSON-RPC calls, one after the other and over again; the result as one JSON line. CALLS names a file
-- with a body on each line; it begins with any of them. CALL_PAUSE is how many milliseconds each connection waits before its next call.

wrk.method = "POST"
wrk.headers["content-type"] = "application/json"

local pause = tonumber(os.getenv("CALL_PAUSE")) or 0
local bodies = {}
for line in io.lines(os.getenv("CALLS")) do
  bodies[#bodies + 1] = line
end
-- wrk makes the request once if it is always the same.
wrk.body = bodies[1]

if #bodies > 1 then
  local requests, at = {}, 0

  function init()
    math.randomseed(os.time())
    at = math.random(#bodies)
    for i, body in ipairs(bodies) do
      requests[i] = wrk.format(nil, nil, nil, body)
    end
  end

  function request()
    at = at % #requests + 1
    return requests[at]
  end
end

if pause > 0 then
  function delay()
    return pause
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"errors":%d,"p50":%.1f,"p99":%.1f}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
