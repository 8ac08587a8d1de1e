import type { Denial } from "../postgres/denials.ts";
import { Loop } from "../runtime/loop.ts";
import type { CallerIds } from "./caller-ids.ts";
import { networkOf } from "./client-address.ts";
import { prefixOf } from "./network.ts";

/** Short enough that every process knows a denial within 2 s. */
const REFRESH_INTERVAL_MS = 1000;

/**
 * The denials in force, in memory, read once a second. While reading fails, known denials stay in force until
 * they end. Without any denial no caller is looked up.
 */
export class Denials {
  /** The end of each caller's denial, by this process's clock. */
  private endsAt = new Map<string, number>();
  /** The lengths of the denied prefixes. */
  private prefixBits: number[] = [];
  private whenAdded: (() => void) | undefined;
  private readonly loop: Loop;

  /**
   * @param read rejects if the database is unavailable
   * @param now milliseconds of a clock that never goes back
   */
  constructor(
    private readonly read: () => Promise<Denial[]>,
    private readonly ids: CallerIds,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.loop = new Loop(async () => {
      // The database gate reports an outage.
      await this.refresh().catch(() => undefined);
      return REFRESH_INTERVAL_MS;
    });
  }

  get isEmpty(): boolean {
    return this.endsAt.size === 0;
  }

  /** Returns for how many more seconds an API key is denied; undefined if it is not. */
  ofKey(keyId: string): number | undefined {
    return this.secondsLeft(`key:${keyId}`);
  }

  /** Returns for how many more seconds an address or a network around it is denied; undefined if it is not. */
  ofAddress(address: string): number | undefined {
    const ofOwn = this.secondsLeft(this.ids.ofNetwork(networkOf(address)));
    if (ofOwn !== undefined) return ofOwn;
    for (const bits of this.prefixBits) {
      const network = prefixOf(address, bits);
      const seconds = network && this.secondsLeft(this.ids.ofNetwork(network.prefix));
      if (seconds !== undefined) return seconds;
    }
    return undefined;
  }

  /**
   * Reads the denials from the database.
   * @throws if the database is unavailable
   */
  async refresh(): Promise<void> {
    const denials = await this.read();
    const now = this.now();
    const before = this.endsAt;
    this.endsAt = new Map(denials.map(({ caller, secondsLeft }) => [caller, now + secondsLeft * 1000]));
    this.prefixBits = [...new Set(denials.flatMap(({ prefixBits }) => prefixBits ?? []))];
    if (denials.some(({ caller }) => (before.get(caller) ?? 0) <= now)) this.whenAdded?.();
  }

  /** Calls the listener when a caller is newly denied, as soon as this process knows. */
  onAdded(listener: () => void): void {
    this.whenAdded = listener;
  }

  stop(): void {
    void this.loop.stop();
  }

  private secondsLeft(caller: string): number | undefined {
    const endsAt = this.endsAt.get(caller);
    if (endsAt === undefined) return undefined;
    const seconds = Math.ceil((endsAt - this.now()) / 1000);
    return seconds > 0 ? seconds : undefined;
  }
}
