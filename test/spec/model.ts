import type { Change as Action } from "./history.ts";
import { House, type LedgerStatus } from "./house.ts";

/** An event's terms; times in ms of the model's clock. */
export interface Terms {
  cancellable: boolean;
  buyerLimit: number | null;
  status: "open" | "closed";
  onSaleAt: number | null;
  offSaleAt: number | null;
}

/** A ledger row, without when and in which transaction it was written. */
type Entry = [seatId: number, version: number, status: LedgerStatus, owner: string, replaces: string | null];

export interface Key {
  key: string;
  fingerprint: string;
}

export type Take =
  | { do: "reserve"; seatId: number }
  | { do: "hold"; seatIds: number[]; buyerId: string | null; key: Key | null };

export interface Change {
  do: Action;
  reservationId: string;
  key: Key | null;
}

const HOLD_TTL_MS = 600_000;
const HOLD_LIMIT_MS = 1_800_000;
const KEY_LIFETIME_MS = 24 * 3_600_000;

export const scopeOfChange = (reservationId: string) => `reservation:${reservationId}`;

/**
 * What the engine should be: the house, with the terms of its events, the keys and the ledger, changed by one request
 * after another at moments that are known. It says what each request must be answered; what an answer changes, the
 * house says.
 */
export class Model {
  now = 0;
  house = House.open();
  readonly events: Map<number, Terms>;
  readonly made = new Map<string, { eventId: number; buyerId: string | null; createdAt: number }>();
  readonly keys = new Map<string, { fingerprint: string; reservationId: string; createdAt: number }>();
  readonly ledger: Entry[] = [];

  /** @param eventOfSeat the event's id of each seat there is */
  constructor(
    events: [number, Terms][],
    readonly eventOfSeat: Map<number, number>,
  ) {
    this.events = new Map(events.map(([id, terms]) => [id, { ...terms }]));
  }

  copy(): Model {
    const { now, house, made, keys, ledger } = this;
    const copied = { now, house, made: new Map(made), keys: new Map(keys), ledger: [...ledger] };
    return Object.assign(new Model([...this.events], this.eventOfSeat), copied);
  }

  /** What a request for seats may be answered; the first of them takes the seats when it says `won` or `held`. */
  takeOutcomes(take: Take, isGone: (seatId: number) => boolean): object[] {
    return take.do === "reserve"
      ? [this.reserveOutcome(take.seatId, isGone)]
      : this.holdOutcomes(take, isGone);
  }

  private reserveOutcome(seatId: number, isGone: (seatId: number) => boolean): object {
    const eventId = this.eventOfSeat.get(seatId);
    if (isGone(seatId)) return { kind: "taken", seatId, reason: "reserved" };
    if (eventId === undefined) return { kind: "missing", seatId };
    const event = this.eventOf(eventId);
    if (event.buyerLimit !== null) return { kind: "closed", seatId, why: "buyer_needed" };
    if (!this.isOnSale(event)) return { kind: "closed", seatId, why: "not_on_sale" };
    const { status, version } = this.house.seat(seatId);
    if (!this.isFree(seatId)) return { kind: "taken", seatId, reason: status };
    return { kind: "won", seatId, version: version + 1, final: !event.cancellable };
  }

  private holdOutcomes(
    { seatIds, buyerId, key }: Extract<Take, { do: "hold" }>,
    isGone: (seatId: number) => boolean,
  ): object[] {
    const gone = key ? [] : seatIds.filter(isGone);
    if (gone.length > 0)
      return [{ kind: "taken", seats: gone.map((seatId) => ({ seatId, reason: "reserved" })) }];
    const missing = seatIds.filter((seatId) => !this.eventOfSeat.has(seatId));
    const used = this.keyOutcome("client", key);
    if (used) return [used];
    const eventIds = [...new Set(seatIds.flatMap((seatId) => this.eventOfSeat.get(seatId) ?? []))];
    const limits = eventIds.map((eventId) => ({ eventId, limit: this.eventOf(eventId).buyerLimit }));
    const isOver = eventIds.some((eventId) => this.isOverLimit(buyerId, eventId, seatIds.length));
    const [first] = limits;
    if (isOver && limits.length === 1 && missing.length === 0) return [{ kind: "over_limit" }];
    // With seats that are missing or of several events, it does not matter whether the limit is looked at: the seats are
    // refused in any case.
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
    const taken = seatIds.flatMap((seatId) =>
      this.isFree(seatId) ? [] : [{ seatId, reason: this.house.seat(seatId).status }],
    );
    if (taken.length > 0) return [{ kind: "taken", seats: taken }];
    return [{ kind: "held", eventId: first.eventId, seatIds }];
  }

  /** The request is done, as that reservation. */
  take(take: Take, reservationId: string): void {
    const isHold = take.do === "hold";
    const seatIds = isHold ? take.seatIds : [take.seatId];
    const status = isHold ? "HELD" : "RESERVED";
    const ends = isHold ? { ends: exactly(this.now + HOLD_TTL_MS) } : {};
    const taking = { owner: reservationId, seatIds, status, calledAtMs: this.now, isUntold: false } as const;
    this.becomes([this.house.take({ ...taking, ...ends })], status, reservationId);
    const eventId = known(this.eventOfSeat.get(seatIds[0] ?? 0));
    const buyerId = isHold ? take.buyerId : null;
    this.made.set(reservationId, { eventId, buyerId, createdAt: this.now });
    if (isHold) this.keep("client", take.key, reservationId);
  }

