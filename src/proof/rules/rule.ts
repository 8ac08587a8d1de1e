import { type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { rowsOf } from "../../postgres/query.ts";

/** One invariant, as operators read it in `verify --help` and docs/operations/verify.md. */
export interface Rule {
  /** The heading above its violations, the same for all of them. It names the rule. */
  finding: string;
  /** A sentence that is always true. */
  statement: string;
}

/** A rule that a query checks: each row of its source obeys it or breaks it. */
export interface RowRule extends Rule {
  isBroken: SQL;
  /** The values, in words. */
  detail?: SQL;
  /** The version to name if it is not the row's own. */
  version?: SQL;
  /** Whether the auditor of a running engine checks it too, for a slice of seats at a time. */
  isAudited?: true;
}

/** Rules over one source of rows, which is read once, and what its rows are about. */
export interface RowRules {
  rows: SQL;
  seatId?: SQL;
  version?: SQL;
  reservationId?: SQL;
  rules: readonly RowRule[];
}

/** Findings of one rule that are named. More tell an operator nothing new; all are counted. */
export const NAMED_LIMIT = 20;

/** A violation, and where it is as far as that is known. */
export interface Finding {
  /** The rule's `finding`. */
  what: string;
  seatId?: string | null;
  version?: number | null;
  reservationId?: string | null;
  detail?: string | null;
}

/** The first violations of each rule, and how many there are of each. */
export interface Found {
  findings: Finding[];
  totals: Record<string, number>;
}

/**
 * Selects the violations (what, seat_id, version, reservation_id, detail). Rows that break no rule are sorted out before
 * the rules are looked at one by one.
 */
export const violations = ({ rows, seatId, version, reservationId, rules }: RowRules): SQL => sql`
  select fault.what, ${seatId ?? sql`null`}::bigint as seat_id, fault.at_version as version, ${reservationId ?? sql`null`}::uuid as reservation_id, fault.detail
  from ${rows}
  cross join lateral (values ${sql.join(
    rules.map(
      (rule) =>
        sql`(${rule.isBroken}, ${sql.raw(`'${rule.finding.replaceAll("'", "''")}'`)}, (${rule.version ?? version ?? sql`null`})::bigint, (${rule.detail ?? sql`null`})::text)`,
    ),
    sql`, `,
  )}) as fault(is_broken, what, at_version, detail)
  where (${sql.join(
    rules.map(({ isBroken }) => sql`(${isBroken})`),
    sql` or `,
  )}) and fault.is_broken`;

/** Checks every rule of these groups in one statement, so at one moment. */
export async function findViolations(session: NodePgDatabase, groups: readonly RowRules[]): Promise<Found> {
  const query = sql`
    with findings as materialized (${sql.join(groups.map(violations), sql` union all `)})
    select what, seat_id::text as "seatId", version::float8 as version, reservation_id as "reservationId", detail, total from (
      select *, count(*) over (partition by what)::float8 as total,
             row_number() over (partition by what order by seat_id, version, reservation_id) as place
      from findings
    ) numbered
    where place <= ${NAMED_LIMIT} order by what, place`;
  const rows = await rowsOf<Required<Finding> & { total: number }>(session, query);
  return {
    findings: rows.map(({ total: _, ...finding }) => finding),
    totals: Object.fromEntries(rows.map(({ what, total }) => [what, total])),
  };
}
