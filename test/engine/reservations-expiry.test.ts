import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { type Listener, listen } from "../live/listener.ts";
import type { Engine } from "./engines.ts";
import { type EventPlace, expectPublished, readEvents } from "./events.ts";
import {
  type OnSale,
  openTheatre,
  sweptAfterMs,
  type Theatre,
  type Till,
  tillAt,
  tokenOf,
} from "./reservations.ts";
import { readMetrics } from "./scraped-metrics.ts";

const WAIT = { deadlineMs: 15_000 };
/** The promise: what is over is true everywhere within so long. */
const SWEPT_WITHIN_MS = 2000;
/** Beyond it, what a busy machine and a look every 50 ms may add to what is seen from outside. */
const SEEING_SLACK_MS = 1000;
const SWEEPER_LOCK = 7_310_005;
const CROWD = 200;
const SPREAD_MS = 300;
/** As many for two engines: a second sweeper would get some of them. */
const CROWD_OF_TWO = 20;
const BRIEF = { holdTtlSeconds: 1, holdLimitSeconds: 5 };

/** @param sinceMs and so long ago that a sweeper would have ended it */
const isOver = ({ facts }: Theatre, { reservationId }: { reservationId: string }, sinceMs = 0) =>
  until("the hold is over", async () => {
    const [row] = await facts.query<{ over: boolean }>(
      "select expires_at + $2 * interval '1 ms' <= now() as over from reservations where id = $1",
      [reservationId, sinceMs],
    );
    return row?.over;
  });

describe("holds that end", () => {
  const stack = useStack();
  let theatre: Theatre;
  let engine: Engine;
  let till: Till;
  let brief: OnSale;
  let events: EventPlace;
  let listener: Listener;

  beforeAll(async () => {
    const dataDir = await openFolder(stack, "expiry");
    theatre = await openTheatre(stack);
    brief = await theatre.addEvent({ rows: 20, seatsPerRow: 20, more: BRIEF });
    engine = await theatre.openEngine({ DATA_DIR: dataDir });
    events = { file: join(dataDir, "booking-events.jsonl") };
    till = tillAt(engine.url);
    listener = await listen(engine.url, { eventId: brief.eventId });
    stack.defer(listener.cut);
  });

  test("are over for the ledger, the map, listeners and the event log within 2 s", async () => {
    const seatIds = brief.seats.slice(0, 3);
    const held = (await till.hold({ seatIds })).body;
    const endsAt = Date.parse(held.expiresAt);
    const seenWithin = SWEPT_WITHIN_MS + SEEING_SLACK_MS;
    await untilWithin(endsAt - Date.now() + seenWithin, "the map says that the seats are free", async () => {
      const map = await till.map(brief.eventId);
      const isFree = seatIds.every((id) => map.get(id) === "available");
      // Not before its end.
      if (isFree) expect(Date.now()).toBeGreaterThanOrEqual(endsAt);
      return isFree;
    });
    await untilWithin(Math.max(1, endsAt - Date.now() + seenWithin), "listeners hear EXPIRED", () =>
      seatIds.every((id) =>
        listener.heard.some(({ data }) => data.seatId === id && data.status === "EXPIRED"),
      ),
    );
    const rows = await theatre.facts.query(
      "select version, status::text, reservation_id from seat_events where seat_id = any($1) order by seat_id, version",
      [seatIds],
    );
    const { reservationId } = held;
    expect(rows).toEqual(
      seatIds.flatMap(() => [
        { version: 1, status: "HELD", reservation_id: reservationId },
        { version: 2, status: "EXPIRED", reservation_id: reservationId },
      ]),
    );
    const [afterMs = -1] = await sweptAfterMs(theatre, [reservationId]);
    expect(afterMs).toBeWithin(0, SWEPT_WITHIN_MS);
    expect((await till.show(held, tokenOf(held))).body.status).toBe("EXPIRED");
    await expectPublished(theatre.facts, await readEvents(events, { ...WAIT, atLeast: rows.length }));
    expect((await readMetrics(engine.url)).value("sentinel_swept_seats_total")).toBeGreaterThanOrEqual(3);
  });

  test("that end in one instant are not freed in one instant, and all within 2 s", async () => {
    const seatIds = brief.seats.slice(100, 100 + CROWD);
    const answers = await Promise.all(seatIds.map((id) => till.hold({ seatIds: [id] })));
    const ids = answers.map(({ body }) => body.reservationId);
    await theatre.facts.query(
      `with moment as materialized (select now() + interval '0.7 s' as ends),
         held as (update reservations set expires_at = ends from moment where id = any($1))
       update seats set hold_expires_at = ends from moment where reservation_id = any($1)`,
      [ids],
    );
    const after = await until("all are swept", async () => {
      const swept = await sweptAfterMs(theatre, ids);
      return swept.length === CROWD && swept;
    });
    expect(after[0]).toBeGreaterThanOrEqual(0);
    expect(after.at(-1)).toBeLessThan(SWEPT_WITHIN_MS);
    expect((after.at(-1) ?? 0) - (after[0] ?? 0)).toBeGreaterThan(SPREAD_MS);
    // Nor most of them in one: half of the crowd needs a good part of the time.
    expect((after[CROWD * 0.75] ?? 0) - (after[CROWD * 0.25] ?? 0)).toBeGreaterThan(SPREAD_MS / 2);
    await theatre.expectSound();
  });

  test("are extended as long as their event allows, and end then", async () => {
    const held = (await till.hold({ seatIds: [brief.seats[50]] })).body;
    const extended = await till.act("extend", held, tokenOf(held));
    expect([extended.status, extended.body.expiresAt > held.expiresAt]).toEqual([200, true]);
    await isOver(theatre, held);
    const [afterMs = -1] = await until("it is swept", async () => {
      const swept = await sweptAfterMs(theatre, [held.reservationId]);
      return swept.length === 1 && swept;
    });
    expect(afterMs).toBeWithin(0, SWEPT_WITHIN_MS);
    const rows = await theatre.facts.query<{ status: string }>(
      "select status::text from seat_events where seat_id = $1 order by version",
      [brief.seats[50]],
    );
    expect(rows.map(({ status }) => status)).toEqual(["HELD", "EXTENDED", "EXPIRED"]);
  });
});