  /** What a change must be answered. */
  changeOutcome({ do: action, reservationId, key }: Change): object {
    const found = this.house.reservation(reservationId);
    if (!found) return { kind: "missing" };
    const used = this.keyOutcome(scopeOfChange(reservationId), key);
    if (used) return used;
    const { seatIds } = found;
    const { eventId, buyerId } = known(this.made.get(reservationId));
    const event = this.eventOf(eventId);
    const isLive = this.house.lives(found, this.now);
    const isOver = !isLive && (found.status === "held" || found.status === "expired");
    const done = { kind: "done", eventId, seatIds };
    const refused = { kind: "refused", status: isOver ? "expired" : found.status };
    switch (action) {
      case "confirm": {
        if (isLive) return done;
        if (!isOver) return refused;
        const lost = seatIds.filter((seatId) => !this.isFree(seatId, reservationId));
        const gone = { kind: "gone", seatIds: lost.toSorted((a, b) => a - b) };
        if (!this.isOnSale(event)) return lost.length > 0 ? gone : refused;
        if (this.isOverLimit(buyerId, eventId, seatIds.length)) return { kind: "over_limit" };
        return lost.length > 0 ? gone : done;
      }
      case "release":
        return isLive ? done : refused;
      case "extend":
        return isLive && this.extendedTo(reservationId) > found.endsByMs ? done : refused;
      case "cancel":
        return found.status === "confirmed" && event.cancellable ? done : refused;
      default:
        return action satisfies never;
    }
  }

  /** The change is done. */
  changeReservation({ do: action, reservationId, key }: Change): void {
    const { house, now } = this;
    switch (action) {
      case "confirm":
        this.becomes(house.confirm(reservationId, now), "RESERVED", reservationId);
        break;
      case "release":
        this.becomes([house.release(reservationId, now)], "RELEASED", reservationId);
        break;
      case "extend": {
        const ends = exactly(this.extendedTo(reservationId));
        this.becomes([house.extend(reservationId, now, ends)], "EXTENDED", reservationId);
        break;
      }
      case "cancel":
        this.becomes([house.cancel(reservationId, now)], "CANCELLED", reservationId);
        break;
      default:
        action satisfies never;
    }
    this.keep(scopeOfChange(reservationId), key, reservationId);
  }

  /** Holds that are over and not swept yet. */
  due(): string[] {
    return [...this.made.keys()].filter((id) => this.isPast(this.house.expire(id)));
  }

  /** When a hold ends or ended; infinite for a reservation that is no hold. */
  expiresAt(reservationId: string): number {
    return known(this.house.reservation(reservationId)).endsByMs;
  }

  /** Frees the seats that are still those of a hold that is over. */
  expire(reservationId: string): void {
    this.becomes([this.house.expire(reservationId)], "EXPIRED", reservationId);
  }

  /** Whether the seat is reserved and never free again. */
  isFinal(seatId: number): boolean {
    const eventId = known(this.eventOfSeat.get(seatId));
    return this.house.seat(seatId).status === "reserved" && !this.eventOf(eventId).cancellable;
  }

  /** Free for a taker, or for the reservation that has it. */
  isFree(seatId: number, owner?: string): boolean {
    return this.isPast(this.house.whenFree([seatId], owner));
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

  /** Whether such a house there is, and it is not one of later. */
  private isPast(house: House | undefined): house is House {
    return house !== undefined && house.nowMs <= this.now;
  }

  /** Whether a buyer with that many more seats would have too many in live reservations. */
  private isOverLimit(buyerId: string | null, eventId: number, more: number): boolean {
    const limit = this.eventOf(eventId).buyerLimit;
    const live = [...this.made].reduce((sum, [id, made]) => {
      const found = known(this.house.reservation(id));
      const isTheirs = made.buyerId === buyerId && made.eventId === eventId;
      const isLive = found.status === "confirmed" || this.house.lives(found, this.now);
      return isTheirs && isLive ? sum + found.seatIds.length : sum;
    }, 0);
    return buyerId !== null && limit !== null && live + more > limit;
  }

  private extendedTo(reservationId: string): number {
    const { createdAt } = known(this.made.get(reservationId));
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

  /** The first of these houses that there is by now, with its changes in the ledger. */
  private becomes(houses: (House | undefined)[], entry: LedgerStatus, by: string): void {
    const before = this.house;
    this.house = known(houses.find((house) => this.isPast(house)));
    for (const seatId of known(this.house.reservation(by)).seatIds) {
      const { version } = this.house.seat(seatId);
      const { version: last, owner } = before.seat(seatId);
      if (version > last) this.ledger.push([seatId, version, entry, by, owner === by ? null : owner]);
    }
  }
}

const exactly = (ms: number) => ({ fromMs: ms, byMs: ms });

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the model was asked for what it does not have");
  return value;
}
