import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type {
  BatchAnswer,
  ChangeResult,
  ReservationSettings,
  SettleResult,
  TakeBatch,
  TakeResult,
} from "../../src/threads/messages.ts";
import { ThreadPool } from "../../src/threads/thread-pool.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { expectSound } from "../fixtures/sound.ts";
import { until } from "../fixtures/until.ts";
import { openSale, reserveOne, type Sale } from "../postgres/sale.ts";

const DEADLINE_MS = 10_000;
const CONNECTIONS = 2;
const STATEMENT_TIMEOUT_MS = 700;

let sale: Sale;
let network: Network;
let threads: ThreadPool;
let restarts = 0;

beforeAll(async () => {
  sale = await openSale();
  network = await startProxy(sale.url);
});
beforeEach(async () => {
  restarts = 0;
  const [{ now } = { now: "" }] = await sale.rows<{ now: string }>("select clock_timestamp()::text as now");
  const settings: ReservationSettings = {
    databaseUrl: network.url,
    redisUrls: [],
    keyPrefix: "test",
    presence: 1,
    connectionLimit: CONNECTIONS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    lockTtlMs: 2000,
    connectTimeoutMs: 500,
    redisTimeoutMs: 50,
    logLevel: "silent",
  };
  threads = new ThreadPool({
    name: "reservation",
    threadCount: 1,
    tasksPerThread: 2,
    settings,
    onSample: () => undefined,
    onRestart: () => restarts++,
  });
  const idle = `select from pg_stat_activity
    where application_name = 'sentinel-reservation' and state = 'idle' and query like '%q(id, action, change_id, act_id, position)%'
      and datname = current_database() and backend_start > $1`;
  await until("the thread has warmed up", async () => (await sale.rows(idle, [now])).length === CONNECTIONS);
});
afterEach(async () => {
  network.heal();
  await threads.close();
  await sale.endSessions();
});
afterAll(async () => {
  await network.stop();
  await sale.close();
});

const batchOf = (seatIds: number[], versions = seatIds.map(() => 0)): TakeBatch => ({
  seatIds,
  versions,
  reservationIds: seatIds.map(() => Bun.randomUUIDv7() as string),
  holds: seatIds.map(() => false),
  guards: [],
});
const send = (batch: TakeBatch) => threads.run<TakeResult>({ kind: "take", ...batch }, DEADLINE_MS);

async function decide(batch: TakeBatch): Promise<BatchAnswer> {
  const answer = await send(batch);
  if (answer === "doubtful") throw new Error("the batch is in doubt");
  return answer;
}

const settle = ({ seatIds, reservationIds }: TakeBatch, giveBack = false) =>
  threads.run<SettleResult>({ kind: "settle", giveBack, seatIds, reservationIds }, DEADLINE_MS);

const verdicts = ({ seats }: BatchAnswer) => seats.map(({ verdict }) => verdict);

/** Holds every statement on seats up until `commit`, and gives the engine's backends that wait. */
async function holdStatementsUp() {
  const session = await sale.session();
  await session.query("begin");
  await session.query("lock table seats in access exclusive mode");
  const waiting = () =>
    until("a statement of the engine waits", async () => {
      const backends = await sale.rows<{ pid: number }>(
        "select pid from pg_stat_activity where application_name = 'sentinel-reservation' and wait_event_type = 'Lock' and datname = current_database()",
      );
      return backends.length > 0 && backends.map(({ pid }) => pid);
    });
  return { waiting, letGo: () => session.query("commit") };
}

