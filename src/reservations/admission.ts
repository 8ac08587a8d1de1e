import type { DatabaseGate } from "../postgres/database-gate.ts";
import type { Batcher } from "./batcher.ts";
import type { Changes } from "./changes.ts";
import type { MemoryKeeper } from "./memory-keeper.ts";

/**
 * Decides whether requests reach the batchers.
 *
 * - open: requests are admitted.
 * - closed: requests are refused as unavailable. Entered and left with the database's gate.
 * - draining: requests are refused for good. Entered by `drain`.
 */
export class Admission {
  private isEnding = false;
  private isDraining = false;

  constructor(
    private readonly gate: DatabaseGate,
    private readonly keeper: MemoryKeeper,
    private readonly batchers: readonly (Batcher | Changes)[],
  ) {
    gate.onChange((state) => {
      if (!this.isDraining) this.refuse(state === "up" ? undefined : "unavailable");
    });
  }

  /** Whether load balancers should send requests here. */
  get isReady(): boolean {
    return this.gate.isUp && !this.isEnding && this.keeper.isFilled;
  }

  /** Turns readiness off; selling goes on. */
  announceEnd(): void {
    this.isEnding = true;
  }

  /** Refuses new requests. Resolves when every accepted request is answered. */
  async drain(): Promise<void> {
    this.isDraining = true;
    this.refuse("draining");
    await Promise.all(this.batchers.map((batcher) => batcher.drained()));
  }

  private refuse(reason: "unavailable" | "draining" | undefined): void {
    for (const batcher of this.batchers) batcher.refuse(reason);
  }
}
