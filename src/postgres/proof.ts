import { type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";

/** Findings of one kind that are named; more tell nobody anything new, and all are counted. */
export const NAMED_LIMIT = 20;

/** Something that is not as it must be. Where it is, as far as that is known. */
export interface Finding {
  /** One of a few sentences, the same for all of its kind. */
  what: string;
  seatId?: string | null;
  version?: number | null;
  reservationId?: string | null;
  detail?: string | null;
}

/** The first findings of each kind, and how many there are of each. */
export interface Found {
  findings: Finding[];
  totals: Record<string, number>;
}

/** A rule over rows: what is wrong where the condition holds, and which values say it best. */
export interface Rule {
  what: string;
  isBroken: SQL;
  detail?: SQL;
  /** Where it is not the row's own. */
  version?: SQL;
}

/** Whom the rows of a source are about. */
export interface Subject {
  seatId?: SQL;
  version?: SQL;
  reservationId?: SQL;
}

/**
 * The findings of several rules over one source of rows, which is read once. What breaks no rule is sorted out
 * before the rules are looked at one by one.
 */
export const broken = (source: SQL, subject: Subject, rules: Rule[]): SQL => sql`
  select fault.what, ${subject.seatId ?? sql`null`}::bigint as seat_id, fault.at_version as version, ${subject.reservationId ?? sql`null`}::uuid as reservation_id, fault.told as detail
  from ${source}
  cross join lateral (values ${sql.join(
    rules.map(
      ({ what, isBroken, detail, version }) =>
        sql`(${isBroken}, ${sql.raw(`'${what.replaceAll("'", "''")}'`)}, (${version ?? subject.version ?? sql`null`})::bigint, (${detail ?? sql`null`})::text)`,
    ),
    sql`, `,
  )}) as fault(is_broken, what, at_version, told)
  where (${sql.join(
    rules.map(({ isBroken }) => sql`(${isBroken})`),
    sql` or `,
  )}) and fault.is_broken`;

/** @param statements selects of (what, seat_id, version, reservation_id, detail), as `broken` makes them. */
export async function find(session: NodePgDatabase, ...statements: SQL[]): Promise<Found> {
  const { rows } = await session.execute<Required<Finding> & { total: number }>(sql`
    with findings as materialized (${sql.join(statements, sql` union all `)})
    select what, seat_id::text as "seatId", version::float8 as version, reservation_id as "reservationId", detail, total from (
      select *, count(*) over (partition by what)::float8 as total,
             row_number() over (partition by what order by seat_id, version, reservation_id) as place
      from findings
    ) numbered
    where place <= ${NAMED_LIMIT} order by what, place`);
  return {
    findings: rows.map(({ total: _, ...finding }) => finding),
    totals: Object.fromEntries(rows.map(({ what, total }) => [what, total])),
  };
}

export type Counted = "seat_events" | "seats" | "reservations";

export async function countRows(session: NodePgDatabase, table: Counted): Promise<number> {
  const { rows } = await session.execute<{ count: number }>(
    sql`select count(*)::float8 as count from ${sql.identifier(table)}`,
  );
  return rows[0]?.count ?? 0;
}