describe("holds that are over while nobody sweeps", () => {
  const stack = useStack();
  let theatre: Theatre;
  let engine: Engine;
  let till: Till;
  let brief: OnSale;

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    brief = await theatre.addEvent({ rows: 2, standing: 4, more: BRIEF });
    // Leadership that the test keeps for itself.
    await theatre.facts.query("select pg_advisory_lock($1)", [SWEEPER_LOCK]);
    engine = await theatre.openEngine();
    till = tillAt(engine.url);
  });

  const statusOf = async ({ reservationId }: { reservationId: string }) => {
    const [row] = await theatre.facts.query<{ status: string }>(
      "select status::text from reservations where id = $1",
      [reservationId],
    );
    return row?.status;
  };

  test("do not keep their seats: who asks has them at once, in one change that names the old hold", async () => {
    const [seat, other] = brief.seats;
    const old = (await till.hold({ seatIds: [seat, other] })).body;
    const places = (await till.hold({ eventId: brief.eventId, section: "Floor", quantity: 4 })).body;
    await isOver(theatre, places, SWEPT_WITHIN_MS);
    expect(await statusOf(old)).toBe("held");
    const taken = await till.hold({ seatIds: [seat] });
    expect(taken.status).toBe(201);
    expect(
      await theatre.facts.query(
        `select version, status::text, reservation_id as id, replaces_reservation_id as old
         from seat_events where seat_id = $1 order by version`,
        [seat],
      ),
    ).toEqual([
      { version: 1, status: "HELD", id: old.reservationId, old: null },
      { version: 2, status: "HELD", id: taken.body.reservationId, old: old.reservationId },
    ]);
    // What was chosen for the buyer comes from dead holds too: no "sold out" while seats sit in them.
    const again = await till.hold({ eventId: brief.eventId, section: "Floor", quantity: 4 });
    expect(again.status).toBe(201);
  });

  test("are swept as soon as somebody may, without the seats that others have by now", async () => {
    const [seat, other] = brief.seats;
    await theatre.facts.query("select pg_advisory_unlock($1)", [SWEEPER_LOCK]);
    await until("every hold is swept", async () => {
      const rows = await theatre.facts.query("select from reservations where status = 'held'");
      return rows.length === 0;
    });
    const rows = await theatre.facts.query<{ status: string; seat: number }>(
      `select e.status::text, e.seat_id::int as seat from seat_events e where e.seat_id = any($1) and e.version =
         (select max(version) from seat_events m where m.seat_id = e.seat_id) order by e.seat_id`,
      [[seat, other]],
    );
    expect(rows).toEqual([
      { status: "EXPIRED", seat: seat ?? 0 },
      { status: "EXPIRED", seat: other ?? 0 },
    ]);
    await theatre.expectSound();
  });
});

describe("two engines", () => {
  test("have one that sweeps; when it is killed, the other does", async () => {
    await using stack = new AsyncDisposableStack();
    const theatre = await openTheatre(stack);
    const brief = await theatre.addEvent({ rows: 4, more: BRIEF });
    const engines = [await theatre.openEngine(), await theatre.openEngine()];
    const metrics = (name: string) =>
      Promise.all(engines.map(async ({ url }) => (await readMetrics(url)).value(`sentinel_${name}`)));
    const ids: string[] = [];
    for (const seat of brief.seats.slice(0, CROWD_OF_TWO)) {
      ids.push(
        (await tillAt(engines[ids.length % 2]?.url ?? "").hold({ seatIds: [seat] })).body.reservationId,
      );
    }
    await until(
      "the first holds are swept",
      async () => (await sweptAfterMs(theatre, ids)).length === CROWD_OF_TWO,
    );
    const active = await metrics("sweeper_active");
    const sweeper = active.indexOf(1);
    expect(active.toSorted()).toEqual([0, 1]);
    await until(
      "one of them has swept them all",
      async () => (await metrics("swept_seats_total"))[sweeper] === CROWD_OF_TWO,
    );
    const [dying, other] = [engines[sweeper], engines[1 - sweeper]];
    if (!dying || !other) throw new Error("there are two");

    const seatIds = brief.seats.slice(CROWD_OF_TWO);
    const held = (await tillAt(dying.url).hold({ seatIds })).body;
    await dying.kill();
    await until(
      "the other sweeps",
      async () => (await sweptAfterMs(theatre, [held.reservationId])).length === seatIds.length,
    );
    const [afterMs = -1] = await sweptAfterMs(theatre, [held.reservationId]);
    expect(afterMs).toBeWithin(0, SWEPT_WITHIN_MS);
    expect((await readMetrics(other.url)).value("sentinel_sweeper_active")).toBe(1);
    await theatre.expectSound();
  });
});
