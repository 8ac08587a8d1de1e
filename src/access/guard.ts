import { ANONYMOUS, type Caller, mayAct, type Role } from "../http/caller.ts";
import { withHeaders } from "../http/reply.ts";
import { requestIdOf } from "../http/request-id.ts";
import { BEARER } from "../http/request-rules.ts";
import { never } from "../runtime/assert.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { idOfApiKey } from "./api-key.ts";
import type { ApiKeys, FoundKey } from "./api-keys.ts";
import type { CallerIds } from "./caller-ids.ts";
import { clientAddress, networkOf } from "./client-address.ts";
import type { Denials } from "./denials.ts";
import { type Count, type PolicyName, type RateLimits, rateLimitHeaders } from "./rate-limits.ts";
import { Refusals } from "./refusals.ts";

export interface GuardOptions {
  keys: ApiKeys;
  limits: RateLimits;
  /** Whether callers without a key may do nothing. */
  requireApiKey: boolean;
  trustedProxyCount: number;
  /** Returns the address that the request's connection comes from. */
  connectionOf(request: Request): string | undefined;
  callerIds: CallerIds;
  /** Absent if nobody can be denied. */
  denials?: Pick<Denials, "isEmpty" | "ofKey" | "ofAddress">;
  metrics: Metrics;
}

/** The part of a route's context that the checks need; its handler gets the rest unchanged. */
interface WithRequest {
  request: Request;
}

interface Admitted {
  caller: Caller;
  count: Count | undefined;
  /** The limit that further units count against. */
  charged: { policy: PolicyName; subject: () => string };
}

/** Runs the checks before a route: the owner of the key, the role, and the rate limit. */
export class Guard {
  private readonly refusals: Refusals;
  private readonly costs = new WeakMap<Request, number>();

  constructor(private readonly options: GuardOptions) {
    this.refusals = new Refusals(options.metrics);
  }

  /**
   * Runs the checks before a handler, which also gets the caller; the response carries the rate limit.
   * Without `REQUIRE_API_KEY` no key is needed, except for the role admin. A key that is sent must have the
   * role in any case.
   */
  guarded<Context extends WithRequest>(
    role: Role,
    handler: (context: Context, caller: Caller) => unknown,
  ): (context: Context) => unknown {
    return (context) => {
      const { request } = context;
      if (keyIn(request) === undefined && !this.options.limits.has("address") && !this.hasDenials) {
        return this.entitled(ANONYMOUS, role) ?? handler(context, ANONYMOUS);
      }
      return this.admit(request, role, { anonymous: "address", key: "key" }).then(async (admitted) => {
        if (admitted instanceof Response) return admitted;
        const answer = await handler(context, admitted.caller);
        const count = await this.countAll(request, admitted);
        return count ? withHeaders(answer, rateLimitHeaders(count)) : answer;
      });
    };
  }

  /**
   * Counts further units against the caller's rate limit when the request is answered, besides the unit that
   * each request costs. A unit is a millisecond of the main thread or of Postgres.
   */
  charge(request: Request, units: number): void {
    if (units >= 1) this.costs.set(request, (this.costs.get(request) ?? 0) + Math.floor(units));
  }

  private async countAll(request: Request, { count, charged }: Admitted): Promise<Count | undefined> {
    const units = this.costs.get(request);
    if (units === undefined) return count;
    return (await this.options.limits.count(charged.policy, charged.subject, units)) ?? count;
  }

  /**
   * Runs the checks before the contract's route, which has its own limit. Undefined if no setting requires
   * checks, so that the route stays unchanged. A refusal is counted under the route's path and has the
   * request's id.
   */
  get beforeReserving() {
    if (!this.options.requireApiKey && !this.options.limits.has("reserve")) return undefined;
    return async (path: string, request: Request, reserve: () => Response | Promise<Response>) => {
      const admitted = await this.admit(request, "seller", { anonymous: "reserve", key: "reserve" });
      if (!(admitted instanceof Response)) return limited(await reserve(), admitted.count);
      return this.recorded(path, request, admitted);
    };
  }

  /**
   * Refuses a denied caller on the contract's route while that route needs no key. As on every route, a denied network
   * refuses only callers without a valid key; here the key must be allowed to take seats. Keys are looked up only if the
   * network, or the key that is sent, is denied.
   */
  deniedReserving(path: string, request: Request): Response | Promise<Response | undefined> | undefined {
    if (!this.hasDenials) return undefined;
    const key = keyIn(request);
    const keyId = key === undefined ? undefined : idOfApiKey(key);
    const ofNetwork = this.secondsDenied(request, ANONYMOUS);
    const ofKey = keyId === undefined ? undefined : this.options.denials?.ofKey(keyId);
    if (key !== undefined && keyId !== undefined && (ofNetwork ?? ofKey) !== undefined)
      return this.refusalWithKey(request, key, ofNetwork).then(
        (refusal) => refusal && this.recorded(path, request, refusal),
      );
    return ofNetwork === undefined
      ? undefined
      : this.recorded(path, request, this.refusals.denied(ofNetwork));
  }

