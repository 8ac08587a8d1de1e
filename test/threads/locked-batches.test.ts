import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import type { SeatOrder } from "../../src/postgres/reserve.ts";
import type { ReservationSettings, TakeResult } from "../../src/threads/messages.ts";
import { ThreadPool } from "../../src/threads/thread-pool.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { useSale } from "../postgres/use-sale.ts";

const found = await partOrSkip("redis", findRedis);

const LOCK_TTL_MS = 2000;
const DEADLINE_MS = 10_000;

describe.skipIf(!found)("a batch beside Redis", () => {
  const sale = useSale();
  let redis: Redis;
  let client: Client;
  let threads: ThreadPool;
  let degraded: boolean | undefined;

  beforeAll(async () => {
    redis = await startRedis();
    client = new Client(redis.url);
    const settings: ReservationSettings = {
      databaseUrl: sale.url,
      redisUrls: [redis.url],
      keyPrefix: "test",
      presence: 1,
      connectionLimit: 2,
      statementTimeoutMs: 1000,
      lockTtlMs: LOCK_TTL_MS,
      connectTimeoutMs: 2000,
      redisTimeoutMs: 100,
      logLevel: "silent",
    };
    threads = new ThreadPool({
      name: "reservation",
      threadCount: 1,
      tasksPerThread: 2,
      settings,
      onSample: (_thread, { locks }) => {
        degraded = locks && locks.state !== "up";
      },
      onRestart: () => undefined,
    });
    await untilDegraded(false);
  });
  afterAll(async () => {
    await threads.close();
    client.disconnect();
    await redis.stop();
  });

  const untilDegraded = (wanted: boolean) =>
    until(`the thread's locks: degraded ${wanted}`, () => degraded === wanted);

  const lockOf = (seatId: number) => `test:seat:${seatId}`;

  async function decide(seatIds: number[], ...baskets: number[][]) {
    const seatsOf = (ids: number[]) => ids.map((seatId) => ({ seatId, version: 0 }));
    const orders: SeatOrder[] = [...baskets, ...seatIds.map((seatId) => [seatId])].map((ids) => ({
      ...{ reservationId: Bun.randomUUIDv7(), isHold: false, seats: seatsOf(ids) },
    }));
    const answer = await threads.run<TakeResult>({ kind: "take", orders }, DEADLINE_MS);
    if (answer === "doubtful") throw new Error("the batch is in doubt");
    const verdicts = answer.orders.flatMap((its) =>
      typeof its === "string" ? its : its.map(({ verdict }) => verdict),
    );
    return { ...answer, verdicts };
  }

  test("is locked, and leaves no lock behind", async () => {
    const seatIds = await sale.addSeats(3);
    const { verdicts, isLocked } = await decide(seatIds);
    expect([...verdicts, isLocked]).toEqual(["won", "won", "won", true]);
    await untilWithin(
      LOCK_TTL_MS / 2,
      "the locks are given back, long before they expire",
      async () => (await client.keys("test:*")).length === 0,
    );
  });

  test("spares the database the seats that a living rival is deciding on, and wins the rest", async () => {
    const [contended = 0, free = 0] = await sale.addSeats(2);
    await client.set(lockOf(contended), "rival", "PX", LOCK_TTL_MS);
    const { verdicts, isLocked, conflictCount } = await decide([contended, free]);
    expect([verdicts, isLocked, conflictCount]).toEqual([["contended", "won"], true, 1]);
    expect((await sale.seat(contended)).version).toBe(0);
    await client.del(lockOf(contended));
  });

  test("takes no seat of a basket that has a contended one, and says which of them that is", async () => {
    const [contended = 0, neighbour = 0, other = 0] = await sale.addSeats(3);
    await client.set(lockOf(contended), "rival", "PX", LOCK_TTL_MS);
    const { verdicts } = await decide([other], [neighbour, contended]);
    expect(verdicts).toEqual(["free", "contended", "won"]);
    expect((await sale.seat(neighbour)).version).toBe(0);
    await client.del(lockOf(contended));
  });

  test("lets the database decide on a seat whose lock was left by the dead", async () => {
    const seatId = await sale.addSeat();
    await client.set(lockOf(seatId), "dead");
    const { verdicts, isLocked, ghostCount } = await decide([seatId]);
    expect([verdicts, isLocked, ghostCount]).toEqual([["won"], false, 1]);
    await client.del(lockOf(seatId));
  });

  test("is decided all the same while Redis hangs, and locked again afterwards", async () => {
    const [during = 0, after = 0] = await sale.addSeats(2);
    redis.pause();
    const { verdicts, isLocked } = await decide([during]).finally(() => redis.resume());
    expect([verdicts, isLocked]).toEqual([["won"], false]);
    await until("batches are locked again", async () => (await decide([await sale.addSeat()])).isLocked);
    expect((await decide([after])).verdicts).toEqual(["won"]);
  });
});
