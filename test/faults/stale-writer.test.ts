import { beforeAll, describe, expect, test } from "bun:test";
import { Redis } from "ioredis";
import { bodyOf, openSale, reserve, type Sale, type Answer as Sold } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { tillAt, tokenOf } from "../engine/reservations.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { expectTruth } from "./truth.ts";
import { openWiredHouse, type WiredHouse } from "./wired-house.ts";

// Row 3 of README.md, and of DESIGN.md section 4: a ghost lock of a killed process.

const WAIT = { deadlineMs: 20_000 };
const RIVALS = 10;
const LOAD_BUYERS = 8;

const redisFound = await partOrSkip("redis", findRedis);

describe.skipIf(!redisFound)("a writer that stands still with the lock of its seats, and rivals", () => {
  const stack = useStack();
  let house: WiredHouse;
  let redis: Redis;
  let slow: Engine;
  let rival: Engine;
  let load: Sale;

  beforeAll(async () => {
    house = await openWiredHouse(stack);
    redis = new Redis(house.redisUrl ?? "");
    stack.defer(async () => redis.disconnect());
    // A lock then lives a second.
    slow = await openEngine(stack, { ...house.env, STATEMENT_TIMEOUT_MS: "500" });
    rival = await openRival();
    load = openSale(rival.url, house.load.seats, LOAD_BUYERS);
  });

  const openRival = () =>
    openEngine(stack, {
      ...{ ...house.env, DATABASE_URL: house.theatre.databaseUrl, REDIS_URL: house.redisUrl ?? "" },
    });
  const lockOf = async (seatId: number) => {
    const [key] = await redis.keys(`*:seat:${seatId}`);
    return key === undefined ? undefined : { restMs: await redis.pttl(key) };
  };
  const isLocked = async (seatId: number) => (await lockOf(seatId)) !== undefined;
  const storyOf = (seatId: number) =>
    house.theatre.facts.query<{ status: string; reservationId: string }>(
      `select status::text, reservation_id as "reservationId" from seat_events where seat_id = $1 order by version`,
      [seatId],
    );
  /** Each asks until the seat is sold. @returns all their answers. */
  const rivalsFor = async (seatId: number): Promise<Sold[]> => {
    const heard: Sold[] = [];
    const isOver = () => heard.some(({ status }) => status === 201);
    const one = () =>
      until("a rival has the seat", async () => {
        if (!isOver()) heard.push(await reserve(rival.url, seatId));
        return isOver();
      });
    await Promise.all(Array.from({ length: RIVALS }, one));
    return heard;
  };
  /** One of them has it and the others were told that somebody is deciding, or that it is sold. */
  const expectOneRival = (heard: Sold[]) => {
    const [winner, ...more] = heard.filter(({ status }) => status === 201);
    expect([more, heard.filter(({ status }) => status !== 201 && status !== 409)]).toEqual([[], []]);
    return bodyOf(winner as Sold).reservationId ?? "";
  };

  describe.each([
    ["its messages stand on their way", () => undefined, () => undefined],
    [
      "and its process is stopped",
      () => process.kill(slow.pid, "SIGSTOP"),
      () => process.kill(slow.pid, "SIGCONT"),
    ],
  ] as [string, () => void, () => void][])("%s", (_, pause, resume) => {
    /** Sends at the slow one, lets the rivals win meanwhile, and then lets the stale writer go on. */
    async function overtake<Answer, Rivals>(
      text: string,
      send: () => Promise<Answer>,
      rivals: () => Promise<Rivals>,
      lockedSeat?: number,
    ): Promise<[Answer, Rivals]> {
      const reached = house.postgres.holdWhen(text, "toServer");
      const sent = send();
      const held = await reached;
      try {
        if (lockedSeat !== undefined) expect(await isLocked(lockedSeat)).toBe(true);
        pause();
        const won = await rivals();
        if (lockedSeat !== undefined)
          await until("the lock is over", async () => !(await isLocked(lockedSeat)));
        held.release();
        resume();
        return [await sent, won];
      } finally {
        held.release();
        resume();
      }
    }

    test("a seat is the rival's: the stale writer changes nothing, and its buyer hears the truth", async () => {
      const [seatId = 0] = house.seats(1);
      const [answer, heard] = await overtake(
        String(seatId),
        () => reserve(slow.url, seatId),
        () => rivalsFor(seatId),
        seatId,
      );
      const reservationId = expectOneRival(heard);
      expect([409, 503]).toContain(answer.status);
      expect(await storyOf(seatId)).toEqual([{ status: "RESERVED", reservationId }]);
      // While the lock was young nobody could know that its holder stands still.
      expect(heard.some(({ status }) => status === 409)).toBe(true);
    });

    test("a basket of which a rival has one seat is not there at all", async () => {
      const seatIds = house.seats(3);
      const [first = 0, middle = 0, last = 0] = seatIds;
      const [answer, heard] = await overtake(
        String(first),
        () => tillAt(slow.url).hold({ seatIds }),
        () => rivalsFor(middle),
        middle,
      );
      const reservationId = expectOneRival(heard);
      expect([409, 503]).toContain(answer.status);
      expect(await storyOf(middle)).toEqual([{ status: "RESERVED", reservationId }]);
      expect([await storyOf(first), await storyOf(last)]).toEqual([[], []]);
      const free = await tillAt(rival.url).hold({ seatIds: [first, last] });
      expect(free.status).toBe(201);
    });

    test("a hold that ended meanwhile is not confirmed over the rival's", async () => {
      const brief = await house.theatre.addEvent({
        ...{ rows: 1, more: { holdTtlSeconds: 1, holdLimitSeconds: 1 } },
      });
      const [seatId = 0, other = 0] = brief.seats;
      const held = (await tillAt(slow.url).hold({ seatIds: [seatId, other] })).body;
      const [answer, heard] = await overtake(
        held.reservationId,
        () => tillAt(slow.url).act("confirm", held, tokenOf(held)),
        () => rivalsFor(seatId),
      );
      const reservationId = expectOneRival(heard);
      expect([409, 410, 503]).toContain(answer.status);
      expect((await storyOf(seatId)).at(-1)).toEqual({ status: "RESERVED", reservationId });
      expect((await storyOf(other)).filter(({ status }) => status === "RESERVED")).toEqual([]);
    });
  });

  test("killed, it leaves a ghost: its lock is not believed for long, and the seat sold before the lock is over", async () => {
    const [seatId = 0] = house.seats(1);
    const victim = await openEngine(stack, house.env);
    const isLocking = async () =>
      (await readMetrics(victim.url)).value("sentinel_lock_degraded", { thread: "reservation-1" }) === 0;
    await until("it has reached Redis", isLocking);
    const reached = house.postgres.holdWhen(String(seatId), "toServer");
    const sent = reserve(victim.url, seatId);
    const held = await reached;
    expect(await isLocked(seatId)).toBe(true);
    await victim.kill();
    held.cut();
    expect((await sent).status).toBe(0);
    const heard = await rivalsFor(seatId);
    const restMs = (await lockOf(seatId))?.restMs ?? 0;
    const reservationId = expectOneRival(heard);
    expect(await storyOf(seatId)).toEqual([{ status: "RESERVED", reservationId }]);
    // Whose lock could that be but the dead one's: nobody else has taken one since.
    expect(restMs).toBeGreaterThan(0);
    expect((await readMetrics(rival.url)).value("sentinel_lock_ghosts_total")).toBeGreaterThan(0);
  });

  test("and of all the load beside them everybody was told the truth", async () => {
    const answers = await load.stop();
    expect(load.won()).toBeGreaterThan(100);
    await expectTruth(house.theatre.facts, answers);
    await house.theatre.expectSound();
    await house.theatre.facts.allPublished(WAIT.deadlineMs);
  });
});
