import { beforeAll, describe, expect, test } from "bun:test";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { expectProblem, type OnSale, openTheatre, type Theatre, type Till, tokenOf } from "./reservations.ts";

const redisFound = await partOrSkip("redis", findRedis);

const LIMIT = 4;
const TTL_MS = 1000;

// Races for the limit: test/postgres/buyer-races.test.ts.
describe("a buyer's limit at two engines", () => {
  const stack = useStack();
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

  const allOver = (buyerId: string) =>
    until("no hold is left", async () => {
      const rows = await theatre.facts.query(
        "select from reservations where buyer_id = $1 and status = 'held'",
        [buyerId],
      );
      return rows.length === 0;
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
