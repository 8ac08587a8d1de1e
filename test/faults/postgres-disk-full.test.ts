import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openSale, reserve, seatsFrom } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { type Till, tillAt, UNLIMITED } from "../engine/reservations.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import {
  findPostgresTools,
  type PostgresCluster,
  startPostgresCluster,
} from "../fixtures/postgres-cluster.ts";
import { findSmallDisks, openSmallDisks, type SmallDisk } from "../fixtures/small-disk.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { expectOneEffect, openOrders } from "./keyed-orders.ts";
import { sized } from "./sizes.ts";
import { addSeats, expectAway, expectBusy, expectTruth } from "./truth.ts";

// Row 10 of README.md: Postgres has no byte left, for its tables or for its write-ahead log.

const tools = await partOrSkip("postgres-tools", findPostgresTools);
const disksFound = await partOrSkip("small-disks", findSmallDisks);

const SEATS = 20_000;
const BUYERS = 12;
const SHOPS = 3;
const BUSY_PAUSE_MS = 20;
const SALES = sized(200, 2000);
const DATA_DISK_MB = 192;
const WAL_DISK_MB = 64;
/** Refusals in a row after which the disk counts as full: there is some room within tables. */
const REFUSED_IN_A_ROW = 20;

describe.skipIf(!tools || !disksFound)("an engine whose Postgres has a full disk", () => {
  const stack = useStack();
  let dataDisk: SmallDisk;
  let walDisk: SmallDisk;
  let postgres: PostgresCluster;
  let engine: Engine;
  let facts: Facts;
  let till: Till;
  const seats = seatsFrom(1, SEATS);
  const nextSeat = () => seats.next().value ?? 0;

  beforeAll(async () => {
    const [data, wal] = await openSmallDisks(stack, [DATA_DISK_MB, WAL_DISK_MB]);
    if (!data || !wal) throw new Error("two disks were asked for");
    [dataDisk, walDisk] = [data, wal];
    postgres = await startPostgresCluster(stack, {
      place: { folder: join(data.path, "data"), walFolder: join(wal.path, "wal"), inside: data.inside },
      settings: { min_wal_size: "4MB", max_wal_size: "16MB", autovacuum: "off" },
    });
    engine = await openEngine(stack, {
      ...{ DATABASE_URL: postgres.url, RESERVATION_WORKERS: "1", ...UNLIMITED },
    });
    till = tillAt(engine.url);
    facts = await openFacts(stack, postgres.url);
    await addSeats(facts, SEATS);
  });

  const load = () => {
    const sale = openSale(engine.url, seats, BUYERS, BUSY_PAUSE_MS);
    const orders = openOrders(till, nextSeat, SHOPS);
    const sellOn = async () => {
      const won = sale.won() + SALES;
      await until(`${SALES} more seats are sold`, () => sale.won() >= won);
    };
    const expectKept = async () => {
      const [answers, sent] = await Promise.all([sale.stop(), orders.stop()]);
      await expectTruth(facts, answers);
      await expectOneEffect(till, facts, sent);
    };
    return { sale, sellOn, expectKept };
  };

  test("for its tables: 503 at once, and it sells on by itself when there is room", async () => {
    const { sellOn, expectKept } = load();
    await sellOn();
    await dataDisk.fill();
    let refused = 0;
    await until("nothing more can be sold", async () => {
      const answer = await reserve(engine.url, nextSeat());
      if (answer.status !== 201) expectBusy(answer);
      refused = answer.status === 201 ? 0 : refused + 1;
      return refused === REFUSED_IN_A_ROW;
    });
    await dataDisk.free();
    await sellOn();
    await expectKept();
  });

  test("for its write-ahead log, which ends it: 503 at once, and it sells on when an operator has made room and started it", async () => {
    const { sellOn, expectKept } = load();
    await sellOn();
    await walDisk.fill();
    await until("Postgres gives up", () => !postgres.isRunning());
    expect(postgres.output()).toContain("No space left on device");
    await expectAway(engine.url, nextSeat);
    await walDisk.free();
    await postgres.start();
    facts = await openFacts(stack, postgres.url);
    await sellOn();
    await expectKept();
  });
});
