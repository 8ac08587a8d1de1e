import { z } from "zod";

/** The range that JavaScript, Postgres and a four-digit year in UTC can all express. */
const EARLIEST_MS = Date.parse("1970-01-01T00:00:00Z");
const LATEST_MS = Date.parse("9999-12-31T23:59:59.999Z");
const RANGE = "must be a time of the years 1970 to 9999, in UTC";

/**
 * A point in time as a client sends it; the result is in milliseconds since 1970.
 * @param form the message for text in another form.
 */
export const timeOf = (form: string) =>
  z.iso
    .datetime({ offset: true, error: form })
    .transform((text) => Date.parse(text))
    .refine((timeMs) => timeMs >= EARLIEST_MS && timeMs <= LATEST_MS, RANGE);

export const time = timeOf("must be an ISO 8601 time with its zone, such as 2026-12-01T10:00:00+01:00");
