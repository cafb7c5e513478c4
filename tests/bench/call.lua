-- One JSON-RPC call, over and over; the result as one JSON line. The body comes from CALL_BODY.
-- CALL_PAUSE is how many milliseconds each connection waits before its next call.

wrk.method = "POST"
wrk.body = os.getenv("CALL_BODY")
wrk.headers["content-type"] = "application/json"

local pause = tonumber(os.getenv("CALL_PAUSE")) or 0

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
