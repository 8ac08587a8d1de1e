import { parentPort, workerData } from "node:worker_threads";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { SweeperReport, SweeperSettings } from "../src/dispatch/messages.ts";
import { commitChanges } from "../src/postgres/change.ts";
import { openSession } from "../src/postgres/connect.ts";
import { readDueHolds, readFreed, removeOldKeys } from "../src/postgres/due.ts";
import { ADVISORY_LOCKS } from "../src/postgres/epoch.ts";
import { tryToLead } from "../src/postgres/ledger.ts";
import { createLog, FaultLog } from "../src/telemetry/log.ts";
import { sampleThread } from "../src/telemetry/thread-sampler.ts";

/** 600 ms a round, within the statement's time limit; 10,000 holds that end in one instant take 3 s (seen). */
const ROUND_LIMIT_SEATS = 2000;
const KEYS_INTERVAL_MS = 60_000;
const KEYS_LIMIT_ROWS = 10_000;

const settings: SweeperSettings = workerData;
const log = createLog(settings.logLevel, "sweeper");
const faults = new FaultLog(log, "holds that are over cannot be swept");
sampleThread((sample) => parentPort?.postMessage(sample));

let session: { client: pg.Client; isLost: boolean; leads: boolean } | undefined;
/** Holds that were sent to be ended, and not heard of again: they may have been. */
let unheard: string[] = [];
let keysAt = Number.NEGATIVE_INFINITY;

/**
 * One Piscina task: ends holds that are over, of at most `ROUND_LIMIT_SEATS`, or lets go of the
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
    // Afterwards: what it may fail of must not take the report with it.
    if (session?.leads) await removeKeys(session.client).catch((error) => faults.met(error));
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
  const freed = unheard.length === 0 ? [] : await readFreed(database, unheard);
  const due = await readDueHolds(database, ROUND_LIMIT_SEATS);
  unheard = [...new Set([...unheard, ...due])];
  const rows =
    due.length === 0
      ? []
      : await commitChanges(current.client, { reservationIds: due, actions: due.map(() => "expire") });
  unheard = [];
  const swept = rows.flatMap((row) => row.seats);
  return { active: true, freed: [...freed, ...swept], more: swept.length >= ROUND_LIMIT_SEATS / 2 };
}

/** At once again while there are more than one look removes. */
async function removeKeys(client: pg.Client): Promise<void> {
  if (performance.now() - keysAt < KEYS_INTERVAL_MS) return;
  keysAt = performance.now();
  const removed = await removeOldKeys(drizzle(client), KEYS_LIMIT_ROWS);
  if (removed === KEYS_LIMIT_ROWS) keysAt = Number.NEGATIVE_INFINITY;
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
