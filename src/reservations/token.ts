import { timingSafeEqual } from "node:crypto";

/**
 * Issues and checks tokens of reservations: the HMAC-SHA256 of the id under the engine's secret, in
 * base64url. Nobody can guess a token, none is stored anywhere, and a reservation always has the same one.
 */
export class ReservationTokens {
  constructor(private readonly secret: string) {}

  of(reservationId: string): string {
    return new Bun.CryptoHasher("sha256", this.secret).update(reservationId).digest("base64url");
  }

  /** Compares in a time that does not depend on where the tokens differ. */
  isOf(reservationId: string, token: string): boolean {
    const expected = Buffer.from(this.of(reservationId));
    const given = Buffer.from(token);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
