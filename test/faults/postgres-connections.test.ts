import { beforeAll, describe, test } from "bun:test";
import { Client } from "pg";
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
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { expectOneEffect, openOrders } from "./keyed-orders.ts";
import { sized } from "./sizes.ts";
import { addSeats, expectAway, expectTruth } from "./truth.ts";

// Row 10 of README.md: Postgres has no connection left for the engine.

const found = await partOrSkip("postgres-tools", findPostgresTools);

const SEATS = 50_000;
const BUYERS = 12;
const SHOPS = 3;
const BUSY_PAUSE_MS = 20;
const SALES = sized(200, 5000);
const MAX_CONNECTIONS = 40;
/** The engine is an ordinary user, for whom limits hold. */
const SELLER = "seller";

describe.skipIf(!found)("an engine that Postgres refuses connections", () => {
  const stack = useStack();
  let postgres: PostgresCluster;
  let engine: Engine;
  let facts: Facts;
  let till: Till;
  const seats = seatsFrom(1, SEATS);
  const nextSeat = () => seats.next().value ?? 0;

  beforeAll(async () => {
    postgres = await startPostgresCluster(stack, { settings: { max_connections: String(MAX_CONNECTIONS) } });
    facts = await openFacts(stack, postgres.url);
    await facts.query(`create role ${SELLER} login`);
    await facts.query(`alter database sentinel owner to ${SELLER}`);
    await facts.query(`alter schema public owner to ${SELLER}`);
    const url = Object.assign(new URL(postgres.url), { username: SELLER }).href;
    engine = await openEngine(stack, { DATABASE_URL: url, RESERVATION_WORKERS: "1", ...UNLIMITED });
    till = tillAt(engine.url);
    await addSeats(facts, SEATS);
  });

  const endSessions = () =>
    facts.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [SELLER]);

  /** Sells, has the connections taken, sells again once they are given back; then all that was told is true. */
  const expectKept = async (take: () => Promise<void>, giveBack: () => Promise<void>) => {
    const sale = openSale(engine.url, seats, BUYERS, BUSY_PAUSE_MS);
    const orders = openOrders(till, nextSeat, SHOPS);
    await until(`${SALES} seats are sold`, () => sale.won() >= SALES);
    await take();
    try {
      await expectAway(engine.url, nextSeat);
    } finally {
      await giveBack();
    }
    await until(
      "the engine sells again, without a restart",
      async () => (await reserve(engine.url, nextSeat())).status === 201,
    );
    const wonAway = sale.won();
    await until(`${SALES} more seats are sold`, () => sale.won() >= wonAway + SALES);
    const [answers, sent] = await Promise.all([sale.stop(), orders.stop()]);
    await expectTruth(facts, answers);
    await expectOneEffect(till, facts, sent);
  };

  test("since others have all there are: 503 soon and at once, then it sells on and kept all", async () => {
    const others: Client[] = [];
    await expectKept(
      async () => {
        // A refused client asks again, until the engine has none.
        await until("others have every connection", async () => {
          await endSessions();
          while (others.length < MAX_CONNECTIONS) {
            const other = new Client({ connectionString: postgres.url });
            other.on("error", () => undefined);
            if (
              !(await other.connect().then(
                () => true,
                () => false,
              ))
            )
              break;
            others.push(other);
          }
          const left = await facts.query("select from pg_stat_activity where usename = $1", [SELLER]);
          return left.length === 0;
        });
      },
      async () => {
        await Promise.all(others.map((other) => other.end()));
      },
    );
  });

  test("since its role may have no more: 503 soon and at once, then it sells on and kept all", async () => {
    await expectKept(
      async () => {
        await facts.query(`alter role ${SELLER} connection limit 0`);
        await endSessions();
      },
      async () => {
        await facts.query(`alter role ${SELLER} connection limit -1`);
      },
    );
  });
});
