import type { ReservationFacts } from "../postgres/change.ts";
import type { KeyClaim } from "../postgres/claims.ts";
import type { CatalogueEvent, Section } from "../venue/catalogue.ts";
import { SearchBudget } from "../venue/search-budget.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { Batcher } from "./batcher.ts";
import { type HoldBody, type Wish, wishesOf } from "./hold-body.ts";
import type { HoldOutcome } from "./outcome.ts";
import { SearchTurns } from "./search-turns.ts";
import type { Search, SeatFinder } from "./seat-finder.ts";
import { mayBeTooDear, quantityFault, seatsFault } from "./totals.ts";

/** How often one request may lose the race for seats that were chosen here, before it is refused. */
const ATTEMPT_LIMIT = 8;

export interface HoldsOptions {
  batcher: Pick<Batcher, "hold">;
  finder: SeatFinder;
  /** Returns the event of a seat, as far as memory knows. */
  eventOf(seatId: SeatId): CatalogueEvent | undefined;
  /** Returns the event, read from the database if memory does not know it. */
  findEvent(eventId: number): Promise<CatalogueEvent | undefined>;
  /**
   * Learns which seats of these sections are free. Returns false if that takes too long. One look per request serves
   * all of its wishes.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing has succeeded
  refresh(sections: Section[]): Promise<boolean | void>;
  /** Returns the earlier answer to the key. */
  findReplay(key: KeyClaim): Promise<ReservationFacts | "key_mismatch" | undefined>;
}

/** Every result of a request to hold seats: the batcher's outcomes and those of the request itself. */
export type HoldResult =
  | HoldOutcome
  | { kind: "replay"; facts: ReservationFacts }
  | { kind: "unfit"; detail: string }
  /** The search would have to look at more seats than one request may. */
  | { kind: "too_costly" }
  | { kind: "no_event"; eventId: number };

/** After these results the next wish is tried. */
const MAY_FOLLOW: HoldResult["kind"][] = ["taken", "none", "over_limit", "caller_over_limit"];
/**
 * Before these results are sent, the key is looked up. It may have been answered before the seats were gone, or before
 * the event changed.
 */
const MAY_BE_REPLAYED: HoldResult["kind"][] = [
  ...(["taken", "none", "missing", "unfit", "no_event", "too_costly", "replayed"] as const),
];

/** A prepared wish: seats that were named, or a search for some. `dearField` is set if their total may be too large. */
type Plan = { seatIds: SeatId[] } | { search: Search; event: CatalogueEvent; dearField: string | undefined };

interface Asked {
  key: KeyClaim | null;
  caller: string | null;
}

/** State that the wishes of one request share. */
interface Choice {
  body: HoldBody;
  asked: Asked;
  budget: SearchBudget;
  /** The sections of all searches of the request. */
  sections: Section[];
  /** Whether the database was asked what is free since the request arrived. */
  hasLooked: boolean;
}

/** Serves requests to hold seats: the first wish that can be met wins. */
export class Holds {
  private readonly turns = new SearchTurns();

  constructor(private readonly options: HoldsOptions) {}

  /**
   * Holds seats for the first wish that can be met.
   * @throws if the database has to be read and cannot be.
   */
  async hold(
    body: HoldBody,
    key: KeyClaim | null,
    caller: string | null = null,
    budget = new SearchBudget(),
  ): Promise<HoldResult> {
    const result = await this.firstOf(body, { key, caller }, budget);
    if (!key || !MAY_BE_REPLAYED.includes(result.kind)) return result;
    const facts = await this.options.findReplay(key);
    if (facts === "key_mismatch") return { kind: "key_mismatch" };
    if (facts) return { kind: "replay", facts };
    return result.kind === "replayed" ? { kind: "running" } : result;
  }

  /**
   * Tries the wishes in order. Every wish must be valid, even if an earlier one succeeds. If none can be met, the
   * refusal of the first is returned.
   */
  private async firstOf(body: HoldBody, asked: Asked, budget: SearchBudget): Promise<HoldResult> {
    const plans: Plan[] = [];
    for (const [index, wish] of wishesOf(body).entries()) {
      const plan = await this.plan(wish, body.eventId);
      if (!("kind" in plan)) plans.push(plan);
      else if (plan.kind === "no_event" || !body.preferences) return plan;
      else return { kind: "unfit", detail: `preferences.${index}.${plan.detail}` };
    }
    let choice: Choice | undefined;
    let refusal: HoldResult | undefined;
    for (const [index, plan] of plans.entries()) {
      let result: HoldResult;
      if ("seatIds" in plan) result = await this.take(plan.seatIds, body, asked);
      else {
        choice ??= { body, asked, budget, sections: sectionsOf(plans), hasLooked: false };
        result = await this.choose(plan, choice);
      }
      if (result.kind === "unfit" && body.preferences)
        return { kind: "unfit", detail: `preferences.${index}.${result.detail}` };
      if (!MAY_FOLLOW.includes(result.kind)) return result;
      refusal ??= result;
    }
    return refusal ?? { kind: "none" };
  }

