import { beforeAll, describe, expect, test } from "bun:test";
import { THINK_MS } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import {
  type OnSale,
  openTheatre,
  type Theatre,
  tillAt,
  tokenOf,
  UNLIMITED,
} from "../engine/reservations.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { findKafka, type KafkaBroker, startKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { sized } from "./sizes.ts";

// Row 6 of README.md: a publisher killed between ack and cursor, two publishers, a zombie that wakes; on Kafka.

const found = await partOrSkip("kafka", findKafka);

const SHOPS = 6;
const CHANGES_OF_A_PHASE = sized(200, 20_000);
const WAIT = { deadlineMs: sized(40_000, 300_000) };
/** The statement that follows the acknowledgement. */
const CURSOR_MOVES = "update ledger_cursors";

/** An engine with a stop on its way to Postgres. */
interface WiredEngine extends Engine {
  wire: Network;
}

describe.skipIf(!found)("engines that publish to one Kafka", () => {
  const stack = useStack();
  let kafka: KafkaBroker;
  let theatre: Theatre;
  let house: OnSale;
  let next = 0;

  beforeAll(async () => {
    kafka = await startKafka();
    stack.defer(() => kafka.stop());
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 100, seatsPerRow: 200 });
  });

  const open = async (): Promise<WiredEngine> => {
    const wire = await startProxy(theatre.databaseUrl);
    stack.defer(wire.stop);
    const env = { DATABASE_URL: wire.url, KAFKA_BROKERS: kafka.brokers, ...UNLIMITED };
    return { ...(await openEngine(stack, env)), wire };
  };
  const isLeader = async ({ url }: Engine) =>
    (await readMetrics(url)).value("sentinel_publisher_active") === 1;
  const leads = (engine: Engine) => until("the engine publishes", () => isLeader(engine));

  /** Shops that change each seat four times, one seat after the other, so that the order of its events can be seen. */
  const openTrade = (url: string) => {
    const till = tillAt(url);
    const statuses: number[] = [];
    let stopped = false;
    const shop = async () => {
      while (!stopped) {
        const seatIds = [house.seats[next++] ?? 0];
        for (const last of ["release", "confirm"] as const) {
          const held = await till.hold({ seatIds });
          const { status } = await till.act(last, held.body, tokenOf(held.body));
          statuses.push(held.status, status);
        }
        await Bun.sleep(THINK_MS);
      }
    };
    const ended = Promise.all(Array.from({ length: SHOPS }, shop)).then(() => statuses);
    ended.catch(() => undefined);
    return {
      goesOn: async () => {
        const before = statuses.length;
        await until(
          `${CHANGES_OF_A_PHASE} more changes`,
          () => statuses.length >= before + CHANGES_OF_A_PHASE,
        );
      },
      /** Resolves when all have their answers, each of which must be a success. */
      stop: async () => {
        stopped = true;
        expect(new Set(await ended)).toEqual(new Set([201, 200]));
      },
    };
  };

  /** @returns how many events came more than once. */
  const expectEverythingPublished = async () => {
    await theatre.facts.allPublished(WAIT.deadlineMs);
    await theatre.expectSound();
    const atLeast = await theatre.ledgerRowCount();
    return expectPublished(theatre.facts, await readEvents({ brokers: kafka.brokers }, { ...WAIT, atLeast }));
  };

  let leader: WiredEngine;
  let follower: WiredEngine;

  test("one killed between ack and cursor: another takes over although its connection still stands, and repeats under the same identities", async () => {
    leader = await open();
    await leads(leader);
    follower = await open();
    const trade = openTrade(follower.url);
    await trade.goesOn();
    const held = await leader.wire.holdWhen(CURSOR_MOVES, "toServer");
    await leader.kill();
    await trade.goesOn();
    // Nobody has told Postgres that the leader is gone.
    await leads(follower);
    held.release();
    await trade.goesOn();
    await trade.stop();
    expect(await expectEverythingPublished()).toBeGreaterThan(0);
  });

  test("one that lost its session while it slept wakes as a zombie: it moves nothing, repeats at most, and follows", async () => {
    const sleeper = follower;
    const successor = await open();
    const trade = openTrade(successor.url);
    await trade.goesOn();
    const held = await sleeper.wire.holdWhen(CURSOR_MOVES, "toServer");
    process.kill(sleeper.pid, "SIGSTOP");
    try {
      await theatre.facts.query(
        `select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)
         where locktype = 'advisory' and application_name = 'sentinel-publisher' and datname = current_database()`,
      );
      await leads(successor);
      await trade.goesOn();
    } finally {
      process.kill(sleeper.pid, "SIGCONT");
    }
    held.release();
    await until("the zombie follows", async () => !(await isLeader(sleeper)));
    await trade.goesOn();
    await trade.stop();
    expect(await isLeader(successor)).toBe(true);
    await expectEverythingPublished();
  });
});
