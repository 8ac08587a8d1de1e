import type { Cursor } from "../postgres/ledger.ts";
import { comparePositions, positionText } from "./position.ts";
import { bytesAfter, type RecentChanges, type Round } from "./recent-changes.ts";

/** Below the half minute after which common proxies close a silent connection. */
const HEARTBEAT_MS = 15_000;
/** Heartbeats that found no room before a client counts as stuck, though little is owed to it. */
const MISSED_HEARTBEAT_LIMIT = 2;
/** Handed to the socket ahead of what it has taken, for one client. */
const SOCKET_BUFFER_BYTES = 64 * 1024;
/** What a client may fall behind by; some 2,300 changes. They lie in the memory that all clients share. */
const OWED_LIMIT_BYTES = 256 * 1024;
/** Clients that were cut off come back spread over this time, not all at one moment. */
const RETRY_FROM_MS = 1000;
const RETRY_TO_MS = 5000;

export type DropReason = "slow-consumer";
/**
 * Why the server ends a healthy stream: the server stops, the key that opened the stream was revoked, or an
 * administrator has denied the caller.
 */
export type ClosingReason = "shutdown" | "key-revoked" | "caller-denied";

export interface ChangeStreamOptions {
  eventId: number;
  /** The place up to which the client knows everything; undefined for one that begins now. */
  position: Cursor | undefined;
  recent: RecentChanges;
  /** @param dropped why, where the client was cut off for its own sake. */
  onOver(dropped?: DropReason): void;
}

const encoder = new TextEncoder();

/**
 * One client, told of one event's changes. It has no queue of its own: it is a place in the recent changes
 * that all share, and takes from there what its socket has room for.
 *
 * States: waiting (for what it missed to be read) → behind → live ⇄ behind → over. It is live when it has
 * been given everything; from live it falls behind when its socket is full, and at 256 KiB it is dropped.
 */
export class ChangeStream {
  readonly body: ReadableStream<Uint8Array>;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  private state: "waiting" | "behind" | "live" | "over";
  private position: Cursor;
  /** Counts from when it was live for the first time: what it missed before is not its slowness. */
  private owedBytes: number | undefined;
  private missedHeartbeats = 0;
  private readonly heartbeat: ReturnType<typeof setInterval>;

  constructor(private readonly options: ChangeStreamOptions) {
    const { position, recent, eventId } = options;
    this.position = position ?? recent.end;
    this.state = position ? "waiting" : "live";
    this.owedBytes = position ? undefined : 0;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => this.catchUp(),
        // Bun does so too for a client that went before its answer began.
        cancel: () => this.finish(),
      },
      { highWaterMark: SOCKET_BUFFER_BYTES, size: (bytes?: Uint8Array) => bytes?.byteLength ?? 0 },
    );
    this.heartbeat = setInterval(() => this.beat(), HEARTBEAT_MS);
    const retryMs = Math.round(RETRY_FROM_MS + Math.random() * (RETRY_TO_MS - RETRY_FROM_MS));
    this.write(`retry: ${retryMs}\n\n`);
    if (!position) this.write(message("ready", { eventId }, this.position));
  }

  get isOver(): boolean {
    return this.state === "over";
  }

  /** What it missed is in memory now, or cannot be had any more. */
  begin(): void {
    if (this.state !== "waiting") return;
    this.state = "behind";
    this.catchUp();
  }

  /** A round with changes of its event. */
  take(round: Round): void {
    if (this.state === "waiting" || this.state === "over") return;
    const bytes = bytesAfter(round, this.options.eventId, this.position);
    if (!bytes) return;
    if (this.state === "live" && this.hasRoom) {
      this.write(bytes);
      return;
    }
    if (this.state === "live") {
      this.state = "behind";
      if (comparePositions(this.position, round.after) < 0) this.position = round.after;
    }
    if (this.owedBytes === undefined) return;
    this.owedBytes += bytes.byteLength;
    if (this.owedBytes > OWED_LIMIT_BYTES) this.drop("slow-consumer");
  }

  /** Recent changes began anew in another epoch: what the client knows may have been undone. */
  startOver(): void {
    if (this.state === "live") this.state = "behind";
    this.catchUp();
  }

  end(reason: ClosingReason): void {
    if (this.state === "over") return;
    this.close(message("closing", { reason }));
  }

  private drop(reason: DropReason): void {
    this.close(message("dropped", { reason }), reason);
  }

  private close(lastWord: string, dropped?: DropReason): void {
    this.write(lastWord);
    if (this.isOver) return;
    this.controller?.close();
    this.finish(dropped);
  }

  /** Gives what the socket has room for; called again when it has more. */
  private catchUp(): void {
    const { recent, eventId } = this.options;
    while (this.state === "behind" && this.hasRoom) {
      const next = recent.next(this.position);
      if (next === undefined) {
        this.state = "live";
        this.owedBytes = 0;
      } else if (next === "lost") {
        const reason = this.position.epoch < recent.start.epoch ? "restored" : "too-old";
        this.position = recent.end;
        this.write(message("reset", { reason }, this.position));
      } else {
        const bytes = bytesAfter(next, eventId, this.position);
        this.position = next.end;
        if (!bytes) continue;
        this.write(bytes);
        if (this.owedBytes !== undefined) this.owedBytes = Math.max(0, this.owedBytes - bytes.byteLength);
      }
    }
  }

  /**
   * Keeps the connection alive, and moves the client's last event id on in an event where little happens
   * while others are busy: it would be too old to resume from.
   */
  private beat(): void {
    if (!this.hasRoom) {
      if (++this.missedHeartbeats >= MISSED_HEARTBEAT_LIMIT) this.drop("slow-consumer");
      return;
    }
    this.missedHeartbeats = 0;
    const { end } = this.options.recent;
    const knowsAll = this.state === "live" && comparePositions(this.position, end) <= 0;
    this.write(knowsAll ? `:\nid: ${positionText(end)}\n\n` : ":\n\n");
  }

  private get hasRoom(): boolean {
    return (this.controller?.desiredSize ?? 0) > 0;
  }

  private write(bytes: Uint8Array | string): void {
    // A connection that broke a moment ago; to throw here would end the round for all clients after this one.
    if (this.controller?.desiredSize === null) this.finish();
    else this.controller?.enqueue(typeof bytes === "string" ? encoder.encode(bytes) : bytes);
  }

  private finish(dropped?: DropReason): void {
    if (this.state === "over") return;
    this.state = "over";
    clearInterval(this.heartbeat);
    this.options.onOver(dropped);
  }
}

function message(event: string, data: object, position?: Cursor): string {
  const id = position ? `id: ${positionText(position)}\n` : "";
  return `${id}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
