import { closeSync, lstatSync, openSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { type Config, ConfigError } from "../../config/config.ts";
import { Loop } from "../../runtime/loop.ts";
import { chooseEvicted, type Doing, doingOf } from "./eviction.ts";
import type { Connection, ServerSockets } from "./server-sockets.ts";

/**
 * Interval of the check, which takes 20 µs. A flood that opens 10,000 connections a second, the most that one
 * core accepts, opens 1,000 meanwhile.
 */
const LOOK_INTERVAL_MS = 100;
const COUNT_INTERVAL_MS = 5000;
/** Descriptors examined in one turn of the event loop, at 3.5 µs each. */
const SLICE_DESCRIPTORS = 500;
/**
 * Share of the process's descriptors. The rest is for databases, files, and connections that arrive between
 * two checks.
 */
const CONNECTION_SHARE = 0.75;
/** Used if a process may have a million descriptors; an idle connection takes 3 kB. */
const DEFAULT_LIMIT = 50_000;

export interface ConnectionLimitOptions {
  sockets: ServerSockets;
  limit: number;
  onCount(connections: number): void;
  onClosed(doing: Doing, connections: number): void;
}

/**
 * Keeps the connections of a server within a limit. Without one, a flood takes every descriptor of the
 * process. Bun then spins and serves nobody, and new connections to the database fail (seen).
 *
 * It does nothing per request or per connection. Ten times a second it opens a descriptor and closes it
 * again: the system gives the lowest free one, whose number shows whether there may be too many. Only then it
 * examines all. It misses closed low descriptors under open high ones; the full count every 5 s does not.
 */
export class ConnectionLimit {
  private readonly loop: Loop;
  private countedAt = performance.now();
  /** Descriptors that are not connections, as last seen. */
  private others = 0;

  constructor(private readonly options: ConnectionLimitOptions) {
    this.loop = new Loop(async () => {
      if (performance.now() - this.countedAt >= COUNT_INTERVAL_MS) await this.count();
      else if (this.isCrowded()) await this.makeRoom();
      return LOOK_INTERVAL_MS;
    }, LOOK_INTERVAL_MS);
  }

  stop(): void {
    void this.loop.stop();
  }

  private isCrowded(): boolean {
    try {
      const lowestFree = openSync("/dev/null", "r");
      closeSync(lowestFree);
      return lowestFree - this.others > this.options.limit;
    } catch {
      // No descriptor is left.
      return true;
    }
  }

  private async count(): Promise<void> {
    const { sockets, limit, onCount } = this.options;
    this.countedAt = performance.now();
    let connections = 0;
    const others: number[] = [];
    await this.eachDescriptor((descriptor) => {
      if (sockets.isConnection(descriptor)) connections++;
      else others.push(descriptor);
    });
    // Files and database connections that closed since would otherwise count as room for as many clients.
    this.others = this.stillOthers(others);
    onCount(connections);
    if (connections > limit) await this.makeRoom();
  }

  private async makeRoom(): Promise<void> {
    const { sockets, limit, onClosed, onCount } = this.options;
    const connections: Connection[] = [];
    const others: number[] = [];
    await this.eachDescriptor((descriptor) => {
      const connection = sockets.look(descriptor);
      if (connection) connections.push(connection);
      else others.push(descriptor);
    });
    this.others = this.stillOthers(others);
    const closed: Record<Doing, number> = { silent: 0, idle: 0, asking: 0 };
    const evicted = chooseEvicted(connections, limit);
    await inSlices(evicted, ({ descriptor, doing, sentAgoMs }) => {
      // It may have sent a request or been answered since, or be another connection by now.
      const now = sockets.look(descriptor);
      if (!now || doingOf(now) !== doing || now.sentAgoMs < sentAgoMs) return;
      sockets.end(descriptor);
      closed[doing]++;
    });
    for (const doing of ["silent", "idle", "asking"] as const)
      if (closed[doing] > 0) onClosed(doing, closed[doing]);
    onCount(connections.length - closed.silent - closed.idle - closed.asking);
  }

  /**
   * Counts the descriptors that are still open. In a flood many close during the examination, and room would
   * seem free.
   */
  private stillOthers(descriptors: readonly number[]): number {
    const { sockets } = this.options;
    return descriptors.filter((each) => isOpen(each) && !sockets.isConnection(each)).length;
  }

  private async eachDescriptor(see: (descriptor: number) => void): Promise<void> {
    const used = await readdir("/proc/self/fd").catch(() => undefined);
    // Reading the folder takes a descriptor, so a failure means that all are taken.
    const all = () => Array.from({ length: descriptorLimit() ?? 0 }, (_, descriptor) => descriptor);
    await inSlices(used?.map(Number) ?? all(), see);
  }
}

const isOpen = (descriptor: number): boolean =>
  lstatSync(`/proc/self/fd/${descriptor}`, { throwIfNoEntry: false }) !== undefined;

/** Lets requests be answered between the slices. */
async function inSlices<Item>(items: readonly Item[], see: (item: Item) => void): Promise<void> {
  for (let from = 0; from < items.length; from += SLICE_DESCRIPTORS) {
    for (const item of items.slice(from, from + SLICE_DESCRIPTORS)) see(item);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Returns CONNECTION_LIMIT, or the number that the process has descriptors for.
 * @throws {ConfigError} if there are too few descriptors for the setting
 */
export function connectionLimitOf({ connectionLimit }: Pick<Config, "connectionLimit">): number {
  const descriptors = descriptorLimit();
  const possible = descriptors === undefined ? DEFAULT_LIMIT : Math.floor(descriptors * CONNECTION_SHARE);
  if (connectionLimit === undefined) return Math.min(possible, DEFAULT_LIMIT);
  if (descriptors === undefined || connectionLimit <= possible) return connectionLimit;
  throw new ConfigError(
    `CONNECTION_LIMIT: ${connectionLimit} is more than three quarters of the ${descriptors} files that this process may open: raise those (ulimit -n, LimitNOFILE) or lower it to ${possible}`,
  );
}

let knownDescriptorLimit: number | undefined;

/** Read once, while a descriptor is free to read it. */
function descriptorLimit(): number | undefined {
  if (process.platform !== "linux") return undefined;
  knownDescriptorLimit ??= Number(
    /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? DEFAULT_LIMIT,
  );
  return knownDescriptorLimit;
}
