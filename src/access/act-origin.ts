import { plainText } from "../http/plain-text.ts";
import { problem } from "../http/problem.ts";
import type { ActOrigin } from "../postgres/admin-log.ts";
import type { Caller } from "./guard.ts";

/** The header in which an administrator gives the reason for an act. */
const REASON_HEADER = "x-admin-reason";
export const REASON_LIMIT_CHARACTERS = 500;

export const reasonText = plainText(REASON_LIMIT_CHARACTERS);

/** Returns the actor and the reason for the administration log, or the problem with the header of the reason. */
export function actOriginOf(request: Request, caller: Caller, reasonInBody?: string): ActOrigin | Response {
  const actor = caller.kind === "key" ? `key:${caller.keyId}` : "anonymous";
  const given = reasonInBody ?? request.headers.get(REASON_HEADER);
  if (given === null) return { actor, reason: null };
  const reason = reasonText.safeParse(given);
  if (reason.success) return { actor, reason: reason.data };
  return problem(
    "invalid-request",
    `X-Admin-Reason: must be 1 to ${REASON_LIMIT_CHARACTERS} characters of plain text.`,
  );
}
