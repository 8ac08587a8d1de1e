import type { OwnerAction } from "../../src/reservations/changes.ts";

/** An event's terms; times in ms of the model's clock. */
export interface Terms {
  cancellable: boolean;
  buyerLimit: number | null;
  status: "open" | "closed";
  onSaleAt: number | null;
  offSaleAt: number | null;
}

interface SeatState {
  eventId: number;
  status: "available" | "held" | "reserved";
  version: number;
  owner: string | null;
}

interface ReservationState {
  eventId: number;
  seatIds: number[];
  buyerId: string | null;
  status: "held" | "confirmed" | "released" | "expired" | "cancelled";
  createdAt: number;
  expiresAt: number | null;
}

/** A ledger row, without when and in which transaction it was written. */
type Entry = [seatId: number, version: number, status: string, owner: string, replaces: string | null];

export interface Key {
  key: string;
  fingerprint: string;
}

export type Take =
  | { do: "reserve"; seatId: number }
  | { do: "hold"; seatIds: number[]; buyerId: string | null; key: Key | null };

export interface Change {
  do: OwnerAction;
  reservationId: string;
  key: Key | null;
}

const HOLD_TTL_MS = 600_000;
const HOLD_LIMIT_MS = 1_800_000;
const KEY_LIFETIME_MS = 24 * 3_600_000;

export const scopeOfChange = (reservationId: string) => `reservation:${reservationId}`;

/**
 * What the engine should be: seats, reservations, keys and the ledger as plain values, changed by one request
 * after another. A change takes a fresh moment of the clock, so that "later" is never "at once".
 */
export class Model {
  now = 0;
  readonly events: Map<number, Terms>;
  readonly seats: Map<number, SeatState>;
  readonly reservations = new Map<string, ReservationState>();
  readonly keys = new Map<string, { fingerprint: string; reservationId: string; createdAt: number }>();
  readonly ledger: Entry[] = [];

  constructor(events: [number, Terms][], seats: [number, number][]) {
    this.events = new Map(events.map(([id, terms]) => [id, { ...terms }]));
    this.seats = new Map(
      seats.map(([id, eventId]) => [id, { eventId, status: "available", version: 0, owner: null }]),
    );
  }

  copy(): Model {
    return Object.assign(new Model([], []), structuredClone({ ...this }));
  }

  /** What a request for seats may be answered; the first of them takes the seats when it says `won` or `held`. */
  takeOutcomes(take: Take, isGone: (seatId: number) => boolean): object[] {
    return take.do === "reserve"
      ? [this.reserveOutcome(take.seatId, isGone)]
      : this.holdOutcomes(take, isGone);
  }

  private reserveOutcome(seatId: number, isGone: (seatId: number) => boolean): object {
    const seat = this.seats.get(seatId);
    if (isGone(seatId)) return { kind: "taken", seatId, reason: "reserved" };
    if (!seat) return { kind: "missing", seatId };
    const event = this.eventOf(seat.eventId);
    if (event.buyerLimit !== null) return { kind: "closed", seatId, why: "buyer_needed" };
    if (!this.isOnSale(event)) return { kind: "closed", seatId, why: "not_on_sale" };
    if (!this.isFree(seat)) return { kind: "taken", seatId, reason: seat.status };
    return { kind: "won", seatId, version: seat.version + 1, final: !event.cancellable };
  }

