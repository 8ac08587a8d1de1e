import { isIPv4, isIPv6 } from "node:net";
import { networkOf } from "./client-address.ts";

/** Wider prefixes would deny countries, narrower ones nobody: a client chooses any address of its /64. */
const BITS = { v4: { least: 8, most: 32 }, v6: { least: 16, most: 64 } } as const;

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

export interface Network {
  /** Equal for all addresses of the network, and of no other; for one client as `networkOf` names it. */
  prefix: string;
  /** The length of the prefix; null where it is all of what one client has. */
  bits: number | null;
}

/** The network that a text names, such as `203.0.113.7`, `203.0.113.0/24` or `2001:db8::/32`. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = familyOf(address);
  if (!family) return undefined;
  const { least, most } = BITS[family];
  const bits = length === undefined ? most : Math.min(Number(length), family === "v6" ? most : 33);
  return bits < least || bits > most ? undefined : prefixOf(address, bits);
}

/** The network with so many bits that an address lies in; undefined for what is no address, or has no such network. */
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
  if (isIPv4(address) || MAPPED_IPV4.test(address)) return "v4";
  return isIPv6(address) ? "v6" : undefined;
}

function bytesOf(address: string): number[] {
  const v4 = isIPv4(address) ? address : MAPPED_IPV4.exec(address)?.[1];
  if (v4 !== undefined) return v4.split(".").map(Number);
  // The first 64 bits, which is more than any prefix has.
  const groups = networkOf(address).replace("::/64", "").split(":");
  return groups.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
