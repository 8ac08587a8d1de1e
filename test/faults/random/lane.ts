import { join } from "node:path";
import type { EventPlace } from "../../engine/events.ts";
import { type Headed, openTheatre, type Theatre, UNLIMITED } from "../../engine/reservations.ts";
import { type Engine, startEngine } from "../../fixtures/engine.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { type KafkaBroker, startKafka } from "../../fixtures/kafka.ts";
import { type Redis, startRedis } from "../../fixtures/redis.ts";
import { openFolder } from "../../fixtures/temp-dir.ts";
import type { ToxicLink, ToxiproxyServer } from "../../fixtures/toxiproxy.ts";
import { until } from "../../fixtures/until.ts";
import { ENGINES, SEATS } from "./plan.ts";

export const HOLD_TTL_SECONDS = 1;

/** Short, so that what hangs is given up within a seed. */
const LIMITS = { STATEMENT_TIMEOUT_MS: "500" };

/** One engine and its links, each to be broken by itself. */
interface Machine {
  /** The same address whatever becomes of the process. */
  clients: ToxicLink;
  postgres: ToxicLink;
  redis: ToxicLink;
  engine: Engine;
  kill(): Promise<void>;
  /** Waits until the engine is ready: another one, where it was killed. Only when its links are well, as it needs them to start. */
  back(): Promise<void>;
}

/** Two engines on one database, with their own Redis, where one seed runs after another. */
export interface Lane {
  theatre: Theatre;
  headers: Headed;
  machines: Machine[];
  redis: Redis;
  replaceRedis(): Promise<void>;
  kafka: { broker: KafkaBroker; link: ToxicLink } | undefined;
  events: EventPlace;
  /** Seats that nobody has asked for yet. */
  freshSeats(isFinal: boolean): number[];
}

interface Parts {
  toxiproxy: ToxiproxyServer;
  withKafka: boolean;
  /** Seeds of either kind that the lane has seats for. */
  seedCount: number;
}

export async function openLane(
  stack: AsyncDisposableStack,
  { toxiproxy, withKafka, seedCount }: Parts,
): Promise<Lane> {
  const theatre = await openTheatre(stack);
  const more = { holdTtlSeconds: HOLD_TTL_SECONDS, holdLimitSeconds: 86_400, reservationLimitSeats: 20 };
  const house = { rows: seedCount, seatsPerRow: SEATS };
  const open = await theatre.addEvent({ ...house, more: { ...more, cancellable: true } });
  const final = await theatre.addEvent({ ...house, more: { ...more, cancellable: false } });
  const headers = await theatre.key("seller");
  const dataDir = await openFolder(stack, "lane");
  let redis = await startRedis();
  let replaced = Promise.resolve();
  stack.defer(() => redis.stop());
  const kafka = withKafka ? await openKafka(stack, toxiproxy) : undefined;

  const env = {
    ...{ DATA_DIR: dataDir, RESERVATION_WORKERS: "1", BATCHES_PER_WORKER: "2", LOG_LEVEL: "warn" },
    ...{ ...LIMITS, ...UNLIMITED, ...(kafka && { KAFKA_BROKERS: kafka.brokers }) },
  };
  const servers = { databaseUrl: theatre.databaseUrl, redisUrl: redis.url };
  const machines = await Promise.all(
    Array.from({ length: ENGINES }, () => openMachine(stack, toxiproxy, servers, env)),
  );
  const fresh = { open: open.seats.values(), final: final.seats.values() };
  return {
    ...{ theatre, headers, machines, kafka },
    get redis() {
      return redis;
    },
    replaceRedis: () => {
      // One after another: two faults of a seed may kill Redis at the same moment, and only one server can have the port.
      replaced = replaced.then(async () => {
        await redis.stop();
        redis = await startRedis(redis.port);
      });
      return replaced;
    },
    events: kafka ? { brokers: kafka.brokers } : { file: join(dataDir, "booking-events.jsonl") },
    freshSeats: (isFinal) => {
      const seats = [...(isFinal ? fresh.final : fresh.open).take(SEATS)];
      if (seats.length < SEATS) throw new Error("the lane has no seats left");
      return seats;
    },
  };
}

async function openMachine(
  stack: AsyncDisposableStack,
  toxiproxy: ToxiproxyServer,
  servers: { databaseUrl: string; redisUrl: string },
  shared: Record<string, string>,
): Promise<Machine> {
  const postgres = await toxiproxy.link(servers.databaseUrl);
  const redis = await toxiproxy.link(servers.redisUrl);
  const port = String(await freePort());
  const env = { ...shared, DATABASE_URL: postgres.url, REDIS_URL: redis.url, PORT: port };
  let engine = await startEngine(env);
  stack.defer(async () => void (await engine.stop("SIGKILL")));
  const clients = await toxiproxy.link(engine.url);
  return {
    ...{ clients, postgres, redis },
    get engine() {
      return engine;
    },
    kill: () => engine.kill(),
    back: async () => {
      if (engine.exitCode() !== undefined) engine = await startEngine(env);
      await until("the engine is ready again", () => isReady(engine));
    },
  };
}

/** A broker whose clients, told where it is by itself, are told of the link. */
async function openKafka(stack: AsyncDisposableStack, toxiproxy: ToxiproxyServer) {
  const port = await freePort();
  const link = await toxiproxy.link(`tcp://127.0.0.1:${port}`);
  const broker = await startKafka(port, link.port);
  stack.defer(broker.stop);
  return { broker, link, brokers: `127.0.0.1:${link.port}` };
}

async function isReady({ url }: Engine): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`, { keepalive: false, signal: AbortSignal.timeout(1000) });
  await answer.body?.cancel();
  return answer.status === 200;
}
