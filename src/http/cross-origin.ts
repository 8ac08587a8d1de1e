import { problem } from "./problem.ts";

/** The value of CORS_ORIGINS: the origins it lists, or every origin. */
export type AllowedOrigins = readonly string[] | "*";

const SHOWN_ORIGIN_LIMIT = 200;
/** Browsers keep no preflight for longer than this (Chromium: two hours). */
const PREFLIGHT_MAX_AGE_SECONDS = "7200";

const REQUEST_HEADERS = [
  ...["Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"],
  ...["X-Admin-Reason", "X-API-Key", "X-Request-Id", "X-Reservation-Token"],
].join(", ");

/** The headers that a page may read in a response. */
const RESPONSE_HEADERS = [
  ...[
    "Allow",
    "ETag",
    "Idempotency-Replayed",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
  ],
  ...["WWW-Authenticate", "X-Request-Id"],
].join(", ");

const ALL_METHODS = "DELETE, GET, HEAD, PATCH, POST";

/**
 * Decides what pages of other origins may do. Without CORS_ORIGINS a browser shows them no response, and their requests
 * change nothing. Pages of an allowed origin read and act like any other client.
 */
export class CrossOrigin {
  private readonly listed: ReadonlySet<string>;
  private readonly all: boolean;
  /** False if no origin is allowed, so that responses need no header. */
  readonly isConfigured: boolean;

  constructor(allowed: AllowedOrigins | undefined) {
    this.all = allowed === "*";
    this.listed = new Set(allowed === "*" ? [] : allowed);
    this.isConfigured = allowed !== undefined;
  }

  /**
   * Refuses a request that would change something from another origin; undefined if it is allowed. Current
   * browsers name a request's source (`Sec-Fetch-Site`); older ones, and all of them on plain HTTP, send only
   * the page's `Origin`. Programs send neither. `same-site` counts as another origin: it may be a sibling
   * subdomain, or another port of the same host.
   */
  refusalOf({ headers }: Request): Response | undefined {
    const site = headers.get("sec-fetch-site");
    if (site === "same-origin" || site === "none") return undefined;
    const origin = headers.get("origin");
    if (site === null && (origin === null || isOwn(origin, headers))) return undefined;
    if (this.allows(origin)) return undefined;
    const shown = origin === null ? "another site" : origin.slice(0, SHOWN_ORIGIN_LIMIT);
    return problem(
      "cross-site",
      `Origin: a page of ${shown} may change nothing here; add its origin to CORS_ORIGINS to allow it.`,
    );
  }

  /** Returns the response to a preflight of an allowed origin; undefined for every other request. */
  preflight({ method, headers }: Request, allowedMethods: string | undefined): Response | undefined {
    if (method !== "OPTIONS" || !headers.has("access-control-request-method")) return undefined;
    if (!this.isConfigured || !this.allows(headers.get("origin"))) return undefined;
    return new Response(null, {
      status: 204,
      headers: {
        // A path without a route is allowed too: only then can the page read the 404.
        "access-control-allow-methods": allowedMethods ?? ALL_METHODS,
        "access-control-allow-headers": REQUEST_HEADERS,
        "access-control-max-age": PREFLIGHT_MAX_AGE_SECONDS,
        vary: "Access-Control-Request-Method, Access-Control-Request-Headers",
      },
    });
  }

  /** Adds the headers that let a page of an allowed origin read the response. */
  share({ headers }: Request, response: Response): Response {
    if (this.all) response.headers.set("access-control-allow-origin", "*");
    else {
      response.headers.append("vary", "Origin");
      const origin = headers.get("origin");
      if (origin === null || !this.listed.has(origin)) return response;
      response.headers.set("access-control-allow-origin", origin);
    }
    response.headers.set("access-control-expose-headers", RESPONSE_HEADERS);
    return response;
  }

  private allows(origin: string | null): boolean {
    return this.all || (origin !== null && this.listed.has(origin));
  }
}

/** A page cannot make a browser send another Host or X-Forwarded-Host. A proxy that changes Host sends X-Forwarded-Host. */
function isOwn(origin: string, headers: Headers): boolean {
  const [, host] = origin.toLowerCase().split("://");
  if (host === undefined) return false;
  if (headers.get("host")?.toLowerCase() === host) return true;
  const forwarded = headers.get("x-forwarded-host")?.toLowerCase().split(",") ?? [];
  return forwarded.some((each) => each.trim() === host);
}
