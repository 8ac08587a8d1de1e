import { LOOPBACK } from "../config/config.ts";
import { freePort, spawnGuarded } from "./child.ts";

export interface EmbeddedRedis {
  url: string;
  /** The binary that was found, `redis-server` or `valkey-server`. */
  name: string;
  stop(): Promise<void>;
}

/**
 * Starts the `redis-server` or `valkey-server` on PATH, without persistence: locks and messages need not
 * survive it. Returns undefined if there is none or it does not start; a single process needs no distributed
 * lock.
 */
export async function startEmbeddedRedis(): Promise<EmbeddedRedis | undefined> {
  const path = Bun.which("redis-server") ?? Bun.which("valkey-server");
  if (!path) return undefined;
  const port = await freePort();
  const options = ["--port", String(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no"];
  const child = spawnGuarded([path, ...options]);
  if (!(await child.saw("Ready to accept connections"))) return undefined;
  return {
    url: `redis://${LOOPBACK}:${port}`,
    name: path.endsWith("valkey-server") ? "valkey-server" : "redis-server",
    stop: () => child.stop(),
  };
}
