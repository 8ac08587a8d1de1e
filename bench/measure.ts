import { untilWithin } from "../test/fixtures/until.ts";
import { cpuByThread, cpuMicroseconds } from "./cpu.ts";
import type { RateSample } from "./generator/task.ts";
import { type LoadResult, type LoadTask, runLoad } from "./load.ts";
import type { ServerName } from "./options.ts";
import type { Parts } from "./parts.ts";
import { Sampler } from "./sampler.ts";
import type { ScenarioName } from "./scenarios/names.ts";
import type { Sale, Server } from "./servers.ts";
import type { Comparable } from "./statistics.ts";

const PUBLISH_DEADLINE_MS = 60_000;

export const CPU_PARTS = ["server", "postgres", "redis", "kafka", "load"] as const;
export type CpuByPart = Record<(typeof CPU_PARTS)[number], number>;

/** The measured server and load, as the report names them. */
export interface Subject extends Pick<Comparable, "comparedWith" | "yardstick"> {
  /** `constant` for the bare servers, which are not a scenario of their own. */
  scenario: ScenarioName | "constant";
  server: ServerName;
  /** Distinguishes it from others of its scenario and server; "" if nothing does. */
  variant: string;
  round: number;
}

/** One server under one load for one round; NaN stands for what could not be measured. */
export interface Measurement extends Subject {
  connections: number;
  /** Rate of what counts: accepted, refused or constant responses, seats, maps. */
  perSecond: number;
  acceptedPerSecond: number;
  refusedPerSecond: number;
  /** Responses other than those that count. */
  others: number;
  lost: number;
  /** In an open loop: requests that started more than 10 ms late, and requests that never started; otherwise NaN. */
  late: number;
  notSent: number;
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
  residentBytes: number;
  /** CPU microseconds per response that counts. */
  cpu: CpuByPart;
  /** The server's own CPU time, by its threads. */
  cpuByThread: Record<string, number>;
  commitsPerAccepted: number;
  /** Mean size of the engine's batches, of the reserve route and of holds. */
  batchSeats: number;
  /** From the load's end until everything it accepted was in the topic. */
  ledgerLagSeconds: number;
  /** Values that only this scenario has; names end in their unit. */
  figures: Record<string, number>;
  samples: RateSample[];
  check: Check | undefined;
}

/** A server's sales under one load, seen from three sides. */
export interface Check {
  /** Ledger rows that the responses promise. */
  accepted: number;
  /** Rows that may exist on top: decided after a load had ended, without a reader of their responses. */
  uncountedLimit: number;
  ledgerRows: number;
  published: number | undefined;
  /** Other faults that were found, in words. */
  faults: string[];
}

/** Which of a load's responses count. */
export interface Counting {
  counts: "accepted" | "refused";
  /** Seats per response that counts. */
  seatsPerAnswer?: number;
  /** Ledger rows that the responses promise; none for requests that change no seat. */
  ledgerRows?: (result: LoadResult) => number;
}

