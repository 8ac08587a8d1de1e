import { describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { CHAIN_START, crcsOf, linkRows } from "../../src/ledger/chain.ts";
import { Sealer } from "../../src/ledger/sealer.ts";
import { appendCheckpoint } from "../../src/postgres/checkpoints.ts";
import { LEDGER_START, positionOf, readLedger } from "../../src/postgres/ledger.ts";
import { farthest, readCursors } from "../../src/postgres/published.ts";
import { proveChain } from "../../src/proof/verify/chain-proof.ts";
import { until } from "../fixtures/until.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { identities, openLedger } from "./ledger.ts";
import { RecordingSink } from "./recording-sink.ts";

const ledger = useOpened(openLedger, "test");

interface Checkpoint {
  number: number;
  rowCount: number;
  rowsTotal: number;
  digest: string;
}

const checkpoints = () =>
  ledger.sale.rows<Checkpoint>(
    `select number::int, row_count as "rowCount", rows_total::int as "rowsTotal", encode(digest, 'base64') as digest
     from ledger_checkpoints order by number`,
  );
const windows = async () => (await checkpoints()).map(({ rowCount }) => rowCount);
const verdict = async () => {
  const session = drizzle(ledger.sale.pool);
  const published = farthest((await readCursors(session)).values());
  return (await proveChain(session, { published, anchors: [] })).proof.verdict;
};

describe("what is published", () => {
  test("is sealed before it is sent, window by window", async () => {
    const { sink } = ledger;
    const sealedWhenSent: number[] = [];
    const open = sink.open;
    sink.open = async () => {
      const opened = await open();
      const publish: typeof opened.publish = async (events) => {
        sealedWhenSent.push((await checkpoints()).at(-1)?.rowsTotal ?? 0);
        await opened.publish(events);
      };
      return { ...opened, publish };
    };
    await ledger.sell(5);
    await ledger.openRelay("relay", { batchLimitRows: 2 }).round();
    expect(sealedWhenSent).toEqual([2, 4, 5]);
    expect(await windows()).toEqual([2, 2, 1]);
    expect(await verdict()).toBe("proven");
  });

  test.each(["before", "after"] as const)(
    "is not sealed a second time where the send failed %s its events arrived",
    async (when) => {
      await ledger.sell(3);
      const relay = ledger.openRelay();
      ledger.sink.failNext = when;
      await relay.round();
      await ledger.sell(2);
      await relay.round();
      await relay.round();
      expect(await windows()).toEqual([3, 2]);
      expect(await verdict()).toBe("proven");
    },
  );

  test("is not sealed a second time after a crash between the seal and the cursor", async () => {
    await ledger.sell(3);
    await ledger.publish();
    await ledger.sale.rows("update ledger_cursors set (epoch, txid, id) = (0, '0', 0)");
    await ledger.sell(1);
    await ledger.openRelay("successor").round();
    expect(await windows()).toEqual([3, 1]);
    expect(await verdict()).toBe("proven");
  });

  test("is not sealed a second time for a sink that is new", async () => {
    const seatIds = await ledger.sell(4);
    await ledger.publish("relay", { batchLimitRows: 3 });
    const another = new RecordingSink("another");
    const more = await ledger.sell(2);
    await ledger.openRelay("relay", { to: another, batchLimitRows: 3 }).round();
    expect(another.arrivals()).toEqual(identities([...seatIds, ...more]));
    // The second window of the new sink had a row that was sealed and two that were not.
    expect(await windows()).toEqual([3, 1, 2]);
    expect(await verdict()).toBe("proven");
  });

  test.each([false, true])(
    "never takes in a row that a later commit could get before it (sink away: %p)",
    async (away) => {
      const { sale, sink } = ledger;
      sink.away = away;
      const [late = 0, early = 0] = await sale.addSeats(2);
      const session = await sale.session();
      await session.query("begin");
      await ledger.sellOne(late, 0, session);
      await ledger.sellOne(early, 0);
      const relay = ledger.openRelay();
      await relay.round();
      expect(await windows()).toEqual([]);
      await session.query("commit");
      await relay.round();
      expect(await windows()).toEqual([2]);
      expect(await verdict()).toBe("proven");
    },
  );
});

describe("the chain", () => {
  test("goes on while the sink is unavailable, in windows, and what is published later is sealed already", async () => {
    const { sink } = ledger;
    sink.away = true;
    const seatIds = await ledger.sell(5);
    const relay = ledger.openRelay("relay", { batchLimitRows: 2 });
    await relay.round();
    expect(await windows()).toEqual([2, 2, 1]);
    sink.away = false;
    await relay.round();
    expect(sink.arrivals()).toEqual(identities(seatIds));
    expect(await windows()).toEqual([2, 2, 1]);
  });

  test("catches up from the beginning where there was none before, while publishing goes on", async () => {
    const seatIds = await ledger.sell(7);
    await ledger.publish("relay", { batchLimitRows: 2 });
    await ledger.sale.rows("delete from ledger_checkpoints");
    const [newest = 0] = await ledger.sell(1);

    const upgraded = ledger.openRelay("upgraded", { batchLimitRows: 2 });
    let rounds = 0;
    while ((await upgraded.round()).more && rounds < 10) rounds++;
    expect(ledger.sink.arrivals()).toEqual(identities([...seatIds, newest]));
    expect(await windows()).toEqual([2, 2, 2, 2]);
    expect(await verdict()).toBe("proven");
  });

  test("catches up a window a round while there is something to publish: publishing does not wait for it", async () => {
    await ledger.sell(6);
    await ledger.publish("relay", { batchLimitRows: 2 });
    await ledger.sale.rows("delete from ledger_checkpoints");
    await ledger.sell(1);
    const { sink } = ledger;
    const before = sink.events.length;
    sink.open = ((open) => async () => {
      const opened = await open();
      const publish: typeof opened.publish = async (events) => {
        expect(await windows()).toEqual([2]);
        await opened.publish(events);
      };
      return { ...opened, publish };
    })(sink.open);
    await ledger.openRelay("upgraded", { batchLimitRows: 2 }).round();
    expect(sink.events.length).toBe(before + 1);
  });

  test("that a crash of the database has set back comes again with the same digest, in other windows too", async () => {
    await ledger.sell(4);
    const relay = ledger.openRelay("relay", { batchLimitRows: 3 });
    // Postgres's own autovacuum may be writing, and the newest rows wait for it.
    await until("all rows are sealed", async () => {
      await relay.round();
      return (await windows()).reduce((sum, count) => sum + count, 0) === 4;
    });
    await relay.close();
    const before = await checkpoints();
    await ledger.sale.rows("delete from ledger_checkpoints");
    await ledger.sale.rows("delete from ledger_cursors");
    await ledger.openRelay("successor", { batchLimitRows: 2 }).round();
    expect(await windows()).toEqual([2, 2]);
    expect((await checkpoints()).at(-1)?.digest).toBe(before.at(-1)?.digest ?? "none");
  });

  test("goes on over a new epoch", async () => {
    await ledger.sell(2);
    await ledger.publish();
    await ledger.sale.rows("update ledger_epochs set system_identifier = 'elsewhere'");
    const successor = ledger.openRelay("successor");
    await successor.round();
    await ledger.sell(2);
    await successor.round();
    const epochs = await ledger.sale.rows("select epoch from ledger_checkpoints order by number");
    expect(epochs).toEqual([{ epoch: 1 }, { epoch: 2 }]);
    expect(await verdict()).toBe("proven");
  });
});

describe("rows with columns that an earlier version does not know", () => {
  /** As the version before `change_id` seals everything there is, in one window. */
  const sealAsBefore = async () => {
    const session = drizzle(ledger.sale.pool);
    const texts = (await readLedger(session, LEDGER_START, 100)).map((text) =>
      text.split("|").slice(0, 10).join("|"),
    );
    await appendCheckpoint(session, {
      ...positionOf(texts.at(-1) ?? ""),
      ...{ number: 1, rowCount: texts.length, rowsTotal: texts.length, rowForm: 1 },
      ...{ digest: linkRows(CHAIN_START, texts), rowDigests: crcsOf(texts) },
    });
  };
  const proof = async () =>
    (await proveChain(drizzle(ledger.sale.pool), { published: undefined, anchors: [] })).proof;

  test("are proven where that version has sealed them, and are named as not wholly sealed", async () => {
    await ledger.sell(3);
    await ledger.sale.rows("update seat_events set change_id = gen_random_uuid() where id < 3");
    await sealAsBefore();
    expect(await proof()).toMatchObject({
      verdict: "proven",
      note: "the newest columns of 2 rows are not sealed: an engine of an older version published then",
    });
    await ledger.sell(2);
    await ledger.openRelay("relay", { batchLimitRows: 2 }).round();
    expect(await windows()).toEqual([3, 1, 1]);
    expect((await proof()).verdict).toBe("proven");
    await ledger.sale.rows("update seat_events set occurred_at = now() where id = 2");
    const { verdict, findings } = await proof();
    expect([verdict, findings.map(({ version, what }) => [version, what])]).toEqual([
      "damaged",
      [[1, "a ledger row was changed after it was sealed"]],
    ]);
  });

  test.each([2, 1])(
    "are found where a value was added to a row that was sealed without one, in a checkpoint of form %d",
    async (form) => {
      await ledger.sell(3);
      await ledger.openRelay().round();
      await ledger.sale.rows("update seat_events set change_id = gen_random_uuid() where id = 2");
      await ledger.sale.rows("update ledger_checkpoints set row_form = $1", [form]);
      expect((await proof()).findings.length).toBeGreaterThan(0);
    },
  );
});

describe("of two that seal", () => {
  const sealerOf = async () => new Sealer(drizzle(await ledger.sale.session()), 10);

  test("the one that is behind changes nothing, and hears that it is not the leader any more", async () => {
    const [zombie, leader] = [await sealerOf(), await sealerOf()];
    await ledger.sell(1);
    expect(await zombie.goOn()).toBe("sealed");
    expect(await leader.goOn()).toBe("sealed");
    await ledger.sell(2);
    expect(await leader.goOn()).toBe("sealed");
    const before = await checkpoints();
    expect(await zombie.goOn()).toBe("overtaken");
    expect(await checkpoints()).toEqual(before);
    expect(await verdict()).toBe("proven");
  });

  test("a relay that was overtaken lets go, publishes nothing unsealed, and goes on from where the other is", async () => {
    const seatIds = await ledger.sell(1);
    const relay = ledger.openRelay();
    await relay.round();
    const more = await ledger.sell(2);
    expect(await (await sealerOf()).goOn()).toBe("sealed");
    const last = await ledger.sell(1);
    await relay.round();
    expect(ledger.sink.arrivals()).toEqual(identities(seatIds));
    expect(await ledger.leaders()).toEqual([]);
    await relay.round();
    expect(ledger.sink.arrivals()).toEqual(identities([...seatIds, ...more, ...last]));
    expect(await verdict()).toBe("proven");
  });
});
