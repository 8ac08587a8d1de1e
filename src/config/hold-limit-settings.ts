import { integer } from "./setting-types.ts";

/** The settings against hoarding. */
export const holdLimitKnobs = {
  holdLimitAddressSeats: {
    type: integer(0, 10_000_000),
    fallback: "0",
    meaning:
      "seats that one client address (IPv6: /64) without an API key may have in live holds; 0 is no limit; for a public sale a small multiple of what one buyer may have",
  },
  holdLimitKeySeats: {
    type: integer(0, 10_000_000),
    fallback: "0",
    meaning: "seats that one API key may have in live holds; 0 is no limit",
  },
} as const;