/** Puts a load on the server and reports everything about it. All events are published when it returns. */
export async function measure(
  parts: Parts,
  server: Server,
  subject: Subject,
  task: LoadTask,
  { counts, seatsPerAnswer = 1, ledgerRows }: Counting,
): Promise<{ measurement: Measurement; result: LoadResult; residents: number[] }> {
  const { sale } = server;
  const countsBefore = await countsOf(sale);
  const before = await stateOf(parts, server);
  const sampler = await Sampler.start(server);
  const result = await runLoad(server.url, task);
  const endedAt = performance.now();
  const { samples, residents } = await sampler.stop();
  const promised = ledgerRows?.(result) ?? 0;
  let ledgerLagSeconds = Number.NaN;
  if (sale?.published && promised > 0) {
    await publishedUpTo(sale, countsBefore.published + promised);
    ledgerLagSeconds = (performance.now() - endedAt) / 1000;
  }
  // Publishing is part of the cost of an accepted seat, so the CPU time is read after it.
  const after = await stateOf(parts, server);
  const uncountedLimit = ledgerRows ? result.uncountedLimit * seatsPerAnswer : 0;
  const check = sale && (await compare(sale, countsBefore, promised, uncountedLimit));
  const counted = result[counts] * seatsPerAnswer;
  const perSecond = (answers: number) => (answers * 1000) / result.durationMs;
  return {
    ...{ result, residents },
    measurement: {
      ...{ ...subject, connections: task.connections, perSecond: perSecond(counted) },
      acceptedPerSecond: perSecond(server.sale ? result.accepted : 0),
      refusedPerSecond: perSecond(server.sale ? result.refused : 0),
      ...{ others: result.answers - result[counts], lost: result.lost },
      ...{ late: result.late, notSent: result.notSent },
      ...{ p50Ms: result.p50Ms, p99Ms: result.p99Ms, p999Ms: result.p999Ms, maxMs: result.maxMs },
      residentBytes: residents.reduce((highest, bytes) => Math.max(highest, bytes), 0),
      cpu: mapParts(
        (part) => (part === "load" ? result.cpuMicroseconds : after.cpu[part] - before.cpu[part]) / counted,
      ),
      cpuByThread: Object.fromEntries(
        Object.entries(after.threads).map(([thread, used]) => [
          thread,
          (used - (before.threads[thread] ?? 0)) / counted,
        ]),
      ),
      commitsPerAccepted:
        counts === "accepted" && promised > 0
          ? (after.transactions - before.transactions) / counted
          : Number.NaN,
      batchSeats: (after.batch.seats - before.batch.seats) / (after.batch.count - before.batch.count),
      ledgerLagSeconds,
      figures: {},
      samples: result.samples.length > 0 ? result.samples : samples,
      check,
    },
  };
}

interface State {
  cpu: CpuByPart;
  threads: Record<string, number>;
  transactions: number;
  batch: { seats: number; count: number };
}

async function stateOf(parts: Parts, { pid, sale, name, url }: Server): Promise<State> {
  return {
    ...{ cpu: cpuByPart(parts, pid), threads: cpuByThread(pid) },
    transactions: (await sale?.database.writingTransactions()) ?? Number.NaN,
    batch: name === "engine" ? await batchesOf(url) : { seats: Number.NaN, count: Number.NaN },
  };
}

interface Counts {
  ledgerRows: number;
  published: number;
}

/** Counting costs Postgres CPU time, so it never runs between the two readings of a load's cost. */
const countsOf = async (sale: Sale | undefined): Promise<Counts> => ({
  ledgerRows: (await sale?.database.ledgerRows()) ?? 0,
  published: (await sale?.published?.()) ?? 0,
});

async function publishedUpTo({ published }: Sale, count: number): Promise<void> {
  await untilWithin(
    PUBLISH_DEADLINE_MS,
    "everything accepted is published",
    async () => ((await published?.()) ?? count) >= count,
  ).catch(() => undefined);
}

/**
 * Waits until the ledger and the topic have both stopped growing, or will not agree. Requests that were
 * pending when the load ended are decided too, although nobody counts their responses.
 */
async function compare(sale: Sale, before: Counts, accepted: number, uncountedLimit: number): Promise<Check> {
  const { database, published } = sale;
  let ledgerRows = 0;
  let events: number | undefined;
  await untilWithin(PUBLISH_DEADLINE_MS, "as many events as ledger rows", async () => {
    ledgerRows = (await database.ledgerRows()) - before.ledgerRows;
    events = published && (await published()) - before.published;
    return events === undefined || events === ledgerRows;
  }).catch(() => undefined);
  return { accepted, uncountedLimit, ledgerRows, published: events, faults: [] };
}

/** Returns the seats and batches so far, of all kinds of batches, from the engine's metrics. */
async function batchesOf(url: string): Promise<State["batch"]> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const figure = (name: string) =>
    Number(new RegExp(`^sentinel_batch_seats_${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  return { seats: figure("sum"), count: figure("count") };
}

export const cpuByPart = ({ postgres, redis, kafka }: Parts, serverPid: number): CpuByPart => ({
  server: cpuMicroseconds(serverPid),
  postgres: cpuMicroseconds(postgres.pid),
  redis: cpuMicroseconds(redis.pid),
  kafka: kafka ? cpuMicroseconds(kafka.pid) : Number.NaN,
  load: 0,
});

export const mapParts = (figure: (part: keyof CpuByPart) => number): CpuByPart => ({
  server: figure("server"),
  postgres: figure("postgres"),
  redis: figure("redis"),
  kafka: figure("kafka"),
  load: figure("load"),
});
