-- Requests of /api/v1/reservations beside the reserve route. Arguments: mode, first seat id, last seat id, event id.
--   reserve, hold: one seat after the other; basket: four neighbours each
--   confirm: holds one seat after the other and confirms each hold it has an answer to
--   best: four best seats; after 4,500 of these in a section (18,000 of its 20,000 seats) the next section
--   general: one place of the section "Floor"; map: the event's availability map
local mode, id, event, sent, threads = "", 0, 1, 0, {}
local host, waiting = "", {}
holds, confirms = 0, 0

function setup(thread) table.insert(threads, thread) end

local function post(path, body, more)
  return "POST " .. path .. " HTTP/1.1\r\nHost: " .. host .. "\r\nContent-Type: application/json\r\n"
    .. (more or "") .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

function init(args)
  mode, id, event = args[1], tonumber(args[2]), args[4]
  host = wrk.host .. ":" .. wrk.port
  if mode == "confirm" then
    response = function(status, _, body)
      if status == 201 then
        holds = holds + 1
        table.insert(waiting, { body:match('"reservationId":"([^"]+)"'), body:match('"token":"([^"]+)"') })
      elseif status == 200 then
        confirms = confirms + 1
      end
    end
  end
end

local makers = {
  reserve = function()
    id = id + 1
    return "POST /api/v1/bookings/reserve/" .. id .. " HTTP/1.1\r\nHost: " .. host .. "\r\nContent-Length: 0\r\n\r\n"
  end,
  hold = function()
    id = id + 1
    return post("/api/v1/reservations", '{"seatIds":[' .. id .. "]}")
  end,
  basket = function()
    id = id + 4
    return post("/api/v1/reservations", string.format('{"seatIds":[%d,%d,%d,%d]}', id - 3, id - 2, id - 1, id))
  end,
  best = function()
    local section = id + math.floor(sent / 4500)
    return post("/api/v1/reservations",
      string.format('{"eventId":%s,"bestAvailable":{"quantity":4,"sections":["Block %d"]}}', event, section))
  end,
  general = function()
    return post("/api/v1/reservations", string.format('{"eventId":%s,"section":"Floor","quantity":1}', event))
  end,
  map = function()
    return "GET /api/v1/events/" .. event .. "/map HTTP/1.1\r\nHost: " .. host
      .. "\r\nAccept: application/octet-stream\r\n\r\n"
  end,
}
makers.confirm = function()
  local hold = table.remove(waiting)
  if not hold then return makers.hold() end
  return post("/api/v1/reservations/" .. hold[1] .. "/confirm", "", "X-Reservation-Token: " .. hold[2] .. "\r\n")
end

function request()
  sent = sent + 1
  return makers[mode]()
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"durationMs":%.3f,"answers":%d,"refused":%d,"lost":%d,"p50Ms":%.3f,"p99Ms":%.3f,"holds":%d,"confirms":%d}',
    summary.duration / 1000, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    threads[1]:get("holds"), threads[1]:get("confirms")
  ))
end
