import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { expectSound } from "../fixtures/sound.ts";
import { untilWithin } from "../fixtures/until.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { writeAtRandom } from "../postgres/writers.ts";
import { identities, openLedger } from "./ledger.ts";
import { RecordingSink } from "./recording-sink.ts";

const DEADLINE_MS = 8000;

const ledger = useOpened(openLedger, "test");

describe("the relay", () => {
  test("publishes in the order in which transactions began, and moves the cursor behind them", async () => {
    const { sale, sink, cursor } = ledger;
    const [early = 0, late = 0, another = 0] = await sale.addSeats(3);
    const session = await sale.session();
    await session.query("begin");
    await session.query("select pg_current_xact_id()");
    await ledger.sellOne(late, 0);
    await ledger.sellOne(another, 0);
    await ledger.sellOne(early, 0, session);
    await session.query("commit");
    const report = await ledger.openRelay().round();
    expect(sink.arrivals()).toEqual(identities([early, late, another]));
    expect(report).toMatchObject({
      active: true,
      publishedCount: 3,
      failureCount: 0,
      more: false,
      sinkUp: true,
    });
    const ids = await sale.rows("select epoch, id::int from seat_events where seat_id = $1", [another]);
    expect(await cursor()).toEqual(ids[0] as Awaited<ReturnType<typeof cursor>>);
  });

  test("sends an event once, over rounds and over restarts", async () => {
    const first = await ledger.sell(3);
    const relay = ledger.openRelay();
    await relay.round();
    await relay.round();
    await relay.close();
    const second = await ledger.sell(2);
    await ledger.openRelay("successor").round();
    expect(ledger.sink.arrivals()).toEqual(identities([...first, ...second]));
  });

  test("publishes all there is in one round, in sends of at most its limit", async () => {
    const seatIds = await ledger.sell(5);
    const report = await ledger.openRelay("relay", { batchLimitRows: 2 }).round();
    expect(report.publishSeconds.length).toBe(3);
    expect(ledger.sink.arrivals()).toEqual(identities(seatIds));
  });

  test("tells what waits while the sink is unavailable, and publishes it when the sink is back", async () => {
    const { sink } = ledger;
    const seatIds = await ledger.sell(3);
    sink.away = true;
    const relay = ledger.openRelay();
    expect(await relay.round()).toMatchObject({
      active: true,
      sinkUp: false,
      failureCount: 1,
      backlogRows: 3,
    });
    sink.away = false;
    expect(await relay.round()).toMatchObject({ sinkUp: true, failureCount: 0, publishedCount: 3 });
    expect(sink.arrivals()).toEqual(identities(seatIds));
  });

  test.each(["before", "after"] as const)(
    "repeats a send that failed %s its events arrived, on a new connection, in order and under the same identities",
    async (when) => {
      const { sink } = ledger;
      const seatIds = await ledger.sell(3);
      const relay = ledger.openRelay();
      sink.failNext = when;
      expect(await relay.round()).toMatchObject({ publishedCount: 0, failureCount: 1, sinkUp: false });
      const later = await ledger.sell(1);
      await relay.round();
      const all = identities([...seatIds, ...later]);
      expect(sink.arrivals()).toEqual(when === "after" ? [...identities(seatIds), ...all] : all);
      expect([sink.opened, sink.closed]).toEqual([2, 1]);
    },
  );

  test("ends its rounds while a send hangs, tells what waits by then, and sends nothing a second time", async () => {
    const { sink } = ledger;
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    sink.gate = gate;
    const first = await ledger.sell(2);
    const relay = ledger.openRelay();
    expect(await relay.round()).toMatchObject({
      publishedCount: 0,
      failureCount: 0,
      more: true,
      backlogRows: 2,
    });
    const second = await ledger.sell(3);
    const backlog = async () => (await relay.round()).backlogRows;
    await untilWithin(DEADLINE_MS, "the backlog has grown", async () => (await backlog()) === 5);
    open();
    expect(await relay.round()).toMatchObject({ publishedCount: 2, failureCount: 0, sinkUp: true });
    expect(await relay.round()).toMatchObject({ publishedCount: 3 });
    expect(sink.arrivals()).toEqual(identities([...first, ...second]));
    expect(sink.opened).toBe(1);
  });

  test("ends its rounds while its sink takes long to open, and opens it once", async () => {
    const { sink } = ledger;
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const openSink = sink.open;
    sink.open = () => gate.then(openSink);
    const seatIds = await ledger.sell(2);
    const relay = ledger.openRelay();
    expect(await relay.round()).toMatchObject({
      publishedCount: 0,
      failureCount: 0,
      more: true,
      backlogRows: 2,
    });
    await relay.round();
    open();
    expect(await relay.round()).toMatchObject({ publishedCount: 2, failureCount: 0 });
    expect([sink.arrivals(), sink.opened]).toEqual([identities(seatIds), 1]);
  });

  test("closes a sink that opens only after the relay was closed", async () => {
    const { sink } = ledger;
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const openSink = sink.open;
    sink.open = () => gate.then(openSink);
    await ledger.publish();
    open();
    await untilWithin(DEADLINE_MS, "the sink is closed", () => sink.closed === 1);
    expect(sink.opened).toBe(1);
  });

  test("keeps a cursor of its own for each sink", async () => {
    const seatIds = await ledger.sell(2);
    await ledger.publish();
    const another = new RecordingSink("another");
    await ledger.openRelay("relay", { to: another }).round();
    expect(another.arrivals()).toEqual(identities(seatIds));
  });
});

