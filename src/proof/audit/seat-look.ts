import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { arrayOf, rowOf } from "../../postgres/query.ts";
import { type SeatStatus, VERSION_LIMIT } from "../../venue/seat-memory.ts";
import { ownerRule } from "../rules/reservation-rules.ts";
import { type RowRules, violations } from "../rules/rule.ts";
import { newestRowRules, seatAndNewestRow, stepRules, stepsOf } from "../rules/seat-rules.ts";

/**
 * The number of a seat's newest ledger rows that are checked. A seat that was held and released all night has
 * thousands, and the cost of a look must not depend on that. `bun run verify` reads all.
 */
const HISTORY_LIMIT_ROWS = 64;

/** A seat's row. */
export interface SeatFacts {
  seatId: number;
  version: number;
  status: SeatStatus;
  /** Whether the event has no cancellations. */
  isFinal: boolean;
}

/** The seats of a slice, and the contradictions found in them and in those checked again. */
export interface SeatLook {
  epoch: number;
  seats: SeatFacts[];
  /** How many seats were checked: those of the slice, and those checked again. */
  lookedAt: number;
  contradicted: { seatId: number; what: string }[];
  /** The id to continue after; null when the walk is complete. */
  next: number | null;
}

/** An id and a word for `SeatMemory.learnWord`. */
const BYTES_PER_SEAT = 12;
const STATUSES: (SeatStatus | undefined)[] = [undefined, "available", "held", "reserved"];

const LIMIT = sql.raw(String(HISTORY_LIMIT_ROWS));

/** The newest ledger rows of the seats that are looked at, each with the version that precedes them. */
const newestRows = sql`(
  select newest.*, greatest(l.version - ${LIMIT}, 0) as version_floor
  from looked l cross join lateral (
    select * from seat_events e where e.seat_id = l.id and e.version > l.version - ${LIMIT} and e.version <= l.version
    order by e.version desc limit ${LIMIT}
  ) newest
) as newest`;

const audited: readonly RowRules[] = [
  {
    rows: sql`looked`,
    seatId: sql`id`,
    rules: [...newestRowRules.filter(({ isAudited }) => isAudited), ownerRule],
  },
  {
    rows: stepsOf(newestRows, sql`version_floor`),
    seatId: sql`seat_id`,
    rules: stepRules.filter(({ isAudited }) => isAudited),
  },
];

/**
 * Checks the audited rules for the next seats by id, and again for some others. Every row is found by an index. It is one
 * statement, so one snapshot: nothing that is sold meanwhile looks like a violation. 500 sold seats take Postgres 6.5 ms
 * of CPU time. With the limit as a parameter they take 12, because Postgres then plans for a tenth of all seats.
 */
export async function lookAtSeats(
  database: NodePgDatabase,
  { after, limit, again }: { after: number; limit: number; again: number[] },
): Promise<SeatLook> {
  const query = sql`
    with slice as materialized (
      select id from seats where id > ${after} order by id limit ${sql.raw(String(limit))}
    ), chosen as (
      select id, true as is_new from slice
      union all
      select id, false from unnest(${arrayOf(again)}::bigint[]) as again(id) where id not in (select id from slice)
    ), looked as materialized (
      select c.is_new, e.cancellable is false as is_final, r.status::text as owner_status, ${seatAndNewestRow}
      from chosen c
      join seats s on s.id = c.id
      left join events e on e.id = s.event_id
      left join reservations r on r.id = s.reservation_id
      left join lateral (select * from seat_events where seat_id = s.id order by version desc limit 1) l on true
    ), broken as (
      select seat_id, string_agg(what || coalesce(': ' || detail, ''), '; ') as what
      from (${sql.join(audited.map(violations), sql` union all `)}) found group by seat_id
    )
    select (select max(epoch) from ledger_epochs) as epoch,
           (select coalesce(string_agg(int8send(id) || int4send((version::bigint * 8 + case when is_final then 4 else 0 end
               + case status when 'available' then 1 when 'held' then 2 else 3 end)::int), ''::bytea), '')
            from looked where is_new and version < ${VERSION_LIMIT}) as words,
           (select count(*)::int from looked) as "lookedAt",
           (select coalesce(json_agg(json_build_object('seatId', seat_id, 'what', what) order by seat_id), '[]')
            from broken) as contradicted,
           (select case when count(*) = ${limit} then max(id)::float8 end from slice) as next`;
  const { words, ...look } = await rowOf<Omit<SeatLook, "seats"> & { words: Buffer }>(database, query);
  return { ...look, seats: unpack(words) };
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

/** Some seats at one moment, with the time since each changed. */
export interface SeatsNow {
  epoch: number;
  seats: (SeatFacts & { changedSecondsAgo: number })[];
}

/** Reads the current state of these seats. */
export const readSeatsNow = (database: NodePgDatabase, seatIds: number[]): Promise<SeatsNow> =>
  rowOf(
    database,
    sql`
    select (select max(epoch) from ledger_epochs) as epoch, coalesce(json_agg(json_build_object(
             'seatId', s.id, 'version', s.version, 'status', s.status, 'isFinal', e.cancellable is false,
             'changedSecondsAgo', coalesce(extract(epoch from clock_timestamp() - l.occurred_at), 0)
           )), '[]') as seats
    from seats s
    left join events e on e.id = s.event_id
    left join seat_events l on l.seat_id = s.id and l.version = s.version
    where s.id = any(${arrayOf(seatIds)}::bigint[])`,
  );
