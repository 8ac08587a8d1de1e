import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";
import { randomFrom, seedOf } from "./random.ts";
import {
  type Answer,
  expectProblem,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tokenOf,
} from "./reservations.ts";

// Parts take seconds to start on a busy machine. Bun keeps this for one file only.
setDefaultTimeout(60_000);

const redisFound = await partOrSkip("redis", findRedis);

const LIMIT = 4;
const CONNECTIONS = 100;
const RACE_MS = 8000;
const TTL_MS = 1000;
/** Whoever was told to come back, here sooner than told. */
const PAUSE_MS = 20;
const WAIT = { deadlineMs: 15_000 };

interface Row {
  txid: string;
  status: string;
  id: string;
  atMs: number;
}

/** The most seats that the rows say one buyer had at any moment; `late`: how often a hold was confirmed after its end. */
function replay(rows: Row[]): { most: number; late: number } {
  const reservations = new Map<
    string,
    { seats: number; endsAtMs: number; state: "held" | "confirmed" | "over" }
  >();
  let most = 0;
  let late = 0;
  for (const group of Map.groupBy(rows, ({ txid }) => txid).values()) {
    for (const [id, own] of Map.groupBy(group, (row) => row.id)) {
      const [{ status, atMs } = { status: "", atMs: 0 }] = own;
      const known = reservations.get(id);
      if (status === "HELD")
        reservations.set(id, { seats: own.length, endsAtMs: atMs + TTL_MS, state: "held" });
      else if (known) {
        if (status === "RESERVED" && known.endsAtMs <= atMs) late++;
        known.state = status === "RESERVED" ? "confirmed" : status === "EXTENDED" ? "held" : "over";
        if (status === "EXTENDED") known.endsAtMs = atMs + TTL_MS;
      }
    }
    const now = group[0]?.atMs ?? 0;
    let live = 0;
    for (const { seats, state, endsAtMs } of reservations.values())
      if (state === "confirmed" || (state === "held" && endsAtMs > now)) live += seats;
    most = Math.max(most, live);
  }
  return { most, late };
}

