import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PgDialect } from "drizzle-orm/pg-core";
import { readConfig } from "../src/config/config.ts";
import { singles, takeStatement, withoutClaims } from "../src/postgres/reserve-statement.ts";
import { tempDir } from "../test/fixtures/temp-dir.ts";
import { cpuByPart, type Measurement, mapParts } from "./measure.ts";
import { constantAt, PEAK_CONNECTIONS } from "./scenarios/yardsticks.ts";
import { openSeatsDatabase, type SeatsDatabase } from "./seats-database.ts";
import type { Stage } from "./stage.ts";

/** More than the statement alone was seen to sell on two cores. */
const SEATS_A_SECOND = 150_000;
const DEBIAN_ROOT = "/usr/lib/postgresql";

/** Returns as many connections as the engine runs batches at once. */
function slotsOfEngine(): number {
  const { reservationWorkers, batchesPerWorker } = readConfig({});
  return reservationWorkers * batchesPerWorker;
}

/**
 * The engine's own statement, run by pgbench with nothing before or behind it, at the batch size that the
 * engine had in the same round: what Postgres alone could sell.
 * @returns how to measure a round; undefined, with the reason said, where pgbench is missing.
 */
export async function openPgbench(
  stage: Stage,
): Promise<((round: number) => Promise<Measurement>) | undefined> {
  if (!stage.options.servers.includes("pgbench")) return undefined;
  const program = findPgbench();
  if (!program) {
    stage.say(`pgbench is left out: it is neither on PATH nor in ${DEBIAN_ROOT}/*/bin`);
    return undefined;
  }
  const { rounds, seconds } = stage.options;
  const seatsPerRound = SEATS_A_SECOND * seconds;
  stage.say("starting pgbench");
  const database = await openSeatsDatabase(
    stage.closes,
    stage.parts.postgres.url,
    "pgbench",
    seatsPerRound * rounds,
  );
  const folder = await tempDir("pgbench");
  stage.closes.defer(folder.remove);
  const script = join(folder.path, "reserve.sql");
  return async (round) => {
    const engine = stage.measurements.find(
      (each) =>
        each.scenario === "accepted" &&
        each.server === "engine" &&
        each.round === round &&
        each.connections === PEAK_CONNECTIONS,
    );
    const batchSeats = Math.max(1, Math.round(engine?.batchSeats ?? Number.NaN));
    await writeFile(script, scriptOf(batchSeats, 1 + seatsPerRound * (round - 1), slotsOfEngine()));
    return run(stage, { program, script, database, batchSeats, round });
  };
}

function findPgbench(): string | undefined {
  const onPath = Bun.which("pgbench");
  if (onPath) return onPath;
  try {
    const folders = readdirSync(DEBIAN_ROOT).map((version) => join(DEBIAN_ROOT, version, "bin"));
    return Bun.which("pgbench", { PATH: folders.join(":") }) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Each client walks over its own seats, a batch at a time. */
export function scriptOf(batchSeats: number, firstSeatId: number, clients: number): string {
  const arrays: Record<string, string> = {
    seatIds: "array(select generate_series(:first::bigint, :last::bigint))",
    versions: `array_fill(0, array[${batchSeats}])`,
    reservationIds: `array(select uuidv7() from generate_series(1, ${batchSeats}))`,
  };
  const { sql, params } = new PgDialect().sqlToQuery(takeStatement(singles, withoutClaims));
  const names = params.map((placeholder) => (placeholder as { name: string }).name);
  const statement = sql.replaceAll(/\$(\d+)/g, (_, number: string) => {
    const array = arrays[names[Number(number) - 1] ?? ""];
    if (!array) throw new Error(`the statement has a parameter that pgbench is not told of: $${number}`);
    return array;
  });
  return `\\set batch :batch + 1
\\set first ${firstSeatId} + (:batch * ${clients} + :client_id) * ${batchSeats}
\\set last :first + ${batchSeats} - 1
${statement};
`;
}

interface Run {
  program: string;
  script: string;
  database: SeatsDatabase;
  batchSeats: number;
  round: number;
}

async function run(
  { parts, options }: Stage,
  { program, script, database, batchSeats, round }: Run,
): Promise<Measurement> {
  const rowsBefore = await database.ledgerRows();
  const transactionsBefore = await database.writingTransactions();
  const cpuBefore = cpuByPart(parts, process.pid);
  const spawned = Bun.spawn(
    [
      ...[
        program,
        "--no-vacuum",
        "--protocol",
        "prepared",
        "--client",
        String(slotsOfEngine()),
        "--jobs",
        "1",
      ],
      ...["--time", String(options.seconds), "--define", "batch=-1", "--file", script, database.url],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const [output, errors] = await Promise.all([
    new Response(spawned.stdout).text(),
    new Response(spawned.stderr).text(),
    spawned.exited,
  ]);
  const figure = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const batches = figure(/actually processed: (\d+)/);
  if (!(batches > 0)) throw new Error(`pgbench gave no result:\n${output}${errors}`);
  const cpuAfter = cpuByPart(parts, process.pid);
  const load = Number(spawned.resourceUsage()?.cpuTime.total ?? Number.NaN);
  const transactions = (await database.writingTransactions()) - transactionsBefore;
  const accepted = batches * batchSeats;
  const perSecond = figure(/tps = ([\d.]+)/) * batchSeats;
  const meanMs = figure(/latency average = ([\d.]+)/);
  const unknown = Number.NaN;
  return {
    ...{ scenario: "accepted", server: "pgbench", variant: `batches of ${batchSeats}`, round },
    ...{ comparedWith: constantAt(PEAK_CONNECTIONS), connections: slotsOfEngine() },
    ...{ perSecond, acceptedPerSecond: perSecond, refusedPerSecond: 0, others: 0, lost: 0 },
    ...{ late: unknown, notSent: unknown },
    ...{ p50Ms: unknown, p99Ms: unknown, p999Ms: unknown, maxMs: unknown, residentBytes: unknown },
    cpu: mapParts((part) => {
      if (part === "load") return load / accepted;
      return part === "postgres" ? (cpuAfter.postgres - cpuBefore.postgres) / accepted : unknown;
    }),
    ...{ cpuByThread: {}, commitsPerAccepted: transactions / accepted, batchSeats },
    ...{ ledgerLagSeconds: unknown, figures: { "mean ms a batch": meanMs }, samples: [] },
    check: {
      ...{ accepted, uncountedLimit: 0, published: undefined, faults: [] },
      ledgerRows: (await database.ledgerRows()) - rowsBefore,
    },
  };
}
