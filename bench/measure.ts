import { until } from "../test/support/until.ts";
import { cpuMicroseconds, residentBytes } from "./cpu.ts";
import { type LoadResult, runLoad } from "./load.ts";
import type { Scenario, ServerName } from "./options.ts";
import type { Parts } from "./parts.ts";
import type { Sale, Server } from "./servers.ts";

const PUBLISH_DEADLINE_MS = 60_000;

/**
 * Sold before the first measurement; every measurement of rejections asks for these. More than there are
 * connections, so that a seat is hardly ever asked for twice at once: on 200 seats the baseline's locks
 * refused most requests before its database was asked.
 */
const SOLD = { firstSeatId: 1, lastSeatId: 2_000 };
const SELLERS = 50;
const WARM_UP_SECONDS = 1;
const WARM_UP_CONNECTIONS = 50;

export type CpuByPart = Record<"server" | "postgres" | "redis" | "kafka" | "load", number>;

/** One server under one load for one round. */
export interface Measurement {
  /** `constant` for the servers that only ever answer one thing. */
  scenario: Scenario | "constant";
  server: ServerName;
  connections: number;
  round: number;
  /** Accepted, rejected or constant answers in a second. */
  perSecond: number;
  answers: number;
  /** Answers other than the scenario's: in `accepted` those of 400 and above. */
  others: number;
  lost: number;
  p50Ms: number;
  p99Ms: number;
  residentBytes: number;
  /** Until everything accepted was in the topic, from the end of the load; for `accepted` only. */
  publishedAfterSeconds: number | undefined;
  /** CPU microseconds for one answer that counts. */
  cpuMicroseconds: CpuByPart;
}

/** Lets the JIT, the pools and the caches settle, and sells the seats that are asked for again later. */
export async function warmUp(server: Server): Promise<void> {
  const { sale } = server;
  const load = { url: server.url, connections: WARM_UP_CONNECTIONS, seconds: WARM_UP_SECONDS };
  const result = await runLoad({ ...load, ...seatsAhead(sale) });
  if (!sale) return;
  sale.nextSeatId += result.answers + WARM_UP_CONNECTIONS + 1;

  await sell(server.url, SOLD);
  const { statuses } = await runLoad({ ...load, ...SOLD, countStatuses: true });
  if (Object.keys(statuses).join() !== "409") {
    throw new Error(`${server.name} answers sold seats with other than 409: ${JSON.stringify(statuses)}`);
  }
  await everythingPublished(server, sale);
  sale.soldAtWarmUp = await sale.database.ledgerRows();
}

/** Exactly these seats, each asked for once: wrk tries its script out first, and drops those ids. */
async function sell(url: string, { firstSeatId, lastSeatId }: typeof SOLD): Promise<void> {
  let next = firstSeatId;
  const seller = async () => {
    while (next <= lastSeatId) {
      const seatId = next++;
      const answer = await fetch(`${url}/api/v1/bookings/reserve/${seatId}`, { method: "POST" });
      await answer.body?.cancel();
      if (answer.status !== 201)
        throw new Error(`seat ${seatId} was free, yet the answer is ${answer.status}`);
    }
  };
  await Promise.all(Array.from({ length: SELLERS }, seller));
}

interface Load {
  connections: number;
  seconds: number;
  round: number;
}

export async function measureAccepted(
  server: Server,
  sale: Sale,
  parts: Parts,
  load: Load,
): Promise<Measurement> {
  const publishedBefore = await sale.published?.();
  const cpuBefore = cpuByPart(server, parts);
  const result = await runLoad({ ...load, url: server.url, ...seatsAhead(sale) });
  const endedAt = performance.now();
  sale.nextSeatId += result.answers + load.connections + 1;
  if (sale.nextSeatId > sale.seatCount) throw new Error(`${server.name} ran out of free seats`);

  const accepted = result.answers - result.refused;
  let publishedAfterSeconds: number | undefined;
  if (sale.published && publishedBefore !== undefined) {
    const { published } = sale;
    await until(async () => (await published()) >= publishedBefore + accepted, {
      deadlineMs: PUBLISH_DEADLINE_MS,
      what: `everything that ${server.name} accepted is published`,
    });
    publishedAfterSeconds = (performance.now() - endedAt) / 1000;
  }
  // What publishing cost is part of what an accepted seat costs, so the CPU is read after it.
  const cpu = cpuSince(cpuBefore, server, parts, result);
  await everythingPublished(server, sale);
  return {
    ...{ scenario: "accepted", server: server.name, ...measured(load, result, accepted) },
    ...{ others: result.refused, residentBytes: residentBytes(server.pid), publishedAfterSeconds },
    cpuMicroseconds: perAnswer(cpu, accepted),
  };
}

/** For a server that sells: seats sold long ago. For a constant one it is all the same. */
export async function measureRefused(server: Server, parts: Parts, load: Load): Promise<Measurement> {
  const cpuBefore = cpuByPart(server, parts);
  const result = await runLoad({ ...load, url: server.url, ...SOLD });
  const cpu = cpuSince(cpuBefore, server, parts, result);
  return {
    scenario: server.sale ? "rejected" : "constant",
    ...{ server: server.name, ...measured(load, result, result.refused) },
    ...{ others: result.answers - result.refused, residentBytes: residentBytes(server.pid) },
    ...{ publishedAfterSeconds: undefined, cpuMicroseconds: perAnswer(cpu, result.refused) },
  };
}

/**
 * Requests that were under way when the load ended are decided too, though nobody counts their answers:
 * the ledger is compared with the topic when both have stopped growing.
 */
async function everythingPublished(server: Server, sale: Sale): Promise<void> {
  const { published, database } = sale;
  if (!published) return;
  await until(async () => (await published()) === (await database.ledgerRows()), {
    deadlineMs: PUBLISH_DEADLINE_MS,
    what: `the topic of ${server.name} has as many events as its ledger has rows`,
  });
}

const seatsAhead = (sale: Sale | undefined) => ({
  firstSeatId: sale?.nextSeatId ?? 1,
  lastSeatId: sale?.seatCount ?? 1_000_000,
});

const measured = ({ connections, round }: Load, result: LoadResult, counted: number) => ({
  ...{ connections, round, perSecond: (counted * 1000) / result.durationMs },
  ...{ answers: result.answers, lost: result.lost, p50Ms: result.p50Ms, p99Ms: result.p99Ms },
});

const cpuByPart = (server: Server, { postgres, redis, kafka }: Parts): CpuByPart => ({
  server: cpuMicroseconds(server.pid),
  postgres: cpuMicroseconds(postgres.pid),
  redis: cpuMicroseconds(redis.pid),
  kafka: kafka ? cpuMicroseconds(kafka.pid) : Number.NaN,
  load: 0,
});

function cpuSince(before: CpuByPart, server: Server, parts: Parts, result: LoadResult): CpuByPart {
  const now = { ...cpuByPart(server, parts), load: result.cpuMicroseconds };
  return mapParts((part) => now[part] - before[part]);
}

const perAnswer = (cpu: CpuByPart, answers: number) => mapParts((part) => cpu[part] / answers);

export const mapParts = (figure: (part: keyof CpuByPart) => number): CpuByPart => ({
  server: figure("server"),
  postgres: figure("postgres"),
  redis: figure("redis"),
  kafka: figure("kafka"),
  load: figure("load"),
});
