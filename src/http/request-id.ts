const HEADER = "x-request-id";
/** What may stand in a header and a log line as it came; anything else is replaced. */
const SAFE = /^[\w.:-]{1,64}$/;

const prefix = crypto.randomUUID().slice(0, 8);
let sequence = 0;

/** The caller's own `X-Request-Id` where it is harmless, else one made here; the answer carries it back. */
export function requestIdOf(request: Request): string {
  return harmless(request.headers.get(HEADER));
}

/**
 * As `requestIdOf`, but undefined where the caller sent none: for refusals from memory, which nothing is
 * ever logged about. Making and sending an id was a sixth of their CPU time (15.3 instead of 12.8 µs).
 */
export function requestIdIfGiven(request: Request): string | undefined {
  const given = request.headers.get(HEADER);
  return given === null ? undefined : harmless(given);
}

function harmless(given: string | null): string {
  return given !== null && SAFE.test(given) ? given : `${prefix}-${(++sequence).toString(36)}`;
}