  private async refusalWithKey(
    request: Request,
    key: string,
    ofNetwork: number | undefined,
  ): Promise<Response | undefined> {
    let found = this.options.keys.find(key);
    if (found instanceof Promise || found.kind !== "known") {
      const count = await this.options.limits.count("address", () => this.networkOf(request));
      if (count?.isOver) return limited(this.refusals.tooMany(count), count);
    }
    found = await found;
    if (found.kind === "unavailable") return this.refusals.keysAway();
    const ofKey = found.kind === "known" ? this.options.denials?.ofKey(found.keyId) : undefined;
    const speaksForItself = found.kind === "known" && mayAct(found.role, "seller");
    const seconds = ofKey ?? (speaksForItself ? undefined : ofNetwork);
    return seconds === undefined ? undefined : this.refusals.denied(seconds);
  }

  /** A refusal before the contract's route, which counts its own answers. */
  private recorded(path: string, request: Request, refusal: Response): Response {
    const { metrics } = this.options;
    metrics.httpRequests.inc({ route: path, method: request.method, status: refusal.status });
    refusal.headers.set("x-request-id", requestIdOf(request));
    return refusal;
  }

  /** Whether anybody is denied now. */
  get hasDenials(): boolean {
    return this.options.denials?.isEmpty === false;
  }

  private denialOf(request: Request, caller: Caller): Response | undefined {
    const seconds = this.secondsDenied(request, caller);
    return seconds === undefined ? undefined : this.refusals.denied(seconds);
  }

  /** The seconds that a caller is still denied: by its key where it has one, else by its network. */
  private secondsDenied(request: Request, caller: Caller): number | undefined {
    const { denials } = this.options;
    return caller.kind === "key" ? denials?.ofKey(caller.keyId) : denials?.ofAddress(this.addressOf(request));
  }

  /** Whether the caller is denied, whenever it is asked: for what goes on for longer than the request. */
  denialCheckOf(request: Request, caller: Caller): () => boolean {
    const { denials } = this.options;
    if (caller.kind === "key") return () => denials?.ofKey(caller.keyId) !== undefined;
    const address = this.addressOf(request);
    return () => denials?.isEmpty === false && denials.ofAddress(address) !== undefined;
  }

  /** Whose the request is, in words: its key's, or its client network's. */
  identityOf(request: Request, caller: Caller): string {
    return caller.kind === "key" ? `key:${caller.keyId}` : `address:${this.networkOf(request)}`;
  }

  /** The caller, as `reservations.caller` keeps it. */
  callerIdOf(request: Request, caller: Caller): string {
    return this.options.callerIds.of(caller, () => this.networkOf(request));
  }

  /**
   * A key that memory knows is counted for itself. Everybody else is counted for the address, before the key is
   * looked up: trying keys is bounded like everything.
   */
  private async admit(
    request: Request,
    role: Role,
    policies: { anonymous: PolicyName; key: PolicyName },
  ): Promise<Admitted | Response> {
    const key = keyIn(request);
    let found = key === undefined ? undefined : this.options.keys.find(key);
    let count: Count | undefined;
    if (found === undefined || found instanceof Promise || found.kind !== "known") {
      const policy = found === undefined ? policies.anonymous : "address";
      count = await this.options.limits.count(policy, () => this.networkOf(request));
      if (count?.isOver) return limited(this.refusals.tooMany(count), count);
    }
    found = await found;
    const caller = found === undefined ? ANONYMOUS : this.toCaller(found, key ?? "");
    if (caller instanceof Response) return limited(caller, count);
    // Administrators end denials, so they cannot be denied.
    const denied = role === "admin" || !this.hasDenials ? undefined : this.denialOf(request, caller);
    if (denied) return limited(denied, count);
    if (caller.kind === "key") {
      count = await this.options.limits.count(policies.key, () => caller.keyId);
      if (count?.isOver) return limited(this.refusals.tooMany(count), count);
    }
    const refusal = this.entitled(caller, role);
    if (refusal) return limited(refusal, count);
    const charged: Admitted["charged"] =
      caller.kind === "key"
        ? { policy: policies.key, subject: () => caller.keyId }
        : { policy: policies.anonymous, subject: () => this.networkOf(request) };
    return { caller, count, charged };
  }

  private toCaller(found: FoundKey, key: string): Caller | Response {
    switch (found.kind) {
      case "known":
        return { kind: "key", keyId: found.keyId, role: found.role };
      case "wrong":
        return key.includes(",") ? this.refusals.keyTwice() : this.refusals.keyWrong();
      case "unavailable":
        return this.refusals.keysAway();
      default:
        return never(found, "kind of key");
    }
  }

  /** Undefined where the caller may act in this role. */
  private entitled(caller: Caller, role: Role): Response | undefined {
    if (caller.kind === "key") {
      return mayAct(caller.role, role) ? undefined : this.refusals.roleTooLow(caller.role, role);
    }
    return this.options.requireApiKey || role === "admin" ? this.refusals.keyNeeded() : undefined;
  }

  private networkOf(request: Request): string {
    return networkOf(this.addressOf(request));
  }

  private addressOf(request: Request): string {
    const { connectionOf, trustedProxyCount } = this.options;
    const forwardedFor = trustedProxyCount > 0 ? request.headers.get("x-forwarded-for") : null;
    return clientAddress(connectionOf(request), forwardedFor, trustedProxyCount);
  }
}

/** The key that was sent; other schemes of `Authorization` are not ours and count as none. */
function keyIn({ headers }: Request): string | undefined {
  const bearer = BEARER.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key") ?? undefined;
}

function limited(answer: Response, count: Count | undefined): Response {
  if (count) withHeaders(answer, rateLimitHeaders(count));
  return answer;
}
