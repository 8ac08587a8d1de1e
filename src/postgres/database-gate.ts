import { Breaker } from "../runtime/breaker.ts";
import { Loop } from "../runtime/loop.ts";

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

/** @param reason why nothing can be sold; undefined for `up` */
export type GateListener = (state: DatabaseState, reason: string | undefined) => void;

export interface DatabaseGateOptions {
  /** Resolves to undefined if seats can be sold. */
  probe(): Promise<ProbeFault | undefined>;
  /** Same as `probe`, but writes like a sale. Called only after real transactions have failed, until it succeeds. */
  rehearse(): Promise<ProbeFault | undefined>;
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
  private readonly listeners: GateListener[] = [];
  private readonly loop: Loop;
  private readonly slowProbes = new Breaker({ failureLimit: SLOW_LIMIT });
  private closed = false;
  /** A transaction has failed, and no probe has succeeded since. */
  private suspected = false;
  /** A transaction got no response, and none has succeeded since. */
  private wasLost = false;

  constructor(private readonly options: DatabaseGateOptions) {
    this.loop = new Loop(() => this.look(), PROBE_UP_INTERVAL_MS);
  }

  onChange(listener: GateListener): void {
    this.listeners.push(listener);
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
    this.loop.poke();
  }

  /** Reports a successful transaction. It is called for every batch, so it must cost nothing. */
  proven(): void {
    this.slowProbes.succeed();
    this.wasLost = false;
  }

  close(): void {
    this.closed = true;
    void this.loop.stop();
  }

  private async look(): Promise<number> {
    const fault =
      (await this.options.probe()) ?? (this.suspected ? await this.options.rehearse() : undefined);
    if (!this.closed) this.heed(fault);
    const isCalm = this.isUp && this.slowProbes.failureCount === 0 && !this.suspected;
    return isCalm ? PROBE_UP_INTERVAL_MS : PROBE_AGAIN_INTERVAL_MS;
  }

  private heed(fault: ProbeFault | undefined): void {
    if (!fault) {
      this.slowProbes.succeed();
      this.suspected = false;
      this.wasLost = false;
      this.become("up", undefined);
    } else if (fault.kind === "unsellable" || fault.kind === "away") {
      this.become(fault.kind, fault.reason);
    } else if (fault.kind === "slow") {
      this.slowProbes.fail();
      if (this.wasLost || this.slowProbes.isOpen) this.become("away", fault.reason);
    }
  }

  private become(state: DatabaseState, reason: string | undefined): void {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.listeners) listener(state, reason);
  }
}
