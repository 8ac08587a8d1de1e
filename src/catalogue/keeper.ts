import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { readCatalogue, readPulse } from "../postgres/catalogue.ts";
import { SharedFlight } from "../runtime/shared-flight.ts";
import { Catalogue, type CatalogueEvent, type SectionFacts } from "../venue/catalogue.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";

/**
 * Keeps the catalogue as the database has it. This process's own changes are taken in before they are
 * answered; those of other processes when the probe of the database sees a newer revision (each second), or
 * when somebody asks for an event that is not known here.
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
   * Takes in what was committed before the call.
   * @throws when the database cannot be read; what was known stays.
   */
  refresh(): Promise<void> {
    // A load that is under way may have read before the change: only a later one is sure to see it.
    return this.loading.next();
  }

  /** The database's newest revision was seen; what cannot be read now is read when it is seen again. */
  noticed(revision: number): void {
    if (this.isStale || revision !== this.catalogue.revision) this.refresh().catch(() => undefined);
  }

  /** Commits may have been lost, and ids given anew: nothing that is known is believed at the next reading. */
  forget(): void {
    this.isStale = true;
  }

  /**
   * The event, also when another process made it a moment ago. However many ask for events that are not
   * there, they share one look at the database at a time.
   * @throws when the database cannot be asked.
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

  /** A section's seats begin free, at version 0; what has changed since is known by something newer, or soon will be. */
  private rememberSeats({ eventId, firstSeatId, seatCount }: SectionFacts): void {
    const isFinal = this.catalogue.event(eventId)?.cancellable === false;
    for (let index = 0; index < seatCount; index++) {
      this.memory.learn(firstSeatId + index, 0, "available", isFinal);
    }
  }
}
