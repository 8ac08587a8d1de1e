import { cpuMicroseconds, residentBytes } from "../cpu.ts";
import { type Measurement, mapParts } from "../measure.ts";
import type { SeatsDatabase } from "../seats-database.ts";
import { isReady, startEngine } from "../servers.ts";
import type { Stage } from "../stage.ts";
import type { Cell, Scenario } from "./scenario.ts";

const POLL_MS = 5;
const DEADLINE_MS = 120_000;
/** Seats of the demo event that a first start creates. */
const DEMO_SEATS = 1_000;

/** From the process's start until it sells and until it is ready; everything outside of it is already up. */
export const start: Scenario = {
  name: "start",
  title: "Start",
  unit: "a second",
  async open(stage) {
    const sizes = [...new Set([DEMO_SEATS, stage.options.sizes.at(-1) ?? DEMO_SEATS])];
    const cells: Cell[] = [];
    for (const seatCount of sizes) {
      const database = await stage.sizedDatabase(seatCount);
      cells.push({ connections: 0, measure: (round) => startOnce(stage, database, round) });
    }
    return cells;
  },
};

async function startOnce(stage: Stage, database: SeatsDatabase, round: number): Promise<Measurement> {
  await using closes = new AsyncDisposableStack();
  const seatId = database.seatCount - round;
  const rowsBefore = await database.ledgerRows();
  const startedAt = performance.now();
  const { url, child } = await startEngine(closes, stage.parts, database);
  const since = () => (performance.now() - startedAt) / 1000;
  const asked = async () => {
    const answer = await fetch(`${url}/api/v1/bookings/reserve/${seatId}`, { method: "POST" });
    await answer.body?.cancel();
    return answer.status;
  };
  const [firstSale, ready] = await Promise.all([
    soon(async () => (await asked()) === 201).then(async () => {
      const acceptedAfter = since();
      const then = await asked();
      return { acceptedAfter, refusedAfter: since(), then };
    }),
    soon(() => isReady(url)).then(since),
  ]);
  const unknown = Number.NaN;
  return {
    ...{ scenario: "start", server: "engine", round, connections: 0 },
    variant: `${database.seatCount.toLocaleString("en-US")} seats`,
    ...{ perSecond: unknown, acceptedPerSecond: unknown, refusedPerSecond: unknown, others: 0, lost: 0 },
    ...{ late: unknown, notSent: unknown },
    ...{ p50Ms: unknown, p99Ms: unknown, p999Ms: unknown, maxMs: unknown },
    ...{ residentBytes: residentBytes(child.pid), commitsPerAccepted: unknown, batchSeats: unknown },
    ...{ ledgerLagSeconds: unknown, samples: [], cpuByThread: {} },
    cpu: mapParts((part) => (part === "server" ? cpuMicroseconds(child.pid) : unknown)),
    figures: {
      "first 201 s": firstSale.acceptedAfter,
      "first 409 s": firstSale.refusedAfter,
      "ready s": ready,
    },
    check: {
      ...{ accepted: 1, uncountedLimit: 0, published: undefined },
      ledgerRows: (await database.ledgerRows()) - rowsBefore,
      faults: firstSale.then === 409 ? [] : [`the sold seat was answered ${firstSale.then}`],
    },
  };
}

/** Asks repeatedly; a failure or a refusal counts as not yet. */
async function soon(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`the engine did not start within ${DEADLINE_MS} ms`);
    await Bun.sleep(POLL_MS);
  }
}
