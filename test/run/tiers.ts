import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

interface Tier {
  /** What its tests are, in words for the end of the `test` tier. */
  what: string;
  /** Test processes side by side for each core of the machine; tests of whole engines wait half of the time. */
  lanesPerCore: number;
  /** How many files share one `bun test` process. With more, lanes would be idle at the end. */
  groupLimitFiles: number;
}

export const TIERS = {
  test: { what: "units, SQL and the main job of an engine", lanesPerCore: 1, groupLimitFiles: 8 },
  engine: {
    what: "engine processes on Redis, Kafka, proxies and browsers",
    lanesPerCore: 1.5,
    groupLimitFiles: 3,
  },
  faults: { what: "engines whose parts break under load", lanesPerCore: 1.5, groupLimitFiles: 2 },
} as const satisfies Record<string, Tier>;

export type TierName = keyof typeof TIERS;

export const isTier = (name: string): name is TierName => name in TIERS;

/** A file that imports one of these, directly or not, starts engines or needs a part that a machine may lack. */
const MARKS = ["test/fixtures/engine.ts", "test/fixtures/parts.ts"];
/** Whole-engine tests that a newcomer runs all the same; they need nothing but the embedded Postgres. */
export const MAIN_JOB = [
  "test/stress-test.test.ts",
  "test/engine/quick-start.test.ts",
  "test/engine/reservations-hold.test.ts",
];

/** Files that take longest, the slowest first: each starts early and alone, so that no lane is busy when the others end. */
export const SLOWEST = [
  "test/engine/schemathesis.test.ts",
  "test/engine/start.test.ts",
  "test/engine/openapi-clients.test.ts",
  "test/live/pressure.test.ts",
  "test/engine/processes-ending.test.ts",
  "test/faults/topic-changes.test.ts",
  "test/faults/redis-lost.test.ts",
  "test/faults/kafka-away.test.ts",
  "test/faults/redis-refuses.test.ts",
  "test/faults/postgres-failover.test.ts",
  "test/faults/events-file.test.ts",
  "test/faults/random-faults.test.ts",
];

/** The test files of a tier, relative to the root, the largest first. */
export function filesOf(tier: TierName, root: string): string[] {
  const importsOf = importReader(root);
  return [...new Bun.Glob("test/**/*.test.ts").scanSync(root)]
    .filter((file) => tierOf(file, importsOf) === tier)
    .sort((one, other) => sizeOf(root, other) - sizeOf(root, one));
}

function tierOf(file: string, importsOf: (file: string) => string[]): TierName {
  if (file.startsWith("test/faults/")) return "faults";
  if (MAIN_JOB.includes(file)) return "test";
  const reached = new Set([file]);
  for (const each of reached) for (const imported of importsOf(each)) reached.add(imported);
  return MARKS.some((mark) => reached.has(mark)) ? "engine" : "test";
}

/** Reads which files of `test/` a file imports. Imports of types alone do not count. */
function importReader(root: string): (file: string) => string[] {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const known = new Map<string, string[]>();
  return (file) => {
    const found =
      known.get(file) ??
      transpiler
        .scanImports(readFileSync(join(root, file), "utf8"))
        .map(({ path }) => join(dirname(file), path))
        .filter((path) => path.startsWith("test/") && path.endsWith(".ts") && existsSync(join(root, path)));
    known.set(file, found);
    return found;
  };
}

/** The slowest files by themselves, then groups of files of one folder, the largest first, so that slow ones do not start last. */
export function groupsOf(tier: TierName, files: string[]): string[][] {
  const limit = TIERS[tier].groupLimitFiles;
  const slowest = SLOWEST.filter((file) => files.includes(file));
  const rooms = Map.groupBy(
    files.filter((file) => !slowest.includes(file)),
    dirname,
  );
  const groups = [...rooms.values()].flatMap((room) => {
    const count = Math.ceil(room.length / limit);
    // Dealt out like cards: no group has all the large files.
    return Array.from({ length: count }, (_, hand) => room.filter((__, index) => index % count === hand));
  });
  groups.sort((one, other) => other.length - one.length);
  return [...slowest.map((file) => [file]), ...groups];
}

const sizeOf = (root: string, file: string) => statSync(join(root, file)).size;
