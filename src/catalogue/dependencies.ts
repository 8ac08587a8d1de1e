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
  /** Whether the queue of readers that wait for a connection is full. */
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

/** The dependencies that the routes of the catalogue share. */
export interface RouteDependencies extends Omit<CatalogueOptions, "isBusy" | "answers" | "memory" | "log"> {
  ask: FromDatabase;
  /** Like `ask`, for questions that memory cannot answer. */
  askDatabase: FromDatabase;
  maps: MapCache;
}
