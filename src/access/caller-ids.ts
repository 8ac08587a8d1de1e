import { createHmac } from "node:crypto";
import { z } from "zod";
import type { Caller } from "../http/caller.ts";

/** `key:` with a key's UUID, or `net:` with a hash of 16 bytes in base64url, whose last character holds two bits. */
const CALLER_PATTERN = "^(key:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|net:[A-Za-z0-9_-]{21}[AQgw])$";

/** A caller as the administration names it. */
export const callerText = z
  .string()
  .regex(
    new RegExp(CALLER_PATTERN),
    "must be a caller as the list of holds shows it: key:<id> or net:<hash>",
  );

/** Half of the hash is enough: nobody finds two networks with the same one by trying. */
const HASH_BYTES = 16;
/** Networks whose ids are kept, so that a hold does not hash again. Beyond that the oldest is forgotten. */
const KEPT_LIMIT = 10_000;

/**
 * Names callers for the database: `key:<id>`, or `net:<salted hash of the network>`. The salt is a secret of
 * the database, so ids are the same in all processes and after restarts, and nobody without it can test
 * addresses.
 */
export class CallerIds {
  private readonly ofNetworks = new Map<string, string>();

  constructor(private readonly salt: string) {}

  /**
   * @param network returns an IPv4 address or a prefix in the form of `networkOf`; called only for anonymous
   * callers
   */
  of(caller: Caller, network: () => string): string {
    return caller.kind === "key" ? `key:${caller.keyId}` : this.ofNetwork(network());
  }

  ofNetwork(network: string): string {
    const known = this.ofNetworks.get(network);
    if (known !== undefined) return known;
    const hash = createHmac("sha256", this.salt).update(network).digest().subarray(0, HASH_BYTES);
    const id = `net:${hash.toString("base64url")}`;
    this.ofNetworks.set(network, id);
    const [oldest] = this.ofNetworks.size > KEPT_LIMIT ? this.ofNetworks.keys() : [];
    if (oldest !== undefined) this.ofNetworks.delete(oldest);
    return id;
  }
}
