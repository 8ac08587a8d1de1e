import { TIMEOUT_MS } from "../fixtures/until.ts";
import { collectOutcomes, type Outcomes } from "./outcomes.ts";

/** A test that hangs despite its own timeout is killed with its process. Faults at full size take hours. */
const GROUP_TIMEOUT_MS = process.env["FAULTS"] === "full" ? 4 * 3_600_000 : 20 * 60_000;

export interface GroupOptions {
  group: string[];
  /** From 0; decides which ports the tests may take. */
  lane: number;
  /** The lane's Postgres; without one each group that needs it starts its own. */
  postgresUrl?: string;
  root: string;
  /** The file in which tests note why they are skipped. */
  skipsFile: string;
  signal: AbortSignal;
}

export interface GroupResult extends Outcomes {
  output: string;
  seconds: number;
}

/** Runs some test files in one `bun test` process, to its end. */
export async function runGroup(options: GroupOptions): Promise<GroupResult> {
  const { group, lane, postgresUrl, root, skipsFile, signal } = options;
  const startedAt = performance.now();
  const child = Bun.spawn(
    [process.execPath, "test", "--timeout", String(TIMEOUT_MS), ...group.map((file) => `./${file}`)],
    {
      cwd: root,
      env: {
        ...process.env,
        NO_COLOR: "1",
        SENTINEL_SKIPS: skipsFile,
        SENTINEL_TEST_LANE: String(lane),
        ...(postgresUrl !== undefined && { SENTINEL_TEST_POSTGRES: postgresUrl }),
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const end = () => child.kill("SIGTERM");
  signal.addEventListener("abort", end);
  const timer = setTimeout(() => child.kill("SIGKILL"), GROUP_TIMEOUT_MS);
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(timer);
  signal.removeEventListener("abort", end);
  // Bun writes results to stderr; tests print to both.
  return {
    ...collectOutcomes(stderr, exitCode),
    output: `${stdout}${stderr}`,
    seconds: (performance.now() - startedAt) / 1000,
  };
}
