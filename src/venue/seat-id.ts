declare const brand: unique symbol;

/** A positive integer up to 2^53 - 1. */
export type SeatId = number & { readonly [brand]: "SeatId" };

/** 2^53 - 1 has 16 digits. */
const DIGIT_LIMIT = 16;
const ZERO = 48;
const NINE = 57;

/** The error text for an invalid seat id, after the name of the field. */
export const INVALID_SEAT_ID = `must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, in decimal digits.`;

/** Parses a seat id as clients write it: plain decimal digits without sign, space or leading zero. */
export function parseSeatId(text: string): SeatId | undefined {
  if (text.length === 0 || text.length > DIGIT_LIMIT || text.charCodeAt(0) === ZERO) return undefined;
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code < ZERO || code > NINE) return undefined;
  }
  const value = Number(text);
  return Number.isSafeInteger(value) ? (value as SeatId) : undefined;
}
