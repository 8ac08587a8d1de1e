import { type Connection, openConnections } from "./connection.ts";
import { type Request, requestsOf } from "./requests.ts";
import { Tally } from "./tally.ts";
import type { GeneratorResult, GeneratorTask } from "./task.ts";

/** Longer than any response takes, so that a slow server is measured and not abandoned. */
const ANSWER_TIMEOUT_MS = 10_000;
/** The resolution of system timers; a request's wait for the tick counts as its latency. */
const TICK_MS = 1;
/**
 * A request of an open loop is late if it starts this long after its time: connections or the generator were
 * busy.
 */
const LATE_MS = 10;

/**
 * Puts one load on a server and counts what comes back. Requests under way at the end are waited for, so
 * every request that was sent is either counted or lost.
 * @throws when a connection is refused, or an answer is none of HTTP/1.1.
 */
export async function generate(task: GeneratorTask): Promise<GeneratorResult> {
  let lostWhileIdle = 0;
  const idle = await openConnections(task.url, task.idleConnections, {
    answered: () => {},
    lost: () => lostWhileIdle++,
  });
  try {
    const result = await new Load(task).run();
    return { ...result, lost: result.lost + lostWhileIdle };
  } finally {
    for (const connection of idle) connection.close();
  }
}

class Load {
  private readonly requests;
  private readonly tally = new Tally();
  private connections: Connection[] = [];
  /** By connection: the pending request, and when it should have started. */
  private readonly sent: (Request | undefined)[] = [];
  private readonly intendedAt: Float64Array;
  private readonly free: Connection[] = [];
  private underWay = 0;
  private endsAt = 0;
  private isFinishing = false;
  private whenSettled = () => {};

  constructor(private readonly task: GeneratorTask) {
    this.requests = requestsOf(task.plan, new URL(task.url).host);
    this.intendedAt = new Float64Array(task.connections);
  }

  async run(): Promise<GeneratorResult> {
    const { task, tally } = this;
    this.connections = await openConnections(task.url, task.connections, {
      answered: (connection, status, body) => this.answered(connection, status, body),
      lost: (connection) => this.lost(connection),
    });
    try {
      const startedAt = performance.now();
      tally.start(startedAt);
      this.endsAt = startedAt + task.seconds * 1000;
      await this.begin(startedAt);
      await this.settled();
      await this.finish();
      return tally.result();
    } finally {
      for (const connection of this.connections) connection.close();
    }
  }

  private async begin(startedAt: number): Promise<void> {
    const { pace } = this.task;
    switch (pace.kind) {
      case "closed":
      case "burst":
        for (const connection of this.connections) this.sendNext(connection, startedAt);
        return;
      case "open":
        this.free.push(...this.connections);
        return this.sendAtRate(pace.perSecond, startedAt);
      default:
        pace satisfies never;
    }
  }

  /**
   * Sends every request of the period; those without a free connection follow as soon as there is one.
   * Leaving them out would hide exactly the requests that a slow server delayed.
   */
  private async sendAtRate(perSecond: number, startedAt: number): Promise<void> {
    const total = Math.floor(perSecond * this.task.seconds);
    const givesUpAt = this.endsAt + ANSWER_TIMEOUT_MS;
    let begun = 0;
    while (begun < total && performance.now() < givesUpAt) {
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) * perSecond) / 1000) + 1);
      while (begun < due) {
        const connection = this.free.pop();
        if (!connection) break;
        const intendedAt = startedAt + (begun++ * 1000) / perSecond;
        if (performance.now() - intendedAt > LATE_MS) this.tally.late++;
        this.sendNext(connection, intendedAt);
      }
      await Bun.sleep(TICK_MS);
    }
    this.tally.notSent += total - begun;
  }

  /**
   * Confirms or releases the holds that are left at the end. Otherwise a later load would be refused their
   * seats, and their expiry would write ledger rows that no response accounts for. (171 of them once failed
   * an hour's soak.)
   */
  private async finish(): Promise<void> {
    const { rest } = this.requests;
    if (!rest) return;
    this.isFinishing = true;
    for (;;) {
      const now = performance.now();
      const idle = this.connections.filter(({ isOpen, isBusy }) => isOpen && !isBusy);
      const sent = idle.filter((connection) => this.sendOne(connection, rest(), now)).length;
      if (sent === 0) return;
      await this.settled();
    }
  }

  private sendNext(connection: Connection, intendedAt: number): void {
    this.sendOne(connection, this.requests.next(), intendedAt);
  }

  private sendOne(connection: Connection, request: Request | undefined, intendedAt: number): boolean {
    if (!request) return false;
    this.sent[connection.index] = request;
    this.intendedAt[connection.index] = intendedAt;
    this.underWay++;
    connection.send(request.text);
    return true;
  }

  private answered(connection: Connection, status: number, body: Buffer): void {
    const { index } = connection;
    const now = performance.now();
    this.tally.answered(status, this.intendedAt[index] ?? now, now, this.sent[index]?.seatId ?? 0);
    this.requests.answered?.(status, body);
    const { kind } = this.isFinishing ? { kind: "burst" as const } : this.task.pace;
    switch (kind) {
      case "closed":
        if (now < this.endsAt) this.sendNext(connection, now);
        break;
      case "open":
        this.free.push(connection);
        break;
      case "burst":
        break;
      default:
        kind satisfies never;
    }
    this.oneLess();
  }

  private lost(connection: Connection): void {
    if (!connection.isBusy) {
      // A server closes connections that were idle for long: the lowest on the stack of a long load.
      const place = this.free.indexOf(connection);
      if (place >= 0) this.free.splice(place, 1);
      return;
    }
    this.tally.lost++;
    this.oneLess();
  }

  private oneLess(): void {
    if (--this.underWay === 0) this.whenSettled();
  }

  /** Resolves when nothing is pending. Requests without a response in time are lost. */
  private async settled(): Promise<void> {
    if (this.underWay === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whenSettled = resolve;
    const left = Math.max(0, this.endsAt - performance.now());
    const timer = setTimeout(resolve, left + ANSWER_TIMEOUT_MS);
    await promise;
    clearTimeout(timer);
    this.tally.lost += this.underWay;
  }
}
