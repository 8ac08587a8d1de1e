import { isIP } from "node:net";

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
const WITH_PORT = /^\[([^\]]+)\](?::\d+)?$|^([\d.]+):\d+$/;
const GROUPS_IN_64_BITS = 4;

/**
 * The address a request came from, as far as it can be believed: every proxy adds whom it heard from to the
 * right of `X-Forwarded-For`, so only as many entries from the right as there are trusted proxies were written
 * by one of them. Anybody can send the rest.
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

/** A server of both families gives the address of an IPv4 client as an IPv6 one (`::ffff:192.0.2.1`). */
export const unmapped = (address: string): string => MAPPED_IPV4.exec(address)?.[1] ?? address;

function bare(entry: string): string {
  const [, bracketed, beforePort] = WITH_PORT.exec(entry) ?? [];
  return bracketed ?? beforePort ?? entry;
}

/** What one client has: an IPv4 address, or the /64 of an IPv6 address, in which it can choose any address. */
export function networkOf(address: string): string {
  const plain = unmapped(address);
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = address.toLowerCase().split("%", 1)[0]?.split("::") ?? [];
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? 0 : tail.split(":").length + (tail.includes(".") ? 1 : 0);
    while (groups.length < 8 - after) groups.push("0");
    if (groups.length < GROUPS_IN_64_BITS) groups.push(...tail.split(":"));
  }
  const first = groups.slice(0, GROUPS_IN_64_BITS).map((group) => group.replace(/^0+(?=.)/, ""));
  return `${first.join(":")}::/64`;
}