  private async plan(
    wish: Wish,
    eventId: number | undefined,
  ): Promise<Plan | Extract<HoldResult, { kind: "unfit" | "no_event" }>> {
    if (wish.seatIds) {
      const seatIds = wish.seatIds as SeatId[];
      const { eventOf, findEvent } = this.options;
      if (eventId !== undefined && !seatIds.every(eventOf)) await findEvent(eventId);
      const detail = this.unfitSeats(seatIds, eventId);
      return detail === undefined ? { seatIds } : { kind: "unfit", detail };
    }
    const event = await this.options.findEvent(eventId ?? 0);
    if (!event) return { kind: "no_event", eventId: eventId ?? 0 };
    const quantity = wish.bestAvailable?.quantity ?? wish.quantity ?? 1;
    const field = wish.bestAvailable ? "bestAvailable.quantity" : "quantity";
    if (quantity > event.reservationLimitSeats) return { kind: "unfit", detail: tooMany(field, event) };
    const tiers = wish.bestAvailable?.priceTiers;
    const dearField = mayBeTooDear(event, quantity, tiers) ? field : undefined;
    if (dearField !== undefined) {
      const sections = wish.bestAvailable ? wish.bestAvailable.sections : [wish.section ?? ""];
      const detail = quantityFault(event, { field, quantity, sections, tiers });
      if (detail !== undefined) return { kind: "unfit", detail };
    }
    const search = this.options.finder.searchFor(event, wish);
    return "detail" in search ? { kind: "unfit", ...search } : { search, event, dearField };
  }

  private take(seatIds: SeatId[], { buyerId }: HoldBody, asked: Asked) {
    const event = seatIds[0] && this.options.eventOf(seatIds[0]);
    const isLimited = !event || event.buyerLimitSeats !== null;
    const { key, caller } = asked;
    return this.options.batcher.hold({ seatIds, buyerId: buyerId ?? null, isLimited, key, caller });
  }

  /**
   * Chooses seats in memory and lets the database decide. The database is asked before anybody is told that none are
   * left.
   */
  private async choose(
    { search, event, dearField }: Extract<Plan, { search: Search }>,
    choice: Choice,
  ): Promise<HoldResult> {
    const { body, asked, budget } = choice;
    // Somebody else has asked for these seats; memory may not know it yet.
    const lost = new Set<SeatId>();
    let outcome: HoldOutcome = { kind: "none" };
    for (let attempt = 1; attempt <= ATTEMPT_LIMIT; ) {
      const turn = this.turns.enter();
      if (turn !== true && !(await turn)) return { kind: "busy", reason: "overloaded" };
      // Nothing is awaited from here to the batcher: the next search must see that these seats are in flight.
      const seatIds = this.searched(budget, () => search.next(lost, budget));
      const dear = seatIds && dearField !== undefined && seatsFault(event, seatIds, dearField);
      if (dear) return { kind: "unfit", detail: dear };
      if (seatIds) {
        attempt++;
        outcome = await this.take(seatIds, body, asked);
        if (outcome.kind !== "taken") return outcome;
        for (const { seatId } of outcome.seats) lost.add(seatId);
      } else if (budget.isSpent) {
        return outcome.kind === "none" ? { kind: "too_costly" } : outcome;
      } else if (choice.hasLooked || search.suitable.length === 0) {
        if (!isOnSale(event)) return { kind: "closed", why: "not_on_sale" };
        const awaited = contended(this.searched(budget, () => search.awaited(budget)));
        return awaited.kind === "none" && budget.isSpent ? { kind: "too_costly" } : awaited;
      } else {
        if ((await this.options.refresh(choice.sections)) === false)
          return { kind: "busy", reason: "overloaded" };
        choice.hasLooked = true;
      }
    }
    return outcome;
  }

  private searched<Found>(budget: SearchBudget, search: () => Found): Found {
    const before = budget.spentSteps;
    try {
      return search();
    } finally {
      this.turns.spent(budget.spentSteps - before);
    }
  }

  /**
   * Checks the seats as far as memory knows them. The statement also refuses seats of several events, or too many
   * seats.
   */
  private unfitSeats(seatIds: SeatId[], eventId: number | undefined): string | undefined {
    let event: CatalogueEvent | undefined;
    for (const seatId of seatIds) {
      const known = this.options.eventOf(seatId);
      event ??= known;
      if (known && known !== event) return "seatIds: must be seats of one event.";
    }
    if (!event) return undefined;
    if (eventId !== undefined && event.id !== eventId)
      return `seatIds: are seats of event ${event.id}, not of eventId ${eventId}.`;
    if (seatIds.length > event.reservationLimitSeats) return tooMany("seatIds", event);
    return seatsFault(event, seatIds, "seatIds");
  }
}

const sectionsOf = (plans: Plan[]): Section[] => [
  ...new Set(plans.flatMap((plan) => ("search" in plan ? plan.search.suitable : []))),
];

/** Decides by this process's clock. Used only for a request that gets no seats anyway. */
const isOnSale = ({ status, onSaleAtMs, offSaleAtMs }: CatalogueEvent) =>
  status === "open" &&
  (onSaleAtMs === null || onSaleAtMs <= Date.now()) &&
  (offSaleAtMs === null || Date.now() < offSaleAtMs);

/** Returns `taken` instead of `none` while other requests may still let seats go. */
const contended = (seatIds: SeatId[] | undefined): HoldOutcome =>
  seatIds
    ? { kind: "taken", seats: seatIds.map((seatId) => ({ seatId, reason: "contended" })) }
    : { kind: "none" };

const tooMany = (field: string, { id, reservationLimitSeats }: CatalogueEvent) =>
  `${field}: a reservation of event ${id} has at most ${reservationLimitSeats} seats.`;
