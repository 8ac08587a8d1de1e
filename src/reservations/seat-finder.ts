import type { Catalogue, CatalogueEvent, Section } from "../catalogue/catalogue.ts";
import { findBestSeats, type SeatSearch } from "../seats/best-available.ts";
import { nextFree } from "../seats/general-admission.ts";
import { nearAlternatives } from "../seats/near-alternatives.ts";
import type { SeatId } from "../seats/seat-id.ts";
import type { SeatMemory } from "../seats/seat-memory.ts";
import type { Wish } from "./hold-body.ts";

/** Free seats named in a refusal. */
const ALTERNATIVE_LIMIT = 5;

export interface SeatFinderOptions {
  catalogue: Catalogue;
  memory: SeatMemory;
  isInFlight(seatId: SeatId): boolean;
}

/** A wish that leaves the choice of seats to the engine, made ready to be asked again and again. */
export interface Search {
  sections: Section[];
  /** The seats to try next, none of those to be avoided; undefined when memory knows of no such seats. */
  next(avoided: ReadonlySet<SeatId>): SeatId[] | undefined;
  /** Seats that would do, were nobody deciding on them at this moment: whoever does may yet lose them. */
  awaited(): SeatId[] | undefined;
}

/** What of a wish does not fit its event. */
export interface Unfit {
  /** The field and what it must be. */
  detail: string;
}

/** Finds seats in memory, which the database then decides on. */
export class SeatFinder {
  /** Where the search in a section of general admission goes on; each process begins anywhere. */
  private readonly cursors = new Map<number, number>();

  constructor(private readonly options: SeatFinderOptions) {}

  /** @returns what does not fit where the event has no such section or price tier. */
  searchFor(event: CatalogueEvent, { section, quantity, bestAvailable }: Wish): Search | Unfit {
    if (bestAvailable) return this.searchBest(event, bestAvailable);
    const found = event.sections.find(({ name }) => name === section);
    if (!found) return { detail: `section: there is no "${section}" in event ${event.id}.` };
    if (found.layout.kind === "general" && (quantity ?? 1) > found.seatCount)
      return { detail: `quantity: "${section}" has ${found.seatCount} places.` };
    if (found.layout.kind !== "general")
      return { detail: `section: "${section}" has numbered seats; ask for seatIds or bestAvailable.` };
    return this.unlessSoldOut({
      sections: [found],
      next: (avoided) => this.nextPlaces(found, quantity ?? 1, avoided),
      awaited: () => nextFree(found, quantity ?? 1, 0, this.isAvailable) as SeatId[] | undefined,
    });
  }

  /** Up to 5 free seats near these. */
  alternativesTo(seatIds: SeatId[]): SeatId[] {
    const sections = new Set(seatIds.flatMap((seatId) => this.options.catalogue.sectionOf(seatId) ?? []));
    return nearAlternatives({
      asked: seatIds,
      sections: [...sections],
      limit: ALTERNATIVE_LIMIT,
      isFree: this.isFree,
    }) as SeatId[];
  }

  private readonly isAvailable = (seatId: number): boolean => this.options.memory.isAvailable(seatId);

  private readonly isFree = (seatId: number): boolean =>
    this.isAvailable(seatId) && !this.options.isInFlight(seatId as SeatId);

  private isFreeBut(avoided: ReadonlySet<SeatId>): (seatId: number) => boolean {
    if (avoided.size === 0) return this.isFree;
    return (seatId) => this.isFree(seatId) && !avoided.has(seatId as SeatId);
  }

  private searchBest(event: CatalogueEvent, wish: NonNullable<Wish["bestAvailable"]>): Search | Unfit {
    const assigned = event.sections.filter(({ layout }) => layout.kind === "assigned");
    if (assigned.length === 0)
      return {
        detail: `bestAvailable: event ${event.id} has no numbered seats; ask for section and quantity.`,
      };
    const unknown = wish.sections?.find((name) => !assigned.some((section) => section.name === name));
    if (unknown !== undefined)
      return {
        detail: `bestAvailable.sections: event ${event.id} has no "${unknown}" with numbered seats.`,
      };
    const tierNames = event.priceTiers.map(({ name }) => name);
    const unpriced = wish.priceTiers?.find((name) => !tierNames.includes(name));
    if (unpriced !== undefined)
      return { detail: `bestAvailable.priceTiers: there is no "${unpriced}" in event ${event.id}.` };
    const sections = wish.sections ? assigned.filter(({ name }) => wish.sections?.includes(name)) : assigned;
    const search: Omit<SeatSearch, "isFree"> = {
      quantity: wish.quantity,
      sections,
      ...(wish.priceTiers && { priceTiers: new Set(wish.priceTiers.map((name) => tierNames.indexOf(name))) }),
      accessible: wish.accessible,
      adjacency: wish.adjacency,
      focal:
        event.focalX === null || event.focalY === null ? undefined : { x: event.focalX, y: event.focalY },
    };
    return this.unlessSoldOut({
      sections,
      next: (avoided) =>
        findBestSeats({ ...search, isFree: this.isFreeBut(avoided) }) as SeatId[] | undefined,
      awaited: () => findBestSeats({ ...search, isFree: this.isAvailable }) as SeatId[] | undefined,
    });
  }

  /** A search of a sold out house looks at every seat (29 ms for a million): the counts say it at once. */
  private unlessSoldOut({ next, awaited, ...search }: Search): Search {
    const { memory } = this.options;
    const mayBeThere = () =>
      search.sections.some(({ firstSeatId, seatCount }) => memory.mayHaveAvailable(firstSeatId, seatCount));
    return {
      ...search,
      next: (avoided) => (mayBeThere() ? next(avoided) : undefined),
      awaited: () => (mayBeThere() ? awaited() : undefined),
    };
  }

  private nextPlaces(section: Section, quantity: number, avoided: ReadonlySet<SeatId>): SeatId[] | undefined {
    // Whoever lost a race jumps: a process that follows close behind another would lose each one after it too.
    const cursor = avoided.size === 0 ? this.cursors.get(section.id) : undefined;
    const from = cursor ?? Math.floor(Math.random() * section.seatCount);
    const found = nextFree(section, quantity, from, this.isFreeBut(avoided));
    const last = found?.at(-1);
    this.cursors.set(section.id, last === undefined ? from : last - section.firstSeatId + 1);
    return found as SeatId[] | undefined;
  }
}
