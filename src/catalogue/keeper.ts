import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { readCatalogue, readPulse } from "../postgres/catalogue.ts";
import { SharedFlight } from "../runtime/shared-flight.ts";
import { Catalogue, type CatalogueEvent, type SectionFacts } from "../venue/catalogue.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";

/**
 * Keeps the catalogue equal to the database. It takes in this process's own changes before they are answered. It takes
 * in the changes of other processes when the probe of the database sees a newer revision (each second), or when
 * somebody asks for an event that is not known here.
 */
export class CatalogueKeeper {
  readonly catalogue = new Catalogue();
  private sections: SectionFacts[] = [];
  private readonly loading = new SharedFlight(() => this.load());
  private readonly looking = new SharedFlight(() => this.look());
  private isStale = true;

  constructor(
    private readonly database: NodePgDatabase,
    private readonly memory: SeatMemory,
  ) {}

  /**
   * Takes in everything that was committed before the call.
   * @throws if the database cannot be read; the catalogue then stays as it was.
   */
  refresh(): Promise<void> {
    // A load that is already running may have read before the change. Only a later one is sure to see it.
    return this.loading.next();
  }

  /** Reloads the catalogue if the database has another revision. If the reload fails, the next call tries again. */
  noticed(revision: number): void {
    if (this.isStale || revision !== this.catalogue.revision) this.refresh().catch(() => undefined);
  }

  /**
   * Marks the catalogue as stale, because commits may have been lost and their ids given out again. The next load
   * replaces everything.
   */
  forget(): void {
    this.isStale = true;
  }

  /**
   * Returns the event, even if another process created it a moment ago. All requests for unknown events share one look
   * at the database at a time.
   * @throws if the database cannot be asked.
   */
  async find(eventId: number): Promise<CatalogueEvent | undefined> {
    const known = this.catalogue.event(eventId);
    if (known) return known;
    await this.looking.join();
    return this.catalogue.event(eventId);
  }

  private async look(): Promise<void> {
    const { catalogueRevision } = await readPulse(this.database);
    if (catalogueRevision !== this.catalogue.revision) await this.refresh();
  }

  private async load(): Promise<void> {
    const isFresh = this.isStale;
    this.isStale = false;
    const known = isFresh ? [] : this.sections;
    const last = known.at(-1)?.id ?? 0;
    try {
      const { events, sections } = await readCatalogue(this.database, last);
      if (isFresh) this.catalogue.replace([], []);
      this.sections = [...known, ...sections];
      this.catalogue.replace(events, this.sections);
      if (!isFresh) for (const section of sections) this.rememberSeats(section);
    } catch (error) {
      this.isStale ||= isFresh;
      throw error;
    }
  }

  /**
   * Puts a section's seats into memory as free, at version 0. Changes since then have higher versions, so they win
   * whenever memory learns them.
   */
  private rememberSeats({ eventId, firstSeatId, seatCount }: SectionFacts): void {
    const isFinal = this.catalogue.event(eventId)?.cancellable === false;
    for (let index = 0; index < seatCount; index++) {
      this.memory.learn(firstSeatId + index, 0, "available", isFinal);
    }
  }
}
