import type { StreamClients } from "./stream-clients.ts";

/** A key that is revoked has its streams ended within 2 s: this long at most, and what the look-up takes. */
const LOOK_INTERVAL_MS = 750;

/**
 * Ends the streams of keys that are revoked: a request is checked once, a stream goes on for days. While the
 * database cannot be asked, streams go on, as requests with a key that is known do.
 */
export class KeyWatch {
  private readonly timer: ReturnType<typeof setInterval>;
  private isLooking = false;

  /** @param findRevoked those of the keys that are revoked; rejects when the database cannot be asked */
  constructor(
    private readonly clients: Pick<StreamClients, "keyIds" | "endThoseOfKey">,
    private readonly findRevoked: (keyIds: string[]) => Promise<string[]>,
  ) {
    this.timer = setInterval(() => void this.look(), LOOK_INTERVAL_MS);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    const keyIds = this.clients.keyIds();
    if (this.isLooking || keyIds.length === 0) return;
    this.isLooking = true;
    try {
      for (const keyId of await this.findRevoked(keyIds)) this.clients.endThoseOfKey(keyId);
    } catch {
      // The database's gate tells that it is away; the next look comes soon.
    } finally {
      this.isLooking = false;
    }
  }
}
