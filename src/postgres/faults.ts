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

/** The codes to which the engine has a reaction of their own. */
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

/** The server's code for an error, also if a library has wrapped it; undefined if the error is not the server's. */
export function codeOf(error: unknown): string | undefined {
  const cause = error instanceof Error && error.cause instanceof pg.DatabaseError ? error.cause : error;
  return cause instanceof pg.DatabaseError ? cause.code : undefined;
}

/** The database answers, but nothing can be sold; the message says why. */
export class Unsellable extends Error {}

/** By code, not by severity, whose words come in the server's language. */
export function faultOf(error: unknown): Fault {
  const code = codeOf(error);
  if (!code || LOST.test(code)) return "doubtful";
  return REFUSED.test(code) ? "refused" : "away";
}

/** node-postgres's messages when there was no answer in time; these errors have no code. */
const TIMED_OUT = /timeout/i;

/** Whether there was no answer in time, perhaps only because the machine is busy. */
export function isSlow(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined) return code === SQLSTATE.queryCanceled;
  const cause = causeOf(error);
  return cause instanceof Error && !("code" in cause) && TIMED_OUT.test(cause.message);
}

/** Drizzle wraps an error in another one whose message is the statement. */
const causeOf = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error ? error.cause : error;

/** What the server or the driver said. */
export function causeMessageOf(error: unknown): string {
  const cause = causeOf(error);
  return cause instanceof Error ? cause.message : String(cause);
}

/** Whether the connection broke: the server neither reported an error nor was merely slow. */
export const isLost = (error: unknown): boolean =>
  faultOf(error) === "doubtful" && !(error instanceof Unsellable) && !isSlow(error);

/** Whether a value was refused (class 22), except by the division by zero that is a tripwire in one of our statements. */
export function isFaultOfData(error: unknown): boolean {
  const code = codeOf(error);
  return code?.startsWith("22") === true && code !== SQLSTATE.divisionByZero;
}
