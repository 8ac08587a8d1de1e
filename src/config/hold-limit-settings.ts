import { integer } from "./setting-types.ts";

/** Settings against hoarding; a part of the table in `config.ts`. */
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
