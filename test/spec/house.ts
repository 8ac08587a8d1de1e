import type { ReservationStatus, SeatStatus } from "./history.ts";

interface Seat {
  status: SeatStatus;
  version: number;
  owner: string | null;
}

interface Reservation {
  status: ReservationStatus;
  seatIds: number[];
  /** Its hold's end lies between these: one that nobody was told of is known by its call only. */
  endsFromMs: number;
  endsByMs: number;
  /** Made by a request that was told 503, which must not keep what it reserved. */
  isUntold: boolean;
  /** As the ledger calls it; known once a row of it was met. */
  ledgerId: string | undefined;
}

export type LedgerStatus = "RESERVED" | "HELD" | "EXTENDED" | "RELEASED" | "EXPIRED" | "CANCELLED";

export interface LedgerRow {
  seatId: number;
  version: number;
  status: LedgerStatus;
  reservationId: string;
}

export interface Ledger {
  /** By seat and version. */
  rows: Map<string, LedgerRow>;
  /** The reservations that some client was told of, of whatever seats. */
  told: Set<string>;
}

const STATUS_AFTER: Record<LedgerStatus, SeatStatus> = {
  ...{ RESERVED: "reserved", HELD: "held", EXTENDED: "held" },
  ...{ RELEASED: "available", EXPIRED: "available", CANCELLED: "available" },
};

/** What a request wants the house to be at the moment at which it takes effect. */
interface Taking {
  owner: string;
  seatIds: number[];
  status: "HELD" | "RESERVED";
  calledAtMs: number;
  ends?: { fromMs: number; byMs: number };
  isUntold: boolean;
}

/**
 * The rules of DESIGN's state machine, for one request after another: some seats, their reservations, and the
 * earliest time it can be after all that has happened. A change gives a new house, or undefined where it is
 * against the rules or, where a ledger is given, not what the ledger says.
 *
 * Rules read the clock when the transaction begins, which is between the request's call and its effect. So
 * "the hold lives" asks that the call came before its end, and "it is over" that the effect comes after it.
 */
export class House {
  private constructor(
    readonly nowMs: number,
    private readonly seats: Map<number, Seat>,
    private readonly reservations: Map<string, Reservation>,
    private readonly ledger: Ledger | undefined,
  ) {}

  static open(ledger?: Ledger): House {
    return new House(Number.NEGATIVE_INFINITY, new Map(), new Map(), ledger);
  }

  seat(seatId: number): Seat {
    return this.seats.get(seatId) ?? { status: "available", version: 0, owner: null };
  }

  reservation(owner: string): Reservation | undefined {
    return this.reservations.get(owner);
  }

  /** The same house, not before that moment. */
  at(ms: number): House {
    return ms <= this.nowMs ? this : new House(ms, this.seats, this.reservations, this.ledger);
  }

  lives({ status, endsByMs }: Reservation, calledAtMs: number): boolean {
    return status === "held" && calledAtMs < endsByMs;
  }

  /** The house when that hold is over; undefined where it never will be. */
  whenOver({ status, endsFromMs }: Reservation): House | undefined {
    return status === "held" ? this.at(endsFromMs) : status === "expired" ? this : undefined;
  }

  /** Free for a taker: available, or held for longer than the hold lasts. */
  whenFree(seatIds: number[], but?: string): House | undefined {
    return seatIds.reduce<House | undefined>((house, seatId) => {
      const { status, owner } = this.seat(seatId);
      if (!house || status === "available" || owner === but) return house;
      const holder = status === "held" && owner !== null ? this.reservations.get(owner) : undefined;
      return holder && house.whenOver(holder);
    }, this);
  }

  take({ owner, seatIds, status, calledAtMs, ends, isUntold }: Taking): House | undefined {
    if (this.reservations.has(owner)) return undefined;
    const written = this.at(calledAtMs).whenFree(seatIds)?.write(seatIds, status, owner);
    return written?.with(owner, {
      status: status === "HELD" ? "held" : "confirmed",
      seatIds,
      endsFromMs: ends?.fromMs ?? Number.POSITIVE_INFINITY,
      endsByMs: ends?.byMs ?? Number.POSITIVE_INFINITY,
      isUntold,
      ledgerId: this.ledger?.rows.get(`${seatIds[0]}:${this.seat(seatIds[0] ?? 0).version + 1}`)
        ?.reservationId,
    });
  }

  /** A hold that lives is confirmed; one that is over too, where all its seats are still to be had. */
  confirm(owner: string, calledAtMs: number): House[] {
    const found = this.reservations.get(owner);
    if (!found) return [];
    const over = this.at(calledAtMs).whenOver(found)?.whenFree(found.seatIds, owner);
    const before = [this.lives(found, calledAtMs) ? this.at(calledAtMs) : undefined, over];
    return before.flatMap((house) => {
      const isOwn = found.seatIds.every((seatId) => this.seat(seatId).owner === owner);
      if (!house || (house !== over && !isOwn)) return [];
      return (
        house.write(found.seatIds, "RESERVED", owner)?.with(owner, { ...found, status: "confirmed" }) ?? []
      );
    });
  }