describe("a reservation thread", () => {
  test("wins a seat that has moved on, at its new version, in a second transaction", async () => {
    const [fresh = 0, moved = 0] = await sale.addSeats(2);
    const answer = await decide(batchOf([fresh, moved], [0, -1]));
    expect(verdicts(answer)).toEqual(["won", "won"]);
    expect(answer.movedCount).toBe(1);
  });

  test("decides the rest when one reservation of a batch is refused by the database", async () => {
    const [sold = 0, first = 0, bad = 0, last = 0] = await sale.addSeats(4);
    const { reservationId } = await reserveOne(await sale.session(), sold, 0);
    const batch = batchOf([first, bad, last]);
    batch.reservationIds[1] = reservationId;
    const answer = await decide(batch);
    expect(verdicts(answer)).toEqual(["won", "undecided", "won"]);
    expect([answer.reran, answer.databaseAway]).toEqual([true, false]);
    expect((await sale.seat(bad)).version).toBe(0);
  });

  test("says that the database is away when nobody answers there, and goes on when it is back", async () => {
    const seatId = await sale.addSeat();
    network.cut();
    const away = async () => {
      // A connection that broke while it lay idle can only be met once: that batch is in doubt.
      const answer = await send(batchOf([seatId]));
      return answer !== "doubtful" && answer;
    };
    const answer = await until("the database is known to be away", away);
    expect([answer.databaseAway, ...verdicts(answer)]).toEqual([true, "undecided"]);
    network.heal();
    expect(verdicts(await decide(batchOf([seatId])))).toEqual(["won"]);
    expect(restarts).toBe(0);
  });

  test("leaves a batch undecided, and unchanged, when the statement takes too long", async () => {
    const seatId = await sale.addSeat();
    const { letGo } = await holdStatementsUp();
    const answer = await decide(batchOf([seatId]));
    await letGo();
    expect([answer.databaseAway, ...verdicts(answer)]).toEqual([true, "undecided"]);
    expect((await sale.seat(seatId)).version).toBe(0);
  });
});

/** A batch of one hold of all these seats. */
function holdOf(seatIds: number[], versions?: number[]) {
  const reservationId: string = Bun.randomUUIDv7();
  return {
    ...batchOf(seatIds, versions),
    reservationIds: seatIds.map(() => reservationId),
    holds: seatIds.map(() => true),
  };
}

const change = (reservationId: string | undefined, action: "confirm" | "release") =>
  threads.run<ChangeResult>(
    {
      kind: "change",
      ...{
        reservationIds: [reservationId ?? ""],
        actions: [action],
        changeIds: [Bun.randomUUIDv7()],
        guards: [],
      },
    },
    DEADLINE_MS,
  );

describe("a reservation thread with baskets", () => {
  test("takes a basket whole at its seats' new versions when one of them has moved on", async () => {
    const seatIds = await sale.addSeats(3);
    const answer = await decide(holdOf(seatIds, [0, -1, 0]));
    expect(verdicts(answer)).toEqual(["won", "won", "won"]);
    expect(answer.movedCount).toBe(1);
    for (const seatId of seatIds) expect((await sale.seat(seatId)).version).toBe(1);
  });

  test("decides the rest when a basket is refused by the database, and takes none of its seats", async () => {
    const [sold = 0, one = 0, two = 0, three = 0, four = 0] = await sale.addSeats(5);
    const { reservationId } = await reserveOne(await sale.session(), sold, 0);
    const good = Bun.randomUUIDv7();
    const answer = await decide({
      ...holdOf([one, two, three, four]),
      reservationIds: [reservationId, reservationId, good, good],
    });
    expect(verdicts(answer)).toEqual(["undecided", "undecided", "won", "won"]);
    expect(answer.reran).toBe(true);
    for (const seatId of [one, two]) expect((await sale.seat(seatId)).version).toBe(0);
    for (const seatId of [three, four]) expect((await sale.seat(seatId)).reservationId).toBe(good);
  });

  test("says claimed where somebody else is deciding on the buyer, and wins the neighbours", async () => {
    const [seatId = 0, neighbour = 0] = await sale.addSeats(2);
    const rival = await sale.session();
    await rival.query("begin");
    await rival.query("select pg_advisory_xact_lock(hashtextextended('buyer:b', 7310))");
    const hold = holdOf([seatId]);
    const single = batchOf([neighbour]);
    const [reservationId = ""] = hold.reservationIds;
    const batch = {
      seatIds: [seatId, neighbour],
      versions: [0, 0],
      reservationIds: [reservationId, ...single.reservationIds],
      holds: [true, false],
      guards: [{ reservationId, buyerId: "b", key: null }],
    };
    expect(verdicts(await decide(batch))).toEqual(["claimed", "won"]);
    await rival.query("rollback");
    expect(verdicts(await decide({ ...batch, versions: [0, 1] }))).toEqual(["won", "reserved"]);
  });

  test("confirms what it has held, and says what it has changed", async () => {
    const seatIds = await sale.addSeats(2);
    const hold = holdOf(seatIds);
    await decide(hold);
    const [reservationId = ""] = hold.reservationIds;
    expect(await change(reservationId, "confirm")).toMatchObject({
      ...{ databaseAway: false, changes: [{ verdict: "done", seats: seatIds.map((seatId) => [seatId, 2]) }] },
    });
    for (const seatId of seatIds)
      expect(await sale.seat(seatId)).toEqual({ status: "reserved", version: 2, reservationId });
  });

  test("says that a change is in doubt when its connection breaks, and has then done it wholly or not at all", async () => {
    const hold = holdOf(await sale.addSeats(2));
    await decide(hold);
    const { waiting, letGo } = await holdStatementsUp();
    const sent = change(hold.reservationIds[0], "release");
    await sale.rows("select pg_terminate_backend(pid) from unnest($1::int[]) as pid", [await waiting()]);
    expect(await sent).toBe("doubtful");
    await letGo();
    expect(await change(hold.reservationIds[0], "release")).toMatchObject({
      changes: [{ verdict: "done", facts: { seatIds: hold.seatIds } }],
    });
    expect(restarts).toBe(0);
  });
});

