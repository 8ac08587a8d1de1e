import type { Denial } from "../postgres/denials.ts";
import { Loop } from "../runtime/loop.ts";
import type { CallerIds } from "./caller-ids.ts";
import { networkOf } from "./client-address.ts";
import { prefixOf } from "./network.ts";

/** Short enough that every process knows of a denial within 2 s. */
const REFRESH_INTERVAL_MS = 1000;

/**
 * The denials in force, in memory. They are read once a second. While that fails, the known ones stay in force until
 * they end. Without any denial no caller is looked up.
 */
export class Denials {
  /** The end of each caller's denial, by the clock of this process. */
  private endsAt = new Map<string, number>();
  /** The lengths of the prefixes that are denied. */
  private prefixBits: number[] = [];
  private whenAdded: (() => void) | undefined;
  private readonly loop: Loop;

  /**
   * @param read rejects when the database cannot be asked.
   * @param now milliseconds of a clock that only goes forward.
   */
  constructor(
    private readonly read: () => Promise<Denial[]>,
    private readonly ids: CallerIds,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.loop = new Loop(async () => {
      // The database's gate reports an outage.
      await this.refresh().catch(() => undefined);
      return REFRESH_INTERVAL_MS;
    });
  }

  get isEmpty(): boolean {
    return this.endsAt.size === 0;
  }

  /** For how many more seconds an API key is denied; undefined for one that is not. */
  ofKey(keyId: string): number | undefined {
    return this.secondsLeft(`key:${keyId}`);
  }

  /** For how many more seconds an address is denied, by itself or with a network around it. */
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

  /** Reads the denials from the database. @throws when it cannot be asked. */
  async refresh(): Promise<void> {
    const denials = await this.read();
    const now = this.now();
    const before = this.endsAt;
    this.endsAt = new Map(denials.map(({ caller, secondsLeft }) => [caller, now + secondsLeft * 1000]));
    this.prefixBits = [...new Set(denials.flatMap(({ prefixBits }) => prefixBits ?? []))];
    if (denials.some(({ caller }) => (before.get(caller) ?? 0) <= now)) this.whenAdded?.();
  }

  /** Calls the listener whenever somebody is denied who was not before, as soon as this process knows. */
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
