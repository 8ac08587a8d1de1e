import { appendFileSync } from "node:fs";

/** The outside programs that a machine may lack; Postgres comes from npm and is always there. */
export type Part =
  | "redis"
  | "kafka"
  | "prometheus"
  | "schemathesis"
  | "toxiproxy"
  | "openssl"
  | "pgbouncer"
  | "previous-version"
  | "postgres-tools"
  | "haproxy"
  | "nginx"
  | "chromium"
  | "small-disks"
  | "linux"
  | "setpriv"
  | "root"
  | "npm"
  | "prlimit"
  | "curl"
  | "docker-compose";

/** Why a part cannot be had here, in words for whoever reads the test output. */
export interface Missing {
  missing: string;
}

const alreadyTold = new Set<Part>();

/** Whether `SENTINEL_REQUIRE` (comma-separated, as set by CI) makes the absence of a part a failure. */
function required(part: Part): boolean {
  const { SENTINEL_REQUIRE = "" } = process.env;
  return SENTINEL_REQUIRE.split(",")
    .map((name) => name.trim())
    .includes(part);
}

/**
 * What `find` finds, or undefined to skip by: `describe.skipIf(!kafka)`. The reason is printed once.
 * @throws when the part is missing but required.
 */
export async function partOrSkip<Found extends object | string>(
  part: Part,
  find: () => Found | Missing | Promise<Found | Missing>,
): Promise<Found | undefined> {
  const result = await find();
  if (!isMissing(result)) return result;
  if (required(part)) throw new Error(`SENTINEL_REQUIRE names ${part}, but ${result.missing}`);
  tellSkipped(part, result.missing);
  return undefined;
}

/**
 * Says why tests of the calling file are skipped. `test/run/main.ts` collects the reasons in the file that
 * `SENTINEL_SKIPS` names and prints each once; a file that runs by itself prints its own.
 */
export function tellSkipped(part: Part, reason: string): void {
  const { SENTINEL_SKIPS } = process.env;
  if (SENTINEL_SKIPS) appendFileSync(SENTINEL_SKIPS, `${JSON.stringify({ file: Bun.main, reason })}\n`);
  else if (!alreadyTold.has(part)) console.warn(`tests with ${part} are skipped: ${reason}`);
  alreadyTold.add(part);
}

/** Connection limits and shared ports, for example, exist on Linux only. */
export const findLinux = (): string | Missing =>
  process.platform === "linux" ? "linux" : { missing: "only Linux has what they test" };

/** Only root can make some folders and users. */
export const findRoot = (): string | Missing =>
  process.getuid?.() === 0 ? "root" : { missing: "only root can make the folders that they need" };

/** What was found, where its absence is the caller's mistake (it did not ask `partOrSkip` first). */
export function present<Found extends object | string>(result: Found | Missing): Found {
  if (isMissing(result)) throw new Error(result.missing);
  return result;
}

/** The path of the first of these programs on PATH. */
export function findProgram(...names: string[]): string | Missing {
  for (const name of names) {
    const path = Bun.which(name);
    if (path) return path;
  }
  return { missing: `no ${names.join(" or ")} is on PATH` };
}

function isMissing(result: object | string): result is Missing {
  return typeof result === "object" && "missing" in result;
}
