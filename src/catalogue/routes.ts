import { Elysia } from "elysia";
import { fromDatabase } from "../health/from-database.ts";
import { adminRoutes } from "./admin-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { MapCache } from "./map-cache.ts";
import { mapRoutes } from "./map-routes.ts";
import type { CatalogueOptions } from "./neighbours.ts";
import { seatRoutes } from "./seat-routes.ts";

/** Events, sections and seats: to look at, and for administrators to make. */
export function catalogueRoutes({ isBusy, memory, log, ...same }: CatalogueOptions) {
  const neighbours = {
    ...same,
    ask: fromDatabase(log, "what the catalogue asks", isBusy),
    maps: new MapCache(memory),
  };
  return new Elysia({ name: "catalogue" })
    .use(eventRoutes(neighbours))
    .use(mapRoutes(neighbours))
    .use(seatRoutes(neighbours))
    .use(adminRoutes(neighbours));
}
