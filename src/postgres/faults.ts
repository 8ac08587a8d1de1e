import pg from "pg";

/**
 * The effect of a failed statement.
 * - `refused`: the server rolled it back because of its content (a value, a constraint, the tripwire). Others
 *   of its batch may succeed alone.
 * - `away`: the server rolled it back or never received it, for a reason of its own. Nothing changed.
 * - `doubtful`: the connection was lost after sending. It may have been committed.
 */
export type Fault = "refused" | "away" | "doubtful";

/** SQLSTATE classes (Postgres manual, appendix A): 22 data exception, 23 integrity constraint violation. */
const REFUSED = /^2[23]/;
/**
 * 08 connection exception, 57P operator intervention, 58 and XX system and internal errors, which end the
 * session.
 */
const LOST = /^(08|57P|58|XX)/;

/** The codes that the engine handles specially. */
export const SQLSTATE = {
  divisionByZero: "22012",
  tooManyConnections: "53300",
  undefinedTable: "42P01",
  insufficientPrivilege: "42501",
  readOnlyTransaction: "25006",
  lockNotAvailable: "55P03",
  deadlockDetected: "40P01",
  queryCanceled: "57014",
} as const;

/**
 * Returns the server's code for an error, even if a library wrapped it; undefined if the error is not from
 * the server.
 */
export function codeOf(error: unknown): string | undefined {
  const cause = error instanceof Error && error.cause instanceof pg.DatabaseError ? error.cause : error;
  return cause instanceof pg.DatabaseError ? cause.code : undefined;
}

/** The database responds, but nothing can be sold. The message says why. */
export class Unsellable extends Error {}

/** Classifies an error by its code. Severities are in the server's language. */
export function faultOf(error: unknown): Fault {
  const code = codeOf(error);
  if (!code || LOST.test(code)) return "doubtful";
  return REFUSED.test(code) ? "refused" : "away";
}

/** node-postgres's messages for a missing response; these errors have no code. */
const TIMED_OUT = /timeout/i;

/** Returns whether there was no response in time, perhaps only because the machine is busy. */
export function isSlow(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined) return code === SQLSTATE.queryCanceled;
  const cause = causeOf(error);
  return cause instanceof Error && !("code" in cause) && TIMED_OUT.test(cause.message);
}

/** Drizzle wraps an error in another one whose message is the statement. */
const causeOf = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error ? error.cause : error;

/** Returns the message of the server or the driver. */
export function causeMessageOf(error: unknown): string {
  const cause = causeOf(error);
  return cause instanceof Error ? cause.message : String(cause);
}

/** Returns whether the connection broke. False if the server reported an error or was only slow. */
export const isLost = (error: unknown): boolean =>
  faultOf(error) === "doubtful" && !(error instanceof Unsellable) && !isSlow(error);

/**
 * Returns whether a value was refused (class 22), except for the division by zero that is a tripwire in one
 * of our statements.
 */
export function isFaultOfData(error: unknown): boolean {
  const code = codeOf(error);
  return code?.startsWith("22") === true && code !== SQLSTATE.divisionByZero;
}
