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

/** What a page may read of a response besides its status and body. */
const RESPONSE_HEADERS = [
  ...["Allow", "ETag", "Idempotent-Replayed", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"],
  ...["WWW-Authenticate", "X-Request-Id"],
].join(", ");

const ALL_METHODS = "DELETE, GET, HEAD, PATCH, POST";

/**
 * What pages of other origins may do. Without CORS_ORIGINS a browser shows them no response, and nothing that they
 * send changes anything. Pages of an allowed origin read and act like any other client.
 */
export class CrossOrigin {
  private readonly listed: ReadonlySet<string>;
  private readonly all: boolean;
  /** False where no origin is allowed, so that responses need no header. */
  readonly isConfigured: boolean;

  constructor(allowed: AllowedOrigins | undefined) {
    this.all = allowed === "*";
    this.listed = new Set(allowed === "*" ? [] : allowed);
    this.isConfigured = allowed !== undefined;
  }

  /**
   * Why a request that would change something is refused; undefined where it may go on. Browsers of today say where
   * a request comes from (`Sec-Fetch-Site`); older ones, and all of them on plain HTTP, send the page's `Origin`
   * only. Programs send neither. `same-site` counts as another origin: a sibling subdomain, or another port of the
   * same host, is another page.
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

  /** The response to a preflight of an allowed origin; undefined where the request is none. */
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

  /** Adds what lets the page that sent the request read the response. */
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

/** A page cannot make a browser send another Host, nor X-Forwarded-Host; a proxy that changes the one sends the other. */
function isOwn(origin: string, headers: Headers): boolean {
  const [, host] = origin.toLowerCase().split("://");
  if (host === undefined) return false;
  if (headers.get("host")?.toLowerCase() === host) return true;
  const forwarded = headers.get("x-forwarded-host")?.toLowerCase().split(",") ?? [];
  return forwarded.some((each) => each.trim() === host);
}
