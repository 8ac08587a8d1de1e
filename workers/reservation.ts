import { parentPort, workerData } from "node:worker_threads";
import { commitChanges } from "../src/postgres/change.ts";
import { onFresh, openDatabase } from "../src/postgres/connect.ts";
import { GiveBackWaits } from "../src/postgres/give-back-waits.ts";
import { isSeenByAll, RESERVATION_SESSIONS } from "../src/postgres/presence.ts";
import { probeFaultOf, rehearseSale } from "../src/postgres/readiness.ts";
import { recallChanges } from "../src/postgres/recall.ts";
import { commitReservations } from "../src/postgres/reserve.ts";
import { giveBack, settle } from "../src/postgres/settle.ts";
import { awaitStandbys, awaitStandbysOf } from "../src/postgres/standbys.ts";
import { SeatLocks } from "../src/redis/seat-locks.ts";
import { never } from "../src/runtime/assert.ts";
import { createLog, FaultLog, messageOf } from "../src/telemetry/log.ts";
import type {
  ChangeResult,
  RecallResult,
  RehearsalResult,
  RehearsalTask,
  ReservationSettings,
  ReservationTask,
  SettleResult,
  TakeResult,
} from "../src/threads/messages.ts";
import { sampleThread } from "../src/threads/thread-sampler.ts";
import { change } from "./change.ts";
import { take } from "./take.ts";

const settings: ReservationSettings = workerData;
const log = createLog(settings.logLevel, "reservation");

const database = openDatabase({ ...settings, name: RESERVATION_SESSIONS }, (error) =>
  log.debug({ error: error.message }, "an idle database connection was lost"),
);
const pool = database.$client;
const transactions = { pool, refusals: new FaultLog(log, "the database refuses what it is asked") };
const locks = new SeatLocks({
  redisUrls: settings.redisUrls,
  redisTls: settings.redisTls,
  keyPrefix: settings.keyPrefix,
  ttlMs: settings.lockTtlMs,
  timeoutMs: settings.redisTimeoutMs,
  onDegraded: (degraded) => log.debug({ degraded }, "seat locks changed"),
});
const sampler = sampleThread(
  (sample) => parentPort?.postMessage(sample),
  () => ({
    pool: { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount },
    locks: locks.report(),
  }),
);

let wasKnown = false;
locks.onMaster(() => {
  // The start reports at once whether Redis can be used. Later the sampler's delay keeps short pauses out of the log.
  const isKnown = locks.report().state !== "unknown";
  if (isKnown && !wasKnown) sampler.sendNow();
  wasKnown = isKnown;
});

void warmUp();

/** Opens the connections and has the statements planned, so that the first buyer need not wait for it (40 ms). */
async function warmUp(): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: settings.connectionLimit }, () => pool.connect().catch(() => undefined)),
  );
  for (const client of clients) {
    if (!client) continue;
    await commitReservations(client, { seatIds: [], versions: [], reservationIds: [], holds: [] })
      .then(() => commitChanges(client, { reservationIds: [], actions: [], changeIds: [] }))
      .then(
        () => client.release(),
        () => client.release(true),
      );
  }
}

/** One Piscina task: a batch of seats to take, of reservations to change, or of either whose first answer was lost. */
export default function run(
  task: ReservationTask | RehearsalTask,
): Promise<TakeResult | ChangeResult | RecallResult | SettleResult | RehearsalResult> {
  switch (task.kind) {
    case "take":
      return take(transactions, locks, task);
    case "change":
      return change(transactions, task);
    case "recall":
      return recall(task);
    case "settle":
      return settleDoubt(task);
    case "rehearse":
      return onFresh(pool, rehearseSale).then(() => undefined, probeFaultOf);
    default:
      return never(task, "task of a reservation thread");
  }
}

async function recall(task: Extract<ReservationTask, { kind: "recall" }>): Promise<RecallResult> {
  try {
    const changes = await recallChanges(database, task);
    await awaitStandbysOf(pool);
    return { changes };
  } catch (error) {
    log.debug({ error: messageOf(error) }, "changes whose answers were lost cannot be looked up yet");
    return "away";
  }
}

const giveBackWaits = new GiveBackWaits();

async function settleDoubt(task: Extract<ReservationTask, { kind: "settle" }>): Promise<SettleResult> {
  try {
    return await onFresh(pool, async (client, session) => {
      const versions = await settle(session, task);
      const isCommitted = versions.some((version) => version !== undefined);
      // The task is repeated until no engine that believes to be alone can refuse these seats from memory.
      const [first = ""] = task.reservationIds;
      const mustWait =
        task.giveBack && isCommitted && !isSeenByAll(client) && !giveBackWaits.attempted(first);
      if (task.giveBack && !mustWait) await giveBack(session, task, versions);
      await awaitStandbys(client);
      if (!mustWait) giveBackWaits.over(first);
      return mustWait ? "away" : { versions: versions.map((version) => version ?? null) };
    });
  } catch (error) {
    log.debug({ error: messageOf(error) }, "a doubtful batch could not be settled yet");
    return "away";
  }
}
