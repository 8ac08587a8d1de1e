import { type Logger, messageOf } from "../telemetry/log.ts";

/** The other processes take a state that is older than 30 s for nobody's. */
const TELL_INTERVAL_MS = 10_000;

/**
 * Whether the sink does its work, in one log line when it ceases to and one when it does again.
 *
 * States: unknown → works (something was acknowledged, or nothing waits) or fails; works ↔ fails. To be opened is not
 * enough: a file on a full disk can be opened every time.
 */
export class SinkStanding {
  private state: "unknown" | "works" | "fails" = "unknown";
  /** It can be written to, but has lost events that it had. */
  isShort = false;
  private told: { isUp: boolean; at: number } | undefined;

  constructor(private readonly log: Logger) {}

  works(): void {
    if (this.state === "fails") this.log.info("the event sink is back");
    this.state = "works";
  }

  fails(error: unknown): void {
    if (this.state !== "fails") {
      this.log.warn({ error: messageOf(error) }, "the event sink is away: the ledger waits, nothing is lost");
    }
    this.state = "fails";
  }

  report(): { sinkUp: boolean; sinkIsKnown: boolean } {
    return { sinkUp: this.isUp, sinkIsKnown: this.state !== "unknown" };
  }

  /** Tells it on at each change, and often enough to be believed. */
  async tell(send: (isUp: boolean) => Promise<void>): Promise<void> {
    const now = performance.now();
    const isFresh = this.told && this.told.isUp === this.isUp && now - this.told.at < TELL_INTERVAL_MS;
    if (this.state === "unknown" || isFresh) return;
    this.told = { isUp: this.isUp, at: now };
    await send(this.isUp);
  }

  private get isUp(): boolean {
    return this.state !== "fails" && !this.isShort;
  }
}
