import { describe, expect, test } from "bun:test";
import { reserve } from "../engine/buyers.ts";
import { randomFrom, seedOf } from "../engine/random.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { type LedgerWriter, openLedgerWriter } from "./ledger-writer.ts";
import { type Heard, type Listener, listen } from "./listener.ts";

const SEATS = 2000;
/** Of the test with random cuts. */
const WRITERS = 3;
const TRANSACTIONS_EACH = 150;

describe("the stream of an event's seat changes", () => {
  const sale = useEngine({
    seats: SEATS,
    env: { RESERVATION_WORKERS: "1" },
    prepare: async ({ stack, databaseUrl, facts }) => {
      await facts.query("insert into events (name, currency) values ('another', 'EUR')");
      writer = await openLedgerWriter(stack, databaseUrl);
    },
  });
  let writer: LedgerWriter;
  let nextSeat = 1;
  const sell = async () => {
    const seatId = nextSeat++;
    expect((await reserve(sale.url, seatId)).status).toBe(201);
    return seatId;
  };

  /** Ids in the order of the ledger. */
  const ledgerIds = async (eventId = 1) =>
    (
      await sale.facts.query<{ id: string }>(
        "select epoch || '-' || txid || '-' || id as id from seat_events where event_id = $1 order by epoch, seat_events.txid, seat_events.id",
        [eventId],
      )
    ).map(({ id }) => id);
  const streamCount = async () => (await readMetrics(sale.url)).value("sentinel_change_streams");
  /** A read of the ledger that began after this moment has ended. */
  const tailToRead = async () => {
    const [now] = await sale.facts.query<{ at: string }>("select clock_timestamp()::text as at");
    await until(
      "the ledger is read again",
      async () =>
        (
          await sale.facts.query(
            "select from pg_stat_activity where application_name = 'sentinel-live' and query_start > $1::timestamptz and state = 'idle'",
            [now?.at],
          )
        ).length === 1,
    );
  };

  test("begins with ready, an id to come back with, and a time to come back after", async () => {
    const listener = await listen(sale.url);
    expect(listener.status).toBe(200);
    expect(listener.headers.get("content-type")).toBe("text/event-stream");
    expect(listener.headers.get("cache-control")).toBe("no-store");
    const [ready] = await listener.hears(1, "ready");
    expect(ready?.data).toEqual({ eventId: 1 });
    expect(ready?.id).toMatch(/^\d+-\d+-\d+$/);
    expect(listener.retryMs()).toBeWithin(1000, 5001);
    await listener.cut();
  });

  test("reports a sale when it is committed, and names no reservation", async () => {
    const listener = await listen(sale.url);
    await listener.hears(1, "ready");
    const seatId = await sell();
    const [change] = await listener.hears(1);
    const [row] = await sale.facts.query<{ at: Date }>(
      "select occurred_at as at from seat_events where seat_id = $1",
      [seatId],
    );
    expect(change).toEqual({
      event: "seat",
      id: (await ledgerIds()).at(-1) ?? "",
      data: { seatId, version: 1, status: "RESERVED", at: row?.at.toISOString() ?? "" },
    });
    await listener.cut();
  });

  test("does so at once, not when the ledger would be looked at anyway", async () => {
    const listener = await listen(sale.url);
    await listener.hears(1, "ready");
    const startedAt = performance.now();
    for (let count = 1; count <= 6; count++) {
      await sell();
      await listener.hears(count);
    }
    // Each second it is looked at: with that alone it would take 5 s or more.
    expect(performance.now() - startedAt).toBeLessThan(4000);
    await listener.cut();
  });

  test("reports what other processes commit without an announcement", async () => {
    const listener = await listen(sale.url);
    await listener.hears(1, "ready");
    await writer.write([700]);
    expect((await listener.hears(1))[0]?.data).toMatchObject({ seatId: 700, version: 1, status: "HELD" });
    await listener.cut();
  });

  test("reports its own event only", async () => {
    const [ours, theirs] = [await listen(sale.url), await listen(sale.url, { eventId: 2 })];
    for (const listener of [ours, theirs]) await listener.hears(1, "ready");
    await writer.write([701, 702], 2);
    await writer.write([703], 1);
    expect((await theirs.hears(2)).map(({ data }) => data.seatId)).toEqual([701, 702]);
    expect((await ours.hears(1)).map(({ data }) => data.seatId)).toEqual([703]);
    for (const listener of [ours, theirs]) await listener.cut();
  });

  test("never steps over a transaction that commits late: it comes first, and then what overtook it", async () => {
    const listener = await listen(sale.url);
    await listener.hears(1, "ready");
    const late = await openLedgerWriter(sale.stack, sale.databaseUrl);
    await late.client.query("begin");
    await late.write([710]);
    await writer.write([711]);
    await tailToRead();
    await tailToRead();
    expect(listener.heard.filter(({ event }) => event === "seat")).toEqual([]);
    await late.client.query("commit");
    expect((await listener.hears(2)).map(({ data }) => data.seatId)).toEqual([710, 711]);
    await listener.cut();
  });

  test("sends a client that comes back with its last id what it missed, and nothing twice", async () => {
    const first = await listen(sale.url);
    await first.hears(1, "ready");
    const heardSeat = await sell();
    await first.hears(1);
    await first.cut();
    const missed = [await sell(), await sell()];
    const again = await listen(sale.url, { lastEventId: first.lastId() });
    const live = await sell();
    const heard = await again.hears(3);
    expect(heard.map(({ data }) => data.seatId)).toEqual([...missed, live]);
    expect(heard.map(({ data }) => data.seatId)).not.toContain(heardSeat);
    expect(again.heard.map(({ event }) => event)).not.toContain("ready");
    await again.cut();
  });

  test("takes the last id from the address too, and rather from the header", async () => {
    const [begin = "", middle = "", last = ""] = (await ledgerIds()).slice(-3);
    const byAddress = await listen(sale.url, { queryId: begin });
    expect((await byAddress.hears(2)).map(({ id }) => id)).toEqual([middle, last]);
    const byBoth = await listen(sale.url, { queryId: begin, lastEventId: middle });
    await byBoth.hears(1);
    const seatId = await sell();
    expect((await byBoth.hears(2)).map(({ id }) => id)[0]).toBe(last);
    expect((await byBoth.hears(2))[1]?.data.seatId).toBe(seatId);
    for (const listener of [byAddress, byBoth]) await listener.cut();
  });

  test("sends a client that is cut off at random moments every change once, in the ledger's order", async () => {
    const random = randomFrom(seedOf("changes.test.ts"));
    const begin = await listen(sale.url);
    await begin.hears(1, "ready");
    let lastEventId = begin.lastId();
    await begin.cut();
    const before = (await ledgerIds()).length;

    let writing = true;
    const writes = Promise.all(
      Array.from({ length: WRITERS }, async (_, number) => {
        const own = await openLedgerWriter(sale.stack, sale.databaseUrl);
        for (let count = 0; count < TRANSACTIONS_EACH; count++) {
          await own.client.query("begin");
          for (let statement = 0; statement <= random() * 3; statement++) {
            const seats = Array.from({ length: 1 + random() * 4 }, (__, each) => 800 + 100 * number + each);
            await own.write(seats, random() < 0.7 ? 1 : 2);
          }
          if (random() < 0.3) await sell();
          await own.client.query(random() < 0.1 ? "rollback" : "commit");
        }
      }),
    ).finally(() => {
      writing = false;
    });
    const heard: Heard[] = [];
    const seatsIn = (listener: Listener) => listener.heard.filter(({ event }) => event === "seat");
    let cuts = 0;
    for (let isLast = false; !isLast; cuts++) {
      isLast = !writing;
      const listener = await listen(sale.url, { lastEventId });
      if (isLast) {
        const rest = (await ledgerIds()).length - before - heard.length;
        await listener.hears(rest);
      } else {
        const enough = Math.floor(random() * 30);
        await until(`${enough} more changes`, () => !writing || seatsIn(listener).length >= enough);
      }
      await listener.cut();
      expect(listener.heard.filter(({ event }) => event !== "seat")).toEqual([]);
      heard.push(...seatsIn(listener));
      lastEventId = listener.lastId();
    }
    await writes;
    expect(cuts).toBeGreaterThan(3);
    expect(heard.map(({ id }) => id)).toEqual((await ledgerIds()).slice(before));
    const newest = new Map<unknown, number>();
    for (const { seatId, version } of heard.map(({ data }) => data)) {
      expect(version).toBeGreaterThan(newest.get(seatId) ?? 0);
      newest.set(seatId, Number(version));
    }
  });

  test("refuses a last id that it cannot have given, and names it", async () => {
    const [epoch = "", txid = ""] = ((await ledgerIds()).at(-1) ?? "").split("-");
    const ids = [
      "nonsense",
      "1-2",
      "1-2-x",
      `${Number(epoch) + 1}-1-1`,
      `${epoch}-${Number(txid) + 10_000}-1`,
    ];
    for (const lastEventId of [...ids, "1-99999999999999999999-1", "-1-2-3", "01-2-3"]) {
      const { status, problem } = await listen(sale.url, { lastEventId });
      const { type, detail } = await problem();
      expect([lastEventId, status, type]).toEqual([lastEventId, 400, "urn:sentinel:problem:invalid-request"]);
      expect(detail).toStartWith(`Last-Event-ID: ${JSON.stringify(lastEventId)}`);
    }
    const byAddress = await listen(sale.url, { queryId: "nonsense" });
    expect((await byAddress.problem()).detail).toStartWith("lastEventId: ");
  });

  test("knows no events but those that there are", async () => {
    const unknown = await listen(sale.url, { eventId: 999_999 });
    expect([unknown.status, (await unknown.problem()).type]).toEqual([
      404,
      "urn:sentinel:problem:event-not-found",
    ]);
    for (const eventId of ["0", "-1", "x", "1.5", "99999999999999999999"]) {
      const invalid = await listen(sale.url, { eventId });
      expect([eventId, invalid.status]).toEqual([eventId, 400]);
      expect((await invalid.problem()).detail).toStartWith("eventId: ");
    }
  });

  test("forgets clients that went, even those that did not wait for the answer", async () => {
    await until("nobody listens", async () => (await streamCount()) === 0);
    const staying = await listen(sale.url);
    const leaving = await Promise.all(Array.from({ length: 20 }, () => listen(sale.url)));
    expect(await streamCount()).toBe(21);
    for (const listener of leaving) await listener.cut();
    for (let count = 0; count < 20; count++) {
      const gone = new AbortController();
      const asked = fetch(`${sale.url}/api/v1/events/1/changes`, { signal: gone.signal });
      setTimeout(() => gone.abort(), count % 5);
      await asked.then((answer) => answer.body?.cancel()).catch(() => undefined);
    }
    await until("one listens", async () => (await streamCount()) === 1);
    await staying.cut();
    await until("nobody listens", async () => (await streamCount()) === 0);
  });

  test("is in the API's document, with an example", async () => {
    const { paths } = (await (await fetch(`${sale.url}/openapi.json`)).json()) as {
      paths: Record<string, { get: { responses: Record<string, { content: Record<string, unknown> }> } }>;
    };
    const responses = paths["/api/v1/events/{eventId}/changes"]?.get.responses ?? {};
    expect(Object.keys(responses)).toEqual(["200", "400", "401", "403", "404", "429", "503"]);
    expect(responses["200"]?.content["text/event-stream"]).toMatchObject({
      example: { event: "seat", data: expect.objectContaining({ status: "HELD" }) },
    });
  });

  test("sends a client that missed a great deal all of it, in the ledger's order, and then what is new", async () => {
    const first = await listen(sale.url);
    await first.hears(1, "ready");
    await first.cut();
    for (let written = 0; written < 40_000; written += 10_000) await writer.flood(10_000);
    const again = await listen(sale.url, { lastEventId: first.lastId() });
    await sell();
    const heard = await again.hears(40_001);
    expect(heard.map(({ id }) => id)).toEqual((await ledgerIds()).slice(-40_001));
    expect(again.heard.length).toBe(40_001);
    await again.cut();
  });

  // The last one: it fills the ledger.
  test("tells a client that was gone for too long to start over, and sends it what comes then", async () => {
    const first = await listen(sale.url);
    await first.hears(1, "ready");
    await first.cut();
    await writer.flood(100_001, 2);
    const again = await listen(sale.url, { lastEventId: first.lastId() });
    const [reset] = await again.hears(1, "reset");
    expect(reset?.data).toEqual({ reason: "too-old" });
    const seatId = await sell();
    expect((await again.hears(1)).map(({ data }) => data.seatId)).toEqual([seatId]);
    await again.cut();
    const third = await listen(sale.url, { lastEventId: reset?.id ?? "" });
    expect((await third.hears(1)).map(({ data }) => data.seatId)).toEqual([seatId]);
    await third.cut();
  });
});
