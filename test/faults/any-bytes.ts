import { connect } from "node:net";
import fc from "fast-check";

/** Requests to an HTTP port, from nearly right to any bytes at all; each in the pieces that it is written in. */

const PATHS = [
  ...["/", "/nope", "/metrics", "/actuator/health", "/health/ready", "/openapi.json", "/api/v1/events"],
  ...["/api/v1/events/1", "/api/v1/events/1/map", "/api/v1/events/1/seats?after=1&limit=5", "/api/v1/seats"],
  ...[
    "/api/v1/events/1/sections",
    "/api/v1/events/1/changes",
    "/api/v1/seats/1",
    "/api/v1/seats/1/history?after=1",
    "/api/v1/reservations",
  ],
  ...["/api/v1/bookings/reserve/1", "/api/v1/bookings/reserve/99999999999999999999", "/api/v1/admin/events"],
  ...["/api/v1/reservations/0199a1b2-0000-7000-8000-000000000000/confirm", "/api/v1/admin/api-keys?limit=2"],
  ...["/api/v1/admin/events/1/open", "/api/v1/events/1/map?at=2026-01-01T00:00:00Z", "*", "//", "http://a/b"],
];
const BODIES = [
  ...["", "{}", "[]", "null", "{", '{"seatIds":[1,2]}', '{"eventId":1,"bestAvailable":{"count":2}}'],
  ...[
    '{"seatIds":[9007199254740993]}',
    '{"__proto__":{"a":1},"seatIds":[1]}',
    '{"name":"a","role":"reader"}',
  ],
  `{"seatIds":${"[".repeat(5000)}`,
];
const HEADERS = [
  ...["host: engine", "host: ", "host: [[[", "host: a:99999999", "host: \xff\xfe", "HOST : x"],
  ...[
    "content-type: application/json",
    "content-type: text/plain",
    "content-length: 5",
    "content-length: -1",
  ],
  ...["content-length: 99999999999", "transfer-encoding: chunked", "transfer-encoding: gzip, chunked"],
  ...[
    "expect: 100-continue",
    "connection: close",
    "connection: upgrade",
    "upgrade: websocket",
    "upgrade: h2c",
  ],
  ...["idempotency-key: 0123456789abcdef", "idempotency-key: \x01", `idempotency-key: ${"k".repeat(300)}`],
  ...[
    "x-forwarded-for: 1.2.3.4",
    "x-forwarded-for: ,,[::1]:x,%",
    "x-forwarded-for: ::ffff:1.2.3.4.5.6, fe80::1%e",
  ],
  ...[
    "last-event-id: 1-2-3",
    "last-event-id: -",
    "x-request-id: a b",
    "x-reservation-token: x",
    "accept: */*;q=x",
  ],
  ...[
    "authorization: Bearer x",
    "x-api-key: sentinel_0_",
    'if-none-match: W/"',
    "range: bytes=9-1,-",
    "cookie: a=b",
  ],
  ...[
    "accept: application/octet-stream",
    "accept-encoding: gzip;q=0,*",
    " folded: line",
    "no colon",
    ": no name",
  ],
];
const METHODS = [
  "GET",
  "POST",
  "DELETE",
  "PATCH",
  "PUT",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "get",
  "PRI",
];

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array).toString("latin1"));
/** Mostly one that the server knows. */
const either = (known: readonly string[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: bytes });

const wellFormed = (extraHeaders: readonly string[]) =>
  fc
    .record({
      method: fc.oneof({ weight: 8, arbitrary: fc.constantFrom("GET", "POST") }, either(METHODS)),
      path: fc.tuple(either(PATHS), fc.oneof({ weight: 6, arbitrary: fc.constant("") }, bytes)),
      version: fc.oneof(
        { weight: 20, arbitrary: fc.constant("1.1") },
        fc.constantFrom("1.0", "2.0", "0.9", ""),
      ),
      headers: fc.array(either([...HEADERS, ...extraHeaders]), { maxLength: 6 }),
      body: either(BODIES),
      hasLength: fc.boolean(),
      hasHost: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
    })
    .map(({ method, path, version, headers, body, hasLength, hasHost }) =>
      [
        `${method} ${path.join("")} HTTP/${version}`,
        ...(hasHost ? ["host: engine"] : []),
        ...headers,
        ...(hasLength ? ["content-type: application/json", `content-length: ${body.length}`] : []),
        `\r\n${body}`,
      ].join("\r\n"),
    );

/** What becomes of it on the way: some of its bytes replaced, left out, or twice there. */
const damage = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat(20), put: bytes });

/** @param extraHeaders headers that open doors, an administrator's key among them. */
export const anyRequest = (extraHeaders: readonly string[] = []): fc.Arbitrary<Buffer[]> =>
  fc
    .record({
      text: fc.oneof({ weight: 19, arbitrary: wellFormed(extraHeaders) }, bytes),
      damages: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(damage, { maxLength: 3 })),
      times: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 30 })),
      cut: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.double({ min: 0, max: 1, noNaN: true })),
    })
    .map(({ text, damages, times, cut }) => {
      let sent = text;
      for (const { at, length, put } of damages) {
        const from = Math.floor(at * sent.length);
        sent = sent.slice(0, from) + put + sent.slice(from + length);
      }
      const all = Buffer.from(sent.repeat(times), "latin1");
      const place = Math.floor(cut * all.length);
      return [all.subarray(0, place), all.subarray(place)].filter((piece) => piece.length > 0);
    });

const ANSWER_WAIT_MS = 250;
/** A stream of changes goes on. */
const EXCHANGE_LIMIT_MS = 1000;

/** Everything that comes back until the server closes or is silent. */
export function exchange(port: number, pieces: Buffer[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let answer = "";
    const end = () => {
      clearTimeout(silence);
      clearTimeout(limit);
      socket.destroy();
      resolve(answer);
    };
    const silence = setTimeout(end, ANSWER_WAIT_MS);
    const limit = setTimeout(end, EXCHANGE_LIMIT_MS);
    socket.setNoDelay();
    socket.on("error", end);
    socket.on("close", end);
    socket.on("data", (data) => {
      answer += data.toString("latin1");
      silence.refresh();
    });
    const write = ([piece, ...rest]: Buffer[]) => {
      if (!piece) return;
      socket.write(piece, () => setImmediate(() => write(rest)));
    };
    write(pieces);
  });
}
