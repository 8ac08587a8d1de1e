import { findBestSeats, type SeatSearch, sectionsThatMaySuit } from "../venue/best-available.ts";
import type { Catalogue, CatalogueEvent, Section } from "../venue/catalogue.ts";
import { nextFree } from "../venue/general-admission.ts";
import { nearAlternatives } from "../venue/near-alternatives.ts";
import type { SearchBudget } from "../venue/search-budget.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
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
  /** Those of them that have seats of the wanted kind, free or not. */
  suitable: Section[];
  /**
   * The seats to try next, none of those to be avoided; undefined when memory knows of no such seats, or the budget
   * is spent.
   */
  next(avoided: ReadonlySet<SeatId>, budget?: SearchBudget): SeatId[] | undefined;
  /** Seats that would do, were nobody deciding on them at this moment: whoever does may yet lose them. */
  awaited(budget?: SearchBudget): SeatId[] | undefined;
}

/** What the last search saw. */
interface Seen {
  /** Whether there were seats in flight for others. If not, there is nothing to wait for and no need to look again. */
  isBusy: boolean;
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
    const seen: Seen = { isBusy: false };
    return this.unlessSoldOut({
      ...{ sections: [found], suitable: [found], seen },
      next: (avoided, budget) =>
        this.nextPlaces(found, quantity ?? 1, this.isFreeBut(avoided, seen), avoided.size > 0, budget),
      awaited: (budget) =>
        nextFree(found, quantity ?? 1, 0, this.isAvailable, budget) as SeatId[] | undefined,
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

  private isFreeBut(avoided: ReadonlySet<SeatId>, seen: Seen): (seatId: number) => boolean {
    seen.isBusy = false;
    return (seatId) => {
      if (!this.isAvailable(seatId)) return false;
      const isBusy = this.options.isInFlight(seatId as SeatId) || avoided.has(seatId as SeatId);
      seen.isBusy ||= isBusy;
      return !isBusy;
    };
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
    const named = new Set(wish.sections);
    const kind: Pick<SeatSearch, "priceTiers" | "accessible"> = {
      ...(wish.priceTiers && { priceTiers: new Set(wish.priceTiers.map((name) => tierNames.indexOf(name))) }),
      accessible: wish.accessible,
    };
    const sections = wish.sections ? assigned.filter(({ name }) => named.has(name)) : assigned;
    const suitable = sectionsThatMaySuit(sections, kind);
    const search: Omit<SeatSearch, "isFree" | "sections"> = {
      ...kind,
      quantity: wish.quantity,
      adjacency: wish.adjacency,
      focal:
        event.focalX === null || event.focalY === null ? undefined : { x: event.focalX, y: event.focalY },
    };
    const seen: Seen = { isBusy: false };
    return this.unlessSoldOut({
      ...{ sections, suitable, seen },
      next: (avoided, budget) =>
        findBestSeats({
          ...{ ...search, ...(budget && { budget }), sections: this.withFree(suitable) },
          isFree: this.isFreeBut(avoided, seen),
        }) as SeatId[] | undefined,
      awaited: (budget) =>
        findBestSeats({
          ...{ ...search, ...(budget && { budget }), sections: this.withFree(suitable) },
          isFree: this.isAvailable,
        }) as SeatId[] | undefined,
    });
  }

  /** A search of a sold out house looks at every seat (29 ms for a million): the counts say it at once. */
  private unlessSoldOut({ next, awaited, seen, ...search }: Search & { seen: Seen }): Search {
    const mayBeThere = () => this.withFree(search.suitable).length > 0;
    return {
      ...search,
      next: (avoided, budget) => (mayBeThere() ? next(avoided, budget) : undefined),
      awaited: (budget) => (seen.isBusy && mayBeThere() ? awaited(budget) : undefined),
    };
  }

  private withFree(sections: Section[]): Section[] {
    const { memory } = this.options;
    return sections.filter(({ firstSeatId, seatCount }) => memory.mayHaveAvailable(firstSeatId, seatCount));
  }

  private nextPlaces(
    section: Section,
    quantity: number,
    isFree: (seatId: number) => boolean,
    hasLost: boolean,
    budget: SearchBudget | undefined,
  ): SeatId[] | undefined {
    // Whoever lost a race jumps: a process that follows close behind another would lose each one after it too.
    const cursor = hasLost ? undefined : this.cursors.get(section.id);
    const from = cursor ?? Math.floor(Math.random() * section.seatCount);
    const found = nextFree(section, quantity, from, isFree, budget);
    const last = found?.at(-1);
    this.cursors.set(section.id, last === undefined ? from : last - section.firstSeatId + 1);
    return found as SeatId[] | undefined;
  }
}
