import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { Elysia } from "elysia";
import type { Guard } from "../access/guard.ts";
import type { RunAsAdmin } from "../postgres/admin-session.ts";
import type { SeatMemory } from "../seats/seat-memory.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { adminRoutes } from "./admin-routes.ts";
import { type FromDatabase, fromDatabase } from "./asking.ts";
import { eventRoutes } from "./event-routes.ts";
import type { CatalogueKeeper } from "./keeper.ts";
import { MapCache } from "./map-cache.ts";
import { mapRoutes } from "./map-routes.ts";
import { seatRoutes } from "./seat-routes.ts";

export interface CatalogueOptions {
  database: NodePgDatabase;
  /** Whether enough readers wait for a connection. */
  isBusy(): boolean;
  keeper: CatalogueKeeper;
  memory: SeatMemory;
  runAsAdmin: RunAsAdmin;
  guard: Pick<Guard, "guarded" | "identityOf">;
  metrics: Metrics;
  log: Logger;
}

/** What the routes of the catalogue have in common. */
export interface CatalogueNeighbours extends Omit<CatalogueOptions, "isBusy" | "memory" | "log"> {
  ask: FromDatabase;
  maps: MapCache;
}

/** Events, sections and seats: to look at, and for administrators to make. */
export function catalogueRoutes({ isBusy, memory, log, ...same }: CatalogueOptions) {
  const neighbours = { ...same, ask: fromDatabase(log, isBusy), maps: new MapCache(memory) };
  return new Elysia({ name: "catalogue" })
    .use(eventRoutes(neighbours))
    .use(mapRoutes(neighbours))
    .use(seatRoutes(neighbours))
    .use(adminRoutes(neighbours));
}
