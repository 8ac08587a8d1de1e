-- POSTs to seat ids one after the other. Arguments: first id, last id (then from the first again).
-- Answers are not looked at: reading every one costs wrk's thread as much as sending.
local id, first, last, head, tail

function init(args)
  first, last = tonumber(args[1]), tonumber(args[2])
  id = first - 1
  head = "POST /api/v1/bookings/reserve/"
  tail = " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\nContent-Length: 0\r\n\r\n"
end

function request()
  id = id + 1
  if id > last then id = first end
  return head .. id .. tail
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"durationMs":%.3f,"answers":%d,"refused":%d,"lost":%d,"p50Ms":%.3f,"p99Ms":%.3f,"p999Ms":%.3f,"maxMs":%.3f}',
    summary.duration / 1000, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency:percentile(99.9) / 1000, latency.max / 1000
  ))
end
