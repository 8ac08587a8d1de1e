import { type Logger, messageOf } from "../../telemetry/log.ts";

/** Must be well under 30 s: other processes ignore an older state. */
const SHARE_INTERVAL_MS = 10_000;

/**
 * Tracks whether the sink works, and logs one line when it fails and one when it works again.
 *
 * States:
 * - unknown: nothing was published yet. → works (something is acknowledged, or nothing waits), → fails.
 * - works → fails (a send or an opening fails).
 * - fails → works (something is acknowledged, or nothing waits).
 * A successful opening proves nothing: a file on a full disk can be opened every time.
 */
export class SinkState {
  private state: "unknown" | "works" | "fails" = "unknown";
  /** Whether the sink has lost events although it is writable. */
  isShort = false;
  private shared: { isUp: boolean; at: number } | undefined;

  constructor(private readonly log: Logger) {}

  works(): void {
    if (this.state === "fails") this.log.info("the event sink is available again");
    this.state = "works";
  }

  fails(error: unknown): void {
    if (this.state !== "fails") {
      this.log.warn(
        { error: messageOf(error) },
        "the event sink is unavailable: events wait in the ledger, nothing is lost",
      );
    }
    this.state = "fails";
  }

  report(): { sinkUp: boolean; sinkIsKnown: boolean } {
    return { sinkUp: this.isUp, sinkIsKnown: this.state !== "unknown" };
  }

  /** Sends the state at each change, and often enough that other processes do not ignore it. */
  async share(send: (isUp: boolean) => Promise<void>): Promise<void> {
    const now = performance.now();
    const isFresh = this.shared && this.shared.isUp === this.isUp && now - this.shared.at < SHARE_INTERVAL_MS;
    if (this.state === "unknown" || isFresh) return;
    this.shared = { isUp: this.isUp, at: now };
    await send(this.isUp);
  }

  private get isUp(): boolean {
    return this.state !== "fails" && !this.isShort;
  }
}
