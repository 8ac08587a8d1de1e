import { sql } from "drizzle-orm";
import { type Measurement, measure } from "../measure.ts";
import { openSeatsDatabase } from "../seats-database.ts";
import { openEngine, type SellingServer } from "../servers.ts";
import type { Stage } from "../stage.ts";
import { median } from "../statistics.ts";
import type { Scenario } from "./scenario.ts";
import { PEAK_CONNECTIONS } from "./yardsticks.ts";

const SHARE_OF_PEAK = 0.7;
/** Held and released repeatedly, so that the database's ledger grows and its house does not. */
const SEATS = 100_000;
const PEAK_SECONDS = 10;
const PARTS = 10;
/**
 * Shorter than an hour's soak: a hold that is left behind expires within the measurement. Longer than requests are late
 * on a machine that does other work too (27 s seen): a hold that expires before its release is a row that no answer promised.
 */
const HOLD_TTL_SECONDS = 120;
/** How much the last tenth may exceed the second; the first is still warming up. */
const GROWTH_LIMIT = 1.1;

/** A long evening at 70 % of the peak: memory at the end must equal memory at the start. */
export const soak: Scenario = {
  name: "soak",
  title: "Soak: holds and releases at 70 % of the peak, for long",
  unit: "changes/s",
  async open(stage) {
    const { closes, parts } = stage;
    const database = await openSeatsDatabase(closes, parts.postgres.url, "soak", SEATS);
    await database.session.execute(sql`update events set hold_ttl_seconds = ${HOLD_TTL_SECONDS}`);
    const engine = await openEngine(closes, parts, { database });
    const peak = await cycle(stage, engine, 0, { seconds: PEAK_SECONDS, pace: { kind: "closed" } });
    const perSecond = Math.round(peak.measurement.perSecond * SHARE_OF_PEAK);
    return [{ connections: PEAK_CONNECTIONS, measure: (round) => atRate(stage, engine, perSecond, round) }];
  },
};

async function atRate(
  stage: Stage,
  engine: SellingServer,
  perSecond: number,
  round: number,
): Promise<Measurement> {
  const { measurement, residents } = await cycle(stage, engine, round, {
    ...{ seconds: stage.options.seconds, pace: { kind: "open", perSecond } },
  });
  const from = (part: number) => Math.floor((part * residents.length) / PARTS);
  const tenths = Array.from(
    { length: PARTS },
    (_, part) => median(residents.slice(from(part), from(part + 1))) / 1e6,
  );
  const [, second = 0] = tenths;
  const last = tenths.at(-1) ?? 0;
  const faults = last > second * GROWTH_LIMIT ? [`memory grew from ${second} to ${last} MB`] : [];
  const shown = tenths.map((megabytes, part): [string, number] => [`RSS MB in tenth ${part + 1}`, megabytes]);
  return {
    ...measurement,
    figures: { "asked for a second": perSecond, ...Object.fromEntries(shown) },
    check: measurement.check && { ...measurement.check, faults },
  };
}

const cycle = (
  { parts }: Stage,
  engine: SellingServer,
  round: number,
  load: { seconds: number; pace: { kind: "closed" } | { kind: "open"; perSecond: number } },
) =>
  measure(
    parts,
    engine,
    { scenario: "soak", server: "engine", variant: "", round },
    {
      ...{ connections: PEAK_CONNECTIONS, isOwnGenerator: true, ...load },
      plan: { kind: "cycle", firstSeatId: 1, lastSeatId: SEATS },
    },
    { counts: "accepted", ledgerRows: ({ accepted }) => accepted },
  );
