import { join } from "node:path";

/** Longer than any answer takes, so that a slow server is measured and not given up. */
const ANSWER_TIMEOUT_SECONDS = 10;

export interface LoadTask {
  url: string;
  connections: number;
  seconds: number;
  firstSeatId: number;
  /** After it the walk begins again. */
  lastSeatId: number;
  /** Counts the answers by status, which costs the load generator time: not for measurements. */
  countStatuses?: boolean;
}

export interface LoadResult {
  durationMs: number;
  answers: number;
  /** Answers of 400 and above. */
  refused: number;
  /** Requests without an answer: connection errors and timeouts. */
  lost: number;
  p50Ms: number;
  p99Ms: number;
  statuses: Record<string, number>;
  /** CPU time of the load generator. */
  cpuMicroseconds: number;
}

const wrk = Bun.which("wrk");
export const loadGenerator = wrk ? "wrk, one thread" : "autocannon (wrk is not on PATH)";

/**
 * POSTs to the seats from first to last, each connection sending its next request when it has the answer.
 * At the end of the time up to one request a connection is under way: the server may decide it, nobody counts it.
 */
export async function runLoad(task: LoadTask): Promise<LoadResult> {
  const spawned = Bun.spawn(wrk ? wrkCommand(wrk, task) : autocannonCommand(task), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([
    new Response(spawned.stdout).text(),
    new Response(spawned.stderr).text(),
    spawned.exited,
  ]);
  const line = /^RESULT (\{.*\})$/m.exec(output)?.[1];
  if (!line) throw new Error(`the load generator gave no result:\n${output}${errors}`);
  const result = JSON.parse(line) as Omit<LoadResult, "cpuMicroseconds">;
  return { ...result, cpuMicroseconds: Number(spawned.resourceUsage()?.cpuTime.total ?? Number.NaN) };
}

function wrkCommand(program: string, task: LoadTask): string[] {
  return [
    ...[program, "--threads", "1", "--connections", String(task.connections)],
    ...["--duration", `${task.seconds}s`, "--timeout", `${ANSWER_TIMEOUT_SECONDS}s`],
    ...["--script", join(import.meta.dir, "distinct-seats.lua"), task.url, "--"],
    ...[String(task.firstSeatId), String(task.lastSeatId)],
    ...(task.countStatuses ? ["count"] : []),
  ];
}

function autocannonCommand(task: LoadTask): string[] {
  const given = JSON.stringify({ ...task, timeoutSeconds: ANSWER_TIMEOUT_SECONDS });
  return [process.execPath, join(import.meta.dir, "autocannon-load.ts"), given];
}