  extend(owner: string, calledAtMs: number, ends: { fromMs: number; byMs: number }): House | undefined {
    const found = this.reservations.get(owner);
    if (!found || !this.lives(found, calledAtMs)) return undefined;
    const longer = { endsFromMs: Math.max(found.endsFromMs, ends.fromMs), endsByMs: ends.byMs };
    return this.at(calledAtMs)
      .write(found.seatIds, "EXTENDED", owner)
      ?.with(owner, { ...found, ...longer });
  }

  release(owner: string, calledAtMs: number): House | undefined {
    const found = this.reservations.get(owner);
    if (!found || !this.lives(found, calledAtMs)) return undefined;
    return this.at(calledAtMs)
      .write(found.seatIds, "RELEASED", owner)
      ?.with(owner, { ...found, status: "released" });
  }

  cancel(owner: string, calledAtMs: number): House | undefined {
    const found = this.reservations.get(owner);
    if (found?.status !== "confirmed") return undefined;
    return this.at(calledAtMs)
      .write(found.seatIds, "CANCELLED", owner)
      ?.with(owner, { ...found, status: "cancelled" });
  }

  /** Ends a hold that is over; only the seats that are still its own change. */
  expire(owner: string): House | undefined {
    const found = this.reservations.get(owner);
    if (found?.status !== "held") return undefined;
    return this.whenOver(found)
      ?.write(this.ownSeats(owner, found), "EXPIRED", owner)
      ?.with(owner, { ...found, status: "expired" });
  }

  /** What the engine may do unasked: end a hold that is over, give back what nobody was told of. `seatIds`: what it depends on. */
  unasked(): { after: House; seatIds: number[] }[] {
    return [...this.reservations].flatMap(([owner, found]) => {
      if (this.ownSeats(owner, found).length === 0) return [];
      const isGivenBack = found.status === "confirmed" && found.isUntold;
      const after = isGivenBack ? this.cancel(owner, Number.NEGATIVE_INFINITY) : this.expire(owner);
      return after ? [{ after, seatIds: found.seatIds }] : [];
    });
  }

  private ownSeats(owner: string, { seatIds }: Reservation): number[] {
    return seatIds.filter((seatId) => this.seat(seatId).owner === owner);
  }

  /** Whether somebody has a seat who was told 503. */
  get owes(): boolean {
    return [...this.reservations.values()].some(({ status, isUntold }) => isUntold && status === "confirmed");
  }

  /** Whether all has happened that the ledger has. */
  get isWhole(): boolean {
    const versions = [...this.seats.values()].reduce((sum, { version }) => sum + version, 0);
    return !this.ledger || versions === this.ledger.rows.size;
  }

  /** Two houses with the same word are the same except for the time, for requests about no other reservations. */
  wordFor(asked: Set<string>): string {
    const wordOf = ({ status, endsFromMs, endsByMs, isUntold }: Reservation) =>
      `${status} ${endsFromMs} ${endsByMs} ${isUntold}`;
    const seats = [...this.seats].map(([id, { version, status, owner }]) => {
      const holder = owner === null || asked.has(owner) ? undefined : this.reservations.get(owner);
      return `${id} ${version} ${status} ${holder ? wordOf(holder) : owner}`;
    });
    const reservations = [...this.reservations].flatMap(([owner, found]) =>
      asked.has(owner) ? [`${owner} ${wordOf(found)}`] : [],
    );
    return [...seats.sort(), ...reservations.sort()].join(";");
  }

  private write(seatIds: number[], status: LedgerStatus, owner: string): House | undefined {
    const seats = new Map(this.seats);
    for (const seatId of seatIds) {
      const version = this.seat(seatId).version + 1;
      if (!this.fitsLedger(seatId, version, status, owner, seatIds)) return undefined;
      const after = STATUS_AFTER[status];
      seats.set(seatId, { status: after, version, owner: after === "available" ? null : owner });
    }
    return new House(this.nowMs, seats, this.reservations, this.ledger);
  }

  private fitsLedger(seatId: number, version: number, status: string, owner: string, seatIds: number[]) {
    if (!this.ledger) return true;
    const row = this.ledger.rows.get(`${seatId}:${version}`);
    if (row?.status !== status) return false;
    const { reservationId } = row;
    const known = this.reservations.get(owner)?.ledgerId;
    if (known !== undefined) return reservationId === known;
    if (!isNameless(owner)) return reservationId === owner;
    const [first = 0] = seatIds;
    const ofFirst = this.ledger.rows.get(`${first}:${this.seat(first).version + 1}`)?.reservationId;
    const isAnothers = [...this.reservations.values()].some(({ ledgerId }) => ledgerId === reservationId);
    return reservationId === ofFirst && !isAnothers && !this.ledger.told.has(reservationId);
  }

  private with(owner: string, reservation: Reservation): House {
    const reservations = new Map(this.reservations).set(owner, reservation);
    return new House(this.nowMs, this.seats, reservations, this.ledger);
  }
}

/** What a reservation is called whose id nobody was told. */
export const namelessOwner = (operationId: number) => `of operation ${operationId}`;
export const namelessKey = (key: string) => `of key ${key}`;
const isNameless = (owner: string) => owner.startsWith("of ");
