-- POSTs to seat ids one after the other. Arguments: first id, last id (then from the first again), and
-- "count" to count the answers by status; reading every answer costs wrk time, so measurements go without.
local id, first, last, head, tail
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  first, last = tonumber(args[1]), tonumber(args[2])
  id = first - 1
  head = "POST /api/v1/bookings/reserve/"
  tail = " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\nContent-Length: 0\r\n\r\n"
  counts = ""
  if args[3] == "count" then
    local by_status = {}
    response = function(status)
      by_status[status] = (by_status[status] or 0) + 1
      local parts = {}
      for each, count in pairs(by_status) do table.insert(parts, string.format('"%d":%d', each, count)) end
      counts = table.concat(parts, ",")
    end
  end
end

function request()
  id = id + 1
  if id > last then id = first end
  return head .. id .. tail
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"durationMs":%.3f,"answers":%d,"refused":%d,"lost":%d,"p50Ms":%.3f,"p99Ms":%.3f,"statuses":{%s}}',
    summary.duration / 1000, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, threads[1]:get("counts")
  ))
end
