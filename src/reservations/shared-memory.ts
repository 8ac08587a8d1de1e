import { hostname } from "node:os";
import { redisTlsOf } from "../config/credential-relations.ts";
import { type Context, keyPrefixOf } from "../parts/context.ts";
import type { Database } from "../postgres/connect.ts";
import { readCompany } from "../postgres/presence.ts";
import { SeatFeed } from "../redis/seat-feed.ts";
import { FaultLog, messageOf } from "../telemetry/log.ts";
import type { SeatEvents } from "../venue/seat-events.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { MemoryKeeper } from "./memory-keeper.ts";
import { MemoryTrust } from "./memory-trust.ts";
import { learnChanges } from "./seat-changes.ts";

const UNHEARD =
  "other engines use this database and are not heard: Postgres refuses sold seats, which takes longer than memory; give all the same REDIS_URL";
const ALL_HEARD = "no engine uses this database unheard: memory refuses sold seats again";

export interface SharedMemoryDependencies {
  memory: SeatMemory;
  seatEvents: SeatEvents;
  reads: Database;
  probes: Database;
  /** The number by which other processes see this one. */
  presence: number;
}

export interface SharedMemory {
  keeper: MemoryKeeper;
  trust: MemoryTrust;
  isFeedLive(): boolean;
}

/**
 * Fills memory, keeps it up to date with other processes, and decides whether it may be trusted. Changes come by the
 * feed, or every few seconds where there is none or an engine is not heard on it.
 */
export function openSharedMemory(context: Context, dependencies: SharedMemoryDependencies): SharedMemory {
  const { log, lifecycle } = context;
  const { memory, reads, probes, presence } = dependencies;
  const feed = openFeed(context, presence);
  const isFeedLive = () => feed?.isLive ?? false;
  const keeper = new MemoryKeeper(reads, memory, isFeedLive);
  lifecycle.onClose("memory keeper", () => keeper.close());
  keeper.catchUp().catch((error: Error) => log.warn({ error: messageOf(error) }, "memory starts cold"));
  const trust = new MemoryTrust({
    presence,
    readCompany: () => readCompany(probes),
    isFeedLive,
    hears: (other) => feed?.hears(other) ?? false,
    catchUp: () => keeper.catchUp(),
    onLook: (unheardCount) => keeper.missesChanges(unheardCount > 0),
    onUnheard: (count) => log.info({ engines: count }, count > 0 ? UNHEARD : ALL_HEARD),
  });
  lifecycle.onClose("memory trust", () => trust.close());
  if (feed) listenTo(feed, context, { ...dependencies, keeper, trust });
  return { keeper, trust, isFeedLive };
}

function openFeed({ config, parts, lifecycle }: Context, presence: number): SeatFeed | undefined {
  const [redisUrl] = parts.redisUrls;
  if (redisUrl === undefined) return undefined;
  const feed = new SeatFeed({
    redis: { url: redisUrl, tls: redisTlsOf(config) },
    channel: `${keyPrefixOf(parts)}:feed`,
    processId: `${hostname()}-${process.pid}-${presence}`,
    timeoutMs: config.redisTimeoutMs,
  });
  lifecycle.onClose("change feed", () => feed.close());
  return feed;
}

/** Sends this process's changes to its peers, and puts their changes into memory. */
function listenTo(
  feed: SeatFeed,
  { metrics, log }: Context,
  { memory, seatEvents, keeper, trust }: SharedMemoryDependencies & Pick<SharedMemory, "keeper" | "trust">,
): void {
  const refusals = new FaultLog(
    log,
    "Engines do not hear of each other through Redis: correct REDIS_URL, REDIS_TLS_... or its users",
  );
  feed.start({
    onChanges: (changes) => {
      learnChanges(memory, changes);
      seatEvents.changed(changes, "peer");
    },
    catchUp: async () => {
      await keeper.catchUp();
      metrics.feedCatchUps.inc();
    },
    onLive: (live) => {
      if (live) refusals.over();
      trust.feedChanged();
      log.debug({ live }, "the change feed between processes changed");
    },
    onRefused: (error) => refusals.met(error),
  });
  seatEvents.onChange((changes, changedBy) => {
    if (changedBy === "this-process") feed.publish(changes);
  });
}
