import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { bodyOf, openSale, reserve, seatsFrom } from "../engine/buyers.ts";
import { runEngine } from "../engine/command.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { type EventPlace, readEvents, type SeatEvent } from "../engine/events.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { tillAt, UNLIMITED } from "../engine/reservations.ts";
import { findKafka, startKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import {
  findPostgresTools,
  giveToPostgres,
  type PostgresCluster,
  query,
  runTool,
  startPostgresCluster,
} from "../fixtures/postgres-cluster.ts";
import { useStack } from "../fixtures/stack.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { expectOneEffect, openOrders } from "./keyed-orders.ts";
import { sized } from "./sizes.ts";
import { addSeats } from "./truth.ts";

// The drill of README.md, "Backup and restore": its steps, with its commands.

const tools = await partOrSkip("postgres-tools", findPostgresTools);
const kafkaFound = await partOrSkip("kafka", findKafka);

const SEATS = 20_000;
const BUYERS = 8;
const SHOPS = 2;
const WAIT = { deadlineMs: 40_000 };
const SALES = sized(200, 5000);
const ORDERS = sized(10, 500);

describe.skipIf(!tools)("a backup", () => {
  const stack = useStack();
  let env: Record<string, string>;
  let place: EventPlace;
  let dumps: string;
  let cluster: PostgresCluster;
  let engine: Engine;
  let facts: Facts;
  /** What the ledgers said that were lost. */
  const beyond: LedgerTexts = new Map();
  const seats = seatsFrom(1, SEATS);
  const nextSeat = () => seats.next().value ?? 0;

  beforeAll(async () => {
    const [dataDir, dumpDir] = [await tempDir("drill"), await tempDir("dumps")];
    stack.defer(dataDir.remove);
    stack.defer(dumpDir.remove);
    await giveToPostgres(dumpDir.path);
    dumps = dumpDir.path;
    const kafka = kafkaFound ? await startKafka() : undefined;
    if (kafka) stack.defer(kafka.stop);
    place = kafka ? { brokers: kafka.brokers } : { file: join(dataDir.path, "booking-events.jsonl") };
    env = {
      ...{ DATA_DIR: dataDir.path, RESERVATION_WORKERS: "1", ...UNLIMITED },
      ...(kafka && { KAFKA_BROKERS: kafka.brokers }),
    };
    cluster = await startPostgresCluster(stack);
    await open(cluster.url);
    await addSeats(facts, SEATS);
  });

  const open = async (databaseUrl: string) => {
    engine = await openEngine(stack, { ...env, DATABASE_URL: databaseUrl });
    facts = await openFacts(stack, databaseUrl);
  };
  const dump = async (from: string): Promise<string> => {
    const file = join(dumps, crypto.randomUUID());
    await runTool(cluster.tools, "pg_dump", ["--format=custom", `--file=${file}`, from]);
    return file;
  };
  const restore = (file: string, to: string) =>
    runTool(cluster.tools, "pg_restore", ["--exit-on-error", "--no-owner", `--dbname=${to}`, file]);
  const load = () => {
    const till = tillAt(engine.url);
    const sale = openSale(engine.url, seats, BUYERS);
    const orders = openOrders(till, nextSeat, SHOPS);
    const sellOn = async () => {
      const [won, confirmed] = [sale.won() + SALES, orders.confirmedCount() + ORDERS];
      await until(
        `${SALES} more seats and ${ORDERS} more orders are sold`,
        () => sale.won() >= won && orders.confirmedCount() >= confirmed,
      );
    };
    const stop = () => Promise.all([sale.stop(), orders.stop()]);
    return { sale, orders, sellOn, stop };
  };
  const epochs = async () =>
    (await facts.query<{ epoch: number }>("select epoch from ledger_epochs order by epoch")).map(
      ({ epoch }) => epoch,
    );

  /**
   * Every row of the restored ledger is published, under an identity that stands for nothing else; what else was
   * published is what the database had beyond its backup.
   * @returns how many those are.
   */
  const expectPublishedOnce = async (): Promise<number> => {
    await facts.allPublished(WAIT.deadlineMs);
    const ledger = await textsOf(facts);
    const events = await readEvents(place, { ...WAIT, atLeast: ledger.size });
    const published = new Map<string, string>();
    const faults: string[] = [];
    for (const event of events) {
      const { identity, text } = textOf(event);
      if ((published.get(identity) ?? text) !== text) faults.push(`${identity} stands for two events`);
      published.set(identity, text);
      const known = ledger.get(identity) ?? beyond.get(identity);
      if (known !== text) faults.push(`${identity} is ${text} there and ${known} in the ledger`);
    }
    for (const identity of ledger.keys())
      if (!published.has(identity)) faults.push(`${identity} was skipped`);
    expect(faults).toEqual([]);
    return published.size - ledger.size;
  };
  const expectVerified = async () => {
    const { stdout, exitCode } = await runEngine({ ...env, DATABASE_URL: cluster.url }, { args: ["verify"] });
    expect([exitCode, stdout]).toEqual([0, expect.any(String)]);
  };

  test("that was dumped under load goes on in another cluster: nothing is skipped in publishing, and nothing stands for two events", async () => {
    const { sellOn, stop, sale, orders } = load();
    await sellOn();
    const [answeredBefore, orderedBefore] = [sale.answers.length, orders.orders.length];
    const file = await dump(cluster.url);
    await sellOn();
    const [answers, sent] = await stop();
    await facts.allPublished(WAIT.deadlineMs);
    for (const [identity, text] of await textsOf(facts)) beyond.set(identity, text);
    await engine.stop();
    await cluster.kill();

    const other = await startPostgresCluster(stack);
    await restore(file, other.url);
    cluster = other;
    await open(other.url);
    expect(await epochs()).toEqual([1, 2]);
    const sold = await facts.seats();
    for (const answer of answers.slice(0, answeredBefore)) {
      const { seatId, reservationId } = bodyOf(answer);
      expect(sold.get(seatId)).toMatchObject({ status: "reserved", reservationId });
    }
    await expectOneEffect(tillAt(engine.url), facts, sent.slice(0, orderedBefore));

    const lost = [...sold.values()].filter(
      ({ id, status }) => status === "available" && beyond.has(`/sentinel/epochs/1 ${id}:1`),
    );
    expect(lost.length).toBeGreaterThan(0);
    for (const { id } of lost.slice(0, SALES)) {
      const again = await reserve(engine.url, id);
      expect([again.status, bodyOf(again).version]).toEqual([201, 1]);
    }
    const again = load();
    await again.sellOn();
    await again.stop();
    await facts.expectSound();
    expect(await expectPublishedOnce()).toBeGreaterThanOrEqual(lost.length);
    await expectVerified();
  });

  test("that is restored where it was taken begins an epoch of its own, so that nothing stands for two events there either", async () => {
    const file = await dump(cluster.url);
    const soldSince = Array.from({ length: SALES }, nextSeat);
    for (const seatId of soldSince) expect((await reserve(engine.url, seatId)).status).toBe(201);
    await facts.allPublished(WAIT.deadlineMs);
    for (const [identity, text] of await textsOf(facts)) beyond.set(identity, text);
    await engine.stop();
    await query(cluster.url, "drop database sentinel with (force)", "postgres");
    await query(cluster.url, "create database sentinel", "postgres");
    await restore(file, cluster.url);

    await open(cluster.url);
    expect(await epochs()).toEqual([1, 2, 3]);
    for (const seatId of soldSince) {
      const again = await reserve(engine.url, seatId);
      expect([again.status, bodyOf(again).version]).toEqual([201, 1]);
    }
    await expectPublishedOnce();
    await expectVerified();
  });
});

type LedgerTexts = Map<string, string>;

function textOf({ headers: { ce_source: source, ce_id: id }, value }: SeatEvent) {
  return { identity: `${source} ${id}`, text: `${value.status} ${value.reservationId}` };
}

async function textsOf(facts: Facts): Promise<LedgerTexts> {
  return new Map(
    (await facts.ledger()).map((row) => [
      `/sentinel/epochs/${row.epoch} ${row.seatId}:${row.version}`,
      `${row.status} ${row.reservationId}`,
    ]),
  );
}
