import { integer } from "./setting-types.ts";

/** The settings against hoarding. */
export const holdLimitKnobs = {
  holdLimitAddressSeats: {
    type: integer(0, 10_000_000),
    fallback: "0",
    meaning:
      "seats in live holds of one client address (IPv6: /64) without an API key; 0 means no limit; for a public sale use a small multiple of one buyer's limit",
  },
  holdLimitKeySeats: {
    type: integer(0, 10_000_000),
    fallback: "0",
    meaning: "seats in live holds of one API key; 0 means no limit",
  },
} as const;
