const HEADER = "x-request-id";
/** An id that is safe in a header and a log line; any other is replaced. */
const SAFE = /^[\w.:-]{1,64}$/;

const prefix = crypto.randomUUID().slice(0, 8);
let sequence = 0;

/** Returns the caller's `X-Request-Id` if it is harmless, otherwise a generated one. The response carries it. */
export function requestIdOf(request: Request): string {
  return harmless(request.headers.get(HEADER));
}

/**
 * Same as `requestIdOf`, but undefined if the caller sent none. It is for refusals from memory, which are
 * never logged: generating and sending an id was a sixth of their CPU time (15.3 instead of 12.8 µs).
 */
export function requestIdIfGiven(request: Request): string | undefined {
  const given = request.headers.get(HEADER);
  return given === null ? undefined : harmless(given);
}

function harmless(given: string | null): string {
  return given !== null && SAFE.test(given) ? given : `${prefix}-${(++sequence).toString(36)}`;
}
