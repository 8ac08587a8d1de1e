import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { z } from "zod";
import { integer } from "./setting-types.ts";

/**
 * Returns the address that stands for all addresses of the machine. A socket on `::` also serves IPv4
 * clients. If IPv6 is disabled, no interface has an IPv6 address and `::` cannot be used.
 */
function everyAddress(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string {
  const hasIPv6 = Object.values(interfaces).some((addresses) =>
    addresses?.some(({ family }) => family === "IPv6"),
  );
  return hasIPv6 ? "::" : "0.0.0.0";
}

export const addressKnobs = {
  port: { type: integer(0, 65535), fallback: "8080", meaning: "HTTP port; 0 chooses a free one" },
  host: {
    // URLs put IPv6 addresses in brackets, and people copy them from there.
    type: z
      .string()
      .min(1)
      .transform((host) => host.replace(/^\[(.+)\]$/, "$1")),
    fallback: everyAddress(networkInterfaces()),
    shown: ":: (IPv6 and IPv4), or 0.0.0.0 if the machine has no IPv6",
    meaning: "address the HTTP server listens on",
  },
} as const;
