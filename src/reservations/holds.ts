import type { CatalogueEvent, Section } from "../catalogue/catalogue.ts";
import type { ReservationFacts } from "../postgres/change.ts";
import type { KeyClaim } from "../postgres/guards.ts";
import type { SeatId } from "../seats/seat-id.ts";
import type { Batcher } from "./batcher.ts";
import { type HoldBody, type Wish, wishesOf } from "./hold-body.ts";
import type { HoldOutcome } from "./outcome.ts";
import type { SeatFinder, Unfit } from "./seat-finder.ts";

/** Races for seats that were chosen here which one request may lose before it is told so. */
const ATTEMPT_LIMIT = 8;

export interface HoldsOptions {
  batcher: Batcher;
  finder: SeatFinder;
  /** The event that a seat lies in, as far as memory knows. */
  eventOf(seatId: SeatId): CatalogueEvent | undefined;
  /** The event, read from the database where memory does not know it. */
  findEvent(eventId: number): Promise<CatalogueEvent | undefined>;
  /** Reads a section's free seats into memory. */
  refresh(section: Section): Promise<void>;
  /** What the key was answered with, when it was answered for the same request. */
  findReplay(key: KeyClaim): Promise<ReservationFacts | undefined>;
}

/** What a request to hold seats can come to, beside what the seats decide. */
export type HoldResult =
  | HoldOutcome
  | { kind: "replay"; facts: ReservationFacts }
  | { kind: "unfit"; detail: string }
  | { kind: "no_event"; eventId: number };

/** Requests to hold seats: the first wish that can be had wins. */
export class Holds {
  constructor(private readonly options: HoldsOptions) {}

  /** @throws when the database has to be read and cannot be. */
  async hold(body: HoldBody, key: KeyClaim | null): Promise<HoldResult> {
    const result = await this.firstOf(wishesOf(body), body, key);
    if (!key || !["taken", "none", "unfit", "replayed"].includes(result.kind)) return result;
    // The key may have been answered before the seats were gone, or the event changed.
    const facts = await this.options.findReplay(key);
    if (facts) return { kind: "replay", facts };
    return result.kind === "replayed" ? { kind: "running" } : result;
  }

  /** A wish that cannot be had is followed by the next; the refusal of the first is told when none can. */
  private async firstOf(wishes: Wish[], body: HoldBody, key: KeyClaim | null): Promise<HoldResult> {
    let refusal: HoldResult | undefined;
    for (const [index, wish] of wishes.entries()) {
      const result = await this.fulfil(wish, body, key);
      if (result.kind === "unfit" && body.preferences) {
        return { kind: "unfit", detail: `preferences.${index}.${result.detail}` };
      }
      if (!["taken", "none", "over_limit"].includes(result.kind)) return result;
      refusal ??= result;
    }
    return refusal ?? { kind: "none" };
  }

  private async fulfil(wish: Wish, body: HoldBody, key: KeyClaim | null): Promise<HoldResult> {
    const buyerId = body.buyerId ?? null;
    if (wish.seatIds) {
      const seatIds = wish.seatIds as SeatId[];
      const unfit = this.unfitSeats(seatIds, body.eventId);
      return unfit ? { kind: "unfit", ...unfit } : this.options.batcher.hold({ seatIds, buyerId, key });
    }
    const eventId = body.eventId ?? 0;
    const event = await this.options.findEvent(eventId);
    if (!event) return { kind: "no_event", eventId };
    const quantity = wish.bestAvailable?.quantity ?? wish.quantity ?? 1;
    const field = wish.bestAvailable ? "bestAvailable.quantity" : "quantity";
    if (quantity > event.reservationLimitSeats) return { kind: "unfit", detail: tooMany(field, event) };
    const search = this.options.finder.searchFor(event, wish);
    if ("detail" in search) return { kind: "unfit", ...search };

    let hasLooked = false;
    // Somebody else is after these: memory may not know it yet.
    const lost = new Set<SeatId>();
    let outcome: HoldOutcome = { kind: "none" };
    for (let attempt = 1; attempt <= ATTEMPT_LIMIT; ) {
      const seatIds = search.next(lost);
      if (seatIds) {
        attempt++;
        outcome = await this.options.batcher.hold({ seatIds, buyerId, key });
        if (outcome.kind !== "taken") return outcome;
        for (const { seatId } of outcome.seats) lost.add(seatId);
      } else if (hasLooked) return { kind: "none" };
      else {
        await Promise.all(search.sections.map((section) => this.options.refresh(section)));
        hasLooked = true;
      }
    }
    return outcome;
  }

  /** As far as memory knows; the statement refuses seats of several events again. */
  private unfitSeats(seatIds: SeatId[], eventId: number | undefined): Unfit | undefined {
    const events = new Set(seatIds.flatMap((seatId) => this.options.eventOf(seatId) ?? []));
    const [event] = events;
    if (events.size > 1) return { detail: "seatIds: must be seats of one event." };
    if (!event) return undefined;
    if (eventId !== undefined && event.id !== eventId)
      return { detail: `seatIds: are seats of event ${event.id}, not of eventId ${eventId}.` };
    return seatIds.length > event.reservationLimitSeats ? { detail: tooMany("seatIds", event) } : undefined;
  }
}

const tooMany = (field: string, { id, reservationLimitSeats }: CatalogueEvent) =>
  `${field}: a reservation of event ${id} has at most ${reservationLimitSeats} seats.`;
