const PROBE_UP_INTERVAL_MS = 1000;
const PROBE_AGAIN_INTERVAL_MS = 250;

/** This many slow probes in a row, with no transaction answered meanwhile, mean more than a busy machine. */
const SLOW_LIMIT = 3;

/**
 * - `up`: seats can be sold;
 * - `unsellable`: the database answers, but nothing can be sold (read-only, locked, without privileges): reading works;
 * - `away`: it does not answer.
 */
export type DatabaseState = "up" | "unsellable" | "away";

/**
 * The result of a failed probe. `slow`: there was no answer in time, perhaps only because the machine is busy. `untried`:
 * the thread that was asked died or was stuck, which says nothing about the database.
 */
export interface ProbeFault {
  kind: "unsellable" | "away" | "slow" | "untried";
  reason: string;
}

export interface DatabaseGateOptions {
  /** Undefined when seats can be sold. */
  probe(): Promise<ProbeFault | undefined>;
  /** As `probe`, but writes like a sale; called only after real transactions have failed, until it succeeds. */
  rehearse(): Promise<ProbeFault | undefined>;
  onChange(state: DatabaseState, reason: string | undefined): void;
}

/**
 * Whether seats can be sold. While they cannot, requests are refused at once instead of each waiting for its failure.
 *
 * - `up` ends at once with a fault that the server or the network reports. Slow probes end it only if a transaction was
 *   lost too, or after `SLOW_LIMIT` in a row with no transaction answered meanwhile.
 * - `unsellable` and `away` end when a probe has passed, and after a failed transaction a rehearsal too.
 */
export class DatabaseGate {
  private state: DatabaseState = "up";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private probing = false;
  private closed = false;
  private slowCount = 0;
  /** A transaction has failed, and no probe has passed since. */
  private suspected = false;
  /** A transaction got no answer, and none has succeeded since. */
  private wasLost = false;

  constructor(private readonly options: DatabaseGateOptions) {
    this.plan();
  }

  /** Whether seats can be sold. */
  get isUp(): boolean {
    return this.state === "up";
  }

  /** Whether it can be read. */
  get answers(): boolean {
    return this.state !== "away";
  }

  /** A transaction has failed: look now. `lost`: it got no answer. */
  suspect(kind: "failed" | "lost"): void {
    this.suspected = true;
    if (kind === "lost") this.wasLost = true;
    void this.look();
  }

  /** A transaction succeeded. Called for every batch, so it must cost nothing. */
  proven(): void {
    this.slowCount = 0;
    this.wasLost = false;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private plan(): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    const isCalm = this.isUp && this.slowCount === 0 && !this.suspected;
    this.timer = setTimeout(() => void this.look(), isCalm ? PROBE_UP_INTERVAL_MS : PROBE_AGAIN_INTERVAL_MS);
  }

  private async look(): Promise<void> {
    if (this.probing || this.closed) return;
    this.probing = true;
    const fault =
      (await this.options.probe()) ?? (this.suspected ? await this.options.rehearse() : undefined);
    this.probing = false;
    if (this.closed) return;
    this.heed(fault);
    this.plan();
  }

  private heed(fault: ProbeFault | undefined): void {
    if (!fault) {
      this.slowCount = 0;
      this.suspected = false;
      this.wasLost = false;
      this.become("up", undefined);
    } else if (fault.kind === "unsellable" || fault.kind === "away") {
      this.become(fault.kind, fault.reason);
    } else if (fault.kind === "slow") {
      this.slowCount++;
      if (this.wasLost || this.slowCount >= SLOW_LIMIT) this.become("away", fault.reason);
    }
  }

  private become(state: DatabaseState, reason: string | undefined): void {
    if (state === this.state) return;
    this.state = state;
    this.options.onChange(state, reason);
  }
}
