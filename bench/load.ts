import { join } from "node:path";
import type { CpuGroup } from "./cpu-quota.ts";
import type {
  GeneratorResult,
  GeneratorTask,
  Latency,
  Pace,
  RateSample,
  RequestPlan,
} from "./generator/task.ts";

/** Longer than any response takes, so that a slow server is measured and not abandoned. */
const ANSWER_TIMEOUT_SECONDS = 10;

export interface LoadTask {
  connections: number;
  seconds: number;
  plan: RequestPlan;
  /** A closed loop by default. */
  pace?: Pace;
  idleConnections?: number;
  /** Avoids wrk even where it would do, because compared loads must be sent by the same generator. */
  isOwnGenerator?: boolean;
  /** The group for our own generator; without it the generator shares the CPU with everything else. */
  cpuGroup?: CpuGroup | undefined;
}

export interface LoadResult extends Latency {
  durationMs: number;
  answers: number;
  /** Responses below 400, and the others. */
  accepted: number;
  refused: number;
  /** Requests without a response: connection errors and timeouts. */
  lost: number;
  /** In an open loop: requests that started more than 10 ms late, and requests that never started; otherwise NaN. */
  late: number;
  notSent: number;
  /** Only from our own generator; wrk does not report them. */
  statuses?: Record<string, number>;
  seatsWon?: number;
  seatsWonTwice?: number;
  samples: RateSample[];
  /** The generator's CPU time. */
  cpuMicroseconds: number;
  /** Requests that may have been decided after the last count, because nobody waited for their responses. */
  uncountedLimit: number;
}

const wrk = Bun.which("wrk");
export const loadGenerator = wrk
  ? "wrk (one thread) where a load needs no more, else bench/generator"
  : "bench/generator for every load (wrk is not on PATH)";

/**
 * Puts the load on the server and waits for its end. It prefers wrk, which costs the machine least but can
 * only walk over seats.
 */
export async function runLoad(url: string, task: LoadTask): Promise<LoadResult> {
  const { plan, pace = { kind: "closed" }, idleConnections = 0, isOwnGenerator = false } = task;
  if (wrk && !isOwnGenerator && plan.kind === "reserve" && pace.kind === "closed" && idleConnections === 0) {
    return runWrk(wrk, url, task, plan);
  }
  const { connections, seconds, cpuGroup } = task;
  return runGenerator({ url, connections, seconds, plan, pace, idleConnections }, cpuGroup);
}

/** Same as `runLoad`, always with our own generator, which counts every response by its status. */
export async function runGenerator(task: GeneratorTask, cpuGroup?: CpuGroup): Promise<LoadResult> {
  const command = [process.execPath, join(import.meta.dir, "generator/main.ts"), JSON.stringify(task)];
  const { result, cpuMicroseconds } = await resultOf<GeneratorResult>(command, cpuGroup);
  const { latency, statuses, late, notSent, ...same } = result;
  const isOpen = task.pace.kind === "open";
  const count = (counts: (status: number) => boolean) =>
    Object.entries(statuses).reduce((sum, [status, times]) => sum + (counts(Number(status)) ? times : 0), 0);
  const accepted = count((status) => status < 400);
  const refused = count((status) => status >= 400);
  return {
    ...{ ...same, ...latency, statuses, accepted, refused, cpuMicroseconds },
    ...{ answers: accepted + refused, uncountedLimit: 0 },
    ...{ late: isOpen ? late : Number.NaN, notSent: isOpen ? notSent : Number.NaN },
  };
}

/** At the end up to one request per connection is pending. The server may decide it, and nobody counts it. */
async function runWrk(
  program: string,
  url: string,
  { connections, seconds }: LoadTask,
  { firstSeatId, lastSeatId }: Extract<RequestPlan, { lastSeatId: number }>,
): Promise<LoadResult> {
  const { result, cpuMicroseconds } = await resultOf<
    Latency & Omit<LoadResult, "accepted" | "samples" | "late" | "notSent">
  >([
    ...[program, "--threads", "1", "--connections", String(connections), "--duration", `${seconds}s`],
    ...["--timeout", `${ANSWER_TIMEOUT_SECONDS}s`],
    ...["--script", join(import.meta.dir, "wrk/distinct-seats.lua"), url, "--"],
    ...[String(firstSeatId), String(lastSeatId)],
  ]);
  const accepted = result.answers - result.refused;
  return {
    ...{ ...result, accepted, samples: [], cpuMicroseconds, uncountedLimit: connections + 1 },
    ...{ late: Number.NaN, notSent: Number.NaN },
  };
}

async function resultOf<Result>(
  command: string[],
  cpuGroup?: CpuGroup,
): Promise<{ result: Result; cpuMicroseconds: number }> {
  const spawned = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  await cpuGroup?.add([spawned.pid]);
  const [output, errors] = await Promise.all([
    new Response(spawned.stdout).text(),
    new Response(spawned.stderr).text(),
    spawned.exited,
  ]);
  const line = /^RESULT (\{.*\})$/m.exec(output)?.[1];
  if (!line) throw new Error(`the load generator gave no result:\n${output}${errors}`);
  return {
    result: JSON.parse(line) as Result,
    cpuMicroseconds: Number(spawned.resourceUsage()?.cpuTime.total ?? Number.NaN),
  };
}
