import type pg from "pg";
import {
  type ChangeAction,
  type ChangeRow,
  commitChanges,
  commitChangesWithClaims,
  type ReservationChange,
} from "../../src/postgres/change.ts";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import {
  commitReservations,
  commitReservationsWithClaims,
  type SeatOrder,
  type SeatRow,
} from "../../src/postgres/reserve.ts";
import type { OrderAnswer } from "../../src/threads/messages.ts";
import { only, type Sale } from "./sale.ts";

const PRICE_MINOR = 15_000;

export interface Terms {
  cancellable: boolean;
  status: "open" | "closed";
  /** Intervals from now, such as `-1 hour`; null is no limit. */
  onSaleIn: string | null;
  offSaleIn: string | null;
  holdTtlSeconds: number;
  holdLimitSeconds: number;
  buyerLimitSeats: number | null;
}

const TERMS: Terms = {
  cancellable: true,
  status: "open",
  onSaleIn: null,
  offSaleIn: null,
  holdTtlSeconds: 600,
  holdLimitSeconds: 1800,
  buyerLimitSeats: null,
};

/** An event on these terms, which is on sale unless they say otherwise. */
export async function addEvent(sale: Sale, terms: Partial<Terms> = {}): Promise<number> {
  const { id } = only(
    await sale.rows<{ id: string }>(
      `insert into events (id, name, currency, cancellable, status, on_sale_at, off_sale_at, hold_ttl_seconds,
         hold_limit_seconds, buyer_limit_seats)
       select max(id) + 1, 'event', 'EUR', $1, $2, now() + $3::interval, now() + $4::interval, $5, $6, $7 from events
       returning id`,
      Object.values({ ...TERMS, ...terms }),
    ),
  );
  return Number(id);
}

/** Free seats of an event, each a little dearer than the one before. */
export async function addSeatsOf(sale: Sale, eventId: number, count: number): Promise<number[]> {
  const added = await sale.rows<{ id: string }>(
    `insert into seats (event_id, seat_number, price_minor)
     select $1, gen_random_uuid()::text, ${PRICE_MINOR} + n from generate_series(1, $2::int) as n returning id`,
    [eventId, count],
  );
  return added.map(({ id }) => Number(id)).sort((one, other) => one - other);
}

/** What somebody wants: all of these seats, at the versions that were seen. */
export interface Wish {
  reservationId: string;
  seatIds: number[];
  versions: number[];
  isHold: boolean;
  buyerId: string | null;
  key: KeyClaim | null;
}

/** A wish for seats as they are seen now, outside every transaction of the test's sessions. */
export async function wishFor(sale: Sale, seatIds: number[], more: Partial<Wish> = {}): Promise<Wish> {
  const seen = await sale.rows<{ id: string; version: number }>(
    "select id, version from seats where id = any($1)",
    [seatIds],
  );
  const versions = new Map(seen.map(({ id, version }) => [Number(id), version]));
  return {
    reservationId: Bun.randomUUIDv7(),
    seatIds,
    versions: seatIds.map((seatId) => versions.get(seatId) ?? 0),
    isHold: true,
    buyerId: null,
    key: null,
    ...more,
  };
}

type Verdict = SeatRow["verdict"] | "claimed";

/** The order of a wish, with checks when it has a key or a buyer. */
export const orderOf = ({ reservationId, seatIds, versions, isHold, buyerId, key }: Wish): SeatOrder => ({
  ...{ reservationId, isHold },
  ...((buyerId !== null || key !== null) && { checks: { buyerId, key } }),
  seats: seatIds.map((seatId, index) => ({ seatId, version: versions[index] ?? 0 })),
});

/** What an order came to, where all of its seats came to the same. */
export function verdictOf(answer: OrderAnswer): string {
  if (typeof answer === "string") return answer;
  return [...new Set(answer.map(({ verdict }) => verdict))].join();
}

/** Asks for everything in one batch, with claims when a wish has a key or a buyer. */
export async function takeRows(session: pg.PoolClient, wishes: Wish[]): Promise<(SeatRow | undefined)[]> {
  const orders = wishes.map(orderOf);
  const answers = orders.some(({ checks }) => checks)
    ? await commitReservationsWithClaims(session, orders)
    : await commitReservations(session, orders);
  return orders.flatMap(({ seats }, index) => answers[index] ?? seats.map(() => undefined));
}

/** The verdict on each seat of each wish; `claimed` where somebody else decides on its key or buyer. */
export async function take(session: pg.PoolClient, ...wishes: Wish[]): Promise<Verdict[][]> {
  const verdicts = (await takeRows(session, wishes)).map((row) => row?.verdict ?? "claimed");
  return wishes.map(({ seatIds }) => verdicts.splice(0, seatIds.length));
}

