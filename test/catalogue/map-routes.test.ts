import { beforeAll, describe, expect, test } from "bun:test";
import { reserve } from "../engine/buyers.ts";
import { untilWithin } from "../fixtures/until.ts";
import { type Answer, SMALL_HOUSE, useShop } from "./shop.ts";

const CODES = ["unknown", "available", "held", "reserved"];
const DEADLINE_MS = 5000;

const shop = useShop();
let event: { eventId: number; createdAt: string; sections: { firstSeatId: number }[] };
beforeAll(async () => {
  event = (await shop.admin("POST", "/api/v1/admin/events", SMALL_HOUSE)).body;
});

const pathOf = (eventId: number) => `/api/v1/events/${eventId}/map`;
const plain = { "accept-encoding": "identity" };
const mapOf = (eventId: number, headers = {}) => shop.get(pathOf(eventId), { ...plain, ...headers });

interface Sections {
  sections: { firstSeatId: number; seatCount: number; offset: number }[];
}

/** Seat ids and what they are, as a client reads a map. */
function statusesIn({ sections }: Sections, bytes: Uint8Array): [number, string | undefined][] {
  return sections.flatMap(({ firstSeatId, seatCount, offset }) =>
    Array.from({ length: seatCount }, (_, index): [number, string | undefined] => {
      const byte = bytes[offset + (index >> 2)] ?? 0;
      return [firstSeatId + index, CODES[(byte >> ((index & 3) * 2)) & 3]];
    }),
  );
}
const readMap = ({ body }: Answer) => statusesIn(body, Uint8Array.fromBase64(body.data));

const inDatabase = async (eventId: number) =>
  (
    await shop.facts.query<{ id: number; status: string }>(
      "select id::int, status::text from seats where event_id = $1 order by id",
      [eventId],
    )
  ).map(({ id, status }) => [id, status]);

/** Waits until the event's map is as the database has it. */
const toBeTrue = (eventId: number) =>
  untilWithin(DEADLINE_MS, `the map of event ${eventId} says what the database does`, async () =>
    Bun.deepEquals(readMap(await mapOf(eventId)), await inDatabase(eventId)),
  );

describe("the map of an event", () => {
  test("says of each seat what the database does, each section from a byte of its own", async () => {
    const [stalls, standing] = event.sections;
    for (const seatId of [stalls?.firstSeatId ?? 0, (standing?.firstSeatId ?? 0) + 5]) {
      expect((await reserve(shop.engine.url, seatId)).status).toBe(201);
    }
    await toBeTrue(event.eventId);
    const { status, body, headers } = await mapOf(event.eventId);
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(body).toMatchObject({
      ...{ eventId: event.eventId, encoding: "2bit-le" },
      sections: [
        { name: "Stalls", ...(stalls && { firstSeatId: stalls.firstSeatId }), seatCount: 12, offset: 0 },
        { name: "Standing", seatCount: 6, offset: 3 },
      ],
    });
    expect(body.data).toBe(
      Uint8Array.from([0b01010111, 0b01010101, 0b01010101, 0b01010101, 0b00001101]).toBase64(),
    );
  });

  test("is true for the demo event too, which is remembered from the start", async () => {
    await reserve(shop.engine.url, 1000);
    await toBeTrue(1);
    expect(readMap(await mapOf(1)).at(-1)).toEqual([1000, "reserved"]);
  });

  test("comes as bytes to who asks for them, the same bytes", async () => {
    const json = await mapOf(event.eventId);
    const binary = await mapOf(event.eventId, { accept: "application/octet-stream" });
    expect(binary.headers.get("content-type")).toBe("application/octet-stream");
    expect(statusesIn(json.body, binary.bytes)).toEqual(readMap(json));
  });

  test("comes gzipped to who can read that, and says so", async () => {
    const gzipped = await shop.get(pathOf(1), { "accept-encoding": "br;q=1, gzip" });
    expect(gzipped.headers.get("vary")).toBe("Accept, Accept-Encoding");
    const raw = await fetch(shop.engine.url + pathOf(1), {
      headers: { "accept-encoding": "gzip" },
      decompress: false,
    });
    expect(raw.headers.get("content-encoding")).toBe("gzip");
    const unpacked = Bun.gunzipSync(new Uint8Array(await raw.arrayBuffer()));
    expect(JSON.parse(new TextDecoder().decode(unpacked))).toEqual((await mapOf(1)).body);
    const refused = await fetch(shop.engine.url + pathOf(1), {
      headers: { "accept-encoding": "gzip;q=0" },
      decompress: false,
    });
    expect(refused.headers.get("content-encoding")).toBeNull();
  });

  test("is not sent again to who has it, until a seat changes", async () => {
    const seatId = (event.sections[0]?.firstSeatId ?? 0) + 1;
    await toBeTrue(event.eventId);
    const etag = (await mapOf(event.eventId)).headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[\w-]+"$/);
    for (const header of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const known = await mapOf(event.eventId, { "if-none-match": header });
      expect([header, known.status, known.text, known.headers.get("etag")]).toEqual([header, 304, "", etag]);
    }
    // Of another event, a seat changes: this map is what it was.
    await reserve(shop.engine.url, 500);
    await toBeTrue(1);
    expect((await mapOf(event.eventId, { "if-none-match": etag })).status).toBe(304);
    await reserve(shop.engine.url, seatId);
    const changed = await untilWithin(DEADLINE_MS, "the map is sent again", async () => {
      const answer = await mapOf(event.eventId, { "if-none-match": etag });
      return answer.status === 200 && answer;
    });
    expect(readMap(changed)).toContainEqual([seatId, "reserved"]);
  });

  test("has another ETag in each form, since its bytes differ", async () => {
    const forms = [
      plain,
      { "accept-encoding": "gzip" },
      { ...plain, accept: "application/octet-stream" },
      { "accept-encoding": "gzip", accept: "application/octet-stream" },
    ];
    const etags = await Promise.all(
      forms.map(async (headers) => (await shop.get(pathOf(1), headers)).headers.get("etag")),
    );
    expect(new Set(etags).size).toBe(4);
  });

  test("is refused as a problem where there is no such event, or no such parameter", async () => {
    expect([(await mapOf(999_999)).status, (await shop.get(`${pathOf(1)}?form=round`)).body.detail]).toEqual([
      404,
      "form: is not a known field.",
    ]);
    expect((await shop.get("/api/v1/events/0/map")).body.detail).toStartWith("eventId: ");
  });

  test("can be made for an event whose seats have no section: it is empty", async () => {
    const [made] = await shop.facts.query<{ id: number }>(
      "insert into events (name, currency) values ('Bare', 'EUR') returning id::int",
    );
    const { status, body } = await mapOf(made?.id ?? 0);
    expect([status, body.sections, body.data]).toEqual([200, [], ""]);
  });
});

