import type { Access } from "../access/open.ts";
import type { Context } from "../parts/context.ts";
import type { Database } from "../postgres/connect.ts";
import type { SeatEvents } from "../venue/seat-events.ts";
import { ChangeHub } from "./change-hub.ts";
import { KeyWatch } from "./key-watch.ts";
import { LedgerTail } from "./ledger-tail.ts";
import { StreamClients } from "./stream-clients.ts";

export interface LiveDependencies {
  /** For streams alone, so that readers of the catalogue and listeners cannot delay each other. */
  database: Database;
  seatEvents: SeatEvents;
  access: Pick<Access, "keys" | "denials">;
}

export interface Live {
  hub: ChangeHub;
  /** Brings the gauges up to date. */
  refresh(): void;
  /** Ends all streams. */
  close(): void;
}

/** Opens the streams of seat changes. */
export function openLive(
  { config, metrics, lifecycle }: Context,
  { database, seatEvents, access }: LiveDependencies,
): Live {
  // Created at 0, because rate() misses the first event of a counter that appears with it.
  metrics.changeStreamDrops.inc({ reason: "slow-consumer" }, 0);
  const tail = new LedgerTail({ database });
  seatEvents.onChange(() => tail.poke());
  const clients = new StreamClients(config.changeStreamLimit, config.changeStreamClientPercent);
  access.denials.onAdded(() => void clients.endThoseDenied());
  const watch = new KeyWatch(clients, (keyIds) => access.keys.findRevoked(keyIds));
  lifecycle.onClose("watch over the keys of streams", () => watch.close());
  const hub = new ChangeHub({
    tail,
    limitStreams: config.changeStreamLimit,
    clients,
    onDropped: (reason) => metrics.changeStreamDrops.inc({ reason }),
  });
  tail.follow(hub);
  return { hub, refresh: () => metrics.changeStreams.set(hub.size), close: () => hub.close() };
}