/** A reservation of these seats that exists after this call. */
export async function taken(sale: Sale, seatIds: number[], more: Partial<Wish> = {}): Promise<string> {
  const wish = await wishFor(sale, seatIds, more);
  const session = await sale.pool.connect();
  const verdicts = await take(session, wish).finally(() => session.release());
  if (verdicts.flat().some((verdict) => verdict !== "won")) throw new Error(`not taken: ${verdicts}`);
  return wish.reservationId;
}

export const changeOf = (
  reservationId: string,
  action: ChangeAction,
  changeId: string = Bun.randomUUIDv7(),
): ReservationChange => ({ reservationId, action, changeId });

/** Changes one reservation in the plain way. */
export async function change(
  session: pg.PoolClient,
  reservationId: string,
  action: ChangeAction,
  changeId: string = Bun.randomUUIDv7(),
): Promise<ChangeRow> {
  return only(await commitChanges(session, [changeOf(reservationId, action, changeId)]));
}

/** Changes one reservation in the way that counts the buyer's seats and keeps the key. */
export async function changeWithClaims(
  session: pg.PoolClient,
  reservationId: string,
  action: ChangeAction,
  key: KeyClaim | null = null,
): Promise<ChangeRow | "claimed"> {
  const changes = [{ ...changeOf(reservationId, action), key }];
  return (await commitChangesWithClaims(session, changes))[0] ?? "claimed";
}

/** Lets so much time pass for a reservation: it and its hold on the seats began, and end, earlier by that. */
export async function age(sale: Sale, reservationId: string, by = "1 hour"): Promise<void> {
  await sale.rows(
    `with aged as (
       update reservations set created_at = created_at - $2::interval, expires_at = expires_at - $2::interval where id = $1
     )
     update seats set hold_expires_at = hold_expires_at - $2::interval where reservation_id = $1 and status = 'held'`,
    [reservationId, by],
  );
}

/** Lets a hold end at this moment, or so much later. */
export async function endHold(sale: Sale, reservationId: string, later = "0 ms"): Promise<void> {
  await sale.rows(
    `with ended as (
       update reservations set expires_at = clock_timestamp() + $2::interval where id = $1 returning id, expires_at
     )
     update seats s set hold_expires_at = ended.expires_at from ended where s.reservation_id = ended.id and s.status = 'held'`,
    [reservationId, later],
  );
}

export interface ReservationState {
  status: string;
  eventId: number;
  seatIds: number[];
  pricesMinor: number[];
  buyerId: string | null;
}

/** Undefined when there is none. */
export async function reservationOf(
  sale: Sale,
  reservationId: string,
): Promise<ReservationState | undefined> {
  const found = await sale.rows<ReservationState>(
    `select status::text, event_id::int as "eventId", array_to_json(seat_ids) as "seatIds",
            array_to_json(prices_minor) as "pricesMinor", buyer_id as "buyerId"
     from reservations where id = $1`,
    [reservationId],
  );
  return found[0];
}

/** Everything that an attempt to change it could change. */
export const pictureOf = async (sale: Sale, reservationId: string, seatIds: number[]) => ({
  reservation: await reservationOf(sale, reservationId),
  seats: await Promise.all(seatIds.map((seatId) => sale.seat(seatId))),
  ledgers: await Promise.all(seatIds.map((seatId) => sale.ledger(seatId))),
});

/** The session with the `commit` of work with claims left out: its transaction stays open until the test ends it. */
export const withoutCommit = (session: pg.PoolClient): pg.PoolClient =>
  instead(session, (text, run) => (text === "commit" ? undefined : run()));

/** The session, with `pause` run once its transaction has begun, before anything else of it. */
export const pausedAfterBegin = (session: pg.PoolClient, pause: () => Promise<unknown>): pg.PoolClient =>
  instead(session, async (text, run) => {
    const result = await run();
    if (text === "begin") await pause();
    return result;
  });

function instead(session: pg.PoolClient, query: (text: unknown, run: () => Promise<unknown>) => unknown) {
  return new Proxy(session, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name !== "query") return value.bind(target);
      return async (...args: unknown[]) => query(args[0], () => Reflect.apply(value, target, args));
    },
  });
}

let keys = 0;
/** A key that was never sent. */
export const newKey = (): KeyClaim => ({ scope: "client-1", key: `key-${++keys}`, fingerprint: "a" });
