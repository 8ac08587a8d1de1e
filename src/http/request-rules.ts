import type { CrossOrigin } from "./cross-origin.ts";
import { asksToClose } from "./last-responses.ts";
import { invalidValue, problem } from "./problem.ts";
import { refusalOfParameters } from "./query.ts";
import { requestIdOf } from "./request-id.ts";

/** Other schemes are for a proxy in front. A header that was sent twice arrives joined with a comma. */
const BEARER_SCHEME = /(?:^|,\s*)bearer(?:\s|$)/i;
export const BEARER = /^Bearer +(\S+) *$/i;

export type Handler = (request: Request) => Response | Promise<Response>;

/** A host name or address, with an optional port. Two Host headers are joined with a comma. */
const HOST = /^[\w.:~%!$&'()*+;=[\]-]*$/;
/** Comparisons are faster than a set. */
const isSafe = (method: string) =>
  method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "TRACE";

export interface RequestRulesOptions {
  crossOrigin: CrossOrigin;
  bodyLimitBytes: number;
  onRefused(request: Request, response: Response): void;
}

/**
 * The rules for every request, whatever its route. They run before each route's handler, the reserve route's included, so
 * each header is looked up only once (40 to 70 ns).
 */
export class RequestRules {
  /** Nearly all requests have the same Host. */
  private lastFairHost: string | null = null;

  constructor(private readonly options: RequestRulesOptions) {}

  /**
   * Returns the handler that answers the request: the route's own, or a refusal. With CORS_ORIGINS each
   * shares its response.
   */
  readonly handlerOf = (handler: Handler, request: Request): Handler =>
    this.answer(handler, request, this.refusalOf(request));

  /**
   * Returns the handler of a request without a route. Such a request changes nothing, so only its Host is
   * checked.
   */
  readonly unroutedHandlerOf = (handler: Handler, request: Request): Handler =>
    this.answer(handler, request, this.hostFaultOf(request));

  private answer(handler: Handler, request: Request, refusal: Response | undefined): Handler {
    const { crossOrigin } = this.options;
    if (!refusal) return crossOrigin.isConfigured ? this.sharing(handler) : handler;
    refusal.headers.set("x-request-id", requestIdOf(request));
    this.options.onRefused(request, refusal);
    const shared = crossOrigin.isConfigured ? crossOrigin.share(request, refusal) : refusal;
    return refusal.status === 413 ? () => refusalOfBody(request, shared) : () => shared;
  }

  private sharing(handler: Handler): Handler {
    const { crossOrigin } = this.options;
    return (request) => {
      const response = handler(request);
      if (!(response instanceof Promise)) return crossOrigin.share(request, response);
      return response.then((decided) => crossOrigin.share(request, decided));
    };
  }

  private refusalOf(request: Request): Response | undefined {
    const refusal = this.hostFaultOf(request);
    if (refusal || this.isBare(request)) return refusal;
    return keyFaultOf(request) ?? (isSafe(request.method) ? undefined : this.refusalOfChange(request));
  }

  private hostFaultOf({ headers }: Request): Response | undefined {
    const host = headers.get("host");
    if (host === this.lastFairHost) return undefined;
    if (host !== null && !HOST.test(host))
      return invalidValue("header", "Host", "must be sent once, as a host name with an optional port");
    this.lastFairHost = host;
    return undefined;
  }

  /**
   * Returns whether the only headers are Host and an allowed length, and so no key and no origin. Saves most
   * look-ups.
   */
  private isBare({ headers, url }: Request): boolean {
    if (headers.count > 2 || !headers.has("host")) return false;
    const length = headers.get("content-length");
    if (headers.count !== (length === null ? 1 : 2)) return false;
    return Number(length) <= this.options.bodyLimitBytes && !url.includes("?");
  }

  private refusalOfChange(request: Request): Response | undefined {
    const { crossOrigin, bodyLimitBytes } = this.options;
    const refusal = crossOrigin.refusalOf(request);
    if (refusal) return refusal;
    if (Number(request.headers.get("content-length")) > bodyLimitBytes) return bodyTooLarge(bodyLimitBytes);
    return refusalOfParameters(request.url, "a request that changes something has no query parameters");
  }
}

function keyFaultOf({ headers }: Request): Response | undefined {
  const authorization = headers.get("authorization");
  if (authorization === null || !BEARER_SCHEME.test(authorization)) return undefined;
  if (headers.has("x-api-key"))
    return invalidValue(
      "header",
      "Authorization",
      "a Bearer key and X-API-Key were both sent; send one of them",
    );
  return BEARER.test(authorization)
    ? undefined
    : invalidValue("header", "Authorization", "must be `Bearer <API key>`, sent once");
}

export const bodyTooLarge = (limitBytes: number) =>
  problem("body-too-large", `body: must have at most ${limitBytes} bytes (BODY_LIMIT_BYTES).`);

/** More than a proxy passes on by default (nginx: 1 MiB). */
const DISCARDED_LIMIT_BYTES = 64 * 1024 * 1024;
/** For a client that keeps sending; Bun disconnects one that stops. */
const DISCARDING_LIMIT_MS = 5000;

/**
 * Returns the refusal of a body, which is not kept. If the connection stays open, the refusal is sent at
 * once: Bun discards the rest as it arrives, and disconnects a client that has not sent all of it within
 * IDLE_TIMEOUT_SECONDS. A connection that will be closed waits for the rest, because closing it with unread
 * bytes resets it: the refusal is lost, and a proxy answers 502.
 */
export async function refusalOfBody(request: Request, refusal: Response): Promise<Response> {
  if (!asksToClose(request)) return refusal;
  const deadline = performance.now() + DISCARDING_LIMIT_MS;
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > DISCARDED_LIMIT_BYTES || performance.now() > deadline) break;
  }
  return refusal;
}
