import { mkdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { RUN } from "../../src/config/command-line.ts";
import { readOptions } from "../../src/config/command-options.ts";
import { startSharedPostgres } from "../fixtures/postgres.ts";
import { runGroup } from "./group.ts";
import { closingBlock, readSkips, Tally } from "./tally.ts";
import { filesOf, groupsOf, isTier, TIERS, type TierName } from "./tiers.ts";

/**
 * Runs one tier of the tests and ends with one block: what passed, what failed, and each reason for a skip once.
 * Files run in a few `bun test` processes side by side. Each lane has one Postgres and a range of ports for its processes.
 * Everything that the tests print is kept in `.cache/test/<tier>.log`; failures are shown as they happen.
 */

const ROOT = resolve(import.meta.dir, "../..");
/** Each lane takes a range of ports; see `test/fixtures/free-port.ts`. */
const LANE_LIMIT = 4;
const INTERRUPTED = 130;

const USAGE = `Usage: ${RUN} run test [FILTER...]          ${TIERS.test.what}
       ${RUN} run test:engine [FILTER...]   ${TIERS.engine.what}
       ${RUN} run test:faults [FILTER...]   ${TIERS.faults.what}; FAULTS=full for the full sizes
       --lanes N   test processes side by side, 1 to ${LANE_LIMIT}

FILTER keeps the files whose path contains it. For one file: ${RUN} test test/http/port.test.ts`;

const { values, positionals } = readCommandLine();
const [tier = "test", ...filters] = positionals;
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
if (!isTier(tier)) fail(`there is no tier "${tier}"; the tiers are ${Object.keys(TIERS).join(", ")}`);
const laneCount =
  values.lanes === undefined
    ? Math.min(Math.floor(availableParallelism() * TIERS[tier].lanesPerCore), LANE_LIMIT)
    : Number(values.lanes);
if (!Number.isInteger(laneCount) || laneCount < 1 || laneCount > LANE_LIMIT)
  fail(`--lanes: must be an integer from 1 to ${LANE_LIMIT}, not "${values.lanes}"`);

const files = filesOf(tier, ROOT).filter((file) => filters.every((filter) => file.includes(filter)));
if (files.length === 0)
  fail(`no test file of this tier has a path with ${filters.map((f) => `"${f}"`).join(" and ")}`);

const folder = join(ROOT, ".cache/test");
mkdirSync(folder, { recursive: true });
const logFile = join(folder, `${tier}.log`);
const skipsFile = join(folder, `${tier}.skips.jsonl`);
for (const path of [logFile, skipsFile]) rmSync(path, { force: true });
const log = Bun.file(logFile).writer();

const abort = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    abort.abort();
    process.exitCode = INTERRUPTED;
  });
}

const startedAt = performance.now();
const tally = new Tally();
const waiting = groupsOf(tier, files);
console.log(
  `${files.length} test files in ${laneCount} ${laneCount === 1 ? "lane" : "lanes"}; everything they print is in ${logFile}`,
);
await Promise.all(
  Array.from({ length: Math.min(laneCount, waiting.length) }, async (_, lane) => {
    await using stack = new AsyncDisposableStack();
    const postgres = await startSharedPostgres();
    stack.defer(postgres.stop);
    for (let group = waiting.shift(); group && !abort.signal.aborted; group = waiting.shift()) {
      const result = await runGroup({
        ...{ group, lane, postgresUrl: postgres.url, root: ROOT, skipsFile, signal: abort.signal },
      });
      log.write(result.output);
      if (abort.signal.aborted) continue;
      for (const shown of result.failures) console.log(shown);
      console.log(tally.add(group, result));
    }
  }),
);
await log.end();
if (abort.signal.aborted) process.exit(INTERRUPTED);

const leftOut =
  tier === "test" && filters.length === 0 ? (["engine", "faults"] as const).map(describeLeftOut) : [];
const block = closingBlock(tally, readSkips(skipsFile, ROOT), performance.now() - startedAt, leftOut);
console.log(block.text);
process.exit(block.isGreen ? 0 : 1);

function describeLeftOut(other: TierName): string {
  return `${filesOf(other, ROOT).length} files with ${TIERS[other].what}: ${RUN} run test:${other}`;
}

function readCommandLine() {
  try {
    return readOptions(process.argv.slice(2), { lanes: { type: "string" } });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function fail(message: string): never {
  console.error(`test: ${message}\n\n${USAGE}`);
  process.exit(2);
}
