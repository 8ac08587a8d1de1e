import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { startChild } from "./child.ts";
import { freePort } from "./free-port.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./until.ts";

const ROOT = resolve(import.meta.dir, "../..");
const START_DEADLINE_MS = 30_000;
/** Longer than the engine's own SHUTDOWN_TIMEOUT_MS, which is what a test wants to see kept. */
const STOP_TIMEOUT_MS = 15_000;
const EMBEDDED_END_DEADLINE_MS = 10_000;

export interface Engine {
  url: string;
  pid: number;
  /** The newest part of its log, stdout and stderr together. */
  output(): string;
  /** Its exit code (128 + the signal's number when a signal ended it), or undefined while it runs. */
  exitCode(): number | undefined;
  /** Ends it, removes the data folder if that was made here, and gives the exit code. May be called again. */
  stop(signal?: NodeJS.Signals): Promise<number>;
  /** SIGKILL, as when the machine's memory runs out; the data folder stays until `stop`. */
  kill(): Promise<void>;
}

/**
 * The engine as a process of its own, ready to sell. Its environment is `env` and what every process needs,
 * nothing of the test's own.
 * @param inside a command that starts it, for example inside a namespace where a disk is mounted.
 * @throws with the process's output when it is not ready in time.
 */
export async function startEngine(
  env: Record<string, string> = {},
  { inside = [], host = "127.0.0.1" }: { inside?: string[]; host?: string } = {},
): Promise<Engine> {
  const { PATH = "", HOME = "" } = process.env;
  const ownDataDir = "DATA_DIR" in env ? undefined : await tempDir("engine");
  const environment = {
    // As the start script has it: kafkajs has Bun warn of a negative timeout, and the heap is kept small.
    ...{ PATH, HOME, NODE_NO_WARNINGS: "1", BUN_JSC_minEdenToOldGenerationRatio: "0.6" },
    ...{ HOST: "127.0.0.1", PORT: String(await freePort()) },
    // No load balancer has to notice, unless a test puts one in front.
    DRAIN_DELAY_MS: "100",
    ...(ownDataDir && { DATA_DIR: ownDataDir.path }),
    ...env,
  };
  const child = startChild("the engine", [...inside, process.execPath, "src/main.ts"], {
    cwd: ROOT,
    env: environment,
  });
  const url = `http://${host}:${environment.PORT}`;

  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    const exitCode = await child.end(signal, STOP_TIMEOUT_MS);
    if (ownDataDir) {
      await embeddedPostgresToEnd(ownDataDir.path);
      await ownDataDir.remove();
    }
    return exitCode;
  };
  try {
    await until(() => child.exitCode() !== undefined || isReady(url), {
      deadlineMs: START_DEADLINE_MS,
      what: `the engine is ready at ${url}`,
    });
    if (child.exitCode() !== undefined) throw new Error(`it ended with exit code ${child.exitCode()}`);
  } catch (error) {
    await stop("SIGKILL");
    throw new Error(`the engine did not start: ${error}\n${child.output()}`, { cause: error });
  }
  const { pid, output, exitCode, kill } = child;
  return { url, pid, output, exitCode, stop, kill };
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`);
  await answer.body?.cancel();
  return answer.status === 200;
}

/** It ends by itself, shortly after an engine that was killed; a folder that it still writes in is not removed. */
async function embeddedPostgresToEnd(dataDir: string): Promise<void> {
  await until(() => !existsSync(join(dataDir, "postgres/postmaster.pid")), {
    deadlineMs: EMBEDDED_END_DEADLINE_MS,
    what: `the embedded Postgres in ${dataDir} ends with its engine`,
  });
}
