import { parentPort, workerData } from "node:worker_threads";
import { drizzle } from "drizzle-orm/node-postgres";
import type {
  BatchAnswer,
  ReservationSettings,
  ReservationTask,
  ReserveResult,
  SeatAnswer,
  SettleResult,
} from "../src/dispatch/messages.ts";
import { openPool } from "../src/postgres/connect.ts";
import { faultOf } from "../src/postgres/faults.ts";
import { commitReservations, type SeatRequests, type SeatRow } from "../src/postgres/reserve.ts";
import { giveBack, settle } from "../src/postgres/settle.ts";
import { SeatLocks } from "../src/redis/seat-locks.ts";
import { createLog, FaultLog, messageOf } from "../src/telemetry/log.ts";
import { sampleThread } from "../src/telemetry/thread-sampler.ts";

const settings: ReservationSettings = workerData;
const log = createLog(settings.logLevel, "reservation");

const pool = openPool({ ...settings, name: "sentinel-reservation" }, (error) =>
  log.debug({ error: error.message }, "an idle database connection was lost"),
);
const refusals = new FaultLog(log, "the database refuses what it is asked");
const locks = new SeatLocks({
  redisUrls: settings.redisUrls,
  keyPrefix: settings.keyPrefix,
  ttlMs: settings.lockTtlMs,
  timeoutMs: settings.redisTimeoutMs,
  onDegraded: (degraded) => log.debug({ degraded }, "seat locks changed"),
});
sampleThread(
  (sample) => parentPort?.postMessage(sample),
  () => ({
    pool: { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount },
    lockDegraded: locks.degraded,
  }),
);

void warmUp();

/** Opens the connections and has the statement planned, so that the first buyer need not wait for it (40 ms). */
async function warmUp(): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: settings.connectionLimit }, () => pool.connect().catch(() => undefined)),
  );
  for (const client of clients) {
    if (!client) continue;
    await commitReservations(client, { seatIds: [], versions: [], reservationIds: [] }).then(
      () => client.release(),
      () => client.release(true),
    );
  }
}

/** One Piscina task: a batch of seats, or one whose first answer was lost. */
export default function run(task: ReservationTask): Promise<ReserveResult | SettleResult> {
  switch (task.kind) {
    case "reserve":
      return reserve(task);
    case "settle":
      return settleDoubt(task);
    default:
      throw new Error(`unknown task ${task satisfies never}`);
  }
}

/**
 * Lock, commit, unlock. Seats whose lock a rival holds are answered `contended`; the database decides the
 * rest. The unlock travels along with the answer, or before it where a seat is free again: whoever is told
 * "try again" must find no lock of ours.
 */
async function reserve(batch: SeatRequests): Promise<ReserveResult> {
  const startedAt = performance.now();
  const guard = await locks.guard(batch.seatIds);
  const lockedAt = performance.now();

  const seats: SeatAnswer[] = batch.seatIds.map((seatId) =>
    guard.contended.has(seatId) ? { verdict: "contended", version: null, final: false } : UNDECIDED,
  );
  const answer: BatchAnswer = {
    seats,
    databaseAway: false,
    lockMs: lockedAt - startedAt,
    transactionMs: 0,
    guarded: guard.guarded,
    conflictCount: guard.contended.size,
    ghostCount: guard.ghostCount,
    movedCount: 0,
    reran: false,
  };
  const outcome = await decide(batch, answer);
  answer.transactionMs = performance.now() - lockedAt;
  const released = guard.release();
  if (outcome === "doubtful" || seats.some((seat) => seat.verdict === "undecided")) await released;
  return outcome === "doubtful" ? outcome : answer;
}

const UNDECIDED: SeatAnswer = { verdict: "undecided", version: null, final: false };

/** Fills in `answer` for every seat still undecided; one that has moved on is tried once more, at its new version. */
async function decide(batch: SeatRequests, answer: BatchAnswer): Promise<"decided" | "doubtful"> {
  const open = batch.seatIds.flatMap((_, position) =>
    answer.seats[position]?.verdict === "undecided" ? [position] : [],
  );
  if ((await commit(batch, open, answer)) === "doubtful") return "doubtful";
  const moved = open.filter((position) => answer.seats[position]?.verdict === "moved");
  if (moved.length === 0) return "decided";

  answer.movedCount = moved.length;
  const versions = batch.versions.map((version, position) => answer.seats[position]?.version ?? version);
  if ((await commit({ ...batch, versions }, moved, answer)) === "doubtful") return "doubtful";
  for (const position of moved) {
    if (answer.seats[position]?.verdict === "moved") answer.seats[position] = UNDECIDED;
  }
  return "decided";
}

/** One transaction for the seats at those positions; one by one when the statement itself was refused. */
async function commit(
  batch: SeatRequests,
  positions: number[],
  answer: BatchAnswer,
): Promise<"decided" | "doubtful"> {
  if (positions.length === 0) return "decided";
  const client = await pool.connect().catch(() => undefined);
  if (!client) {
    answer.databaseAway = true;
    for (const position of positions) answer.seats[position] = UNDECIDED;
    return "decided";
  }
  let rows: SeatRow[];
  try {
    rows = await commitReservations(client, pick(batch, positions));
    client.release();
    refusals.over();
  } catch (error) {
    const fault = faultOf(error);
    // A connection may be what is wrong (a cached plan that no longer fits): only a refusal spares it.
    client.release(fault !== "refused");
    if (fault === "doubtful") return "doubtful";
    for (const position of positions) answer.seats[position] = UNDECIDED;
    if (fault === "away") {
      answer.databaseAway = true;
      refusals.met(error);
      return "decided";
    }
    if (positions.length === 1) {
      refusals.met(error);
      return "decided";
    }
    answer.reran = true;
    for (const position of positions) {
      if ((await commit(batch, [position], answer)) === "doubtful") return "doubtful";
    }
    return "decided";
  }
  for (const [index, position] of positions.entries()) answer.seats[position] = rows[index] ?? UNDECIDED;
  return "decided";
}

function pick(batch: SeatRequests, positions: number[]): SeatRequests {
  if (positions.length === batch.seatIds.length) return batch;
  const at = <T>(list: T[]) => positions.map((position) => list[position] as T);
  return {
    seatIds: at(batch.seatIds),
    versions: at(batch.versions),
    reservationIds: at(batch.reservationIds),
  };
}

async function settleDoubt(task: Extract<ReservationTask, { kind: "settle" }>): Promise<SettleResult> {
  const database = drizzle(pool);
  try {
    const versions = await settle(database, task);
    if (task.giveBack) await giveBack(database, task, versions);
    return { versions: versions.map((version) => version ?? null) };
  } catch (error) {
    log.debug({ error: messageOf(error) }, "a doubtful batch could not be settled yet");
    return "away";
  }
}
