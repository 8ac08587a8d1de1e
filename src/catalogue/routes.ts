import { Elysia } from "elysia";
import { fromDatabase } from "../health/from-database.ts";
import { adminRoutes } from "./admin-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { MapCache } from "./map-cache.ts";
import { mapRoutes } from "./map-routes.ts";
import type { CatalogueOptions } from "./neighbours.ts";
import { seatRoutes } from "./seat-routes.ts";

/** Events, sections and seats: to look at (`looking`), and for administrators to make (`administration`). */
export function catalogueRoutes({ isBusy, memory, log, ...same }: CatalogueOptions) {
  const neighbours = {
    ...same,
    ask: fromDatabase(log, "what the catalogue asks", isBusy),
    maps: new MapCache(memory),
  };
  const looking = new Elysia({ name: "catalogue" })
    .use(eventRoutes(neighbours))
    .use(mapRoutes(neighbours))
    .use(seatRoutes(neighbours));
  return { looking, administration: adminRoutes(neighbours) };
}
