import { Loop } from "../runtime/loop.ts";
import type { StreamClients } from "./stream-clients.ts";

/** Short enough that, with the time of the look-up, a revoked key's streams end within 2 s. */
const LOOK_INTERVAL_MS = 750;

/**
 * Ends the streams of revoked keys: a key is checked when a stream opens, but a stream may last for days.
 * While the database is unavailable, streams continue, as requests with a known key do.
 */
export class KeyWatch {
  private readonly loop: Loop;

  /** @param findRevoked returns the revoked ones of the keys; rejects if the database is unavailable */
  constructor(
    private readonly clients: Pick<StreamClients, "keyIds" | "endThoseOfKey">,
    private readonly findRevoked: (keyIds: string[]) => Promise<string[]>,
  ) {
    this.loop = new Loop(async () => {
      // The database gate reports an outage, and the next check comes soon.
      await this.look().catch(() => undefined);
      return LOOK_INTERVAL_MS;
    }, LOOK_INTERVAL_MS);
  }

  close(): void {
    void this.loop.stop();
  }

  private async look(): Promise<void> {
    const keyIds = this.clients.keyIds();
    if (keyIds.length === 0) return;
    for (const keyId of await this.findRevoked(keyIds)) this.clients.endThoseOfKey(keyId);
  }
}
