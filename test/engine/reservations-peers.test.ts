import { beforeAll, describe, expect, test } from "bun:test";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { randomFrom, seedOf } from "./random.ts";
import { type Answer, expectProblem, openTheatre, type Theatre, type Till, tokenOf } from "./reservations.ts";

const redisFound = await partOrSkip("redis", findRedis);

const PLACES = 2000;
const BUYERS = 200;
const SEEN_WITHIN_MS = 1000;
const AT_ONCE = 60;

describe("two engines that sell the same events", () => {
  const stack = useStack();
  let theatre: Theatre;
  let tills: [Till, Till];

  beforeAll(async () => {
    const redis = redisFound ? await startRedis() : undefined;
    if (redis) stack.defer(redis.stop);
    theatre = await openTheatre(stack);
    const env = redis && { REDIS_URL: redis.url };
    tills = [await theatre.openTill(env), await theatre.openTill(env)];
  });

  const tillOf = (number: number) => tills[number % 2 === 0 ? 0 : 1];
  const idsOf = ({ body }: Answer) => body.seats.map(({ seatId }) => seatId);
  const expectNoneTwice = (seatIds: number[]) => expect(new Set(seatIds).size).toBe(seatIds.length);

  test.skipIf(!redisFound)(
    "see on their maps within a second what the other holds, sells and frees",
    async () => {
      const { eventId, seats } = await theatre.addEvent({ rows: 2, more: { holdTtlSeconds: 2 } });
      const [here, there] = tills;
      // Both know the event by now.
      await Promise.all([here.map(eventId), there.map(eventId)]);
      const sees = (till: Till, status: string) =>
        untilWithin(SEEN_WITHIN_MS, `the other's map says ${status}`, async () => {
          const map = await till.map(eventId);
          return seats.slice(0, 3).every((id) => map.get(id) === status);
        });
      const seatIds = seats.slice(0, 3);
      const held = (await here.hold({ seatIds })).body;
      await sees(there, "held");
      expect((await there.act("release", held, tokenOf(held))).status).toBe(200);
      await sees(here, "available");
      const again = (await there.hold({ seatIds })).body;
      await sees(here, "held");
      expect((await here.act("confirm", again, tokenOf(again))).status).toBe(200);
      await sees(there, "reserved");
      expect((await there.act("cancel", again, tokenOf(again))).status).toBe(200);
      await sees(here, "available");
      // One of them sweeps: both know.
      const last = (await here.hold({ seatIds })).body;
      await until(
        "the hold is swept",
        async () =>
          (await theatre.facts.query("select from seats where reservation_id = $1", [last.reservationId]))
            .length === 0,
      );
      await Promise.all([sees(here, "available"), sees(there, "available")]);
    },
  );

  test("sell 2,000 places without numbers to 200 buyers, each once, and say so only when none are left", async () => {
    const { eventId, places } = await theatre.addEvent({ standing: PLACES });
    expect(places).toHaveLength(PLACES);
    const random = randomFrom(seedOf("reservations-peers.test.ts"));
    const sold: number[] = [];
    const refusals: { quantity: number; atMs: number }[] = [];
    const lost: { soldSeats: number }[] = [];
    const buyer = async (number: number) => {
      let most = 4;
      for (let wish = 0; most > 0; wish++) {
        const quantity = 1 + Math.floor(random() * most);
        const answer = await tillOf(number + wish).hold({ eventId, section: "Floor", quantity });
        if (answer.status === 201) sold.push(...idsOf(answer));
        else if (answer.body.type?.endsWith(":no-seats-left")) {
          refusals.push({ quantity, atMs: Date.now() });
          most = quantity - 1;
        } else {
          expectProblem(answer, 409, "seats-taken");
          lost.push({ soldSeats: sold.length });
        }
      }
    };
    await Promise.all(Array.from({ length: BUYERS }, (_, number) => buyer(number)));
    // A race may be lost to the other engine, and all of a request's races where little is left.
    expect(lost.filter(({ soldSeats }) => soldSeats < PLACES / 2)).toEqual([]);
    expectNoneTwice(sold);
    expect(sold.toSorted((a, b) => a - b)).toEqual(places);
    const rows = await theatre.facts.query<{ atMs: number }>(
      `select (extract(epoch from occurred_at) * 1000)::float8 as "atMs" from seat_events where event_id = $1 order by 1`,
      [eventId],
    );
    const untrue = refusals.filter(
      ({ quantity, atMs }) => PLACES - rows.filter((row) => row.atMs <= atMs).length >= quantity,
    );
    expect(untrue).toEqual([]);
    await theatre.expectSound();
  });

  test("give the best seats to everybody who asks at once, no seat twice, while there are any", async () => {
    const { eventId, seats } = await theatre.addEvent({ rows: 12, seatsPerRow: 20 });
    const all: number[] = [];
    while (all.length < seats.length) {
      const answers = await Promise.all(
        Array.from({ length: AT_ONCE }, (_, number) =>
          tillOf(number).hold({ eventId, bestAvailable: { quantity: 2 } }),
        ),
      );
      expect(answers.filter(({ status }) => status !== 201).map(({ text }) => text)).toEqual([]);
      all.push(...answers.flatMap(idsOf));
    }
    expectNoneTwice(all);
    await theatre.expectSound();
  });

  test("race for the last pair of seats: one has it, the others are told, and no half of it is left held", async () => {
    const { eventId, seats } = await theatre.addEvent({ rows: 1, seatsPerRow: 2 });
    const wish = { eventId, bestAvailable: { quantity: 2 } };
    const answers = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, number) => tillOf(number).hold(wish)),
    );
    const [won, ...more] = answers.filter(({ status }) => status === 201);
    expect(more).toEqual([]);
    expect(won && idsOf(won).toSorted((a, b) => a - b)).toEqual(seats);
    for (const { status, body } of answers) {
      if (status === 201) continue;
      expect(status).toBe(409);
      expect(body.type).toMatch(/:(seats-taken|no-seats-left)$/);
    }
    await theatre.expectSound();
  });
});
