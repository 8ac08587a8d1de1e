import type { z } from "zod";
import { integer } from "../config/setting-types.ts";
import { invalidField } from "../http/invalid-field.ts";
import { problem } from "../http/problem.ts";
import { parseSeatId } from "../venue/seat-id.ts";

/** The id of an event in an address, or the problem with it. */
export function readEventId(text: string | undefined): { value: number } | { problem: Response } {
  const value = parseSeatId(text ?? "");
  if (value !== undefined) return { value };
  return { problem: problem("invalid-request", "eventId: must be a whole number from 1 to 2^53 - 1.") };
}

export const eventNotFound = (eventId: number) => problem("event-not-found", `There is no event ${eventId}.`);

/** A whole number in the query of an address. */
export const wholeNumber = integer;

/** The query of an address, checked, or the problem that names the parameter. */
export function readQuery<Schema extends z.ZodType>(
  query: Record<string, string>,
  schema: Schema,
): { value: z.output<Schema> } | { problem: Response } {
  const parsed = schema.safeParse(query, { error: invalidField.message });
  if (parsed.success) return { value: parsed.data };
  return { problem: problem("invalid-request", invalidField.detail(parsed.error)) };
}
