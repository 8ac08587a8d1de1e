import {
  type Connection,
  type Direction,
  startProxy,
  type Proxy as TcpProxy,
  type Watcher,
} from "./proxy.ts";
import { within } from "./until.ts";

const HOLD_DEADLINE_MS = 20_000;
/** No text that is waited for is longer. */
const TEXT_LIMIT_BYTES = 256;
/** How Postgres ends every answer: ReadyForQuery, whose last byte says whether a transaction is open. */
const READY_FOR_QUERY = Buffer.from("Z\0\0\0\u0005", "latin1");

/** A message that stands still on its way. Its connection's others, that way, wait behind it. */
export interface Held {
  /** Lets it go on, also where its sender is gone by now: as bytes that were on the way. */
  release(): void;
  /** It never arrives, and both ends see their connection reset. */
  cut(): void;
  /** The client sees its connection reset at once; the message is still on its way, until `release`. */
  lose(): void;
  /** Lets it go on, and holds a later message of the same connection: as `Wire.holdWhen`. */
  releaseUntil(text: string, direction: Direction): Promise<Held>;
}

/** A proxy that can stop at a named message: a fault point that the production code knows nothing of. */
export interface Wire extends TcpProxy {
  /**
   * Holds the first message from now on that has `text` in it (as bytes; a statement that is prepared is sent
   * as text only once a connection, and by its name afterwards, which is in both). Only that message's
   * connection stands; the others go on. `toServer`: before the server has any of the end of it. `toClient`:
   * the server has it, and has answered; the answer is what is held. A message behind one that is held is held
   * with it.
   * @returns when it is held. Call it before the message is sent, and wait afterwards.
   * @throws when no such message comes in time.
   */
  holdWhen(text: string, direction: Direction): Promise<Held>;
}

interface Stop {
  text: Buffer;
  direction: Direction;
  reached(held: Held): void;
}

/** As `startProxy`, with `holdWhen`. */
export async function startWire(serverUrl: string): Promise<Wire> {
  const stops = new Set<Stop>();
  const isPostgres = serverUrl.startsWith("postgres");
  const proxy = await startProxy(serverUrl, (connection) => new Stopper(connection, stops, isPostgres));
  return { ...proxy, holdWhen: (text, direction) => stopAt(stops, text, direction) };
}

function stopAt(stops: Set<Stop>, words: string, direction: Direction): Promise<Held> {
  const text = Buffer.from(words);
  if (text.length < 2 || text.length > TEXT_LIMIT_BYTES) {
    throw new Error(`a text of 2 to ${TEXT_LIMIT_BYTES} bytes can be waited for, not "${words}"`);
  }
  const { promise, resolve } = Promise.withResolvers<Held>();
  const stop: Stop = { text, direction, reached: resolve };
  stops.add(stop);
  const held = within(promise, HOLD_DEADLINE_MS, `"${words}" passes ${direction}`).finally(() =>
    stops.delete(stop),
  );
  // Looked at only by a test that gets so far.
  held.catch(() => undefined);
  return held;
}

/** States of a connection: passing → (a stop's text is seen) → holding one direction → (release) → passing. */
class Stopper implements Watcher {
  /** The end of what was passed to the server: a text may come in two pieces. */
  private tail: Buffer = Buffer.alloc(0);
  private stop: Stop | undefined;
  /** Stops of this connection only. */
  private readonly ownStops = new Set<Stop>();
  private kept: Buffer[] = [];

  constructor(
    private readonly connection: Connection,
    private readonly stops: Set<Stop>,
    private readonly isPostgres: boolean,
  ) {}

  keeps(): boolean {
    return this.stop !== undefined;
  }

  sees(bytes: Buffer, direction: Direction): boolean {
    if (this.stop) {
      if (direction !== this.stop.direction) return true;
      this.kept.push(bytes);
      if (direction === "toClient" && this.isAnswered()) this.stop.reached(this.held(this.stop));
      if (direction === "toServer") this.meets(bytes, [direction])?.reached(this.held(this.stop));
      return false;
    }
    if (direction === "toClient") return true;
    const stop = this.meets(bytes);
    if (!stop) return true;
    this.stop = stop;
    if (stop.direction === "toClient") return true;
    this.kept.push(bytes);
    stop.reached(this.held(stop));
    return false;
  }

  /** The stop whose text ends in these bytes; it is met once. */
  private meets(bytes: Buffer, directions: Direction[] = ["toServer", "toClient"]): Stop | undefined {
    const { tail } = this;
    this.tail = (bytes.length < TEXT_LIMIT_BYTES ? Buffer.concat([tail, bytes]) : bytes).subarray(
      -TEXT_LIMIT_BYTES,
    );
    for (const stop of [...this.ownStops, ...this.stops]) {
      // One byte less than the text: what has passed as a whole is not met again.
      const before = tail.subarray(Math.max(0, tail.length - stop.text.length + 1));
      if (!directions.includes(stop.direction) || !Buffer.concat([before, bytes]).includes(stop.text))
        continue;
      this.stops.delete(stop);
      this.ownStops.delete(stop);
      return stop;
    }
    return undefined;
  }

  /** Postgres may send the first part of a long answer before it has committed. */
  private isAnswered(): boolean {
    if (!this.isPostgres) return true;
    const end = Buffer.concat(this.kept).subarray(-READY_FOR_QUERY.length - 1, -1);
    return end.equals(READY_FOR_QUERY);
  }

  private held(stop: Stop): Held {
    const resume = (pass: boolean) => {
      if (this.stop !== stop) return;
      this.stop = undefined;
      const kept = this.kept.splice(0);
      if (pass) for (const bytes of kept) this.connection.write(bytes, stop.direction);
      else this.connection.reset("both");
      if (pass && this.connection.halfGone()) this.connection.close();
    };
    return {
      release: () => resume(true),
      cut: () => resume(false),
      lose: () => this.connection.reset("near"),
      releaseUntil: (text, direction) => {
        const reached = stopAt(this.ownStops, text, direction);
        resume(true);
        return reached;
      },
    };
  }
}
