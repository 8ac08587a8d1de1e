import type { Caller } from "../http/caller.ts";
import type { HeaderParameter } from "../http/contract.ts";
import { plainText } from "../http/plain-text.ts";
import { invalidValue, type ProblemResponse } from "../http/problem.ts";
import type { ActOrigin } from "../postgres/admin-log.ts";

const REASON_LIMIT_CHARACTERS = 500;

export const reasonText = plainText(REASON_LIMIT_CHARACTERS);

export const REASON_HEADER: HeaderParameter = {
  name: "X-Admin-Reason",
  description: "The reason, which the administration log keeps with the key's id and the time.",
  schema: reasonText,
};

/** Returns the actor and the reason for the administration log, or the problem with the header of the reason. */
export function actOriginOf(
  request: Request,
  caller: Caller,
  reasonInBody?: string,
): ActOrigin | ProblemResponse<"invalid-request"> {
  const actor = caller.kind === "key" ? `key:${caller.keyId}` : "anonymous";
  const given = reasonInBody ?? request.headers.get(REASON_HEADER.name);
  if (given === null) return { actor, reason: null };
  const reason = reasonText.safeParse(given);
  if (reason.success) return { actor, reason: reason.data };
  return invalidValue(
    "header",
    REASON_HEADER.name,
    `must be 1 to ${REASON_LIMIT_CHARACTERS} characters of plain text`,
  );
}
