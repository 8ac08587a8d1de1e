import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { bodyOf, openSale, reserve, seatsFrom } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { type Till, tillAt, tokenOf, UNLIMITED } from "../engine/reservations.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import {
  findPostgresTools,
  type PostgresCluster,
  query,
  startPostgresCluster,
} from "../fixtures/postgres-cluster.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { expectOneEffect, openOrders } from "./keyed-orders.ts";
import { sized } from "./sizes.ts";
import { addSeats, expectAway, expectBusy, expectTruth } from "./truth.ts";

// Row 10 of README.md: failover to a promoted standby with synchronous replication, and standbys that hang or
// are gone.

const found = await partOrSkip("postgres-tools", findPostgresTools);

const SEATS = 20_000;
const BUYERS = 12;
const SHOPS = 3;
const BUSY_PAUSE_MS = 20;
const WAIT = { deadlineMs: 30_000 };
const SALES = sized(200, 5000);
const ORDERS = sized(10, 500);
const STANDBY = "standby";

describe.skipIf(!found)("an engine whose Postgres has a synchronous standby", () => {
  const stack = useStack();
  /** The address that the engine knows; it moves with a failover. */
  let address: Network;
  let primary: PostgresCluster;
  let standby: PostgresCluster;
  let engine: Engine;
  let till: Till;
  let facts: Facts;
  let eventsFile: string;
  const seats = seatsFrom(1, SEATS);
  const nextSeat = () => seats.next().value ?? 0;

  beforeAll(async () => {
    primary = await startPostgresCluster(stack);
    // It does not even warn of a wait that was ended, unless a session wants it to.
    await query(primary.url, "alter database sentinel set client_min_messages = error");
    address = await startProxy(primary.url);
    stack.defer(address.stop);
    const dataDir = await openFolder(stack, "failover");
    eventsFile = join(dataDir, "booking-events.jsonl");
    engine = await openEngine(stack, {
      ...{ DATABASE_URL: address.url, DATA_DIR: dataDir, RESERVATION_WORKERS: "1", ...UNLIMITED },
    });
    till = tillAt(engine.url);
    facts = await openFacts(stack, primary.url);
    await addSeats(facts, SEATS);
  });
  // Each test has a standby of its own: some of them are gone afterwards.
  beforeEach(async () => {
    if (standby !== primary) await standby?.stop();
    standby = await primary.addStandby(STANDBY);
    await primary.set({ synchronous_standby_names: STANDBY });
    await until("the standby follows", async () => (await standbys()).includes("sync"));
    await sellsAgain();
  });

  const standbys = async () =>
    (await facts.query<{ state: string }>("select sync_state as state from pg_stat_replication")).map(
      ({ state }) => state,
    );
  /** The primary is gone; the standby takes its place, and its address. */
  const failOver = async () => {
    await standby.set({ synchronous_standby_names: "" });
    await standby.promote();
    address.moveTo(standby.url);
    facts = await openFacts(stack, standby.url);
    primary = standby;
  };
  const loseStandby = async () => {
    await standby.kill();
    await until("the primary knows that its standby is gone", async () => (await standbys()).length === 0);
  };
  const status = async (path: string) => (await fetch(engine.url + path)).status;
  const sellsAgain = () =>
    until(
      "the engine sells again, without a restart",
      async () => (await reserve(engine.url, nextSeat())).status === 201,
    );
  const isNotReady = () => until("it is not ready", async () => (await status("/health/ready")) === 503);
  const newestEpoch = async () =>
    (await facts.query<{ epoch: number }>("select max(epoch) as epoch from ledger_epochs"))[0]?.epoch ?? 0;
  const expectEverythingPublished = async () => {
    await facts.allPublished(WAIT.deadlineMs);
    const { length } = await facts.ledger();
    await expectPublished(facts, await readEvents({ file: eventsFile }, { ...WAIT, atLeast: length }));
  };
  /** Sessions of the engine whose change is committed here and waits for the standby. */
  const waiting = async () =>
    (
      await facts.query<{ pid: number }>(
        "select pid from pg_stat_activity where wait_event = 'SyncRep' and query like '%as materialized%'",
      )
    ).map(({ pid }) => pid);
  /**
   * The standby is gone; two sales and the confirmation of a hold are committed and wait for it, each in a session of
   * its own. Soon the engine sells no more: on a machine too busy for that moment, it is tried again.
   */
  const sellUnheard = () =>
    untilWithin(2 * WAIT.deadlineMs, "changes wait for a standby that is gone", async () => {
      const held = await till.hold({ seatIds: [nextSeat()] });
      expect(held.status).toBe(201);
      await loseStandby();
      const pids: number[] = [];
      const sent = async <Sent>(answer: Promise<Sent>) => {
        const pid = await untilWithin(1000, "a change waits for the standby", async () =>
          (await waiting()).find((each) => !pids.includes(each)),
        );
        pids.push(pid);
        return { pid, answer };
      };
      const [cancelledId, endedId] = [nextSeat(), nextSeat()];
      try {
        const cancelled = await sent(reserve(engine.url, cancelledId));
        const ended = await sent(reserve(engine.url, endedId));
        const confirmed = await sent(till.act("confirm", held.body, tokenOf(held.body)));
        return { cancelled, ended, confirmed, held: held.body, seatIds: [cancelledId, endedId] };
      } catch (error) {
        await standby.start();
        await sellsAgain();
        throw error;
      }
    });
  const areReserved = (seatIds: number[]) =>
    until("everybody sees the seats as reserved", async () => {
      const rows = await facts.seats();
      return seatIds.every((id) => rows.get(id)?.status === "reserved");
    });

  test("that hangs: 503 within a bound and then at once, not ready, then it sells on and kept all", async () => {
    const sale = openSale(engine.url, seats, BUYERS, BUSY_PAUSE_MS);
    const orders = openOrders(till, nextSeat, SHOPS);
    await until(`${SALES} seats are sold`, () => sale.won() >= SALES);
    await standby.pause();
    await expectAway(engine.url, nextSeat);
    standby.resume();
    await sellsAgain();
    const [answers, sent] = await Promise.all([sale.stop(), orders.stop()]);
    await expectTruth(facts, answers);
    await expectOneEffect(till, facts, sent);
    await expectEverythingPublished();
  });

  test("that is gone when the primary crashes: what nobody but the primary has is not told, and given back", async () => {
    const { cancelled, ended, confirmed, seatIds } = await sellUnheard();
    await primary.kill();
    await primary.start();
    facts = await openFacts(stack, primary.url);
    await areReserved(seatIds);
    const answers = await Promise.all([cancelled.answer, ended.answer]);
    for (const answer of answers) expectBusy(answer);
    expect((await confirmed.answer).status).toBe(503);
    await standby.start();
    await sellsAgain();
    await expectTruth(facts, answers);
    await expectEverythingPublished();
  });

  test("that is gone: no commit is told whose wait somebody has ended, and a failover then loses nothing", async () => {
    const { cancelled, ended, confirmed, held, seatIds } = await sellUnheard();
    await facts.query("select pg_cancel_backend($1)", [cancelled.pid]);
    await facts.query("select pg_terminate_backend(pid) from unnest($1::int[]) as pid", [
      [ended.pid, confirmed.pid],
    ]);
    await areReserved([...seatIds, ...held.seats.map(({ seatId }) => seatId)]);
    for (const answer of await Promise.all([cancelled.answer, ended.answer])) expectBusy(answer);
    expect((await confirmed.answer).status).toBe(503);

    await primary.kill();
    await standby.start();
    await failOver();
    await sellsAgain();
    // The engine may be settling what it doubted for a moment longer.
    for (const seatId of seatIds) {
      const sold = await until("a seat that was lost in the failover is sold", async () => {
        const again = await reserve(engine.url, seatId);
        return again.status === 201 && again;
      });
      expect(bodyOf(sold).version).toBe(1);
    }
    expect((await till.act("confirm", held, tokenOf(held))).status).toBe(200);
    await facts.expectSound();
    await expectEverythingPublished();
  });

  test("that is promoted under load: nothing answered is lost, every key has one effect, publishing goes on, and the old primary sells no more", async () => {
    const old = primary;
    const epoch = await newestEpoch();
    const sale = openSale(engine.url, seats, BUYERS, BUSY_PAUSE_MS);
    const orders = openOrders(till, nextSeat, SHOPS);
    const sellOn = async () => {
      const [won, confirmed] = [sale.won() + SALES, orders.confirmedCount() + ORDERS];
      await until(
        `${SALES} more seats and ${ORDERS} more orders are sold`,
        () => sale.won() >= won && orders.confirmedCount() >= confirmed,
      );
    };
    await sellOn();
    await old.kill();
    await isNotReady();
    await failOver();
    await sellOn();
    const [answers, sent] = await Promise.all([sale.stop(), orders.stop()]);
    await expectTruth(facts, answers);
    await expectOneEffect(till, facts, sent);
    expect(await newestEpoch()).toBe(epoch + 1);
    await expectEverythingPublished();

    // It comes back and believes to be the primary still; by mistake it even has the address.
    await old.start();
    address.moveTo(old.url);
    await isNotReady();
    const zombie = await openFacts(stack, old.url);
    const ledgerBefore = await zombie.ledger();
    for (let asked = 0; asked < 20; asked++) expectBusy(await reserve(engine.url, nextSeat()));
    expect(await zombie.ledger()).toEqual(ledgerBefore);
    address.moveTo(standby.url);
    await sellsAgain();
    await expectEverythingPublished();
  });
});
