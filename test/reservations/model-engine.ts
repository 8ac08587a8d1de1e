import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { commitChanges } from "../../src/postgres/change.ts";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import { readDueHolds, removeOldKeys } from "../../src/postgres/due.ts";
import { findReplay, findReservation } from "../../src/postgres/reservations.ts";
import { SeatLocks } from "../../src/redis/seat-locks.ts";
import { Batcher } from "../../src/reservations/batcher.ts";
import { Changes } from "../../src/reservations/changes.ts";
import { changesOf, learnChanges } from "../../src/reservations/seat-changes.ts";
import { createLog, FaultLog } from "../../src/telemetry/log.ts";
import type { ReservationTask } from "../../src/threads/messages.ts";
import type { SeatChange } from "../../src/venue/seat-events.ts";
import type { SeatId } from "../../src/venue/seat-id.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";
import { change } from "../../workers/change.ts";
import { take } from "../../workers/take.ts";
import { changeOf } from "../postgres/reservations.ts";
import type { Sale } from "../postgres/sale.ts";
import type { Model, Terms } from "../spec/model.ts";

const LIMIT_ROWS = 1000;
const SLOTS = 2;

/** One process: the code behind the routes, with the workers called in place and no Redis beside them. */
export function openProcess(pool: pg.Pool) {
  const memory = new SeatMemory();
  /** What other processes hear of this one. */
  const heard: SeatChange[] = [];
  const changed = (changes: SeatChange[]) => heard.push(...changes);
  const transactions = { pool, refusals: new FaultLog(createLog("silent", "model"), "") };
  const options = { redisUrls: [], keyPrefix: "model", ttlMs: 2000, timeoutMs: 50 };
  const locks = new SeatLocks({ ...options, onDegraded: () => undefined });
  const run = async (task: ReservationTask) => {
    if (task.kind === "take") return take(transactions, locks, task.orders);
    if (task.kind === "change") return change(transactions, task.changes);
    throw new Error("no answer was lost");
  };
  const batcher = new Batcher({
    memory,
    mayTrustMemory: () => true,
    run: <Result>(task: ReservationTask) => run(task) as Promise<Result>,
    readFacts: (reservationId) => findReservation(drizzle(pool), reservationId),
    ...{ slotCount: SLOTS, batchLimitSeats: 64, queueLimitSeats: 64 },
    observer: {
      decided: () => undefined,
      changed,
      unresolved: () => undefined,
      trouble: () => undefined,
    },
  });
  const changes = new Changes({
    memory,
    run: <Result>(task: ReservationTask) => run(task) as Promise<Result>,
    readSeats: () => Promise.resolve([]),
    ...{ slotCount: SLOTS, batchLimitReservations: 64, queueLimitReservations: 64 },
    observer: { changed, decided: () => undefined, trouble: () => undefined },
  });
  /** @returns the reservations whose holds were ended. */
  const sweep = async (): Promise<string[]> => {
    const client = await pool.connect();
    try {
      const due = await readDueHolds(drizzle(client), LIMIT_ROWS);
      const rows = await commitChanges(
        client,
        due.map((id) => changeOf(id, "expire")),
      );
      const freed = rows.flatMap((row) => changesOf("expire", row));
      learnChanges(memory, freed);
      changed(freed);
      await removeOldKeys(drizzle(client), LIMIT_ROWS);
      return due.filter((_, position) => rows[position]?.verdict === "done");
    } finally {
      client.release();
    }
  };
  return { memory, heard, batcher, changes, sweep };
}

export type EngineProcess = ReturnType<typeof openProcess>;

