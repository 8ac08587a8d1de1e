import type { Database } from "../postgres/connect.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { CatalogueKeeper } from "./keeper.ts";

export interface CatalogueDependencies {
  database: Database;
  memory: SeatMemory;
}

/**
 * Reads the catalogue.
 * @throws if the database cannot be read.
 */
export async function openCatalogue({ database, memory }: CatalogueDependencies): Promise<CatalogueKeeper> {
  const catalogue = new CatalogueKeeper(database, memory);
  await catalogue.refresh();
  return catalogue;
}