  private holdOutcomes(
    { seatIds, buyerId, key }: Extract<Take, { do: "hold" }>,
    isGone: (seatId: number) => boolean,
  ): object[] {
    const gone = key ? [] : seatIds.filter(isGone);
    if (gone.length > 0)
      return [{ kind: "taken", seats: gone.map((seatId) => ({ seatId, reason: "reserved" })) }];
    const seats = seatIds.flatMap((seatId) => this.seats.get(seatId) ?? []);
    const missing = seatIds.filter((seatId) => !this.seats.has(seatId));
    const used = this.keyOutcome("client", key);
    if (used) return [used];
    const eventIds = [...new Set(seats.map(({ eventId }) => eventId))];
    const limits = eventIds.map((eventId) => ({ eventId, limit: this.eventOf(eventId).buyerLimit }));
    const isOver = eventIds.some((eventId) => this.isOverLimit(buyerId, eventId, seatIds.length));
    const [first] = limits;
    if (isOver && limits.length === 1) return [{ kind: "over_limit" }];
    // Of which of several events the limit is looked at does not matter: the seats are refused anyway.
    const either = isOver ? [{ kind: "over_limit" }] : [];
    const isNameless = buyerId === null && limits.some(({ limit }) => limit !== null);
    if (missing.length > 0) {
      const unnamed = isNameless && key ? [{ kind: "closed", why: "buyer_needed" }] : [];
      const several = limits.length > 1 ? [{ kind: "mixed" }] : [];
      return [{ kind: "missing", seatIds: missing }, ...unnamed, ...several, ...either];
    }
    if (!first || limits.length > 1) return [{ kind: "mixed" }, ...either];
    if (isNameless) return [{ kind: "closed", why: "buyer_needed" }];
    if (!this.isOnSale(this.eventOf(first.eventId))) return [{ kind: "closed", why: "not_on_sale" }];
    const taken = seatIds.flatMap((seatId) => {
      const seat = this.seats.get(seatId);
      return !seat || this.isFree(seat) ? [] : [{ seatId, reason: seat.status }];
    });
    if (taken.length > 0) return [{ kind: "taken", seats: taken }];
    return [{ kind: "held", eventId: first.eventId, seatIds }];
  }

  /** The request is done, as that reservation. */
  take(take: Take, reservationId: string): void {
    const isHold = take.do === "hold";
    const seatIds = isHold ? take.seatIds : [take.seatId];
    const expiresAt = isHold ? this.now + HOLD_TTL_MS : null;
    this.changeAll(seatIds, reservationId, isHold ? "held" : "reserved", isHold ? "HELD" : "RESERVED");
    this.reservations.set(reservationId, {
      eventId: this.seatOf(seatIds[0] ?? 0).eventId,
      seatIds,
      buyerId: isHold ? take.buyerId : null,
      status: isHold ? "held" : "confirmed",
      createdAt: this.now,
      expiresAt,
    });
    if (isHold) this.keep("client", take.key, reservationId);
  }

  /** What a change must be answered. */
  changeOutcome({ do: action, reservationId, key }: Change): object {
    const found = this.reservations.get(reservationId);
    if (!found) return { kind: "missing" };
    const used = this.keyOutcome(scopeOfChange(reservationId), key);
    if (used) return used;
    const { eventId, seatIds, buyerId } = found;
    const event = this.eventOf(eventId);
    const isLive = this.isLive(found);
    const isOver = !isLive && (found.status === "held" || found.status === "expired");
    const done = { kind: "done", eventId, seatIds };
    const refused = { kind: "refused", status: isOver ? "expired" : found.status };
    switch (action) {
      case "confirm": {
        if (found.status === "held" && isLive) return done;
        if (!isOver) return refused;
        const lost = seatIds.filter((seatId) => {
          const seat = this.seatOf(seatId);
          return seat.owner !== reservationId && !this.isFree(seat);
        });
        const gone = { kind: "gone", seatIds: lost.toSorted((a, b) => a - b) };
        if (!this.isOnSale(event)) return lost.length > 0 ? gone : refused;
        if (this.isOverLimit(buyerId, eventId, seatIds.length)) return { kind: "over_limit" };
        return lost.length > 0 ? gone : done;
      }
      case "release":
        return found.status === "held" && isLive ? done : refused;
      case "extend":
        return found.status === "held" && isLive && this.extendedTo(found) > (found.expiresAt ?? 0)
          ? done
          : refused;
      case "cancel":
        return found.status === "confirmed" && event.cancellable ? done : refused;
      default:
        return action satisfies never;
    }
  }

