import { closeSync, lstatSync, openSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { type Config, ConfigError } from "../../config/config.ts";
import { Loop } from "../../runtime/loop.ts";
import type { Connection, ServerSockets } from "./server-sockets.ts";
import { type Doing, doingOf, whoGoes } from "./who-goes.ts";

/**
 * A flood that opens 10,000 connections a second, which is what one core accepts, opens 1,000 meanwhile. A look
 * takes 20 µs.
 */
const LOOK_INTERVAL_MS = 100;
const COUNT_INTERVAL_MS = 5000;
/** Descriptors that are asked about in one turn of the event loop: 3.5 µs each. */
const SLICE_DESCRIPTORS = 500;
/** Of the descriptors that a process may have: the rest is for databases, files, and what comes between two looks. */
const CONNECTION_SHARE = 0.75;
/** Where a process may have a million descriptors; a connection at rest takes 3 kB. */
const DEFAULT_LIMIT = 50_000;

export interface ConnectionLimitOptions {
  sockets: ServerSockets;
  limit: number;
  onCount(connections: number): void;
  onClosed(doing: Doing, connections: number): void;
}

/**
 * Keeps the connections of a server within a limit: without one a flood takes every descriptor of the process, with
 * which Bun spins and serves nobody, new connections to the database included (seen).
 *
 * Nothing is done per request or per connection. Ten times a second one descriptor is opened and closed again: the
 * system gives the lowest that is free, so that its number tells that there may be too many. Only then all are
 * looked at. Where some were closed, the lowest may be free with too many above it, though never more than there
 * were before: the count every 5 s sees those.
 */
export class ConnectionLimit {
  private readonly loop: Loop;
  private countedAt = performance.now();
  /** Descriptors that are no connections, as last seen. */
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
      // There is none left.
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
    // Files and connections to databases that have gone since would count as room for as many clients.
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
    const goers = whoGoes(connections, limit);
    await inSlices(goers, ({ descriptor, doing, sentAgoMs }) => {
      // It may have begun to ask or been answered since, or be another one by now.
      const now = sockets.look(descriptor);
      if (!now || doingOf(now) !== doing || now.sentAgoMs < sentAgoMs) return;
      sockets.end(descriptor);
      closed[doing]++;
    });
    for (const doing of ["silent", "idle", "asking"] as const)
      if (closed[doing] > 0) onClosed(doing, closed[doing]);
    onCount(connections.length - closed.silent - closed.idle - closed.asking);
  }

  /** Not those that were closed while all were looked at: in a flood they are many, and room would look free. */
  private stillOthers(descriptors: readonly number[]): number {
    const { sockets } = this.options;
    return descriptors.filter((each) => isOpen(each) && !sockets.isConnection(each)).length;
  }

  private async eachDescriptor(see: (descriptor: number) => void): Promise<void> {
    const used = await readdir("/proc/self/fd").catch(() => undefined);
    // To read the folder takes a descriptor: all are taken.
    const all = () => Array.from({ length: descriptorLimit() ?? 0 }, (_, descriptor) => descriptor);
    await inSlices(used?.map(Number) ?? all(), see);
  }
}

const isOpen = (descriptor: number): boolean =>
  lstatSync(`/proc/self/fd/${descriptor}`, { throwIfNoEntry: false }) !== undefined;

/** Requests are answered between the slices. */
async function inSlices<Item>(items: readonly Item[], see: (item: Item) => void): Promise<void> {
  for (let from = 0; from < items.length; from += SLICE_DESCRIPTORS) {
    for (const item of items.slice(from, from + SLICE_DESCRIPTORS)) see(item);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * CONNECTION_LIMIT, or what the process has descriptors for.
 * @throws {ConfigError} when there are too few for what was asked.
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

/** Read once, while there is a descriptor to read it by. */
function descriptorLimit(): number | undefined {
  if (process.platform !== "linux") return undefined;
  knownDescriptorLimit ??= Number(
    /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? DEFAULT_LIMIT,
  );
  return knownDescriptorLimit;
}
