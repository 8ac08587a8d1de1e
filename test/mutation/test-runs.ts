import { spawn } from "node:child_process";
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestFile {
  path: string;
  seconds: number;
  /** The ids of the mutants that it reaches. */
  reaches: Set<string>;
}

export type RunResult = "passed" | "failed" | "timeout";

/** The tests' own default: `setDefaultTimeout` in a preload holds for the first file only. */
const TEST_TIMEOUT_MS = 60_000;
const UNCHANGED_LIMIT_SECONDS = 600;

/** Runs each test file on the unchanged code. A file that fails there proves nothing and is left out. */
export async function measuredTests(
  tree: string,
  paths: string[],
  report: (line: string) => void,
): Promise<TestFile[]> {
  const files: TestFile[] = [];
  const reachedFile = join(tree, "mutation/reached");
  for (const path of paths) {
    writeFileSync(reachedFile, "");
    const startedAt = performance.now();
    const result = await runTests(tree, "record", [path], UNCHANGED_LIMIT_SECONDS);
    const seconds = (performance.now() - startedAt) / 1000;
    if (result !== "passed") {
      report(`${path} is left out: it does not pass on the unchanged code (${result})`);
      continue;
    }
    files.push({ path, seconds, reaches: new Set(readFileSync(reachedFile, "utf8").split("\n")) });
  }
  return files;
}

/** Quick files first, each step in one process: most mutants are caught without a database. */
const STEP_LIMITS_SECONDS = [0.8, 6, Number.POSITIVE_INFINITY];
/** A machine that is busy with other work must not look like an endless loop. */
const timeoutSeconds = (seconds: number) => 10 + 2.5 * seconds;

/** Runs the files that reach the mutant until one fails. */
export async function tryMutant(tree: string, id: string, files: readonly TestFile[]): Promise<RunResult> {
  const left = new Set(files.filter(({ reaches }) => reaches.has(id)));
  for (const limit of STEP_LIMITS_SECONDS) {
    const step = [...left].filter(({ seconds }) => seconds <= limit);
    if (step.length === 0) continue;
    for (const file of step) left.delete(file);
    const total = step.reduce((sum, { seconds }) => sum + seconds, 0);
    const paths = step.map(({ path }) => path);
    const result = await runTests(tree, id, paths, timeoutSeconds(total));
    if (result !== "passed") return result;
  }
  return "passed";
}

/** As Bun says it of a test or a hook that reaches its own limit. */
const TIMED_OUT = /timed out (after \d+ ?ms|for this test)/;

/** @param state the id of the mutant that is switched on, or "record". */
async function runTests(
  tree: string,
  state: string,
  paths: string[],
  limitSeconds: number,
): Promise<RunResult> {
  writeFileSync(join(tree, "mutation/state"), state);
  // A run that is killed leaves its folders behind. Postgres may run as another user, who must be able to pass.
  const folder = mkdtempSync(join(tmpdir(), "mutation-"));
  chmodSync(folder, 0o755);
  const stderr = openSync(join(folder, "stderr"), "a+");
  const child = spawn(
    process.execPath,
    [
      "test",
      "--bail",
      "--timeout",
      String(TEST_TIMEOUT_MS),
      "--preload",
      "./mutation/preload.ts",
      ...paths.map((path) => `./${path}`),
    ],
    {
      cwd: tree,
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "ignore", stderr],
      detached: true,
    },
  );
  const killAll = () => killGroup(child.pid);
  process.once("exit", killAll);
  const isOver = Promise.withResolvers<number | null>();
  child.on("error", isOver.reject);
  child.on("exit", isOver.resolve);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killAll();
  }, limitSeconds * 1000);
  try {
    const code = await isOver.promise;
    if (isLate || (code !== 0 && TIMED_OUT.test(readFileSync(join(folder, "stderr"), "utf8"))))
      return "timeout";
    return code === 0 ? "passed" : "failed";
  } finally {
    clearTimeout(timer);
    closeSync(stderr);
    killAll();
    process.off("exit", killAll);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