describe("a buyer's limit at two engines", () => {
  const stack = new AsyncDisposableStack();
  let theatre: Theatre;
  let house: OnSale;
  let tills: [Till, Till];

  beforeAll(async () => {
    const redis = redisFound ? await startRedis() : undefined;
    if (redis) stack.defer(redis.stop);
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({
      ...{ rows: 20, seatsPerRow: 20 },
      more: { buyerLimitSeats: LIMIT, holdTtlSeconds: TTL_MS / 1000, holdLimitSeconds: 600 },
    });
    const env = redis && { REDIS_URL: redis.url };
    tills = [await theatre.openTill(env), await theatre.openTill(env)];
  });
  afterAll(() => stack.disposeAsync());

  const liveSeats = async (buyerId: string) => {
    const [row] = await theatre.facts.query<{ seats: number }>(
      `select coalesce(sum(seat_count), 0)::int as seats from reservations
       where buyer_id = $1 and (status = 'confirmed' or (status = 'held' and expires_at > now()))`,
      [buyerId],
    );
    return row?.seats ?? -1;
  };
  const allOver = (buyerId: string) =>
    until(
      async () => {
        const rows = await theatre.facts.query(
          "select from reservations where buyer_id = $1 and status = 'held'",
          [buyerId],
        );
        return rows.length === 0;
      },
      { ...WAIT, what: "no hold is left" },
    );

  test("is never passed, whatever 100 connections of one buyer do at once", async () => {
    const buyerId = "Ann";
    const random = randomFrom(seedOf("reservations-limit.test.ts"));
    const pick = (count: number) => Math.floor(random() * count);
    const seen: Record<string, number> = {};
    const met = ({ status, body }: Answer) => {
      const what = body.type ?? `${status} ${body.status}`;
      seen[what] = (seen[what] ?? 0) + 1;
    };
    const endsAt = performance.now() + RACE_MS;
    const confirmed = new Map<string, number>();
    const connection = async (number: number) => {
      const till = tills[number % 2 === 0 ? 0 : 1];
      const other = tills[number % 2 === 0 ? 1 : 0];
      while (performance.now() < endsAt) {
        const first = pick(house.seats.length - 3);
        const seatIds = house.seats.slice(first, first + 1 + pick(3));
        const wish =
          random() < 0.7 ? { seatIds } : { eventId: house.eventId, bestAvailable: { quantity: 1 + pick(3) } };
        const answer = await till.hold({ ...wish, buyerId });
        met(answer);
        if (answer.status !== 201) {
          await Bun.sleep(random() * PAUSE_MS);
          continue;
        }
        const held = answer.body;
        const act = async (action: "confirm" | "extend" | "release" | "cancel") => {
          const changed = await until(
            async () => {
              const done = await other.act(action, held, tokenOf(held));
              met(done);
              return !done.body.type?.endsWith("request-in-progress") && done;
            },
            { ...WAIT, what: `${action} is answered` },
          );
          return changed.status === 200;
        };
        const way = pick(5);
        if (way === 0) await act("release");
        if (way === 1 && (await act("extend"))) await act("release");
        // At its end, and after it: others may have been held meanwhile.
        if (way === 2) await Bun.sleep(Date.parse(held.expiresAt) - Date.now() + pick(60) - 30);
        if (way === 3) await Bun.sleep(Date.parse(held.expiresAt) - Date.now() + pick(800));
        if (way >= 2 && (await act("confirm"))) {
          confirmed.set(held.reservationId, held.seats.length);
          // Now and then the buyer gives back what was bought, so that the race goes on.
          await Bun.sleep(random() * 200);
          if (await act("cancel")) confirmed.delete(held.reservationId);
        }
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, number) => connection(number)));
    await allOver(buyerId);

    const rows = await theatre.facts.query<Row>(
      `select e.txid::text, e.status::text, e.reservation_id as id, (extract(epoch from e.occurred_at) * 1000)::float8 as "atMs"
       from seat_events e order by e.txid, e.id`,
    );
    const { most, late } = replay(rows);
    console.log(`reservations-limit.test.ts: ${late} confirmed late; ${JSON.stringify(seen)}`);
    expect(most).toBe(LIMIT);
    // Else the race was none.
    expect(late).toBeGreaterThan(0);
    expect(seen["201 HELD"]).toBeGreaterThan(20);
    expect(seen["urn:sentinel:problem:buyer-limit-reached"]).toBeGreaterThan(20);
    expect(await liveSeats(buyerId)).toBe([...confirmed.values()].reduce((sum, seats) => sum + seats, 0));
    await theatre.expectSound();
  });

  test("leaves a buyer exactly what is left, and counts nothing twice", async () => {
    const buyerId = "Bob";
    const hold = (quantity: number, index = 0) =>
      tills[index % 2 === 0 ? 0 : 1].hold({ eventId: house.eventId, bestAvailable: { quantity }, buyerId });
    const kept = await hold(3);
    expect((await tills[1].act("confirm", kept.body, tokenOf(kept.body))).status).toBe(200);
    expectProblem(await hold(2), 409, "buyer-limit-reached");
    const last = await hold(1, 1);
    expect(last.status).toBe(201);
    expectProblem(await hold(1), 409, "buyer-limit-reached");
    expect((await tills[0].act("confirm", last.body, tokenOf(last.body))).status).toBe(200);
    // Let go, they are free for the same buyer at once, at either engine.
    expect((await tills[0].act("cancel", kept.body, tokenOf(kept.body))).status).toBe(200);
    const again = await hold(3, 1);
    expect(again.status).toBe(201);
    expect((await tills[0].act("release", again.body, tokenOf(again.body))).status).toBe(200);
    const once = await tills[1].hold({ seatIds: again.body.seats.map(({ seatId }) => seatId), buyerId });
    expect(once.status).toBe(201);
  });

  test("refuses to confirm late what would be too much by now, and says so", async () => {
    const buyerId = "Cleo";
    const hold = async () => {
      const seats = { eventId: house.eventId, bestAvailable: { quantity: 3 } };
      const answer = await tills[0].hold({ ...seats, buyerId });
      expect(answer.status).toBe(201);
      return answer.body;
    };
    const late = await hold();
    await allOver(buyerId);
    const newer = await hold();
    expectProblem(await tills[1].act("confirm", late, tokenOf(late)), 409, "buyer-limit-reached");
    expect((await tills[1].act("release", newer, tokenOf(newer))).status).toBe(200);
    expect((await tills[0].act("confirm", late, tokenOf(late))).status).toBe(200);
  });
});
