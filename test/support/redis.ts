import { connect } from "node:net";
import { startChild } from "./child.ts";
import { freePort } from "./free-port.ts";
import { findProgram, type Missing, present } from "./parts.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./until.ts";

const START_DEADLINE_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 1_000;

export interface Redis {
  url: string;
  port: number;
  pid: number;
  /** Hangs it: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** SIGKILL. `startRedis(port)` brings an empty one back at the same address. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** Redis or Valkey on PATH. */
export const findRedis = (): string | Missing => findProgram("redis-server", "valkey-server");

/**
 * A Redis of its own that keeps nothing, ready to answer.
 * @param settings more of its command line.
 */
export async function startRedis(port?: number, settings: string[] = []): Promise<Redis> {
  const program = present(findRedis());
  const listen = port ?? (await freePort());
  const dir = await tempDir("redis");
  const child = startChild("redis", [
    ...[program, "--port", String(listen), "--bind", "127.0.0.1", "--dir", dir.path],
    ...["--save", "", "--appendonly", "no", "--daemonize", "no", ...settings],
  ]);
  const stop = async () => {
    await child.end("SIGTERM", STOP_TIMEOUT_MS);
    await dir.remove();
  };
  try {
    await until(async () => child.exitCode() !== undefined || (await processAt(listen)) === child.pid, {
      deadlineMs: START_DEADLINE_MS,
      what: `Redis answers on port ${listen} as process ${child.pid}`,
    });
    if (child.exitCode() !== undefined) throw new Error("Redis ended at its start");
  } catch (error) {
    await stop();
    throw new Error(`Redis did not start:\n${child.output()}`, { cause: error });
  }
  const { pid, pause, resume, kill } = child;
  return { url: `redis://127.0.0.1:${listen}`, port: listen, pid, pause, resume, kill, stop };
}

/**
 * The process id of the Redis that answers on the port. A PING would be answered just as well by another server that has
 * the port, in which case the new one cannot listen and exits.
 */
function processAt(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("INFO server\r\n"));
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.once("data", (answer) => {
      resolve(Number(/process_id:(\d+)/.exec(answer.toString())?.[1]));
      socket.destroy();
    });
    socket.once("error", () => resolve(undefined));
    socket.once("close", () => resolve(undefined));
  });
}
