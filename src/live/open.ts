import { drizzle } from "drizzle-orm/node-postgres";
import type { Opening } from "../parts/context.ts";
import { openPool } from "../postgres/connect.ts";
import { ChangeHub } from "./change-hub.ts";
import { KeyWatch } from "./key-watch.ts";
import { LedgerTail } from "./ledger-tail.ts";
import { type LiveOptions, liveRoutes } from "./routes.ts";
import { StreamClients } from "./stream-clients.ts";

/** A separate connection, so that readers of the catalogue and listeners cannot delay each other. */
export const LIVE_CONNECTIONS = 1;

export interface LiveNeighbours extends Pick<LiveOptions, "knowsEvent" | "guard" | "serve"> {
  /** Returns the revoked ones of these API keys; rejects if the database is unavailable. */
  findRevoked(keyIds: string[]): Promise<string[]>;
  /** Calls the listener when a caller is newly denied. */
  onDenied(listener: () => void): void;
}

/** Opens the streams of seat changes. Poke `tail` after a commit; `close` ends all streams. */
export function openLive({ config, parts, metrics, log, lifecycle }: Opening) {
  const pool = openPool(
    {
      databaseUrl: parts.databaseUrl,
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: config.statementTimeoutMs,
      name: "sentinel-live",
      mayBeReadOnly: true,
      connectionLimit: LIVE_CONNECTIONS,
    },
    (error) => log.debug({ error: error.message }, "the database connection for seat changes was lost"),
  );
  lifecycle.onClose("pool for seat changes", () => pool.end());
  const database = drizzle(pool);
  // Created at 0, because rate() misses the first event of a counter that appears with it.
  metrics.changeStreamDrops.inc({ reason: "slow-consumer" }, 0);
  const tail = new LedgerTail({
    database,
    onRound: (round) => hub.tell(round),
    onNewEpoch: () => hub.startOver(),
  });
  const clients = new StreamClients(config.changeStreamLimit, config.changeStreamClientPercent);
  const hub = new ChangeHub({
    tail,
    limitStreams: config.changeStreamLimit,
    clients,
    onDropped: (reason) => metrics.changeStreamDrops.inc({ reason }),
  });
  return {
    tail,
    routes: ({ findRevoked, onDenied, ...neighbours }: LiveNeighbours) => {
      onDenied(() => void clients.endThoseDenied());
      const watch = new KeyWatch(clients, findRevoked);
      lifecycle.onClose("watch over the keys of streams", () => watch.close());
      return liveRoutes({ hub, ...neighbours });
    },
    refresh: () => metrics.changeStreams.set(hub.size),
    close: () => hub.close(),
  };
}
