import { problem } from "../http/problem.ts";
import { faultOf } from "../postgres/faults.ts";
import { FaultLog, type Logger } from "../telemetry/log.ts";

const RETRY_AFTER = { "retry-after": "1" };

/** Asks the database for an answer, or answers 503. */
export type FromDatabase = <Answer>(ask: () => Promise<Answer>) => Promise<Answer | Response>;

/**
 * That the database is away is told once, by its gate; what it refuses is a fault of ours, and logged.
 * @param what is asked there, as the log's sentence ends: "the database refuses ..."
 * @param isBusy whether enough wait for a connection.
 */
export function fromDatabase(log: Logger, what: string, isBusy: () => boolean = () => false): FromDatabase {
  const refusals = new FaultLog(log, `the database refuses ${what}`);
  return async (ask) => {
    if (isBusy()) return problem("unavailable", "Too many are reading now.", RETRY_AFTER);
    try {
      const answer = await ask();
      refusals.over();
      return answer;
    } catch (error) {
      if (faultOf(error) !== "doubtful") refusals.met(error);
      return problem("unavailable", "The database cannot be asked now.", RETRY_AFTER);
    }
  };
}
