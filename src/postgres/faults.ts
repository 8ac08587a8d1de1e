import pg from "pg";

/**
 * What a failed statement left behind:
 * - `refused`: the server rolled it back, because of something in the statement itself (a value, a
 *   constraint, the tripwire): others of its batch may succeed alone;
 * - `away`: the server rolled it back or never saw it, for a reason of its own: nothing changed;
 * - `doubtful`: the connection was lost after sending: it may have been committed.
 */
export type Fault = "refused" | "away" | "doubtful";

/** SQLSTATE classes (Postgres manual, appendix A): 22 data exception, 23 integrity constraint violation. */
const REFUSED = /^2[23]/;
/** 08 connection exception, 57P operator intervention, 58 and XX system and internal errors: the session ended with it. */
const LOST = /^(08|57P|58|XX)/;

/** By code, not by severity, whose words come in the server's language. */
export function faultOf(error: unknown): Fault {
  const cause = error instanceof Error && error.cause instanceof pg.DatabaseError ? error.cause : error;
  if (!(cause instanceof pg.DatabaseError) || !cause.code || LOST.test(cause.code)) return "doubtful";
  return REFUSED.test(cause.code) ? "refused" : "away";
}
