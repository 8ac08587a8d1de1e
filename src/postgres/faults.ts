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

export function faultOf(error: unknown): Fault {
  const cause = error instanceof Error && error.cause instanceof pg.DatabaseError ? error.cause : error;
  if (!(cause instanceof pg.DatabaseError) || cause.severity !== "ERROR") return "doubtful";
  return cause.code && REFUSED.test(cause.code) ? "refused" : "away";
}