/** An empty house of these events and seats; ids are those of the model. */
export async function prepare(sale: Sale, model: Model): Promise<void> {
  await sale.rows("truncate events, seats, reservations, idempotency_keys, seat_events");
  for (const [id, { cancellable, buyerLimit }] of model.events)
    await sale.rows(
      `insert into events (id, name, currency, cancellable, buyer_limit_seats, hold_ttl_seconds, hold_limit_seconds)
       values ($1, 'event', 'EUR', $2, $3, 600, 1800)`,
      [id, cancellable, buyerLimit],
    );
  for (const [id, eventId] of model.eventOfSeat)
    await sale.rows("insert into seats (id, event_id, seat_number, price_minor) values ($1, $2, $3, $4)", [
      ...[id, eventId, String(id), priceOf(id)],
    ]);
}

export const priceOf = (seatId: number) => 1000 + seatId;

/**
 * Lets time pass. Rules meet the clock only where `now()` is compared with a column, so that "later by so
 * much" is the same as "all of it was so much earlier"; versions and the ledger are left alone. What is
 * compared lies minutes apart, so that the real time a test takes does not matter.
 */
export async function advance(sale: Sale, byMs: number): Promise<void> {
  await sale.rows(
    `with by as (select $1::float8 * interval '1 ms' as by),
       s as (update seats set hold_expires_at = hold_expires_at - by from by where status = 'held'),
       r as (update reservations set created_at = created_at - by, expires_at = expires_at - by from by),
       k as (update idempotency_keys set created_at = created_at - by, expires_at = expires_at - by from by)
     update events set on_sale_at = on_sale_at - by, off_sale_at = off_sale_at - by from by`,
    [byMs],
  );
}

/** Puts an event on sale as the model's terms say. */
export async function sell(sale: Sale, model: Model, eventId: number, terms: Terms): Promise<void> {
  const inMs = (time: number | null) => (time === null ? null : time - model.now);
  await sale.rows(
    `update events set status = $2, on_sale_at = now() + $3::float8 * interval '1 ms',
       off_sale_at = now() + $4::float8 * interval '1 ms' where id = $1`,
    [eventId, terms.status, inMs(terms.onSaleAt), inMs(terms.offSaleAt)],
  );
}

/** Seats and reservations, as `pictureOf` draws the model's. */
export async function realPicture(sale: Sale): Promise<unknown> {
  const [row] = await sale.rows<{ picture: unknown }>(
    `select json_build_object(
       'seats', (select json_agg(json_build_array(id, status, version, reservation_id) order by id) from seats),
       'reservations', coalesce((select json_agg(json_build_array(id, status, buyer_id, array_to_json(seat_ids)) order by id) from reservations), '[]')
     ) as picture`,
  );
  return row?.picture;
}

export const pictureOf = (model: Model): unknown => ({
  seats: [...model.eventOfSeat.keys()].map((id) => {
    const { status, version, owner } = model.house.seat(id);
    return [id, status, version, owner];
  }),
  reservations: [...model.made]
    .map(([id, { buyerId }]) => [id, model.house.reservation(id), buyerId] as const)
    .map(([id, found, buyerId]) => [id, found?.status, buyerId, found?.seatIds])
    .sort(([one], [other]) => (String(one) < String(other) ? -1 : 1)),
});

/** The whole ledger, by seat and version. */
export async function realLedger(sale: Sale): Promise<unknown> {
  const rows = await sale.rows<{ entry: unknown }>(
    `select json_build_array(seat_id, version, status, reservation_id, replaces_reservation_id) as entry
     from seat_events order by seat_id, version`,
  );
  return rows.map(({ entry }) => entry);
}

export const ledgerOf = (model: Model) =>
  model.ledger.toSorted(([one, first], [other, second]) => one - other || first - second);

/** Of each change what others must hear of it. */
export const changesToHear = (model: Model): SeatChange[] =>
  ledgerOf(model).map(([seatId, version, entry]) => {
    const status =
      entry === "RESERVED" ? "reserved" : entry === "HELD" || entry === "EXTENDED" ? "held" : "available";
    return { seatId, version, status, final: status === "reserved" && model.isFinal(seatId) };
  });

export const replayOf = (sale: Sale, key: KeyClaim) => findReplay(drizzle(sale.pool), key);

export const seatIdOf = (id: number) => id as SeatId;
