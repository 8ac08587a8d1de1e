import { afterAll, beforeAll, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { type ChangeAction, commitChanges } from "../../src/postgres/change.ts";
import type { Drift } from "../../src/proof/audit/open-findings.ts";
import { SeatAudit } from "../../src/proof/audit/seat-audit.ts";
import { LockAudit } from "../../src/redis/lock-audit.ts";
import { SeatLocks } from "../../src/redis/seat-locks.ts";
import { MemoryKeeper } from "../../src/reservations/memory-keeper.ts";
import { changesOf, learnChanges } from "../../src/reservations/seat-changes.ts";
import { Sweeper } from "../../src/reservations/sweeper.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { SeatMemory, type SeatStatus } from "../../src/venue/seat-memory.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { untilWithin } from "../fixtures/until.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { addEvent, addSeatsOf, changeOf, takeRows, type Wish } from "../postgres/reservations.ts";
import { openSale, type Sale } from "../postgres/sale.ts";

const redisFound = await partOrSkip("redis", findRedis);

const LOCK_TTL_MS = 2000;
const BUYERS = 6;
/** Few, so that each is fought for, and held and given back again and again. */
const SEATS_OF_EACH = 40;
const ENOUGH = { looks: 200, changes: 600, swept: 20 };
/** What becomes of a hold; the last is left to end. */
const HOLD_COURSES: ChangeAction[][] = [["release"], ["extend", "release"], ["confirm", "cancel"], []];
const WAIT = { deadlineMs: 50_000 };

const sale = useOpened(openSale);
let redis: Redis | undefined;
beforeAll(async () => {
  redis = redisFound ? await startRedis() : undefined;
});
afterAll(() => redis?.stop());

/** Takes seats and changes its reservations, as the engine does: under locks, and memory hears of each answer. */
async function openBuyers() {
  const final = await addEvent(sale, { cancellable: false, holdTtlSeconds: 1 });
  const cancellable = await addEvent(sale, { holdTtlSeconds: 1 });
  const seatIds = [
    ...(await addSeatsOf(sale, final, SEATS_OF_EACH)),
    ...(await addSeatsOf(sale, cancellable, SEATS_OF_EACH)),
  ];
  const memory = new SeatMemory();
  const keyPrefix = "under-load";
  const redisUrls = redis ? [redis.url] : [];
  const options = { redisUrls, keyPrefix, timeoutMs: 200 };
  const locks = new SeatLocks({ ...options, ttlMs: LOCK_TTL_MS, onDegraded: () => undefined });
  const lockAudit = new LockAudit({ ...options, ttlLimitMs: LOCK_TTL_MS });
  const counts = { changes: 0, looks: 0, swept: 0 };
  const any = <T>(list: readonly T[]) => list[Math.floor(Math.random() * list.length)];

  const takeSome = async (
    session: Awaited<ReturnType<Sale["session"]>>,
  ): Promise<{ reservationId: string; isHold: boolean }> => {
    const wanted = [...new Set([any(seatIds) ?? 0, any(seatIds) ?? 0].slice(0, Math.random() < 0.5 ? 1 : 2))];
    const isHold = Math.random() < 0.8;
    const wish: Wish = {
      ...{ reservationId: Bun.randomUUIDv7(), isHold, buyerId: null, key: null },
      seatIds: isHold ? wanted : wanted.slice(0, 1),
      versions: wanted.slice(0, isHold ? 2 : 1).map((seatId) => Math.max(0, memory.versionOf(seatId))),
    };
    const locked = await locks.lockBatch(wish.seatIds);
    const rows = await takeRows(session, [wish]).finally(() => locked.release());
    for (const [index, row] of rows.entries()) {
      const seatId = wish.seatIds[index];
      if (!row || seatId === undefined || row.version === null) continue;
      const states: Record<string, SeatStatus> = {
        ...{ won: isHold ? "held" : "reserved", reserved: "reserved", held: "held", free: "available" },
      };
      const status = states[row.verdict];
      if (row.verdict === "won") counts.changes++;
      if (status) memory.learn(seatId, row.version, status, status === "reserved" && row.final);
    }
    return { reservationId: wish.reservationId, isHold };
  };
  const buyer = async (isOver: () => boolean) => {
    const session = await sale.session();
    while (!isOver()) {
      const { reservationId, isHold } = await takeSome(session);
      // What is sold is cancelled where that can be, else nothing would be left to fight for.
      const courses = isHold ? HOLD_COURSES : [["cancel" as const]];
      for (const each of any(courses) ?? []) {
        const [row] = await commitChanges(session, [changeOf(reservationId, each)]);
        if (!row) continue;
        counts.changes += row.seats.length;
        learnChanges(memory, changesOf(each, row));
      }
    }
  };
  return { memory, counts, buyer, lockAudit, locks };
}

test("finds nothing while seats are held, extended, sold, given back and swept as fast as it looks", async () => {
  const { memory, counts, buyer, lockAudit, locks } = await openBuyers();
  const audit = new SeatAudit(drizzle(sale.pool), memory, 30);
  const keeper = new MemoryKeeper(drizzle(sale.pool), memory, () => false);
  const connection = { databaseUrl: sale.url, statementTimeoutMs: 1500, connectTimeoutMs: 5000 };
  const sweeper = new Sweeper({ ...connection, log: createLog("silent", "test") });
  const found: Drift[] = [];
  let isOver = false;
  const goOn = async (work: () => Promise<void>) => {
    while (!isOver) await work();
  };
  const work = Promise.all([
    ...Array.from({ length: BUYERS }, () => buyer(() => isOver)),
    goOn(async () => {
      const looked = await audit.look();
      found.push(...looked.seats.found, ...looked.memory.found);
      counts.looks++;
    }),
    goOn(async () => {
      const { stray } = await lockAudit.look(100);
      found.push(...stray.map(({ key }) => ({ place: key, what: "a lock" })));
      await Bun.sleep(5);
    }),
    goOn(async () => {
      const { freed } = await sweeper.round();
      for (const [seatId, version] of freed) memory.learn(seatId, version, "available", false);
      counts.swept += freed.length;
      await keeper.catchUp();
      await Bun.sleep(20);
    }),
  ]);
  try {
    await Promise.race([
      work,
      untilWithin(
        WAIT.deadlineMs,
        "enough was looked at, changed and swept",
        () => counts.looks > ENOUGH.looks && counts.changes > ENOUGH.changes && counts.swept > ENOUGH.swept,
      ),
    ]);
  } finally {
    isOver = true;
    await work.catch(() => undefined);
    keeper.close();
    await sweeper.letGo();
    lockAudit.close();
    locks.close();
  }
  expect(found).toEqual([]);
});
