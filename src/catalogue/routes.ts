import { fromDatabase } from "../http/from-database.ts";
import { adminRoutes } from "./admin-routes.ts";
import type { CatalogueOptions } from "./dependencies.ts";
import { eventRoutes } from "./event-routes.ts";
import { MapCache } from "./map-cache.ts";
import { mapRoutes } from "./map-routes.ts";
import { seatRoutes } from "./seat-routes.ts";

/**
 * The routes of events, sections and seats: those that show them (`looking`) and those that change them
 * (`administration`).
 */
export function catalogueRoutes({ isBusy, answers, memory, log, ...same }: CatalogueOptions) {
  const what = "what the catalogue asks";
  const dependencies = {
    ...same,
    ask: fromDatabase({ log, what, isBusy }),
    askDatabase: fromDatabase({ log, what, isBusy, answers }),
    maps: new MapCache(memory),
  };
  return {
    looking: [...eventRoutes(dependencies), ...mapRoutes(dependencies), ...seatRoutes(dependencies)],
    administration: adminRoutes(dependencies),
  };
}
