import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { enterEpoch } from "../../src/postgres/epoch.ts";
import { prepareDatabase } from "../../src/postgres/migrate.ts";
import { expectSound } from "../fixtures/sound.ts";
import { untilWithin } from "../fixtures/until.ts";
import { only, openSale, reserveOne, type Sale } from "./sale.ts";

/** What a restore into another cluster or the same, and a promotion, look like from inside. */
const MOVES = [
  ["another cluster", "update ledger_epochs set system_identifier = 'elsewhere' where epoch = 1"],
  ["another place of the same cluster", "update ledger_epochs set place = 'elsewhere' where epoch = 1"],
  ["another timeline", "update ledger_epochs set timeline = timeline + 1 where epoch = 1"],
] as const;

let sale: Sale;
beforeEach(async () => {
  sale = await openSale();
});
afterEach(() => sale.close());

const epochs = async () =>
  (await sale.rows<{ epoch: number }>("select epoch from ledger_epochs order by epoch")).map(
    ({ epoch }) => epoch,
  );

describe("an epoch", () => {
  test("is the first on a new database and lasts over new connections", async () => {
    await enterEpoch(drizzle(await sale.session()));
    expect(await epochs()).toEqual([1]);
  });

  test.each(MOVES)(
    "ends when the database wakes up in %s, once for all who notice at once",
    async (_where, move) => {
      const sessions = await Promise.all(Array.from({ length: 8 }, () => sale.session()));
      await sale.rows(move);
      await Promise.all(sessions.map((session) => enterEpoch(drizzle(session))));
      expect(await epochs()).toEqual([1, 2]);
      const newest = await sale.rows(
        `select system_identifier = (select system_identifier::text from pg_control_system()) as here
       from ledger_epochs where epoch = 2`,
      );
      expect(only(newest)).toEqual({ here: true });
    },
  );

  test("begins when nobody writes in the older one any more, whose rows the reader would miss", async () => {
    const [writer, newcomer] = [await sale.session(), await sale.session()];
    const seatId = await sale.addSeat();
    await writer.query("begin");
    await reserveOne(writer, seatId, 0);
    await sale.rows(MOVES[0][1]);
    const entering = enterEpoch(drizzle(newcomer));
    await untilWithin(
      5000,
      "the new epoch waits",
      async () =>
        (await sale.rows("select from pg_locks where not granted and relation = 'seat_events'::regclass"))
          .length === 1,
    );
    expect(await epochs()).toEqual([1]);
    await writer.query("commit");
    await entering;
    expect(await epochs()).toEqual([1, 2]);
  });

  test("is entered by the first connection of any pool, before it may do anything", async () => {
    await sale.rows(MOVES[0][1]);
    const session = await sale.session();
    const seatId = await sale.addSeat();
    await session.query("select pg_terminate_backend(pg_backend_pid())").catch(() => undefined);
    await sale.endSessions();
    const fresh = await sale.session();
    await reserveOne(fresh, seatId, 0);
    expect(await epochs()).toEqual([1, 2]);
  });

  test("is entered at the start, before ready", async () => {
    await sale.rows(MOVES[2][1]);
    await prepareDatabase(sale.url, 5000);
    expect(await epochs()).toEqual([1, 2]);
  });
});

describe("after a restore into a cluster that has had fewer transactions", () => {
  /** A seat given back long ago, by a transaction whose number the new cluster will not reach for years. */
  async function seatFromBefore(): Promise<number> {
    const seatId = await sale.addSeat();
    await sale.rows("update seats set last_epoch = 1, last_txid = '9000000000' where id = $1", [seatId]);
    return seatId;
  }

  test("a seat is blocked without a new epoch", async () => {
    const seatId = await seatFromBefore();
    expect((await reserveOne(await sale.session(), seatId, 0)).verdict).toBe("contended");
  });

  test("sales go on in the new epoch, and the ledger says which", async () => {
    const seatId = await seatFromBefore();
    await sale.rows(MOVES[0][1]);
    await enterEpoch(drizzle(await sale.session()));
    expect((await reserveOne(await sale.session(), seatId, 0)).verdict).toBe("won");
    expect(await sale.ledger(seatId)).toMatchObject([{ epoch: 2, version: 1 }]);
    await expectSound(sale.url);
  });
});
