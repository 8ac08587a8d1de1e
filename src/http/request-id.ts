const HEADER = "x-request-id";
/** What may stand in a header and a log line as it came; anything else is replaced. */
const SAFE = /^[\w.:-]{1,64}$/;

const prefix = crypto.randomUUID().slice(0, 8);
let sequence = 0;

/** The caller's own `X-Request-Id` where it is harmless, else one made here; the answer carries it back. */
export function requestIdOf(request: Request): string {
  const given = request.headers.get(HEADER);
  return given !== null && SAFE.test(given) ? given : `${prefix}-${(++sequence).toString(36)}`;
}
