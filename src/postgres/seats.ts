import { and, asc, eq, gt, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { events, seatEvents, seats } from "./schema.ts";

/** What memory keeps of a seat. */
export interface SeatState {
  id: number;
  version: number;
  status: "available" | "held" | "reserved";
  final: boolean;
}

const state = {
  id: seats.id,
  version: seats.version,
  status: seats.status,
  final: sql<boolean>`not ${events.cancellable}`,
};

/** The next seats by id, at most `limit`, after the one given. */
export function readSeatsAfter(database: NodePgDatabase, after: number, limit: number): Promise<SeatState[]> {
  return database
    .select(state)
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(gt(seats.id, after))
    .orderBy(asc(seats.id))
    .limit(limit);
}

/** A moment of the database: which transactions were visible, in which epoch. */
export interface Moment {
  epoch: number;
  snapshot: string;
}

export async function readMoment(database: NodePgDatabase): Promise<Moment> {
  const { rows } = await database.execute<{ epoch: number; snapshot: string }>(
    sql`select max(epoch) as epoch, pg_current_snapshot()::text as snapshot from ledger_epochs`,
  );
  const [row] = rows;
  if (!row) throw new Error("the database gave no snapshot");
  return { epoch: row.epoch, snapshot: row.snapshot };
}

/** As `readSeatsAfter`, only seats changed by transactions that were not visible at that moment. */
export function readChangedSeatsAfter(
  database: NodePgDatabase,
  since: Moment,
  after: number,
  limit: number,
): Promise<SeatState[]> {
  const changed = database
    .select({ seatId: seatEvents.seatId })
    .from(seatEvents)
    .where(
      sql`${seatEvents.epoch} = ${since.epoch} and ${seatEvents.txid} >= pg_snapshot_xmin(${since.snapshot}::pg_snapshot)
        and not pg_visible_in_snapshot(${seatEvents.txid}, ${since.snapshot}::pg_snapshot)`,
    );
  return database
    .select(state)
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(and(gt(seats.id, after), sql`${seats.id} in ${changed}`))
    .orderBy(asc(seats.id))
    .limit(limit);
}

/** A seat as clients see it. */
export interface SeatView {
  seatId: number;
  eventId: number;
  seatNumber: string;
  status: "available" | "held" | "reserved";
  version: number;
  priceMinor: number;
  currency: string;
}

const view = {
  seatId: seats.id,
  eventId: seats.eventId,
  seatNumber: seats.seatNumber,
  status: seats.status,
  version: seats.version,
  priceMinor: seats.priceMinor,
  currency: events.currency,
};

export async function findSeat(database: NodePgDatabase, seatId: number): Promise<SeatView | undefined> {
  const found = await database
    .select(view)
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(eq(seats.id, seatId));
  return found[0];
}

export interface SeatQuery {
  status: SeatView["status"] | undefined;
  after: number;
  limit: number;
}

export function listSeats(
  database: NodePgDatabase,
  { status, after, limit }: SeatQuery,
): Promise<SeatView[]> {
  return database
    .select(view)
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(and(gt(seats.id, after), status ? eq(seats.status, status) : undefined))
    .orderBy(asc(seats.id))
    .limit(limit);
}
