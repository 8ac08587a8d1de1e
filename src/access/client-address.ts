import { isIP, isIPv4, isIPv6 } from "node:net";

/** The spelling that sockets use. */
const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Every spelling of an IPv4 address as an IPv6 one, and some other addresses that their groups then exclude. */
const MAY_BE_MAPPED = /^[0:]+:ffff:/i;
/** The first six groups of such an address, as decimal numbers. */
const MAPPED_START = "0:0:0:0:0:65535";
const GROUPS = 8;
/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
const WITH_PORT = /^\[([^\]]+)\](?::\d+)?$|^([\d.]+):\d+$/;
const GROUPS_IN_64_BITS = 4;

/**
 * Returns the address a request came from, as far as it can be trusted. Every proxy appends its peer to
 * `X-Forwarded-For`, so only as many entries from the right as there are trusted proxies were written by one
 * of them. Anybody can send the rest.
 */
export function clientAddress(
  connection: string | undefined,
  forwardedFor: string | null,
  trustedProxyCount: number,
): string {
  let address = unmapped(connection ?? "unknown");
  let end = forwardedFor?.length ?? 0;
  for (let hop = 0; hop < trustedProxyCount && forwardedFor && end > 0; hop++) {
    const comma = forwardedFor.lastIndexOf(",", end - 1);
    const entry = bare(forwardedFor.slice(comma + 1, end).trim());
    if (isIP(entry) === 0) break;
    address = unmapped(entry);
    end = comma;
  }
  return address;
}

/** Unwraps an IPv4 address that a dual-stack server reports as IPv6 (`::ffff:192.0.2.1`). */
const unmapped = (address: string): string => MAPPED_IPV4.exec(address)?.[1] ?? address;

function bare(entry: string): string {
  const [, bracketed, beforePort] = WITH_PORT.exec(entry) ?? [];
  return bracketed ?? beforePort ?? entry;
}

/**
 * Returns the network of one client: an IPv4 address, or the /64 of an IPv6 address, in which it can choose
 * any address.
 */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  return ipv4Of(address) ?? `${groupsOf(address).slice(0, GROUPS_IN_64_BITS).join(":")}::/64`;
}

/** Returns the IPv4 address in any spelling of it (`::ffff:7f00:1` is 127.0.0.1); undefined for other addresses. */
export function ipv4Of(address: string): string | undefined {
  if (isIPv4(address)) return address;
  if (!MAY_BE_MAPPED.test(address) || !isIPv6(address)) return undefined;
  const groups = groupsOf(address).map((group) => Number.parseInt(group, 16));
  const [high = 0, low = 0] = groups.splice(-2);
  if (groups.join(":") !== MAPPED_START) return undefined;
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

/** Returns the eight groups of an IPv6 address in lower case, without leading zeros or a zone. */
function groupsOf(address: string): string[] {
  const [plain = ""] = address.toLowerCase().split("%", 1);
  const inHex = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [before = [], after] = inHex.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const zeros = after ? Math.max(0, GROUPS - before.length - after.length) : 0;
  const groups = [...before, ...Array<string>(zeros).fill("0"), ...(after ?? [])];
  return groups.map((group) => group.replace(/^0+(?=.)/, ""));
}
