import { findBestSeats, type SeatSearch, sectionsThatMaySuit } from "../venue/best-available.ts";
import type { Catalogue, CatalogueEvent, Section } from "../venue/catalogue.ts";
import { nextFree } from "../venue/general-admission.ts";
import { nearAlternatives } from "../venue/near-alternatives.ts";
import type { SearchBudget } from "../venue/search-budget.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { Wish } from "./hold-body.ts";

/** Maximum number of free seats that a refusal names. */
const ALTERNATIVE_LIMIT = 5;

export interface SeatFinderOptions {
  catalogue: Catalogue;
  memory: SeatMemory;
  isInFlight(seatId: SeatId): boolean;
}

/** A prepared search for a wish that leaves the choice of seats to the engine. It can be asked repeatedly. */
export interface Search {
  sections: Section[];
  /** The sections among them that have seats of the wanted kind, free or not. */
  suitable: Section[];
  /**
   * Returns the seats to try next, without the avoided ones. Undefined if memory knows of no such seats, or the budget
   * is spent.
   */
  next(avoided: ReadonlySet<SeatId>, budget?: SearchBudget): SeatId[] | undefined;
  /** Returns matching seats, including those in flight for other buyers, who may still lose them. */
  awaited(budget?: SearchBudget): SeatId[] | undefined;
}

/** The findings of the last search. */
interface Seen {
  /** Whether there were seats in flight for others. If not, there is nothing to wait for and no need to look again. */
  isBusy: boolean;
}

/** The part of a wish that does not fit its event. */
export interface Unfit {
  /** The field and its rule. */
  detail: string;
}

/** Finds seats in memory. The database then decides on them. */
export class SeatFinder {
  /**
   * The place where the next search in a section of general admission begins. Each process starts at a random place.
   */
  private readonly cursors = new Map<number, number>();

  constructor(private readonly options: SeatFinderOptions) {}

  /**
   * Prepares the search for a wish.
   * @returns the fault if the event has no such section or price tier.
   */
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

  /** Returns up to 5 free seats near these. */
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
      mayHaveFree: (firstSeatId, seatCount) => this.options.memory.mayHaveAvailable(firstSeatId, seatCount),
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

  /**
   * Ends a search at once if the counts show that the house is sold out. The search itself would look at every seat,
   * which takes 29 ms for a million.
   */
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
    // A process that has lost a race jumps to a random place. If it followed close behind another process, it would
    // lose each later race too.
    const cursor = hasLost ? undefined : this.cursors.get(section.id);
    const from = cursor ?? Math.floor(Math.random() * section.seatCount);
    const found = nextFree(section, quantity, from, isFree, budget);
    const last = found?.at(-1);
    this.cursors.set(section.id, last === undefined ? from : last - section.firstSeatId + 1);
    return found as SeatId[] | undefined;
  }
}
