import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import { SeatLocks } from "../../src/redis/seat-locks.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { untilWithin } from "../fixtures/until.ts";

const found = await partOrSkip("redis", findRedis);

const TTL_MS = 2000;
const TIMEOUT_MS = 100;
/** A lock older than this is a ghost. */
const GHOST_AGE_MS = 500;
const BACK_WITHIN_MS = 5000;

describe.skipIf(!found)("seat locks", () => {
  let redises: Redis[];
  let clients: Client[];
  beforeAll(async () => {
    redises = await Promise.all([startRedis(), startRedis(), startRedis()]);
    clients = redises.map(({ url }) => new Client(url));
  });
  /** A killed one's folder goes with it; an empty one takes its port. */
  const startAgain = async (master: number) => {
    const killed = redises[master];
    await killed?.stop();
    redises[master] = await startRedis(killed?.port);
  };
  const closes: (() => void)[] = [];
  afterAll(async () => {
    for (const close of closes) close();
    for (const client of clients) client.disconnect();
    for (const redis of redises) redis.resume();
    await Promise.all(redises.map((redis) => redis.stop()));
  });

  let prefixes = 0;
  /** Locks of one engine, in use; keys of a test of its own unless told. */
  async function openLocks({
    masters = 1,
    keyPrefix = `test-${++prefixes}`,
    ttlMs = TTL_MS,
    timeoutMs = TIMEOUT_MS,
  } = {}) {
    const changes: boolean[] = [];
    const locks = new SeatLocks({
      redisUrls: redises.slice(0, masters).map(({ url }) => url),
      keyPrefix,
      ttlMs,
      timeoutMs,
      onDegraded: (degraded) => changes.push(degraded),
    });
    closes.push(() => locks.close());
    await untilWithin(BACK_WITHIN_MS, "the locks are in use", () => !locks.degraded);
    return { locks, changes, keyPrefix, keyOf: (seatId: number) => `${keyPrefix}:seat:${seatId}` };
  }

  const client = (master = 0): Client => {
    const found = clients[master];
    if (!found) throw new Error(`there is no master ${master}`);
    return found;
  };
  const keysOf = async (keyPrefix: string, master = 0) =>
    (await client(master).keys(`${keyPrefix}:*`)).map((key) => Number(key.split(":").at(-1))).sort();

  describe("on one Redis", () => {
    test.concurrent("lock every seat of a batch, no longer than told, and free them all", async () => {
      const { locks, keyPrefix, keyOf } = await openLocks();
      const locked = await locks.lockBatch([1, 2, 3]);
      expect([locked.isLocked, locked.contended.size, locked.ghostCount]).toEqual([true, 0, 0]);
      expect(await keysOf(keyPrefix)).toEqual([1, 2, 3]);
      const ttl = await client().pttl(keyOf(2));
      expect(ttl).toBeGreaterThan(TTL_MS - GHOST_AGE_MS);
      expect(ttl).toBeLessThanOrEqual(TTL_MS);
      await locked.release();
      expect(await keysOf(keyPrefix)).toEqual([]);
    });

    test.concurrent("leave out just the seats that a living rival holds, and locked the rest", async () => {
      const mine = await openLocks();
      const rival = await openLocks({ keyPrefix: mine.keyPrefix });
      const theirs = await rival.locks.lockBatch([2, 4]);
      const locked = await mine.locks.lockBatch([1, 2, 3, 4]);
      expect([...locked.contended].sort()).toEqual([2, 4]);
      expect([locked.isLocked, locked.ghostCount]).toEqual([true, 0]);
      await theirs.release();
      expect(await keysOf(mine.keyPrefix)).toEqual([1, 3]);
    });

    test.concurrent("lock nothing when a living rival holds everything", async () => {
      const mine = await openLocks();
      const rival = await openLocks({ keyPrefix: mine.keyPrefix });
      const theirs = await rival.locks.lockBatch([1, 2]);
      const locked = await mine.locks.lockBatch([1, 2]);
      expect([...locked.contended].sort()).toEqual([1, 2]);
      await theirs.release();
      expect(await keysOf(mine.keyPrefix)).toEqual([]);
    });

    test.concurrent("free exactly their own: one that expired and was taken by another stays with him", async () => {
      const { locks, keyPrefix, keyOf } = await openLocks();
      const locked = await locks.lockBatch([1, 2]);
      await client().set(keyOf(1), "another holder", "PX", TTL_MS);
      await locked.release();
      expect(await keysOf(keyPrefix)).toEqual([1]);
      expect(await client().get(keyOf(1))).toBe("another holder");
    });

    test.concurrent("of engines on different databases never meet", async () => {
      const [one, other] = [await openLocks(), await openLocks()];
      const locked = [await one.locks.lockBatch([1]), await other.locks.lockBatch([1])];
      expect(locked.map(({ isLocked }) => isLocked)).toEqual([true, true]);
    });

    test.concurrent("of many rivals for one seat are held by one at a time, and never make everybody contended", async () => {
      const { keyPrefix } = await openLocks();
      const rivals = await Promise.all(Array.from({ length: 4 }, () => openLocks({ keyPrefix })));
      for (let seatId = 1; seatId <= 50; seatId++) {
        const locked = await Promise.all(rivals.map(({ locks }) => locks.lockBatch([seatId])));
        expect(locked.filter(({ isLocked }) => isLocked).length).toBeLessThanOrEqual(1);
        expect(locked.filter(({ contended }) => contended.size > 0).length).toBeLessThan(rivals.length);
        await Promise.all(locked.map((locked) => locked.release()));
      }
    });

    test.concurrent.each([
      ["young enough to be alive", TTL_MS - GHOST_AGE_MS + 300, [1], 0],
      ["older than any batch takes", TTL_MS - GHOST_AGE_MS - 50, [], 1],
      ["without an expiry", undefined, [], 1],
      ["of a longer life than locks have", TTL_MS + 60_000, [], 1],
    ])("believe a lock only when it is credible: one %s", async (_what, ttl, contended, ghosts) => {
      const { locks, keyPrefix, keyOf } = await openLocks();
      if (ttl === undefined) await client().set(keyOf(1), "dead");
      else await client().set(keyOf(1), "rival", "PX", ttl);
      const locked = await locks.lockBatch([1, 2]);
      expect([...locked.contended]).toEqual(contended);
      expect(locked.ghostCount).toBe(ghosts);
      await locked.release();
      expect(await keysOf(keyPrefix)).toEqual([1]);
    });

    test.concurrent("of a crashed holder expire by themselves", async () => {
      const { locks, keyPrefix } = await openLocks({ ttlMs: 200 });
      await locks.lockBatch([1]);
      await untilWithin(2000, "the lock is gone", async () => (await keysOf(keyPrefix)).length === 0);
    });
  });

  test("without any Redis locked nothing and degrade nothing", async () => {
    const options = { keyPrefix: "none", ttlMs: TTL_MS, timeoutMs: TIMEOUT_MS, onDegraded: () => undefined };
    const locks = new SeatLocks({ ...options, redisUrls: [] });
    const locked = await locks.lockBatch([1]);
    expect([locks.degraded, locked.isLocked, locked.contended.size]).toEqual([false, false, 0]);
    locks.close();
  });

  describe("while Redis is unavailable", () => {
    /** The batch's own time while Redis is unavailable: the first may wait for commands, none after it. */
    async function expectDegradedAtOnce(locks: SeatLocks) {
      const beganAt = performance.now();
      const first = await locks.lockBatch([1]);
      expect(performance.now() - beganAt).toBeLessThan(3 * TIMEOUT_MS + 500);
      expect([first.isLocked, first.contended.size, locks.degraded]).toEqual([false, 0, true]);
      const thenAt = performance.now();
      for (let time = 0; time < 100; time++) expect((await locks.lockBatch([1])).isLocked).toBe(false);
      expect(performance.now() - thenAt).toBeLessThan(TIMEOUT_MS);
    }

    const expectBack = async (locks: SeatLocks) => {
      await untilWithin(BACK_WITHIN_MS, "the locks are in use again", () => !locks.degraded);
      const locked = await untilWithin(BACK_WITHIN_MS, "a seat is locked again", async () => {
        const tried = await locks.lockBatch([7]);
        return tried.isLocked && tried;
      });
      await locked.release();
    };

    test("hung: the batch goes on without it after a moment, the next at once, and it is used again", async () => {
      const { locks, changes } = await openLocks();
      redises[0]?.pause();
      try {
        await expectDegradedAtOnce(locks);
      } finally {
        redises[0]?.resume();
      }
      await expectBack(locks);
      expect(changes).toEqual([true, false, true, false]);
    });

    test("killed and started again empty: likewise, without a restart of ours", async () => {
      const { locks } = await openLocks();
      await redises[0]?.kill();
      try {
        await expectDegradedAtOnce(locks);
      } finally {
        await startAgain(0);
      }
      await expectBack(locks);
    });

    test("killed: not even the first batch waits for a command", async () => {
      const timeoutMs = 2000;
      const { locks } = await openLocks({ timeoutMs });
      await redises[0]?.kill();
      const beganAt = performance.now();
      expect((await locks.lockBatch([1])).isLocked).toBe(false);
      expect(performance.now() - beganAt).toBeLessThan(timeoutMs / 2);
      await startAgain(0);
    });

    test("a lock that hung leaves nothing behind that would stop the next", async () => {
      const { locks, keyPrefix } = await openLocks();
      redises[0]?.pause();
      await locks.lockBatch([1]).finally(() => redises[0]?.resume());
      await untilWithin(BACK_WITHIN_MS, "the locks are in use again", () => !locks.degraded);
      expect(await keysOf(keyPrefix)).toEqual([]);
    });
  });

  describe("on three masters", () => {
    const rivalHolds = (master: number, key: string, holder: string) =>
      client(master).set(key, holder, "PX", TTL_MS - 100);

    /** How often the first master was asked whether it is there. */
    const pings = async () =>
      Number(/cmdstat_ping:calls=(\d+)/.exec(await client().info("commandstats"))?.[1] ?? 0);

    test("hold a lock on all of them, and free it on all", async () => {
      const { locks, keyPrefix } = await openLocks({ masters: 3 });
      const onEach = () => Promise.all([0, 1, 2].map((master) => keysOf(keyPrefix, master)));
      // They are in use from a majority on: the third may be reached a moment later.
      const locked = await untilWithin(BACK_WITHIN_MS, "the lock is on all of them", async () => {
        const tried = await locks.lockBatch([1]);
        if ((await onEach()).every((keys) => keys.length === 1)) return tried;
        await tried.release();
        return undefined;
      });
      await locked.release();
      expect(await onEach()).toEqual([[], [], []]);
    });

    test("believe a rival who holds a majority", async () => {
      const { locks, keyOf } = await openLocks({ masters: 3 });
      await rivalHolds(0, keyOf(1), "rival");
      await rivalHolds(1, keyOf(1), "rival");
      const locked = await locks.lockBatch([1, 2]);
      expect([...locked.contended]).toEqual([1]);
      expect(locked.isLocked).toBe(true);
    });

    test("locked a seat in spite of a lock on one master only", async () => {
      const { locks, keyOf } = await openLocks({ masters: 3 });
      await rivalHolds(0, keyOf(1), "rival");
      const locked = await locks.lockBatch([1]);
      expect([locked.isLocked, locked.contended.size]).toEqual([true, 0]);
    });

    test("leave a split vote to the database: one master each for two rivals, none for us", async () => {
      const { locks, keyOf } = await openLocks({ masters: 3 });
      await rivalHolds(0, keyOf(1), "one");
      await rivalHolds(1, keyOf(1), "other");
      const locked = await locks.lockBatch([1]);
      expect([locked.isLocked, locked.contended.size]).toEqual([false, 0]);
    });

    describe("of which one is unavailable", () => {
      const withThirdAway = async (look: () => Promise<void>) => {
        await redises[2]?.kill();
        try {
          await look();
        } finally {
          await startAgain(2);
        }
      };

      test("locked as before", async () => {
        const { locks } = await openLocks({ masters: 3 });
        await withThirdAway(async () => {
          expect((await locks.lockBatch([1])).isLocked).toBe(true);
        });
      });

      test("believe a rival on the other two, and stay in use", async () => {
        const { locks, keyOf, changes } = await openLocks({ masters: 3 });
        await withThirdAway(async () => {
          await rivalHolds(0, keyOf(1), "rival");
          await rivalHolds(1, keyOf(1), "rival");
          const locked = await locks.lockBatch([1]);
          expect([...locked.contended]).toEqual([1]);
          expect(changes).toEqual([true, false]);
        });
      });

      test("never make two rivals contended at once", async () => {
        const one = await openLocks({ masters: 3 });
        const other = await openLocks({ masters: 3, keyPrefix: one.keyPrefix });
        await withThirdAway(async () => {
          for (let seatId = 1; seatId <= 30; seatId++) {
            const locked = await Promise.all([one, other].map(({ locks }) => locks.lockBatch([seatId])));
            expect(locked.every(({ contended }) => contended.size > 0)).toBe(false);
            expect(locked.every(({ isLocked }) => isLocked)).toBe(false);
            await Promise.all(locked.map((locked) => locked.release()));
          }
        });
      });
    });

    test("wait once for one that hangs, then leave it out with the quorum still of all, and use it again when it answers", async () => {
      const { locks, changes, keyPrefix } = await openLocks({ masters: 3 });
      const lockOne = async (seatId: number) => {
        const locked = await locks.lockBatch([seatId]);
        const held = await Promise.all([0, 1].map((master) => keysOf(keyPrefix, master)));
        await locked.release();
        return [locked.isLocked, ...held];
      };
      redises[2]?.pause();
      try {
        await lockOne(1);
        const beganAt = performance.now();
        for (let seatId = 2; seatId <= 40; seatId++)
          expect(await lockOne(seatId)).toEqual([true, [seatId], [seatId]]);
        // All of them together, where each would wait for its lock and once more for its unlock.
        expect(performance.now() - beganAt).toBeLessThan(15 * TIMEOUT_MS);
        redises[1]?.pause();
        expect((await locks.lockBatch([41])).isLocked).toBe(false);
        expect(locks.degraded).toBe(true);
      } finally {
        redises[1]?.resume();
        redises[2]?.resume();
      }
      const lockedOnAll = async () => {
        const locked = await locks.lockBatch([42]);
        const held = await Promise.all([0, 1, 2].map((master) => keysOf(keyPrefix, master)));
        await locked.release();
        return held.every(([seatId]) => seatId === 42);
      };
      await untilWithin(BACK_WITHIN_MS, "a seat is locked on all three", lockedOnAll);
      expect(changes).toEqual([true, false, true, false]);
    });

    test("free on a master that was left out meanwhile what they had locked there", async () => {
      const { locks, keyPrefix } = await openLocks({ masters: 3 });
      const locked = await locks.lockBatch([1]);
      redises[2]?.pause();
      try {
        await (await locks.lockBatch([2])).release();
        await locked.release();
      } finally {
        redises[2]?.resume();
      }
      expect(await keysOf(keyPrefix, 2)).toEqual([]);
    });

    test("of which two are unavailable locked nothing, refuse nobody, and are used again when one is back", async () => {
      const { locks } = await openLocks({ masters: 3 });
      for (const redis of redises) redis.pause();
      const locked = await locks.lockBatch([1]);
      expect([locked.isLocked, locked.contended.size, locks.degraded]).toEqual([false, 0, true]);
      redises[0]?.resume();
      const before = await pings();
      const asked = async () => (await locks.lockBatch([1])).isLocked || (await pings()) > before;
      await untilWithin(BACK_WITHIN_MS, "the one that answers has been asked", asked);
      expect([(await locks.lockBatch([1])).isLocked, locks.degraded]).toEqual([false, true]);
      redises[1]?.resume();
      await untilWithin(BACK_WITHIN_MS, "a majority is back", () => !locks.degraded);
      redises[2]?.resume();
    });
  });
});
