import { parentPort, workerData } from "node:worker_threads";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { SweeperReport, SweeperSettings } from "../src/dispatch/messages.ts";
import { commitChanges } from "../src/postgres/change.ts";
import { openSession } from "../src/postgres/connect.ts";
import { readDueHolds, removeOldKeys } from "../src/postgres/due.ts";
import { ADVISORY_LOCKS } from "../src/postgres/epoch.ts";
import { tryToLead } from "../src/postgres/ledger.ts";
import { createLog, FaultLog } from "../src/telemetry/log.ts";
import { sampleThread } from "../src/telemetry/thread-sampler.ts";

/** 20 seats each at most: far within the statement's time limit. */
const ROUND_LIMIT_RESERVATIONS = 200;
const KEYS_INTERVAL_MS = 60_000;
const KEYS_LIMIT_ROWS = 10_000;

const settings: SweeperSettings = workerData;
const log = createLog(settings.logLevel, "sweeper");
const faults = new FaultLog(log, "holds that are over cannot be swept");
sampleThread((sample) => parentPort?.postMessage(sample));

let session: { client: pg.Client; isLost: boolean; leads: boolean } | undefined;
let keysAt = Number.NEGATIVE_INFINITY;

/**
 * One Piscina task: ends holds that are over, at most `ROUND_LIMIT_RESERVATIONS`, or lets go of the
 * session. One process of all sweeps, the one whose session has the advisory lock. Nobody rests on it:
 * whoever wants a seat whose hold is over takes it without it.
 */
export default async function run(task: "round" | "close"): Promise<SweeperReport> {
  if (task === "close") {
    await letGo();
    return { active: false, freed: [], more: false };
  }
  try {
    const report = await round();
    faults.over();
    return report;
  } catch (error) {
    // That the database is away is told once, by its gate.
    if (session && !session.isLost) faults.met(error);
    await letGo();
    return { active: false, freed: [], more: false };
  }
}

async function round(): Promise<SweeperReport> {
  const current = await lead();
  if (!current.leads) return { active: false, freed: [], more: false };
  const database = drizzle(current.client);
  const due = await readDueHolds(database, ROUND_LIMIT_RESERVATIONS);
  const rows =
    due.length === 0
      ? []
      : await commitChanges(current.client, { reservationIds: due, actions: due.map(() => "expire") });
  if (performance.now() - keysAt > KEYS_INTERVAL_MS) {
    await removeOldKeys(database, KEYS_LIMIT_ROWS);
    keysAt = performance.now();
  }
  return {
    active: true,
    freed: rows.flatMap((row) => row.seats),
    more: due.length === ROUND_LIMIT_RESERVATIONS,
  };
}

async function lead() {
  if (!session || session.isLost) {
    await letGo();
    const opened = { client: undefined as pg.Client | undefined, isLost: false, leads: false };
    const client = await openSession({ ...settings, name: "sentinel-sweeper" }, () => {
      opened.isLost = true;
    });
    session = Object.assign(opened, { client });
  }
  session.leads ||= await tryToLead(drizzle(session.client), ADVISORY_LOCKS.sweeper);
  return session;
}

async function letGo(): Promise<void> {
  const client = session?.client;
  session = undefined;
  await client?.end().catch(() => undefined);
}
