import { parentPort, workerData } from "node:worker_threads";
import { commitChanges } from "../src/postgres/change.ts";
import { onFresh, openDatabase } from "../src/postgres/connect.ts";
import { GiveBackWaits } from "../src/postgres/give-back-waits.ts";
import { isSeenByAll, RESERVATION_SESSIONS } from "../src/postgres/presence.ts";
import { probeFaultOf, rehearseSale } from "../src/postgres/readiness.ts";
import { type LostChange, recallChanges } from "../src/postgres/recall.ts";
import { commitReservations } from "../src/postgres/reserve.ts";
import { giveBack, settle } from "../src/postgres/settle.ts";
import { awaitStandbys, awaitStandbysOf } from "../src/postgres/standbys.ts";
import { SeatLocks } from "../src/redis/seat-locks.ts";
import { at, never } from "../src/runtime/assert.ts";
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
import { textTask } from "../src/threads/text-task.ts";
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

/** Opens the connections and plans the statements, so that the first buyer does not wait for that (40 ms). */
async function warmUp(): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: settings.connectionLimit }, () => pool.connect().catch(() => undefined)),
  );
  for (const client of clients) {
    if (!client) continue;
    await commitReservations(client, [])
      .then(() => commitChanges(client, []))
      .then(
        () => client.release(),
        () => client.release(true),
      );
  }
}

/**
 * The thread's task: a batch of seats to take or of reservations to change, or the look-up of a batch whose
 * result was lost.
 */
export default textTask(run);

function run(
  task: ReservationTask | RehearsalTask,
): Promise<TakeResult | ChangeResult | RecallResult | SettleResult | RehearsalResult> {
  switch (task.kind) {
    case "take":
      return take(transactions, locks, task.orders);
    case "change":
      return change(transactions, task.changes, task.limitedCallers);
    case "recall":
      return recall(task.changes);
    case "settle":
      return settleLost(task);
    case "rehearse":
      return onFresh(pool, rehearseSale).then(() => undefined, probeFaultOf);
    default:
      return never(task, "task of a reservation thread");
  }
}

async function recall(lost: LostChange[]): Promise<RecallResult> {
  try {
    const changes = await recallChanges(database, lost);
    await awaitStandbysOf(pool);
    return { changes };
  } catch (error) {
    log.debug({ error: messageOf(error) }, "changes whose answers were lost cannot be looked up yet");
    return "away";
  }
}

const giveBackWaits = new GiveBackWaits();

async function settleLost({
  orders,
  giveBack: mayGiveBack,
}: Extract<ReservationTask, { kind: "settle" }>): Promise<SettleResult> {
  try {
    return await onFresh(pool, async (client, session) => {
      const settled = await settle(session, orders);
      const isCommitted = settled.some((versions) => versions !== null);
      // The task is repeated until no engine that believes it is alone can refuse these seats from memory.
      const { reservationId: first } = at(orders, 0, "an order in doubt");
      const mustWait = mayGiveBack && isCommitted && !isSeenByAll(client) && !giveBackWaits.attempted(first);
      if (mayGiveBack && !mustWait) await giveBack(session, orders, settled);
      await awaitStandbys(client);
      if (!mustWait) giveBackWaits.over(first);
      return mustWait ? "away" : { orders: settled };
    });
  } catch (error) {
    log.debug({ error: messageOf(error) }, "a doubtful batch could not be settled yet");
    return "away";
  }
}
