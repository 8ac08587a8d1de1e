import { timingSafeEqual } from "node:crypto";

/**
 * Tokens of reservations: HMAC-SHA256 of the id under the engine's secret, in base64url. Nobody can guess
 * one, none is kept anywhere, and the same reservation always has the same.
 */
export class ReservationTokens {
  constructor(private readonly secret: string) {}

  of(reservationId: string): string {
    return new Bun.CryptoHasher("sha256", this.secret).update(reservationId).digest("base64url");
  }

  /** In a time that does not depend on where they differ. */
  isOf(reservationId: string, token: string): boolean {
    const expected = Buffer.from(this.of(reservationId));
    const given = Buffer.from(token);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
