import { faultOf, isFaultOfData } from "../postgres/faults.ts";
import { FaultLog, type Logger } from "../telemetry/log.ts";
import { invalidValue, type ProblemResponse, problem } from "./problem.ts";

const RETRY_AFTER = { "retry-after": "1" };

/** Asks the database for an answer, or answers 503. */
export type FromDatabase = <Answer>(
  ask: () => Promise<Answer>,
) => Promise<Answer | ProblemResponse<"unavailable" | "invalid-request">>;

export interface FromDatabaseOptions {
  log: Logger;
  /** The subject of the queries. It ends the log's sentence "the database refuses ...". */
  what: string;
  /** Whether too many requests already wait for a connection. */
  isBusy?: () => boolean;
  /** False while the database is known not to answer, so that no request waits for it. */
  answers?: () => boolean;
}

/**
 * Turns faults of the database into problems. Its gate reports an outage, so that is not logged here. A statement that
 * the database refuses is our bug, and logged. A value that it cannot store is the caller's fault: every field is checked
 * before, and this catches the rest.
 */
export function fromDatabase({
  log,
  what,
  isBusy = () => false,
  answers = () => true,
}: FromDatabaseOptions): FromDatabase {
  const refusals = new FaultLog(log, `the database refuses ${what}`);
  return async (ask) => {
    if (!answers()) return problem("unavailable", "The database cannot be asked now.", RETRY_AFTER);
    if (isBusy()) return problem("unavailable", "Too many are reading now.", RETRY_AFTER);
    try {
      const answer = await ask();
      refusals.over();
      return answer;
    } catch (error) {
      if (faultOf(error) !== "doubtful") refusals.met(error);
      if (isFaultOfData(error))
        return invalidValue("body", "", "has a value that can be neither stored nor searched for");
      return problem("unavailable", "The database cannot be asked now.", RETRY_AFTER);
    }
  };
}