describe("a transaction that commits late", () => {
  test("is not skipped, although later ones were committed and looked for before", async () => {
    const { sale, sink } = ledger;
    const [late = 0, changed = 0, other = 0] = await sale.addSeats(3, "cancellable");
    const session = await sale.session();
    await session.query("begin");
    await ledger.sellOne(late, 0, session);
    await ledger.sellOne(changed, 0);
    await ledger.cancelOne(changed, 1);
    await ledger.sellOne(other, 0);
    const relay = ledger.openRelay();
    await relay.round();
    await session.query("commit");
    await relay.round();
    expect(sink.arrivals()).toEqual([`${late}:1`, `${changed}:1`, `${changed}:2`, `${other}:1`]);
  });

  test("holds back what began after it and nothing else, and shows as horizon and backlog", async () => {
    const { sale, sink } = ledger;
    const before = await ledger.sell(2);
    const session = await sale.session();
    await session.query("begin");
    await ledger.sellOne(await sale.addSeat(), 0, session);
    await ledger.sell(2);
    const report = await ledger.openRelay().round();
    expect(sink.arrivals()).toEqual(identities(before));
    expect(report.backlogRows).toBe(2);
    expect(report.horizonSeconds).toBeGreaterThan(0);
    expect(report.backlogSeconds).toBeGreaterThan(0);
  });

  test("is not published when it is rolled back", async () => {
    const { sale, sink } = ledger;
    const [rolledBack = 0, sold = 0] = await sale.addSeats(2);
    const session = await sale.session();
    await session.query("begin");
    await ledger.sellOne(rolledBack, 0, session);
    await ledger.sellOne(sold, 0);
    await session.query("rollback");
    await ledger.openRelay().round();
    expect(sink.arrivals()).toEqual(identities([sold]));
  });
});

const failure = fc.constantFrom(undefined, "before" as const, "after" as const);

test("whatever writers and the sink do, every row arrives and each seat's versions arrive in order", async () => {
  const { sale, sink } = ledger;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer(), { minLength: 4, maxLength: 4 }),
      fc.array(failure, { minLength: 5, maxLength: 5 }),
      async (seeds, failures) => {
        const seatIds = await sale.addSeats(3, "cancellable");
        const relay = ledger.openRelay("relay", { batchLimitRows: 7 });
        let writing = true;
        const written = Promise.all(seeds.map((seed) => writeAtRandom(sale, seatIds, seed, 25))).finally(
          () => {
            writing = false;
          },
        );
        for (let round = 0; writing; round++) {
          sink.failNext = failures[round % failures.length];
          await relay.round();
        }
        await written;
        sink.failNext = undefined;
        const through = async () => (await relay.round()).publishedCount === 0;
        await untilWithin(DEADLINE_MS, "nothing is left to publish", through);
        await relay.close();
        await sale.endSessions();
        await expectSound(sale.url);
        for (const seatId of seatIds) {
          const { version } = await sale.seat(seatId);
          expect(sink.versionsOf(seatId)).toEqual(Array.from({ length: version }, (_, before) => before + 1));
        }
      },
    ),
    { numRuns: 3, endOnFailure: true },
  );
}, 30_000);