  /** The change is done. */
  changeReservation({ do: action, reservationId, key }: Change): void {
    const found = this.reservationOf(reservationId);
    switch (action) {
      case "confirm":
        this.changeAll(found.seatIds, reservationId, "reserved", "RESERVED");
        found.status = "confirmed";
        break;
      case "release":
        this.changeAll(found.seatIds, reservationId, "available", "RELEASED");
        found.status = "released";
        break;
      case "extend":
        this.changeAll(found.seatIds, reservationId, "held", "EXTENDED");
        found.expiresAt = this.extendedTo(found);
        break;
      case "cancel":
        this.changeAll(found.seatIds, reservationId, "available", "CANCELLED");
        found.status = "cancelled";
        break;
      default:
        action satisfies never;
    }
    this.keep(scopeOfChange(reservationId), key, reservationId);
  }

  /** Holds that are over and not swept yet. */
  due(): string[] {
    return [...this.reservations].flatMap(([id, found]) =>
      found.status === "held" && !this.isLive(found) ? [id] : [],
    );
  }

  /** Frees the seats that are still those of a hold that is over. */
  expire(reservationId: string): void {
    const found = this.reservationOf(reservationId);
    const own = found.seatIds.filter((seatId) => this.seatOf(seatId).owner === reservationId);
    this.changeAll(own, reservationId, "available", "EXPIRED");
    found.status = "expired";
  }

  /** Whether the seat is reserved and never free again. */
  isFinal(seatId: number): boolean {
    const seat = this.seats.get(seatId);
    return seat?.status === "reserved" && !this.eventOf(seat.eventId).cancellable;
  }

  isFree(seat: SeatState): boolean {
    if (seat.status !== "held") return seat.status === "available";
    return !this.isLive(this.reservationOf(seat.owner ?? ""));
  }

  isOnSale({ status, onSaleAt, offSaleAt }: Terms): boolean {
    return (
      status === "open" &&
      (onSaleAt === null || onSaleAt <= this.now) &&
      (offSaleAt === null || this.now < offSaleAt)
    );
  }

  eventOf(eventId: number): Terms {
    return known(this.events.get(eventId));
  }

  private isLive({ status, expiresAt }: ReservationState): boolean {
    return status === "confirmed" || (status === "held" && (expiresAt ?? 0) > this.now);
  }

  /** Whether a buyer with so many seats more would have too many in live reservations. */
  private isOverLimit(buyerId: string | null, eventId: number, more: number): boolean {
    const limit = this.eventOf(eventId).buyerLimit;
    const live = [...this.reservations.values()]
      .filter((found) => found.buyerId === buyerId && found.eventId === eventId && this.isLive(found))
      .reduce((sum, { seatIds }) => sum + seatIds.length, 0);
    return buyerId !== null && limit !== null && live + more > limit;
  }

  private extendedTo({ createdAt }: ReservationState): number {
    return Math.min(this.now + HOLD_TTL_MS, createdAt + HOLD_LIMIT_MS);
  }

  private keyOutcome(scope: string, key: Key | null): object | undefined {
    const kept = key && this.keys.get(`${scope}:${key.key}`);
    if (!key || !kept || kept.createdAt + KEY_LIFETIME_MS <= this.now) return undefined;
    return { kind: kept.fingerprint === key.fingerprint ? "replayed" : "key_mismatch" };
  }

  private keep(scope: string, key: Key | null, reservationId: string): void {
    if (!key) return;
    const { fingerprint } = key;
    this.keys.set(`${scope}:${key.key}`, { fingerprint, reservationId, createdAt: this.now });
  }

  private changeAll(seatIds: number[], by: string, status: SeatState["status"], entry: string): void {
    for (const seatId of seatIds) {
      const seat = this.seatOf(seatId);
      const replaces = seat.owner === by ? null : seat.owner;
      seat.version++;
      seat.status = status;
      seat.owner = status === "available" ? null : by;
      this.ledger.push([seatId, seat.version, entry, by, replaces]);
    }
  }

  private seatOf(seatId: number): SeatState {
    return known(this.seats.get(seatId));
  }

  private reservationOf(reservationId: string): ReservationState {
    return known(this.reservations.get(reservationId));
  }
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the model was asked for what it does not have");
  return value;
}