describe("a reservation thread whose connection breaks in mid statement", () => {
  test.each([
    [
      "its backend is terminated",
      async (backends: number[]) => {
        await sale.rows("select pg_terminate_backend(pid) from unnest($1::int[]) as pid", [backends]);
      },
    ],
    ["the network breaks", async () => network.cut()],
  ])("says that the batch is in doubt, and lives on, when %s", async (_how, breakIt) => {
    const [seatId = 0, next = 0] = await sale.addSeats(2);
    const { waiting, letGo } = await holdStatementsUp();
    const sent = send(batchOf([seatId])).catch((error: unknown) => String(error));
    await breakIt(await waiting());
    expect(await sent).toBe("doubtful");
    network.heal();
    await letGo();
    expect(verdicts(await decide(batchOf([next])))).toEqual(["won"]);
    expect(restarts).toBe(0);
  });

  test("takes no other batch of its thread along", async () => {
    const [seatId = 0, other = 0] = await sale.addSeats(2);
    await decide(batchOf([await sale.addSeat()]));
    const { waiting, letGo } = await holdStatementsUp();
    const both = [batchOf([seatId]), batchOf([other])].map((batch) =>
      send(batch).then(
        (answer) => (answer === "doubtful" ? "doubtful" : verdicts(answer).join()),
        (error: unknown) => String(error),
      ),
    );
    const [victim] = await waiting();
    await sale.rows("select pg_terminate_backend($1)", [victim]);
    await letGo();
    expect((await Promise.all(both)).sort()).toEqual(["doubtful", "won"]);
  });

  test("learns by settling what a statement has done whose answer never came", async () => {
    const seatId = await sale.addSeat();
    const { waiting, letGo } = await holdStatementsUp();
    const batch = batchOf([seatId]);
    const sent = send(batch);
    await waiting();
    network.hang();
    await letGo();
    expect(await sent).toBe("doubtful");
    expect((await sale.seat(seatId)).version).toBe(1);
    network.heal();
    expect(await settle(batch)).toEqual({ versions: [1] });
    expect((await sale.seat(seatId)).reservationId).toBe(batch.reservationIds[0] ?? "");
  });

  test("learns by settling that a terminated statement has done nothing, and never will", async () => {
    const seatId = await sale.addSeat();
    const { waiting, letGo } = await holdStatementsUp();
    const batch = batchOf([seatId]);
    const sent = send(batch);
    await sale.rows("select pg_terminate_backend(pid) from unnest($1::int[]) as pid", [await waiting()]);
    await letGo();
    expect(await sent).toBe("doubtful");
    expect(await settle(batch)).toEqual({ versions: [null] });
    const late = await decide(batch);
    expect([...verdicts(late), late.databaseAway]).toEqual(["undecided", false]);
    expect((await sale.seat(seatId)).version).toBe(0);
  });

  test("gives back what was committed when its buyers have been told otherwise", async () => {
    const seatId = await sale.addSeat();
    const batch = batchOf([seatId]);
    await decide(batch);
    // Not before every engine has seen the thread's session.
    const settled = await until("the seat is given back", async () => {
      const result = await settle(batch, true);
      return result !== "away" && result;
    });
    expect(settled).toEqual({ versions: [1] });
    expect(await sale.seat(seatId)).toEqual({ status: "available", version: 2, reservationId: null });
  });

  test("cannot settle while the database is away, and says so", async () => {
    network.cut();
    expect(await settle(batchOf([1]))).toBe("away");
  });
});

test("the ledger and the seats agree after all of this", async () => {
  await expectSound(sale.url);
});
