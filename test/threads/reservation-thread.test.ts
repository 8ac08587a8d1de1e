import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { SeatOrder } from "../../src/postgres/reserve.ts";
import type {
  BatchAnswer,
  ChangeResult,
  ReservationSettings,
  SettleResult,
  TakeResult,
} from "../../src/threads/messages.ts";
import { ThreadPool } from "../../src/threads/thread-pool.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { until } from "../fixtures/until.ts";
import { changeOf, verdictOf } from "../postgres/reservations.ts";
import { reserveOf } from "../postgres/sale.ts";
import { useSale } from "../postgres/use-sale.ts";

const DEADLINE_MS = 10_000;
const CONNECTIONS = 2;
const STATEMENT_TIMEOUT_MS = 700;

const sale = useSale();
let network: Network;
let threads: ThreadPool;
let restarts = 0;

beforeAll(async () => {
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
});
afterAll(() => network.stop());

const batchOf = (seatIds: number[], versions: number[] = []): SeatOrder[] =>
  seatIds.map((seatId, index) => reserveOf(seatId, versions[index]));
const send = (orders: SeatOrder[]) => threads.run<TakeResult>({ kind: "take", orders }, DEADLINE_MS);

async function decide(...orders: SeatOrder[]): Promise<BatchAnswer> {
  const answer = await send(orders);
  if (answer === "doubtful") throw new Error("the batch is in doubt");
  return answer;
}

const settle = ([order]: SeatOrder[], giveBack = false) => {
  const { reservationId, seats } = order ?? reserveOf(1);
  const orders = [{ reservationId, seatIds: seats.map(({ seatId }) => seatId) }];
  return threads.run<SettleResult>({ kind: "settle", giveBack, orders }, DEADLINE_MS);
};

const verdicts = ({ orders }: BatchAnswer) => orders.map(verdictOf);

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
  test("says that the database is unavailable when nobody answers there, and goes on when it is back", async () => {
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
    expect(verdicts(await decide(reserveOf(seatId)))).toEqual(["won"]);
    expect(restarts).toBe(0);
  });

  test("leaves a batch undecided, and unchanged, when the statement takes too long", async () => {
    const seatId = await sale.addSeat();
    const { letGo } = await holdStatementsUp();
    const answer = await decide(reserveOf(seatId));
    await letGo();
    expect([answer.databaseAway, ...verdicts(answer)]).toEqual([true, "undecided"]);
    expect((await sale.seat(seatId)).version).toBe(0);
  });
});

/** A hold of all these seats. */
const holdOf = (seatIds: number[], versions: number[] = []): SeatOrder => ({
  ...{ reservationId: Bun.randomUUIDv7(), isHold: true },
  seats: seatIds.map((seatId, index) => ({ seatId, version: versions[index] ?? 0 })),
});

const change = (reservationId: string, action: "confirm" | "release") =>
  threads.run<ChangeResult>({ kind: "change", changes: [changeOf(reservationId, action)] }, DEADLINE_MS);

describe("a reservation thread with baskets", () => {
  test("takes a basket whole at its seats' new versions when one of them has moved on", async () => {
    const seatIds = await sale.addSeats(3);
    const answer = await decide(holdOf(seatIds, [0, -1, 0]));
    expect(verdicts(answer)).toEqual(["won"]);
    expect(answer.movedCount).toBe(1);
    for (const seatId of seatIds) expect((await sale.seat(seatId)).version).toBe(1);
  });

  test("says claimed where somebody else is deciding on the buyer, and wins the neighbours", async () => {
    const [seatId = 0, neighbour = 0] = await sale.addSeats(2);
    const rival = await sale.session();
    await rival.query("begin");
    await rival.query("select pg_advisory_xact_lock(hashtextextended('buyer:b', 7310))");
    const hold: SeatOrder = { ...holdOf([seatId]), checks: { buyerId: "b", key: null } };
    expect(verdicts(await decide(hold, reserveOf(neighbour)))).toEqual(["claimed", "won"]);
    await rival.query("rollback");
    expect(verdicts(await decide(hold, reserveOf(neighbour, 1)))).toEqual(["won", "reserved"]);
  });

  test("confirms what it has held, and says what it has changed", async () => {
    const seatIds = await sale.addSeats(2);
    const hold = holdOf(seatIds);
    await decide(hold);
    const { reservationId } = hold;
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
    const sent = change(hold.reservationId, "release");
    await sale.rows("select pg_terminate_backend(pid) from unnest($1::int[]) as pid", [await waiting()]);
    expect(await sent).toBe("doubtful");
    await letGo();
    expect(await change(hold.reservationId, "release")).toMatchObject({
      changes: [{ verdict: "done", facts: { seatIds: hold.seats.map(({ seatId }) => seatId) } }],
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
    expect(verdicts(await decide(reserveOf(next)))).toEqual(["won"]);
    expect(restarts).toBe(0);
  });

  test("takes no other batch of its thread along", async () => {
    const [seatId = 0, other = 0] = await sale.addSeats(2);
    await decide(reserveOf(await sale.addSeat()));
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
    expect(await settle(batch)).toEqual({ orders: [[1]] });
    expect((await sale.seat(seatId)).reservationId).toBe(batch[0]?.reservationId ?? "");
  });

  test("learns by settling that a terminated statement has done nothing, and never will", async () => {
    const seatId = await sale.addSeat();
    const { waiting, letGo } = await holdStatementsUp();
    const batch = batchOf([seatId]);
    const sent = send(batch);
    await sale.rows("select pg_terminate_backend(pid) from unnest($1::int[]) as pid", [await waiting()]);
    await letGo();
    expect(await sent).toBe("doubtful");
    expect(await settle(batch)).toEqual({ orders: [null] });
    const late = await decide(...batch);
    expect([...verdicts(late), late.databaseAway]).toEqual(["undecided", false]);
    expect((await sale.seat(seatId)).version).toBe(0);
  });

  test("gives back what was committed when its buyers have been told otherwise", async () => {
    const seatId = await sale.addSeat();
    const batch = batchOf([seatId]);
    await decide(...batch);
    // Not before every engine has seen the thread's session.
    const settled = await until("the seat is given back", async () => {
      const result = await settle(batch, true);
      return result !== "away" && result;
    });
    expect(settled).toEqual({ orders: [[1]] });
    expect(await sale.seat(seatId)).toEqual({ status: "available", version: 2, reservationId: null });
  });

  test("cannot settle while the database is unavailable, and says so", async () => {
    network.cut();
    expect(await settle(batchOf([1]))).toBe("away");
  });
});
