import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Measurement } from "./measure.ts";
import { readOptions, UsageError } from "./options.ts";
import { openParts } from "./parts.ts";
import { agrees, checksOf } from "./report/checks.ts";
import { figure } from "./report/columns.ts";
import { describeMachine } from "./report/machine.ts";
import { printReport } from "./report/markdown.ts";
import { renderPage } from "./report/page.ts";
import { accepted } from "./scenarios/accepted.ts";
import { constant } from "./scenarios/constant.ts";
import { halfPeak } from "./scenarios/half-peak.ts";
import { holds } from "./scenarios/holds.ts";
import { idle } from "./scenarios/idle.ts";
import type { ScenarioName } from "./scenarios/names.ts";
import { oneSeat } from "./scenarios/one-seat.ts";
import { overload } from "./scenarios/overload.ts";
import { processes } from "./scenarios/processes.ts";
import { refused } from "./scenarios/refused.ts";
import { sale } from "./scenarios/sale.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { size } from "./scenarios/size.ts";
import { soak } from "./scenarios/soak.ts";
import { start } from "./scenarios/start.ts";
import { Stage } from "./stage.ts";

/**
 * The engine under every load of bench/scenarios, beside a straightforward baseline, the bare HTTP route and
 * the bare statement, all on this machine in one run: the same Postgres, Redis and Kafka, rounds interleaved,
 * so that a noisy neighbour hits all of them alike.
 */
const RESULTS_DIR = join(import.meta.dir, "results");

/** Scenarios of a group share their servers; those of a phase take turns within each round. */
const GROUPS: Scenario[][][] = [
  [[constant, accepted, refused], [oneSeat], [halfPeak], [idle]],
  [[sale]],
  [[holds]],
  [[start], [size]],
  [[processes]],
  [[overload]],
  [[soak]],
];

/** Prints progress to standard error, so that the report alone can be piped. */
const say = (text: string) => console.error(text);

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const date = new Date();
  await using closes = new AsyncDisposableStack();
  const parts = await openParts(closes);
  const measurements: Measurement[] = [];
  const failures: string[] = [];
  const isChosen = ({ name }: Scenario) => isWanted(name, options.scenarios);
  for (const group of GROUPS) {
    await using groupCloses = new AsyncDisposableStack();
    const stage = new Stage(groupCloses, parts, options, measurements, say);
    for (const phase of group) {
      await play(stage, phase.filter(isChosen), measurements).catch((error) => {
        const names = phase.map(({ name }) => name).join(", ");
        failures.push(`${names}: ${error instanceof Error ? error.message : error}`);
        say(`FAILED ${failures.at(-1)}`);
      });
    }
  }

  const report = {
    machine: describeMachine(parts, options, date),
    scenarios: GROUPS.flat(2).map(({ name, title, unit }) => ({ name, title, unit })),
    ...{ options, measurements, checks: checksOf(measurements), failures },
  };
  console.log(printReport(report));
  await mkdir(RESULTS_DIR, { recursive: true });
  const path = join(RESULTS_DIR, date.toISOString().replaceAll(/[:.]/g, "-"));
  await writeFile(`${path}.json`, JSON.stringify(report, null, 2));
  await writeFile(`${path}.html`, await renderPage(report));
  say(`written to ${path}.json and .html`);
  if (failures.length > 0 || !report.checks.every(agrees)) process.exitCode = 1;
}

/** The bare servers are the yardstick of two scenarios and not measured on their own. */
const isWanted = (name: ScenarioName | "constant", chosen: readonly ScenarioName[]) =>
  name === "constant" ? chosen.includes("accepted") || chosen.includes("refused") : chosen.includes(name);

/** Measures every cell once per round, those with few connections first. */
async function play(stage: Stage, phase: Scenario[], measurements: Measurement[]): Promise<void> {
  const cells = [];
  for (const scenario of phase) cells.push(...(await scenario.open(stage)));
  cells.sort((one, other) => one.connections - other.connections);
  for (let round = 1; round <= stage.options.rounds; round++) {
    for (const cell of cells) {
      const measured = await cell.measure(round);
      measurements.push(measured);
      say(`round ${round}: ${told(measured)}`);
    }
  }
}

function told({ scenario, server, variant, connections, perSecond, figures }: Measurement): string {
  const known = Number.isNaN(perSecond) ? figures : { "/s": perSecond, ...figures };
  const texts = Object.entries(known).map(([name, value]) => `${name} ${figure(value)}`);
  const at = connections > 0 ? `${connections} connections` : "";
  return `${[scenario, server, variant, at].filter(Boolean).join(", ")}: ${texts.join(", ")}`;
}

await main().catch((error: unknown) => {
  if (!(error instanceof UsageError)) throw error;
  if (error.wasAskedFor) console.log(error.message);
  else console.error(error.message);
  process.exitCode = error.wasAskedFor ? 0 : 2;
});
process.exit();
