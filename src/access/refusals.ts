import type { Role } from "../http/caller.ts";
import { invalidValue, problem } from "../http/problem.ts";
import type { Metrics } from "../telemetry/metrics.ts";

import type { Count } from "./rate-limits.ts";

/** Why a request was refused before its route. */
const REASONS = ["unauthorized", "forbidden", "rate_limited", "denied", "unavailable"] as const;

/** Builds and counts the responses to requests that are refused before their route. None repeats a key. */
export class Refusals {
  constructor(private readonly metrics: Metrics) {
    for (const reason of REASONS) metrics.accessRefusals.inc({ reason }, 0);
  }

  keyNeeded(): Response {
    const detail = "Authorization: send `Bearer <API key>`, or the key as X-API-Key.";
    const headers = { "www-authenticate": 'Bearer realm="sentinel"' };
    return this.counted("unauthorized", problem("unauthorized", detail, headers));
  }

  keyWrong(): Response {
    const detail = "Authorization: this API key is not known or was revoked; send one that is valid.";
    const headers = { "www-authenticate": 'Bearer realm="sentinel", error="invalid_token"' };
    return this.counted("unauthorized", problem("unauthorized", detail, headers));
  }

  /** A key contains no comma; a header sent twice arrives joined with one. */
  keyTwice(): Response {
    return this.counted("unauthorized", invalidValue("header", "X-API-Key", "must be sent once"));
  }

  roleTooLow(role: Role, needed: Role): Response {
    const detail = `Authorization: the role of this API key is ${role}, and ${needed} is needed here.`;
    return this.counted("forbidden", problem("forbidden", detail));
  }

  tooMany({ limit, windowSeconds, resetSeconds }: Count): Response {
    const detail = `The limit is ${limit} requests in ${windowSeconds} s, of which a costly one counts as several; wait ${resetSeconds} s.`;
    const headers = { "retry-after": String(resetSeconds) };
    return this.counted("rate_limited", problem("rate-limited", detail, headers));
  }

  denied(seconds: number): Response {
    const detail = `An administrator has denied this caller; the denial ends in ${seconds} s.`;
    return this.counted("denied", problem("caller-denied", detail, { "retry-after": String(seconds) }));
  }

  keysAway(): Response {
    const detail = "The API key cannot be checked now.";
    return this.counted("unavailable", problem("unavailable", detail, { "retry-after": "1" }));
  }

  private counted(reason: (typeof REASONS)[number], answer: Response): Response {
    this.metrics.accessRefusals.inc({ reason });
    return answer;
  }
}
