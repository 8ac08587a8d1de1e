import { type PriceTier, Seating, type SectionLayout } from "./layout.ts";

/** An event as stored in the database. Times are in milliseconds since 1970. */
export interface EventFacts {
  id: number;
  name: string;
  /** ISO 4217. */
  currency: string;
  cancellable: boolean;
  status: "open" | "closed";
  /** Whether holds cannot be extended or confirmed while the event is closed. */
  stopsExtensions?: boolean;
  stopsConfirmations?: boolean;
  onSaleAtMs: number | null;
  offSaleAtMs: number | null;
  holdTtlSeconds: number;
  holdLimitSeconds: number;
  reservationLimitSeats: number;
  buyerLimitSeats: number | null;
  focalX: number | null;
  focalY: number | null;
  priceTiers: PriceTier[];
  createdAtMs: number;
  revision: number;
}

export interface SectionFacts {
  id: number;
  eventId: number;
  name: string;
  firstSeatId: number;
  seatCount: number;
  layout: SectionLayout;
}

/** A new event, with its sections in the order of their seats. */
export interface EventDraft extends Omit<EventFacts, "id" | "createdAtMs" | "revision"> {
  sections: { name: string; layout: SectionLayout }[];
}

/** A section with its seating computed. Seat `firstSeatId + index` is at `index` of the seating. */
export interface Section extends SectionFacts {
  seating: Seating;
}

export interface CatalogueEvent extends EventFacts {
  /** In the order of their seat ids. */
  sections: Section[];
}

/**
 * The events and sections that this process knows, reloaded when the database's revision has advanced. A seat
 * may be missing here: another process has just created it, or it has no layout.
 */
export class Catalogue {
  private byId = new Map<number, CatalogueEvent>();
  /** All sections, ascending by first seat id. */
  private sections: Section[] = [];
  private newest = -1;

  /** The newest revision loaded so far. */
  get revision(): number {
    return this.newest;
  }

  get events(): CatalogueEvent[] {
    return [...this.byId.values()];
  }

  event(id: number): CatalogueEvent | undefined {
    return this.byId.get(id);
  }

  /**
   * Replaces the contents with all events and sections of the database. Known sections keep their seating,
   * which never changes.
   */
  replace(events: EventFacts[], sections: SectionFacts[]): void {
    const known = new Map(this.sections.map((section) => [section.id, section]));
    this.sections = sections
      .map((facts) => known.get(facts.id) ?? { ...facts, seating: new Seating(facts.layout) })
      .toSorted((a, b) => a.firstSeatId - b.firstSeatId);
    const bySection = Map.groupBy(this.sections, (section) => section.eventId);
    this.byId = new Map(
      events.map((event) => [event.id, { ...event, sections: bySection.get(event.id) ?? [] }]),
    );
    this.newest = Math.max(-1, ...events.map((event) => event.revision));
  }

  /** Returns the section that contains a seat. */
  sectionOf(seatId: number): Section | undefined {
    let low = 0;
    let high = this.sections.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const section = this.sections[middle];
      if (!section) return undefined;
      if (seatId < section.firstSeatId) high = middle - 1;
      else if (seatId >= section.firstSeatId + section.seatCount) low = middle + 1;
      else return section;
    }
    return undefined;
  }
}