describe("the map of an event as it was", () => {
  const at = (time: string | undefined) => `${pathOf(event.eventId)}?at=${encodeURIComponent(time ?? "")}`;
  const timeNow = async () =>
    (await shop.facts.query<{ now: Date }>("select clock_timestamp() as now"))[0]?.now.toISOString();

  test("says of each seat what its newest row of the ledger until then says", async () => {
    const first = (event.sections[0]?.firstSeatId ?? 0) + 4;
    const write = async (seatId: number, version: number, status: string, at: Date) =>
      shop.facts.query(
        `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id, occurred_at)
         select 1, $1, $2, $3, $4::ledger_status, gen_random_uuid(), $5`,
        [seatId, version, event.eventId, status, at],
      );
    // Two milliseconds apart: the address tells whole ones, the ledger knows parts of them.
    const made = Date.parse(event.createdAt);
    const times = [new Date(made + 1).toISOString()];
    for (const [seat, version, status] of [
      [0, 1, "HELD"],
      [1, 1, "RESERVED"],
      [0, 2, "EXTENDED"],
      [0, 3, "RELEASED"],
      [0, 4, "HELD"],
      [0, 5, "EXPIRED"],
      [1, 2, "CANCELLED"],
    ] as const) {
      const at = new Date(made + 2 * times.length);
      await write(first + seat, version, status, at);
      times.push(new Date(at.getTime() + 1).toISOString());
    }
    const seen = await Promise.all(
      times.map(async (time) => {
        const statuses = new Map(readMap(await shop.get(at(time))));
        return [statuses.get(first), statuses.get(first + 1), statuses.get(first + 2)];
      }),
    );
    const free = "available";
    expect(seen).toEqual([
      [free, free, free],
      ["held", free, free],
      ["held", "reserved", free],
      ["held", "reserved", free],
      [free, "reserved", free],
      ["held", "reserved", free],
      [free, "reserved", free],
      [free, free, free],
    ]);
  });

  test("may be kept for good, but not of a moment that is just over", async () => {
    await shop.facts.query(
      "update events set created_at = now() - interval '2 hours', revision = nextval('catalogue_revision') where id = $1",
      [event.eventId],
    );
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString();
    const settled = await untilWithin(DEADLINE_MS, "the event is known to be older", async () => {
      const answer = await shop.get(at(hourAgo));
      return answer.status === 200 && answer;
    });
    expect(settled.headers.get("cache-control")).toBe("max-age=31536000, immutable");
    expect(settled.body.generatedAt).toBe(hourAgo);
    expect(new Set(readMap(settled).map(([, status]) => status))).toEqual(new Set(["available"]));
    const etag = settled.headers.get("etag") ?? "";
    expect((await shop.get(at(hourAgo), { "if-none-match": etag })).status).toBe(304);
    expect((await shop.get(at(await timeNow()))).headers.get("cache-control")).toBe("no-store");
  });

  test("is refused for the future, for the time before the event, and for what is no time", async () => {
    const hourAhead = new Date(Date.now() + 3_600_000).toISOString();
    for (const time of [hourAhead, "2000-01-01T00:00:00Z", "yesterday", "2026-12-01", ""]) {
      const { status, body } = await shop.get(at(time));
      expect([time, status, body.detail]).toEqual([time, 400, expect.stringMatching(/^at: must /)]);
    }
  });
});
