import { join } from "node:path";
import { parseArgs } from "node:util";
import { drizzle } from "drizzle-orm/node-postgres";
import { Client } from "pg";
import type { EventDraft } from "../src/catalogue/catalogue.ts";
import { createEvent } from "../src/postgres/event-writes.ts";
import { ensureDatabase, prepareDatabase } from "../src/postgres/migrate.ts";
import type { AssignedLayout } from "../src/seats/layout.ts";
import { startEngine } from "../test/support/engine.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { openParts } from "./parts.ts";

/**
 * `bun run bench:reservations`: holds, baskets, confirmations, the search for seats and the availability map
 * beside the reserve route, on one engine in one run, rounds interleaved. wrk must be on PATH.
 */
const MODES = ["reserve", "hold", "basket", "confirm", "best", "general", "map"] as const;
type Mode = (typeof MODES)[number];

const SINGLE_SEATS = 1_500_000;
const BEST_BLOCKS = 40;
const MAP_SEATS = { rows: 250, seatsPerRow: 400 };
const FLOOR_SEATS = 500_000;
const CONNECT_TIMEOUT_MS = 5_000;

const rows = (count: number, seatCount: number): AssignedLayout => ({
  ...{ kind: "assigned", priceTier: 0, areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  rows: Array.from({ length: count }, (_, index) => ({ label: String(index + 1), seatCount })),
  numbering: { perRow: true, start: 1, step: 1, prefix: "" },
});

const draft: Omit<EventDraft, "name" | "sections"> = {
  ...{ currency: "EUR", cancellable: false, status: "open", onSaleAtMs: null, offSaleAtMs: null },
  ...{ holdTtlSeconds: 600, holdLimitSeconds: 1800, reservationLimitSeats: 20, buyerLimitSeats: null },
  ...{ focalX: null, focalY: null, priceTiers: [{ name: "Standard", amountMinor: 15_000 }] },
};

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "256" },
    only: { type: "string", default: MODES.join() },
  },
});
const modes = MODES.filter((mode) => values.only.split(",").includes(mode));
const wrk = Bun.which("wrk");
if (!wrk) throw new Error("wrk is not on PATH");

await using closes = new AsyncDisposableStack();
const parts = await openParts(closes);
const databaseUrl = await ensureDatabase(parts.postgres.url, "reservations");
await prepareDatabase(databaseUrl, CONNECT_TIMEOUT_MS);
const client = new Client({ connectionString: databaseUrl });
await client.connect();
closes.defer(() => client.end());
const database = drizzle(client);
const singles = await createEvent(database, {
  ...draft,
  name: "Singles",
  sections: [{ name: "All", layout: rows(1500, SINGLE_SEATS / 1500) }],
});
const house = await createEvent(database, {
  ...draft,
  name: "House",
  sections: [
    { name: "Floor", layout: { kind: "general", capacity: FLOOR_SEATS, priceTier: 0 } },
    ...Array.from({ length: BEST_BLOCKS }, (_, index) => ({
      name: `Block ${index}`,
      layout: rows(100, 200),
    })),
  ],
});
const mapped = await createEvent(database, {
  ...draft,
  name: "Map",
  sections: [{ name: "All", layout: rows(MAP_SEATS.rows, MAP_SEATS.seatsPerRow) }],
});
await client.query("vacuum analyze");
await client.query("checkpoint");
const first = await client.query<{ first: string }>(
  "select min(id) as first from seats where event_id = $1",
  [singles.id],
);

const dataDir = await tempDir("bench-reservations");
closes.defer(dataDir.remove);
const engine = await startEngine({
  ...{
    NODE_ENV: "production",
    DATA_DIR: dataDir.path,
    DATABASE_URL: databaseUrl,
    REDIS_URL: parts.redis.url,
  },
  ...{ RATE_LIMIT_ADDRESS_REQUESTS: "0" },
  ...(parts.kafka && { KAFKA_BROKERS: parts.kafka.brokers }),
});
closes.defer(async () => void (await engine.stop()));

/** Where each mode goes on. */
let nextSeat = Number(first.rows[0]?.first) - 1;
let nextBlock = 0;
const eventOf = (mode: Mode) => String(mode === "map" ? mapped.id : house.id);

interface Result {
  durationMs: number;
  answers: number;
  refused: number;
  lost: number;
  p50Ms: number;
  p99Ms: number;
  confirms: number;
}

async function run(mode: Mode, seconds: number): Promise<Result> {
  const from = mode === "best" ? nextBlock : nextSeat;
  const spawned = Bun.spawn(
    [
      ...[wrk ?? "", "--threads", "1", "--connections", values.connections, "--duration", `${seconds}s`],
      ...["--timeout", "10s", "--script", join(import.meta.dir, "reservations.lua"), engine.url, "--"],
      ...[mode, String(from), "0", eventOf(mode)],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const output = await new Response(spawned.stdout).text();
  const line = /^RESULT (\{.*\})$/m.exec(output)?.[1];
  if (!line) throw new Error(`wrk gave no result:\n${output}`);
  const result = JSON.parse(line) as Result;
  const asked = result.answers + Number(values.connections) + 1;
  if (mode === "best") nextBlock += Math.ceil(asked / 4500);
  else if (mode === "basket") nextSeat += 4 * asked;
  else if (mode !== "general" && mode !== "map") nextSeat += asked;
  return result;
}

/** What counts: seats for what takes seats, confirmations for those, answers for the map. */
function rateOf(mode: Mode, { answers, refused, confirms, durationMs }: Result): number {
  const good = answers - refused;
  const counted = mode === "basket" || mode === "best" ? good * (mode === "basket" ? 4 : 1) : good;
  return ((mode === "confirm" ? confirms : counted) * 1000) / durationMs;
}

const median = (list: number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;

const measured = new Map<Mode, { rates: number[]; toReserve: number[]; results: Result[] }>();
for (const mode of modes) await run(mode, 1);
for (let round = 1; round <= Number(values.rounds); round++) {
  let reserveRate = Number.NaN;
  for (const mode of modes) {
    const result = await run(mode, Number(values.seconds));
    const rate = rateOf(mode, result);
    if (mode === "reserve") reserveRate = rate;
    const kept = measured.get(mode) ?? { rates: [], toReserve: [], results: [] };
    kept.rates.push(rate);
    kept.toReserve.push(rate / reserveRate);
    kept.results.push(result);
    measured.set(mode, kept);
    console.error(
      `round ${round}: ${mode} ${Math.round(rate)}/s, refused ${result.refused}, lost ${result.lost}`,
    );
  }
}
const UNIT: Record<Mode, string> = {
  ...{ reserve: "seats", hold: "seats", basket: "seats, four a request", confirm: "holds confirmed" },
  ...{ best: "requests of four seats", general: "places", map: "maps of 100,000 seats" },
};
console.log(`| ${values.connections} connections | a second | of reserve | p50 ms | p99 ms | refused |`);
console.log("|---|---:|---:|---:|---:|---:|");
for (const [mode, { rates, toReserve, results }] of measured) {
  const of = (figure: (result: Result) => number) => median(results.map(figure)).toFixed(1);
  console.log(
    `| ${mode}: ${UNIT[mode]} | ${Math.round(median(rates)).toLocaleString("en-US")} | ${(100 * median(toReserve)).toFixed(0)} % | ${of((r) => r.p50Ms)} | ${of((r) => r.p99Ms)} | ${results.reduce((sum, { refused, lost }) => sum + refused + lost, 0)} |`,
  );
}
process.exit();
