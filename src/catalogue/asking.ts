import type { z } from "zod";
import { invalidField } from "../http/invalid-field.ts";
import { problem } from "../http/problem.ts";
import { faultOf } from "../postgres/faults.ts";
import { parseSeatId } from "../seats/seat-id.ts";
import { FaultLog, type Logger } from "../telemetry/log.ts";

const RETRY_AFTER = { "retry-after": "1" };

/** Asks the database for an answer, or answers 503. */
export type FromDatabase = <Answer>(read: () => Promise<Answer>) => Promise<Answer | Response>;

/** That the database is away is told once, by its gate; what it refuses is a fault of ours, and logged. */
export function fromDatabase(log: Logger, isBusy: () => boolean): FromDatabase {
  const refusals = new FaultLog(log, "the database refuses what the catalogue asks");
  return async (read) => {
    if (isBusy()) return problem("unavailable", "Too many are reading now.", RETRY_AFTER);
    try {
      const answer = await read();
      refusals.over();
      return answer;
    } catch (error) {
      if (faultOf(error) !== "doubtful") refusals.met(error);
      return problem("unavailable", "The database cannot be asked now.", RETRY_AFTER);
    }
  };
}

/** The id of an event in an address, or the problem with it. */
export function readEventId(text: string | undefined): { value: number } | { problem: Response } {
  const value = parseSeatId(text ?? "");
  if (value !== undefined) return { value };
  return { problem: problem("invalid-request", "eventId: must be a whole number from 1 to 2^53 - 1.") };
}

export const eventNotFound = (eventId: number) => problem("event-not-found", `There is no event ${eventId}.`);

/** The query of an address, checked, or the problem that names the parameter. */
export function readQuery<Schema extends z.ZodType>(
  query: Record<string, string>,
  schema: Schema,
): { value: z.output<Schema> } | { problem: Response } {
  const parsed = schema.safeParse(query, { error: invalidField.message });
  if (parsed.success) return { value: parsed.data };
  return { problem: problem("invalid-request", invalidField.detail(parsed.error)) };
}
