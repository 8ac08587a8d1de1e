const PROBE_UP_INTERVAL_MS = 1000;
const PROBE_AGAIN_INTERVAL_MS = 250;

/** Slow probes in a row, with no transaction answered meanwhile, that mean more than a busy machine. */
const SLOW_LIMIT = 3;

/**
 * Whether the database can sell.
 * - `up`: seats can be sold.
 * - `unsellable`: the database responds, but nothing can be sold (read-only, locked, missing privileges);
 *   reads work.
 * - `away`: it does not respond.
 */
export type DatabaseState = "up" | "unsellable" | "away";

/**
 * The result of a failed probe. `slow`: no response in time, perhaps only because the machine is busy.
 * `untried`: the probing thread died or was stuck, which says nothing about the database.
 */
export interface ProbeFault {
  kind: "unsellable" | "away" | "slow" | "untried";
  reason: string;
}

export interface DatabaseGateOptions {
  /** Resolves to undefined if seats can be sold. */
  probe(): Promise<ProbeFault | undefined>;
  /** Same as `probe`, but writes like a sale. Called only after real transactions have failed, until it succeeds. */
  rehearse(): Promise<ProbeFault | undefined>;
  onChange(state: DatabaseState, reason: string | undefined): void;
}

/**
 * Decides whether requests may reach the database. While it cannot sell, requests are refused at once instead
 * of each waiting for its own failure.
 *
 * States:
 * - `up` → `unsellable` or `away` (the server or the network reports a fault; or a probe is slow after a
 *   transaction was lost; or `SLOW_LIMIT` probes in a row are slow with no transaction answered meanwhile).
 * - `unsellable`, `away` → `up` (a probe succeeds and, if a transaction had failed, a rehearsal too).
 */
export class DatabaseGate {
  private state: DatabaseState = "up";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private probing = false;
  private closed = false;
  private slowCount = 0;
  /** A transaction has failed, and no probe has succeeded since. */
  private suspected = false;
  /** A transaction got no response, and none has succeeded since. */
  private wasLost = false;

  constructor(private readonly options: DatabaseGateOptions) {
    this.plan();
  }

  /** Whether seats can be sold. */
  get isUp(): boolean {
    return this.state === "up";
  }

  /** Whether reads work. */
  get answers(): boolean {
    return this.state !== "away";
  }

  /** Reports a failed transaction and probes now. `lost`: it got no response. */
  suspect(kind: "failed" | "lost"): void {
    this.suspected = true;
    if (kind === "lost") this.wasLost = true;
    void this.look();
  }

  /** Reports a successful transaction. It is called for every batch, so it must cost nothing. */
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
