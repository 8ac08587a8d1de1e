import { type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type SeatStatus, VERSION_LIMIT } from "../venue/seat-memory.ts";
import { arrayOf } from "./arrays.ts";

/**
 * Of a seat that changed often, the newest ledger rows only are counted: held and released all night it has
 * thousands, and the cost of a look must not depend on that. `bun run verify` reads all.
 */
const HISTORY_LIMIT_ROWS = 64;

/** A seat as its row says. */
export interface SeatFacts {
  seatId: number;
  version: number;
  status: SeatStatus;
  /** Of an event that takes nothing back. */
  isFinal: boolean;
}

/** Seats of a slice, and what of them and of those looked at again the ledger does not bear out. */
export interface SeatLook {
  epoch: number;
  seats: SeatFacts[];
  /** How many were held against their ledger rows: those of the slice, and those looked at again. */
  lookedAt: number;
  contradicted: { seatId: number; what: string }[];
  /** The id to go on after; null when the walk is through. */
  next: number | null;
}

/** An id and a word as `SeatMemory.learnWord` takes it. */
const BYTES_PER_SEAT = 12;
const STATUSES: (SeatStatus | undefined)[] = [undefined, "available", "held", "reserved"];

/** `problem` where it holds, told with its values; nothing where it does not. */
const told = (problem: SQL, text: string, values: SQL) => sql`
  case when ${problem} then format(${sql.raw(`'${text}'`)}, ${values}) end`;

/**
 * What contradicts the seat `s`: its newest ledger rows counted (`h`), the row of its version (`l`), and its
 * reservation (`r`). One transaction writes all of them.
 */
const contradictions = sql`array_to_string(array[
    ${told(
      sql`h.rows <> least(s.version, ${HISTORY_LIMIT_ROWS}) or h.newest is distinct from nullif(s.version, 0)`,
      "version %s, but the newest ledger row is of version %s, and there are %s rows where its last %s should be",
      sql`s.version, coalesce(h.newest::text, 'none'), h.rows, least(s.version, ${HISTORY_LIMIT_ROWS})`,
    )},
    ${told(
      sql`s.status::text <> case l.status when 'RESERVED' then 'reserved' when 'HELD' then 'held' when 'EXTENDED' then 'held' else 'available' end`,
      "it is %s, but the ledger row of its version says %s",
      sql`s.status, coalesce(l.status::text, 'nothing')`,
    )},
    ${told(
      sql`s.status <> 'available' and l.reservation_id is distinct from s.reservation_id`,
      "it belongs to reservation %s, but the ledger row of its version says %s",
      sql`s.reservation_id, coalesce(l.reservation_id::text, 'nothing')`,
    )},
    ${told(
      sql`(s.last_epoch, s.last_txid) <> (l.epoch, l.txid)`,
      "its last change was transaction %s of epoch %s, but the ledger row of its version was written by %s of %s",
      sql`s.last_txid, s.last_epoch, l.txid, l.epoch`,
    )},
    ${told(
      sql`s.status <> 'available' and r.status::text is distinct from case s.status when 'held' then 'held' else 'confirmed' end`,
      "it is %s, but its reservation is %s",
      sql`s.status, coalesce(r.status::text, 'not there')`,
    )}
  ], '; ')`;

/**
 * Looks at the next seats by id and at some again: each seat's row against its newest ledger rows and its
 * reservation, all found by an index. One statement, so one snapshot: however much is sold meanwhile, what it
 * finds is not a race. 500 sold seats take Postgres 6.5 ms of CPU time; 12 with the limit as a parameter, which it plans
 * for a tenth of all seats.
 */
export async function lookAtSeats(
  database: NodePgDatabase,
  { after, limit, again }: { after: number; limit: number; again: number[] },
): Promise<SeatLook> {
  const { rows } = await database.execute<{
    epoch: number;
    words: Buffer;
    lookedAt: number;
    contradicted: { seatId: number; what: string }[];
    next: string | null;
  }>(sql`
    with slice as materialized (
      select id from seats where id > ${after} order by id limit ${sql.raw(String(limit))}
    ), chosen as (
      select id, true as is_new from slice
      union all
      select id, false from unnest(${arrayOf(again)}::bigint[]) as again(id) where id not in (select id from slice)
    ), looked as materialized (
      select c.is_new, s.id, s.version,
             s.version::bigint * 8 + case when e.cancellable is false then 4 else 0 end
               + case s.status when 'available' then 1 when 'held' then 2 else 3 end as word,
             ${contradictions} as what
      from chosen c
      join seats s on s.id = c.id
      left join events e on e.id = s.event_id
      left join seat_events l on l.seat_id = s.id and l.version = s.version
      left join reservations r on r.id = s.reservation_id
      cross join lateral (
        select count(*) as rows, max(version) as newest from seat_events
        where seat_id = s.id and version > s.version - ${HISTORY_LIMIT_ROWS}
      ) h
    )
    select (select max(epoch) from ledger_epochs) as epoch,
           (select coalesce(string_agg(int8send(id) || int4send(word::int), ''::bytea), '')
            from looked where is_new and version < ${VERSION_LIMIT}) as words,
           (select count(*)::int from looked) as "lookedAt",
           (select coalesce(json_agg(json_build_object('seatId', id, 'what', what) order by id), '[]')
            from looked where what <> '') as contradicted,
           (select case when count(*) = ${limit} then max(id) end from slice) as next`);
  const [row] = rows;
  if (!row) throw new Error("the database gave no look at seats");
  const { words, next, ...look } = row;
  return { ...look, seats: unpack(words), next: next === null ? null : Number(next) };
}

function unpack(words: Buffer): SeatFacts[] {
  const seats: SeatFacts[] = [];
  for (let place = 0; place < words.length; place += BYTES_PER_SEAT) {
    const word = words.readUInt32BE(place + 8);
    const status = STATUSES[word & 3];
    if (!status) continue;
    seats.push({
      seatId: Number(words.readBigInt64BE(place)),
      version: word >>> 3,
      status,
      isFinal: (word & 4) !== 0,
    });
  }
  return seats;
}

/** The same of these seats alone, and how long ago each changed. */
export interface SeatsNow {
  epoch: number;
  seats: (SeatFacts & { changedSecondsAgo: number })[];
}

/** These seats as they are now. */
export async function readSeatsNow(database: NodePgDatabase, seatIds: number[]): Promise<SeatsNow> {
  const { rows } = await database.execute<{ epoch: number; seats: SeatsNow["seats"] }>(sql`
    select (select max(epoch) from ledger_epochs) as epoch, coalesce(json_agg(json_build_object(
             'seatId', s.id, 'version', s.version, 'status', s.status, 'isFinal', e.cancellable is false,
             'changedSecondsAgo', coalesce(extract(epoch from clock_timestamp() - l.occurred_at), 0)
           )), '[]') as seats
    from seats s
    left join events e on e.id = s.event_id
    left join seat_events l on l.seat_id = s.id and l.version = s.version
    where s.id = any(${arrayOf(seatIds)}::bigint[])`);
  const [row] = rows;
  if (!row) throw new Error("the database gave no answer about seats");
  return row;
}
