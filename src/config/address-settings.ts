import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { z } from "zod";
import { integer } from "./setting-types.ts";

/**
 * The address that stands for all addresses of the machine. A socket of `::` serves IPv4 clients too. If IPv6 is switched
 * off, no interface has an IPv6 address, and `::` cannot be listened on.
 */
function everyAddress(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string {
  const hasIPv6 = Object.values(interfaces).some((addresses) =>
    addresses?.some(({ family }) => family === "IPv6"),
  );
  return hasIPv6 ? "::" : "0.0.0.0";
}

export const addressKnobs = {
  port: { type: integer(0, 65535), fallback: "8080", meaning: "HTTP port; 0 takes a free one" },
  host: {
    // In URLs an IPv6 address stands in brackets, and people copy it from there.
    type: z
      .string()
      .min(1)
      .transform((host) => host.replace(/^\[(.+)\]$/, "$1")),
    fallback: everyAddress(networkInterfaces()),
    shown: "::, which is IPv6 and IPv4; 0.0.0.0 where the machine has no IPv6",
    meaning: "address the HTTP server listens on",
  },
} as const;
