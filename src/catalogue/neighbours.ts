import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { Guard } from "../access/guard.ts";
import type { FromDatabase } from "../http/from-database.ts";
import type { Serve } from "../http/route.ts";
import type { RunAsAdmin } from "../postgres/admin-session.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { CatalogueKeeper } from "./keeper.ts";
import type { MapCache } from "./map-cache.ts";

export interface CatalogueOptions {
  database: NodePgDatabase;
  /** Whether enough readers wait for a connection. */
  isBusy(): boolean;
  /** False while the database is known not to answer. */
  answers(): boolean;
  keeper: CatalogueKeeper;
  memory: SeatMemory;
  runAsAdmin: RunAsAdmin;
  guard: Pick<Guard, "identityOf" | "charge">;
  serve: Serve;
  log: Logger;
}

/** What the routes of the catalogue have in common. */
export interface CatalogueNeighbours extends Omit<CatalogueOptions, "isBusy" | "answers" | "memory" | "log"> {
  ask: FromDatabase;
  /** As `ask`, for what memory cannot answer. */
  askDatabase: FromDatabase;
  maps: MapCache;
}
