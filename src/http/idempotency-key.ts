import { createHash } from "node:crypto";
import type { KeyClaim } from "../postgres/claims.ts";
import { invalidValue, type ProblemResponse, problem } from "./problem.ts";

const HEADER = "idempotency-key";
const KEY_LIMIT_CHARACTERS = 255;
/**
 * Callers without an API key are identified only by their address, which others may share, so their keys must
 * be hard to guess.
 */
export const ANONYMOUS_KEY_LEAST_CHARACTERS = 16;
/** Visible ASCII, as a header carries it unchanged. */
const SHAPE = /^[\x21-\x7e]+$/;

/**
 * Returns the claim of a request's `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header): null
 * without one, or the 400 for an invalid one.
 * @param scope the owner of the key: the same key of two callers is two keys
 * @param payload the validated request, so that two ways to write the same JSON are equal
 */
export function claimIn(
  request: Request,
  scope: () => string,
  path: string,
  payload: unknown,
  leastCharacters = 1,
): KeyClaim | null | ProblemResponse<"invalid-request"> {
  const key = request.headers.get(HEADER);
  if (key === null) return null;
  if (key.length < leastCharacters || key.length > KEY_LIMIT_CHARACTERS || !SHAPE.test(key)) {
    return invalidValue(
      "header",
      "Idempotency-Key",
      `must have ${leastCharacters} to ${KEY_LIMIT_CHARACTERS} visible ASCII characters without spaces; a UUID is a good one`,
    );
  }
  const asked = `${request.method} ${path}\n${JSON.stringify(payload)}`;
  return { scope: scope(), key, fingerprint: createHash("sha256").update(asked).digest("hex") };
}

export const keyReused = () =>
  problem(
    "idempotency-key-reused",
    "Idempotency-Key: was sent with another request before; choose a new one.",
  );
