import { isIPv6 } from "node:net";
import { ipv4Of, networkOf } from "./client-address.ts";

/**
 * Wider prefixes would deny whole countries. Narrower ones would deny nobody, as a client may use any address
 * of its /64.
 */
const BITS = { v4: { least: 8, most: 32 }, v6: { least: 16, most: 64 } } as const;

const IPV6_BITS = 128;
/** The bits of an IPv6 address before an embedded IPv4 address. */
const BITS_BEFORE_IPV4 = 96;

export interface Network {
  /**
   * Identifies the network: the same for all its addresses and no others. For one client's network it is the
   * result of `networkOf`.
   */
  prefix: string;
  /** The length of the prefix; null if the network is one client's. */
  bits: number | null;
}

/**
 * Parses a network, such as `203.0.113.7`, `203.0.113.0/24` or `2001:db8::/32`. Bits beyond the prefix and a
 * zone (`fe80::1%eth0`) are ignored. An IPv4 address in IPv6 form means the IPv4 address.
 */
export function parseNetwork(text: string): Network | undefined {
  const [, address = "", length] = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const family = familyOf(address);
  if (!family) return undefined;
  const { least, most } = BITS[family];
  const bits = length === undefined ? most : bitsOf(Number(length), family, address);
  return bits < least || bits > most ? undefined : prefixOf(address, bits);
}

/** Returns the prefix length in bits of the family. A whole IPv6 address stands for the client that has it. */
function bitsOf(length: number, family: "v4" | "v6", address: string): number {
  if (family === "v4") return isIPv6(address) ? length - BITS_BEFORE_IPV4 : length;
  return length === IPV6_BITS ? BITS.v6.most : length;
}

/**
 * Returns the network of `bits` bits that contains the address; undefined if it is not an address, or its
 * family allows fewer bits.
 */
export function prefixOf(address: string, bits: number): Network | undefined {
  const family = familyOf(address);
  if (!family || bits > BITS[family].most) return undefined;
  if (bits === BITS[family].most) return { prefix: networkOf(address), bits: null };
  const bytes = bytesOf(address).map((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - 8 * index));
    return byte & (0xff00 >> kept) & 0xff;
  });
  return { prefix: `${family}:${Buffer.from(bytes).toString("hex")}/${bits}`, bits };
}

function familyOf(address: string): "v4" | "v6" | undefined {
  if (ipv4Of(address) !== undefined) return "v4";
  return isIPv6(address) ? "v6" : undefined;
}

function bytesOf(address: string): number[] {
  const v4 = ipv4Of(address);
  if (v4 !== undefined) return v4.split(".").map(Number);
  // The first 64 bits; no prefix is longer.
  const groups = networkOf(address).replace("::/64", "").split(":");
  return groups.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
